"""Microseconds to unpickle a `.metadata` and look one FQN up: the warm median, garbage collector on and off.

Usage: unpickle.py FILE FQN. Prints who unpickles and two numbers: "torch 2.15.0", or "stand-ins" where this Python has no
torch. Stand-ins are empty classes in the place of torch's, so that their time is a lower bound of what torch takes.
"""

import gc
import pickle
import statistics
import sys
import time


class StandIn:
    def __init__(self, *arguments):
        pass

    def __setstate__(self, state):
        self.state = state


class StandInMetadata:  # its attributes are looked at
    pass


class StandIns(pickle.Unpickler):
    def find_class(self, module, name):
        return {"Size": tuple, "Metadata": StandInMetadata}.get(name, StandIn)


def unpickler():
    """What unpickles, and its name."""
    try:
        import torch
        import torch.distributed.checkpoint  # (the classes that the pickle names; importing them is not timed)
    except ImportError:
        return (lambda file: StandIns(file).load()), "stand-ins"
    return pickle.load, f"torch {torch.__version__.partition('+')[0]}"


def median_microseconds(load, path, fqn, runs=51):
    times = []
    for _ in range(runs + 5):
        start = time.perf_counter()
        with open(path, "rb") as file:
            metadata = load(file)
        metadata.state_dict_metadata[fqn]
        times.append(time.perf_counter() - start)
    return statistics.median(times[5:]) * 1e6


load, name = unpickler()
gc.enable()
with_collector = median_microseconds(load, *sys.argv[1:])
gc.disable()
without_collector = median_microseconds(load, *sys.argv[1:])
print(f"{with_collector:.1f} {without_collector:.1f} {name}")
