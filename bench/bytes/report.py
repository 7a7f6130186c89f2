"""Reading the bytes of a checkpoint beside torch and `cat`, in one table. `scripts/bench data` calls it.

The checkpoint is what `torch.save` and DCP make of it: 8 ranks, each with an eighth of the rows of every tensor (half of them
bfloat16, half float32) as an item in a file of its own. Contenders take turns; values are medians. --full: 2 GB of layers instead
of 512 MB; --quick: 64 MB, whose ratios say little.
"""

import argparse
import contextlib
import gc
import os
import pickle
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from report import (
    DATA,
    PYTHON,
    ROOT,
    Row,
    Server,
    Times,
    at_least,
    at_most,
    compare,
    duration,
    machine,
    megabytes,
    note,
    print_table,
    verdict,
)

warnings.filterwarnings("ignore")
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, Metadata, MetadataIndex, TensorProperties, TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list

RANKS = 8
PROGRAM = ROOT / "build-bench/bin/bench_bytes"
TOOL = ROOT / "build-bench/bin/flatpoint"


def write_checkpoint(folder, layer_bytes):
    """Layers of `layer_bytes` in all, a tensor "whole" of half of that, and a small one of 1 MB in one chunk."""
    tensors, layers = {}, 32
    for i in range(layers):
        dtype = torch.bfloat16 if i % 2 else torch.float32
        rows = layer_bytes // layers // 4096 // dtype.itemsize
        tensors[f"layers.{i}.weight"] = (dtype, (rows // 64 * 64, 4096), RANKS)
    tensors["whole"] = (torch.float32, (layer_bytes // 2 // 4096 // 4 // RANKS * RANKS, 4096), RANKS)
    tensors["small"] = (torch.float32, (256, 1024), 1)
    metadata = Metadata({}, None, {})
    files = [open(folder / f"__{rank}_0.distcp", "wb") for rank in range(RANKS)]
    with contextlib.ExitStack() as stack:
        for file in files:
            stack.enter_context(file)
        for fqn, (dtype, size, parts) in tensors.items():
            rows = size[0] // parts
            chunks = [ChunkStorageMetadata(torch.Size([part * rows, 0]), torch.Size([rows, size[1]])) for part in range(parts)]
            for file, chunk in zip(files, chunks, strict=False):
                begin = file.tell()
                torch.save(torch.randn(chunk.sizes).to(dtype), file)
                info = _StorageInfo(Path(file.name).name, begin, file.tell() - begin)
                metadata.storage_data[MetadataIndex(fqn, chunk.offsets)] = info
            metadata.state_dict_metadata[fqn] = TensorStorageMetadata(TensorProperties(dtype=dtype), torch.Size(size), chunks)
        for file in files:
            os.fsync(file.fileno())
    with open(folder / ".metadata", "wb") as file:
        pickle.dump(metadata, file)
    return metadata


class Rank:
    """What torch's reader does for one rank: a plan, and memory that it is read into."""

    def __init__(self, folder, metadata, dimension, world, rank):
        self.reader = dcp.FileSystemReader(folder)
        self.reader.set_up_storage_reader(metadata, False)
        items, self.targets = [], {}
        for fqn, tensor in metadata.state_dict_metadata.items():
            if not fqn.startswith("layers."):
                continue
            part = -(-tensor.size[dimension] // world)
            offsets, sizes = [0, 0], list(tensor.size)
            offsets[dimension] = min(part * rank, tensor.size[dimension])
            sizes[dimension] = min(part, tensor.size[dimension] - offsets[dimension])
            box = ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))
            items += create_read_items_for_chunk_list(fqn, tensor, [box])
            self.targets[fqn] = torch.ones(sizes, dtype=tensor.properties.dtype)
        self.plan = LoadPlan(items)

    def resolve_tensor(self, item):
        target = self.targets[item.dest_index.fqn]
        for dimension, (begin, length) in enumerate(zip(item.dest_offsets, item.lengths, strict=True)):
            target = target.narrow(dimension, begin, length)
        return target

    def commit_tensor(self, item, tensor):
        pass

    def read(self):
        gc.collect()
        begin = time.perf_counter()
        self.reader.read_data(self.plan, self).wait()
        return time.perf_counter() - begin


class Cost(NamedTuple):
    """Of a command: times in nanoseconds, peak memory in bytes."""

    wall: float
    cpu: float
    memory: float


def cost(server, *command):
    server.process.stdin.write("\t".join(map(str, command)) + "\n")
    server.process.stdin.flush()
    wall, cpu, memory = map(float, server.read().split())
    return Cost(wall * 1e9, cpu * 1e9, memory)


def in_turns(rounds, **contenders):
    """Medians by contender, after a lap that warms up."""
    laps = {name: [] for name in contenders}
    for lap in range(rounds + 1):
        for name, run in contenders.items():
            value = run()
            if lap > 0:
                laps[name].append(value)
    return laps


def median(values):
    return statistics.median(values)


def limit_row(work, value, text, goal, unit):
    return Row(work, text, "", "", "", f"≤ {goal:g} {unit}", verdict(goal, value <= goal))


def find_rows(server, folder, rounds):
    note("finding the begins")

    def cold():
        for path in folder.glob("*.distcp"):
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return server.ask("find")

    warm = median([server.ask("find-cpu") for _ in range(2 * rounds)]) * 1e9
    after = median([cold() for _ in range(rounds)]) * 1e9
    return [
        limit_row("where a chunk's bytes begin, warm, CPU", warm / 1e3, duration(warm), 10, "µs"),
        limit_row("the same, cold", after / 1e3, duration(after), 120, "µs"),
    ]


def read_rows(server, folder, metadata, rounds):
    note("one tensor whole")
    laps = in_turns(rounds, ours=lambda: server.ask("whole"), plain=lambda: server.ask("plain"))
    ours, plain = (Times(median(laps[name]) * 1e9) for name in ("ours", "plain"))
    tensor = metadata.state_dict_metadata["whole"]
    size = megabytes(tensor.size.numel() * 4)
    rows = [compare(f"read a tensor of {size} in 8 chunks", ours, "pread of the same bytes", plain, at_most, 1.2)]
    for words, dimension, world, rank, goal in (
        ("rows, 8 → 8", 0, 8, 3, 5),
        ("rows, 8 → 6", 0, 6, 2, 6),
        ("rows, 8 → 64", 0, 64, 21, 10),
        ("rows → columns, 8 → 8", 1, 8, 3, 10),
    ):
        note(f"a rank's box, {words}")
        theirs = Rank(folder, metadata, dimension, world, rank)
        asked = f"{dimension} {world} {rank}"
        laps = in_turns(rounds, ours=lambda asked=asked: server.ask(f"rank {asked}"), torch=theirs.read)
        ours, torchs = (Times(median(laps[name]) * 1e9) for name in ("ours", "torch"))
        rows.append(compare(f"a rank's boxes, {words}", ours, "torch's read_data", torchs, at_least, goal))
        read = server.ask(f"read {asked}")
        if dimension == 0:
            rows.append(Row("", f"{read:.2f}", "bytes it needs", "1.00", f"{read:.2f}×", "≤ 1.00×", verdict(1, read <= 1)))
        else:
            rows.append(Row("", f"{read:.2f}", "bytes it needs", "1.00", f"{read:.2f}×", "", ""))
        del theirs
    return rows


LOAD = 'import sys, torch, torch.distributed.checkpoint as dcp;dcp.load({"small": torch.empty(256, 1024)}, checkpoint_id=sys.argv[1])'


def tool_rows(server, folder, rounds):
    files = sorted(folder.glob("*.distcp"))
    size = megabytes(sum(file.stat().st_size for file in files))
    note("get")
    out = folder / "out.raw"
    laps = in_turns(
        rounds,
        get=lambda: cost(server, TOOL, "get", folder, "small", "--force", "-o", out),
        load=lambda: cost(server, PYTHON, "-W", "ignore", "-c", LOAD, folder),
        ls=lambda: cost(server, TOOL, "ls", folder),
    )
    get, load = (Times(median([lap.wall for lap in laps[name]])) for name in ("get", "load"))
    rows = [compare(f"get 1 MB out of {size}, a process", get, "dcp.load of it in Python", load, at_least, 100)]
    base = median([lap.memory for lap in laps["ls"]])
    memories = {"get": median([lap.memory for lap in laps["get"]])}
    for words, goal, command in (
        ("verify --check bytes", 2.2, ("verify", folder, "--check", "bytes")),
        ("stats", 3, ("stats", folder)),
        ("import --checksums", None, ("import", folder, "--checksums", "--force", "-o", folder / "summed.flatpoint")),
        ("diff --data, of itself, read", None, ("diff", folder, folder, "--data")),
    ):
        note(words)
        laps = in_turns(rounds, ours=lambda command=command: cost(server, TOOL, *command), cat=lambda: cost(server, "cat", *files))
        ours, cat = (Times(median([lap.cpu for lap in laps[name]])) for name in ("ours", "cat"))
        rows.append(compare(f"{words}, CPU", ours, "CPU of cat", cat, at_most, goal))
        memories[words] = median([lap.memory for lap in laps["ours"]])
    for words, memory in memories.items():
        rows.append(Row(f"memory: {words}", megabytes(memory), "ls, the metadata alone", megabytes(base), f"+ {megabytes(memory - base)}",
                        "+ 8 MB", verdict(1, memory - base <= 8e6)))  # fmt: skip
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="64 MB: shows that everything runs; its ratios say little")
    parser.add_argument("--full", action="store_true", help="2 GB")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    layer_bytes = 64 << 20 if arguments.quick else 2 << 30 if arguments.full else 512 << 20
    DATA.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bytes-", dir=DATA))  # on a disk, not in memory as /tmp may be
    try:
        note(f"a checkpoint of {megabytes(layer_bytes * 1.5)}")
        metadata = write_checkpoint(folder, layer_bytes)
        with Server(PROGRAM, folder) as server:
            rows = find_rows(server, folder, arguments.rounds)
            rows += read_rows(server, folder, metadata, arguments.rounds)
        with Server(PROGRAM) as server:
            rows += tool_rows(server, folder, arguments.rounds)
    finally:
        shutil.rmtree(folder)
    print(machine() + "\n")
    print_table(rows)


if __name__ == "__main__":
    main()
