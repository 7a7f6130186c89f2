"""dcp.save through our writer."""

import os
import pickle
import pickletools
import stat

import flatpoint
import fsspec
import pytest
import torch
import torch.distributed.checkpoint as dcp
from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader, FlatpointWriter, _writer
from torch.distributed.checkpoint import DefaultSavePlanner
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex
from torch.distributed.checkpoint.planner import SavePlanner
from torch.distributed.checkpoint.storage import WriteResult

try:
    from torch.distributed.checkpoint.fsspec_filesystem import FsspecReader, FsspecWriter
except ImportError:  # before torch 2.8
    from torch.distributed.checkpoint._fsspec_filesystem import FsspecReader, FsspecWriter

STATE = {"model": {"weight": torch.arange(12.0).reshape(3, 4)}, "epoch": 7}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def eager_of(folder):
    metadata = dcp.FileSystemReader(folder).read_metadata()
    metadata.storage_meta.load_id = None
    return metadata


def assert_loads(folder, epoch=7):
    readers = [FlatpointReader(folder)]
    if (folder / ".metadata").exists():
        readers.append(dcp.FileSystemReader(folder))
    for reader in readers:
        for planner in (None, FlatpointLoadPlanner()):
            state = {"model": {"weight": torch.zeros(3, 4)}, "epoch": 0}
            dcp.load(state, storage_reader=reader, planner=planner)
            assert torch.equal(state["model"]["weight"], STATE["model"]["weight"]) and state["epoch"] == epoch


def test_both_files(tmp_path):
    metadata = dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path))
    assert names(tmp_path) == [".metadata", ".metadata.flatpoint", "__0_0.distcp"]
    checkpoint = flatpoint.open(tmp_path)
    assert checkpoint.origin == "flatpoint" and checkpoint.notices == ()
    assert checkpoint.verify().sound
    assert metadata == eager_of(tmp_path)
    assert_loads(tmp_path)


def test_without_the_pickle(tmp_path):
    dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path, write_pickle=False))
    assert names(tmp_path) == [".metadata.flatpoint", "__0_0.distcp"]
    assert_loads(tmp_path)


def test_the_pickle_is_torchs_own(tmp_path):
    """Metadata itself, whatever class our object has in memory, and no name of ours."""
    metadata = dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path))
    data = (tmp_path / ".metadata").read_bytes()
    read = pickle.loads(data)
    assert type(read) is Metadata and read == metadata and list(read.storage_data) == list(metadata.storage_data)
    texts = {argument for _, argument, _ in pickletools.genops(data) if isinstance(argument, str)}
    assert {text for text in texts if "flatpoint" in text and str(tmp_path) not in text} == set()


def test_the_object_is_filled_in_place(tmp_path):
    seen = []

    class Planner(DefaultSavePlanner):
        def create_global_plan(self, plans):
            plans, metadata = super().create_global_plan(plans)
            seen.append(metadata)
            return plans, metadata

    returned = dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path), planner=Planner())
    assert returned is seen[0] and isinstance(returned, Metadata)
    assert type(returned.storage_data) is dict and returned.storage_meta.save_id and getattr(returned, "version", True)


def test_pickled_as_a_place(tmp_path):
    metadata = dcp.save({f"t{i}": torch.zeros(1) for i in range(200)}, storage_writer=FlatpointWriter(tmp_path))
    data = pickle.dumps(metadata)
    assert len(data) < 1500 < len(pickle.dumps(eager_of(tmp_path))) / 10
    assert pickle.loads(data) == metadata == eager_of(tmp_path)


def test_attributes_that_others_attach_travel(tmp_path):
    metadata = dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path))
    metadata.all_local_plans = [1, 2]
    assert pickle.loads(pickle.dumps(metadata)).all_local_plans == [1, 2]


def test_planner_data_of_ones_own(tmp_path):
    """Not flatpoint's to read: the other ranks get what torch sends."""

    class Planner(DefaultSavePlanner):
        def create_global_plan(self, plans):
            plans, metadata = super().create_global_plan(plans)
            metadata.planner_data = {"mine": {1: 2.5}}
            return plans, metadata

    metadata = dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path), planner=Planner())
    assert pickle.loads(pickle.dumps(metadata)).planner_data == {"mine": {1: 2.5}} == eager_of(tmp_path).planner_data
    assert_loads(tmp_path)


