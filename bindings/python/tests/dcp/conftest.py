"""Samples, and functions that run as the ranks of a process group."""

import pathlib
import shutil
import sys

import pytest
import torch.multiprocessing

HERE = pathlib.Path(__file__).resolve().parent
SAMPLES = HERE.parents[3] / "tests/samples"
sys.path.insert(0, str(HERE))

import ranks  # noqa: E402


def sample_folder(source, folder):
    """A checkpoint's folder with the metadata of a sample."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, folder / ".metadata")
    return folder


@pytest.fixture
def run_ranks(tmp_path):
    """Calls ranks.NAME(rank, folder) in as many processes at once; an error in one is an error here."""
    calls = iter(range(100))

    def run(world, name, folder):
        rendezvous = tmp_path / f"rendezvous{next(calls)}"
        torch.multiprocessing.spawn(ranks.enter, (world, str(rendezvous), name, str(folder)), nprocs=world)

    return run
