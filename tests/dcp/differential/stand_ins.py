"""Python's own unpickler on hostile pickles: DCP's classes are real, whatever else a pickle names is a stand-in."""

import _compat_pickle
import collections
import copyreg
import enum
import pathlib
import pickle

import numpy as np
import torch
import torch.distributed._shard.sharded_tensor.metadata as old_home
from torch.distributed.checkpoint import filesystem, metadata

_made = {}


def _stand_in(module, name):
    """A class that takes any arguments, any state and any items, and remembers them."""

    def make(cls, *args, **kwargs):
        value = object.__new__(cls)
        if args or kwargs:
            value.__dict__["args"] = (args, kwargs)
        return value

    def remember(self, *args):
        self.__dict__.setdefault("did", []).append(args)

    def set_state(self, state):
        for part in state if isinstance(state, tuple) else (state,):
            self.__dict__.update(part if isinstance(part, dict) else {"state": part})

    body = {
        "__new__": make,
        "__init__": lambda self, *args, **kwargs: None,
        "__call__": lambda self, *args, **kwargs: Call(self, args, kwargs),
        **dict.fromkeys(("__setitem__", "append", "extend", "add"), remember),
        "__setstate__": set_state,
        "__module__": module,
        "__qualname__": name,
    }
    return type(name.split(".")[-1] or "_", (), body)


class Call:
    def __init__(self, function, args, kwargs):
        self.made_by = (function, args, kwargs)


class UnknownType:
    """A dtype or layout of a later torch."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name

    def __eq__(self, other):
        return type(other) is UnknownType and other.name == self.name

    __hash__ = object.__hash__


def get_layout(name):
    try:
        return torch.serialization._get_layout(name)
    except KeyError:
        return UnknownType(name)


class Dtype:
    """In place of numpy's, which broken states crash."""

    def __init__(self, name, *flags):
        self.name, self.flags, self.state = name, flags, None

    def __setstate__(self, state):
        self.state = state


def make_scalar(dtype, data):
    kinds = {f"{kind}{size}": (f"{name}{8 * size}", size) for kind, name in (("i", "int"), ("u", "uint")) for size in (1, 2, 4, 8)}
    state = dtype.state
    is_plain = dtype.flags == (False, True) and len(state) == 8 and state[0] == 3 and state[2:5] == (None, None, None)
    name, size = kinds.get(dtype.name, ("", 0))
    if not is_plain or len(data) != size or state[1] not in ("<", "|"):
        return Call(make_scalar, (dtype, data), {})
    return getattr(np, name)(int.from_bytes(data, "little", signed=dtype.name[0] == "i"))


def get_attribute(of, name):
    if isinstance(of, type) and issubclass(of, enum.Enum) and name in of.__members__:
        return getattr(of, name)
    raise pickle.UnpicklingError("getattr of what is no enum")


_REAL = {
    **{("torch.distributed.checkpoint.metadata", n): getattr(metadata, n) for n in ("Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata", "TensorProperties", "_MEM_FORMAT_ENCODING", "MetadataIndex", "StorageMeta")},
    ("torch.distributed._shard.sharded_tensor.metadata", "TensorProperties"): old_home.TensorProperties,
    ("torch.distributed._shard.sharded_tensor.metadata", "MEM_FORMAT_ENCODING"): old_home.MEM_FORMAT_ENCODING,
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"): filesystem._StorageInfo,
    ("torch.distributed.checkpoint.filesystem", "MetadataIndex"): metadata.MetadataIndex,
    ("copyreg", "_reconstructor"): copyreg._reconstructor,
    ("copyreg", "__newobj__"): copyreg.__newobj__,
    ("numpy", "dtype"): Dtype,
    ("numpy._core.multiarray", "scalar"): make_scalar,
    ("numpy.core.multiarray", "scalar"): make_scalar,
    ("torch", "Size"): torch.Size,
    ("torch.serialization", "_get_layout"): get_layout,
    ("builtins", "getattr"): get_attribute,
    ("collections", "OrderedDict"): collections.OrderedDict,
    **{("builtins", t.__name__): t for t in (str, list, dict, set, frozenset, tuple, int, float, object, bytearray)},
    **{(m, n): getattr(pathlib, n) for m in ("pathlib", "pathlib._local") for n in ("PosixPath", "PurePosixPath", "PureWindowsPath")},
}  # fmt: skip


class Unpickler(pickle.Unpickler):
    """Finds names as Python does; it is asked for those of protocols 0 to 2 as they are written."""

    def find_class(self, module, name):
        if (module, name) in _compat_pickle.NAME_MAPPING:
            module, name = _compat_pickle.NAME_MAPPING[module, name]
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        if (module, name) in _REAL:
            return _REAL[module, name]
        if module == "torch":
            found = getattr(torch, name, None)
            return found if isinstance(found, torch.dtype) else UnknownType("torch." + name)
        if (module, name) not in _made:
            _made[module, name] = _stand_in(module, name)
        return _made[module, name]


# A pickle may change the members of an enumeration, which the whole process shares; the next one finds them as they were.
_MEMBERS = [(m, dict(vars(m))) for e in (metadata._MEM_FORMAT_ENCODING, old_home.MEM_FORMAT_ENCODING) for m in e]


def load(file):
    for member, attributes in _MEMBERS:
        vars(member).clear()
        vars(member).update(attributes)
    return Unpickler(file).load()
