"""A `.metadata` that would run a command where it is unpickled, given to everything that reads one: nothing runs."""

import os
import pickle

import flatpoint
import pytest
import torch
import torch.distributed.checkpoint as dcp
from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader, FlatpointWriter


class Code:
    """What unpickling turns into a call of os.system."""

    def __init__(self, trap):
        self.command = f"touch {trap}"

    def __reduce__(self):
        return os.system, (self.command,)


def in_an_attribute(metadata, code):
    metadata.mcore_data = [code]


def in_place_of_a_tensor(metadata, code):
    metadata.state_dict_metadata["evil"] = code


def in_the_planner_data(metadata, code):
    metadata.planner_data["evil"] = code


def in_the_storage_data(metadata, code):
    metadata.storage_data[code] = code


def as_storage_meta(metadata, code):
    metadata.storage_meta = code


def as_version(metadata, code):
    metadata.version = code


@pytest.fixture
def trap(tmp_path):
    trap = tmp_path / "trap"
    yield trap
    assert not trap.exists(), "the pickle ran a command"


@pytest.fixture(
    params=[in_an_attribute, in_place_of_a_tensor, in_the_planner_data, as_storage_meta, as_version],
    ids=lambda place: place.__name__,
)
def folder(request, tmp_path, trap):
    """A checkpoint that loads, with code in its metadata."""
    folder = tmp_path / "c"
    dcp.save({"w": torch.arange(4.0)}, checkpoint_id=folder)
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    request.param(metadata, Code(trap))
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    return folder


def test_the_trap_would_spring(tmp_path):
    pickle.loads(pickle.dumps(Code(tmp_path / "trap")))
    assert (tmp_path / "trap").exists()


def look_at_everything(metadata):
    for mapping in (metadata.state_dict_metadata, metadata.storage_data, metadata.planner_data or {}):
        repr(list(mapping.items()))
    repr((metadata.storage_meta, metadata.version, getattr(metadata, "opaque", None)))
    if "evil" in metadata.state_dict_metadata:  # its opaque bytes have no plain form
        with pytest.raises(flatpoint.Error, match="FQN .evil.: .* it is not pickled"):
            pickle.dumps(metadata)
        return True
    return list(pickle.loads(pickle.dumps(metadata)).state_dict_metadata) == list(metadata.state_dict_metadata)


@pytest.mark.parametrize("converted", [False, True])
@pytest.mark.parametrize("planner", [None, FlatpointLoadPlanner(weights_only=True)], ids=["default", "ours"])
def test_loading(folder, converted, planner):
    if converted:
        flatpoint.open(folder).write(folder / ".metadata.flatpoint")
        (folder / ".metadata").unlink()
    state = {"w": torch.zeros(4)}
    dcp.load(state, storage_reader=FlatpointReader(folder), planner=planner)
    assert torch.equal(state["w"], torch.arange(4.0))
    assert look_at_everything(FlatpointReader(folder).read_metadata())


def test_a_key_that_only_python_can_compare_is_refused(tmp_path, trap):
    folder = tmp_path / "c"
    dcp.save({"w": torch.arange(4.0)}, checkpoint_id=folder)
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    in_the_storage_data(metadata, Code(trap))
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))
    for read in (flatpoint.open, lambda folder: FlatpointReader(folder).read_metadata()):
        with pytest.raises(flatpoint.Error, match="storage_data: a key that only Python can hash and compare") as raised:
            read(folder)
        assert raised.value.code == flatpoint.ErrorCode.BAD_PICKLE


def test_saving_over_it(folder):
    dcp.save({"w": torch.ones(4)}, storage_writer=FlatpointWriter(folder))
    assert look_at_everything(FlatpointReader(folder).read_metadata())
    assert b"posix" not in (folder / ".metadata").read_bytes()


def test_looking_into_it(folder):
    checkpoint = flatpoint.open(folder)
    assert any(b"posix" in record.pickle for record in checkpoint.opaque)
    for fqn in checkpoint:
        repr(checkpoint[fqn])
    repr((checkpoint.opaque, checkpoint.storage_meta, checkpoint.version, checkpoint.verify()))
    assert checkpoint.diff(flatpoint.open(folder)).same


def test_instead_of_metadata(tmp_path, trap):
    (tmp_path / ".metadata").write_bytes(pickle.dumps(Code(trap)))
    for read in (flatpoint.open, lambda folder: FlatpointReader(folder).read_metadata()):
        with pytest.raises(flatpoint.Error, match="system") as raised:
            read(tmp_path)
        assert raised.value.code == flatpoint.ErrorCode.NOT_PICKLE
