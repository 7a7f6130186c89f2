"""FlatBuffers tables, checked before anything in them is trusted: rules F5 and F6.

Python's runtime has no verifier, wraps negative positions to the end of the buffer and cuts what is too long. So each table
of the schema is listed with what its fields are, and read by one loop.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from ._errors import corrupt


class Scalar(NamedTuple):
    name: str
    code: str  # of the struct module
    default: int = 0


class Vector(NamedTuple):
    """A column of scalars, or of structs, whose bytes are kept as they are."""

    name: str
    code: str = "B"  # of the elements, for memoryview.cast
    size: int = 0  # of a struct, in bytes
    alignment: int = 0
    required: bool = False


class Table(NamedTuple):
    name: str
    fields: Sequence[Any]


Field = Scalar | Vector | Table


def in_range(begin: int, count: int, size: int) -> bool:
    """Whether [begin, begin + count) lies inside [0, size)."""
    return 0 <= begin <= size - count and count >= 0


def number(buffer: memoryview, code: str, at: int) -> int:
    size = struct.calcsize("<" + code)
    if not in_range(at, size, len(buffer)) or at % size != 0:
        raise corrupt("F5: an offset points outside the file or to a misaligned number")
    return struct.unpack_from("<" + code, buffer, at)[0]


def follow(buffer: memoryview, at: int) -> int:
    """The position that the offset at `at` refers to."""
    distance = number(buffer, "I", at)
    if distance == 0 or not in_range(at, distance, len(buffer)):
        raise corrupt("F5: an offset points outside the file or to itself")
    return at + distance


def read_vector(buffer: memoryview, at: int, field: Vector) -> memoryview:
    count = number(buffer, "I", at)
    size = field.size or struct.calcsize("<" + field.code)
    begin = at + 4
    if not in_range(begin, count * size, len(buffer)):
        raise corrupt(f"F5: column {field.name} ends outside the file")
    if begin % (field.alignment or size) != 0:
        raise corrupt(f"F6: column {field.name} is not aligned to its elements")
    column = buffer[begin : begin + count * size]
    return column if field.size or field.code == "B" else column.cast(field.code)


def read_table(buffer: memoryview, at: int, fields: Sequence[Field]) -> dict[str, Any]:
    """The fields of the table at a position, by name; None for vectors and tables that are absent."""
    vtable = at - number(buffer, "i", at)
    vtable_size = number(buffer, "H", vtable)
    if vtable_size % 2 != 0 or not in_range(vtable, vtable_size, len(buffer)):
        raise corrupt("F5: a vtable ends outside the file")
    values: dict[str, Any] = {}
    for i, field in enumerate(fields):
        slot = 4 + 2 * i
        offset = number(buffer, "H", vtable + slot) if slot < vtable_size else 0
        if isinstance(field, Scalar):
            values[field.name] = number(buffer, field.code, at + offset) if offset else field.default
        elif offset == 0:
            if isinstance(field, Vector) and field.required:
                raise corrupt(f"F5: column {field.name} is missing")
            values[field.name] = None
        elif isinstance(field, Vector):
            values[field.name] = read_vector(buffer, follow(buffer, at + offset), field)
        else:
            values[field.name] = read_table(buffer, follow(buffer, at + offset), field.fields)
    return values
