"""Tensors and values out of data files, without torch: what PyTorch itself reads from them is in tests/data/values.json."""

import collections
import copy
import json
import math
import os
import pickle
import random
import shutil
import subprocess
import sys
import zlib

import flatpoint
import ml_dtypes
import numpy
import pytest
from conftest import SAMPLES

VALUES = json.loads((SAMPLES.parent / "data/values.json").read_text())
DTYPES = SAMPLES / "s04_dtypes"
TWO_DIMENSIONS = SAMPLES / "d02_dtensor_2d"


def as_json(value):
    """As values.json has it (tests/data/make_values.py)."""
    if isinstance(value, dict):
        return {key if isinstance(key, str) else json.dumps(as_json(key)): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


@pytest.mark.parametrize("name", VALUES)
def test_samples_hold_what_torch_reads(name):
    checkpoint = flatpoint.open(SAMPLES / name)
    for fqn, entry in checkpoint.items():
        expected = VALUES[name][fqn]
        if "crc32" in expected:
            array = entry.numpy(bits=True, verify=True)
            assert (array.shape, array.nbytes) == (entry.shape, expected["bytes"])
            assert zlib.crc32(array.tobytes()) == expected["crc32"], fqn
        elif "value" in expected:
            assert as_json(entry.value()) == expected["value"], fqn
        else:
            with pytest.raises(flatpoint.Error, match=fqn) as raised:
                entry.numpy(bits=True) if isinstance(entry, flatpoint.Tensor) else entry.value()
            assert raised.value.code in (flatpoint.ErrorCode.NOT_PLAIN, flatpoint.ErrorCode.BAD_ITEM)


def test_dtypes():
    seen = set()
    for fqn, tensor in flatpoint.open(DTYPES).items():
        if tensor.dtype in ("complex32", "bcomplex32", "float4_e2m1fn_x2"):
            with pytest.raises(TypeError, match=f"FQN '{fqn}': NumPy has no {tensor.dtype}; .*bits=True"):
                tensor.numpy()
        else:
            array = tensor.numpy()
            assert array.dtype.name == tensor.dtype and array.dtype.itemsize == tensor.itemsize
            seen.add(tensor.dtype)
        assert tensor.numpy(bits=True).dtype.itemsize == tensor.itemsize
    assert seen >= {"float8_e4m3fn", "float8_e8m0fnu", "float16", "bool", "complex128", "uint64"}
    weight = flatpoint.open(SAMPLES / "d04_fsdp2")["app.model.0.0.weight"].numpy()
    assert weight.dtype == ml_dtypes.bfloat16 and 0 < abs(weight.astype(numpy.float32)).max() < 1


def test_without_ml_dtypes_or_numpy():
    code = """
import sys
sys.modules[sys.argv[2]] = None
import flatpoint
tensor = flatpoint.open(sys.argv[1])["float8_e4m3fn"]
buffer = bytearray(tensor.nbytes)
tensor.read_into(buffer)
print(len(buffer))
try:
    tensor.numpy()
except (flatpoint.Error, ImportError) as error:
    print(type(error).__name__, error)
"""
    for package, said in (
        ("ml_dtypes", "DtypeError FQN 'float8_e4m3fn': NumPy has float8_e4m3fn through a recent ml_dtypes alone: pip install ml_dtypes"),
        ("numpy", "ImportError arrays need NumPy: pip install numpy"),
    ):
        done = subprocess.run([sys.executable, "-c", code, DTYPES, package], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("6\n" + said)


def random_index(dice, shape):
    def part(size):
        kind = dice.randrange(4)
        if kind == 0 and size:
            return dice.choice([int, numpy.int64])(dice.randrange(-size, size))
        ends = [dice.choice([None, dice.randrange(-size - 2, size + 3)]) for _ in range(2)]
        return slice(*ends, dice.choice([None, None, 1, 2, 3, -1, -2]) if kind > 2 else None)

    parts = [part(size) for size in shape[: dice.randrange(len(shape) + 1)]]
    if dice.randrange(3) == 0:
        parts.insert(dice.randrange(len(parts) + 1), ...)
        after = len(parts) - parts.index(...) - 1
        parts[len(parts) - after :] = [part(size) for size in shape[len(shape) - after :]] if after else []
    return parts[0] if len(parts) == 1 and dice.randrange(2) else tuple(parts)


@pytest.mark.parametrize("fqn", ["s0s1", "uneven2d", "rs1"])
def test_slices_are_numpys(fqn):
    tensor = flatpoint.open(TWO_DIMENSIONS)[fqn]
    whole = tensor.numpy()
    dice = random.Random(fqn)
    for _ in range(300):
        index = random_index(dice, tensor.shape)
        part = tensor[index]
        assert isinstance(part, numpy.ndarray) and part.shape == whole[index].shape, index
        assert numpy.array_equal(part, whole[index]), index
    assert numpy.array_equal(numpy.asarray(tensor), whole)
    assert numpy.array_equal(numpy.asarray(tensor, dtype=numpy.float64), whole.astype(numpy.float64))


def test_scalars_and_empty_tensors():
    scalar = next(t for t in flatpoint.open(SAMPLES / "s01_plain_tensors").values() if t.shape == ())
    assert scalar.numpy() == scalar[()] == scalar[...] and scalar[()].shape == ()
    with pytest.raises(IndexError, match="1 indices for shape"):
        scalar[0]
    tensor = flatpoint.open(TWO_DIMENSIONS)["s0s1"]
    assert tensor[2:2].shape == (0, tensor.shape[1]) and tensor[3:1, 0].shape == (0,)


def test_wrong_indices():
    tensor = flatpoint.open(TWO_DIMENSIONS)["s0s1"]
    rows, columns = tensor.shape
    for index, error, said in (
        (rows, IndexError, f"FQN 's0s1': index {rows} is outside dimension 0 of size {rows}"),
        ((0, -columns - 1), IndexError, "dimension 1"),
        ((0, 0, 0), IndexError, "3 indices for shape"),
        ((..., ...), IndexError, "at most one"),
        ([0, 1], TypeError, "not of list"),
        (([0], [1]), TypeError, "not of tuple"),
        (True, TypeError, "not of bool"),
        (None, TypeError, "not of NoneType"),
        ("x", TypeError, "not of str"),
        (1.5, TypeError, "not of float"),
    ):
        with pytest.raises(error, match=said):
            tensor[index]
    with pytest.raises(TypeError):
        iter(tensor)
    for pair, error in ((((0,), (1,)), ValueError), (((0, 0), (rows + 1, 1)), IndexError), (((-1, 0), (1, 1)), IndexError)):
        with pytest.raises(error, match="FQN 's0s1'"):
            tensor.numpy(pair)


def test_into_memory_that_is_there():
    tensor = flatpoint.open(TWO_DIMENSIONS)["s0s1"]
    whole = tensor.numpy()
    rows, columns = tensor.shape
    spread = numpy.zeros((2 * rows, 3 * columns), whole.dtype)
    tensor.read_into(spread[::2, ::3])
    assert numpy.array_equal(spread[::2, ::3], whole) and not spread[1::2].any() and not spread[:, 1::3].any()
    turned = numpy.zeros((columns, rows), whole.dtype)
    tensor.read_into(turned.T)
    assert numpy.array_equal(turned.T, whole)
    reversed_rows = numpy.zeros_like(whole)
    tensor.read_into(reversed_rows[::-1])
    assert numpy.array_equal(reversed_rows[::-1], whole)
    row = numpy.zeros((columns, 2), whole.dtype)
    tensor.read_into(row[:, 1], (2, slice(None)))
    assert numpy.array_equal(row[:, 1], whole[2]) and not row[:, 0].any()
    buffer = bytearray(2 * 3 * whole.itemsize)
    tensor.read_into(buffer, ((1, 0), (2, 3)))
    assert buffer == whole[1:3, :3].tobytes()
    tensor.read_into(memoryview(buffer), numpy.s_[:3, 0:2])
    assert buffer == whole[:3, :2].tobytes()

    frozen = numpy.zeros_like(whole)
    frozen.flags.writeable = False
    shared = numpy.lib.stride_tricks.as_strided(numpy.zeros(columns, whole.dtype), whole.shape, (0, whole.itemsize))
    for out, error, said in (
        (whole[1:], ValueError, "what is read has shape"),
        (whole.astype(numpy.float64), TypeError, "the checkpoint has float32, out float64"),
        (whole.view(numpy.uint32), TypeError, "out uint32"),
        (whole.astype(">f4"), TypeError, "out >f4"),
        (frozen, ValueError, "read-only"),
        (shared, ValueError, "share memory"),
        (bytearray(3), ValueError, f"the box has {whole.nbytes} bytes, the buffer 3"),
        (bytes(whole.nbytes), BufferError, "writable"),
        ("text", TypeError, "buffer|bytes-like"),
    ):
        with pytest.raises(error, match=said):
            tensor.read_into(out)
    with pytest.raises(ValueError, match="step"):
        tensor.read_into(whole[::2].copy(), slice(None, None, 2))
    low = flatpoint.open(SAMPLES / "d04_fsdp2")["app.model.0.0.weight"]
    for dtype in (ml_dtypes.bfloat16, numpy.uint16):
        out = numpy.zeros(low.shape, dtype)
        low.read_into(out)
        assert numpy.array_equal(out.view(numpy.uint16), low.numpy(bits=True))
    with pytest.raises(TypeError, match="the checkpoint has bfloat16, out float16"):
        low.read_into(numpy.zeros(low.shape, numpy.float16))


@pytest.mark.parametrize("name", VALUES)
def test_many_at_once(name):
    checkpoint = flatpoint.open(SAMPLES / name)
    whole = {}
    for fqn, entry in checkpoint.items():
        if "torch cannot" not in VALUES[name][fqn]:
            whole[fqn] = entry.numpy(bits=True) if isinstance(entry, flatpoint.Tensor) else entry.value()
    for threads in (0, 3):
        read = (
            checkpoint.read(dict.fromkeys(whole), threads=threads, bits=True, verify=True)
            if threads
            else checkpoint.read(list(whole), bits=True)
        )
        assert list(read) == list(whole)
        for fqn, expected in whole.items():
            same = numpy.array_equal if isinstance(expected, numpy.ndarray) else lambda a, b: as_json(a) == as_json(b)
            assert same(read[fqn], expected), fqn


def test_many_parts():
    checkpoint = flatpoint.open(TWO_DIMENSIONS)
    whole = checkpoint.read(checkpoint)
    mine = numpy.zeros((3, 2, 2), numpy.float32)
    buffer = bytearray(whole["s0r"].nbytes)
    read = checkpoint.read(
        {"s0s1": numpy.s_[1:4, :2], "uneven2d": numpy.s_[::-2], "rr": None, "s0r": None, "rs1": ((1, 2), (2, 3))},
        out={"s0s1": mine[:, 1], "s0r": buffer},
    )
    assert numpy.array_equal(mine[:, 1], whole["s0s1"][1:4, :2]) and not mine[:, 0].any() and read["s0s1"].base is mine
    assert numpy.array_equal(read["uneven2d"], whole["uneven2d"][::-2])
    assert numpy.array_equal(read["rr"], whole["rr"]) and numpy.array_equal(read["rs1"], whole["rs1"][1:3, 2:5])
    assert read["s0r"] is buffer and buffer == whole["s0r"].tobytes()
    assert checkpoint.read({}) == {} and list(checkpoint.read("rr")) == ["rr"]
    with pytest.raises(KeyError, match="absent"):
        checkpoint.read(["absent"])
    with pytest.raises(ValueError, match="out has 'rr'"):
        checkpoint.read(["s0r"], out={"rr": buffer})
    with pytest.raises(IndexError, match="FQN 'rr'"):
        checkpoint.read({"s0r": None, "rr": 100})


def test_values():
    values = {}
    for name in VALUES:
        checkpoint = flatpoint.open(SAMPLES / name)
        for fqn, entry in checkpoint.items():
            if isinstance(entry, flatpoint.Bytes) and "value" in VALUES[name][fqn]:
                values[name, fqn] = entry.value()
    kinds = collections.Counter(type(value) for value in values.values())
    assert len(values) > 50 and kinds[int] and kinds[str] and kinds[float] and kinds[list] + kinds[tuple] + kinds[dict]
    opaque = [(name, fqn) for name in VALUES for fqn, said in VALUES[name].items() if "torch cannot" in said]
    assert opaque


@pytest.fixture
def copied(tmp_path):
    return shutil.copytree(TWO_DIMENSIONS, tmp_path / "copy")


def refused(code, ask, *words):
    with pytest.raises(flatpoint.Error) as raised:
        ask()
    assert raised.value.code == flatpoint.ErrorCode[code], raised.value
    for word in words:
        assert word in str(raised.value)
    return raised.value


def test_missing_truncated_and_changed_files(copied):
    data = copied / "__0_0.distcp"
    content = data.read_bytes()
    tensor = flatpoint.open(copied)["s0s1"]
    data.unlink()
    assert isinstance(refused("NOT_FOUND", tensor.numpy, "FQN 's0s1'", "__0_0.distcp"), FileNotFoundError)
    data.write_bytes(content[: len(content) // 4])
    refused("TRUNCATED", flatpoint.open(copied)["s0s1"].numpy, "FQN 's0s1'", "__0_0.distcp")
    data.write_bytes(content)
    checkpoint = flatpoint.open(copied)
    assert checkpoint["s0s1"].numpy().any()
    data.write_bytes(content + b"more")
    refused("CHANGED", checkpoint["s0s1"].numpy, "__0_0.distcp")
    refused("CHANGED", lambda: checkpoint.read(checkpoint), "__0_0.distcp")


def test_checksums_are_compared_on_demand(copied):
    tensor = flatpoint.open(copied)["s0s1"]
    sound = tensor.numpy()
    storage = tensor.chunks[0].storage
    data = copied / storage.relative_path
    content = bytearray(data.read_bytes())
    content[content.index(sound[:1, : tensor.chunks[0].sizes[1]].tobytes(), storage.byte_offset)] ^= 1
    data.write_bytes(content)
    checkpoint = flatpoint.open(copied)
    assert not numpy.array_equal(checkpoint["s0s1"].numpy(), sound)
    refused("CHECKSUM", lambda: checkpoint["s0s1"].numpy(verify=True), "FQN 's0s1'", "CRC-32")
    refused("CHECKSUM", lambda: checkpoint.read(checkpoint, verify=True), "CRC-32")
    refused("CHECKSUM", lambda: checkpoint["s0s1"].read_into(sound, verify=True), "CRC-32")


def test_holes_are_named(tmp_path):
    alone = flatpoint.open(SAMPLES / "d09_no_collectives", rank=1)
    partial = [
        fqn for fqn, entry in alone.items() if isinstance(entry, flatpoint.Tensor) and entry.nbytes and not alone.keep(fqn).coverage().tiles
    ]
    assert partial
    for fqn in partial:
        refused("HOLES", alone[fqn].numpy, f"FQN '{fqn}'", "no chunk holds the elements at")
        refused("HOLES", lambda: alone.read(partial), "no chunk holds")
        chunk = alone[fqn].chunks[0]
        assert alone[fqn].numpy((chunk.offsets, chunk.sizes)).shape == chunk.sizes


def test_data_elsewhere(copied, tmp_path):
    whole = flatpoint.open(copied)["s0s1"].numpy()
    metadata = tmp_path / "elsewhere" / ".metadata"
    metadata.parent.mkdir()
    shutil.move(copied / ".metadata", metadata)
    assert isinstance(refused("NOT_FOUND", flatpoint.open(metadata)["s0s1"].numpy), FileNotFoundError)
    checkpoint = flatpoint.open(metadata, data_folder=copied)
    assert checkpoint.data_folder == str(copied) and numpy.array_equal(checkpoint["s0s1"].numpy(), whole)
    in_memory = flatpoint.from_bytes(metadata.read_bytes())
    assert in_memory.data_folder is None
    refused("INVALID_ARGUMENT", in_memory["s0s1"].numpy, "data_folder")
    told = flatpoint.from_bytes(metadata.read_bytes(), data_folder=copied)
    assert numpy.array_equal(told["s0s1"].numpy(), whole)
    for made in (checkpoint.keep("s0*"), checkpoint.rename({"rr": "x"}), copy.deepcopy(checkpoint), pickle.loads(pickle.dumps(checkpoint))):
        assert made.data_folder == str(copied) and numpy.array_equal(made["s0s1"].numpy(), whole)


def test_merged_fragments_know_their_folder():
    merged = flatpoint.merge([flatpoint.open(SAMPLES / "d09_no_collectives", rank=rank) for rank in range(4)])
    assert merged.data_folder == str(SAMPLES / "d09_no_collectives")
    assert all(merged[fqn].numpy(bits=True).nbytes for fqn in merged if isinstance(merged[fqn], flatpoint.Tensor) and merged[fqn].nbytes)


def test_a_relative_path_stays_what_it_was(copied, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = flatpoint.open("copy")
    monkeypatch.chdir("/")
    assert checkpoint["s0s1"].numpy().any() and os.path.isabs(checkpoint.data_folder)


def test_paths_that_leave_the_folder(copied, tmp_path):
    for name in copied.glob("*.distcp"):
        shutil.move(name, tmp_path / name.name)
    data = (copied / ".metadata").read_bytes()
    shutil.copy(TWO_DIMENSIONS / ".metadata", copied / ".metadata")
    outside = data.replace(b"\x8c\x0c__0_0.distcp", b"\x8c\x0f../__0_0.distcp").replace(b"\x8c\x0c__1_0.distcp", b"\x8c\x0f../__1_0.distcp")
    outside = outside.replace(b"\x8c\x0c__2_0.distcp", b"\x8c\x0f../__2_0.distcp").replace(
        b"\x8c\x0c__3_0.distcp", b"\x8c\x0f../__3_0.distcp"
    )
    checkpoint = flatpoint.from_bytes(unframed(outside), data_folder=copied)
    assert all(name.startswith("../") for name in checkpoint.files)
    refused("OUTSIDE", checkpoint["s0s1"].numpy, "FQN 's0s1'", "../__0_0.distcp")
    allowed = flatpoint.from_bytes(unframed(outside), data_folder=copied, allow_outside=True)
    assert allowed["s0s1"].numpy().any() and pickle.loads(pickle.dumps(allowed))["s0s1"].numpy().any()


def unframed(data):
    """A pickle without its frames, whose lengths do not hold any more."""
    import pickletools

    out, last = bytearray(), 0
    for opcode, _, position in pickletools.genops(data):
        if opcode.name == "FRAME":
            out += data[last:position]
            last = position + 9
    return bytes(out + data[last:])


def test_closing_keeps_tensors(copied):
    checkpoint = flatpoint.open(copied)
    tensor = checkpoint["s0s1"]
    checkpoint.close()
    assert tensor.numpy().any()
    with pytest.raises(ValueError, match="closed"):
        checkpoint.read(["s0s1"])


def test_a_hostile_item_asks_for_no_memory():
    tensor = flatpoint.open(SAMPLES.parent / "data/huge_by_strides")["w"]
    with pytest.raises((flatpoint.Error, MemoryError, ValueError)):
        tensor.numpy()
    assert tensor[5:8].tolist() == [0, 0, 0]


def test_nothing_of_torch_is_imported():
    code = """
import sys, flatpoint
checkpoint = flatpoint.open(sys.argv[1])
checkpoint.read(checkpoint), checkpoint["s0s1"][0]
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, TWO_DIMENSIONS], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_opaque_entries_say_what_they_are():
    found = 0
    for path in sorted((SAMPLES.parent / "dcp/pickles").glob("*.pickle")):
        checkpoint = flatpoint.open(path)
        for fqn in [fqn for fqn, entry in checkpoint.items() if isinstance(entry, flatpoint.Opaque)]:
            refused("OPAQUE_RECORDS", lambda: checkpoint.read([fqn]), repr(fqn), "no value")
            refused("OPAQUE_RECORDS", lambda: checkpoint[fqn].numpy(), repr(fqn), "no numpy")
            found += 1
    assert found
