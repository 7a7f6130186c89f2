"""The bytes of tensors as arrays of NumPy and tensors of PyTorch, and plain values."""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import _core
from ._errors import DtypeError, Error, ErrorCode
from ._index import Box, Index, box_of, check_subscript

if TYPE_CHECKING:
    import numpy
    import torch

# What NumPy has itself. torch's names, and NumPy's.
_NUMPY = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128", "bool")
_NUMPY += ("uint16", "uint32", "uint64")
# What the package ml_dtypes adds, with the same bits in the same number of bytes.
_ML_DTYPES = ("bfloat16", "float8_e5m2", "float8_e4m3fn", "float8_e5m2fnuz", "float8_e4m3fnuz", "float8_e8m0fnu")
_BITS = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64", 16: "V16"}


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("arrays need NumPy: pip install numpy", name="numpy") from error
    return numpy


def numpy_dtype(fqn: str, dtype: str, itemsize: int | None, *, bits: bool = False) -> numpy.dtype:
    """NumPy's dtype for torch's name of one. `bits`: unsigned integers of the same width instead."""
    numpy = _numpy()
    way_out = "take its bits as unsigned integers with bits=True" if itemsize else "read its item as it lies in its file"
    if bits and itemsize in _BITS:
        return numpy.dtype(_BITS[itemsize])
    if dtype in _NUMPY:
        return numpy.dtype(dtype)
    if dtype not in _ML_DTYPES:
        raise DtypeError(ErrorCode.INVALID_ARGUMENT, f"FQN {fqn!r}: NumPy has no {dtype}; {way_out}")
    try:
        import ml_dtypes

        return numpy.dtype(getattr(ml_dtypes, dtype))
    except (ImportError, AttributeError):
        message = f"FQN {fqn!r}: NumPy has {dtype} through a recent ml_dtypes alone: pip install ml_dtypes, or {way_out}"
        raise DtypeError(ErrorCode.INVALID_ARGUMENT, message) from None


def torch_dtype(fqn: str, dtype: str) -> torch.dtype:
    import torch

    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype):
        raise DtypeError(ErrorCode.INVALID_ARGUMENT, f"FQN {fqn!r}: torch {torch.__version__} has no {dtype}")
    return found


def to_numpy(self: _core.Tensor, index: Index = None, *, bits: bool = False, threads: int = 0, verify: bool = False) -> numpy.ndarray:
    """The tensor as an array of NumPy, or the part that `index` names: `numpy((slice(0, 4), 2))` is `self[0:4, 2]`.

    bfloat16 and float8 need the package ml_dtypes; `bits=True` gives any dtype as unsigned integers of its width. Nothing
    is run, nothing but the elements that are asked for is read (with steps in a slice: what lies between them too).
    `verify` checks the checksums of every chunk that is touched, which reads all of it. `threads`: 0 chooses.

    Raises Error (HOLES, NOT_PLAIN, CHANGED, TRUNCATED, ...: docs/data.md) with FQN, file and place; DtypeError, a
    TypeError; IndexError, TypeError for an index.
    """
    box = box_of(self.fqn, self.shape, index)
    array = _numpy().empty(box.sizes, numpy_dtype(self.fqn, self.dtype, self.itemsize, bits=bits))
    _core.read_boxes([(self, box.offsets, box.sizes, _address(array), None)], threads, verify)
    if box.steps:
        array = array[tuple(slice(None, None, step) for step in box.steps)].copy()
    return array.reshape(box.shape)


def to_torch(self: _core.Tensor, index: Index = None, *, threads: int = 0, verify: bool = False) -> torch.Tensor:
    """The tensor as one of PyTorch's in memory of its own, or the part that `index` names. Imports torch, which nothing
    else here does. Arguments and errors as `numpy` has them."""
    import torch

    box = box_of(self.fqn, self.shape, index)
    dtype = torch_dtype(self.fqn, self.dtype)
    tensor = torch.empty(box.sizes, dtype=dtype)
    _core.read_boxes([(self, box.offsets, box.sizes, tensor.data_ptr(), None)], threads, verify)
    if box.steps:
        tensor = tensor[tuple(slice(None, None, abs(step)) for step in box.steps)]
        reverse = [dimension for dimension, step in enumerate(box.steps) if step < 0]
        as_bits = dtype.itemsize in (1, 2, 4, 8)  # which torch flips whatever the dtype is
        bits = tensor.view(getattr(torch, f"int{8 * dtype.itemsize}")) if as_bits else tensor
        tensor = bits.flip(reverse).view(dtype)
    return tensor.reshape(box.shape)


def get_item(self: _core.Tensor, index: Index) -> numpy.ndarray:
    """`self[0:4, :]` reads that part alone, as an array of NumPy: ints, slices and `...`."""
    return to_numpy(self, check_subscript(self.fqn, index))


def to_array(self: _core.Tensor, dtype: Any = None, copy: bool | None = None) -> numpy.ndarray:
    """`numpy.asarray(tensor)`."""
    if copy is False:
        raise ValueError("a tensor of a checkpoint is always read into memory of its own")
    array = to_numpy(self)
    return array if dtype is None else array.astype(dtype, copy=False)


def read_into(self: _core.Tensor, out: Any, index: Index = None, *, threads: int = 0, verify: bool = False) -> None:
    """Read the tensor, or the part that `index` names, into memory that is there: an array of NumPy or a CPU tensor of
    PyTorch of the same dtype and shape, with any strides; or any writable buffer of as many bytes, which become the
    elements in row-major order.

    After an error the memory holds anything. Raises as `numpy` does; ValueError, TypeError where `out` does not fit.
    """
    _core.read_boxes([_request(self, box_of(self.fqn, self.shape, index), out)], threads, verify)


