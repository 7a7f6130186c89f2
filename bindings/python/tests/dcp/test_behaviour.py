"""What users of DCP's file system classes and planners rely on, with ours in their place."""

import io
import pickle

import flatpoint
import pytest
import torch
import torch.distributed.checkpoint as dcp
from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader, FlatpointWriter
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save, torch_save_to_dcp
from torch.distributed.checkpoint.planner import WriteItemType


def tensors(fill=None):
    shapes = {"a": (4, 6), "b": (7,), "scalar": (), "empty": (0, 3), "wide": (1, 130)}
    make = torch.rand if fill is None else lambda shape: torch.full(shape, fill)
    return {name: make(shape) for name, shape in shapes.items()}


def assert_tensors(loaded, saved):
    assert loaded.keys() == saved.keys()
    for name, tensor in saved.items():
        assert torch.equal(loaded[name], tensor), name


def save(state, folder, **options):
    return dcp.save(state, storage_writer=FlatpointWriter(folder, **options))


def load(state, folder, planner=FlatpointLoadPlanner):
    dcp.load(state, storage_reader=FlatpointReader(folder), planner=planner() if planner else None)
    return state


@pytest.fixture(params=[None, FlatpointLoadPlanner], ids=["torchs_planner", "our_planner"])
def planner(request):
    return request.param


@pytest.mark.parametrize("single_file", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("sync", [True, False])
def test_files_and_threads(tmp_path, single_file, threads, sync):
    saved = tensors()
    save(saved, tmp_path, single_file_per_rank=single_file, thread_count=threads, sync_files=sync, per_thread_copy_ahead=1)
    files = {path.name for path in tmp_path.glob("*.distcp")}
    checkpoint = flatpoint.open(tmp_path)
    assert set(checkpoint.files) <= files and len(checkpoint.files) > (1 if not single_file else 0)
    if not single_file:
        assert len(files) == len(saved)
    assert_tensors(load(tensors(0.0), tmp_path), saved)


def test_nothing_to_save(tmp_path, planner):
    save({}, tmp_path)
    assert len(flatpoint.open(tmp_path)) == 0
    load({}, tmp_path, planner)


def test_a_part_is_loaded(tmp_path, planner):
    """What the checkpoint has beyond what is asked for is passed over."""
    saved = tensors()
    save(saved, tmp_path)
    assert_tensors(load({"b": torch.zeros(7)}, tmp_path, planner), {"b": saved["b"]})


def test_missing_keys(tmp_path, planner):
    save(tensors(), tmp_path)
    with pytest.raises(BaseException, match="other"):
        load(tensors(0.0) | {"other": torch.zeros(1)}, tmp_path, planner)


def test_another_size(tmp_path, planner):
    save(tensors(), tmp_path)
    for wrong in ((4, 7), (6, 4), (24,), ()):
        with pytest.raises(BaseException, match="a"):
            load({"a": torch.zeros(wrong)}, tmp_path, planner)


def test_another_dtype_is_converted(tmp_path, planner):
    saved = tensors()
    save(saved, tmp_path)
    loaded = load({"a": torch.zeros(4, 6, dtype=torch.float64)}, tmp_path, planner)
    assert torch.equal(loaded["a"], saved["a"].double())


def test_tensors_that_are_views(tmp_path, planner):
    base = torch.arange(48.0).reshape(6, 8)
    save({"columns": base[:, ::2], "turned": base.t(), "part": base[2:4]}, tmp_path)
    into = torch.zeros(6, 8)
    state = {"columns": into[:, ::2], "turned": torch.zeros(6, 8).t(), "part": torch.zeros(2, 8)}
    load(state, tmp_path, planner)
    assert torch.equal(into[:, ::2], base[:, ::2]) and torch.count_nonzero(into[:, 1::2]) == 0
    assert torch.equal(state["turned"], base.t()) and torch.equal(state["part"], base[2:4])


def test_objects_and_tensors_mixed_up(tmp_path, planner):
    save({"object": {"deep": ["text", 3]}, "tensor": torch.ones(2)}, tmp_path)
    with pytest.raises(BaseException):
        load({"tensor": "not a tensor"}, tmp_path, planner)
    state = load({"object": {"deep": ["", 0]}}, tmp_path, planner)
    assert state["object"] == {"deep": ["text", 3]}


def test_nested(tmp_path, planner):
    def make(fill):
        layers = [{"w": torch.full((2,), fill), "names": (f"{fill}", fill)} for _ in range(3)]
        return {"model": {"layers": layers, "a.b": {"c": torch.full((), fill)}}, "step": fill, "none": None}

    save(make(2.0), tmp_path)
    state = load(make(0.0), tmp_path, planner)
    assert torch.equal(state["model"]["layers"][2]["w"], torch.full((2,), 2.0))
    assert state["model"]["a.b"]["c"] == 2.0 and state["step"] == 2.0 and state["none"] is None
    assert state["model"]["layers"][1]["names"] == ("2.0", 2.0)


class Counter:
    """Stateful: DCP saves and restores it through these two."""

    def __init__(self):
        self.seen = torch.zeros(3)
        self.calls = 0

    def state_dict(self):
        return {"seen": self.seen, "calls": self.calls}

    def load_state_dict(self, state):
        self.seen, self.calls = state["seen"], state["calls"]


def test_stateful(tmp_path, planner):
    counter = Counter()
    counter.seen, counter.calls = torch.arange(3.0), 5
    save({"counter": counter}, tmp_path)
    other = Counter()
    load({"counter": other}, tmp_path, planner)
    assert torch.equal(other.seen, torch.arange(3.0)) and other.calls == 5


def test_a_module_and_its_optimizer(tmp_path, planner):
    def train(steps):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(steps):
            model(torch.rand(5, 3)).sum().backward()
            optimizer.step()
        return model, optimizer

    model, optimizer = train(3)
    save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path)
    other, other_optimizer = train(1)
    state = {"model": other.state_dict(), "optimizer": other_optimizer.state_dict()}
    load(state, tmp_path, planner)
    other.load_state_dict(state["model"])
    other_optimizer.load_state_dict(state["optimizer"])
    assert_tensors(other.state_dict(), model.state_dict())
    for index, moments in optimizer.state_dict()["state"].items():
        assert_tensors(other_optimizer.state_dict()["state"][index], moments)


