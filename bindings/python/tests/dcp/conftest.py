"""Samples, and functions that run as the ranks of a process group."""

import pathlib
import pickle
import shutil
import sys
import tempfile

import pytest
import torch
import torch.multiprocessing

HERE = pathlib.Path(__file__).resolve().parent
SAMPLES = HERE.parents[3] / "tests/samples"
sys.path.insert(0, str(HERE))

import ranks  # noqa: E402

TORCH = tuple(map(int, torch.__version__.split(".")[:2]))
collect_ignore = ["test_from_object.py"] if TORCH < (2, 15) else []  # what it pickles are classes of 2.15


def pytest_collection_modifyitems(config, items):
    """Leaves out, and counts as such, what a test marked `since(2, 9)` needs and this torch does not have."""
    too_new = [item for item in items if (mark := item.get_closest_marker("since")) and TORCH < mark.args]
    config.hook.pytest_deselected(items=too_new)
    items[:] = [item for item in items if item not in too_new]


def pytest_configure(config):
    config.addinivalue_line("markers", "since(major, minor): the first torch that can do what the test shows")


def can_unpickle(source):
    """Whether this Python and torch can: 3.13's paths do not load on 3.11, nor 2.15's properties in older torch;
    before 2.7 nothing undoes transforms."""
    if "py3.13" in str(source) or (TORCH < (2, 7) and b"stream.zstd" in source.read_bytes()):
        return False
    try:
        pickle.loads(source.read_bytes())
    except (ValueError, AttributeError, TypeError):
        assert TORCH < (2, 15)
        return False
    return True


def sample_folder(source, folder):
    """A checkpoint's folder with the metadata of a sample."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, folder / ".metadata")
    return folder


def spawn(world, name, folder):
    """Calls ranks.NAME(folder) in as many processes at once; an error in one is an error here."""
    with tempfile.TemporaryDirectory() as own:
        torch.multiprocessing.spawn(ranks.enter, (world, f"{own}/rendezvous", name, str(folder)), nprocs=world)


@pytest.fixture
def run_ranks():
    return spawn
