"""Boxes and chunks out of data files: the golden case "data_files" of the committed suite, whose files each test writes."""

import os

import pytest
from test_conformance import COMMITTED, cases

import flatpoint_pure

CASE = next(case for case in cases("golden", COMMITTED) if case.name == "data_files")


def content(name):
    return bytes((7 * i + ord(name[0])) % 256 for i in range(100))


A, B = content("a"), content("b")
LEFT, RIGHT = A[10:22], A[50:62]  # the chunks of "columns"
COLUMNS = b"".join(LEFT[3 * row : 3 * row + 3] + RIGHT[3 * row : 3 * row + 3] for row in range(4))


@pytest.fixture
def folder(tmp_path):
    for name in ("a.bin", "b.bin", "c.bin"):
        (tmp_path / name).write_bytes(content(name))
    return tmp_path


@pytest.fixture
def metadata():
    with flatpoint_pure.from_bytes(CASE.data) as file:
        yield file


def tensor(metadata, name):
    return metadata.find(name).tensor()


def code_of(call):
    with pytest.raises(flatpoint_pure.Error) as caught:
        call()
    return caught.value.code


def test_boxes(metadata, folder):
    columns = tensor(metadata, "columns")
    with flatpoint_pure.DataFiles(metadata, folder) as data:
        assert data.read(columns) == COLUMNS
        assert data.read(columns, (1, 2), (2, 3)) == COLUMNS[8:11] + COLUMNS[14:17]
        out = memoryview(bytearray(24)).cast("I")
        assert bytes(data.read(columns, out=out)) == COLUMNS
        assert data.read(columns, (4, 0), (0, 6)) == b""
        assert (data.chunk(columns.chunk(0)), data.chunk(columns.chunk(1))) == (LEFT, RIGHT)
        assert code_of(lambda: data.read(columns, (1, 0), (4, 6))) == "invalid_argument"
        assert code_of(lambda: data.read(columns, out=bytearray(23))) == "invalid_argument"


def test_checksums(metadata, folder):
    with flatpoint_pure.DataFiles(metadata, folder) as data:
        assert data.check(tensor(metadata, "columns").chunk(0))
        assert code_of(lambda: data.check(tensor(metadata, "columns").chunk(1))) == "checksum"
        assert not data.check(tensor(metadata, "stale").chunk(0))


def test_a_file_of_another_time(metadata, folder):
    """Its checksum tells that a chunk is the same; where there is none, or another, the file is refused."""
    with flatpoint_pure.DataFiles(metadata, folder) as data:
        assert data.read(tensor(metadata, "rows")) == B[10:34]
        assert code_of(lambda: data.read(tensor(metadata, "stale"))) == "changed"
    with flatpoint_pure.DataFiles(metadata, folder, accept_times=True) as data:
        assert data.read(tensor(metadata, "stale")) == B[50:52]
    (folder / "b.bin").write_bytes(B[:12] + b"x" + B[13:])
    with flatpoint_pure.DataFiles(metadata, folder) as data:
        assert code_of(lambda: data.read(tensor(metadata, "rows"))) == "changed"


def test_files_that_are_others(metadata, folder):
    with flatpoint_pure.DataFiles(metadata, folder) as data:
        assert code_of(lambda: data.read(tensor(metadata, "longer"))) == "changed"
        assert code_of(lambda: data.read(tensor(metadata, "outside"))) == "outside"
        os.utime(folder / "a.bin", ns=(1, 1))
        assert data.read(tensor(metadata, "columns")) == COLUMNS  # opened with this time
        os.utime(folder / "a.bin", ns=(2, 2))
        assert code_of(lambda: data.read(tensor(metadata, "columns"))) == "changed"
    (folder / "a.bin").unlink()
    with flatpoint_pure.DataFiles(metadata, folder) as data:
        assert code_of(lambda: data.read(tensor(metadata, "columns"))) == "not_found"
    (folder / "sub").mkdir()
    (folder / "d.bin").write_bytes(content("."))
    with flatpoint_pure.DataFiles(metadata, folder / "sub", allow_outside=True) as data:
        assert data.read(tensor(metadata, "outside")) == content(".")[10:12]
