"""Tables say what look-ups say, to NumPy and to readers of Arrow."""

import gc
import subprocess
import sys

import flatpoint
import numpy
import pyarrow
import pytest
from conftest import SAMPLES


def entry_rows(checkpoint):
    for fqn, entry in checkpoint.items():
        if isinstance(entry, flatpoint.Tensor):
            stored = sum(chunk.storage.length for chunk in entry.chunks if chunk.storage is not None)
            nbytes = entry.nbytes if entry.nbytes is not None and entry.nbytes < 2**63 else None
            yield fqn, "tensor", entry.dtype, list(entry.shape), nbytes, len(entry.chunks), stored
        elif isinstance(entry, flatpoint.Bytes):
            yield fqn, "bytes", None, None, None, None, entry.storage.length if entry.storage else 0
        else:
            yield fqn, "opaque", None, None, None, None, 0


def chunk_rows(checkpoint):
    def place(storage):
        return (storage.relative_path, storage.byte_offset, storage.length) if storage else (None, None, None)

    for fqn, entry in checkpoint.items():
        if isinstance(entry, flatpoint.Tensor):
            for number, chunk in enumerate(entry.chunks):
                yield fqn, number, list(chunk.offsets), list(chunk.sizes), *place(chunk.storage), chunk.row
        elif isinstance(entry, flatpoint.Bytes):
            yield fqn, 0, None, None, *place(entry.storage), None


def as_numpy_has_it(values):
    """A column of Python's values as Table gives it, as lists."""
    if any(isinstance(value, list) for value in values):
        width = max(len(value or ()) for value in values)
        return [(value or []) + [-1] * (width - len(value or ())) for value in values]
    return values


def test_tables_say_what_look_ups_say(sample):
    checkpoint = flatpoint.open(sample[0])
    for table, expected in ((checkpoint.table(), entry_rows), (checkpoint.chunks_table(), chunk_rows)):
        rows = [tuple(name(value) for value in row) for row in expected(checkpoint)]
        columns = [list(column) for column in zip(*rows)] or [[] for _ in table]
        assert table.num_rows == len(rows) and len(table) == len(list(table))
        arrow = pyarrow.table(table)
        arrow.validate(full=True)
        assert arrow.column_names == list(table) and arrow.num_rows == len(rows)
        for title, column in zip(table, columns):
            assert arrow[title].to_pylist() == column, title
            if rows and any(value not in (None, []) for value in column):
                assert table[title].tolist() == as_numpy_has_it(column), title
        assert pyarrow.schema(table) == arrow.schema


def name(value):
    """Arrow has UTF-8 alone."""
    return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if isinstance(value, str) else value


def test_sums(folder):
    checkpoint = flatpoint.open(folder)
    table, chunks = checkpoint.table(), checkpoint.chunks_table()
    assert table["nbytes"].sum() == sum(each.nbytes for each in checkpoint.values() if isinstance(each, flatpoint.Tensor))
    assert chunks["length"].sum() == table["stored_bytes"].sum()
    assert table["chunks"].sum() == 1024 and chunks.num_rows == 1024 + (table["kind"] == "bytes").sum()
    assert set(chunks["file"]) == set(checkpoint.files)
    assert table["shape"].shape == (21, 2) and table["shape"].dtype == numpy.int64
    assert chunks["fqn"][0] == next(iter(checkpoint))


def test_missing_numbers_are_masked():
    table = flatpoint.open(SAMPLES / "d01_dtensor_1d").table()
    kinds = table["kind"]
    assert set(kinds) == {"tensor", "bytes"}
    assert isinstance(table["nbytes"], numpy.ma.MaskedArray) and list(table["nbytes"].mask) == list(kinds == "bytes")
    assert list(table["dtype"][kinds == "bytes"]) == [None] * sum(kinds == "bytes")


def test_tables_outlive_their_checkpoint(folder):
    checkpoint = flatpoint.open(folder)
    expected = list(chunk_rows(checkpoint))
    table = checkpoint.chunks_table()
    arrow = pyarrow.table(table)
    checkpoint.close()
    column = arrow["sizes"]
    del checkpoint, table, arrow
    gc.collect()
    assert column.to_pylist() == [row[3] for row in expected]


def test_streams_that_nobody_reads(folder):
    table = flatpoint.open(folder).table()
    for _ in range(3):
        del_me = table.__arrow_c_stream__(), table.__arrow_c_schema__()
        assert "capsule" in repr(del_me[0])
    reader = pyarrow.RecordBatchReader.from_stream(table)
    assert reader.schema.names[0] == "fqn"
    reader.close()
    assert pyarrow.table(table) == pyarrow.table(table)


def test_names_and_looks(folder):
    table = flatpoint.open(folder).table()
    assert repr(table) == "Table(21 rows: fqn, kind, dtype, shape, nbytes, chunks, stored_bytes)"
    assert "fqn" in table and "nothing" not in table and dict(table)["fqn"] is table["fqn"]
    with pytest.raises(KeyError, match="nothing"):
        table["nothing"]
    html = table._repr_html_()
    assert "<td>8192 × 8192</td>" in html and "and 1 more" in html
    with pytest.raises(ValueError, match="closed"):
        checkpoint = flatpoint.open(folder)
        checkpoint.close()
        checkpoint.chunks_table()


def test_arrow_needs_no_numpy(folder):
    code = """
import sys
sys.modules["numpy"] = None
import flatpoint
table = flatpoint.open(sys.argv[1]).table()
print(table.num_rows, type(table.__arrow_c_stream__()).__name__)
try:
    table["fqn"]
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("21 PyCapsule\narrays need NumPy")
