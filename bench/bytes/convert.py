"""Converting a checkpoint beside `cp -r` and torch, in one table. `scripts/bench convert` calls it.

The checkpoint is what `torch.save` and DCP make of it: 8 ranks, bfloat16, cut by rows, by columns or as a 4 x 2 grid, in the page
cache; outputs go to the page cache too, but where "synced" is said. Contenders take turns; values are medians. --full: 2 GB
instead of 512 MB; --quick: 64 MB, whose ratios say little.
"""

import argparse
import contextlib
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import torch
from report import DATA, PYTHON, ROOT, Row, Server, Times, at_least, at_most, compare, machine, megabytes, note, print_table, verdict
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, Metadata, MetadataIndex, TensorProperties, TensorStorageMetadata

TOOL = Path(os.environ.get("FLATPOINT_TOOL", ROOT / "build-bench/bin/flatpoint"))
LAYOUTS = {"rows": (8, 1), "columns": (1, 8), "a 4 x 2 grid": (4, 2)}
TORCH_SAVE = "import sys; from torch.distributed.checkpoint.format_utils import dcp_to_torch_save as f; f(*sys.argv[1:])"


def write_checkpoint(folder, layout, size):
    """32 tensors of `size` bytes in all, each cut into 8 chunks, a rank's in a file of its own."""
    folder.mkdir()
    rows = size // 32 // 4096 // 2 // 8 * 8
    cuts = LAYOUTS[layout]
    part = torch.Size([rows // cuts[0], 4096 // cuts[1]])
    offsets = [torch.Size([i * part[0], j * part[1]]) for i in range(cuts[0]) for j in range(cuts[1])]
    metadata = Metadata({}, {}, {})
    values = torch.randn(part).to(torch.bfloat16)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(open(folder / f"__{rank}_0.distcp", "wb")) for rank in range(8)]
        for i in range(32):
            fqn = f"layers.{i}.weight"
            for file, offset in zip(files, offsets, strict=True):
                begin = file.tell()
                torch.save(values, file)
                metadata.storage_data[MetadataIndex(fqn, offset)] = _StorageInfo(Path(file.name).name, begin, file.tell() - begin)
            chunks = [ChunkStorageMetadata(offset, part) for offset in offsets]
            metadata.state_dict_metadata[fqn] = TensorStorageMetadata(
                TensorProperties(dtype=torch.bfloat16), torch.Size([rows, 4096]), chunks
            )
            metadata.planner_data[fqn] = (fqn,)
        for file in files:
            os.fsync(file.fileno())
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


class Cost(NamedTuple):
    wall: float  # nanoseconds
    cpu: float
    memory: float  # bytes


# A small process starts the others: Linux counts the memory of whoever starts a process as that process' own.
STARTER = """
import json, os, sys, time
for line in sys.stdin:
    command, begin = json.loads(line), time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - begin
    print(json.dumps([status, wall * 1e9, (usage.ru_utime + usage.ru_stime) * 1e9, usage.ru_maxrss * 1024]), flush=True)
"""
starter = Server(sys.executable, "-S", "-c", STARTER)


def cost(target, *command):
    """Of a command that writes `target`, which is gone afterwards."""
    starter.process.stdin.write(json.dumps([str(word) for word in command]) + "\n")
    starter.process.stdin.flush()
    status, *values = json.loads(starter.read())
    if status != 0:
        sys.exit(f"{command} failed")
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    return Cost(*values)


def in_turns(rounds, **contenders):
    laps = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, run in contenders.items():
            laps[name].append(run())
    return {name: Cost(*(statistics.median(column) for column in zip(*values[1:], strict=True))) for name, values in laps.items()}


def shell(target, text, *words):
    return cost(target, "/bin/sh", "-c", text, "sh", *words)


def rows_of(folder, layout, size, rounds):
    source, target = folder / "source", folder / "target"
    write_checkpoint(source, layout, size)
    note(f"convert, {layout}")
    times = in_turns(
        rounds,
        cp=lambda: cost(target, "/bin/cp", "-r", source, target),
        ours=lambda: cost(target, TOOL, "convert", source, target, "--no-sync"),
        dcp=lambda: cost(target, TOOL, "convert", source, target, "--no-sync", "--to", "dcp", "--files", "6"),
        torch=lambda: cost(target, PYTHON, "-W", "ignore", "-c", TORCH_SAVE, source, target),
    )
    rows = []
    for work, name in ((f"{layout}, DCP to safetensors", "ours"), (f"{layout}, DCP to DCP of 6 ranks", "dcp")):
        goal = 1.25 if name == "ours" else 1.3
        rows.append(compare(work, Times(times[name].wall), "cp -r", Times(times["cp"].wall), at_most, goal))
        rows.append(compare("", Times(times[name].cpu), "CPU of cp -r", Times(times["cp"].cpu), at_most, goal if name == "ours" else None))
    rows.append(compare("", Times(times["ours"].wall), "dcp_to_torch_save, a process", Times(times["torch"].wall), at_least, 6))
    memory = max(times["ours"].memory, times["dcp"].memory)
    rows.append(
        Row(
            "",
            megabytes(memory),
            "memory of dcp_to_torch_save",
            megabytes(times["torch"].memory),
            "",
            "≤ 16 MB",
            verdict(1, memory <= 16e6),
        )
    )
    if layout == "rows":
        model = folder / "model"
        subprocess.run([TOOL, "convert", source, model], check=True, stdout=subprocess.DEVNULL)
        times = in_turns(
            rounds,
            cp=lambda: shell(target, 'cp -r "$1" "$2" && find "$2" -type f -exec sync {} +', source, target),
            ours=lambda: cost(target, TOOL, "convert", source, target),
            plain=lambda: cost(target, "/bin/cp", "-r", model, target),
            back=lambda: cost(target, TOOL, "convert", model, target, "--no-sync", "--files", "8"),
        )
        rows.append(compare("rows, synced", Times(times["ours"].wall), "cp -r, sync", Times(times["cp"].wall), at_most, 1.15))
        rows.append(compare("safetensors to DCP of 8 ranks", Times(times["back"].wall), "cp -r", Times(times["plain"].wall), at_most, 1.3))
        shutil.rmtree(model)
    shutil.rmtree(source)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="64 MB: shows that everything runs; its ratios say little")
    parser.add_argument("--full", action="store_true", help="2 GB")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    size = 64 << 20 if arguments.quick else 2 << 30 if arguments.full else 512 << 20
    DATA.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="convert-", dir=DATA))  # on a disk, not in memory as /tmp may be
    try:
        rows = [row for layout in LAYOUTS for row in rows_of(folder, layout, size, arguments.rounds)]
    finally:
        shutil.rmtree(folder)
    print(machine() + "\n")
    print_table(rows)


if __name__ == "__main__":
    main()
