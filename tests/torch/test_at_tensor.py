"""flatpoint/torch.hpp against Python's create_from_tensor, on the same tensors."""

import json
import subprocess

import pytest
import torch
from conftest import built
from torch.distributed.checkpoint.metadata import TensorProperties

DTYPES = sorted({value for value in vars(torch).values() if isinstance(value, torch.dtype)}, key=str)
DENSE = torch.eye(4)

TENSORS = {
    "scalar": lambda: torch.tensor(1.5),
    "empty": lambda: torch.empty(0, 3, 0),
    "requires_grad": lambda: torch.ones(2, 3, requires_grad=True),
    "parameter": lambda: torch.nn.Parameter(DENSE.clone()),
    "not_a_leaf": lambda: torch.ones(2, requires_grad=True) * 2,
    "channels_last": lambda: torch.empty(2, 3, 4, 5, memory_format=torch.channels_last),
    "channels_last_3d": lambda: torch.empty(2, 3, 4, 5, 6, memory_format=torch.channels_last_3d),
    "transposed": lambda: torch.empty(3, 5).t(),
    "expanded": lambda: torch.empty(1, 3).expand(5, 3),
    "sliced": lambda: torch.empty(10, 10)[2:8:3, 1::2],
    "as_strided": lambda: torch.empty(100).as_strided((3, 4), (7, 2), 5),
    "deep": lambda: torch.empty((1,) * 20 + (2,)),
    "conjugated": lambda: torch.ones(2, 3, dtype=torch.complex64).conj(),
    "negated": lambda: torch._neg_view(DENSE),
    "zero_tensor": lambda: torch._efficientzerotensor((2, 3)),
    "meta": lambda: torch.empty(3, 4, device="meta"),
    "quantized": lambda: torch.quantize_per_tensor(DENSE, 0.1, 0, torch.qint8),
    "quantized_per_channel": lambda: torch.quantize_per_channel(DENSE, torch.ones(4), torch.zeros(4), 0, torch.quint8),
    "sparse_coo": lambda: DENSE.to_sparse(),
    "sparse_coo_hybrid": lambda: torch.ones(2, 3, 4).to_sparse(1),
    "sparse_coo_scalar": lambda: torch.sparse_coo_tensor(torch.empty((0, 1), dtype=torch.int64), torch.ones(1), size=()),
    "sparse_csr": lambda: DENSE.to_sparse_csr(),
    "sparse_csc": lambda: DENSE.to_sparse_csc(),
    "sparse_bsr": lambda: DENSE.to_sparse_bsr((2, 2)),
    "sparse_bsc": lambda: DENSE.to_sparse_bsc((2, 2)),
    "mkldnn": lambda: DENSE.to_mkldnn(),
    "nested": lambda: torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)]),
}


@pytest.fixture(scope="session")
def describe():
    torch.ops.load_library(built("torch_at_tensor.so"))
    return lambda tensor: json.loads(torch.ops.flatpoint_test.describe(tensor))


def expected(tensor):
    """What Python's torch says, in the form of the test module."""
    try:
        properties = TensorProperties.create_from_tensor(tensor)
    except (RuntimeError, NotImplementedError) as error:
        return {"error": str(error)}
    size = list(tensor.size())
    return {
        "dtype": str(properties.dtype).removeprefix("torch."),
        "layout": str(properties.layout).removeprefix("torch."),
        "requires_grad": properties.requires_grad,
        "memory_format": str(properties.memory_format).removeprefix("torch."),
        "pin_memory": properties.pin_memory,
        "strides": list(properties.strides),
        "size": size,
        "chunks": [[[0] * len(size), size]],
    }


def test_a_program_without_python():
    done = subprocess.run([built("test_at_tensor")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_every_dtype(describe, dtype):
    tensor = torch.empty((2, 3), dtype=dtype)
    assert describe(tensor) == expected(tensor)


@pytest.mark.parametrize("name", TENSORS)
@pytest.mark.filterwarnings("ignore")
def test_tensor(describe, name):
    tensor = TENSORS[name]()
    assert describe(tensor) == expected(tensor)


def test_refusals_are_among_the_cases():
    errors = {name: expected(make())["error"] for name, make in TENSORS.items() if "error" in expected(make())}
    assert sorted(errors) == ["mkldnn", "nested", "sparse_bsc", "sparse_bsr", "sparse_csc", "sparse_csr"]


def test_jagged_strides_cannot_be_kept(describe):
    tensor = torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(4, 3)], layout=torch.jagged)
    assert not all(isinstance(stride, int) for stride in TensorProperties.create_from_tensor(tensor).strides)
    assert "error" in describe(tensor)
