"""Entries and chunks as columns."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    import numpy


class Table:
    """Columns by name, of as many rows each: what `Checkpoint.table` and `Checkpoint.chunks_table` make.

        table = checkpoint.chunks_table()
        table["length"].sum()           # an array of NumPy
        polars.DataFrame(table)         # or pyarrow.table(table), pandas.DataFrame.from_arrow(table), duckdb's SQL

    As NumPy has them, texts are arrays of str, with None where there is none; numbers that may be missing are masked
    arrays; lists of numbers, one per dimension, are rows of an array of two dimensions, filled up with -1. Readers of Arrow
    take the columns without NumPy and without a loop in Python (`__arrow_c_stream__`). The columns are in memory of their
    own, and may outlive the checkpoint.
    """

    def __init__(self, columns: _core.TableColumns):
        self._columns = columns
        self._arrays: dict[str, numpy.ndarray] = {}

    # No Mapping by its type: polars would take the arrays one by one, and not the stream.

    @property
    def num_rows(self) -> int:
        """Rows; `len()` counts columns."""
        return len(self._columns)

    def __getitem__(self, name: str) -> numpy.ndarray:
        if name not in self._arrays:
            self._arrays[name] = _array(self._columns.parts(name))
        return self._arrays[name]

    def keys(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self._columns.names

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.names)

    def __len__(self) -> int:
        return len(self._columns.names)

    def __contains__(self, name: object) -> bool:
        return name in self._columns.names

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Arrow's PyCapsule interface. The schema is always the same."""
        return self._columns.stream()

    def __arrow_c_schema__(self) -> object:
        """Arrow's PyCapsule interface."""
        return self._columns.schema()

    def __repr__(self) -> str:
        return f"Table({self.num_rows} rows: {', '.join(self)})"

    def _repr_html_(self) -> str:
        """For notebooks: the first rows."""
        shown = min(self.num_rows, 20)
        rows = zip(*(_cells(self[name][:shown]) for name in self))
        head = "".join(f"<th>{name}</th>" for name in self)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        more = f"<p>and {self.num_rows - shown:,} more</p>" if self.num_rows > shown else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cells(values: numpy.ndarray) -> Iterator[str]:
    for value in values.tolist():
        if isinstance(value, list):
            value = " × ".join(str(size) for size in value if size >= 0)
        yield "" if value is None else str(value)


def _array(parts: tuple[str, Any, Any, bytes | None]) -> numpy.ndarray:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("arrays need NumPy: pip install numpy; readers of Arrow do without", name="numpy") from error
    kind, values, beside, valid = parts

    def present(count: int) -> Any:
        return numpy.unpackbits(numpy.frombuffer(valid, numpy.uint8), count=count, bitorder="little").astype(bool)

    if kind == "numbers":
        array = numpy.frombuffer(values, numpy.uint64)
        return array if valid is None else numpy.ma.MaskedArray(array, ~present(len(array)))
    if kind == "texts":
        return _texts(numpy, values)
    if kind == "codes":
        codes = numpy.frombuffer(values, numpy.int32)
        texts = numpy.append(_texts(numpy, beside), numpy.array([None], object))
        return texts[codes if valid is None else numpy.where(present(len(codes)), codes, -1)]
    ends = numpy.frombuffer(beside, numpy.int64)
    lengths = numpy.diff(ends)
    width = int(lengths.max(initial=0))
    rows = numpy.full((len(lengths), width), -1, numpy.int64)
    rows[numpy.arange(width) < lengths[:, None]] = numpy.frombuffer(values, numpy.int64)
    return rows


def _texts(numpy: Any, texts: list[str]) -> numpy.ndarray:
    array = numpy.empty(len(texts), object)
    array[:] = texts
    return array


def table(self: _core.Checkpoint) -> Table:
    """A row per FQN, in DCP's order: fqn, kind ("tensor", "bytes", "opaque"), dtype, shape, nbytes (elements times bytes per
    element), chunks, stored_bytes (of all its items). Raises Error: CORRUPT."""
    return Table(self._entries_table())


def chunks_table(self: _core.Checkpoint) -> Table:
    """A row per chunk of a tensor and per bytes item, in DCP's order: fqn, chunk (its number in the tensor), offsets, sizes,
    file, byte_offset, length (all of the item), row (of the chunk columns). Raises Error: CORRUPT."""
    return Table(self._chunks_table())
