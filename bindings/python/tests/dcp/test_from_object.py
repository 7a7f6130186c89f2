"""Metadata objects encoded without Python's pickle: the same file as importing their pickle, to the byte."""

import copy
import importlib.util
import pathlib
import pickle
import sys

import flatpoint
import pytest
import torch
from conftest import SAMPLES, can_unpickle
from flatpoint import _core
from flatpoint.torch import FlatpointReader
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
from torch.distributed.checkpoint.storage import WriteResult

IMPORTER = SAMPLES.parent / "dcp"
WORD = 8


def importers_tests():
    """The module that makes random metadata for the importer's tests."""
    sys.path.insert(0, str(IMPORTER))
    spec = importlib.util.spec_from_file_location("importers_tests", IMPORTER / "test_import_against_python.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Chance = importers_tests().Chance


def file_of(checkpoint):
    return bytes(memoryview(checkpoint._file_bytes))


def assert_same_file(ours, theirs, lengths):
    """But for what names the pickle: its length and two digests, and with them the file's own digest."""
    a, b = file_of(ours), file_of(theirs)
    assert len(a) == len(b)
    words = [i for i in range(0, len(a), WORD) if a[i : i + WORD] != b[i : i + WORD]]
    assert len(words) <= 4
    if words:
        source = [i for i in words if i < len(a) - 24]
        assert [int.from_bytes(file[source[0] : source[0] + WORD], "little") for file in (a, b)] == lengths or len(source) == 2
        assert source[-1] - source[0] <= 2 * WORD
    for name in _core.column_names:
        assert bytes(memoryview(ours._column(name))) == bytes(memoryview(theirs._column(name))), name


def check(metadata, rank=None):
    """Whether the object was plain; if so, all that is to hold."""
    before = pickle.dumps(metadata)
    encoded = _core.from_object(metadata, rank=rank, keep_pickle=True)
    assert pickle.dumps(metadata) == before
    if encoded is None:
        return False
    ours, data, _ = encoded
    assert_same_file(ours, flatpoint.from_bytes(before, rank=rank), [len(data), len(before)])
    assert file_of(flatpoint.from_bytes(data, rank=rank)) == file_of(ours)
    assert ours.rank == rank and ours.verify().sound

    read = pickle.loads(data)
    metadata = copy.copy(metadata)
    if metadata.storage_meta is not None:  # which before torch 2.8 had no modules, and cannot be compared then
        assert read.storage_meta.__dict__ == metadata.storage_meta.__dict__
        metadata.storage_meta = read.storage_meta
    assert type(read) is Metadata and read == metadata
    for name in ("state_dict_metadata", "planner_data", "storage_data"):
        theirs, own = getattr(metadata, name), getattr(read, name)
        assert (theirs is None) == (own is None)
        assert theirs is None or list(theirs) == list(own)
    for a, b in zip(metadata.storage_data or (), read.storage_data or ()):
        assert a.index == b.index and a.__dict__.keys() == b.__dict__.keys()
    return True


def test_random_metadata():
    plain = sum(check(Chance(seed).metadata(), rank=None if seed % 3 else seed) for seed in range(300))
    assert plain >= 100  # those without odd values


@pytest.mark.parametrize(
    "source", [p for p in sorted(SAMPLES.rglob("*.metadata")) if can_unpickle(p)], ids=lambda p: str(p.relative_to(SAMPLES))
)
def test_samples(source):
    metadata = pickle.loads(source.read_bytes())
    version = source.relative_to(SAMPLES).parts
    is_plain = check(metadata)
    if not any(word in str(version) for word in ("legacy", "real_t2.1", "megatron", "real_t2.3")):
        assert is_plain


def chunk(offsets, sizes):
    return ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes))


def plain():
    properties = TensorProperties(torch.bfloat16, strides=(4, 1))
    tensor = TensorStorageMetadata(properties, torch.Size((8, 4)), [chunk((0, 0), (4, 4)), chunk((4, 0), (4, 4))])
    return Metadata(
        {"layers.0.w": tensor, "step": BytesStorageMetadata()},
        {"layers.0.w": ("layers", 0, "w"), "step": ("step",)},
        {
            MetadataIndex("layers.0.w", (4, 0), 1): _StorageInfo("__1_0.distcp", 0, 32),
            MetadataIndex("layers.0.w", (0, 0), 0): _StorageInfo("__0_0.distcp", 2**40, 32, ["stream.zstd/1"]),
            MetadataIndex("step"): _StorageInfo("__0_0.distcp", 32, 9),
        },
        StorageMeta(pathlib.PosixPath("/a/b"), "id"),
        "1.0.0",
    )


