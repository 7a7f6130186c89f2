"""Columns where they lie."""

import gc
import struct
import subprocess
import sys

import flatpoint
import numpy
import pytest
from conftest import SAMPLES


def test_columns_say_what_look_ups_say(sample):
    checkpoint = flatpoint.open(sample[0])
    columns = checkpoint.columns
    entries = columns["entries"]
    assert len(entries) == len(checkpoint)
    blob = columns["fqns"].tobytes()
    ends = columns["file_name_ends"]
    for row, fqn in zip(entries, checkpoint.prefix("")):
        begin = row["fqn_begin"]
        assert blob[begin : begin + row["fqn_length"]].decode() == fqn
        entry = checkpoint[fqn]
        assert row["storage_type"] == {flatpoint.Tensor: 0, flatpoint.Bytes: 1, flatpoint.Opaque: 2}[type(entry)]
        if not isinstance(entry, flatpoint.Tensor):
            continue
        size = columns["sizes"][row["size_begin"] :][: row["ndim"]]
        assert tuple(size) == entry.shape
        assert row["chunk_count"] == len(entry.chunks)
        assert bool(row["properties"]["requires_grad"]) == entry.properties.requires_grad
        for chunk in entry.chunks:
            if chunk.storage is None:
                continue
            assert columns["chunk_byte_offsets"][chunk.row] == chunk.storage.byte_offset
            file = int(columns["chunk_files"][chunk.row])
            begin = ends[file - 1] if file else 0
            assert columns["file_names"][begin : ends[file]].tobytes().decode() == chunk.storage.relative_path


def test_no_copy_and_no_writing(folder):
    flatpoint.open(folder).write(folder / "x.flatpoint")
    checkpoint = flatpoint.open(folder / "x.flatpoint")
    offsets = checkpoint.columns["chunk_byte_offsets"]
    assert offsets.__array_interface__["data"] == checkpoint.columns["chunk_byte_offsets"].__array_interface__["data"]
    assert not offsets.flags.writeable and not offsets.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        offsets[0] = 1


def test_columns_keep_the_mapping(folder):
    path = folder / "x.flatpoint"
    flatpoint.open(folder).write(path)

    def is_mapped():
        return str(path) in open("/proc/self/maps").read()

    with flatpoint.open(path) as checkpoint:
        offsets = checkpoint.columns["chunk_byte_offsets"]
        expected = offsets.copy()
    del checkpoint
    gc.collect()
    assert is_mapped()
    assert numpy.array_equal(offsets, expected)
    del offsets
    gc.collect()
    assert not is_mapped()


def test_names(folder):
    columns = flatpoint.open(folder).columns
    assert set(columns) >= {"entries", "fqns", "sizes", "chunk_files", "opaque_pickles"}
    assert len(columns) == len(list(columns)) and "entries" in columns and "nothing" not in columns
    assert len(columns["loose_storage"]) == 0
    with pytest.raises(KeyError, match="nothing"):
        columns["nothing"]


def test_without_numpy():
    code = """
import sys
sys.modules["numpy"] = None
import flatpoint
column = flatpoint.open(sys.argv[1]).columns["chunk_byte_offsets"]
print(type(column).__name__, column.format, column.readonly, column.tolist()[:2], bytes(column)[:2])
"""
    source = str(SAMPLES / "s01_plain_tensors")
    done = subprocess.run([sys.executable, "-c", code, source], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("memoryview Q True [")


def test_struct_rows_are_as_wide_as_the_format_says(folder):
    columns = flatpoint.open(folder).columns
    widths = {"entries": 48, "index_hints": 16, "loose_storage": 20, "transform_lists": 8, "path_elements": 4, "opaque": 24}
    assert {name: columns[name].dtype.itemsize for name in widths} == widths
    raw = memoryview(columns["entries"]).tobytes()
    assert struct.unpack_from("<I", raw, 48)[0] == columns["entries"][1]["fqn_begin"]
