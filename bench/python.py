"""What Python adds to the C++ library's cost of opening and of a look-up, in one run. `scripts/bench python` calls it.

The C++ program and a Python process take turns; a time is the median over the turns of warm medians. Python's times hold the
loop around the call, and the objects that it makes and lets go.
"""

import argparse
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import report
from report import Row, duration, verdict

K, M = 1000, 1_000_000
LAPS, OPENS, LOOKUPS = 256, 8, 512  # laps, and calls in one: short, so that few laps hold what else the machine does
SAMPLE = LAPS * LOOKUPS  # as many names as the C++ program asks for
ADDED, LOOKUP = 20_000, 1000  # goals in nanoseconds: what Python adds to an open, and all of a look-up


# ---------------------------------------------------------------------------------------- in the process that is measured


def works(path):
    """What is measured, by name: a function over some FQNs or places of chunks, all of these, and how many make a lap."""
    import flatpoint

    checkpoint = flatpoint.open(path)
    tensors = [fqn for fqn, entry in checkpoint.items() if isinstance(entry, flatpoint.Tensor)]
    chance = random.Random(1)
    names = chance.sample(tensors, min(len(tensors), SAMPLE))
    names *= -(-SAMPLE // len(names))
    places = [(fqn, chance.choice(checkpoint[fqn].chunks).offsets) for fqn in names]

    def open_and_look(names):
        for fqn in names:
            flatpoint.open(path)[fqn].shape  # and closed, as nobody keeps it

    def look_up(names):
        for fqn in names:
            checkpoint[fqn]

    def look_up_shape(names):
        for fqn in names:
            checkpoint[fqn].shape

    def find(places):
        for fqn, offsets in places:
            checkpoint.find(fqn, offsets)

    return {
        "open": (open_and_look, names, OPENS),
        "look-up": (look_up, names, LOOKUPS),
        "shape": (look_up_shape, names, LOOKUPS),
        "find": (find, places, LOOKUPS),
    }


def serve(path):
    """Answers the name of a work with its median in nanoseconds."""
    by_name = works(path)
    print("ready", flush=True)
    for line in sys.stdin:
        work, inputs, count = by_name[line.strip()]
        parts = [inputs[begin : begin + count] for begin in range(0, LAPS * count, count)]
        laps = []
        for is_warm in (False, True):
            for part in parts:
                begin = time.perf_counter_ns()
                work(part)
                if is_warm:
                    laps.append((time.perf_counter_ns() - begin) / count)
        print(statistics.median(laps), flush=True)


# ------------------------------------------------------------------------------------------------- in the process that asks


def in_turns(dataset, turns, python_works, command, key):
    """Python's time by work, and the C++ program's."""
    theirs, ours = [], {work: [] for work in python_works}
    with report.Server(sys.executable, __file__, "--serve", dataset.path("flatpoint")) as python:
        python.read()
        for _ in range(turns):
            theirs.append(report.measure(command, dataset)[key, "flatpoint"].warm)
            for work, times in ours.items():
                times.append(python.ask(work))
    return {work: statistics.median(times) for work, times in ours.items()}, statistics.median(theirs)


def row(work, ours, rival, theirs, goal="", is_met=None):
    added = ours - theirs
    ratio = f"{'+' if added >= 0 else '−'}{duration(abs(added))}"
    return Row(work, duration(ours), rival, duration(theirs), ratio, goal, verdict(None if is_met is None else 1, is_met))


def open_row(dataset, turns):
    ours, theirs = in_turns(dataset, turns, ["open"], "open", "open")
    what = f"open, look up, shape, {report.count(dataset.chunks)} chunks"
    return row(what, ours["open"], "C++, open + find", theirs, f"≤ +{duration(ADDED)}", ours["open"] - theirs <= ADDED)


def lookup_rows(dataset, turns):
    names = f"{report.count(dataset.chunks)} names"
    ours, theirs = in_turns(dataset, turns, ["look-up", "shape"], "find", "find hit")
    found, in_index = in_turns(dataset, turns, ["find"], "index", "index")
    return [
        row(f"checkpoint[fqn], {names}", ours["look-up"], "C++, find(fqn)", theirs, f"≤ {duration(LOOKUP)}", ours["look-up"] <= LOOKUP),
        row("checkpoint[fqn].shape", ours["shape"], "C++, find(fqn)", theirs),
        row("checkpoint.find(fqn, offsets)", found["find"], "C++, find(MetadataIndex)", in_index),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that everything runs; its differences say little")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        return serve(arguments.serve)
    sizes, turns = ([K], 1) if arguments.quick else ([K, 100 * K, M], 5)
    rows = []
    for dataset in map(report.fsdp, sizes):
        report.prepare(dataset)
        rows.append(open_row(dataset, turns))
    for dataset in map(report.names, sizes):
        report.prepare(dataset)
        rows += lookup_rows(dataset, turns)
    print(report.machine() + "\n")
    report.print_table(rows)


if __name__ == "__main__":
    main()
