"""PyTorch's side: unpickles a `.metadata` on demand. bench/report.py lets this process and flatpoint take turns.

A line of input is a command; the answer is one line.
    load on|off [cold]   pickle.load with the garbage collector on or off: nanoseconds
    keep                 the same, and keeps the object
    index N              storage_data[MetadataIndex] of the object kept, N keys made beforehand: nanoseconds per look-up
"""

import gc
import os
import pickle
import random
import sys
import time

import torch.distributed.checkpoint.metadata  # noqa: F401 - what the pickle refers to is there before the clock starts
from torch.distributed.checkpoint.metadata import MetadataIndex


def drop_from_cache(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fdatasync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def load(path: str, collector: bool, cold: bool = False):
    gc.collect()
    gc.enable() if collector else gc.disable()
    if cold:
        drop_from_cache(path)
    begin = time.perf_counter_ns()
    with open(path, "rb") as file:
        metadata = pickle.load(file)
    taken = time.perf_counter_ns() - begin
    gc.enable()
    return metadata, taken


def time_index(storage_data: dict, count: int) -> float:
    """Without the loop's own cost."""
    chosen = random.Random(1).sample(list(storage_data), min(count, len(storage_data)))
    keys = [MetadataIndex(key.fqn, key.offset) for key in chosen]
    begin = time.perf_counter_ns()
    for key in keys:
        pass
    empty = time.perf_counter_ns() - begin
    begin = time.perf_counter_ns()
    for key in keys:
        storage_data[key]
    return (time.perf_counter_ns() - begin - empty) / len(keys)


def main() -> None:
    path, kept = sys.argv[1], None
    print("ready", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "load":
            answer = load(path, arguments[0] == "on", "cold" in arguments)[1]
        elif command == "keep":
            kept, answer = load(path, False)
        else:
            answer = time_index(kept.storage_data, int(arguments[0]))
        print(answer, flush=True)


if __name__ == "__main__":
    main()
