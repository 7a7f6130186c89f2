"""What the reader loads, beside what torch's loads: every dtype and layout, other dtypes, other devices, faults."""

import logging
import os
import random

import flatpoint
import pytest
import torch
import torch.distributed.checkpoint as dcp
from flatpoint.torch import FlatpointLoadPlanner, FlatpointReader, _loading
from test_data import NAMES, bits, random_tensor
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import TensorWriteData, WriteItem, WriteItemType
from torch.distributed.checkpoint.state_dict_loader import _load_state_dict_from_keys

PLANNERS = [dcp.DefaultLoadPlanner, FlatpointLoadPlanner]


class Sharded(torch.Tensor):
    """A tensor of which this process holds some boxes, to save and to load: what DCP calls local shards."""

    @staticmethod
    def __new__(cls, whole, boxes):
        return torch.Tensor._make_wrapper_subclass(cls, whole.shape, dtype=whole.dtype)

    def __init__(self, whole, boxes):
        self.boxes = boxes
        self.shards = [whole[tuple(slice(o, o + n) for o, n in zip(*box))].clone() for box in boxes]

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise NotImplementedError(func)

    def detach(self):
        return self

    def __create_write_items__(self, fqn, _):
        return [
            WriteItem(
                index=MetadataIndex(fqn, torch.Size(offsets), number),
                type=WriteItemType.SHARD,
                tensor_data=TensorWriteData(
                    ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)), TensorProperties(dtype=self.dtype), self.shape
                ),
            )
            for number, (offsets, sizes) in enumerate(self.boxes)
        ]

    def __create_chunk_list__(self):
        return [ChunkStorageMetadata(torch.Size(offsets), torch.Size(sizes)) for offsets, sizes in self.boxes]

    def __get_tensor_shard__(self, index):
        return self.shards[[tuple(offsets) for offsets, _ in self.boxes].index(tuple(index.offset))]


