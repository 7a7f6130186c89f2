"""Tensors that torch saved, of every dtype and layout, read back without it and into its memory."""

import pickle
import random
import subprocess
import sys
import threading

import flatpoint
import numpy
import pytest
import torch
import torch.distributed.checkpoint as dcp
from conftest import TORCH
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

NAMES = "uint8 int8 int16 int32 int64 float16 float32 float64 bfloat16 bool complex32 complex64 complex128".split()
NAMES += "uint16 uint32 uint64 float8_e5m2 float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz".split()
NAMES += ["float8_e8m0fnu"] if TORCH >= (2, 7) else []


def bits(tensor):
    """Bytes of the elements, row-major; NaNs included."""
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype)
    return flat.copy_(tensor.detach().reshape(-1)).view(torch.uint8).numpy().tobytes()


def random_tensor(dice, dtype):
    shape = [dice.randrange(0, 6) for _ in range(dice.randrange(0, 4))]
    count = numpy.prod(shape, dtype=int)
    raw = torch.tensor([dice.randrange(2 if dtype is torch.bool else 256) for _ in range(count * dtype.itemsize)], dtype=torch.uint8)
    tensor = raw.view(dtype).reshape(shape)
    views = [lambda t: t.transpose(0, -1), lambda t: t[::2], lambda t: t[..., 1:], lambda t: t[:1].expand(3 if len(t) else 0, *t.shape[1:])]
    for view in dice.sample(views, 2):
        if tensor.dim() and dice.randrange(3) == 0:
            tensor = view(tensor)
    return tensor


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder, dice = tmp_path_factory.mktemp("saved"), random.Random(17)
    state = {f"{name}.{i}": random_tensor(dice, getattr(torch, name)) for name in NAMES for i in range(6)}
    dcp.save(state, storage_writer=dcp.FileSystemWriter(folder, single_file_per_rank=True), no_dist=True)
    return folder, state


def test_torch_gets_back_what_it_saved(saved):
    folder, state = saved
    checkpoint = flatpoint.open(folder)
    assert any(0 in t.shape for t in state.values()) and any(t.dim() == 0 for t in state.values())
    assert any(not t.is_contiguous() for t in state.values())
    for fqn, expected in state.items():
        for read in (checkpoint[fqn].torch(), checkpoint[fqn].torch(verify=True, threads=2)):
            assert (read.dtype, read.shape) == (expected.dtype, expected.shape) and bits(read) == bits(expected), fqn
        assert checkpoint[fqn].numpy(bits=True).tobytes() == bits(expected)
        if expected.dtype in (torch.float32, torch.int64, torch.bool, torch.complex64):
            assert checkpoint[fqn].numpy().tobytes() == expected.contiguous().numpy().tobytes()


def test_parts(saved):
    folder, state = saved
    checkpoint = flatpoint.open(folder)
    for fqn, whole in state.items():
        if whole.dim() == 0:
            continue
        for index in (slice(1, 3), (0, ...) if whole.shape[0] else ..., slice(None, None, 2), (..., slice(-2, None))):
            part = checkpoint[fqn].torch(index)
            assert part.shape == whole[index].shape and bits(part) == bits(whole[index]), (fqn, index)
        reversed_rows = checkpoint[fqn].numpy(bits=True)[::-2].tobytes()
        assert bits(checkpoint[fqn].torch(slice(None, None, -2))) == reversed_rows, fqn


def test_into_tensors_that_are_there(saved):
    folder, state = saved
    checkpoint = flatpoint.open(folder)
    out = {}
    for fqn, whole in state.items():
        room = torch.zeros([2 * size for size in reversed(whole.shape)], dtype=whole.dtype)
        view = room[tuple(slice(None, None, 2) for _ in whole.shape)]
        out[fqn] = view.permute(*reversed(range(whole.dim()))) if whole.dim() else view
    read = checkpoint.read(list(state), out=out)
    for fqn, whole in state.items():
        assert read[fqn] is out[fqn] and bits(out[fqn]) == bits(whole), fqn
    parameter = torch.nn.Parameter(torch.zeros(state["float32.0"].shape))
    checkpoint["float32.0"].read_into(parameter)
    assert bits(parameter) == bits(state["float32.0"])


