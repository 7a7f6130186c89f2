"""Metadata's dictionaries over a file: read when torch asks for a key, dictionaries from the first change on."""

from __future__ import annotations

import collections
from collections.abc import ItemsView, Iterator, KeysView, Mapping, MutableMapping, ValuesView
from typing import Any

import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

import flatpoint

from ._source import Source

_HAS_TRANSFORMS = "transform_descriptors" in _StorageInfo.__dataclass_fields__  # since torch 2.7


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


def _tensor(tensor: flatpoint.Tensor) -> TensorStorageMetadata:
    size = torch.Size
    chunks = [ChunkStorageMetadata(size(offsets), size(sizes)) for offsets, sizes in tensor._boxes()]
    return TensorStorageMetadata(_properties(tensor), size(tensor.shape), chunks)


def _storage_info(path: str, offset: int, length: int, transforms: tuple[str, ...] | list[str] | None) -> _StorageInfo:
    if transforms is None:
        return _StorageInfo(path, offset, length)
    if not _HAS_TRANSFORMS:
        message = f"{path}: torch {torch.__version__} cannot undo the transforms {', '.join(transforms)}"
        raise flatpoint.Error(flatpoint.ErrorCode.INVALID_ARGUMENT, message)
    return _StorageInfo(path, offset, length, transforms)


class FileMapping(MutableMapping):
    """One of Metadata's dictionaries. A key is looked up in the file; who walks all values, or changes something, gets a
    dictionary that is made once and takes the file's place. Values are DCP's own objects, and each is made once, so that
    what is assigned to its attributes stays.

    Pickled as an OrderedDict, which needs no flatpoint to be read.
    """

    def __init__(self, source: Source):
        self._source = source
        self._made: dict[Any, Any] = {}  # values that were asked for one by one
        self._whole: dict[Any, Any] | None = None
        self.changed = False
        """Whether a key was set or removed."""

    def _find(self, key: Any) -> Any:
        """The value in the file; raises KeyError."""
        raise NotImplementedError

    def _items(self) -> Iterator[tuple[Any, Any]]:
        """Everything in the file, in the dictionary's order."""
        raise NotImplementedError

    def _keys(self) -> Iterator[Any]:
        raise NotImplementedError

    def _dict(self) -> dict[Any, Any]:
        if self._whole is None:
            whole = dict(self._items())
            whole.update(self._made)
            self._whole = whole
        return self._whole

    def __getitem__(self, key: Any) -> Any:
        if self._whole is not None:
            return self._whole[key]
        value = self._made.get(key)
        if value is None:
            value = self._made[key] = self._find(key)
        return value

    def __setitem__(self, key: Any, value: Any) -> None:
        self._dict()[key] = value
        self.changed = True

    def __delitem__(self, key: Any) -> None:
        del self._dict()[key]
        self.changed = True

    def popitem(self) -> tuple[Any, Any]:
        """The last one, as of a dictionary."""
        item = self._dict().popitem()
        self.changed = True
        return item

    def __iter__(self) -> Iterator[Any]:
        return iter(self._whole) if self._whole is not None else iter(self._keys())

    def __len__(self) -> int:
        return len(self._dict())

    def keys(self) -> KeysView:
        return KeysView(self) if self._whole is None else self._whole.keys()

    def values(self) -> ValuesView:
        return self._dict().values()

    def items(self) -> ItemsView:
        return self._dict().items()

    def copy(self) -> dict[Any, Any]:
        return dict(self._dict())

    def __reversed__(self) -> Iterator[Any]:
        return reversed(self._dict())

    def __or__(self, other: Any) -> dict[Any, Any]:
        return {**self._dict(), **other} if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Any) -> dict[Any, Any]:
        return {**other, **self._dict()} if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Any) -> FileMapping:
        self.update(other)
        return self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FileMapping):
            return self._dict() == other._dict()
        return self._dict() == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None

    def __reduce__(self):
        return collections.OrderedDict, (), None, None, iter(self._dict().items())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source.path!r})" if self._whole is None else repr(self._whole)


