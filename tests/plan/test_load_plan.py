"""Whole plans against torch's create_default_local_load_plan, with real DTensors on a fake process group."""

import collections
import contextlib
import math
import pickle
import random

import pytest
import torch
import torch.distributed as dist
from conftest import ROOT
from tilings import random_box, random_boxes, random_size
from torch.distributed.checkpoint.default_planner import create_default_local_load_plan
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from torch.testing._internal.distributed.fake_pg import FakeStore

SAMPLES = ROOT / "tests" / "samples"


@contextlib.contextmanager
def fake_mesh(shape, rank):
    dist.init_process_group("fake", rank=rank, world_size=math.prod(shape), store=FakeStore())
    try:
        yield init_device_mesh("cpu", tuple(shape))
    finally:
        dist.destroy_process_group()


def fitting(placements, rank):
    return [Replicate() if isinstance(p, Shard) and p.dim >= rank else p for p in placements]


def dtensor(size, dtype, mesh, placements):
    local, _ = compute_local_shape_and_global_offset(size, mesh, placements)
    strides = torch.empty(size, device="meta").stride()
    return DTensor.from_local(torch.empty(local, dtype=dtype, device="meta"), mesh, placements, run_check=False, shape=size, stride=strides)


def torch_items(items):
    """Read items as plain tuples, sorted. Hints at the position of saved chunks are left out, as equality leaves them out."""
    return sorted(
        (
            i.type.name,
            i.dest_index.fqn,
            tuple(i.dest_index.offset or ()),
            i.dest_index.index or 0,
            tuple(i.dest_offsets),
            tuple(i.storage_index.offset or ()),
            tuple(i.storage_offsets),
            tuple(i.lengths),
        )
        for i in items
    )


def our_items(plan):
    rows = []
    for kind, (fqn, offset, index), dest_offsets, (from_fqn, from_offset, _), storage_offsets, lengths, *_ in plan["items"]:
        assert fqn == from_fqn and (offset is None) == (kind == "BYTE_IO") == (from_offset is None)
        rows.append(
            (
                kind,
                fqn,
                tuple(offset or ()),
                index or 0,
                tuple(dest_offsets),
                tuple(from_offset or ()),
                tuple(storage_offsets),
                tuple(lengths),
            )
        )
    return sorted(rows)


def check_storage(plan, metadata):
    """Every item names the bytes that torch's reader would look up."""
    for _, _, _, (fqn, offset, _), _, _, path, begin, length in plan["items"]:
        info = metadata.storage_data[MetadataIndex(fqn, offset)]
        assert (info.relative_path, info.offset, info.length) == (path, begin, length)


def check_reads(plan, gap=0):
    """Reads are the items' ranges, joined; totals are theirs."""
    items = [(item[-3], item[-2], item[-1]) for item in plan["items"]]
    files = [path for path, *_ in items]
    assert sorted(set(files), key=files.index) == [p for p, n in zip(files, [None, *files]) if p != n], "grouped by file"
    expected, stored, end = [], 0, 0
    for number, (path, begin, length) in enumerate(items):
        last = expected[-1] if expected else None
        if last and last[0] == path:
            assert items[number - 1][1] <= begin, "sorted by position"
        if not last or last[0] != path or begin > end + gap:
            expected.append([path, begin, 0, number, 0])
            end = begin
        stored += max(0, begin + length - max(end, begin))
        end = max(end, begin + length)
        expected[-1][2] = end - expected[-1][1]
        expected[-1][4] += 1
    assert plan["reads"] == expected
    assert plan["files"] == len(set(files))
    assert plan["stored_bytes"] == stored
    assert plan["read_bytes"] == sum(read[2] for read in expected)


