"""Which of two files wins: a `.metadata.flatpoint` never speaks for a `.metadata` that it was not imported from, and a save
that is killed leaves the metadata of the one save or of the other."""

import os
import pickle

import flatpoint
import fsspec
import pytest
import torch
import torch.distributed.checkpoint as dcp
from flatpoint import _core
from flatpoint.torch import FlatpointReader, FlatpointWriter
from torch.distributed.checkpoint import DefaultSavePlanner, FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import MetadataIndex

SWAPPED = {"u": 400, "v": 300}


def state(**lengths):
    return {name: torch.full((length,), float(length)) for name, length in lengths.items()}


def lengths_in(reader):
    return {fqn: tensor.size[0] for fqn, tensor in reader.read_metadata().state_dict_metadata.items()}


def write_again(path, metadata):
    """As a script does that changes a checkpoint's metadata; the time is the next tick's at the earliest."""
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:
        path.write_bytes(pickle.dumps(metadata))


def test_a_script_swaps_two_tensors(tmp_path):
    """The save id, the length and the last 4 KiB stay."""
    names = [f"layer{i:03}.weight" for i in range(100)]
    dcp.save(state(**{name: 8 + i for i, name in enumerate(names)}), storage_writer=FlatpointWriter(tmp_path))
    path = tmp_path / ".metadata"
    metadata = pickle.loads(path.read_bytes())
    a, b = (next(key for key in metadata.storage_data if key.fqn == name) for name in names[:2])
    metadata.storage_data[a], metadata.storage_data[b] = metadata.storage_data[b], metadata.storage_data[a]
    path.write_bytes(pickle.dumps(metadata))
    flatpoint.from_bytes(path.read_bytes()).write(tmp_path / ".metadata.flatpoint", overwrite=True)
    assert flatpoint.open(tmp_path).origin == "flatpoint"

    metadata.storage_data[a], metadata.storage_data[b] = metadata.storage_data[b], metadata.storage_data[a]
    old = path.read_bytes()
    write_again(path, metadata)
    new = path.read_bytes()
    assert len(old) == len(new) and old[-4096:] == new[-4096:] and old != new
    assert dict(FlatpointReader(tmp_path).read_metadata().storage_data) == FileSystemReader(tmp_path).read_metadata().storage_data


class LongTail(DefaultSavePlanner):
    """Attaches an attribute, which stands behind the save's id."""

    def create_global_plan(self, plans):
        plans, metadata = super().create_global_plan(plans)
        metadata.all_local_plans = ["x" * 6000]
        return plans, metadata


def test_torch_saves_again_with_the_same_length_and_tail(tmp_path):
    def save(**lengths):
        dcp.save(state(**lengths), storage_writer=FileSystemWriter(tmp_path), planner=LongTail())
        return (tmp_path / ".metadata").read_bytes()

    one = save(u=300, v=400)
    flatpoint.open(tmp_path).write(tmp_path / ".metadata.flatpoint")
    two = save(**SWAPPED)
    assert len(one) == len(two) and one[-4096:] == two[-4096:] and one != two
    assert lengths_in(FlatpointReader(tmp_path)) == lengths_in(FileSystemReader(tmp_path)) == SWAPPED


@pytest.mark.since(2, 7)
@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_another_tool_renames_at_a_url(tmp_path, protocol):
    """It keeps the StorageMeta, and with it the save's id."""
    url = f"{protocol}://{tmp_path}/c"
    dcp.save(state(w=2), storage_writer=FlatpointWriter(url))
    fs, path = fsspec.url_to_fs(url)
    metadata = pickle.loads(fs.cat_file(path + "/.metadata"))
    metadata.state_dict_metadata = {"v": metadata.state_dict_metadata["w"]}
    metadata.planner_data = {"v": ("v",)}
    metadata.storage_data = {MetadataIndex("v", k.offset, k.index): v for k, v in metadata.storage_data.items()}
    assert list(FlatpointReader(url).read_metadata().state_dict_metadata) == ["w"]
    fs.pipe_file(path + "/.metadata", pickle.dumps(metadata))
    assert list(FlatpointReader(url).read_metadata().state_dict_metadata) == ["v"]


