"""The importer against Python's own pickle and torch's own classes."""

import json
import os
import pathlib
import pickle
import random
import subprocess
import sys

import pytest
import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))

import describe_metadata  # noqa: E402
import make_pickles  # noqa: E402


def dump(paths):
    program = ROOT / os.environ.get("FLATPOINT_BUILD", "build-dev") / "bin" / "dcp_dump_import"
    if not program.exists():
        pytest.fail(f"{program} is not built: build with FLATPOINT_TESTS", pytrace=False)
    lines = "".join(f"{path}\n" for path in paths)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert len(answers) == len(paths)
    return answers


def same(a, b, seen=None):
    """Whether two objects have the same parts in the same places: sharing and cycles of what can change included."""
    seen = {} if seen is None else seen
    if type(a) is not type(b):
        return False
    if isinstance(a, type) or type(a) in (int, float, str, bytes, bool, type(None), torch.dtype, torch.layout):
        return a == b and repr(a) == repr(b)
    can_change = not isinstance(a, tuple)
    if can_change and (("a", id(a)) in seen or ("b", id(b)) in seen):
        return seen.get(("a", id(a))) == id(b) and seen.get(("b", id(b))) == id(a)
    seen["a", id(a)], seen["b", id(b)] = id(b), id(a)
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(i, k, seen) and same(j, m, seen) for (i, j), (k, m) in zip(a.items(), b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, seen) for x, y in zip(a, b))
    return same(vars(a), vars(b), seen) if hasattr(a, "__dict__") else a == b


def check(answer, metadata):
    """`answer` says of the file what Python says of the object; returns the objects of its opaque records."""
    assert "error" not in answer, answer
    assert not answer.pop("broken_rules", [])
    records = [bytes.fromhex(record.pop("pickle")) for record in answer["opaque"]]
    expected, objects = describe_metadata.describe(metadata)
    for key, value in expected.items():
        assert answer[key] == value, key
    loaded = [pickle.loads(record) for record in records]
    assert [record[:2] for record in records] == [b"\x80\x04"] * len(records)
    for was, is_now in zip(objects, loaded):
        assert same(was, is_now), (was, is_now)
    return loaded


@pytest.fixture(scope="module", autouse=True)
def stand_ins():
    for make in make_pickles.makers:
        for _ in make():
            pass


def test_samples():
    # What Python 3.13 wrote, older ones cannot load; samples_test.cpp has it.
    paths = [p for p in sorted((ROOT / "tests/samples").rglob("*.metadata")) if "py3.13" not in str(p)]
    assert len(paths) >= 45
    for path, answer in zip(paths, dump(paths)):
        check(answer, pickle.loads(path.read_bytes()))


def test_hand_made():
    paths = sorted((HERE / "pickles").glob("*.pickle"))
    # A stand-in is no path, and torch does not know the types either.
    paths = [path for path in paths if path.stem not in ("path_segments", "unknown_types")]
    for path, answer in zip(paths, dump(paths)):
        check(answer, pickle.loads(path.read_bytes()))


def test_committed_pickles_are_what_the_script_makes():
    for make in make_pickles.makers:
        for name, metadata, data in make():
            described, _ = describe_metadata.describe(metadata)
            assert json.loads((HERE / "pickles" / f"{name}.json").read_text("utf-8")) == described


# --- random metadata --------------------------------------------------------------------------------------------------


