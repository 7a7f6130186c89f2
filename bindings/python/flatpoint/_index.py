"""An index as NumPy has them, and the box that it reaches into."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import compress
from typing import Any, NamedTuple

Index = Any
"""None or `...` for all of it; an int, a slice or a tuple of them, as NumPy's basic indexing takes them; or a pair
(offsets, sizes)."""


class Box(NamedTuple):
    """The smallest box with all that an index names, and what to make of it."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: tuple[int, ...] | None
    """Elements from one to the next, negative where they come in reverse; None where all are 1."""
    shape: tuple[int, ...]
    """Of the result, without the dimensions that an int takes away."""
    kept: tuple[bool, ...]
    """Which dimensions of the tensor those are that the result has."""


def box_of(fqn: str, shape: tuple[int, ...], index: Index) -> Box:
    """Raises IndexError, TypeError or ValueError, as NumPy does."""
    if index is None or index is Ellipsis:
        return Box((0,) * len(shape), shape, None, shape, (True,) * len(shape))
    if _is_pair(index):
        return _box_of_pair(fqn, shape, *index)
    offsets, sizes, steps, counts, kept = [], [], [], [], []
    for dimension, (size, part) in enumerate(zip(shape, _parts(fqn, shape, index))):
        begin, count, step = _range(fqn, dimension, size, part)
        counts.append(count)
        kept.append(isinstance(part, slice))
        last = begin + (count - 1) * step
        offsets.append(min(begin, last) if count else 0)
        sizes.append(abs(last - begin) + 1 if count else 0)
        steps.append(step if count > 1 else 1)
    stepped = tuple(steps) if any(step != 1 for step in steps) else None
    return Box(tuple(offsets), tuple(sizes), stepped, tuple(compress(counts, kept)), tuple(kept))


def _is_pair(index: Index) -> bool:
    """Whether an index is (offsets, sizes)."""

    def is_row(part):
        return isinstance(part, Sequence) and not isinstance(part, str)

    return isinstance(index, tuple) and len(index) == 2 and all(map(is_row, index))


def check_subscript(fqn: str, index: Index) -> Index:
    """What stands in brackets: None and pairs of rows mean other things to NumPy. Raises TypeError."""
    if index is None or _is_pair(index):
        raise _unfit(fqn, index)
    return index


def _unfit(fqn: str, part: Any) -> TypeError:
    return TypeError(
        f"FQN {fqn!r}: an index is made of ints, slices and '...', not of {type(part).__name__}; "
        "what numpy() gives takes lists and masks too"
    )


def _box_of_pair(fqn: str, shape: tuple[int, ...], offsets: Sequence[int], sizes: Sequence[int]) -> Box:
    offsets, sizes = tuple(map(operator.index, offsets)), tuple(map(operator.index, sizes))
    if not len(offsets) == len(sizes) == len(shape):
        raise ValueError(f"FQN {fqn!r}: a box needs an offset and a size for each of its {len(shape)} dimensions")
    for offset, size, whole in zip(offsets, sizes, shape):
        if offset < 0 or size < 0 or offset + size > whole:
            raise IndexError(f"FQN {fqn!r}: a box at {offsets} of sizes {sizes} does not lie inside shape {shape}")
    return Box(offsets, sizes, None, sizes, (True,) * len(sizes))


def _parts(fqn: str, shape: tuple[int, ...], index: Index) -> list[Any]:
    parts = list(index) if isinstance(index, tuple) else [index]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError(f"FQN {fqn!r}: an index has at most one '...'")
    named = len(parts) - len(dots)
    if named > len(shape):
        raise IndexError(f"FQN {fqn!r}: {named} indices for shape {shape}")
    where = dots[0] if dots else len(parts)
    parts[where : where + len(dots)] = [slice(None)] * (len(shape) - named)
    return parts


def _range(fqn: str, dimension: int, size: int, part: Any) -> tuple[int, int, int]:
    """First element, number of elements, step."""
    if isinstance(part, slice):
        begin, end, step = part.indices(size)
        return begin, len(range(begin, end, step)), step
    try:
        at = operator.index(part)
    except TypeError:
        raise _unfit(fqn, part) from None
    if isinstance(part, bool):  # a mask to NumPy
        raise _unfit(fqn, part)
    if not -size <= at < size:
        raise IndexError(f"FQN {fqn!r}: index {at} is outside dimension {dimension} of size {size}")
    return at + size if at < 0 else at, 1, 1
