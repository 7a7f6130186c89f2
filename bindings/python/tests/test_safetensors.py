"""Files of the safetensors package: the same facts and values here, and the other way round; broken headers that both refuse."""

import json
import struct
import subprocess
import sys

import flatpoint
import ml_dtypes
import numpy
import pytest
import safetensors.numpy

import safetensors

DTYPES = [
    *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64", "complex64"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz"),
]


def tool(*arguments):
    return subprocess.run([sys.executable, "-m", "flatpoint", *map(str, arguments)], capture_output=True, check=False)


def save(path, tensors):
    """By the package. `tensors`: name -> array, or (dtype, shape, bytes)."""
    arrays = [numpy.frombuffer(data, numpy.uint8) for _, _, data in tensors.values()]
    specs = {
        name: safetensors.TensorSpec(dtype=dtype, shape=shape, data_ptr=array.ctypes.data, data_len=array.nbytes)
        for (name, (dtype, shape, _)), array in zip(tensors.items(), arrays, strict=True)
    }
    path.write_bytes(safetensors.serialize(specs, {"format": "np"}))


def written(path):
    """Random tensors of every dtype, by the package: FQN -> dtype, shape, bytes."""
    random = numpy.random.default_rng(1)
    tensors = {}
    for dtype in DTYPES:
        size = numpy.dtype(getattr(ml_dtypes, dtype, dtype)).itemsize
        for shape in ((), (3,), (0, 2), (2, 3, 5)):
            data = random.integers(0, 2 if dtype == "bool" else 256, int(numpy.prod(shape)) * size, dtype=numpy.uint8).tobytes()
            tensors[f"{dtype}.{len(shape)}.{'x'.join(map(str, shape))}"] = (dtype, list(shape), data)
    save(path, tensors)
    return tensors


def test_facts_and_values_are_the_packages(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = written(path)
    checkpoint = flatpoint.open(path)
    assert checkpoint.origin == "safetensors"
    assert sorted(checkpoint) == sorted(tensors)
    for fqn, (dtype, shape, _) in tensors.items():
        assert (checkpoint[fqn].dtype, list(checkpoint[fqn].shape)) == (dtype, shape)
    copied = tmp_path / "copy.safetensors"
    answer = tool("get", path, "*", "-o", copied)
    assert answer.returncode == 0, answer.stderr
    there = dict(safetensors.deserialize(path.read_bytes()))
    back = dict(safetensors.deserialize(copied.read_bytes()))
    assert back.keys() == tensors.keys()
    for fqn, (_, shape, data) in tensors.items():
        assert (back[fqn]["dtype"], back[fqn]["shape"], bytes(back[fqn]["data"])) == (there[fqn]["dtype"], shape, data)


def test_numpys_files_hold_what_ml_dtypes_reads(tmp_path):
    tensors = written(tmp_path / "model.safetensors")
    for dtype in DTYPES:
        fqn = f"{dtype}.3.2x3x5"
        answer = tool("get", tmp_path / "model.safetensors", fqn, "-o", tmp_path / "x.npy", "--force")
        assert answer.returncode == 0, answer.stderr
        array = numpy.load(tmp_path / "x.npy")
        assert array.view(getattr(ml_dtypes, dtype, dtype)).shape == (2, 3, 5)
        assert array.tobytes() == tensors[fqn][2]


def test_a_sample_of_torch_is_read_by_the_package(tmp_path):
    from conftest import SAMPLES

    answer = tool("get", SAMPLES / "d04_fsdp2", "*", "-o", tmp_path / "all.safetensors")
    if answer.returncode:  # what is no tensor has no place in it
        answer = tool("get", SAMPLES / "d04_fsdp2", "app.model.*", "-o", tmp_path / "all.safetensors")
    assert answer.returncode == 0, answer.stderr
    read = safetensors.numpy.load_file(tmp_path / "all.safetensors")
    checkpoint = flatpoint.open(SAMPLES / "d04_fsdp2")
    assert read
    for fqn, array in read.items():
        raw = tool("get", SAMPLES / "d04_fsdp2", fqn, "-o", "-", "--format", "raw").stdout
        assert (array.tobytes(), array.shape) == (raw, tuple(checkpoint[fqn].shape))


def one(dtype, shape, offsets):
    return json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}})


BROKEN = {
    "no JSON": ("{", 0),
    "list": ("[]", 0),
    "trailing": (one("U8", [1], [0, 1]) + "x", 1),
    "tail": (one("U8", [1], [0, 1]), 2),
    "short": (one("U8", [2], [0, 2]), 1),
    "hole": (one("U8", [1], [1, 2]), 2),
    "size": (one("U8", [2], [0, 1]), 1),
    "reversed": (one("U8", [1], [1, 0]), 1),
    "dtype": (one("U4", [2], [0, 1]), 1),
    "half byte": (one("F4", [3], [0, 2]), 2),
    "float": (one("U8", [1.0], [0, 1]), 1),
    "negative": (one("U8", [-1], [0, 1]), 1),
    "overflow": (one("F32", [2**32, 2**32], [0, 0]), 0),
    "no shape": ('{"w":{"dtype":"U8","data_offsets":[0,0]}}', 0),
    "metadata": ('{"__metadata__":{"a":1}}', 0),
    "surrogate": ('{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', 0),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_the_package_refuses_is_refused(name, tmp_path):
    header, size = BROKEN[name]
    content = struct.pack("<Q", len(header)) + header.encode() + bytes(size)
    with pytest.raises(safetensors.SafetensorError):
        safetensors.deserialize(content)
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(flatpoint.Error, match=r"model\.safetensors"):
        flatpoint.open(path)


def test_damage_is_refused_by_both_or_by_neither(tmp_path):
    """Every byte of a header, changed: where they differ, the package has let pass what hides a tensor."""
    path = tmp_path / "model.safetensors"
    save(path, {"a": ("float32", [2, 2], bytes(16)), "b": ("uint8", [3], bytes(3))})
    whole = path.read_bytes()
    length = 8 + int.from_bytes(whole[:8], "little")
    differ = 0
    for position in range(length):
        for value in (whole[position] ^ 1, whole[position] ^ 0x20, 0x22, 0x30):
            path.write_bytes(whole[:position] + bytes([value]) + whole[position + 1 :])
            try:
                known = {name: (t["dtype"], t["shape"]) for name, t in safetensors.deserialize(path.read_bytes())}
            except safetensors.SafetensorError:
                known = None
            try:
                ours = {fqn: list(tensor.shape) for fqn, tensor in flatpoint.open(path).items()}
            except flatpoint.Error:
                ours = None
            if known is None:
                assert ours is None, (position, value)
            elif ours is None:
                differ += 1
            else:
                assert ours == {name: shape for name, (_, shape) in known.items()}
    assert differ < length / 20
