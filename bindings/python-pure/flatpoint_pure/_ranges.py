"""Which bytes of which data files are a box of a tensor: arithmetic alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ._errors import Error

if TYPE_CHECKING:
    from ._tensor import Chunk, Tensor

MAX_RANGES = 1 << 24


class BoxRange(NamedTuple):
    """`length` bytes from `byte_offset` of a data file on are those of the box from `box_offset` on, where the box lies
    row-major without gaps."""

    file: int
    byte_offset: int
    length: int
    box_offset: int


def checked_box(tensor: Tensor, offsets: Sequence[int] | None, sizes: Sequence[int] | None) -> tuple[Sequence[int], Sequence[int]]:
    """The whole tensor where no box is given."""
    whole = tensor.size
    offsets = [0] * len(whole) if offsets is None else offsets
    sizes = [n - o for n, o in zip(whole, offsets)] if sizes is None else sizes
    fits = len(offsets) == len(sizes) == len(whole)
    if not fits or any(o < 0 or s < 0 or o + s > n for o, s, n in zip(offsets, sizes, whole)):
        raise Error("invalid_argument", f"{tensor.name}: a box at {list(offsets)} with sizes {list(sizes)} does not lie in {list(whole)}")
    return offsets, sizes


def shared_chunks(tensor: Tensor, offsets: Sequence[int], sizes: Sequence[int]) -> list[Chunk]:
    """Those that have elements in common with a box."""
    ends = [o + s for o, s in zip(offsets, sizes)]

    def shares(chunk: Chunk) -> bool:
        return all(max(o, c) < min(e, c + n) for o, e, c, n in zip(offsets, ends, chunk.offsets, chunk.sizes))

    return [chunk for chunk in map(tensor.chunk_by_row, tensor.overlapping(offsets, sizes)) if shares(chunk)]


def box_ranges(tensor: Tensor, offsets: Sequence[int] | None, sizes: Sequence[int] | None, max_ranges: int) -> list[BoxRange]:
    offsets, sizes = checked_box(tensor, offsets, sizes)
    if 0 in sizes:
        return []
    size = tensor.item_size * math.prod(sizes)
    if size >= 2**64:
        raise Error("too_large", f"{tensor.name}: the box has more than 2^64 bytes")
    if size == 0:
        raise Error("not_plain", f"{tensor.name}: dtype {tensor.dtype} has no item size")
    ranges: list[BoxRange] = []
    for chunk in shared_chunks(tensor, offsets, sizes):
        _list(tensor, chunk, offsets, sizes, max_ranges, ranges)
    _check_covered(tensor, ranges, size)
    return ranges


def _list(tensor: Tensor, chunk: Chunk, offsets: Sequence[int], sizes: Sequence[int], max_ranges: int, ranges: list[BoxRange]) -> None:
    data = chunk.data()
    if data is None:
        if chunk.storage() is None:
            raise Error("holes", f"{tensor.name}: row {chunk.row} has no storage")
        message = f"{tensor.name}: where the elements of row {chunk.row} begin is not known"
        raise Error("not_plain", message)
    run = chunk_stride = box_stride = tensor.item_size
    byte_offset, box_offset, joined, outer = data.byte_offset, 0, True, []
    for o, s, c, n in reversed(list(zip(offsets, sizes, chunk.offsets, chunk.sizes))):
        begin = max(o, c)
        length = min(o + s, c + n) - begin
        byte_offset += (begin - c) * chunk_stride
        box_offset += (begin - o) * box_stride
        if joined:
            run *= length
        else:
            outer.append((length, chunk_stride, box_stride))
        joined = joined and length == n == s  # all behind this dimension is one run
        chunk_stride *= n
        box_stride *= s
    if len(ranges) + math.prod(length for length, _, _ in outer) > max_ranges:
        raise Error("too_large", f"{tensor.name}: the box has more than {max_ranges} ranges")
    starts = [(byte_offset, box_offset)]
    for length, in_chunk, in_box in reversed(outer):
        starts = [(begin + i * in_chunk, at + i * in_box) for begin, at in starts for i in range(length)]
    ranges.extend(BoxRange(data.file, begin, run, at) for begin, at in starts)


def _check_covered(tensor: Tensor, ranges: list[BoxRange], size: int) -> None:
    end = 0
    for at, length in sorted((r.box_offset, r.length) for r in ranges):
        if at > end:
            break
        end = max(end, at + length)
    if end < size:
        raise Error("holes", f"{tensor.name}: no chunk holds element {end // tensor.item_size} of the box")
