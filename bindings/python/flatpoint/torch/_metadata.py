"""torch's Metadata over a flatpoint file: nothing is read before torch asks for it."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)

import flatpoint

from ._source import Source

_FIELDS = ("state_dict_metadata", "planner_data", "storage_data", "storage_meta", "version")
_TUPLE = 1  # SequenceType of the schema


def _torch_object(name: str, kind: str) -> Any:
    value = getattr(torch, name, None)
    if value is None:
        message = f"torch {torch.__version__} has no {kind} {name!r}"
        raise flatpoint.Error(flatpoint.ErrorCode.INVALID_ARGUMENT, message)
    return value


def _properties(tensor: flatpoint.Tensor) -> TensorProperties:
    dtype, layout, requires_grad, memory_format, pin_memory, strides = tensor.properties
    return TensorProperties(
        _torch_object(dtype, "dtype"),
        _torch_object(layout, "layout"),
        requires_grad,
        _torch_object(memory_format, "memory_format"),
        pin_memory,
        *((strides,) if hasattr(TensorProperties, "strides") else ()),  # since torch 2.15
    )


def _chunk(chunk: flatpoint.Chunk) -> ChunkStorageMetadata:
    return ChunkStorageMetadata(torch.Size(chunk.offsets), torch.Size(chunk.sizes))


class LazyChunks(Sequence):
    """TensorStorageMetadata.chunks. Pickled as the list that it stands for."""

    def __init__(self, tensor: flatpoint.Tensor):
        self._chunks = tensor.chunks
        self._made: list[ChunkStorageMetadata] | None = None

    def _list(self) -> list[ChunkStorageMetadata]:
        """Who looks at all chunks, as torch's planner does, does so several times."""
        if self._made is None:
            self._made = [_chunk(chunk) for chunk in self._chunks]
        return self._made

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, index):
        if self._made is None and isinstance(index, int):
            return _chunk(self._chunks[index])
        return self._list()[index]

    def __iter__(self) -> Iterator[ChunkStorageMetadata]:
        return iter(self._list())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (list, LazyChunks)):
            return len(self) == len(other) and self._list() == list(other)
        return NotImplemented

    __hash__ = None

    def __reduce__(self):
        return list, (self._list(),)

    def __repr__(self) -> str:
        return repr(self._list())


class LazyMapping(Mapping):
    """One of Metadata's dictionaries, read-only. Pickled as the place of its file."""

    def __init__(self, source: Source):
        self._source = source

    def __reduce__(self):
        return type(self), (self._source,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source.path!r})"


class StateDictMetadata(LazyMapping):
    """FQN -> TensorStorageMetadata or BytesStorageMetadata; an object of a foreign class stays a flatpoint.Opaque.

    A value is made once, so that what is assigned to its attributes stays.
    """

    def __init__(self, source: Source):
        super().__init__(source)
        self._values: dict[str, Any] = {}

    def __getitem__(self, fqn: str) -> Any:
        value = self._values.get(fqn)
        if value is None:
            value = self._values[fqn] = self._make(self._source.checkpoint[fqn])
        return value

    @staticmethod
    def _make(entry: flatpoint.Tensor | flatpoint.Bytes | flatpoint.Opaque) -> Any:
        if isinstance(entry, flatpoint.Tensor):
            return TensorStorageMetadata(_properties(entry), torch.Size(entry.shape), LazyChunks(entry))
        return BytesStorageMetadata() if isinstance(entry, flatpoint.Bytes) else entry

    def __contains__(self, fqn: object) -> bool:
        return fqn in self._source.checkpoint

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.checkpoint)

    def __len__(self) -> int:
        return len(self._source.checkpoint)


class StorageData(LazyMapping):
    """MetadataIndex -> _StorageInfo."""

    def _find(self, index: object) -> flatpoint.StorageInfo | None:
        return self._source.checkpoint.find(index.fqn, index.offset) if isinstance(index, MetadataIndex) else None

    def __getitem__(self, index: MetadataIndex) -> _StorageInfo:
        found = self._find(index)
        if found is None:
            raise KeyError(index)
        path, offset, length, transforms = found
        if transforms is None:
            return _StorageInfo(path, offset, length)
        if not hasattr(_StorageInfo, "transform_descriptors"):  # before torch 2.7
            message = f"{path}: torch {torch.__version__} cannot undo the transforms {', '.join(transforms)}"
            raise flatpoint.Error(flatpoint.ErrorCode.INVALID_ARGUMENT, message)
        return _StorageInfo(path, offset, length, transforms if self._has_tuples() else list(transforms))

    def _has_tuples(self) -> bool:
        lists = memoryview(self._source.checkpoint._column("transform_lists")).tobytes()
        return lists[4:5] == bytes([_TUPLE])

    def __contains__(self, index: object) -> bool:
        return self._find(index) is not None

    def __iter__(self) -> Iterator[MetadataIndex]:
        return (MetadataIndex(*key) for key in self._source.checkpoint._storage_keys())

    def __len__(self) -> int:
        return len(self._source.checkpoint._storage_keys())


class PlannerData(LazyMapping):
    """FQN -> path of keys and positions."""

    def __getitem__(self, fqn: str) -> tuple[str | int, ...]:
        path = self._source.checkpoint.planner_path(fqn) if isinstance(fqn, str) else None
        if path is None:
            raise KeyError(fqn)
        return path

    def __iter__(self) -> Iterator[str]:
        return iter(self._source.checkpoint._planner_fqns())

    def __len__(self) -> int:
        return len(self._source.checkpoint._planner_fqns())


class ComparableMetadata(Metadata):
    """Equal to any Metadata that says the same."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metadata):
            return NotImplemented
        return all(getattr(self, name, None) == getattr(other, name, None) for name in _FIELDS)

    __hash__ = None


class FileMetadata(ComparableMetadata):
    """Metadata whose dictionaries are read from a flatpoint file, or from a `.metadata` that was imported, when torch asks
    for a key. It equals what unpickling the `.metadata` gives, and is pickled as the place of the file.

    What flatpoint keeps as opaque pickles is not unpickled: `opaque` holds it (attributes that others attached, foreign
    objects in the dictionaries).
    """

    opaque: tuple[flatpoint.OpaqueRecord, ...]


def _storage_meta(meta: flatpoint.StorageMeta | None) -> StorageMeta | None:
    if meta is None:
        return None
    checkpoint_id: Any = meta.checkpoint_id
    if checkpoint_id is not None and meta.checkpoint_id_type not in (None, "str"):
        checkpoint_id = getattr(pathlib, _PATHS[meta.checkpoint_id_type])(checkpoint_id)
    made = StorageMeta(checkpoint_id, meta.save_id, meta.load_id)
    if "modules" in StorageMeta.__dataclass_fields__:  # since torch 2.8
        made.modules = list(meta.modules or ())
    return made


# A path of the other kind of system can be held, not made.
_PATHS = {
    "PosixPath": pathlib.Path().__class__.__name__.replace("Windows", "PurePosix"),
    "WindowsPath": "PureWindowsPath",
    "PurePosixPath": "PurePosixPath",
    "PureWindowsPath": "PureWindowsPath",
}


def make_metadata(source: Source) -> FileMetadata:
    checkpoint = source.checkpoint
    metadata = FileMetadata(
        StateDictMetadata(source),
        PlannerData(source) if checkpoint._has_planner_data else None,
        StorageData(source) if checkpoint._has_storage_data else None,
        _storage_meta(checkpoint.storage_meta),
    )
    metadata.version = checkpoint.version  # a field since torch 2.9
    metadata.opaque = checkpoint.opaque
    return metadata
