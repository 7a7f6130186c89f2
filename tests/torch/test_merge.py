"""Merged `__R.metadata` against the metadata that torch's own planner and writer make of the same plans."""

import json
import pathlib
import pickle
import random
import subprocess
import sys

import pytest
import torch
from conftest import built
from torch.distributed.checkpoint import FileSystemWriter
from torch.distributed.checkpoint._dedup_save_plans import dedup_save_plans
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner, create_default_global_save_plan
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import SavePlan, TensorWriteData, WriteItem, WriteItemType
from torch.distributed.checkpoint.storage import WriteResult

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/dcp"))
from describe_metadata import describe  # noqa: E402


def merged(folder):
    done = subprocess.run([built("merge_pickles"), folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def results_of(plan, rank, source):
    """Where a rank's writer puts its items: bytes first, one file or two."""
    ends = {}
    results = []
    for item in sorted(plan.items, key=lambda i: i.type != WriteItemType.BYTE_IO):
        file = f"__{rank}_{source.choice((0, 0, 1))}.distcp"
        length = source.randint(1, 500)
        results.append(WriteResult(item.index, length, _StorageInfo(file, ends.get(file, 0), length)))
        ends[file] = ends.get(file, 0) + length
    return results


def global_metadata(plans, results, folder):
    """What a save with collectives writes of the same plans: replicas at their lowest rank, then torch's global plan."""
    deduplicated = dedup_save_plans(plans, save_to_lowest_rank=True)
    planner = DefaultSavePlanner(dedup_save_to_lowest_rank=True)
    _, metadata = planner.create_global_plan(plans)
    kept = [[r for r in results[rank] if any(r.index == i.index for i in plan.items)] for rank, plan in enumerate(deduplicated)]
    hints = {}  # torch rewrites them in the plan that it scatters, before writers return them
    for plan in create_default_global_save_plan(deduplicated)[0]:
        hints.update({item.index: item.index.index for item in plan.items})
    kept = [
        [WriteResult(MetadataIndex(r.index.fqn, r.index.offset, hints[r.index]), r.size_in_bytes, r.storage_data) for r in rank]
        for rank in kept
    ]
    writer = FileSystemWriter(folder)
    writer.finish(metadata, kept)
    with open(folder / ".metadata", "rb") as file:
        return pickle.load(file)


def local_metadata(plan, results, rank, folder):
    planner = DefaultSavePlanner()
    _, metadata = planner.create_global_plan([plan])
    writer = FileSystemWriter(folder)
    writer.set_up_storage_writer(True, rank=rank, use_collectives=False)
    writer.finish(metadata, [results])


def random_plans(source, ranks):
    """Plans of tensors that are cut, replicated or held by one rank, in an order of names that each rank has alone."""
    items = [[] for _ in range(ranks)]
    paths = [{} for _ in range(ranks)]
    for i in range(source.randint(1, 12)):
        keys = source.choice((("model", f"layers.{i}.w"), ("list", i), (f"p{source.randint(0, 99)}.{i}",)))
        fqn = ".".join(map(str, keys))
        holders = sorted(source.sample(range(ranks), source.randint(1, ranks)))
        if source.random() < 0.2:
            for rank in holders:
                items[rank].append(WriteItem(MetadataIndex(fqn), WriteItemType.BYTE_IO))
                paths[rank][fqn] = keys
            continue
        replicated = source.random() < 0.3
        pieces = 1 if replicated else len(holders)
        size = torch.Size((pieces * source.randint(1, 4), source.randint(1, 5)))
        dtype = source.choice((torch.float32, torch.bfloat16, torch.int8))
        for n, rank in enumerate(holders):
            rows = size[0] // pieces
            box = ChunkStorageMetadata(torch.Size((0 if replicated else n * rows, 0)), torch.Size((rows, size[1])))
            properties = TensorProperties(dtype=dtype, strides=(size[1], 1))
            data = TensorWriteData(chunk=box, properties=properties, size=size)
            items[rank].append(WriteItem(MetadataIndex(fqn, box.offsets), WriteItemType.SHARD, tensor_data=data))
            paths[rank][fqn] = keys
    for rank in range(ranks):
        source.shuffle(items[rank])
    return [SavePlan(i, planner_data={item.index.fqn: p[item.index.fqn] for item in i}) for i, p in zip(items, paths)]


def check(plans, results, folder):
    for rank, plan in enumerate(plans):
        local_metadata(plan, results[rank], rank, folder)
    expected, _ = describe(global_metadata(plans, results, folder))
    answer = merged(folder)
    # Each rank has a save id of its own; the lowest rank's is kept.
    with open(folder / "__0.metadata", "rb") as file:
        assert answer["storage_meta"]["save_id"] == pickle.load(file).storage_meta.save_id
    answer["storage_meta"]["save_id"] = expected["storage_meta"]["save_id"]
    assert answer.pop("findings") == []
    assert answer == json.loads(json.dumps(expected))


@pytest.mark.parametrize("seed", range(60))
def test_plans_of_many_ranks(seed, tmp_path):
    source = random.Random(seed)
    plans = random_plans(source, source.randint(1, 9))
    check(plans, [results_of(plan, rank, source) for rank, plan in enumerate(plans)], tmp_path)


def test_a_real_save_without_collectives(tmp_path):
    """The plans behind d09's four files, read back from what they became."""
    plans, results = [], []
    for rank in range(4):
        with open(ROOT / f"tests/samples/d09_no_collectives/__{rank}.metadata", "rb") as file:
            metadata = pickle.load(file)
        items = []
        for fqn, value in metadata.state_dict_metadata.items():
            if not hasattr(value, "chunks"):
                items.append(WriteItem(MetadataIndex(fqn), WriteItemType.BYTE_IO))
                continue
            for chunk in value.chunks:
                data = TensorWriteData(chunk=chunk, properties=value.properties, size=value.size)
                items.append(WriteItem(MetadataIndex(fqn, chunk.offsets), WriteItemType.SHARD, tensor_data=data))
        plans.append(SavePlan(items, planner_data=metadata.planner_data))
        results.append([WriteResult(index, info.length, info) for index, info in metadata.storage_data.items()])
    check(plans, results, tmp_path)
    answer = merged(ROOT / "tests/samples/d09_no_collectives")
    assert answer["storage_data"] == merged(tmp_path)["storage_data"]
    assert answer["state_dict_metadata"] == merged(tmp_path)["state_dict_metadata"]