def wanted_of(state_dict):
    wanted = []
    for fqn, value in state_dict.items():
        if not isinstance(value, torch.Tensor):
            wanted.append({"fqn": fqn})
            continue
        boxes = [([0] * value.dim(), list(value.shape))]
        if isinstance(value, DTensor):
            local, offset = compute_local_shape_and_global_offset(value.shape, value.device_mesh, value.placements)
            boxes = [(list(offset), list(local))]
        dtype = str(value.dtype).removeprefix("torch.")
        wanted.append({"fqn": fqn, "size": list(value.shape), "dtype": dtype, "boxes": boxes})
    return wanted


CASES = [
    ("synthetic_w64_1000", [48], "S0"),
    ("synthetic_w64_1000", [8, 6], "S0,S1"),
    ("synthetic_w64_1000", [7], "S1"),
    ("d01_dtensor_1d", [3], "S0"),
    ("d01_dtensor_1d", [5], "R"),
    ("d02_dtensor_2d", [2, 3], "S1,S0"),
    ("d02_dtensor_2d", [4, 2], "S0,S0"),
    ("d04_fsdp2", [3], "S0"),
    ("d06_multi_file_threads", [2, 2], "R,S0"),
    ("d11_zstd_dedup_lowest", [3], "S0"),
    ("s04_dtypes", [2], "S0"),
    ("s07_optimizer_bytes", [2], "S0"),
    ("s08_multi_file", [3], "S0"),
    ("s13_safetensors_fs", [2], "S0"),
    ("s17_empty", [2], "S0"),
    ("real_t2.1.2_single", [2], "S0"),
    ("real_t2.3.1_sharded", [3], "S0"),
    ("real_t2.9.1_sharded", [2, 2], "S0,S1"),
]


