"""What a rank does before it reads data: DCP's own reader and planner, and flatpoint's, on the same metadata.

    PYTHONPATH=build-python/site .cache/venv/torch/bin/python bench/dcp_load.py [10000 100000 1000000]

Each row is measured in a process of its own, over the files of scripts/bench --prepare (.cache/bench-data): a large
language model that 64 ranks saved, loaded by rank 17 of 48. Times are medians; memory is what the metadata adds to the
process's private pages. "collector off" is gc.disable() around the work, which spares torch most of its time.
"""

import gc
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

DATA = pathlib.Path(__file__).resolve().parents[1] / ".cache/bench-data"
RANK, WORLD = 17, 48


def private_bytes():
    lines = pathlib.Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


def seconds(call, repeats):
    times = []
    for _ in range(repeats):
        gc.collect()
        begin = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - begin)
        del result
    return statistics.median(times)


def state_dict(metadata):
    """What rank 17 of 48 loads: every tensor with a dimension sharded over its first, without memory for the values."""
    import torch
    import torch.distributed as dist
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import DTensor, Shard
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=RANK, world_size=WORLD)
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


def measure(side, folder, collector):
    """One process's answer."""
    warnings.filterwarnings("ignore")
    import torch.distributed.checkpoint as dcp

    from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader

    ours = side == "flatpoint"
    reader = (FlatpointReader if ours else dcp.FileSystemReader)(folder)
    if not collector:
        gc.disable()
    before = private_bytes()
    metadata = reader.read_metadata()
    memory = private_bytes() - before
    chunks = None if ours else sum(len(v.chunks) for v in metadata.state_dict_metadata.values() if hasattr(v, "chunks"))
    large = pathlib.Path(folder, ".metadata").stat().st_size > 10**8
    read = seconds(reader.read_metadata, 101 if ours else 1 if large and collector else 3)

    planner = (FlatpointLoadPlanner if ours else dcp.DefaultLoadPlanner)(flatten_state_dict=False)
    planner.set_up_planner(state_dict(metadata), metadata, False)
    items = len(planner.create_local_plan().items)
    plan = seconds(planner.create_local_plan, 3 if large else 5)
    print(json.dumps({"read": read, "memory": memory, "plan": plan, "items": items, "chunks": chunks}))


def answer(side, folder, collector):
    command = [sys.executable, __file__, "--measure", side, str(folder), str(int(collector))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def in_time(value):
    return f"{value * 1e6:.0f} us" if value < 1e-3 else f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def in_bytes(value):
    return f"{value / 1e6:.2f} MB" if value < 1e8 else f"{value / 1e9:.2f} GB"


def main(sizes):
    print("| chunks | reader and planner | collector | read_metadata | private memory | plan of a rank | read items |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ("metadata", "flatpoint"):
                name = ".metadata" if suffix == "metadata" else ".metadata.flatpoint"
                os.symlink(DATA / f"fsdp-{size}.{suffix}", pathlib.Path(folder, name))
            chunks = None
            for side, collector in (("torch", True), ("torch", False), ("flatpoint", True)):
                got = answer(side, folder, collector)
                chunks = got["chunks"] or chunks
                print(
                    f"| {chunks:,} | {side} | {'on' if collector else 'off'} | {in_time(got['read'])} "
                    f"| {in_bytes(got['memory'])} | {in_time(got['plan'])} | {got['items']:,} |",
                    flush=True,
                )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3], sys.argv[4] == "1")
    else:
        main([int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000])
