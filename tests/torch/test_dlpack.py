"""flatpoint/dlpack.hpp on capsules that NumPy and torch make, and on every type code."""

import ctypes
import itertools
import json
import warnings

import numpy
import pytest
import torch
from conftest import built

DTYPES = sorted({value for value in vars(torch).values() if isinstance(value, torch.dtype)}, key=str)


class DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("dtype", DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class Managed(ctypes.Structure):
    _fields_ = [("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p)]


class Versioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", Tensor),
    ]


python = ctypes.pythonapi
python.PyCapsule_New.restype = ctypes.py_object
python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
python.PyCapsule_GetName.restype = ctypes.c_char_p
python.PyCapsule_GetName.argtypes = [ctypes.py_object]
python.PyCapsule_GetPointer.restype = ctypes.c_void_p
python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


@pytest.fixture(scope="session")
def describe():
    module = ctypes.CDLL(built("torch_dlpack.so"))

    def run(capsule):
        name = python.PyCapsule_GetName(capsule)
        function = {b"dltensor": module.describe_dltensor, b"dltensor_versioned": module.describe_dltensor_versioned}[name]
        text = ctypes.create_string_buffer(4096)
        function(ctypes.c_void_p(python.PyCapsule_GetPointer(capsule, name)), text, ctypes.c_size_t(len(text)))
        return json.loads(text.value)

    return run


def expected(tensor):
    """What torch says of the tensor that its from_dlpack makes."""
    size = list(tensor.size())
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "layout": "strided",
        "requires_grad": False,
        "memory_format": "contiguous_format",
        "pin_memory": False,
        "strides": list(tensor.stride()),
        "size": size,
        "chunks": [[[0] * len(size), size]],
    }


def hands_out(dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(torch.empty(1, dtype=dtype).__dlpack__())
        except BufferError:  # bits, quantized types, bcomplex32
            return False


HANDED_OUT = [dtype for dtype in DTYPES if hands_out(dtype)]


def test_torch_hands_out_most_dtypes():
    assert len(HANDED_OUT) > 30


@pytest.mark.parametrize("dtype", HANDED_OUT, ids=str)
@pytest.mark.parametrize("version", [None, (1, 0)])
@pytest.mark.filterwarnings("ignore")
def test_torch_tensors(describe, dtype, version):
    tensor = torch.empty((4, 3), dtype=dtype).t()
    back = torch.utils.dlpack.from_dlpack(tensor.__dlpack__(max_version=version))
    assert describe(tensor.__dlpack__(max_version=version)) == expected(back)


@pytest.mark.parametrize("code", "?bhilqBHILQefdFD")
@pytest.mark.parametrize("version", [None, (1, 0)])
def test_numpy_arrays(describe, code, version):
    array = numpy.zeros((4, 5, 6), dtype=code)[::2, :, 1::3].transpose(2, 0, 1)
    assert describe(array.__dlpack__(max_version=version)) == expected(torch.from_dlpack(array))


@pytest.mark.parametrize("array", [numpy.zeros(()), numpy.zeros((3, 0, 2)), numpy.zeros((1,) * 12)])
def test_numpy_shapes(describe, array):
    assert describe(array.__dlpack__()) == expected(torch.from_dlpack(array))


def test_negative_strides_are_refused_as_by_torch(describe):
    array = numpy.zeros(5)[::-1]
    with pytest.raises(RuntimeError):
        torch.from_dlpack(array)
    assert describe(array.__dlpack__()) == {"error": "negative strides: [-1]"}


def of_type(code, bits, lanes, version=None):
    """A capsule of one element, and what keeps it alive."""
    memory = ctypes.create_string_buffer(64)
    shape, strides = (ctypes.c_int64 * 1)(1), (ctypes.c_int64 * 1)(1)
    tensor = Tensor(ctypes.addressof(memory), 1, 0, 1, DataType(code, bits, lanes), shape, strides, 0)
    if version is None:
        managed, name = Managed(tensor, None, None), b"dltensor"
    else:
        managed, name = Versioned(*version, None, None, 0, tensor), b"dltensor_versioned"
    return python.PyCapsule_New(ctypes.addressof(managed), name, None), (memory, shape, strides, managed, name)


def from_dlpack(capsule):
    """The dtype that torch makes of a capsule; None where it refuses."""
    try:
        return str(torch.utils.dlpack.from_dlpack(capsule).dtype).removeprefix("torch.")
    except (RuntimeError, BufferError):
        return None


def test_every_type_code(answer):
    types = list(itertools.product(range(20), (1, 2, 4, 6, 8, 16, 24, 32, 64, 80, 128, 255), (0, 1, 2, 4)))
    taken = []
    for code, bits, lanes in types:
        capsule, alive = of_type(code, bits, lanes)
        taken.append(from_dlpack(capsule))
        del capsule, alive
    assert sum(dtype is not None for dtype in taken) > 20
    assert answer([["dlpack_dtype", *each] for each in types]) == taken


@pytest.mark.parametrize("version", [(1, 0), (1, 1), (1, 99), (2, 0), (7, 1)])
def test_versions(describe, version):
    ours, alive = of_type(2, 32, 1, version)
    theirs, alive_too = of_type(2, 32, 1, version)
    assert ("error" not in describe(ours)) == (from_dlpack(theirs) is not None)