def test_no_planner_data(tmp_path):
    flat = {"weight": torch.ones(2)}
    metadata = dcp.save(flat, storage_writer=FlatpointWriter(tmp_path), planner=DefaultSavePlanner(flatten_state_dict=False))
    assert metadata.planner_data is None and pickle.loads(pickle.dumps(metadata)).planner_data is None


def test_overwriting(tmp_path):
    dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path))
    dcp.save(STATE | {"epoch": 8}, storage_writer=FlatpointWriter(tmp_path))
    assert flatpoint.open(tmp_path).notices == ()
    assert_loads(tmp_path, epoch=8)
    dcp.save(STATE | {"epoch": 9}, storage_writer=FlatpointWriter(tmp_path, write_pickle=False))
    assert names(tmp_path) == [".metadata.flatpoint", "__0_0.distcp"]
    assert_loads(tmp_path, epoch=9)
    for leave_out in (False, True):
        with pytest.raises(BaseException, match="Checkpoint already exists"):
            dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path, overwrite=False, write_pickle=leave_out))


def test_leaving_the_pickle_out_is_said_once(tmp_path, caplog):
    """Trainers that look for `.metadata` would start again from the beginning."""
    _writer._warn_of_hidden_checkpoints.cache_clear()
    for _ in range(2):
        FlatpointWriter(tmp_path, write_pickle=False)
    FlatpointWriter(tmp_path)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "writes no .metadata" in caplog.text


def test_metadata_of_a_reader_is_saved(tmp_path):
    """What was changed in it is what `finish` sees."""
    dcp.save(STATE, checkpoint_id=tmp_path)
    metadata = FlatpointReader(tmp_path).read_metadata()
    metadata.state_dict_metadata["renamed"] = metadata.state_dict_metadata.pop("epoch")
    metadata.planner_data.update(renamed=("renamed",))
    del metadata.planner_data["epoch"]
    writer = FlatpointWriter(tmp_path / "again")
    writer.reset(tmp_path / "again")
    (tmp_path / "again").mkdir()
    writer.finish(metadata, [])
    assert list(flatpoint.open(tmp_path / "again")) == ["model.weight", "renamed"]
    assert flatpoint.open(tmp_path / "again").opaque == ()
    assert list(eager_of(tmp_path / "again").state_dict_metadata) == ["model.weight", "renamed"]


def test_an_item_that_two_ranks_wrote(tmp_path):
    """As in the dictionary that torch fills, the last holds."""
    saved = dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path))
    results = [[WriteResult(index, info.length, info)] for index, info in saved.storage_data.items()]
    index = MetadataIndex("epoch")
    results.append([WriteResult(index, 5, _StorageInfo("__1_0.distcp", 7, 5))])
    metadata = Metadata(dict(saved.state_dict_metadata), dict(saved.planner_data))
    writer = FlatpointWriter(tmp_path)
    writer.reset(tmp_path)
    writer.finish(metadata, results)
    assert len(metadata.storage_data) == len(saved.storage_data)
    assert flatpoint.open(tmp_path).find("epoch") == ("__1_0.distcp", 7, 5, None)
    assert eager_of(tmp_path).storage_data[index].offset == 7


def test_torch_overwrites_ours(tmp_path):
    dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path))
    dcp.save(STATE | {"epoch": 8}, checkpoint_id=tmp_path)
    assert_loads(tmp_path, epoch=8)


def test_mode_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path))
    finally:
        os.umask(old)
    for name in (".metadata", ".metadata.flatpoint"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


def test_a_save_that_fails_leaves_the_old_metadata(tmp_path):
    dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path))
    before = {name: (tmp_path / name).read_bytes() for name in (".metadata", ".metadata.flatpoint")}

    class Planner(DefaultSavePlanner):
        def resolve_data(self, write_item):
            raise OSError("disk full")

    with pytest.raises(BaseException, match="disk full"):
        dcp.save(STATE | {"epoch": 8}, storage_writer=FlatpointWriter(tmp_path), planner=Planner())
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


@pytest.mark.since(2, 7)
def test_plan_caching(tmp_path):
    """The coordinator's object is used again after its first checkpoint is gone."""
    try:
        for epoch, folder in enumerate((tmp_path / "a", tmp_path / "b")):
            metadata = dcp.save(
                STATE | {"epoch": epoch},
                storage_writer=FlatpointWriter(folder),
                planner=DefaultSavePlanner(enable_plan_caching=True),
            )
            assert metadata == eager_of(folder) and type(eager_of(folder)) is Metadata
            assert pickle.loads(pickle.dumps(metadata)) == metadata
            assert_loads(folder, epoch=epoch)
            if epoch == 0:
                for path in folder.iterdir():
                    path.unlink()
    finally:
        for cache in ("_cached_save_plan", "_cached_final_save_plan", "_cached_all_plans", "_cached_global_plan", "_cached_metadata"):
            getattr(SavePlanner, cache).clear()


