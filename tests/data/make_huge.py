#!/usr/bin/env python3
"""Writes huge_by_strides/: an item of four bytes that states strides of 0 and more elements than 64 bits count bytes of."""

import pathlib
import pickle
import sys

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

NAME = "__0_0.distcp"


def main():
    folder = pathlib.Path(__file__).parent / "huge_by_strides"
    folder.mkdir(exist_ok=True)
    size, zero = torch.Size([2**62 + 1]), torch.Size([0])
    torch.save(torch.zeros(1, dtype=torch.int32).as_strided(size, [0]), folder / NAME)
    entry = TensorStorageMetadata(TensorProperties(dtype=torch.int32), size, [ChunkStorageMetadata(zero, size)])
    place = _StorageInfo(NAME, 0, (folder / NAME).stat().st_size)
    with open(folder / ".metadata", "wb") as file:
        pickle.dump(Metadata({"w": entry}, None, {MetadataIndex("w", zero, 0): place}), file, protocol=4)


if __name__ == "__main__":
    sys.exit(main())
