"""Loading tensors through the plug-in for PyTorch beside torch's own reader, in one table. `scripts/bench loads` calls it.

The checkpoint is that of `scripts/bench data`. `read_data` of one rank, whose read items are those of torch's planner, and a whole
`dcp.load`; contenders take turns, values are medians, and what was loaded is compared.
"""

import argparse
import gc
import logging
import shutil
import tempfile
import time
from pathlib import Path

from bytes.report import Rank, in_turns, median, write_checkpoint  # before torch: it sets how many threads that takes
from report import DATA, Row, Times, at_least, compare, machine, megabytes, note, print_table, verdict

import torch  # isort: skip
import torch.distributed.checkpoint as dcp
from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader


class LastLoad(logging.Handler):
    """What the plug-in logs of a load."""

    def emit(self, record):
        if record.levelno == logging.INFO:
            _, _, self.needed, self.read, *_ = record.args


def rank_rows(folder, metadata, rounds, last):
    for words, dimension, world, rank, goal in (
        ("rows, 8 → 8", 0, 8, 3, 4),
        ("rows, 8 → 6", 0, 6, 2, 5),
        ("rows, 8 → 64", 0, 64, 21, 8),
        ("rows → columns, 8 → 8", 1, 8, 3, 5),
    ):
        note(f"read_data, {words}")
        torchs = Rank(folder, metadata, dimension, world, rank)
        ours = Rank(folder, metadata, dimension, world, rank)
        ours.reader = FlatpointReader(folder)
        ours.reader.set_up_storage_reader(ours.reader.read_metadata(), False)
        laps = in_turns(rounds, ours=ours.read, torch=torchs.read)
        assert all(torch.equal(ours.targets[fqn], tensor) for fqn, tensor in torchs.targets.items())
        mine, theirs = (Times(median(laps[name]) * 1e9) for name in ("ours", "torch"))
        yield compare(f"read_data, {words}", mine, "torch's read_data", theirs, at_least, goal)
        ratio, most = last.read / last.needed, 1.0 if dimension == 0 else 2.0
        yield Row("", f"{ratio:.2f}", "bytes it needs", "1.00", f"{ratio:.2f}×", f"≤ {most:.2f}×", verdict(most, ratio <= most))


def load_row(folder, metadata, rounds):
    note("dcp.load")
    states = {
        name: {fqn: torch.ones(tensor.size, dtype=tensor.properties.dtype) for fqn, tensor in metadata.state_dict_metadata.items()}
        for name in ("ours", "torch")
    }

    def load(name):
        gc.collect()
        begin = time.perf_counter()
        if name == "ours":
            dcp.load(states[name], storage_reader=FlatpointReader(folder), planner=FlatpointLoadPlanner(), no_dist=True)
        else:
            dcp.load(states[name], storage_reader=dcp.FileSystemReader(folder), no_dist=True)
        return time.perf_counter() - begin

    laps = in_turns(rounds, ours=lambda: load("ours"), torch=lambda: load("torch"))
    assert all(torch.equal(states["ours"][fqn], tensor) for fqn, tensor in states["torch"].items())
    mine, theirs = (Times(median(laps[name]) * 1e9) for name in ("ours", "torch"))
    return compare("dcp.load, 8 → 1", mine, "torch's", theirs, at_least, 2.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="64 MB: shows that everything runs; its ratios say little")
    parser.add_argument("--full", action="store_true", help="2 GB")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    layer_bytes = 64 << 20 if arguments.quick else 2 << 30 if arguments.full else 512 << 20
    last, logger = LastLoad(), logging.getLogger("flatpoint.torch")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(last)
    DATA.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="loads-", dir=DATA))
    try:
        note(f"a checkpoint of {megabytes(layer_bytes * 1.5)}")
        metadata = write_checkpoint(folder, layer_bytes)
        rows = [*rank_rows(folder, metadata, arguments.rounds, last), load_row(folder, metadata, arguments.rounds)]
    finally:
        shutil.rmtree(folder)
    print(machine() + "\n")
    print_table(rows)


if __name__ == "__main__":
    main()
