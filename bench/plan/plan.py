"""Planning and coverage beside torch's own, in one run: one table with ratios and goals. `scripts/bench plan` calls it.

Reads DATA/fsdp-N.metadata for N = 10000, 100000, 1000000; what is not there bench/data/make_metadata.py writes. Times are
medians of the CPU time of the one thread that works (nothing waits here, and neighbours on the machine do not count); torch
runs with the garbage collector off. --quick leaves out 1 M chunks and what takes torch more than ten seconds.
"""

import argparse
import array
import gc
import itertools
import json
import logging
import pathlib
import pickle
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")

import torch
import torch.distributed as dist
from torch.distributed.checkpoint import default_planner
from torch.distributed.checkpoint.default_planner import create_default_local_load_plan
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from torch.testing._internal.distributed.fake_pg import FakeStore

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORLD, RANK = 48, 17
ROWS = []


def measure(work, most=7, seconds=10.0):
    """Median in nanoseconds of up to `most` runs, fewer where they take long; and what the last one returned."""
    laps, start = [], time.perf_counter()
    while len(laps) < most and (not laps or time.perf_counter() - start < seconds):
        begin = time.thread_time_ns()
        result = work()
        laps.append(time.thread_time_ns() - begin)
    return statistics.median(laps), result


def ours(*arguments):
    done = subprocess.run([ROOT / "build-bench" / "bin" / "plan_timing", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def human(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.0f} ns"


def row(work, rival, flatpoint, goal, note="", at_most=False):
    """`goal`: the least ratio rival / flatpoint; with at_most the largest ratio flatpoint / rival; None where none is set."""
    ratio = flatpoint / rival if at_most else rival / flatpoint
    met = "" if goal is None else "yes" if (ratio <= goal if at_most else ratio >= goal) else "NO"
    limit = "" if goal is None else f"{'≤' if at_most else '≥'} {spaced(goal)}"
    ROWS.append((work, human(rival), human(flatpoint), f"{ratio:.1f}" if ratio < 20 else spaced(round(ratio)), limit, met, note))
    print("   ".join(ROWS[-1]), file=sys.stderr, flush=True)


def spaced(number):
    return f"{number:,}".replace(",", " ")


def cut(size, parts):
    """Boxes of dimension 0 cut into equal parts."""
    step = size[0] // parts
    return [((i * step, *[0] * (len(size) - 1)), (step, *size[1:])) for i in range(parts)]


def chunk(box):
    return ChunkStorageMetadata(offsets=torch.Size(box[0]), sizes=torch.Size(box[1]))


def metadata_of(tensors):
    """Metadata of tensors {fqn: (size, boxes)}, chunk behind chunk in one file."""
    state, storage, offset = {}, {}, 0
    for fqn, (size, boxes) in tensors.items():
        chunks = [chunk(box) for box in boxes]
        state[fqn] = TensorStorageMetadata(TensorProperties(dtype=torch.float32), torch.Size(size), chunks)
        for one in chunks:
            length = one.sizes.numel() * 4
            storage[MetadataIndex(fqn, one.offsets)] = _StorageInfo("__0_0.distcp", offset, length)
            offset += length
    return Metadata(state, storage_data=storage)


def irregular(parts):
    """A tiling that is no grid: rows of growing height, each cut at other places."""
    rows = round(parts**0.5)
    width, boxes, top = rows * 1000, [], 0
    for r in range(rows):
        height = 10 + r % 7
        points = [0, *(c * 1000 + (r * 37 + c * 11) % 900 for c in range(1, rows)), width]
        boxes += [((top, a), (height, b - a)) for a, b in zip(points, points[1:])]
        top += height
    return (top, width), boxes


def overlaps(folder, quick):
    cases = (
        ("4 096 × 4 096 chunks, sharded dimension largest", (4096 * 32, 64), cut((4096 * 32, 64), 4096), 100),
        ("4 096 × 4 096 chunks, sharded dimension smaller", (4096, 8192), cut((4096, 8192), 4096), 10_000),
        ("4 096 × 4 096 chunks, no grid", *irregular(4096), None),
    )
    for name, size, boxes, goal in cases[:1] if quick else cases:
        metadata = metadata_of({"w": (size, boxes)})
        path = folder / "one.metadata"
        path.write_bytes(pickle.dumps(metadata))
        (folder / "boxes").write_bytes(array.array("q", [v for box in boxes for part in box for v in part]).tobytes())
        wanted = [chunk(box) for box in boxes]
        rival, items = measure(lambda: create_read_items_for_chunk_list("w", metadata.state_dict_metadata["w"], wanted))
        mine = ours("boxes", path, folder / "boxes")
        assert mine["items"] == mine["hits"] == len(items)
        row(
            name,
            rival,
            mine["plan"]["median"],
            goal,
            f"{len(items)} items, with files and reads; overlaps alone {human(mine['overlaps']['median'])}",
        )


def grid(cells, is_even):
    """A tensor cut into cells[d] parts along dimension d, and the cuts: of equal parts, or of 10 to 16 elements each."""
    cuts = [[*itertools.accumulate((16 if is_even else 10 + i % 7 for i in range(parts)), initial=0)] for parts in cells]
    sides = [[*zip(points, points[1:])] for points in cuts]
    boxes = [(tuple(a for a, _ in cell), tuple(b - a for a, b in cell)) for cell in itertools.product(*sides)]
    return tuple(points[-1] for points in cuts), boxes


def one_box(folder, quick):
    """One box of 2 elements a side, among more and more chunks: what torch sorts and sweeps is found by arithmetic or by search."""
    chooser = random.Random(1)
    cases = [
        (f"{kind} grid of {spaced(side)} × {spaced(side)} chunks", (side, side), kind == "even")
        for kind in ("even", "uneven")
        for side in ((32, 100) if quick else (32, 1000))
    ]
    cases.append(("uneven grid of 4^8 chunks, 8 dimensions", (4,) * 8, False))
    for name, cells, is_even in cases:
        size, boxes = grid(cells, is_even)
        metadata = metadata_of({"w": (size, boxes)})
        wanted = [(tuple(chooser.randrange(n - 2) for n in size), (2,) * len(size)) for _ in range(512)]
        path = folder / "one.metadata"
        path.write_bytes(pickle.dumps(metadata))
        (folder / "boxes").write_bytes(array.array("q", [v for box in wanted for part in box for v in part]).tobytes())
        rival, items = measure(lambda: create_read_items_for_chunk_list("w", metadata.state_dict_metadata["w"], [chunk(wanted[0])]), most=3)
        mine = ours("boxes", path, folder / "boxes")
        row(
            f"overlap of one box, {name}",
            rival,
            mine["overlaps"]["median"] / len(wanted),
            None,
            f"{mine['hits'] / len(wanted):.2g} hits on average",
        )


def state_dict_of(metadata, mesh):
    """Everything in the checkpoint, as DTensors that a rank of the mesh would hold; no memory is taken."""
    state = {}
    for fqn, md in metadata.state_dict_metadata.items():
        if not isinstance(md, TensorStorageMetadata):
            state[fqn] = None
            continue
        placements = [Shard(0) if len(md.size) else Replicate()]
        local, _ = compute_local_shape_and_global_offset(md.size, mesh, placements)
        local = torch.empty(local, dtype=md.properties.dtype, device="meta")
        strides = torch.empty(md.size, device="meta").stride()
        state[fqn] = DTensor.from_local(local, mesh, placements, run_check=False, shape=md.size, stride=strides)
    return state


def rank_plans(path, chunks, metadata):
    dist.init_process_group("fake", rank=RANK, world_size=WORLD, store=FakeStore())
    state = state_dict_of(metadata, init_device_mesh("cpu", (WORLD,)))
    rival, plan = measure(lambda: create_default_local_load_plan(state, metadata))
    dist.destroy_process_group()
    mine = ours("rank", path, WORLD, RANK)
    assert mine["items"] == len(plan.items)
    name = f"{spaced(chunks)} chunks 64 → {WORLD}"
    row(
        f"a rank's plan, {name}, from boxes",
        rival,
        mine["plan_boxes"]["median"],
        300 if chunks >= 100_000 else None,
        f"{mine['items']} items in {mine['reads']} reads",
    )
    row(f"a rank's plan, {name}, from mesh and placements", rival, mine["plan_mesh"]["median"], None)
    row(
        f"plans of all {WORLD} ranks, {name}",
        mine["plan_boxes"]["median"],
        mine["all_plans"]["median"],
        12,
        "rival: one rank's plan from boxes",
        at_most=True,
    )
    row(f"load of all {WORLD} ranks, {name}", mine["plan_boxes"]["median"], mine["balance"]["median"], 12, "rival: the same", at_most=True)


def coverage(name, path, metadata, goal, stored_goal):
    rival, errors = measure(lambda: default_planner._validate_global_plan([None, None], metadata), most=3)
    assert not errors
    mine = ours("coverage", path)
    assert mine["tiled"] == mine["tensors"]
    row(f"coverage, {name}, explicit boxes", rival, mine["boxes"]["median"], goal)
    row(f"coverage, {name}, as stored", rival, mine["stored"]["median"], stored_goal)


def coverage_of_tensors(folder, quick):
    for count, tensors in ((16_384, 1), (4096, 4)):
        for name, size, goal in (("largest", (count * 32, 64), 50), ("smaller", (count, count * 2), 10_000)):
            if quick and name == "smaller":
                continue
            metadata = metadata_of({f"w{i}": (size, cut(size, count)) for i in range(tensors)})
            path = folder / "tensors.metadata"
            path.write_bytes(pickle.dumps(metadata))
            coverage(f"{tensors} × {spaced(count)} chunks, sharded dimension {name}", path, metadata, goal, goal)


def load(folder, chunks):
    path = folder / f"fsdp-{chunks}.metadata"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, ROOT / "bench/data/make_metadata.py", path, "--chunks", str(chunks)], check=True)
    with path.open("rb") as stream:
        return path, pickle.load(stream)


def print_table():
    rows = [("work", "rival", "flatpoint", "ratio", "goal", "met", ""), *ROWS]
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(r, widths)) + " |" for r in rows]
    print(lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:], sep="\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, default=ROOT / ".cache" / "bench-data")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    gc.disable()
    print(f"torch {torch.__version__}, rank {RANK} of {WORLD}\n")
    with tempfile.TemporaryDirectory() as folder:
        overlaps(pathlib.Path(folder), arguments.quick)
        one_box(pathlib.Path(folder), arguments.quick)
        for chunks in (10_000, 100_000) if arguments.quick else (10_000, 100_000, 1_000_000):
            path, metadata = load(arguments.data, chunks)
            rank_plans(path, chunks, metadata)
            if chunks >= 100_000:
                coverage(f"{spaced(chunks)} chunks of a language model", path, metadata, 50, 50)
            del metadata
        coverage_of_tensors(pathlib.Path(folder), arguments.quick)
    print_table()


if __name__ == "__main__":
    main()
