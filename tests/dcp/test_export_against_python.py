"""The exporter against Python's own pickle and torch's own classes: what was imported and exported is the same object."""

import json
import os
import pathlib
import pickle
import pickletools
import shutil
import subprocess

import describe_metadata
import make_pickles
import pytest
import torch
import torch.distributed.checkpoint as dcp
from test_import_against_python import HERE, ROOT, Chance, same, stand_ins  # noqa: F401 (a fixture)
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import SavePlan, WriteItem, WriteItemType


def export(paths, *options):
    """Exports each into PATH.exported, through a copy of the program's answers."""
    program = ROOT / os.environ.get("FLATPOINT_BUILD", "build-dev") / "bin" / "dcp_dump_export"
    if not program.exists():
        pytest.fail(f"{program} is not built: build with FLATPOINT_TESTS", pytrace=False)
    lines = "".join(f"{path}\n" for path in paths)
    done = subprocess.run([program, *options], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    assert len(answers) == len(paths)
    return answers


def exported(path):
    return pathlib.Path(f"{path}.exported").read_bytes()


def save(path, metadata, protocol=4):
    path.write_bytes(pickle.dumps(metadata, protocol))
    return path


def check(path, answer, before):
    assert answer == {"dropped": [], "same": True}
    after = pickle.loads(exported(path))
    assert type(after) is type(before)
    expected, objects = describe_metadata.describe(before)
    described, objects_after = describe_metadata.describe(after)
    assert described == expected
    for was, is_now in zip(objects, objects_after, strict=True):
        assert same(was, is_now), (was, is_now)
    return after


def in_own_types(metadata):
    """Lists for sizes and paths for texts are read as what DCP has there, which an export writes."""
    entries, storage = metadata.state_dict_metadata, metadata.storage_data
    for value in filter(describe_metadata.fits_tensor, entries.values()):
        value.size = torch.Size(value.size)
        for chunk in value.chunks:
            chunk.offsets, chunk.sizes = torch.Size(chunk.offsets), torch.Size(chunk.sizes)
        if isinstance(getattr(value.properties, "strides", None), list):
            value.properties.strides = tuple(value.properties.strides)
    for info in filter(describe_metadata.fits_info, storage.values() if isinstance(storage, dict) else ()):
        info.relative_path = str(info.relative_path)
    return metadata


def equal(a, b):
    """The dataclasses' own ==, where it says anything: it does not for objects without some attributes, or without ==."""
    a = in_own_types(a)
    try:
        return a == b or a != pickle.loads(pickle.dumps(a))
    except AttributeError:
        return True


def has_old_properties(metadata):
    """Pickled by torch before 2.3: TensorProperties had another home, and is another class to ==."""
    values = metadata.state_dict_metadata.values()
    return any(getattr(v, "properties", None) and type(v.properties) is not TensorProperties for v in values)


def copies(paths, tmp_path):
    return [pathlib.Path(shutil.copy(path, tmp_path / f"{i}.metadata")) for i, path in enumerate(paths)]


def sample_paths():
    # What Python 3.13 wrote, older ones cannot load.
    paths = [p for p in sorted((ROOT / "tests/samples").rglob("*.metadata")) if "py3.13" not in str(p)]
    assert len(paths) >= 45
    return paths


def hand_made_paths():
    # A stand-in is no path, and torch does not know the types either.
    paths = sorted((HERE / "pickles").glob("*.pickle"))
    return [path for path in paths if path.stem not in ("path_segments", "unknown_types")]


@pytest.mark.parametrize("find_paths", [sample_paths, hand_made_paths])
def test_files(tmp_path, find_paths):
    paths = find_paths()
    mine = copies(paths, tmp_path)
    old = []
    for path, copy, answer in zip(paths, mine, export(mine, "keep")):
        before = pickle.loads(path.read_bytes())
        after = check(copy, answer, before)
        if has_old_properties(before):
            old.append((copy, before))
        else:
            assert equal(before, after), path
    assert old
    for (path, before), answer in zip(old, export([path for path, _ in old], "keep", "2")):
        if before.storage_meta is None:
            assert equal(before, check(path, answer, before)), path


def test_samples_need_no_foreign_names(tmp_path):
    mine = copies(sample_paths(), tmp_path)
    assert all(answer == {"dropped": [], "same": True} for answer in export(mine))


def test_random_metadata(tmp_path):
    seeds = range(int(os.environ.get("FLATPOINT_SEEDS", 300)))
    paths, objects = [], []
    for seed in seeds:
        chance = Chance(seed)
        paths.append(save(tmp_path / f"{seed}.metadata", chance.metadata(), chance.pick(0, 1, 2, 3, 4, 4, 4, 4, 5)))
        objects.append(pickle.loads(paths[-1].read_bytes()))
    for seed, path, answer, before in zip(seeds, paths, export(paths), objects):
        try:
            assert equal(before, check(path, answer, before))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error


def plans(count=3):
    """What Megatron attaches: the plans of all ranks."""
    items = [WriteItem(index=MetadataIndex(f"w{i}"), type=WriteItemType.BYTE_IO) for i in range(count)]
    return [SavePlan(items, planner_data={"a": ("a",)})] * 2


class Foreign:
    """Of a module that DCP does not define."""

    def __eq__(self, other):
        return type(other) is Foreign


def foreign():
    metadata = make_pickles.usual()
    metadata.all_local_plans = plans()
    metadata.mcore_data = {"x": Foreign()}
    metadata.state_dict_metadata["model.norm"] = Foreign()
    return metadata


def test_foreign_names_stop_the_export(tmp_path):
    path = save(tmp_path / "m", foreign())
    answer = export([path])[0]
    assert answer["code"] == "opaque_records"
    assert f"{Foreign.__module__}.Foreign" in answer["error"] and "'model.norm'" in answer["error"]
    assert not pathlib.Path(f"{path}.exported").exists()


def test_foreign_names_kept(tmp_path):
    path = save(tmp_path / "m", foreign())
    assert check(path, export([path], "keep")[0], foreign()) == foreign()


def test_foreign_names_dropped(tmp_path):
    path = save(tmp_path / "m", foreign())
    name = f"{Foreign.__module__}.Foreign"
    assert export([path], "drop")[0]["dropped"] == [f"FQN 'model.norm' needs {name}", f"attribute 'mcore_data' of Metadata needs {name}"]
    after, expected = pickle.loads(exported(path)), foreign()
    assert after.all_local_plans == plans() and after.all_local_plans[0] is after.all_local_plans[1]
    assert not hasattr(after, "mcore_data")
    del expected.state_dict_metadata["model.norm"], expected.planner_data["model.norm"]
    assert after == expected


def test_classes_like_dcps(tmp_path):
    """OLMo-core's _StorageInfo becomes torch's own; opaque records stay."""
    before = pickle.loads((HERE / "pickles" / "olmo_core.pickle").read_bytes())
    before.mcore_data = {"x": Foreign()}
    before.all_local_plans = plans()
    path = save(tmp_path / "m", before)
    assert "olmo_core" in export([path])[0]["error"]
    assert "Foreign" in export([path], "classes")[0]["error"]
    assert export([path], "classes", "keep")[0]["dropped"] == []
    after = pickle.loads(exported(path))
    assert {type(info) for info in after.storage_data.values()} == {_StorageInfo}
    assert after.mcore_data == before.mcore_data and after.all_local_plans == before.all_local_plans
    del after.mcore_data, after.all_local_plans
    assert after == make_pickles.usual()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "torch.load", "torch.distributed.checkpoint.load", "builtins.getattr"])
