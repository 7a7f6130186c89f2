"""Coverage against torch's _validate_global_plan and against counting every cell."""

import itertools
import random

import numpy
import pytest
import torch
from tilings import grid, random_boxes, random_size
from torch.distributed.checkpoint import default_planner
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, Metadata, TensorProperties, TensorStorageMetadata


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """torch logs every error that it also returns."""
    monkeypatch.setattr(default_planner.logger, "warning", lambda *_: None)


def torch_accepts(size, boxes):
    chunks = [ChunkStorageMetadata(offsets=torch.Size(o), sizes=torch.Size(s)) for o, s in boxes]
    metadata = Metadata({"w": TensorStorageMetadata(TensorProperties(), torch.Size(size), chunks)})
    return not default_planner._validate_global_plan([None, None], metadata)


def at(box):
    """A box as numpy's index, cut off at 0."""
    return tuple(slice(max(o, 0), max(o + s, 0)) for o, s in zip(*box))


def outside(size, box):
    """An empty box lies nowhere."""
    offsets, sizes = box
    return min((*offsets, *sizes), default=0) < 0 or (0 not in sizes and any(o + s > n for o, s, n in zip(offsets, sizes, size)))


def count(size, boxes):
    """How many boxes hold each element, and whether all lie inside."""
    inside = not any(outside(size, box) for box in boxes)
    cells = numpy.zeros(size, dtype=numpy.int32)
    for box in boxes:
        cells[at(box)] += 1
    return cells, inside


def same(cells, box, value):
    """Whether a box has elements, and all of them the value."""
    part = numpy.asarray(cells[at(box)])
    return part.size > 0 and bool((part == value).all())


def check_findings(size, boxes, coverage, rows):
    """Every finding is true; `rows` are the boxes as they are numbered."""
    cells, _ = count(size, boxes)
    for kind, chunk, other, offsets, sizes, text in coverage["findings"]:
        assert str(offsets) in text and str(sizes) in text
        if kind == "hole":
            assert same(cells, (offsets, sizes), 0)
        elif kind == "overlap":
            assert chunk != other and same(count(size, [rows[chunk], rows[other]])[0], (offsets, sizes), 2)
        elif kind == "outside":
            assert outside(size, (offsets, sizes))
            assert rows[chunk] == (offsets, sizes)
        else:
            assert kind == "empty_inside" and rows[chunk] == (offsets, sizes) and 0 in sizes


def check(cases, answers):
    seen = {"tiles": 0, "outside": 0, "overlap": 0, "hole": 0, "empty_inside": 0}
    for (_, tensor), got in zip(cases, answers):
        size, boxes = tensor["size"], [(list(o), list(s)) for o, s in tensor["chunks"]]
        cells, inside = count(size, boxes)
        tiles = inside and bool((cells == 1).all())
        for name, rows in (("list", boxes), ("file", sorted(boxes, key=lambda box: box[0]))):
            coverage = got[name]
            kinds = {finding[0] for finding in coverage["findings"]}
            assert coverage["tiles"] == tiles, (name, tensor)
            assert tiles or kinds
            assert ("outside" in kinds) == (not inside)
            beyond = any(o + s > n for offsets, sizes in boxes if 0 in sizes for o, s, n in zip(offsets, sizes, size))
            if size and not beyond:  # torch refuses empty chunks beyond the end
                assert torch_accepts(size, boxes) == (tiles and not kinds), (name, tensor)
            check_findings(size, boxes, coverage, rows)
            for kind in kinds:
                seen[kind] += 1
            seen["tiles"] += tiles
    return seen


def test_random_tilings(answer):
    source = random.Random(4)
    cases = []
    while len(cases) < 5000:
        size = random_size(source)
        cases.append(["coverage", {"fqn": "w", "size": size, "chunks": random_boxes(source, size)}])
    seen = check(cases, answer(cases))
    assert all(number > 60 for kind, number in seen.items() if kind != "outside"), seen


