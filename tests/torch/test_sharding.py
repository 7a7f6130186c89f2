"""Boxes of shardings against torch's own arithmetic."""

import math
import random

import pytest
import torch
from torch.distributed.checkpoint._dedup_save_plans import dedup_save_plans
from torch.distributed.checkpoint.default_planner import create_default_global_save_plan
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import SavePlan, TensorWriteData, WriteItem, WriteItemType
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard
from torch.distributed.tensor._utils import _compute_local_shape_and_global_offset as torch_box
from torch.distributed.tensor.placement_types import _StridedShard


def coordinate(rank, mesh):
    at = []
    for n in reversed(mesh):
        at.insert(0, rank % n)
        rank //= n
    return at


def random_case(source, strided):
    size = [source.choice((source.randint(0, 3), source.randint(1, 70))) for _ in range(source.randint(1, 4))]
    mesh = [source.randint(1, 7) for _ in range(source.randint(1, 3))]
    placements = []
    for _ in mesh:
        dim = source.randrange(len(size))
        kinds = [Replicate(), Shard(dim), Shard(dim)]
        if strided:
            kinds.append(_StridedShard(dim, split_factor=source.randint(1, 8)))
        placements.append(source.choice(kinds))
    return size, mesh, placements


def held(size, mesh, placements, at):
    """The indexes a rank holds, per dimension, by letting torch cut a list of indexes."""
    lists = [torch.arange(n) for n in size]
    for mesh_dim, placement in enumerate(placements):
        if isinstance(placement, (Shard, _StridedShard)):
            shards, _ = type(placement)(0, **split_factor(placement))._split_tensor(
                lists[placement.dim], mesh[mesh_dim], with_padding=False
            )
            lists[placement.dim] = shards[at[mesh_dim]]
    return [indexes.tolist() for indexes in lists]


def split_factor(placement):
    return {"split_factor": placement.split_factor} if isinstance(placement, _StridedShard) else {}


def is_run(indexes):
    return not indexes or indexes == list(range(indexes[0], indexes[0] + len(indexes)))


def text(placements):
    return ",".join(map(str, placements))


@pytest.mark.parametrize("strided", [False, True])
def test_random_shardings(answer, strided):
    source = random.Random(17)
    cases = [random_case(source, strided) for _ in range(2000)]
    ranks = runs = 0
    answers = answer([["sharding", size, mesh, text(placements)] for size, mesh, placements in cases])
    for (size, mesh, placements), got in zip(cases, answers):
        where = f"{size} on {mesh}: {text(placements)}"
        cut_in_runs = not any(isinstance(placement, _StridedShard) for placement in placements)
        for rank in range(math.prod(mesh)):
            at = coordinate(rank, mesh)
            shape, offset = torch_box(size, mesh, at, placements)
            box = [list(offset), list(shape)]
            assert got["torch"][rank] == box, where
            # torch gives a box also where the elements are not one run; the strict answer is none.
            whole = cut_in_runs or all(map(is_run, held(size, mesh, placements, at)))
            assert got["strict"][rank] == (box if whole else None), where
            ranks += 1
            runs += whole
        assert ("chunks" in got) == (None not in got["strict"]), where
    assert ranks > 40_000
    assert (runs == ranks) == (not strided)


def test_negative_dimensions_count_from_the_end(answer):
    size, mesh = [6, 9, 5], [2, 3]
    for dims in [(-1, -3), (-2, -2), (0, -1)]:
        [got] = answer([["sharding", size, mesh, text(map(Shard, dims))]])
        for rank in range(6):
            shape, offset = torch_box(size, mesh, coordinate(rank, mesh), [Shard(d % 3) for d in dims])
            assert got["torch"][rank] == [list(offset), list(shape)]


def test_printed_forms_are_read(answer):
    placements = [Shard(0), _StridedShard(1, split_factor=3), Replicate(), Partial()]
    printed = [str(p) for p in placements] + [repr(p) for p in placements]
    cases = [["sharding", [8, 9], [2], p] for p in printed] + [["sharding", [8, 9], [2, 2, 2, 1], repr(tuple(placements))]]
    assert all("error" not in got for got in answer(cases))


def test_chunks_are_those_of_dcps_metadata(answer):
    """Every rank's plan through DCP's global plan, replicas kept by the lowest rank."""
    source = random.Random(18)
    cases = [random_case(source, strided=True) for _ in range(300)]
    compared = 0
    answers = answer([["sharding", size, mesh, text(placements)] for size, mesh, placements in cases])
    for (size, mesh, placements), got in zip(cases, answers):
        if "chunks" not in got:
            continue
        plans = []
        for rank in range(math.prod(mesh)):
            shape, offset = torch_box(size, mesh, coordinate(rank, mesh), placements)
            chunk = ChunkStorageMetadata(torch.Size(offset), torch.Size(shape))
            data = TensorWriteData(chunk, TensorProperties(), torch.Size(size))
            plans.append(SavePlan([WriteItem(MetadataIndex("t", offset), WriteItemType.SHARD, tensor_data=data)]))
        kept, metadata = create_default_global_save_plan(dedup_save_plans(plans, save_to_lowest_rank=True))
        chunks = metadata.state_dict_metadata["t"].chunks
        assert got["chunks"] == [[list(c.offsets), list(c.sizes)] for c in chunks]
        assert got["chunk_ranks"] == [rank for rank, plan in enumerate(kept) if plan.items]
        compared += 1
    assert compared > 200


def test_real_dtensors_on_a_mesh(answer):
    """compute_local_shape_and_global_offset as DCP calls it, over a process group that talks to nobody."""
    from torch.testing._internal.distributed.fake_pg import FakeStore

    mesh_shape, size = [2, 3], [7, 10]
    layouts = [
        [Shard(0), Shard(0)],
        [Shard(1), Replicate()],
        [Replicate(), Shard(0)],
        [_StridedShard(0, split_factor=3), Shard(0)],
    ]
    answers = answer([["sharding", size, mesh_shape, text(placements)] for placements in layouts])
    for rank in range(6):
        torch.distributed.init_process_group("fake", store=FakeStore(), rank=rank, world_size=6)
        try:
            mesh = torch.distributed.init_device_mesh("cpu", tuple(mesh_shape))
            for placements, got in zip(layouts, answers):
                shape = got["strict"][rank][1]
                tensor = DTensor.from_local(
                    torch.empty(shape), mesh, placements, run_check=False, shape=torch.Size(size), stride=(size[1], 1)
                )
                [chunk] = tensor.__create_chunk_list__()
                assert got["strict"][rank] == [list(chunk.offsets), list(chunk.sizes)]
        finally:
            torch.distributed.destroy_process_group()


@pytest.mark.parametrize("placements", [[Shard(2)], [Shard(0), Shard(0)], [_StridedShard(0, split_factor=0)]])
def test_what_torch_raises_is_an_error(answer, placements):
    with pytest.raises((AssertionError, IndexError)):
        torch_box([4, 4], [2], [1], placements)
    [got] = answer([["sharding", [4, 4], [2], text(placements)]])
    assert "error" in got


def test_partial_is_refused_as_by_dcp(answer):
    [got] = answer([["sharding", [4], [2], "P"]])
    assert got["strict"] == [None, None]
    assert got["torch"] == [[list(o), list(s)] for s, o in (torch_box([4], [2], [r], [Partial()]) for r in (0, 1))]