def test_calls_of_foreign_names(tmp_path, name):
    """A record that would call one goes nowhere by default, and is never executed here."""
    module, _, function = name.rpartition(".")
    call = f"c{module}\n{function}\n(Vtouch {tmp_path}/called\ntR".encode()
    plain = pickle.dumps(make_pickles.usual(), 2)
    path = tmp_path / "m"
    assert plain.endswith(b"ub.")
    path.write_bytes(plain[:-2] + b"X\x01\x00\x00\x00x" + call + b"sb.")
    answer = export([path])[0]
    assert answer["code"] == "opaque_records" and name in answer["error"]
    assert not (tmp_path / "called").exists()


def test_before_strides(tmp_path, monkeypatch):
    """torch 2.14 unpacks exactly five fields."""
    before = make_pickles.usual()
    for value in before.state_dict_metadata.values():
        if not isinstance(value, BytesStorageMetadata):
            value.properties.strides = tuple(range(len(value.size), 0, -1))
    path = save(tmp_path / "m", before)
    assert export([path])[0]["same"]
    assert pickle.loads(exported(path)) == before

    states = []

    def set_state(self, state):
        states.append(state)
        self.dtype, self.layout, self.requires_grad, _, self.pin_memory = state
        self.memory_format = torch.contiguous_format

    assert not export([path], "14")[0]["same"]
    monkeypatch.setattr(TensorProperties, "__setstate__", set_state)
    after = pickle.loads(exported(path))
    assert states
    monkeypatch.undo()
    for value in before.state_dict_metadata.values():
        if not isinstance(value, BytesStorageMetadata):
            value.properties.strides = None
    for value in after.state_dict_metadata.values():
        if not isinstance(value, BytesStorageMetadata):
            assert value.properties.memory_format == torch.contiguous_format
    assert after == before