def test_chunks_outside(answer):
    source = random.Random(5)
    cases = []
    while len(cases) < 1500:
        size = random_size(source, 3)
        boxes = [(list(o), list(s)) for o, s in random_boxes(source, size)]
        if not size or not boxes:
            continue
        d = source.randrange(len(size))
        box = source.choice(boxes)
        box[source.randrange(2)][d] += source.choice((-3, -1, 1, 2))
        cases.append(["coverage", {"fqn": "w", "size": size, "chunks": boxes}])
    assert check(cases, answer(cases))["outside"] > 700


def test_grids_that_do_not_fit(answer):
    """Grids are judged by their outermost split points."""
    source = random.Random(6)
    cases = []
    while len(cases) < 1500:
        size = [source.randint(0, 9) for _ in range(source.randint(1, 3))]
        cuts = []
        for n in size:
            begin = source.choice((0, 0, 0, -1, 1, 2))
            cuts.append([begin, *sorted(source.randint(begin, n + 2) for _ in range(source.randint(1, 3)))])
        cases.append(["coverage", {"fqn": "w", "size": size, "chunks": list(grid(cuts))}])
    answers = answer(cases)
    check(cases, answers)
    assert sum(got["layout"] == "grid" for got in answers) > 400


def test_one_damage_in_a_large_tiling(answer):
    """A hole and an overlap of equal volume: a check of volumes would pass."""
    boxes = [([i * 3, j * 5], [3, 5]) for i, j in itertools.product(range(40), range(40))]
    moved = [(o, s) if o != [33, 55] else ([36, 55], s) for o, s in boxes]
    for broken, kinds in ((boxes, set()), (moved, {"hole", "overlap"}), (boxes[1:], {"hole"}), (boxes + boxes[7:8], {"overlap"})):
        random.Random(7).shuffle(broken)
        got = answer([["coverage", {"fqn": "w", "size": [120, 200], "chunks": broken}]])[0]
        for name in ("list", "file"):
            assert got[name]["tiles"] == (not kinds)
            assert {finding[0] for finding in got[name]["findings"]} == kinds


def test_sizes_whose_volume_overflows(answer):
    n = 2**62
    whole = ([0] * 4, [n] * 4)
    halves = [([0] * 4, [n // 2, n, n, n]), ([n // 2, 0, 0, 0], [n // 2, n, n, n])]
    cases = [["coverage", {"fqn": "w", "size": [n] * 4, "chunks": c}] for c in ([whole], halves, halves[1:], halves + [whole])]
    assert [got["list"]["tiles"] for got in answer(cases)] == [True, True, False, False]
    assert [got["file"]["tiles"] for got in answer(cases)] == [True, True, False, False]
    end = 2**63 - 1
    got = answer([["coverage", {"fqn": "w", "size": [end], "chunks": [([1], [end]), ([0], [1])]}]])[0]
    assert [finding[0] for finding in got["list"]["findings"]] == ["outside"]


def test_a_whole_file(answer):
    metadata = {
        "entries": [
            {"fqn": "bytes"},
            {"fqn": "good", "size": [4, 4], "chunks": [([0, 0], [2, 4]), ([2, 0], [2, 4])]},
            {"fqn": "hole", "size": [4, 4], "chunks": [([2, 0], [2, 4])]},
            {"fqn": "scalar", "size": [], "chunks": [([], [])]},
            {"fqn": "twice", "size": [4, 4], "chunks": [([0, 0], [4, 4]), ([0, 0], [2, 4])]},
        ]
    }
    got = answer([["coverage_of_file", metadata]])[0]
    assert got == {
        "tensors": 4,
        "not_tiled": 2,
        "not_judged": 0,
        "suppressed": 0,
        "findings": [
            ["chunk_hole", "FQN 'hole' of size [4, 4]: no chunk holds the region at [0, 0] with sizes [2, 4]"],
            ["chunk_overlap", "FQN 'twice' of size [4, 4]: chunks 0 and 1 share the region at [0, 0] with sizes [2, 4]"],
        ],
    }
