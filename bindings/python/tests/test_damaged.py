"""Files that open although columns are missing or say nonsense: every question has an answer or a flatpoint.Error."""

import pathlib
import subprocess
import sys

import flatpoint
import pytest
from conftest import LLM, SAMPLES
from damage import table_fields

HERE = pathlib.Path(__file__).resolve().parent
SOURCES = [
    LLM,
    SAMPLES / "s07_optimizer_bytes/.metadata",
    SAMPLES / "s10_zstd/.metadata",
    SAMPLES / "s23_megatron_all_local_plans/.metadata",
]


def bytes_of(path):
    return bytearray(memoryview(flatpoint.open(path)._file_bytes))


def without(data, name):
    """The file less one column: a vtable names what a table holds."""
    columns = flatpoint.from_bytes(data).columns
    _, fields = table_fields(data)
    for field in fields:
        less = bytearray(data)
        less[field : field + 2] = b"\0\0"
        try:
            others = flatpoint.from_bytes(less).columns
        except flatpoint.Error:
            continue
        if (
            len(columns[name])
            and not len(others[name])
            and all(len(others[each]) == len(columns[each]) for each in columns if each != name)
        ):
            return less
    raise AssertionError(f"no file lacks {name} alone")


@pytest.mark.parametrize("name", ["chunk_byte_offsets", "chunk_lengths", "file_name_ends", "sizes"])
def test_a_column_that_others_refer_to_is_absent(name):
    checkpoint = flatpoint.from_bytes(without(bytes_of(LLM), name))
    assert not checkpoint.verify().sound
    with pytest.raises(flatpoint.Error) as raised:
        for fqn in checkpoint:
            for chunk in checkpoint[fqn].chunks:
                chunk.storage
        checkpoint._storage_items()
    assert raised.value.code == flatpoint.ErrorCode.CORRUPT


def test_a_planner_path_of_a_broken_file():
    """A position that is no number."""
    data = bytes_of(SAMPLES / "s07_optimizer_bytes")
    elements = memoryview(flatpoint.from_bytes(data).columns["path_elements"]).tobytes()
    at = data.index(elements)
    for row in range(at, at + len(elements), 4):  # components, is_index
        data[row + 2] = 1
    broken = flatpoint.from_bytes(data)
    with pytest.raises(flatpoint.Error) as raised:
        for each in broken:
            broken.planner_path(each)
    assert raised.value.code == flatpoint.ErrorCode.CORRUPT


def test_any_damage_is_an_answer_or_an_error():
    """In a process of its own, which a crash would end."""
    command = [sys.executable, HERE / "damage.py", *SOURCES, "--count", "150"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    assert "opened" in done.stdout and "CORRUPT" in done.stdout
