"""dcp.load through our reader and planner, in one process and in several."""

import pickle

import flatpoint
import pytest
import torch
import torch.distributed.checkpoint as dcp
from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader, IncompatibleCheckpointError
from torch.distributed.checkpoint.metadata import MetadataIndex
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict_from_keys


class Sneaky:
    """An object that unpickling calls code for."""

    def __reduce__(self):
        return print, ("unpickled",)

    def __eq__(self, other):
        return True


STATE = {
    "model": {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.tensor(2.5)},
    "optimizer": [{"step": 3}, {"exp_avg": torch.ones(5, dtype=torch.bfloat16)}],
    "epoch": 7,
}


def empty():
    return {
        "model": {"weight": torch.zeros(3, 4), "bias": torch.tensor(0.0)},
        "optimizer": [{"step": 0}, {"exp_avg": torch.zeros(5, dtype=torch.bfloat16)}],
        "epoch": 0,
    }


def assert_equal(loaded, expected):
    assert torch.equal(loaded["model"]["weight"], expected["model"]["weight"])
    assert torch.equal(loaded["model"]["bias"], expected["model"]["bias"])
    assert loaded["optimizer"][0] == expected["optimizer"][0] and loaded["epoch"] == expected["epoch"]
    assert torch.equal(loaded["optimizer"][1]["exp_avg"], expected["optimizer"][1]["exp_avg"])


@pytest.fixture(params=["pickle", "flatpoint"])
def saved(request, tmp_path):
    dcp.save(STATE, checkpoint_id=tmp_path)
    if request.param == "flatpoint":
        flatpoint.open(tmp_path).write(tmp_path / ".metadata.flatpoint")
        (tmp_path / ".metadata").unlink()
    return tmp_path


@pytest.mark.parametrize("planner", [None, FlatpointLoadPlanner()], ids=["default", "ours"])
def test_load(saved, planner):
    state = empty()
    dcp.load(state, storage_reader=FlatpointReader(saved), planner=planner)
    assert_equal(state, STATE)


def test_reader_is_used_again(tmp_path):
    dcp.save(STATE, checkpoint_id=tmp_path / "a")
    dcp.save({"epoch": 8}, checkpoint_id=tmp_path / "b")
    reader = FlatpointReader(tmp_path / "a")
    state = empty()
    dcp.load(state, storage_reader=reader)
    later = {"epoch": 0}
    dcp.load(later, storage_reader=reader, checkpoint_id=tmp_path / "b")
    assert state["epoch"] == 7 and later["epoch"] == 8


def test_keys(saved):
    loaded = _load_state_dict_from_keys({"model.weight"}, storage_reader=FlatpointReader(saved))
    assert list(loaded) == ["model"] and torch.equal(loaded["model"]["weight"], STATE["model"]["weight"])
    loaded = _load_state_dict_from_keys("model", storage_reader=FlatpointReader(saved))
    assert set(loaded["model"]) == {"weight", "bias"}


@pytest.mark.since(2, 7)  # older ones load nothing where no key is named
def test_all_keys(saved):
    everything = _load_state_dict_from_keys(storage_reader=FlatpointReader(saved))
    assert set(everything) == {"model", "optimizer", "epoch"}


def load(folder, state, **options):
    dcp.load(state, storage_reader=FlatpointReader(folder), planner=FlatpointLoadPlanner(**options))


def test_all_that_does_not_fit_is_in_one_error(saved):
    state = empty()
    state["model"] = {"weight": torch.zeros(4, 3), "bias": torch.tensor(0.0), "absent": torch.zeros(1), "gone": 1}
    with pytest.raises(BaseException) as raised:
        load(saved, state)
    text = str(raised.value)
    assert "model.weight" in text and "model.absent" in text and "model.gone" in text and "model.bias" not in text
    assert isinstance(raised.value.failures[0][0], IncompatibleCheckpointError)
    assert isinstance(raised.value.failures[0][0], (RuntimeError, ValueError))


def test_messages_begin_as_torchs(saved):
    """Programs look for torch's words."""
    state = empty() | {"gone": torch.zeros(1)}
    state["model"]["weight"] = torch.zeros(4, 3)
    wanted = [
        "Missing key in checkpoint state_dict: gone.",
        "Size mismatch between saved torch.Size([3, 4]) and current: torch.Size([4, 3]) for model.weight",
    ]
    with pytest.raises(BaseException) as raised:
        load(saved, state)
    error = raised.value.failures[0][0]
    lines = str(error).splitlines()
    assert sorted(lines[:2]) == wanted and len(error.issues) == 2
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.issues) == (str(error), error.issues)


def test_partial(saved):
    state = {"model": {"weight": torch.zeros(3, 4), "absent": torch.ones(2)}}
    with pytest.raises(BaseException, match="absent"):
        load(saved, state)
    load(saved, state, allow_partial_load=True)
    assert torch.equal(state["model"]["weight"], STATE["model"]["weight"])
    assert torch.equal(state["model"]["absent"], torch.ones(2))


def test_a_tensor_where_an_object_is_wanted(saved):
    with pytest.raises(BaseException, match="model.weight"):
        load(saved, {"model": {"weight": "text"}})


def test_objects_that_weights_only_refuses(tmp_path, capsys):
    dcp.save({"x": Sneaky(), "y": 5}, checkpoint_id=tmp_path)
    fine = {"y": 0}
    load(tmp_path, fine, weights_only=True)
    assert fine["y"] == 5
    with pytest.raises(BaseException, match="[Ww]eights.only"):
        load(tmp_path, {"x": None, "y": 0}, weights_only=True)
    assert "unpickled" not in capsys.readouterr().out
    load(tmp_path, {"x": None, "y": 0})
    assert "unpickled" in capsys.readouterr().out


def test_metadata_that_others_made(saved):
    """With torch's own metadata, the planner is torch's."""
    dcp.save(STATE, checkpoint_id=saved / "again")
    state = empty()
    dcp.load(state, storage_reader=dcp.FileSystemReader(saved / "again"), planner=FlatpointLoadPlanner())
    assert_equal(state, STATE)


def test_flattening_of_old_checkpoints(tmp_path):
    """Before torch 2.4 lists and what they hold were one object under one key."""
    from torch.distributed.checkpoint import _version

    _version._derived_version = "2_3"
    try:
        dcp.save({"lists": [{"a": 1}, {"b": 2}], "t": torch.ones(2)}, checkpoint_id=tmp_path)
    finally:
        _version._derived_version = None
    saved = list(flatpoint.open(tmp_path))
    for planner in (None, FlatpointLoadPlanner()):
        state = {"lists": [{"a": 0}, {"b": 0}], "t": torch.zeros(2)}
        dcp.load(state, storage_reader=FlatpointReader(tmp_path), planner=planner)
        assert state["lists"] == [{"a": 1}, {"b": 2}] and torch.equal(state["t"], torch.ones(2)), saved


def test_storage_index_of_items_is_found(saved):
    metadata = FlatpointReader(saved).read_metadata()
    planner = FlatpointLoadPlanner()
    planner.set_up_planner(empty(), metadata, True)
    for item in planner.create_local_plan().items:
        assert item.storage_index in metadata.storage_data
        assert isinstance(item.storage_index, MetadataIndex) and type(item.lengths) is torch.Size


def test_reshard(run_ranks, tmp_path):
    """Also from sharded to replicated and back, and onto meshes of two dimensions."""
    run_ranks(4, "save_with_torch_2d", tmp_path / "c")
    for world in (2, 3):
        run_ranks(world, "load_everything", tmp_path / "c")