class StateDictMetadata(FileMapping):
    """FQN -> TensorStorageMetadata or BytesStorageMetadata; an object of a foreign class stays a flatpoint.Opaque."""

    def _find(self, key: Any) -> Any:
        return self._make(self._source.checkpoint[key]) if isinstance(key, str) else self._absent(key)

    @staticmethod
    def _absent(key: Any) -> Any:
        raise KeyError(key)

    @staticmethod
    def _make(entry: flatpoint.Tensor | flatpoint.Bytes | flatpoint.Opaque) -> Any:
        if isinstance(entry, flatpoint.Tensor):
            return _tensor(entry)
        return BytesStorageMetadata() if isinstance(entry, flatpoint.Bytes) else entry

    def _items(self) -> Iterator[tuple[str, Any]]:
        checkpoint, made = self._source.checkpoint, self._made
        return ((fqn, made[fqn] if fqn in made else self._make(checkpoint[fqn])) for fqn in checkpoint)

    def _keys(self) -> Iterator[str]:
        return iter(self._source.checkpoint)

    def __contains__(self, key: object) -> bool:
        return key in (self._source.checkpoint if self._whole is None else self._whole)

    def __len__(self) -> int:
        return len(self._source.checkpoint if self._whole is None else self._whole)

    def is_of_the_file(self) -> bool:
        """Whether nothing was changed, sizes of values included, so that a plan may be made from the file."""
        values = self._made if self._whole is None else self._whole
        tensors = ((fqn, value) for fqn, value in values.items() if isinstance(value, TensorStorageMetadata))
        return not self.changed and all(value.size == self._source.checkpoint[fqn].shape for fqn, value in tensors)


class StorageData(FileMapping):
    """MetadataIndex -> _StorageInfo."""

    def _find(self, key: Any) -> _StorageInfo:
        found = self._source.checkpoint.find(key.fqn, key.offset) if isinstance(key, MetadataIndex) else None
        if found is None:
            raise KeyError(key)
        if found.transform_descriptors is not None:  # lists and tuples of them are told apart by row
            return self._dict()[key]
        return _storage_info(*found)

    def is_of_the_file(self, key: MetadataIndex) -> bool:
        """Whether nobody changed a key's value."""
        value = (self._made if self._whole is None else self._whole).get(key)
        if value is None:
            return self._whole is None
        found = self._source.checkpoint.find(key.fqn, key.offset)
        if found is None:
            return False
        transforms = getattr(value, "transform_descriptors", None)
        return (value.relative_path, value.offset, value.length, list(transforms or ())) == (*found[:3], list(found[3] or ()))

    def _items(self) -> Iterator[tuple[MetadataIndex, _StorageInfo]]:
        return ((MetadataIndex(*key), _storage_info(*info)) for key, info in self._source.checkpoint._storage_items())

    def _keys(self) -> Iterator[MetadataIndex]:
        return iter(self._dict())

    def __contains__(self, key: object) -> bool:
        if self._whole is not None:
            return key in self._whole
        return isinstance(key, MetadataIndex) and self._source.checkpoint.find(key.fqn, key.offset) is not None


class PlannerData(FileMapping):
    """FQN -> path of keys and positions."""

    def _find(self, key: Any) -> tuple[str | int, ...]:
        path = self._source.checkpoint.planner_path(key) if isinstance(key, str) else None
        if path is None:
            raise KeyError(key)
        return path

    def _items(self) -> Iterator[tuple[str, tuple[str | int, ...]]]:
        checkpoint = self._source.checkpoint
        return ((fqn, checkpoint.planner_path(fqn)) for fqn in checkpoint._planner_fqns())

    def _keys(self) -> Iterator[str]:
        return iter(self._source.checkpoint._planner_fqns())
