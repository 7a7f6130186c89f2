"""Overlaps against torch's create_read_items_for_chunk_list."""

import random

import torch
from tilings import random_box, random_boxes, random_size
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, TensorProperties, TensorStorageMetadata
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list


def chunk(box):
    return ChunkStorageMetadata(offsets=torch.Size(box[0]), sizes=torch.Size(box[1]))


def torch_hits(size, chunks, boxes):
    """(box, chunk, chunk offsets, box offsets, lengths), sorted."""
    metadata = TensorStorageMetadata(TensorProperties(), torch.Size(size), [chunk(c) for c in chunks])
    items = create_read_items_for_chunk_list("w", metadata, [chunk(b) for b in boxes])
    return sorted(
        (i.dest_index.index, i.storage_index.index, tuple(i.storage_offsets), tuple(i.dest_offsets), tuple(i.lengths)) for i in items
    )


def test_random_tilings(answer):
    source = random.Random(1)
    cases = []
    for _ in range(6000):
        size = random_size(source)
        chunks = random_boxes(source, size)
        boxes = random_boxes(source, size)[:8] if source.random() < 0.5 else [random_box(source, size) for _ in range(4)]
        cases.append(["overlaps", {"fqn": "w", "size": size, "chunks": chunks}, boxes])
    layouts, hits = {}, 0
    for (_, tensor, boxes), got in zip(cases, answer(cases)):
        expected = torch_hits(tensor["size"], tensor["chunks"], boxes)
        layouts[got["layout"]] = layouts.get(got["layout"], 0) + 1
        hits += len(expected)
        for name in ("plain", "indexed"):
            flat = []
            for number, found in enumerate(got[name]):
                for at, begin, in_chunk, in_box, lengths in found:
                    flat.append((number, at, tuple(in_chunk), tuple(in_box), tuple(lengths)))
                    assert begin == [a + b for a, b in zip(tensor["chunks"][at][0], in_chunk)]
                    assert begin == [a + b for a, b in zip(boxes[number][0], in_box)]
            assert sorted(flat) == expected, (name, tensor, boxes)
    assert min(layouts[name] for name in ("whole", "explicit", "grid", "even")) > 150, layouts
    assert hits > 25_000


def test_hits_of_rows_ascend(answer):
    """The order is by rows: chunks sorted by offsets, then by DCP's order."""
    source = random.Random(2)
    cases = []
    for _ in range(300):
        size = random_size(source)
        cases.append(["overlaps", {"fqn": "w", "size": size, "chunks": random_boxes(source, size)}, [([0] * len(size), size)]])
    for (_, tensor, _), got in zip(cases, answer(cases)):
        rows = [(tensor["chunks"][at][0], at) for at, *_ in got["plain"][0]]
        assert rows == sorted(rows)


def test_boxes_beyond_the_tensor(answer):
    """Overlaps takes any box; what lies outside overlaps nothing but chunks that lie outside as well."""
    source = random.Random(3)
    cases = []
    for _ in range(1500):
        size = random_size(source, 3)
        boxes = []
        for _ in range(4):
            offsets = [source.randint(-5, n + 5) for n in size]
            boxes.append((offsets, [source.randint(0, n + 5) for n in size]))
        cases.append(["overlaps", {"fqn": "w", "size": size, "chunks": random_boxes(source, size)}, boxes])
    for (_, tensor, boxes), got in zip(cases, answer(cases)):
        for name in ("plain", "indexed"):
            flat = [
                (number, at, tuple(in_chunk), tuple(in_box), tuple(lengths))
                for number, found in enumerate(got[name])
                for at, _, in_chunk, in_box, lengths in found
            ]
            assert sorted(flat) == torch_hits(tensor["size"], tensor["chunks"], boxes), (name, tensor, boxes)


def test_numbers_that_leave_int64(answer):
    """Ends beyond int64 stand at its last number; nothing wraps."""
    most = 2**63 - 1
    chunks = [([0, 0], [4, 4]), ([4, 0], [most, 4]), ([most, 0], [most, most])]
    got = answer([["overlaps", {"fqn": "w", "size": [most, 4], "chunks": chunks}, [([2, 0], [most, most])]]])[0]
    assert [hit[0] for hit in got["plain"][0]] == [0, 1]
    assert got["plain"] == got["indexed"]