def read(
    self: _core.Checkpoint,
    wanted: Mapping[str, Index] | Iterable[str],
    out: Mapping[str, Any] | None = None,
    *,
    bits: bool = False,
    threads: int = 0,
    verify: bool = False,
) -> dict[str, Any]:
    """Read many tensors, or parts of them, in the order of their files: a mapping of FQN to an index, or FQNs alone
    (`checkpoint.read(checkpoint)` reads everything).

        checkpoint.read({"embed.weight": None, "head.weight": numpy.s_[0:4, :]}, out={"embed.weight": mine})

    An index is None (all of it), what `checkpoint[fqn][...]` takes, or a pair (offsets, sizes). The answer has what was
    read under each FQN: the memory of `out` where it has the FQN (what `Tensor.read_into` takes), else an array of NumPy;
    the value of a bytes item. Raises KeyError for an FQN that the checkpoint lacks, else as `Tensor.numpy` does; after an
    error the memory holds anything.
    """
    if isinstance(wanted, str):
        wanted = [wanted]
    if isinstance(wanted, Mapping) and not isinstance(wanted, _core.Checkpoint):
        indices = wanted
    else:
        indices = dict.fromkeys(wanted)
    out = {} if out is None else out
    for fqn in out:
        if fqn not in indices:
            raise ValueError(f"out has {fqn!r}, which is not asked for")
    answer: dict[str, Any] = {}
    requests, stepped = [], []
    for fqn, index in indices.items():
        entry = self[fqn]
        if not isinstance(entry, _core.Tensor):
            answer[fqn] = entry.value()
            continue
        box = box_of(fqn, entry.shape, index)
        if fqn in out:
            answer[fqn] = out[fqn]
        elif box.steps:
            stepped.append(fqn)
            answer[fqn] = None  # to keep the order
            continue
        else:
            answer[fqn] = _numpy().empty(box.shape, numpy_dtype(fqn, entry.dtype, entry.itemsize, bits=bits))
        requests.append(_request(entry, box, answer[fqn], bits=bits))
    _core.read_boxes(requests, threads, verify)
    for fqn in stepped:
        answer[fqn] = to_numpy(self[fqn], indices[fqn], bits=bits, threads=threads, verify=verify)
    return answer


def value(self: _core.Bytes) -> Any:
    """The object that was saved, where it is a plain value: numbers, str, bytes, None, and lists, tuples, sets and dicts of
    them (an OrderedDict is a dict, a torch.Size a tuple). Nothing of the item is run.

    Raises Error: NOT_PLAIN names the class of anything else; TRUNCATED, CHANGED, ... as `Tensor.numpy` does.
    """
    return _Literals(io.BytesIO(self._plain_pickle())).load()


class _Literals(pickle.Unpickler):
    """What the library writes has no names at all; nor would it find any."""

    def find_class(self, module: str, name: str) -> Any:
        raise Error(ErrorCode.NOT_PLAIN, f"not a plain value: {module}.{name}")


def _address(array: numpy.ndarray) -> int:
    return array.__array_interface__["data"][0]


def _request(tensor: _core.Tensor, box: Box, out: Any, *, bits: bool = False) -> tuple[Any, ...]:
    """What `read_boxes` takes, of memory that is there."""
    fqn = tensor.fqn
    if box.steps:
        raise ValueError(f"FQN {fqn!r}: a slice with a step is not read into memory that is there")
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if torch is not None and isinstance(out, torch.Tensor):
        strides = _strides_of_torch(torch, tensor, box, out)
        address = out.data_ptr()
    elif numpy is not None and isinstance(out, numpy.ndarray):
        strides = _strides_of_numpy(tensor, box, out, bits)
        address = _address(out)
    else:
        return (tensor, box.offsets, box.sizes, out, None)
    if any(stride == 0 and size > 1 for stride, size in zip(strides, box.shape)):
        raise ValueError(f"FQN {fqn!r}: elements of out share memory")
    given = iter(strides)
    return (tensor, box.offsets, box.sizes, address, tuple(next(given) if kept else 0 for kept in box.kept))


def _check_shape(fqn: str, box: Box, shape: tuple[int, ...]) -> None:
    if shape != box.shape:
        raise ValueError(f"FQN {fqn!r}: what is read has shape {box.shape}, out has {shape}")


def _strides_of_numpy(tensor: _core.Tensor, box: Box, out: numpy.ndarray, bits: bool) -> tuple[int, ...]:
    fqn = tensor.fqn
    _check_shape(fqn, box, out.shape)
    if not out.flags.writeable:
        raise ValueError(f"FQN {fqn!r}: out is read-only")
    if tensor.dtype in _NUMPY and not bits:
        fits = out.dtype == tensor.dtype
    else:
        fits = out.dtype.name == tensor.dtype or (out.dtype.kind in "uV" and out.dtype.itemsize == tensor.itemsize)
    if not fits:
        raise TypeError(f"FQN {fqn!r}: the checkpoint has {tensor.dtype}, out {out.dtype}")
    return out.strides


def _strides_of_torch(torch: Any, tensor: _core.Tensor, box: Box, out: torch.Tensor) -> tuple[int, ...]:
    fqn = tensor.fqn
    if out.layout is not torch.strided or out.device.type != "cpu" or out.is_conj() or out.is_neg():
        raise ValueError(f"FQN {fqn!r}: out is no plain tensor in the CPU's memory; read into one, and copy")
    _check_shape(fqn, box, tuple(out.shape))
    if str(out.dtype) != f"torch.{tensor.dtype}":
        raise TypeError(f"FQN {fqn!r}: the checkpoint has {tensor.dtype}, out {out.dtype}")
    return tuple(stride * out.element_size() for stride in out.stride())
