"""Load plans. What they hold is compared with torch's in tests/plan; here it is the way from Python and back."""

import flatpoint
import pytest
from conftest import SAMPLES

NAME = "model.model.layers.0.self_attn.q_proj.weight"


def test_boxes(folder):
    checkpoint = flatpoint.open(folder)
    plan = checkpoint.plan({NAME: [((100, 0), (200, 8192)), ((0, 0), (1, 1))]})
    assert plan.loadable and plan.issues == ()
    items = sorted(plan, key=lambda item: (item.box, item.chunk_offsets))
    assert [(i.box, i.chunk_offsets, i.storage_offsets, i.dest_offsets, i.lengths) for i in items] == [
        (0, (0, 0), (100, 0), (0, 0), (28, 8192)),
        (0, (128, 0), (0, 0), (28, 0), (128, 8192)),
        (0, (256, 0), (0, 0), (156, 0), (44, 8192)),
        (1, (0, 0), (0, 0), (0, 0), (1, 1)),
    ]
    assert {i.fqn for i in items} == {NAME} and {i.kind for i in items} == {"tensor"}
    assert [i.box_offsets for i in items] == [(100, 0)] * 3 + [(0, 0)]
    for item in items:
        assert checkpoint.find(NAME, item.chunk_offsets)[:3] == (item.relative_path, item.byte_offset, item.length)
    assert plan.needed_bytes == (200 * 8192 + 1) * 2
    assert plan.stored_bytes == sum({(i.relative_path, i.byte_offset): i.length for i in items}.values())
    assert set(plan.unexpected) == set(checkpoint) - {NAME}


def test_everything():
    checkpoint = flatpoint.open(SAMPLES / "s07_optimizer_bytes")
    plan = checkpoint.plan(dict.fromkeys(checkpoint))
    assert plan.loadable and plan.unexpected == ()
    kinds = {item.fqn: item.kind for item in plan}
    assert kinds == {f: "bytes" if isinstance(e, flatpoint.Bytes) else "tensor" for f, e in checkpoint.items()}
    assert "bytes" in kinds.values()
    assert sum(read.item_count for read in plan.reads) == len(plan)
    for read in plan.reads:
        for item in plan[read.item_begin : read.item_begin + read.item_count]:
            assert item.relative_path == read.relative_path
            assert read.byte_offset <= item.byte_offset and item.byte_offset + item.length <= read.byte_offset + read.length


def test_gaps_are_read_over(folder):
    checkpoint = flatpoint.open(folder)
    names = list(checkpoint)
    apart = checkpoint.plan(dict.fromkeys(names[::2]))
    together = checkpoint.plan(dict.fromkeys(names[::2]), max_gap=1 << 40)
    assert len(together.reads) == 64 < len(apart.reads)
    assert together.read_bytes > apart.read_bytes == apart.stored_bytes


def test_issues(folder):
    checkpoint = flatpoint.open(folder)
    wanted = {
        "absent": None,
        "absent too": [((0,), (1,))],
        NAME: flatpoint.Wanted(size=(8192, 4096)),
        "model.model.norm.weight": flatpoint.Wanted(dtype="float64"),
        "model.model.layers.0.mlp.gate_proj.weight": flatpoint.Wanted(kind="bytes"),
    }
    issues = checkpoint.plan(wanted).issues
    assert [(issue.kind, issue.fatal) for issue in issues if issue.fqn != "model.model.norm.weight"] == [
        ("missing", True),
        ("missing", True),
        ("size_mismatch", True),
        ("type_mismatch", True),
    ]
    assert not checkpoint.plan({"absent": None}).loadable
    partial = checkpoint.plan({"absent": None}, strict=False)
    assert partial.loadable and partial.issues[0].kind == "missing"


@pytest.mark.parametrize("boxes", [[((0,), (1,))], [((0, 0),)], [(0, 0)], 3])
def test_boxes_of_another_shape(folder, boxes):
    with pytest.raises((ValueError, TypeError)):
        flatpoint.open(folder).plan({NAME: boxes})
