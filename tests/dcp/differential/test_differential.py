"""What the differential fuzzing once found, and a short piece of it; `run.py --minutes M` goes on."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import run


def test_what_was_found_is_refused_or_equal():
    counts = run.judge_all(sorted((HERE / "found").glob("*.pickle")))
    assert counts["different"] == 0
    assert counts.total() >= 31


def test_mutants_are_refused_or_equal():
    counts = run.run("test", mutants=1500)
    assert counts["different"] == 0
    assert counts["equal"] > 100