def test_a_store_s_etag_saves_reading():
    data = pickle.dumps({})
    checkpoint = flatpoint.from_bytes(_plain_pickle(), etag='"5d41"')
    reads = []

    def read():
        reads.append(1)
        return _plain_pickle()

    length = len(_plain_pickle())
    assert _core.is_source(checkpoint, length, '"5d41"', read) and not reads
    assert _core.is_source(checkpoint, length, '"another"', read) and len(reads) == 1
    assert _core.is_source(checkpoint, length, "", read) and len(reads) == 2
    assert not _core.is_source(checkpoint, length, "", lambda: data + bytes(length - len(data)))
    assert not _core.is_source(checkpoint, length + 1, '"5d41"', read) and len(reads) == 2


def _plain_pickle():
    from torch.distributed.checkpoint.metadata import Metadata

    return pickle.dumps(Metadata({}, {}, {}))


def test_what_the_writer_wrote_is_known_by_its_time(tmp_path):
    dcp.save(state(u=3), storage_writer=FlatpointWriter(tmp_path))
    source = flatpoint.open(tmp_path / ".metadata.flatpoint")
    assert _core.matches_file(source, tmp_path / ".metadata")
    assert flatpoint.open(tmp_path).notices == ()
    os.utime(tmp_path / ".metadata", ns=(0, 1))  # as a copy has it
    (notice,) = flatpoint.open(tmp_path).notices
    assert "flatpoint import" in notice and flatpoint.open(tmp_path).origin == "flatpoint"


class Killed(BaseException):
    pass


class KilledWriter(FlatpointWriter):
    """Ends before or after the n-th change to the folder's metadata."""

    def __init__(self, path, step, after, **options):
        super().__init__(path, **options)
        self.step, self.after = step, after
        remove = self.fs.rm_file
        self.fs.rm_file = lambda path: self.count(lambda: remove(path))

    def count(self, change):
        self.step -= 1
        if self.step == 0 and not self.after:
            raise Killed
        change()
        if self.step == 0:
            raise Killed

    def _replace(self, name, data, time=None):
        self.count(lambda: super(KilledWriter, self)._replace(name, data, time))


BEFORE = {
    "torch": lambda folder: [FileSystemWriter(folder)],
    "both": lambda folder: [FlatpointWriter(folder)],
    "flatpoint only": lambda folder: [FlatpointWriter(folder, write_pickle=False)],
    "torch after flatpoint": lambda folder: [FlatpointWriter(folder), FileSystemWriter(folder)],
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("write_pickle", [True, False])
def test_killed_at_every_step(tmp_path, before, write_pickle):
    old, new = {"u": 300, "v": 400}, SWAPPED
    seen = []
    for step in (1, 2, 3, 4):
        for after in (False, True):
            folder = tmp_path / f"{step}{after}"
            saves = BEFORE[before](folder)
            for number, writer in enumerate(saves):
                oldest = {"u": 1, "v": 2} if number < len(saves) - 1 else old
                dcp.save(state(**oldest), storage_writer=writer)
            writer = KilledWriter(folder, step, after, write_pickle=write_pickle)
            try:
                dcp.save(state(**new), storage_writer=writer)
            except BaseException as error:
                assert "Killed" in repr(error) or "Killed" in str(error)
            try:
                seen.append(lengths_in(FlatpointReader(folder)))
            except flatpoint.NotFoundError:
                seen.append(None)
    assert all(each in (old, new, None) for each in seen), seen
    assert None not in seen or (not write_pickle and before.startswith("torch"))
    first_new = seen.index(new)
    assert all(each == new for each in seen[first_new:]), seen
    assert seen[0] == old