def test_writer_is_used_again(tmp_path):
    writer = FlatpointWriter(tmp_path / "a")
    dcp.save(STATE, storage_writer=writer)
    dcp.save(STATE | {"epoch": 8}, storage_writer=writer, checkpoint_id=tmp_path / "b")
    assert_loads(tmp_path / "a")
    assert_loads(tmp_path / "b", epoch=8)


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    """A folder that is reached through fsspec."""
    yield f"{request.param}://{tmp_path}/c"
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()


def load_from(url):
    state = {"model": {"weight": torch.zeros(3, 4)}, "epoch": 0}
    dcp.load(state, storage_reader=FlatpointReader(url), planner=FlatpointLoadPlanner())
    assert torch.equal(state["model"]["weight"], STATE["model"]["weight"])
    return state["epoch"]


def names_at(url):
    fs, path = fsspec.url_to_fs(url)
    return sorted(os.path.basename(name) for name in fs.ls(path, detail=False))


@pytest.mark.since(2, 7)  # older ones cannot sync a file in memory
def test_urls(url):
    metadata = dcp.save(STATE, storage_writer=FlatpointWriter(url))
    assert names_at(url) == [".metadata", ".metadata.flatpoint", "__0_0.distcp"]
    assert load_from(url) == 7
    eager = FsspecReader(url).read_metadata()
    eager.storage_meta.load_id = None
    data = pickle.dumps(metadata)
    assert len(data) < 1500 and pickle.loads(data) == eager == metadata
    read = FlatpointReader(url).read_metadata()
    assert read.state_dict_metadata._source.checkpoint.origin == "flatpoint"
    assert pickle.loads(pickle.dumps(read)) == read

    dcp.save(STATE | {"epoch": 8}, storage_writer=FlatpointWriter(url, write_pickle=False))
    assert names_at(url) == [".metadata.flatpoint", "__0_0.distcp"]
    assert load_from(url) == 8
    with pytest.raises(flatpoint.Error, match="replaced"):
        len(pickle.loads(data).state_dict_metadata)


@pytest.mark.since(2, 7)
def test_torch_overwrites_a_url(url):
    dcp.save(STATE, storage_writer=FlatpointWriter(url))
    dcp.save(STATE | {"epoch": 8}, storage_writer=FsspecWriter(url))
    assert load_from(url) == 8
    assert FlatpointReader(url).read_metadata().state_dict_metadata._source.checkpoint.origin == "pickle"
    with pytest.raises(FileNotFoundError, match="neither"):
        FlatpointReader(url + "/nothing").read_metadata()


def test_options(tmp_path):
    with pytest.raises(ValueError, match="share"):
        FlatpointWriter(tmp_path, share="nothing")
    dcp.save(STATE, storage_writer=FlatpointWriter(tmp_path, single_file_per_rank=False, thread_count=2))
    assert_loads(tmp_path)


@pytest.mark.since(2, 7)
def test_ranks(run_ranks, tmp_path):
    run_ranks(4, "save_in_every_way", tmp_path / "c")
    run_ranks(2, "load_everything", tmp_path / "c/plain")


@pytest.mark.since(2, 9)
def test_another_process_saves(run_ranks, tmp_path):
    run_ranks(2, "save_in_a_process", tmp_path / "c")


@pytest.mark.since(2, 7)  # older FSDP2 does not train on a CPU
def test_fsdp_from_four_to_two_to_three(run_ranks, tmp_path):
    run_ranks(4, "save_fsdp", tmp_path / "c")
    run_ranks(2, "load_fsdp", tmp_path / "c")
    run_ranks(3, "load_fsdp", tmp_path / "c")


@pytest.mark.parametrize("part", ["data", "metadata"])
def test_a_rank_is_killed(run_ranks, tmp_path, part):
    with pytest.raises(Exception, match="SIGKILL"):
        run_ranks(2, f"save_then_die_in_the_{part}", tmp_path / "c")
    assert list((tmp_path / "c").glob("*.tmp")) == []
    assert flatpoint.open(tmp_path / "c").storage_meta.save_id == (tmp_path / "c/save_id").read_text()
    assert flatpoint.open(tmp_path / "c").origin == "flatpoint"
