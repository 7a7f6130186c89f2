"""Realistic `.metadata` files at any size, made by PyTorch's own planner and writer for a simulated world of ranks.

    make_metadata.py OUT --chunks 100000 [--shards 64] [--replicas 1]

The state dict is llm.py's: every tensor Shard(0) over `shards` ranks. `replicas` > 1 is HSDP: every shard is planned by that
many ranks and torch's deduplication keeps one of them, so a tensor's chunks are not in the order of their offsets. No tensor
is allocated. Every rank's plan and results pass through pickle where DCP gathers and scatters them, so strings and objects
are shared in the file exactly as in one of a real save.
"""

import argparse
import contextlib
import gc
import os
import pickle
import uuid
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import llm
import torch
import torch.distributed.checkpoint.default_planner as default_planner
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import FileSystem, FileSystemWriter, _StorageInfo
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import SavePlan, TensorWriteData, WriteItem, WriteItemType
from torch.distributed.checkpoint.storage import WriteResult


def send(obj):
    """What arrives where a collective sends an object."""
    return pickle.loads(pickle.dumps(obj))


def write_item(item: llm.Item, fqn: str, rank: int, shards: int) -> WriteItem:
    if item.shape is None:
        return WriteItem(index=MetadataIndex(fqn), type=WriteItemType.BYTE_IO)
    offsets, sizes = llm.shard(item.shape, rank, shards) if item.sharded else ((0,) * len(item.shape), item.shape)
    chunk = ChunkStorageMetadata(offsets=torch.Size(offsets), sizes=torch.Size(sizes))
    properties = TensorProperties(dtype=getattr(torch, item.dtype), strides=llm.contiguous_strides(sizes))
    return WriteItem(
        index=MetadataIndex(fqn, chunk.offsets),
        type=WriteItemType.SHARD if item.sharded else WriteItemType.TENSOR,
        tensor_data=TensorWriteData(chunk=chunk, properties=properties, size=torch.Size(item.shape)),
    )


def local_plan(items: list[llm.Item], rank: int, shards: int) -> SavePlan:
    fqns = [item.fqn for item in items]
    return SavePlan(
        [write_item(item, fqn, rank, shards) for item, fqn in zip(items, fqns)],
        planner_data={fqn: item.path for item, fqn in zip(items, fqns)},
    )


def write_results(plan: SavePlan) -> list[WriteResult]:
    """What FileSystemWriter.write_data returns: one file, bytes first, each item behind the one before it."""
    path = f"{plan.storage_data.prefix}0.distcp"
    results, offset = [], 0
    for item in sorted(plan.items, key=lambda i: i.type != WriteItemType.BYTE_IO):
        length = llm.BYTES_LENGTH
        if item.tensor_data is not None:
            elements = item.tensor_data.chunk.sizes.numel()
            length = elements * item.tensor_data.properties.dtype.itemsize + llm.TENSOR_HEADER
        results.append(WriteResult(index=item.index, size_in_bytes=length, storage_data=_StorageInfo(path, offset, length)))
        offset += length
    return results


class OneFile(FileSystem):
    """Lets FileSystemWriter.finish write to a file of our choice while it believes in its own path."""

    def __init__(self, out: Path):
        self.out = out
        self.temporary = out.with_name(out.name + f".{os.getpid()}.tmp")

    @contextlib.contextmanager
    def create_stream(self, path, mode):
        with open(self.temporary, mode) as stream:
            yield stream

    def exists(self, path):
        return False

    def rename(self, path, new_path):
        os.replace(self.temporary, self.out)


def write_metadata(out: Path, chunks: int, shards: int = 64, replicas: int = 1, validate: bool = True) -> None:
    """Writes a `.metadata` of about that many chunks to `out`."""
    items = list(llm.state_dict(llm.parameter_count(chunks, shards)))
    plans = [send(local_plan(items, rank % shards, shards)) for rank in range(shards * replicas)]
    if not validate:
        default_planner._validate_global_plan = lambda *_: []
    plans, metadata = DefaultSavePlanner().create_global_plan(plans)
    writer = FileSystemWriter(llm.checkpoint_path(chunks))
    plans = writer.prepare_global_plan(plans)
    results = []
    for rank, plan in enumerate(plans):
        results.append(send(write_results(send(plan))))
        plans[rank] = plan = None
    writer.fs = OneFile(out)
    writer.save_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{chunks}/{shards}/{replicas}"))
    writer.finish(metadata, results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--shards", type=int, default=64)
    parser.add_argument("--replicas", type=int, default=1)
    arguments = parser.parse_args()
    gc.disable()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_metadata(arguments.out, arguments.chunks, arguments.shards, arguments.replicas, validate=arguments.chunks <= 100_000)


if __name__ == "__main__":
    main()