class Chance:
    """Metadata at random, of every shape that real ones have, and of shapes that none has."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.odd = self.random.random() < 0.5

    def often(self):
        return self.random.random() < 0.8

    def rarely(self):
        return self.random.random() < (0.1 if self.odd else 0.0)

    def pick(self, *values):
        return self.random.choice(values)

    def number(self):
        return self.random.randrange(2 ** self.pick(1, 7, 8, 9, 16, 17, 31, 32, 33, 40, 62, 63))

    def odd_value(self):
        box = torch.Size([self.random.randrange(9), 0])
        thing = self.pick(  # of a class that belongs elsewhere
            MetadataIndex(self.fqn(), box, 0),
            ChunkStorageMetadata(box, box),
            _StorageInfo("__0_0.distcp", 7, 8),
            box,
            BytesStorageMetadata(),
        )
        return self.pick(
            thing, thing, None, -1, 2**63, 2**100, -(2**63), 1.5, "x", b"x", (), [], {}, (1,), [1], True, {1: [2]}, torch.float8_e5m2
        )

    def fqn(self):
        if self.rarely():
            return self.pick("", ".", "a..b", "\0", "\ud800", "é", "x" * 300, "7", "-1.0")
        parts = ["model", "layers", str(self.random.randrange(50)), self.pick("q", "k", "v", "w", "norm"), self.pick("weight", "bias")]
        return ".".join(parts[: self.random.randint(1, 5)])

    def size(self, rank):
        return torch.Size([self.pick(0, 1, self.random.randrange(2000), self.number()) for _ in range(rank)])

    def chunks(self, size):
        if self.rarely():
            return self.odd_value()
        if not size or self.rarely():
            return [ChunkStorageMetadata(torch.Size([0] * len(size)), size)] * self.pick(0, 1, 1, 2)
        parts = self.random.randint(1, 12)
        step = max(1, -(-size[0] // parts))
        cuts = [min(size[0], i * step) for i in range(parts + 1)]
        boxes = [
            ChunkStorageMetadata(torch.Size((a, *[0] * (len(size) - 1))), torch.Size((b - a, *size[1:]))) for a, b in zip(cuts, cuts[1:])
        ]
        if self.rarely() or self.random.random() < 0.3:
            self.random.shuffle(boxes)
        if boxes and self.rarely():
            boxes[0].offsets = self.odd_value()
        if boxes and self.rarely():
            boxes.append(boxes[0])
        return boxes

    def properties(self, size):
        dtype = self.pick(torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.float8_e4m3fn, torch.complex64)
        strides = [1]
        for n in reversed(size[1:]):
            strides.append(strides[-1] * max(n, 1) % 2**63)
        strides = self.pick(None, tuple(reversed(strides))[: len(size)], tuple(size))
        if self.rarely():
            strides = self.odd_value()
        return TensorProperties(
            dtype=dtype,
            layout=self.pick(torch.strided, torch.strided, torch.sparse_coo),
            requires_grad=self.odd_value() if self.rarely() else self.pick(True, False),
            memory_format=self.pick(torch.contiguous_format, torch.channels_last, torch.preserve_format),
            pin_memory=self.pick(True, False),
            strides=strides,
        )

    def entry(self):
        if self.rarely():
            return self.odd_value()
        if self.random.random() < 0.2:
            return BytesStorageMetadata()
        size = self.size(self.random.choice((0, 1, 1, 2, 2, 2, 3, 4, 9)))
        value = TensorStorageMetadata(self.properties(size), self.odd_value() if self.rarely() else size, self.chunks(size))
        if self.rarely():
            value.extra = self.odd_value()
        return value

    def info(self):
        if self.rarely():
            return self.odd_value()
        path = f"__{self.random.randrange(4)}_{self.pick(0, 0, 1)}.distcp"
        info = _StorageInfo(path, self.number(), self.number())
        if self.random.random() < 0.2:
            info.transform_descriptors = self.pick(["stream.zstd/1"], ("a",), [], None, "x" if self.odd else None)
        if self.rarely():
            setattr(info, self.pick("relative_path", "offset", "length", "other"), self.odd_value())
        return info

    def storage(self, entries):
        data = {}
        for fqn, value in entries.items():
            if type(fqn) is not str:
                continue
            chunks = getattr(value, "chunks", None)
            if not isinstance(value, TensorStorageMetadata):
                data[MetadataIndex(fqn)] = self.info()
            for i, chunk in enumerate(chunks if isinstance(chunks, list) else []):
                if self.often() and isinstance(chunk, ChunkStorageMetadata) and isinstance(chunk.offsets, torch.Size):
                    hint = self.pick(i, i, i, None, 0, -3, 2**40) if self.odd else i
                    data[MetadataIndex(fqn, chunk.offsets, hint)] = self.info()
        items = list(data.items())
        if self.odd:
            items += [(MetadataIndex(self.fqn(), self.pick(None, self.size(2))), self.info()) for _ in range(3)]
            items.append((self.pick(1, "x", (1, 2)), self.info()))
        order = self.pick("as it is", "by file", "shuffled")
        if order == "shuffled":
            self.random.shuffle(items)
        elif order == "by file" and not self.odd:
            items.sort(key=lambda item: (item[1].relative_path, item[1].offset))
        return dict(items)

    def path(self, fqn):
        if self.rarely():
            return self.odd_value()
        parts = fqn.split(".")
        if len(parts) > 2 and self.pick(True, False):
            parts = [parts[0], ".".join(parts[1:-1]), parts[-1]]
        return tuple(int(p) if p.isdigit() and str(int(p)) == p and self.pick(True, False) else p for p in parts)

    def metadata(self):
        entries = {self.fqn(): self.entry() for _ in range(self.random.randint(0, 40))}
        if self.rarely():
            entries[self.pick(1, None, (1, 2), b"x")] = self.entry()
        planner = {fqn: self.path(fqn) for fqn in entries if type(fqn) is str and self.often()}
        if self.pick(True, False):
            planner = dict(sorted(planner.items()))
        metadata = Metadata(
            state_dict_metadata=entries,
            planner_data=self.odd_value() if self.rarely() else planner,
            storage_data=self.odd_value() if self.rarely() else self.storage(entries),
            storage_meta=self.pick(
                None,
                StorageMeta(pathlib.PosixPath(self.pick("/a/b", "a", ".")), "id", None, ["m"] * self.random.randrange(3)),
                StorageMeta(self.pick("x", None), self.pick("id", None)),
            ),
            version=self.odd_value() if self.rarely() else self.pick("1.0.0", None),
        )
        if self.odd:
            keys = list(metadata.storage_data) if isinstance(metadata.storage_data, dict) else None
            metadata.plans = [metadata.state_dict_metadata, keys]
            metadata.cycle = [metadata.plans]
            metadata.cycle.append(metadata.cycle)
        return metadata


def test_random_metadata(tmp_path):
    seeds = range(int(os.environ.get("FLATPOINT_SEEDS", 300)))
    paths, objects = [], []
    for seed in seeds:
        chance = Chance(seed)
        metadata = chance.metadata()
        data = pickle.dumps(metadata, chance.pick(0, 1, 2, 3, 4, 4, 4, 4, 5))
        paths.append(tmp_path / f"{seed}.metadata")
        paths[-1].write_bytes(data)
        objects.append(pickle.loads(data))
    for seed, answer, metadata in zip(seeds, dump(paths), objects):
        try:
            check(answer, metadata)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


def test_bytes_after_stop(tmp_path):
    path = tmp_path / ".metadata"
    path.write_bytes(pickle.dumps(Chance(0).metadata()) + b"more")
    assert dump([path])[0]["findings"] == ["bytes_after_stop"]