def grid(shape, parts):
    """Boxes of a tensor of two dimensions, uneven where that must be."""
    cuts = [[size * i // n for i in range(n + 1)] for size, n in zip(shape, parts)]
    ranges = [list(zip(cut, cut[1:])) for cut in cuts]
    return [((a, c), (b - a, d - c)) for a, b in ranges[0] for c, d in ranges[1]]


def load(folder, state, **options):
    dcp.load(state, storage_reader=FlatpointReader(folder, **options), no_dist=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder, dice = tmp_path_factory.mktemp("loaded"), random.Random(3)
    state = {f"{name}.{i}": random_tensor(dice, getattr(torch, name)) for name in NAMES for i in range(5)}
    assert any(0 in t.shape for t in state.values()) and any(t.dim() == 0 for t in state.values())
    state |= {"object": {1, "a"}, "text": "word"}
    dcp.save(state, checkpoint_id=folder, no_dist=True)
    return folder, state


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="flatpoint.torch")
    return caplog


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("verify", [None, "checksum"])
def test_every_dtype_and_layout(saved, planner, verify, log):
    folder, state = saved
    ours = {fqn: torch.empty(v.shape, dtype=v.dtype) if isinstance(v, torch.Tensor) else None for fqn, v in state.items()}
    torchs = {fqn: v.clone() if isinstance(v, torch.Tensor) else v for fqn, v in ours.items()}
    dcp.load(ours, storage_reader=FlatpointReader(folder, verify=verify), planner=planner(), no_dist=True)
    dcp.load(torchs, storage_reader=dcp.FileSystemReader(folder), no_dist=True)
    for fqn, value in state.items():
        if isinstance(value, torch.Tensor):
            assert bits(ours[fqn]) == bits(torchs[fqn]) == bits(value), fqn
        else:
            assert ours[fqn] == value
    count = sum(isinstance(value, torch.Tensor) and value.numel() > 0 for value in state.values())
    assert f" {count} tensor items" in log.text and log.text.rstrip().endswith("; 0 tensor items torch's way")


def test_targets_of_other_dtypes_and_strides(saved):
    """As copy_ converts them."""
    folder, state = saved
    for to in (torch.float32, torch.float64, torch.bfloat16, torch.complex64, torch.int32):
        wanted = {fqn: v for fqn, v in state.items() if isinstance(v, torch.Tensor) and not fqn.startswith(("float8", "complex"))}
        ours, torchs = {}, {}
        for target in (ours, torchs):
            for fqn, value in wanted.items():
                room = torch.zeros([2 * size for size in reversed(value.shape)], dtype=to)
                view = room[tuple(slice(None, None, 2) for _ in value.shape)]
                target[fqn] = view.permute(*reversed(range(value.dim()))) if value.dim() else view
        load(folder, ours)
        dcp.load(torchs, storage_reader=dcp.FileSystemReader(folder), no_dist=True)
        for fqn in wanted:
            assert bits(ours[fqn]) == bits(torchs[fqn]), (fqn, to)


@pytest.mark.parametrize("planner", PLANNERS)
def test_exactly_what_is_needed_is_read(tmp_path, planner, log):
    rows, columns = torch.randn(96, 40), torch.randn(24, 16384)
    for whole, saved_as, loaded_as in (
        (rows, (8, 1), (6, 1)),
        (rows, (8, 1), (64, 1)),
        (rows, (8, 1), (1, 1)),
        (columns, (1, 1), (1, 4)),
        (columns, (4, 2), (3, 5)),
    ):
        folder = tmp_path / f"{saved_as}{loaded_as}"
        dcp.save({"w": Sharded(whole, grid(whole.shape, saved_as))}, checkpoint_id=folder, no_dist=True)
        target = Sharded(torch.zeros_like(whole), grid(whole.shape, loaded_as)[-2:])
        dcp.load({"w": target}, storage_reader=FlatpointReader(folder), planner=planner(), no_dist=True)
        for shard, expected in zip(target.shards, Sharded(whole, target.boxes).shards):
            assert torch.equal(shard, expected), (saved_as, loaded_as)
        needed, read = log.records[-1].args[2:4]
        assert needed == sum(shard.nbytes for shard in target.shards)
        assert read == needed if whole is rows else read <= 2 * needed, (saved_as, loaded_as)


class LateStream(_loading.Stream):
    """A device's stream on the CPU: nothing is copied before somebody waits for it."""

    def __init__(self):
        self.queue, self.made, self.largest = [], [], 0

    def memory(self, size):
        self.made.append(size)
        return torch.full((size,), 0xEE, dtype=torch.uint8)

    def copy(self, target, staged):
        self.queue.append((target, staged))

    def mark(self):
        return len(self.queue)

    def wait(self, mark):
        for number in range(mark):
            if self.queue[number] is not None:
                target, staged = self.queue[number]
                target.copy_(staged)
                self.queue[number] = None


def test_staging(saved, tmp_path, monkeypatch):
    """With memory for a few rows: no half is read into before what it holds was copied, and all of it is used again."""
    folder, state = saved
    big = {"rows": torch.randn(300, 7), "long": torch.randn(3, 2000), "deep": torch.randn(2, 3, 900, dtype=torch.float64)}
    dcp.save(big, checkpoint_id=tmp_path, no_dist=True)
    streams = []

    def stream_to(_):
        streams.append(LateStream())
        return streams[-1]

    monkeypatch.setattr(_loading, "stream_to", stream_to)
    monkeypatch.setattr(_loading, "STAGING_BYTES", 1024)
    target = {fqn: torch.zeros(value.shape, dtype=torch.float16) for fqn, value in big.items()}
    load(tmp_path, target)
    assert all(torch.equal(target[fqn], value.half()) for fqn, value in big.items())
    assert streams[-1].made == [1024, 1024] and len(streams[-1].queue) > 20
    target = {f: torch.zeros(v.shape, dtype=torch.float32) for f, v in state.items() if f.startswith(("int", "bool", "float64"))}
    load(folder, target)
    assert all(torch.equal(value, state[fqn].float()) for fqn, value in target.items())


def test_all_ways_that_load(saved, tmp_path):
    folder, state = saved
    loaded = _load_state_dict_from_keys({"float32.0", "object"}, storage_reader=FlatpointReader(folder))
    assert bits(loaded["float32.0"]) == bits(state["float32.0"])
    from torch.distributed.checkpoint.default_planner import _EmptyStateDictLoadPlanner
    from torch.distributed.checkpoint.state_dict_loader import _load_state_dict

    everything = {}
    planner = _EmptyStateDictLoadPlanner()
    _load_state_dict(everything, storage_reader=FlatpointReader(folder), planner=planner, no_dist=True)
    dcp_to_torch_save(folder, tmp_path / "one.pt")
    torchs = torch.load(tmp_path / "one.pt", weights_only=False)
    assert everything.keys() == torchs.keys()
    for fqn, value in torchs.items():
        assert bits(everything[fqn]) == bits(value) if isinstance(value, torch.Tensor) else everything[fqn] == value


def test_what_only_torch_can_fill(tmp_path, log):
    state = {"w": torch.arange(6.0), "c": torch.arange(4).to(torch.complex64)}
    dcp.save(state, checkpoint_id=tmp_path, no_dist=True)
    target = {"w": torch.zeros(6), "c": torch.zeros(4, dtype=torch.complex64).conj()}
    load(tmp_path, target)
    assert torch.equal(target["w"], state["w"]) and torch.equal(target["c"].resolve_conj(), state["c"])
    assert "1 tensor items torch's way: 1 of a target that is no plain tensor" in log.text
    with pytest.raises(BaseException, match="refer"):  # as torch says it
        load(tmp_path, {"w": torch.zeros(1).expand(6)})


def test_what_only_torch_can_read(tmp_path, log):
    """An item with the conjugate bit, which torch undoes."""
    state = {"w": torch.arange(6.0), "c": torch.tensor([1 + 2j, 3 - 4j]).conj()}
    dcp.save(state, checkpoint_id=tmp_path, no_dist=True)
    target = {"w": torch.zeros(6), "c": torch.zeros(2, dtype=torch.complex64)}
    torchs = {fqn: value.clone() for fqn, value in target.items()}
    load(tmp_path, target)
    dcp.load(torchs, storage_reader=dcp.FileSystemReader(tmp_path), no_dist=True)
    assert torch.equal(target["w"], state["w"]) and torch.equal(target["c"], torchs["c"])
    assert "1 tensor items torch's way: 1 of " in log.text


@pytest.fixture
def faulty(tmp_path):
    dcp.save({"w": torch.arange(5000.0), "o": "object"}, checkpoint_id=tmp_path, no_dist=True)
    return tmp_path, tmp_path / "__0_0.distcp"


def refused(folder, **options):
    with pytest.raises(BaseException) as raised:
        load(folder, {"w": torch.zeros(5000), "o": ""}, **options)
    [error] = [failure[0] for failure in raised.value.failures.values()]
    assert "__0_0.distcp" in str(error)
    return error


def test_a_missing_or_short_file(faulty):
    folder, data = faulty
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    assert refused(folder).code == flatpoint.ErrorCode.TRUNCATED
    data.unlink()
    assert refused(folder).code == flatpoint.ErrorCode.NOT_FOUND


def test_a_file_changed_since_it_was_indexed(faulty):
    folder, data = faulty
    flatpoint.open(folder).find_data().write(folder / ".metadata.flatpoint")
    data.write_bytes(data.read_bytes() + b"x")
    assert refused(folder).code == flatpoint.ErrorCode.CHANGED


def test_flipped_bits(faulty):
    """torch loads them without a word; so does a load that does not verify."""
    folder, data = faulty
    whole = bytearray(data.read_bytes())
    whole[whole.index(torch.arange(5000.0).numpy().tobytes()) + 4000] ^= 1
    data.write_bytes(whole)
    target = {"w": torch.zeros(5000), "o": ""}
    load(folder, target)
    assert (target["w"] != torch.arange(5000.0)).sum() == 1
    assert refused(folder, verify="checksum").code == flatpoint.ErrorCode.CHECKSUM


def test_flipped_bits_of_an_object(faulty):
    folder, data = faulty
    data.write_bytes(data.read_bytes().replace(b"object", b"abject"))
    assert refused(folder, verify="checksum").code == flatpoint.ErrorCode.CHECKSUM


def test_verify_where_nothing_can_be_verified(tmp_path):
    """Rather than a load that was not checked."""
    dcp.save({"w": torch.ones(3)}, checkpoint_id=tmp_path / "a", no_dist=True)
    reader = FlatpointReader(f"file://{tmp_path}/a", verify="checksum")
    with pytest.raises(BaseException, match="checksums are compared only in local folders"):
        dcp.load({"w": torch.zeros(3)}, storage_reader=reader, no_dist=True)
    with pytest.raises(ValueError, match="verify='crc'"):
        FlatpointReader(tmp_path, verify="crc")


def test_storage_information_that_was_changed(tmp_path, log):
    """What somebody wrote into the metadata counts, not the file."""
    dcp.save({"a": torch.zeros(3), "b": torch.ones(3)}, checkpoint_id=tmp_path, no_dist=True)

    class Swapping(FlatpointReader):
        def read_metadata(self, *args, **kwargs):
            metadata = super().read_metadata(*args, **kwargs)
            data, zero = metadata.storage_data, torch.Size([0])
            data[MetadataIndex("a", zero)] = data[MetadataIndex("b", zero)]
            return metadata

    target = {"a": torch.zeros(3), "b": torch.zeros(3)}
    dcp.load(target, storage_reader=Swapping(tmp_path), no_dist=True)
    assert target["a"].tolist() == [1, 1, 1] and "1 of storage information that was changed" in log.text


def test_batches_and_pieces():
    assert list(_loading.batches([3, 3, 9, 1, 1], lambda n: n, 6)) == [[3, 3], [9], [1, 1]]
    dice = random.Random(5)
    for _ in range(200):
        lengths = torch.Size(dice.randrange(1, 6) for _ in range(dice.randrange(4)))
        seen, limit = torch.zeros(lengths), dice.randrange(4, 60)
        pieces = list(_loading.split(lengths, 4, limit))
        for offsets, sizes, _ in pieces:
            assert sizes.numel() * 4 <= max(limit, 4)
            seen[tuple(slice(o, o + n) for o, n in zip(offsets, sizes))] += 1
        assert bool((seen == 1).all()) and [last for *_, last in pieces] == [False] * (len(pieces) - 1) + [True]


def test_threads(tmp_path):
    state = {f"w{i}": torch.randn(1000, 30) for i in range(20)}
    dcp.save(state, storage_writer=dcp.FileSystemWriter(tmp_path, thread_count=4), no_dist=True)
    assert len([name for name in os.listdir(tmp_path) if name.endswith(".distcp")]) == 4
    for threads in (1, 3, 16):
        target = {fqn: torch.zeros(1000, 30) for fqn in state}
        load(tmp_path, target, threads=threads)
        assert all(torch.equal(target[fqn], value) for fqn, value in state.items())