def test_tensors_that_do_not_fit(tmp_path):
    dcp.save({"w": torch.arange(6.0).reshape(2, 3), "c": torch.ones(2, dtype=torch.complex64)}, checkpoint_id=tmp_path, no_dist=True)
    checkpoint = flatpoint.open(tmp_path)
    for fqn, out, error, said in (
        ("w", torch.zeros(3, 2), ValueError, r"has shape \(2, 3\), out has \(3, 2\)"),
        ("w", torch.zeros(2, 3, dtype=torch.float64), TypeError, "the checkpoint has float32, out torch.float64"),
        ("w", torch.zeros(1, 3).expand(2, 3), ValueError, "share memory"),
        ("w", torch.zeros(2, 3, device="meta"), ValueError, "in the CPU's memory"),
        ("w", torch.zeros(2, 3).to_sparse(), ValueError, "in the CPU's memory"),
        ("c", torch.zeros(2, dtype=torch.complex64).conj(), ValueError, "in the CPU's memory"),
    ):
        with pytest.raises(error, match=f"FQN '{fqn}': .*{said}"):
            checkpoint[fqn].read_into(out)


def test_what_torch_keeps_as_bytes(tmp_path):
    state = {"n": 3, "big": 2**200, "x": float("nan"), "text": "é\ud800", "none": None, "flag": True, "raw": b"\0\xff"}
    state["nested"] = (1, [2.5, ("a", {3: {4}, (1, "k"): frozenset([5]), None: []})], torch.Size([2, 3]))
    state["odd"] = torch.float32
    # As values of a key whose list holds no tensor, they are saved whole.
    dcp.save({key: [value] for key, value in state.items()}, checkpoint_id=tmp_path, no_dist=True)
    checkpoint = flatpoint.open(tmp_path)
    values = {fqn: entry for fqn, entry in checkpoint.items() if isinstance(entry, flatpoint.Bytes)}
    single = {fqn.removesuffix(".0"): entry for fqn, entry in values.items()}
    for key, expected in state.items():
        if key == "odd":
            with pytest.raises(flatpoint.Error, match="float32") as raised:
                single[key].value()
            assert raised.value.code == flatpoint.ErrorCode.NOT_PLAIN
            continue
        value = single[key].value()
        value = value[0] if isinstance(value, list) else value
        assert value != value if key == "x" else value == expected, key
        assert type(value) in (type(expected), tuple)


def test_safe_open_gives_tensors(saved):
    folder, state = saved
    with flatpoint.safe_open(folder, framework="pt") as opened:
        assert set(opened.keys()) == set(state)
        for fqn, whole in state.items():
            assert bits(opened.get_tensor(fqn)) == bits(whole)
            if whole.dim():
                assert bits(opened.get_slice(fqn)[1:]) == bits(whole[1:])
        on_meta = flatpoint.safe_open(folder, framework="pt", device="meta").get_tensor("float32.0")
        assert on_meta.device.type == "meta"


def test_others_run_while_a_tensor_is_read(tmp_path):
    """Half of a tensor can be seen from another thread, which it could not if the lock of the interpreter were held."""
    dcp.save({"w": torch.ones(1 << 24)}, checkpoint_id=tmp_path, no_dist=True)
    tensor = flatpoint.open(tmp_path)["w"]
    out = numpy.empty(tensor.shape, numpy.float32)
    for _ in range(100):
        out.fill(0)
        reader = threading.Thread(target=tensor.read_into, args=(out,))
        reader.start()
        half = False
        while reader.is_alive():
            half = half or (out[0] == 1 and out[-1] == 0)
        reader.join()
        assert out[0] == out[-1] == 1
        if half:
            return
    raise AssertionError("no half was ever seen")


ENDLESS = """
import signal, sys
import flatpoint, numpy
from flatpoint import _core

tensor = flatpoint.open(sys.argv[1])["w"]
row = numpy.zeros(tensor.shape[1], numpy.float32)
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 0.3)
try:  # every row into the memory of the first
    _core.read_boxes([(tensor, (0, 0), tensor.shape, row.__array_interface__["data"][0], (0, 4))], 1, False)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_long_read_can_be_interrupted(tmp_path):
    """16 TB, of a tensor whose rows overlap."""
    size, zero = torch.Size([1 << 20, 1 << 22]), torch.Size([0, 0])
    torch.save(torch.ones(5 << 20).as_strided(size, [1, 1]), tmp_path / "__0_0.distcp")
    tensor = TensorStorageMetadata(TensorProperties(dtype=torch.float32), size, [ChunkStorageMetadata(zero, size)])
    place = _StorageInfo("__0_0.distcp", 0, (tmp_path / "__0_0.distcp").stat().st_size)
    metadata = Metadata({"w": tensor}, None, {MetadataIndex("w", zero, 0): place})
    (tmp_path / ".metadata").write_bytes(pickle.dumps(metadata, protocol=4))
    command = [sys.executable, "-c", ENDLESS, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout == "interrupted\n"
