"""Lazy metadata against the object that unpickling gives."""

import collections
import copy
import pathlib
import pickle
import re
import shutil

import flatpoint
import pytest
import torch
import torch.distributed.checkpoint as dcp
from conftest import SAMPLES, can_unpickle, sample_folder
from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader
from flatpoint.torch._metadata import metadata_at
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import WriteItemType

SOURCES = [p for p in sorted(SAMPLES.rglob("*.metadata")) if can_unpickle(p)]
OPAQUE = SAMPLES.parent / "dcp/pickles/misfit_entries.pickle"
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


def test_pickled_as_torchs_own(folder):
    """A tool reads metadata and pickles it, or what it took from it: nothing in the pickle needs flatpoint."""
    lazy = FlatpointReader(folder).read_metadata()
    eager = FileSystemReader(folder).read_metadata()
    fqn = next(iter(lazy.state_dict_metadata))
    parts = Metadata(dict(lazy.state_dict_metadata), dict(lazy.planner_data), dict(lazy.storage_data))
    for made in (lazy, parts, lazy.state_dict_metadata[fqn], copy.deepcopy(lazy)):
        data = pickle.dumps(made)
        assert b"flatpoint" not in data.replace(str(folder).encode(), b"") and b"builtins" not in data
        assert type(pickle.loads(data)) in (Metadata, TensorStorageMetadata)
    again = pickle.loads(pickle.dumps(lazy))
    assert type(again) is Metadata and type(again.storage_data) is type(again.planner_data) is dict
    eager.storage_meta.load_id = lazy.storage_meta.load_id
    assert again == eager and copy.deepcopy(lazy) == eager
    assert type(pickle.loads(pickle.dumps(lazy.storage_data))) is collections.OrderedDict


def test_what_a_reader_gave_is_imported_again(folder):
    """No opaque record comes of it."""
    lazy = FlatpointReader(folder).read_metadata()
    parts = Metadata(dict(lazy.state_dict_metadata), dict(lazy.planner_data), dict(lazy.storage_data))
    (folder / ".metadata").write_bytes(pickle.dumps(parts))
    again = flatpoint.open(folder)
    assert again.opaque == () and list(again) == list(lazy.state_dict_metadata)


def test_a_place_that_holds_something_else(folder):
    """What a save sends to other ranks is the place of the file, which may have been replaced when they look."""
    flatpoint.open(folder).write(folder / ".metadata.flatpoint")
    source = FlatpointReader(folder).read_metadata().state_dict_metadata._source
    data = pickle.dumps(source)
    assert len(data) < 500 and metadata_at(pickle.loads(data), {}).state_dict_metadata.keys() == flatpoint.open(folder).keys()
    other = flatpoint.open(SAMPLES / "s01_plain_tensors")
    other.write(folder / ".metadata.flatpoint", overwrite=True)
    with pytest.raises(flatpoint.Error, match="replaced") as raised:
        len(metadata_at(pickle.loads(data), {}).state_dict_metadata)
    assert raised.value.code == flatpoint.ErrorCode.STALE
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError):
        len(metadata_at(pickle.loads(data), {}).storage_data)


def changes(mapping):
    """What scripts that rename and prune do to a dictionary; everything that it gives back."""
    keys = list(mapping)
    taken = mapping.pop(keys[0])
    mapping["new"] = taken
    mapping.update({"newer": taken}, newest=taken)
    del mapping[keys[1]]
    seen = [mapping.pop("absent", None), mapping.setdefault("new", None) == taken, "new" in mapping, len(mapping)]
    seen += [mapping.copy(), mapping | {"other": 1}, {"other": 1} | mapping, list(reversed(mapping)), mapping.get("newest")]
    mapping |= {"last": taken}
    seen += [list(mapping), list(mapping.items()), list(mapping.values()), mapping.popitem()]
    with pytest.raises(KeyError):
        del mapping["absent"]
    with pytest.raises(KeyError):
        mapping.pop("absent")
    return seen


@pytest.mark.parametrize("name", ["state_dict_metadata", "planner_data", "storage_data"])
def test_changed_as_dictionaries_are(folder, name):
    eager = FileSystemReader(folder).read_metadata()
    lazy = FlatpointReader(folder).read_metadata()
    assert changes(getattr(lazy, name)) == changes(getattr(eager, name))
    assert getattr(lazy, name) == getattr(eager, name) == pickle.loads(pickle.dumps(lazy)).__dict__[name]
    getattr(lazy, name).clear()
    assert not getattr(lazy, name) and getattr(lazy, name) == {}


def test_a_planner_sees_changes(tmp_path):
    """With names changed a plan cannot be made from the file."""
    dcp.save({"old": torch.arange(3.0), "other": torch.ones(2)}, checkpoint_id=tmp_path)
    reader = FlatpointReader(tmp_path)
    metadata = reader.read_metadata()
    for mapping in (metadata.state_dict_metadata, metadata.planner_data):
        mapping["new"] = mapping.pop("old")
    index = next(index for index in metadata.storage_data if index.fqn == "old")
    metadata.storage_data[MetadataIndex("new", index.offset)] = metadata.storage_data.pop(index)
    for planner in (DefaultLoadPlanner(), FlatpointLoadPlanner()):
        planner.set_up_planner({"new": torch.zeros(3)}, metadata, True)
        (item,) = planner.create_local_plan().items
        assert item.storage_index in metadata.storage_data
        planner.set_up_planner({"old": torch.zeros(3)}, metadata, True)
        with pytest.raises(RuntimeError, match="Missing key in checkpoint state_dict: old."):
            planner.create_local_plan()


