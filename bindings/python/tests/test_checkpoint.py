"""A checkpoint as a mapping, its look-ups, its life."""

import collections.abc
import gc
import math
import os
import pickle
import subprocess
import sys
import threading

import flatpoint
import pytest
from conftest import LLM, SAMPLES

NAME = "model.model.layers.0.self_attn.q_proj.weight"


def test_mapping(folder):
    with flatpoint.open(folder) as checkpoint:
        assert isinstance(checkpoint, collections.abc.Mapping)
        names = list(checkpoint)
        assert len(checkpoint) == len(names) == len(set(names)) == 21
        assert names == list(checkpoint.keys())
        assert checkpoint[NAME] == checkpoint.get(NAME) == dict(checkpoint)[NAME]
        assert checkpoint[NAME] != checkpoint[names[0]]
        assert len({checkpoint[NAME], checkpoint[NAME]}) == 1
        assert NAME in checkpoint and "absent" not in checkpoint and 3 not in checkpoint
        assert checkpoint.get("absent") is None and checkpoint.get("absent", 7) == 7
        with pytest.raises(KeyError, match="absent"):
            checkpoint["absent"]
        with pytest.raises(TypeError, match="str"):
            checkpoint[3]


def test_tensor(folder):
    tensor = flatpoint.open(folder)[NAME]
    assert isinstance(tensor, flatpoint.Tensor)
    assert tensor.shape == (8192, 8192) and tensor.dtype == "bfloat16"
    assert tensor.nbytes == math.prod(tensor.shape) * 2
    assert isinstance(tensor.chunks, collections.abc.Sequence)
    assert tensor.chunks[-1] == tensor.chunks[63] == list(tensor.chunks)[-1] == list(reversed(tensor.chunks))[0]
    assert tensor.chunks[1:5:2] == [tensor.chunks[1], tensor.chunks[3]]
    assert tensor.chunks.index(tensor.chunks[7]) == 7
    for index in (64, -65):
        with pytest.raises(IndexError):
            tensor.chunks[index]


def test_find_without_offset_is_not_find_of_an_empty_one():
    checkpoint = flatpoint.open(SAMPLES / "s01_plain_tensors")
    scalars = [fqn for fqn, tensor in checkpoint.items() if tensor.shape == ()]
    assert scalars
    assert checkpoint.find(scalars[0], ()) is not None
    assert checkpoint.find(scalars[0]) is None


def test_prefix(folder):
    checkpoint = flatpoint.open(folder)
    for prefix in ("", "model.model.layers.0.", "optimizer", "nothing"):
        names = checkpoint.prefix(prefix)
        assert isinstance(names, collections.abc.Sequence)
        assert list(names) == sorted(fqn for fqn in checkpoint if fqn.startswith(prefix))
        assert len(names) == len(list(names))


def test_overlapping(folder):
    tensor = flatpoint.open(folder)[NAME]
    offsets, sizes = (100, 5), (200, 7)
    hits = tensor.overlapping(offsets, sizes)
    assert [hit.chunk.offsets for hit in hits] == [(0, 0), (128, 0), (256, 0)]
    assert [hit.lengths for hit in hits] == [(28, 7), (128, 7), (44, 7)]
    assert [hit.chunk_offsets for hit in hits] == [(100, 5), (0, 5), (0, 5)]
    assert [hit.box_offsets for hit in hits] == [(0, 0), (28, 0), (156, 0)]
    with pytest.raises(ValueError, match="dimensions"):
        tensor.overlapping((0,), (1,))


def test_closing_keeps_what_was_taken(folder):
    checkpoint = flatpoint.open(folder)
    checkpoint.write(folder / ".metadata.flatpoint")
    checkpoint = flatpoint.open(folder)
    assert checkpoint.origin == "flatpoint"
    tensor, names, chunk = checkpoint[NAME], checkpoint.prefix("model"), checkpoint[NAME].chunks[1]
    with checkpoint as entered:
        assert entered is checkpoint and not checkpoint.closed
    assert checkpoint.closed
    (folder / ".metadata.flatpoint").unlink()
    gc.collect()
    for ask in (len, list, lambda c: c[NAME], lambda c: c.files, lambda c: c.columns["sizes"], lambda c: c.verify()):
        with pytest.raises(ValueError, match="closed"):
            ask(checkpoint)
    assert tensor.shape == (8192, 8192) and names[0].startswith("model") and chunk.offsets == (128, 0)


def test_write(folder):
    checkpoint = flatpoint.open(folder)
    target = folder / "x.flatpoint"
    checkpoint.write(target)
    with pytest.raises(FileExistsError) as raised:
        checkpoint.write(target)
    assert isinstance(raised.value, flatpoint.Error) and raised.value.code == flatpoint.ErrorCode.CONFLICT
    checkpoint.write(str(target), overwrite=True)
    data = target.read_bytes()
    again = flatpoint.from_bytes(data)
    assert list(again) == list(checkpoint) and again.origin == "flatpoint"
    assert list(flatpoint.from_bytes(memoryview(LLM.read_bytes()))) == list(checkpoint)