def test_before_strides_in_opaque_records(tmp_path, monkeypatch):
    """Megatron attaches save plans, which hold tensors' properties, too."""
    before = make_pickles.usual()
    before.plans = [TensorProperties(dtype=torch.float32), TensorProperties(dtype=torch.int8, requires_grad=True)]
    path = save(tmp_path / "m", before)
    export([path], "14")
    states = []
    monkeypatch.setattr(TensorProperties, "__setstate__", lambda self, state: states.append(state))
    pickle.loads(exported(path))
    assert {torch.int8, torch.float32} <= {state[0] for state in states} and {len(state) for state in states} == {5}


def test_what_an_old_torch_cannot_hold(tmp_path):
    metadata = make_pickles.usual()
    key = next(iter(metadata.storage_data))
    metadata.storage_data[key].transform_descriptors = ["stream.zstd/1"]
    metadata.storage_meta = None
    path = save(tmp_path / "m", metadata)
    assert export([path], "7")[0]["dropped"] == []
    answer = export([path], "6")[0]
    assert answer["code"] == "invalid_argument" and key.fqn in answer["error"]


def test_dcp_loads_a_checkpoint_whose_metadata_was_exported(tmp_path):
    state = {
        "model": {f"layer.{i}": torch.arange(12.0).reshape(3, 4) + i for i in range(5)},
        "step": 7,
        "name": "x",
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(5),
    }
    dcp.save(state, checkpoint_id=tmp_path)
    path = tmp_path / ".metadata"
    before = pickle.loads(path.read_bytes())
    check(path, export([path])[0], before)
    shutil.move(f"{path}.exported", path)
    wanted = {
        "model": {name: torch.zeros_like(value) for name, value in state["model"].items()},
        "step": 0,
        "name": "",
        "empty": torch.ones(0, 3),
        "scalar": torch.tensor(0),
    }
    dcp.load(wanted, checkpoint_id=tmp_path)
    assert wanted["step"] == 7 and wanted["name"] == "x" and wanted["scalar"] == 5
    for name, value in state["model"].items():
        assert torch.equal(wanted["model"][name], value)


def test_the_form_is_that_of_pickle(tmp_path):
    """The same instructions in the same order, but for texts, which are written once, and frames."""
    fetches = {"BINGET", "LONG_BINGET"}
    texts = {"SHORT_BINUNICODE", "BINUNICODE"}

    def form(data):
        out = []
        for op, argument, _ in pickletools.genops(data):
            if op.name in texts or op.name in fetches:
                out.append("text or fetch")
            elif op.name not in ("FRAME", "MEMOIZE"):
                out.append((op.name, argument))
        return out

    metadata = make_pickles.usual()
    for value in metadata.state_dict_metadata.values():
        if not isinstance(value, BytesStorageMetadata):
            value.properties.strides = (1,) * len(value.size)
    path = save(tmp_path / "m", metadata)
    assert export([path])[0]["same"]
    ours, theirs = exported(path), path.read_bytes()
    assert form(ours) == form(theirs)
    assert len(ours) <= len(theirs)