def test_walking_again_makes_nothing_anew(folder):
    lazy = FlatpointReader(folder).read_metadata()
    for mapping in (lazy.state_dict_metadata, lazy.planner_data, lazy.storage_data):
        first = list(mapping.items())
        assert all(a[1] is b[1] for a, b in zip(first, mapping.items(), strict=True))
        assert all(mapping[key] is value for key, value in first)


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


@pytest.mark.since(2, 15)
def test_attributes_of_dcps_own_classes():
    """Megatron looks for all_local_plans on what it loaded."""
    lazy = FlatpointReader(SAMPLES / "s23_megatron_all_local_plans").read_metadata()
    eager = FileSystemReader(SAMPLES / "s23_megatron_all_local_plans").read_metadata()
    assert hasattr(lazy, "all_local_plans") and lazy.all_local_plans == eager.all_local_plans
    assert [type(plan) for plan in lazy.all_local_plans] == [type(plan) for plan in eager.all_local_plans]
    assert lazy.all_local_plans is lazy.all_local_plans
    assert pickle.loads(pickle.dumps(lazy)).all_local_plans == eager.all_local_plans
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        lazy.absent


class Runs:
    def __init__(self, call, *arguments):
        self.call = call, arguments

    def __reduce__(self):
        return self.call


def attack(pickled):
    """Metadata with one attribute that a file gave."""
    metadata = FlatpointReader(SAMPLES / "s01_plain_tensors").read_metadata()
    metadata.opaque = (flatpoint.OpaqueRecord("attribute", 0, "x", pickled),)
    return metadata


@pytest.mark.parametrize(
    "value",
    [
        Runs(print, "run"),
        Runs(getattr, pathlib.Path("x"), "write_text"),
        [Runs(eval, "1")],
        Runs(torch.Size, [10**9] * 3, 1),
        Runs(torch.load, "x"),
        Runs(bytes, 3_000_000_000),
        Runs(WriteItemType, "x"),
        collections.OrderedDict(a=1),
        WriteItemType,
    ],
    ids=repr,
)
def test_attributes_that_are_not_built(value, capsys):
    metadata = attack(pickle.dumps(value))
    assert not hasattr(metadata, "x") and metadata.opaque
    with pytest.raises(AttributeError, match="opaque pickle"):
        metadata.x
    assert not hasattr(pickle.loads(pickle.dumps(metadata)), "x")
    assert capsys.readouterr().out == ""


def test_building_attributes_changes_nothing_that_is_shared():
    """BUILD on a member of an enum, and on a cached dtype."""
    planner = b"torch.distributed.checkpoint.planner"
    member = b"c" + planner + b"\nWriteItemType\n(K\x01tR"
    before = dict(WriteItemType.TENSOR.__dict__)
    metadata = attack(b"\x80\x02" + member + b"}X\x04\x00\x00\x00nameX\x04\x00\x00\x00evilsb.")
    assert not hasattr(metadata, "x")
    assert WriteItemType.TENSOR.__dict__ == before and WriteItemType.TENSOR.name == "TENSOR"
    assert attack(b"\x80\x02" + member + b".").x is WriteItemType.TENSOR
    assert not hasattr(attack(b"\x80\x02ctorch\nfloat32\n}b."), "x")
    assert attack(b"\x80\x02ctorch\nfloat32\n.").x is torch.float32


def test_an_opaque_entry_is_not_pickled(tmp_path):
    """Who loads the pickle would run what the checkpoint says. A copy runs nothing."""
    metadata = FlatpointReader(sample_folder(OPAQUE, tmp_path)).read_metadata()
    entry = next(value for value in metadata.state_dict_metadata.values() if isinstance(value, flatpoint.Opaque))
    assert copy.copy(entry) is entry and copy.deepcopy([entry]) == [entry]
    for value in (entry, [entry], metadata, metadata.state_dict_metadata):
        for protocol in (2, pickle.HIGHEST_PROTOCOL):
            with pytest.raises(flatpoint.Error, match=f"{re.escape(repr(entry.fqn))}.* is not pickled"):
                pickle.dumps(value, protocol)


def test_an_opaque_entry_and_planners(tmp_path):
    """The error names the FQN."""
    metadata = FlatpointReader(sample_folder(OPAQUE, tmp_path)).read_metadata()
    opaque = [fqn for fqn, value in metadata.state_dict_metadata.items() if isinstance(value, flatpoint.Opaque)]
    assert opaque
    for planner in (DefaultLoadPlanner(), FlatpointLoadPlanner()):
        planner.set_up_planner({opaque[0]: torch.zeros(1)}, metadata, True)
        with pytest.raises(Exception, match=re.escape(opaque[0])) as raised:
            planner.create_local_plan()
        assert not isinstance(raised.value, AttributeError) or isinstance(raised.value, flatpoint.Error)
