"""What PyTorch's ranks do with metadata, by DCP's own classes and by flatpoint's, in one run. `scripts/bench dcp` calls it.

Loading: rank 17 of 48 (with four processes, ranks 17 to 20 at once) reads the metadata of a large language model that 64
ranks saved, and plans its reads. Saving: from the ranks' write results to a durable file that every rank has. Each value is
measured in processes of its own; of several processes the slowest counts. Times are medians, memory is what reading adds to
a process's private pages. DCP runs with Python's garbage collector off, which spares it most of its time, and with it on, as
it is by default.
"""

import argparse
import contextlib
import copy
import gc
import json
import logging
import os
import pathlib
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import report
from report import Row, Times, at_least, at_most, compare, count, note

RANK, WORLD = 17, 48
K, M = 1000, 1_000_000


# ---------------------------------------------------------------------------------------- in a process that is measured


def private_bytes():
    lines = pathlib.Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def nanoseconds(call, most, budget=20.0):
    """The median of up to `most` runs, fewer where they take long."""
    laps, start = [], time.perf_counter()
    while len(laps) < most and (not laps or time.perf_counter() - start < budget):
        gc.collect()
        begin = time.perf_counter_ns()
        result = call()
        laps.append(time.perf_counter_ns() - begin)
        del result
    return statistics.median(laps)


def together():
    """Waits until all processes of this measurement are here."""
    print("ready", flush=True)
    sys.stdin.readline()


def state_dict(metadata, rank):
    """What the rank loads: every tensor with a dimension sharded over its first, without memory for the values."""
    import torch
    import torch.distributed as dist
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=WORLD)
    mesh = init_device_mesh("cpu", (WORLD,))
    state = {}
    for fqn, value in metadata.state_dict_metadata.items():
        if not isinstance(value, TensorStorageMetadata):
            state[fqn] = 0
        elif len(value.size) == 0:
            state[fqn] = torch.empty((), dtype=value.properties.dtype, device="meta")
        else:
            shape, _ = compute_local_shape_and_global_offset(value.size, mesh, [Shard(0)])
            local = torch.empty(shape, dtype=value.properties.dtype, device="meta")
            stride = torch.empty(value.size, device="meta").stride()
            state[fqn] = DTensor.from_local(local, mesh, [Shard(0)], run_check=False, shape=value.size, stride=stride)
    return state


def bare_plan(state, items):
    """The least that a plan costs: torch's offsets of every tensor, and the plan's ReadItems from numbers known already."""
    import torch
    from torch.distributed.checkpoint.metadata import MetadataIndex
    from torch.distributed.checkpoint.planner import ReadItem
    from torch.distributed.checkpoint.planner_helpers import _create_chunk_list

    tensors = [value for value in state.values() if isinstance(value, torch.Tensor)]
    size = torch.Size
    known = [
        (i.type, i.dest_index.fqn, tuple(i.dest_index.offset or ()), i.dest_index.index, tuple(i.dest_offsets),
         tuple(i.storage_index.offset or ()), tuple(i.storage_offsets), tuple(i.lengths))
        for i in items
    ]  # fmt: skip

    def make():
        for tensor in tensors:
            _create_chunk_list(tensor)
        return [
            ReadItem(kind, MetadataIndex(fqn, box, n), size(dest), MetadataIndex(fqn, chunk), size(offsets), size(lengths))
            for kind, fqn, box, n, dest, chunk, offsets, lengths in known
        ]

    return make


def load_worker(side, folder, collector, number):
    import torch.distributed.checkpoint as dcp
    from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader

    ours = side == "flatpoint"
    reader = (FlatpointReader if ours else dcp.FileSystemReader)(folder)
    if not collector:
        gc.disable()
    together()
    before = private_bytes()
    metadata = reader.read_metadata()
    answer = {"memory": private_bytes() - before}
    together()
    answer["read"] = nanoseconds(reader.read_metadata, 101 if ours else 3)
    planner = (FlatpointLoadPlanner if ours else dcp.DefaultLoadPlanner)(flatten_state_dict=False)
    state = state_dict(metadata, RANK + number)
    planner.set_up_planner(state, metadata, False)
    items = planner.create_local_plan().items
    together()
    answer["plan"] = nanoseconds(planner.create_local_plan, 5)
    answer["bare"] = nanoseconds(bare_plan(state, items), 5)
    answer["items"] = len(items)
    return answer


def write_results(metadata, world):
    """The write results as the coordinator gets them: of each rank from a pickle of its own."""
    from torch.distributed.checkpoint.storage import WriteResult

    of_rank = [[] for _ in range(world)]
    for index, info in metadata.storage_data.items():
        saver = int(info.relative_path.split("_")[2])
        of_rank[saver % world].append(WriteResult(index, info.length, info))
    return [pickle.loads(pickle.dumps(results)) for results in of_rank]