class HalfOnDisk(DefaultSavePlanner):
    """Saves float32 as bfloat16."""

    def transform_object(self, write_item, object):
        object = super().transform_object(write_item, object)
        return object.bfloat16() if write_item.type != WriteItemType.BYTE_IO else object


def test_a_save_planner_that_converts(tmp_path, planner):
    values = torch.arange(8.0)
    dcp.save({"x": values, "n": 1}, storage_writer=FlatpointWriter(tmp_path), planner=HalfOnDisk())
    assert torch.equal(load({"x": torch.zeros(8), "n": 0}, tmp_path, planner)["x"], values)


class Renaming(FlatpointLoadPlanner):
    """Loads what was saved as `old.NAME` into `new.NAME`."""

    def set_up_planner(self, state_dict, metadata=None, is_coordinator=False):
        state = {name.replace("new.", "old."): value for name, value in state_dict.items()}
        super().set_up_planner(state, metadata, is_coordinator)


def test_a_load_planner_that_renames(tmp_path):
    save({"old.x": torch.arange(3.0)}, tmp_path)
    assert torch.equal(load({"new.x": torch.zeros(3)}, tmp_path, Renaming)["new.x"], torch.arange(3.0))


def test_format_utils(tmp_path):
    """One-file checkpoints from ours, and ours from one-file checkpoints."""
    saved = {"model": tensors(), "epoch": 3}
    save(saved, tmp_path / "c")
    dcp_to_torch_save(tmp_path / "c", tmp_path / "whole.pt")
    whole = torch.load(tmp_path / "whole.pt", weights_only=False)
    assert whole["epoch"] == 3
    assert_tensors(whole["model"], saved["model"])
    torch_save_to_dcp(tmp_path / "whole.pt", tmp_path / "again")
    state = load({"model": tensors(0.0), "epoch": 0}, tmp_path / "again")
    assert_tensors(state["model"], saved["model"])


def test_the_data_is_what_torch_writes(tmp_path):
    saved = tensors()
    save(saved, tmp_path / "ours")
    dcp.save(saved, checkpoint_id=tmp_path / "torchs")
    names = [path.name for path in sorted((tmp_path / "torchs").glob("*.distcp"))]
    assert names and all((tmp_path / "ours" / name).read_bytes() == (tmp_path / "torchs" / name).read_bytes() for name in names)


@pytest.mark.since(2, 7)
@pytest.mark.parametrize("count", [1, 2])
def test_transforms(tmp_path, planner, count):
    """Streams that are changed on the way, once or twice."""
    from torch.distributed.checkpoint._extension import ExtensionRegistry, StreamTransformExtension

    class Flipped(StreamTransformExtension):
        """Every bit turned over."""

        @staticmethod
        def registry_name():
            return "tests.flipped"

        @staticmethod
        def from_descriptor(version):
            assert version == "1"
            return Flipped()

        def get_descriptor(self):
            return "tests.flipped/1"

        def transform_to(self, output):
            class Writer(io.RawIOBase):
                def write(self, data):
                    return output.write(flipped(data))

                def flush(self):
                    output.flush()

            return Writer()

        def transform_from(self, input):
            return io.BytesIO(flipped(input.read(-1)))

    def flipped(data):
        return bytes(byte ^ 0xFF for byte in bytes(data))

    saved = tensors()
    save(saved, tmp_path, _extensions=[Flipped()] * count)
    registry = ExtensionRegistry()
    registry.register(Flipped)
    loaded = tensors(0.0)
    reader = FlatpointReader(tmp_path, registry)
    dcp.load(loaded, storage_reader=reader, planner=planner() if planner else None)
    assert_tensors(loaded, saved)
    assert flatpoint.open(tmp_path).find("a", (0, 0)).transform_descriptors == ("tests.flipped/1",) * count


def test_metadata_is_pickled_for_other_processes(tmp_path):
    save(tensors(), tmp_path)
    metadata = FlatpointReader(tmp_path).read_metadata()
    assert pickle.loads(pickle.dumps(metadata)) == metadata
