"""Reads flatpoint metadata files in place, in Python alone: for machines without the native module.

    with flatpoint_pure.open("ckpt/.metadata.flatpoint") as file:
        for entry in file:
            if entry.is_tensor:
                print(entry.name, entry.tensor().dtype, entry.tensor().size)

Opening checks the shape of the file (rules F1 to F8 of docs/format.md) at the same cost for any size. Look-ups check the
ranges that they follow: whatever the bytes are, they answer or raise `Error`, and never read outside the file.
"""

from ._columns import Columns, StorageMeta, TextColumn
from ._data import DataFiles, FileFacts
from ._errors import Error
from ._file import MetadataFile, from_bytes, open
from ._ranges import BoxRange
from ._tensor import Chunk, ChunkData, Entry, StorageInfo, Tensor

__all__ = [
    "BoxRange",
    "Chunk",
    "ChunkData",
    "Columns",
    "DataFiles",
    "Entry",
    "Error",
    "FileFacts",
    "MetadataFile",
    "StorageInfo",
    "StorageMeta",
    "Tensor",
    "TextColumn",
    "from_bytes",
    "open",
]
