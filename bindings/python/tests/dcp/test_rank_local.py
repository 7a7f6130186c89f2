"""Ranks that save alone: fragments, their joining, and what becomes of a save that not all of them finish."""

import shutil

import flatpoint
import pytest
import torch
import torch.distributed.checkpoint as dcp
from conftest import SAMPLES, spawn
from flatpoint.torch import FlatpointReader, FlatpointWriter
from torch.distributed.checkpoint.filesystem import FileSystemReader

pytestmark = pytest.mark.since(2, 9)  # use_collectives

ALONE = SAMPLES / "d09_no_collectives"


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".distcp"))


def fragments(folder, ranks=range(4)):
    """What four ranks of torch's own writer left, as flatpoint files."""
    folder.mkdir(exist_ok=True)
    for rank in ranks:
        data = (ALONE / f"__{rank}.metadata").read_bytes()
        flatpoint.from_bytes(data, rank=rank).write(folder / f"__{rank}.metadata.flatpoint", overwrite=True)
    return folder


def without(folder, pattern):
    for path in list(folder.glob(pattern)):
        path.unlink()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """What four ranks saved alone and together; loaded by two, who also saved and looked at files of their own; then by
    three."""
    top = tmp_path_factory.mktemp("alone")
    spawn(4, "save_alone_in_every_way", top)
    for copy in ("flatpoint_only", "merged", "fewer"):
        shutil.copytree(top / "ours", top / copy)
    without(top / "flatpoint_only", "__?.metadata")
    flatpoint.merge(top / "merged")
    without(top / "merged", "__?.metadata*")
    flatpoint.merge(top / "fewer")
    for world in (2, 3):
        spawn(world, "load_alone_in_every_way", top)
    return top


def test_from_four_to_two_to_three(saved):
    """The values were compared by the ranks that loaded them: our fragments, with and without pickles, what was merged from
    them, and what torch's own writer left, which DCP itself can load with as many ranks only."""
    for name in ("ours", "thread"):
        assert names(saved / name) == sorted(f"__{r}.metadata{s}" for r in range(4) for s in ("", ".flatpoint"))
    assert names(saved / "torch") == [f"__{r}.metadata" for r in range(4)]
    assert names(saved / "flatpoint_only") == [f"__{r}.metadata.flatpoint" for r in range(4)]
    assert names(saved / "merged") == [".metadata.flatpoint"]
    merged = flatpoint.open(saved / "merged")
    assert merged.rank is None and merged.verify().sound


def test_what_is_joined_is_what_collectives_would_have_made(saved):
    alone, together = (FlatpointReader(saved / name).read_metadata() for name in ("ours", "together"))
    assert alone.state_dict_metadata == together.state_dict_metadata
    assert list(alone.state_dict_metadata) == list(together.state_dict_metadata)
    assert alone.planner_data == together.planner_data and list(alone.planner_data) == list(together.planner_data)
    assert list(alone.storage_data) == list(together.storage_data) and alone.version == together.version


def test_fewer_ranks_save_over_it(saved):
    """Nothing of an older save is left that could be taken for a part of the new one."""
    assert names(saved / "fewer") == sorted(f"__{r}.metadata{s}" for r in range(2) for s in ("", ".flatpoint"))


def test_a_rank_is_killed(run_ranks, tmp_path):
    """Over an older save of the same ranks, which the data files are no more: the folder says what is missing."""
    with pytest.raises(Exception, match="SIGKILL"):
        run_ranks(4, "save_alone_then_die", tmp_path)
    with pytest.raises(FileNotFoundError, match="none of rank 1"):
        FlatpointReader(tmp_path).read_metadata()
    with pytest.raises(flatpoint.NotFoundError, match="none of rank 1"):
        flatpoint.merge(tmp_path)
    holes = flatpoint.merge(tmp_path, partial=True).findings
    assert {finding.kind for finding in holes} == {"hole"} and any("'model.even'" in f.message for f in holes)


def test_the_last_rank_is_missing(tmp_path):
    folder = fragments(tmp_path / "c", range(3))
    with pytest.raises(flatpoint.Error, match="hold .* of the .* elements.*rank_local") as error:
        FlatpointReader(folder).read_metadata()
    assert error.value.code == flatpoint.ErrorCode.CONFLICT
    assert names(folder) == [f"__{rank}.metadata.flatpoint" for rank in range(3)]


def test_a_part_is_not_taken_for_the_whole(tmp_path):
    """DCP asks for a rank's own metadata when it got none of the whole: it would load what happens to be there."""
    reader = FlatpointReader(fragments(tmp_path / "c", (0, 2, 3)))
    with pytest.raises(flatpoint.NotFoundError, match="none of rank 1"):
        reader.read_metadata()
    with pytest.raises(flatpoint.NotFoundError, match="none of rank 1"):
        reader.read_metadata(rank=0)
    fragments(tmp_path / "c")
    assert len(reader.read_metadata().state_dict_metadata) > 0
    assert reader.read_metadata(rank=0).state_dict_metadata == eager_of(0).state_dict_metadata


