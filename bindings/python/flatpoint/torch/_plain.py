"""Pickles of DCP's own values, built without running anything that they name.

Unpickling makes nothing but nodes of classes that were made for this one pickle: whatever it does to them (BUILD, SETITEMS,
calls) changes nothing that anybody else sees. What the nodes say is then compared with a closed list, and only the forms
that the list holds become torch's objects.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch
from torch.distributed.checkpoint import filesystem, metadata, planner
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, MetadataIndex, TensorProperties

_DEPTH = 64


class _Refused(Exception):
    pass


class _Node:
    """What a name of the pickle stands for, or a call of it."""

    place: tuple[str, str]

    def __new__(cls, *arguments: Any, **named: Any) -> _Node:
        node = super().__new__(cls)
        node.arguments = arguments
        node.states = []
        if named:
            raise _Refused(f"{'.'.join(cls.place)} with names of arguments")
        return node

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.states.append(state)


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Node]:
        if (module, name) not in _BUILDERS and not _is_constant(module, name):
            raise _Refused(f"{module}.{name}")
        return type("_Node", (_Node,), {"place": (module, name)})

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a persistent id")


def _is_constant(module: str, name: str) -> bool:
    return module == "torch" and isinstance(getattr(torch, name, None), (torch.dtype, torch.memory_format))


def build(data: bytes, what: str) -> Any:
    """The value of a pickle; raises AttributeError where it holds anything but DCP's own plain values."""
    try:
        return _build(_Reader(io.BytesIO(data)).load(), 0, {})
    except Exception as error:  # whatever unpickling nodes can raise: the pickle is not of the list
        raise AttributeError(f"{what!r} is kept as an opaque pickle (`opaque`): {error or type(error).__name__}") from None


def _build(value: Any, depth: int, known: dict[int, Any]) -> Any:
    if depth > _DEPTH:
        raise _Refused("values inside each other without end")
    kind = type(value)
    if value is None or kind in (bool, int, float, str, bytes):
        return value
    if id(value) in known:
        return known[id(value)]
    if kind in (list, tuple):
        made = kind(_build(each, depth + 1, known) for each in value)
    elif kind is dict:
        made = {_build(key, depth + 1, known): _build(each, depth + 1, known) for key, each in value.items()}
    elif isinstance(value, type) and issubclass(value, _Node):
        if not _is_constant(*value.place):
            raise _Refused(f"{'.'.join(value.place)} itself")
        made = getattr(torch, value.place[1])
    elif isinstance(value, _Node):
        arguments = [_build(each, depth + 1, known) for each in value.arguments]
        states = [_build(each, depth + 1, known) for each in value.states]
        made = _BUILDERS[value.place](arguments, states)
    else:
        raise _Refused(f"a {kind.__name__}")
    known[id(value)] = made
    return made


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise _Refused(f"another form of {what}")


def _dataclass(cls: type) -> Any:
    fields = set(cls.__dataclass_fields__)

    def make(arguments: list[Any], states: list[Any]) -> Any:
        _require(not arguments and len(states) <= 1, cls.__name__)
        state = states[0] if states else {}
        _require(type(state) is dict and fields.issuperset(state), cls.__name__)
        made = cls.__new__(cls)
        made.__dict__.update(state)
        return made

    return make


def _called(call: Any, *types: type) -> Any:
    def make(arguments: list[Any], states: list[Any]) -> Any:
        _require(not states and [type(each) for each in arguments] == list(types), call.__name__)
        return call(*arguments)

    return make


def _size(arguments: list[Any], states: list[Any]) -> torch.Size:
    _require(not states and len(arguments) == 1 and type(arguments[0]) in (tuple, list), "torch.Size")
    _require(all(type(each) is int for each in arguments[0]), "torch.Size")
    return torch.Size(arguments[0])


def _layout(arguments: list[Any], states: list[Any]) -> torch.layout:
    _require(not states and len(arguments) == 1 and type(arguments[0]) is str, "torch.layout")
    layout = getattr(torch, arguments[0].removeprefix("torch."), None)
    _require(isinstance(layout, torch.layout), "torch.layout")
    return layout


def _tensor_properties(arguments: list[Any], states: list[Any]) -> TensorProperties:
    _require(not arguments and len(states) == 1 and type(states[0]) is tuple, "TensorProperties")
    _require(isinstance(states[0][3], _MEM_FORMAT_ENCODING), "TensorProperties")
    made = TensorProperties.__new__(TensorProperties)
    made.__setstate__(states[0])
    return made


_METADATA = ("TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata", "StorageMeta")
_PLANNER = ("SavePlan", "LoadPlan", "WriteItem", "ReadItem", "TensorWriteData", "BytesIOWriteData")
_FILESYSTEM = ("_StorageInfo", "_StoragePrefix")
_BUILDERS = {
    ("torch", "Size"): _size,
    ("torch.serialization", "_get_layout"): _layout,
    (metadata.__name__, "TensorProperties"): _tensor_properties,
    (metadata.__name__, "_MEM_FORMAT_ENCODING"): _called(_MEM_FORMAT_ENCODING, int),
    (metadata.__name__, "MetadataIndex"): _dataclass(MetadataIndex),
    (planner.__name__, "WriteItemType"): _called(planner.WriteItemType, int),
    (planner.__name__, "LoadItemType"): _called(planner.LoadItemType, int),
    **{
        (module.__name__, name): _dataclass(getattr(module, name))
        for module, names in ((metadata, _METADATA), (planner, _PLANNER), (filesystem, _FILESYSTEM))
        for name in names
        if hasattr(module, name)
    },
}
