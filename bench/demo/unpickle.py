"""Microseconds to unpickle a `.metadata` with torch and look one FQN up: the warm median, garbage collector on and off.

Usage: unpickle.py FILE FQN. Prints two numbers. Exits with 3 where this Python has no torch.
"""

import gc
import pickle
import statistics
import sys
import time

try:
    import torch.distributed.checkpoint  # noqa: F401  (the classes that the pickle names; importing them is not timed)
except ImportError:
    sys.exit(3)


def load(path):
    with open(path, "rb") as file:
        return pickle.load(file)


def median_microseconds(path, fqn, runs=51):
    times = []
    for _ in range(runs + 5):
        start = time.perf_counter()
        load(path).state_dict_metadata[fqn]
        times.append(time.perf_counter() - start)
    return statistics.median(times[5:]) * 1e6


gc.enable()
with_collector = median_microseconds(*sys.argv[1:])
gc.disable()
without_collector = median_microseconds(*sys.argv[1:])
print(f"{with_collector:.1f} {without_collector:.1f}")