def eager_of(rank):
    return FileSystemReader(ALONE).read_metadata(rank=rank)


@pytest.mark.parametrize("form", ["flatpoint", "pickle"])
def test_rank_local(tmp_path, form):
    """For disks that others do not see: the rank's own metadata, as DCP asks for it."""
    folder = fragments(tmp_path / "c", [2]) if form == "flatpoint" else ALONE
    reader = FlatpointReader(folder, rank_local=True)
    with pytest.raises(FileNotFoundError):
        reader.read_metadata()
    metadata = reader.read_metadata(rank=2)
    assert metadata.state_dict_metadata == eager_of(2).state_dict_metadata
    assert metadata.storage_data == eager_of(2).storage_data


def test_one_process(tmp_path):
    state = {"weight": torch.arange(6.0), "epoch": 3}
    metadata = dcp.save(state, storage_writer=FlatpointWriter(tmp_path), use_collectives=False)
    assert names(tmp_path) == ["__0.metadata", "__0.metadata.flatpoint"]
    assert flatpoint.open(tmp_path).rank == 0
    eager = FileSystemReader(tmp_path).read_metadata(rank=0)
    eager.storage_meta.load_id = None
    assert metadata == eager
    dcp.save(state, storage_writer=FlatpointWriter(tmp_path, write_pickle=False), use_collectives=False)
    assert names(tmp_path) == ["__0.metadata.flatpoint"]
    with pytest.raises(BaseException, match="already exists"):
        dcp.save(state, storage_writer=FlatpointWriter(tmp_path, overwrite=False), use_collectives=False)
    loaded = {"weight": torch.zeros(6), "epoch": 0}
    dcp.load(loaded, storage_reader=FlatpointReader(tmp_path))
    assert torch.equal(loaded["weight"], state["weight"]) and loaded["epoch"] == 3


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_urls(tmp_path, scheme):
    url = f"{scheme}://{tmp_path}/c"
    state = {"weight": torch.arange(6.0), "epoch": 3}
    dcp.save(state, storage_writer=FlatpointWriter(url), use_collectives=False)
    loaded = {"weight": torch.zeros(6), "epoch": 0}
    dcp.load(loaded, storage_reader=FlatpointReader(url))
    assert torch.equal(loaded["weight"], state["weight"]) and loaded["epoch"] == 3
    assert len(FlatpointReader(url).read_metadata().storage_data) == 2
    assert FlatpointReader(url, rank_local=True).read_metadata(rank=0).storage_data is not None


def test_merge(tmp_path):
    folder = fragments(tmp_path / "c")
    of_folder = flatpoint.merge(folder)
    assert names(folder)[0] == ".metadata.flatpoint" and flatpoint.open(folder).rank is None
    with pytest.raises(flatpoint.Error, match="there is a file already"):
        flatpoint.merge(folder)
    flatpoint.merge(folder, overwrite=True)
    single = [folder / f"__{rank}.metadata.flatpoint" for rank in (3, 0, 2)] + [flatpoint.open(ALONE, rank=1)]
    of_files = flatpoint.merge(single, tmp_path / "out.flatpoint")
    assert bytes(memoryview(of_files._file_bytes)) == bytes(memoryview(of_folder._file_bytes))
    assert (tmp_path / "out.flatpoint").read_bytes() == (folder / ".metadata.flatpoint").read_bytes()
    assert bytes(memoryview(flatpoint.merge(ALONE, tmp_path / "of_pickles")._file_bytes)) == (tmp_path / "of_pickles").read_bytes()
    assert (tmp_path / "of_pickles").read_bytes() == (tmp_path / "out.flatpoint").read_bytes()


def test_merge_refuses(tmp_path):
    with pytest.raises(flatpoint.NotFoundError, match="no fragment"):
        flatpoint.merge(tmp_path)
    with pytest.raises(flatpoint.Error, match="no fragment"):
        flatpoint.merge([SAMPLES / "s01_plain_tensors/.metadata"])
    with pytest.raises(flatpoint.Error, match="no fragment to merge"):
        flatpoint.merge([])
    with pytest.raises(TypeError):
        flatpoint.merge([1])
    folder = fragments(tmp_path / "c")
    shutil.copy(folder / "__1.metadata.flatpoint", folder / "again.flatpoint")
    with pytest.raises(flatpoint.Error, match="twice"):
        flatpoint.merge(folder)
