"""Lazy metadata against the object that unpickling gives."""

import pickle
import shutil

import flatpoint
import pytest
import torch
from conftest import SAMPLES, can_unpickle, sample_folder
from flatpoint.torch import FlatpointReader
from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)

SOURCES = [p for p in sorted(SAMPLES.rglob("*.metadata")) if can_unpickle(p)]
LLM = SAMPLES / "synthetic_w64_1000/.metadata"


OLD_FIELDS = ("dtype", "layout", "requires_grad", "memory_format", "pin_memory")


def with_todays_classes(eager):
    """Before torch 2.3 TensorProperties was another class, before 2.8 StorageMeta had no modules: ours are today's."""
    for value in eager.state_dict_metadata.values():
        properties = getattr(value, "properties", None)
        if properties is not None and type(properties) is not TensorProperties:
            value.properties = TensorProperties(*(getattr(properties, name) for name in OLD_FIELDS))
    if not hasattr(eager.storage_meta, "modules"):
        eager.storage_meta.modules = []
    return eager


@pytest.fixture(params=SOURCES, ids=lambda p: str(p.relative_to(SAMPLES)))
def source(request):
    return request.param


@pytest.fixture(params=["pickle", "flatpoint"])
def pair(request, source, tmp_path):
    """(lazy, eager) of one checkpoint."""
    folder = sample_folder(source, tmp_path / "c")
    reader = FileSystemReader(folder)
    eager = reader.read_metadata()
    if request.param == "flatpoint":
        flatpoint.open(folder).write(folder / ".metadata.flatpoint")
    ours = FlatpointReader(folder)
    ours.load_id = reader.load_id
    lazy = ours.read_metadata()
    assert lazy.state_dict_metadata._source.checkpoint.origin == request.param
    return lazy, with_todays_classes(eager)


def test_equal(pair):
    lazy, eager = pair
    assert isinstance(lazy, Metadata) and lazy
    for name in ("state_dict_metadata", "planner_data", "storage_data", "storage_meta"):
        assert getattr(lazy, name) == getattr(eager, name), name
        assert getattr(eager, name) == getattr(lazy, name), name
    if type(eager) is Metadata:
        assert lazy == eager and eager == lazy
        assert not lazy != eager


def test_orders(pair):
    lazy, eager = pair
    assert list(lazy.state_dict_metadata) == list(eager.state_dict_metadata)
    assert list(lazy.storage_data) == list(eager.storage_data)
    assert [key.index for key in lazy.storage_data] == [key.index for key in eager.storage_data]
    assert len(lazy.storage_data) == len(eager.storage_data)
    if eager.planner_data is not None:
        assert list(lazy.planner_data) == list(eager.planner_data)


def test_types(pair):
    lazy, eager = pair
    for fqn, theirs in eager.state_dict_metadata.items():
        ours = lazy.state_dict_metadata[fqn]
        assert fqn in lazy.state_dict_metadata
        assert type(ours) is type(theirs) and repr(ours) == repr(theirs)
        if not isinstance(theirs, TensorStorageMetadata):
            continue
        assert type(ours.size) is torch.Size
        strides = [getattr(value.properties, "strides", None) for value in (ours, theirs)]
        assert type(strides[0]) is type(strides[1])
        assert len(ours.chunks) == len(theirs.chunks) and bool(ours.chunks) == bool(theirs.chunks)
        for i, chunk in enumerate(theirs.chunks):
            assert type(ours.chunks[i]) is ChunkStorageMetadata
            assert type(ours.chunks[i].offsets) is type(ours.chunks[i].sizes) is torch.Size
    for index, theirs in eager.storage_data.items():
        ours = lazy.storage_data[index]
        assert type(ours) is _StorageInfo
        assert getattr(ours, "transform_descriptors", None) == getattr(theirs, "transform_descriptors", None)


@pytest.fixture
def folder(tmp_path):
    return sample_folder(LLM, tmp_path / "llm")


def test_nothing_is_unpickled(folder, monkeypatch):
    def refuse(*_):
        raise AssertionError("unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    metadata = FlatpointReader(folder).read_metadata()
    assert len(metadata.state_dict_metadata) == 21


def test_pickled_as_a_place(folder):
    for make in (lambda: None, lambda: flatpoint.open(folder).write(folder / ".metadata.flatpoint")):
        make()
        lazy = FlatpointReader(folder).read_metadata()
        data = pickle.dumps(lazy)
        assert len(data) < 1500 < LLM.stat().st_size / 100
        assert pickle.loads(data) == lazy


def test_a_place_that_holds_something_else(folder):
    flatpoint.open(folder).write(folder / ".metadata.flatpoint")
    data = pickle.dumps(FlatpointReader(folder).read_metadata())
    other = flatpoint.open(SAMPLES / "s01_plain_tensors")
    other.write(folder / ".metadata.flatpoint", overwrite=True)
    copy = pickle.loads(data)
    with pytest.raises(flatpoint.Error, match="replaced") as raised:
        len(copy.state_dict_metadata)
    assert raised.value.code == flatpoint.ErrorCode.STALE
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError):
        len(pickle.loads(data).storage_data)


def test_values_are_made_once(folder):
    """Megatron and torch's quantized reader assign to sizes for a while."""
    lazy = FlatpointReader(folder).read_metadata()
    fqn = next(iter(lazy.state_dict_metadata))
    lazy.state_dict_metadata[fqn].size = torch.Size([1])
    assert lazy.state_dict_metadata[fqn].size == torch.Size([1])


def test_absent_keys(folder):
    lazy = FlatpointReader(folder).read_metadata()
    fqn = next(iter(lazy.state_dict_metadata))
    for mapping, key in (
        (lazy.state_dict_metadata, "absent"),
        (lazy.planner_data, "absent"),
        (lazy.storage_data, MetadataIndex("absent")),
        (lazy.storage_data, MetadataIndex(fqn)),
        (lazy.storage_data, MetadataIndex(fqn, (1, 1))),
        (lazy.storage_data, fqn),
    ):
        assert key not in mapping and mapping.get(key) is None
        with pytest.raises(KeyError):
            mapping[key]
        with pytest.raises(TypeError):
            mapping[key] = 1


def test_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither"):
        FlatpointReader(tmp_path).read_metadata()


def test_limits(folder):
    with pytest.raises(flatpoint.Error, match="max_chunks"):
        FlatpointReader(folder, limits={"max_chunks": 5}).read_metadata()


@pytest.mark.since(2, 9)
def test_rank_files():
    eager = FileSystemReader(SAMPLES / "d09_no_collectives").read_metadata(rank=2)
    reader = FlatpointReader(SAMPLES / "d09_no_collectives")
    assert reader.read_metadata(rank=2).state_dict_metadata == eager.state_dict_metadata
    assert len(reader.read_metadata().storage_data) > len(eager.storage_data)  # of all ranks


def test_bytes_metadata_is_torchs_own(tmp_path):
    metadata = FlatpointReader(SAMPLES / "s07_optimizer_bytes").read_metadata()
    kinds = {type(value) for value in metadata.state_dict_metadata.values()}
    assert kinds == {TensorStorageMetadata, BytesStorageMetadata}
