"""A checkpoint as safetensors shows a file."""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _core
from ._data import to_numpy, to_torch
from ._errors import Error, ErrorCode, NotFoundError
from ._index import check_subscript

if TYPE_CHECKING:
    from ._index import Index

_FRAMEWORKS = {"np": to_numpy, "numpy": to_numpy, "pt": to_torch, "torch": to_torch, "pytorch": to_torch}
# torch's names, and those of the format safetensors.
_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "complex64": "C64",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "float4_e2m1fn_x2": "F4",
}


class safe_open:
    """A checkpoint in the place of a safetensors file, for code that is written for `safetensors.safe_open`:

        with flatpoint.safe_open("ckpt/", framework="pt") as f:
            for name in f.keys():
                rows = f.get_slice(name)[0:4]

    The tensors alone are shown; what was saved as bytes is `checkpoint[fqn].value()` of `flatpoint.open`. Frameworks are
    "np" and "pt"; `device` is where tensors of PyTorch go.
    """

    def __init__(self, path: str | os.PathLike[str], framework: str = "np", device: Any = "cpu", **options: Any):
        if framework not in _FRAMEWORKS:
            raise ValueError(f"no framework {framework!r}: there are {', '.join(_FRAMEWORKS)}")
        self._convert = _FRAMEWORKS[framework]
        self._device = None if str(device) == "cpu" else device
        if self._device is not None and self._convert is to_numpy:
            raise ValueError(f"arrays of NumPy are in the CPU's memory, not on {device!r}; framework='pt' takes a device")
        self._checkpoint = _core.open(path, **options)

    def keys(self) -> list[str]:
        """FQNs of the tensors, sorted."""
        return [fqn for fqn in self._checkpoint.prefix("") if isinstance(self._checkpoint[fqn], _core.Tensor)]

    def offset_keys(self) -> list[str]:
        """FQNs of the tensors, by file and offset of their first chunks: the order that reads fastest."""
        files = {name: number for number, name in enumerate(self._checkpoint.files)}

        def place(fqn: str) -> tuple[int, int]:
            chunks = self._checkpoint[fqn].chunks
            storage = chunks[0].storage if len(chunks) else None
            return (len(files), 0) if storage is None else (files[storage.relative_path], storage.byte_offset)

        return sorted(self.keys(), key=place)

    def metadata(self) -> dict[str, str] | None:
        """What safetensors keeps beside the tensors: here nothing."""
        return None

    def get_tensor(self, name: str) -> Any:
        """All of a tensor. Raises Error, NOT_FOUND for a name that is no tensor's."""
        return self._read(self._tensor(name), None)

    def get_tensors(self) -> dict[str, Any]:
        """Every tensor."""
        return {name: self.get_tensor(name) for name in self.offset_keys()}

    def get_slice(self, name: str) -> Slice:
        """A tensor that is read where it is indexed."""
        return Slice(self, self._tensor(name))

    def __enter__(self) -> safe_open:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None:
        self._checkpoint.close()

    def __repr__(self) -> str:
        return f"safe_open({self._checkpoint!r})"

    def _tensor(self, name: str) -> _core.Tensor:
        entry = self._checkpoint.get(name)
        if entry is None:
            raise NotFoundError(ErrorCode.NOT_FOUND, f"{self._checkpoint.path} has no FQN {name!r}")
        if not isinstance(entry, _core.Tensor):
            raise Error(ErrorCode.NOT_PLAIN, f"FQN {name!r} is no tensor; open() has its value")
        return entry

    def _read(self, tensor: _core.Tensor, index: Index) -> Any:
        made = self._convert(tensor, index)
        return made if self._device is None else made.to(self._device)


class Slice:
    """What `safe_open.get_slice` gives."""

    def __init__(self, opened: safe_open, tensor: _core.Tensor):
        self._opened, self._tensor = opened, tensor

    def get_shape(self) -> list[int]:
        """Elements per dimension."""
        return list(self._tensor.shape)

    def get_dtype(self) -> str:
        """As safetensors writes it, "BF16"; torch's name of a dtype that safetensors lacks."""
        return _DTYPES.get(self._tensor.dtype, self._tensor.dtype)

    def __getitem__(self, index: Index) -> Any:
        """That part alone: ints, slices and `...`."""
        return self._opened._read(self._tensor, check_subscript(self._tensor.fqn, index))

    def __repr__(self) -> str:
        return f"Slice({self._tensor!r})"