def test_folder_with_both_files(folder):
    os.utime(folder / ".metadata", ns=(10**18, 10**18))  # long ago: a time of just now proves nothing
    flatpoint.open(folder).write(folder / ".metadata.flatpoint")
    checkpoint = flatpoint.open(folder)
    assert checkpoint.origin == "flatpoint" and checkpoint.notices == ()
    os.utime(folder / ".metadata")
    checkpoint = flatpoint.open(folder)
    assert checkpoint.origin == "flatpoint" and "it is the same" in checkpoint.notices[0]
    (folder / ".metadata").write_bytes((SAMPLES / "s01_plain_tensors/.metadata").read_bytes())
    checkpoint = flatpoint.open(folder)
    assert checkpoint.origin == "pickle" and "not imported from" in checkpoint.notices[0]


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        flatpoint.open(tmp_path / "absent")
    assert raised.value.code == flatpoint.ErrorCode.NOT_FOUND and "absent" in str(raised.value)
    copy = pickle.loads(pickle.dumps(raised.value))
    assert (type(copy), copy.code, str(copy)) == (flatpoint.NotFoundError, raised.value.code, str(raised.value))
    for data, code in ((b"", "NOT_PICKLE"), (b"nothing", "NOT_PICKLE"), (LLM.read_bytes()[:-1000], "BAD_PICKLE")):
        with pytest.raises(flatpoint.Error) as raised:
            flatpoint.from_bytes(data)
        assert raised.value.code.name == code
    with pytest.raises(flatpoint.Error, match="max_chunks") as raised:
        flatpoint.open(LLM, limits={"max_chunks": 10})
    assert raised.value.code == flatpoint.ErrorCode.TOO_LARGE
    with pytest.raises(ValueError, match="no limit 'max_nonsense': there are max_input_bytes, max_depth, "):
        flatpoint.open(LLM, limits={"max_nonsense": 10})
    with pytest.raises(flatpoint.Error) as raised:
        flatpoint.open(SAMPLES / "d09_no_collectives")
    assert raised.value.code == flatpoint.ErrorCode.AMBIGUOUS
    assert len(flatpoint.open(SAMPLES / "d09_no_collectives", rank=1)) > 0


def test_diff(folder):
    a = flatpoint.open(folder)
    assert a.diff(flatpoint.open(LLM)) == flatpoint.Diff(True, (), (), (), ())
    b = flatpoint.open(SAMPLES / "s01_plain_tensors")
    other = a.diff(b)
    assert not other.same
    assert other.removed == tuple(fqn for fqn in a.prefix("") if fqn not in b)
    assert other.added == tuple(fqn for fqn in b.prefix("") if fqn not in a)
    assert "storage_meta.save_id" in {difference.what for difference in other.file}
    # The same names, saved by an older torch: without strides.
    old, new = (flatpoint.open(SAMPLES / f"legacy/{era}_py3.11.7_p4/.metadata") for era in ("t24", "t215"))
    changed = old.diff(new).changed
    assert changed and {"properties"} <= set(changed[0].aspects)
    assert not old.diff(new, aspects=["dtype", "shape"]).changed
    with pytest.raises(ValueError, match="no aspect 'nonsense': there are type, dtype, shape, "):
        a.diff(b, aspects=["nonsense"])


def test_truncated_and_damaged_files(folder):
    path = folder / "x.flatpoint"
    flatpoint.open(folder).write(path)
    data = path.read_bytes()
    with pytest.raises(flatpoint.Error) as raised:
        flatpoint.from_bytes(data[:-8])
    assert raised.value.code == flatpoint.ErrorCode.TRUNCATED
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    report = flatpoint.from_bytes(damaged).verify()
    assert not report.sound and report.broken_rules


def test_any_damage_is_an_answer_or_an_error(folder):
    """What a damaged file says may be wrong, but asking it is safe."""
    path = folder / "x.flatpoint"
    flatpoint.open(folder).write(path)
    data = path.read_bytes()
    outcomes = collections.Counter()
    for at in range(0, len(data), 61):
        damaged = bytearray(data)
        damaged[at] ^= 0xFF
        try:
            checkpoint = flatpoint.from_bytes(damaged)
            for fqn in checkpoint:
                entry = checkpoint.get(fqn)
                for chunk in getattr(entry, "chunks", ()):
                    assert len(chunk.offsets) == len(chunk.sizes)
                    chunk.storage
            outcomes["answer"] += 1
        except flatpoint.Error as error:
            outcomes[error.code.name] += 1
    assert outcomes["answer"] and len(outcomes) > 1, outcomes


def test_odd_names():
    """Surrogates, NUL and whatever else the hand-made pickles hold."""
    seen = 0
    for path in sorted((SAMPLES.parent / "dcp/pickles").glob("*.pickle")):
        with flatpoint.open(path) as checkpoint:
            for fqn in checkpoint:
                assert checkpoint[fqn].fqn == fqn
                seen += not fqn.isidentifier()
    assert seen


def test_threads(folder):
    checkpoint = flatpoint.open(folder)
    expected = {fqn: [chunk.offsets for chunk in checkpoint[fqn].chunks] for fqn in checkpoint.prefix("model")}
    wrong = []

    def read():
        for fqn, offsets in expected.items():
            if [chunk.offsets for chunk in checkpoint[fqn].chunks] != offsets:
                wrong.append(fqn)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_importing_needs_neither_numpy_nor_torch():
    code = "import sys, flatpoint; print(sorted(m for m in ('numpy', 'torch') if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
