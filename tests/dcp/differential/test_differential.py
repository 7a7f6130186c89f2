"""A short piece of the differential fuzzing; `run.py --minutes M` goes on."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import run


def test_mutants_are_refused_or_equal():
    counts = run.run("test", mutants=1500)
    assert counts["different"] == 0
    assert counts["equal"] > 100