@pytest.mark.parametrize("sample, mesh_shape, placements", CASES)
def test_samples(answer, sample, mesh_shape, placements):
    path = SAMPLES / sample / ".metadata"
    metadata = pickle.loads(path.read_bytes())
    cut = [Shard(int(p[1:])) if p.startswith("S") else Replicate() for p in placements.split(",")]
    world = math.prod(mesh_shape)
    ranks = sorted({0, world // 2, world - 1, 17 % world})
    expected, cases = [], []
    for rank in ranks:
        with fake_mesh(mesh_shape, rank) as mesh:
            state_dict = {
                fqn: dtensor(md.size, md.properties.dtype, mesh, fitting(cut, len(md.size)))
                if isinstance(md, TensorStorageMetadata)
                else None
                for fqn, md in metadata.state_dict_metadata.items()
            }
            expected.append(torch_items(create_default_local_load_plan(state_dict, metadata).items))
            cases.append(["load_plan", str(path), wanted_of(state_dict), {}])
    *listed, meshed, balance = answer(
        [*cases, ["mesh_plans", str(path), mesh_shape, placements, ranks, {}], ["balance", str(path), mesh_shape, placements]]
    )
    needed = 0
    for from_torch, plan, from_mesh in zip(expected, listed, meshed):
        assert our_items(plan) == from_torch
        assert plan["loadable"] and not plan["issues"] and not plan["unexpected"]
        for kind in ("files", "needed_bytes", "stored_bytes", "read_bytes", "issues"):
            assert from_mesh[kind] == plan[kind], kind
        assert our_items(from_mesh) == from_torch
        for one in (plan, from_mesh):
            check_storage(one, metadata)
            check_reads(one)
        for item in plan["items"]:
            md = metadata.state_dict_metadata[item[1][0]]
            needed += item[-1] if item[0] == "BYTE_IO" else math.prod(item[5]) * md.properties.dtype.itemsize
    assert needed == sum(plan["needed_bytes"] for plan in listed)
    check_balance(balance, overlapping_storage=sample == "s13_safetensors_fs")


def check_balance(balance, overlapping_storage=False):
    """Equal to what the plans add up to; plans count bytes that several chunks claim once, the balance each time."""
    ranks, from_plans = balance["ranks"], balance["ranks_from_plans"]
    if overlapping_storage:
        ranks, from_plans = ([[i, n, f] for i, n, _, f in rows] for rows in (ranks, from_plans))
    assert ranks == from_plans
    assert balance["files"] == balance["files_from_plans"]
    issues = [tuple(issue) for issue in balance["issues"]]
    assert len(set(issues)) == len(issues)
    assert set(issues) == {tuple(issue) for issue in balance["issues_from_plans"]}
    assert balance["loadable"] == (not any(fatal for _, fatal, _ in issues))
    assert balance["total"][:3] == [sum(column) for column in list(zip(*balance["ranks"]))[:3]]
    assert balance["total"][3] == sum(readers > 0 for _, readers in balance["files"])
    stored = [rank[2] for rank in balance["ranks"]]
    assert balance["most_loaded_rank"] == stored.index(max(stored))
    read = [read for read, _ in balance["files"]] or [0]
    assert balance["most_loaded_file"] == read.index(max(read))
    if balance["total"][1]:
        assert balance["read_amplification"] == pytest.approx(balance["total"][2] / balance["total"][1])


def random_metadata(source):
    """A checkpoint as JSON and as torch's Metadata: tensors and bytes over a few files, chunks at random places."""
    files = [f"__{i}_0.distcp" for i in range(source.randint(1, 4))]
    ends = [0] * len(files)

    def place():
        file = source.randrange(len(files))
        begin, length = ends[file] + source.choice((0, 0, 7)), source.randint(0, 500)
        ends[file] = begin + length
        return [file, begin, length]

    entries, state = [], {}
    for number in range(source.randint(1, 12)):
        fqn = f"{source.choice('abc')}.{number}"
        if source.random() < 0.2:
            entries.append({"fqn": fqn, "storage": [place()]})
            state[fqn] = BytesStorageMetadata()
            continue
        size = random_size(source, 3)
        seen, boxes = set(), []
        for offsets, sizes in random_boxes(source, size):
            if tuple(offsets) not in seen:  # chunks at one place have one key in storage_data
                seen.add(tuple(offsets))
                boxes.append((offsets, sizes))
        entries.append({"fqn": fqn, "size": size, "chunks": boxes, "storage": [place() for _ in boxes]})
        chunks = [ChunkStorageMetadata(offsets=torch.Size(o), sizes=torch.Size(s)) for o, s in boxes]
        state[fqn] = TensorStorageMetadata(TensorProperties(dtype=torch.float32), torch.Size(size), chunks)
    return {"files": files, "entries": entries}, Metadata(state)


def test_random_checkpoints(answer):
    source = random.Random(8)
    cases, expected = [], []
    for _ in range(1200):
        as_json, metadata = random_metadata(source)
        wanted, items = [], []
        for entry in source.sample(as_json["entries"], source.randint(0, len(as_json["entries"]))):
            one = {key: entry[key] for key in ("fqn", "size") if key in entry}
            wanted.append(one)
            md = metadata.state_dict_metadata[entry["fqn"]]
            if "size" not in entry:
                items.append(("BYTE_IO", entry["fqn"], (), 0, (0,), (), (0,), (0,)))
                continue
            one["boxes"] = [random_box(source, entry["size"]) for _ in range(source.randint(0, 3))]
            boxes = [ChunkStorageMetadata(offsets=torch.Size(o), sizes=torch.Size(s)) for o, s in one["boxes"]]
            items += torch_items(create_read_items_for_chunk_list(entry["fqn"], md, boxes))
        gap = source.choice((0, 0, 1, 7, 1000))
        cases.append(["load_plan", as_json, wanted, {"max_gap": gap}])
        expected.append((sorted(items), {e["fqn"] for e in as_json["entries"]} - {w["fqn"] for w in wanted}, gap))
    found = 0
    for plan, (items, unexpected, gap) in zip(answer(cases), expected):
        assert our_items(plan) == items
        assert sorted(plan["unexpected"]) == sorted(unexpected)
        assert plan["loadable"] and {issue[0] for issue in plan["issues"]} <= {"uncovered"}
        check_reads(plan, gap)
        found += len(items)
    assert found > 6000


def test_random_balances(answer):
    source = random.Random(9)
    cases = []
    for _ in range(500):
        as_json, _ = random_metadata(source)
        for entry in as_json["entries"]:
            if source.random() < 0.3 and "size" in entry:
                entry["dtype"] = source.choice(("int8", "float64", "new_dtype"))
            if source.random() < 0.05 and "size" not in entry:
                entry["opaque"] = True
            if source.random() < 0.2:
                entry["storage"] = [None if source.random() < 0.3 else place for place in entry["storage"]]
        mesh = [source.randint(1, 5) for _ in range(source.randint(1, 2))]
        placements = ",".join(source.choice(("S0", "S1", "R")) for _ in mesh)
        cases.append(["balance", as_json, mesh, placements])
    kinds = collections.Counter()
    for balance in answer(cases):
        check_balance(balance)
        kinds.update({kind for kind, _, _ in balance["issues"]})
    assert kinds["no_storage"] > 100 and kinds["uncovered"] > 100 and kinds["type_mismatch"] > 30, kinds


def entry(fqn, size, chunks, **more):
    return {"fqn": fqn, "size": size, "chunks": chunks, **more}


CHECKPOINT = {
    "entries": [
        entry("b", [6], [([0], [3]), ([3], [3])]),
        entry("hole", [6], [([0], [2])]),
        entry("lost", [4], [([0], [2]), ([2], [2])], storage=[None, [0, 900, 8]]),
        {"fqn": "step"},
        entry("w", [8, 4], [([0, 0], [4, 4]), ([4, 0], [4, 4])], dtype="bfloat16"),
    ]
}


def issues(answer, wanted, strict=True):
    plan = answer([["load_plan", CHECKPOINT, wanted, {"strict": strict}]])[0]
    return plan["loadable"], [tuple(issue) for issue in plan["issues"]], plan


def test_everything_wrong_is_reported_at_once(answer):
    wanted = [
        {"fqn": "gone"},
        {"fqn": "w", "size": [8, 5], "boxes": [([0, 0], [8, 5])]},
        {"fqn": "b", "size": [6], "boxes": [([0], [3]), ([4], [3])]},
        {"fqn": "b", "size": [6], "boxes": []},
        {"fqn": "hole", "size": [6], "boxes": [([0], [3])]},
        {"fqn": "lost", "size": [4], "boxes": [([0], [4])]},
    ]
    loadable, found, plan = issues(answer, wanted)
    assert not loadable
    assert found == [
        ("missing", True, "gone", "FQN 'gone' is not in the checkpoint"),
        ("size_mismatch", True, "w", "FQN 'w': size [8, 5] is wanted, the checkpoint holds [8, 4]"),
        ("box_outside", True, "b", "FQN 'b': box 1 at [4] with sizes [3] reaches outside size [6]"),
        ("repeated", True, "b", "FQN 'b' is wanted twice"),
        ("uncovered", False, "hole", "FQN 'hole': saved chunks hold 2 of the 3 elements wanted"),
        ("no_storage", True, "lost", "FQN 'lost': 1 of the 2 chunks needed have no storage information"),
    ]
    assert plan["unexpected"] == ["step"]
    assert [item[1][0] for item in plan["items"]] == ["hole", "lost"]


def test_the_partial_rule(answer):
    wanted = [{"fqn": "gone"}, {"fqn": "step"}]
    loadable, found, plan = issues(answer, wanted, strict=False)
    assert loadable and len(plan["items"]) == 1
    assert found == [("missing", False, "gone", "FQN 'gone' is not in the checkpoint")]
    assert not issues(answer, wanted)[0]


def test_types(answer):
    whole = {"size": [8, 4], "boxes": [([0, 0], [8, 4])]}
    assert issues(answer, [{"fqn": "w", **whole, "dtype": "bfloat16"}])[:2] == (True, [])
    assert issues(answer, [{"fqn": "w", **whole, "dtype": "float32"}])[:2] == (
        True,
        [("dtype_mismatch", False, "w", "FQN 'w': float32 is wanted, the checkpoint holds bfloat16")],
    )
    assert issues(answer, [{"fqn": "w"}])[:2] == (
        False,
        [("type_mismatch", True, "w", "FQN 'w': bytes are wanted, the checkpoint holds a tensor")],
    )
    # torch plans to read the bytes.
    loadable, found, plan = issues(answer, [{"fqn": "step", **whole}])
    assert loadable and [item[0] for item in plan["items"]] == ["BYTE_IO"]
    assert found == [("type_mismatch", False, "step", "FQN 'step': a tensor is wanted, the checkpoint holds bytes")]


def test_torch_agrees_on_what_is_fatal():
    metadata = Metadata(
        {
            "step": BytesStorageMetadata(),
            "w": TensorStorageMetadata(TensorProperties(), torch.Size([2]), [ChunkStorageMetadata(torch.Size([0]), torch.Size([2]))]),
        }
    )
    with pytest.raises(RuntimeError, match="Missing key"):
        create_default_local_load_plan({"gone": None}, metadata)
    assert not create_default_local_load_plan({"gone": None}, metadata, strict=False).items
    with pytest.raises(ValueError, match="Size mismatch"):
        create_default_local_load_plan({"w": torch.empty(3)}, metadata, strict=False)
    with pytest.raises(ValueError, match="Invalid checkpoint metadata"):
        create_default_local_load_plan({"w": None}, metadata, strict=False)
    assert [i.type.name for i in create_default_local_load_plan({"step": torch.empty(3)}, metadata).items] == ["BYTE_IO"]
    assert create_default_local_load_plan({"w": torch.empty(2, dtype=torch.int64)}, metadata).items


def test_bad_arguments(answer):
    wrong = {"fqn": "w", "size": [8, 4], "boxes": [([0, 0], [8])]}
    huge = {"entries": [entry("huge", [2**40, 2**40], [([0, 0], [2**40, 2**40])])]}
    cases = [
        ["load_plan", CHECKPOINT, [wrong], {}],
        ["load_plan", huge, [{"fqn": "huge", "size": [2**40, 2**40], "boxes": [([0, 0], [2**40, 2**40])]}], {}],
        ["mesh_plans", CHECKPOINT, [2, 2], "S0", [0], {}],
        ["mesh_plans", CHECKPOINT, [2, 0], "S0,R", [0], {}],
        ["mesh_plans", CHECKPOINT, [2], "S0", [2], {}],
        ["mesh_plans", CHECKPOINT, [2], "P", [0], {}],
        ["mesh_plans", huge, [2], "S0", [0], {}],
        ["balance", huge, [2], "S0"],
    ]
    got = answer(cases)
    assert got[0]["error"] == ["invalid_argument", "FQN 'w': 3 values for 1 boxes of 2 dimensions"]
    assert got[1]["issues"] == [
        ["box_outside", True, "huge", "FQN 'huge': the elements of box 0 at [0, 0] with sizes [1099511627776, 1099511627776] leave 64 bits"]
    ]
    assert got[2]["error"] == ["invalid_argument", "1 placements for a mesh of 2 dimensions"]
    assert got[3]["error"] == ["invalid_argument", "a mesh dimension of size 0"]
    assert got[4]["error"] == ["invalid_argument", "rank 2 of a mesh of 2 ranks"]
    assert got[5]["error"][0] == "invalid_argument" and "partial placements" in got[5]["error"][1]
    for one in got[6:]:
        assert one["error"] == ["too_large", "FQN 'huge' of size [1099511627776, 1099511627776]: the elements of rank 0 leave 64 bits"]
