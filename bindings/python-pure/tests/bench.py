"""One line of numbers for bench/readers/readers.py: bench.py FILE [JSON]"""

import gc
import json
import pathlib
import statistics
import sys
import time

import flatpoint_pure


def median(runs, work):
    """Seconds."""
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def open_and_find():
    with flatpoint_pure.open(path) as opened:
        opened.find(names[0])


def find_all():
    for name in names:
        file.find(name)


def overlap_all():
    for tensor, box in zip(tensors, boxes, strict=True):
        tensor.overlapping(*box)


gc.disable()
path = sys.argv[1]
file = flatpoint_pure.open(path)
names = [entry.fqn for entry in file]
tensors = [entry.tensor() for entry in file if entry.is_tensor]
boxes = [([n // 2 for n in t.size], [1] * t.ndim) for t in tensors]
opened = median(51, open_and_find)
find = median(5, find_all)
overlap = median(5, overlap_all)
parsed = 0
if len(sys.argv) > 2:
    text = pathlib.Path(sys.argv[2]).read_text()
    parsed = median(3, lambda: json.loads(text))
print(opened * 1e6, find / len(names) * 1e9, overlap / len(tensors) * 1e6, parsed * 1e3)