def save_worker(ways, folder, data, laps, number, world):
    """Times from finish on the coordinator to the metadata's being there on every rank, by way."""
    import torch.distributed as dist
    from flatpoint.torch import FlatpointWriter
    from torch.distributed.checkpoint import FileSystemWriter
    from torch.distributed.checkpoint.utils import _DistWrapper

    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=number, world_size=world)
    group = _DistWrapper(None, world > 1, 0)
    writers = {
        "torch": lambda path: FileSystemWriter(path),
        "with .metadata": lambda path: FlatpointWriter(path),
        "without": lambda path: FlatpointWriter(path, write_pickle=False),
    }
    made, results = None, None
    gc.disable()
    if number == 0:
        made = pickle.loads(pathlib.Path(data).read_bytes())
        results = write_results(made, world)
        made.storage_data = made.storage_meta = None
    times = {way: [] for way in ways}
    for lap in range(laps):
        for way in ways:
            path = pathlib.Path(folder, f"{lap}-{way}")
            path.mkdir(exist_ok=True)
            writer = writers[way.removesuffix(", gc on")](path)
            writer.set_up_storage_writer(number == 0, rank=number, use_collectives=True)
            metadata = copy.copy(made)
            gc.collect()
            if way.endswith("gc on"):
                gc.enable()
            group.barrier()
            begin = time.perf_counter_ns()
            if number == 0:
                writer.finish(metadata, results)
            metadata = group.broadcast_object(metadata)
            assert len(metadata.state_dict_metadata) > 0  # what is opened on first use is open now
            times[way].append(time.perf_counter_ns() - begin)
            gc.disable()
            del metadata
            group.barrier()
            if number == 0:
                shutil.rmtree(path)
    return {way: statistics.median(values) for way, values in times.items()}


def worker(arguments):
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    kind, *rest = json.loads(arguments)
    print(json.dumps({"load": load_worker, "save": save_worker}[kind](*rest)), flush=True)


# ------------------------------------------------------------------------------------------------- in the process that asks


def ask(processes, kind, *arguments, per_process):
    """The answers of as many workers at once. They begin each part of their work together."""
    with contextlib.ExitStack() as stack:
        workers = []
        for number in range(processes):
            command = [sys.executable, "-W", "ignore", __file__, "--worker", json.dumps([kind, *arguments, *per_process(number)])]
            workers.append(stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)))
        while True:
            lines = [worker.stdout.readline() for worker in workers]
            if not all(lines):
                sys.exit(f"{kind} {arguments}: a worker failed")
            if lines[0] != "ready\n":
                return [json.loads(line) for line in lines]
            for each in workers:
                each.stdin.write("\n")
                each.stdin.flush()


def slowest(answers):
    return {name: max(answer[name] for answer in answers) for name in answers[0]}


def load_rows(chunks, processes, quick):
    what = f"{count(chunks)} chunks, {processes} process{'es' if processes > 1 else ''}"
    note(f"loading, {what}")
    dataset = report.fsdp(chunks)
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(dataset.path("metadata"), pathlib.Path(folder, ".metadata"))
        os.symlink(dataset.path("flatpoint"), pathlib.Path(folder, ".metadata.flatpoint"))
        sides = {"ours": ("flatpoint", True), "off": ("torch", False)} | ({} if quick else {"on": ("torch", True)})
        got = {
            name: slowest(ask(processes, "load", side, folder, collector, per_process=lambda number: [number]))
            for name, (side, collector) in sides.items()
        }
    ours, off = got["ours"], got["off"]
    is_large = chunks >= M
    times = {name: {side: Times(values[name]) for side, values in got.items()} for name in ("read", "plan", "bare")}
    read, plan = times["read"], times["plan"]
    rows = [compare(f"read_metadata, {what}", read["ours"], "DCP, gc off", read["off"], at_least, 10_000 if is_large else None)]
    if not quick:
        rows.append(compare("", read["ours"], "DCP, gc on", read["on"], at_least, None))
    return rows + [
        Row("private memory before planning", *in_bytes(ours, "DCP", off), *at_most(0.01, ours["memory"], off["memory"])),
        compare(f"a rank's plan, {report.digits(ours['items'])} items", plan["ours"], "DCP, gc off", plan["off"], at_least, None),
        compare("", plan["ours"], "its ReadItems and torch's offsets", times["bare"]["ours"], at_most, 1.5),
    ]


def in_bytes(ours, rival, theirs):
    return report.megabytes(ours["memory"]), rival, report.megabytes(theirs["memory"])


def save_rows(chunks, processes, quick):
    what = f"{count(chunks)} chunks, {processes} process{'es' if processes > 1 else ''}"
    note(f"saving, {what}")
    laps = 1 if chunks >= M else 3
    ways = ["torch", "with .metadata", "without"] + ([] if quick else ["torch, gc on"])
    with tempfile.TemporaryDirectory(dir=report.DATA) as folder:  # on a disk: files are synced
        path = str(report.fsdp(chunks).path("metadata"))
        got = slowest(ask(processes, "save", ways, folder, path, laps, per_process=lambda number: [number, processes]))
    times = {way: Times(value) for way, value in got.items()}
    rows = [
        compare(f"save without .metadata, {what}", times["without"], "DCP, gc off", times["torch"], at_least, 10),
        compare("the same, with .metadata", times["with .metadata"], "DCP, gc off", times["torch"], at_least, 1),
    ]
    if not quick:
        rows.append(compare("save without .metadata", times["without"], "DCP, gc on", times["torch, gc on"], at_least, None))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that everything runs; its ratios say little")
    parser.add_argument(
        "--chunks",
        type=int,
        nargs="+",
        default=[10 * K, 100 * K, M],
        help="the sizes; 1 M takes PyTorch minutes, and gigabytes in each process",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        return worker(arguments.worker)
    sizes, world = ([10 * K], 2) if arguments.quick else (arguments.chunks, 4)
    rows = []
    for chunks in sizes:
        report.prepare(report.fsdp(chunks))
        for processes in (1, world):
            rows += load_rows(chunks, processes, arguments.quick) + save_rows(chunks, processes, arguments.quick)
    print(report.machine() + "\n")
    report.print_table(rows)


if __name__ == "__main__":
    main()