def results_of(metadata, ranks=2):
    lists = [[] for _ in range(ranks)]
    for number, (index, info) in enumerate(metadata.storage_data.items()):
        lists[number * ranks // len(metadata.storage_data)].append(WriteResult(index, info.length, info))
    return lists


def test_results_in_the_place_of_storage_data():
    whole = plain()
    part = plain()
    part.storage_data = None
    ours, data, (keys, infos) = _core.from_object(part, results_of(whole), keep_pickle=True)
    assert pickle.loads(data) == whole and file_of(ours) == file_of(_core.from_object(whole)[0])
    assert dict(zip(keys, infos)) == whole.storage_data
    assert all(a is b for a, b in zip(keys, whole.storage_data))

    twice = results_of(whole) + [[WriteResult(MetadataIndex("step"), 5, _StorageInfo("__1_0.distcp", 7, 5))]]
    assert _core.from_object(part, twice, keep_pickle=True) is None  # a dictionary keeps the last of equal keys
    assert _core.from_object(part, [[1]]) is None and _core.from_object(part, [()]) is None


def test_plain():
    assert check(plain()) and check(plain(), rank=3)
    assert check(Metadata({})) and check(Metadata({}, {}, {}, StorageMeta()))


def test_many():
    """Batches, frames, memo numbers beyond a byte; more than one chunk per list."""
    metadata = plain()
    entry = metadata.state_dict_metadata["layers.0.w"]
    for i in range(2500):
        metadata.state_dict_metadata[f"t{i}"] = copy.deepcopy(entry)
        metadata.planner_data[f"t{i}"] = (f"t{i}",)
        for number, box in enumerate(entry.chunks):
            metadata.storage_data[MetadataIndex(f"t{i}", box.offsets, number)] = _StorageInfo(f"__{number}_0.distcp", 64 * i, 32)
    rows = [chunk((i, 0), (1, 4)) for i in range(3001)]
    metadata.state_dict_metadata["rows"] = TensorStorageMetadata(TensorProperties(torch.int8), torch.Size((3001, 4)), rows)
    assert check(metadata)


class Str(str):
    pass


class Int(int):
    pass


class Index(MetadataIndex):
    pass


def changed(**attributes):
    """Each names a part of the plain object, and what is assigned to it."""
    metadata = plain()
    tensor = metadata.state_dict_metadata["layers.0.w"]
    parts = {"metadata": metadata, "tensor": tensor, "properties": tensor.properties, "chunk": tensor.chunks[1]}
    parts |= {"info": next(iter(metadata.storage_data.values())), "meta": metadata.storage_meta}
    for name, value in attributes.items():
        part, attribute = name.split("__")
        setattr(parts[part], attribute, value)
    return metadata


NOT_PLAIN = {
    "an attribute of the root": changed(metadata__all_local_plans=[1]),
    "an attribute of a tensor": changed(tensor__extra=1),
    "an attribute of a chunk": changed(chunk__extra=1),
    "an attribute of a location": changed(info__extra=1),
    "an attribute of properties": changed(properties__extra=1),
    "offsets that are a tuple": changed(chunk__offsets=(4, 0)),
    "sizes that are a list": changed(chunk__sizes=[4, 4]),
    "a size that is none": changed(tensor__size=None),
    "chunks that are a tuple": changed(tensor__chunks=()),
    "strides that are a list": changed(properties__strides=[4, 1]),
    "a flag that is a number": changed(properties__requires_grad=1),
    "an offset beyond int64": changed(info__offset=2**63),
    "an int of another class": changed(info__length=Int(3)),
    "a str of another class": changed(info__relative_path=Str("x")),
    "a dict of no FQNs": changed(metadata__planner_data={1: ("a",)}),
    "paths that are lists": changed(metadata__planner_data={"step": ["step"]}),
    "planner data of one's own": changed(metadata__planner_data="mine"),
    "a key of another class": changed(metadata__storage_data={Index("step"): _StorageInfo("x", 0, 1)}),
    "a storage dict of another class": changed(metadata__storage_data=type("D", (dict,), {})()),
    "a version that is no str": changed(metadata__version=1),
    "modules that are a tuple": changed(meta__modules=("a",)),
    "another path": changed(meta__checkpoint_id=pathlib.PurePosixPath("a")),
    "a value of another class": Metadata({"a": torch.Size((1,))}),
}


@pytest.mark.parametrize("name", NOT_PLAIN)
def test_what_is_left_to_python(name):
    assert _core.from_object(NOT_PLAIN[name]) is None


def test_other_objects():
    for thing in (1, {}, object(), torch.Size([1])):
        assert _core.from_object(thing) is None


def test_flags_and_texts():
    for strides in (None, (), (4, 1), torch.Size((4, 1)), (0, -1)):
        assert check(changed(properties__strides=strides))
    assert check(changed(properties__layout=torch.sparse_coo, properties__memory_format=torch.preserve_format, properties__pin_memory=True))
    assert check(changed(info__relative_path="\ud800 \0 é" + "x" * 300, metadata__version=None, meta__checkpoint_id="x"))
    for transforms in ([], (), ("a",), ("a", "b", "c", "d")):
        assert check(changed(info__transform_descriptors=transforms))
    assert check(changed(info__offset=2**63 - 1, info__length=0, metadata__planner_data=None, metadata__storage_data=None))
    assert check(changed(meta__modules=["a", "b"], meta__save_id=None, metadata__storage_meta=None))
    five = plain()
    del five.state_dict_metadata["layers.0.w"].properties.strides  # as unpickling a file of an older torch leaves it
    assert _core.from_object(five) is not None


def test_lazy_metadata_is_not_read_through(tmp_path):
    (tmp_path / ".metadata").write_bytes(pickle.dumps(plain()))
    assert _core.from_object(FlatpointReader(tmp_path).read_metadata()) is None
