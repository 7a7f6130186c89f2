"""Entries, tensors, the boxes of their chunks, and where those lie."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from flatpoint.fb.ChunkLayout import ChunkLayout
from flatpoint.fb.StorageType import StorageType
from flatpoint.fb.StridesKind import StridesKind

from ._columns import NO_CHECKSUM, NO_DATA_BEGIN, NO_FILE, NO_FILE_LENGTH, Columns
from ._errors import corrupt
from ._names import DTYPES, LAYOUTS, MEMORY_FORMATS, as_text, item_size, known_name, type_name
from ._ranges import MAX_RANGES, BoxRange, box_ranges
from ._tables import in_range

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class StorageInfo:
    """_StorageInfo: the bytes [byte_offset, byte_offset + length) of a data file. Texts are bytes."""

    file: int  # number of the file, for grouping
    relative_path: bytes
    byte_offset: int
    length: int
    transform_descriptors: Sequence[bytes] | None  # in DCP's stored order


@dataclass(frozen=True)
class ChunkData:
    """The bytes [byte_offset, byte_offset + length) of a data file that are a chunk's elements: row-major, little-endian, of
    the tensor's dtype. Before they are read, the file is compared with `MetadataFile.file_facts`, as `DataFiles` does."""

    file: int
    byte_offset: int
    length: int
    checksum: int | None  # of MetadataFile.checksum_kind


def storage_at(columns: Columns, row: int, length_at: int) -> StorageInfo | None:
    """Rule E6. None without storage information."""
    if row < len(columns.chunk_files):
        file = columns.chunk_files[row]
        if file == NO_FILE:
            return None
        path = columns.files.text(file)
        if path is not None and row < len(columns.chunk_byte_offsets) and length_at < len(columns.chunk_lengths):
            number = columns.chunk_transforms[row] if len(columns.chunk_transforms) else 0
            transforms = _transforms(columns, number - 1) if number else None
            return StorageInfo(file, path, columns.chunk_byte_offsets[row], columns.chunk_lengths[length_at], transforms)
    raise corrupt(f"E6: storage information of row {row}")


def _transforms(columns: Columns, number: int) -> list[bytes]:
    if number < columns.transform_list_count:
        begin = columns.transform_list_end(number - 1) if number > 0 else 0
        end = columns.transform_list_end(number)
        if begin <= end <= len(columns.transforms):
            return [columns.transforms.text(i) or b"" for i in range(begin, end)]
    raise corrupt(f"E6: transform list {number}")


class Entry:
    """One FQN of state_dict_metadata."""

    def __init__(self, columns: Columns, position: int) -> None:
        """Rules E1 and E4."""
        self.position = position  # in the sorted order
        self._columns = columns
        self._row = columns.entry(position)
        self.fqn = columns.fqn(self._row.fqn_begin, self._row.fqn_length, f"entry {position}")
        if not in_range(self._row.chunk_begin, self._row.chunk_count, columns.chunk_rows):
            raise corrupt(f"E4: rows of entry {position}")

    @property
    def name(self) -> str:
        """The FQN as Python's str, lone surrogates kept; what is no UTF-8 becomes U+FFFD."""
        return as_text(self.fqn)

    @property
    def is_tensor(self) -> bool:
        return self._row.storage_type == StorageType.Tensor

    @property
    def is_bytes(self) -> bool:
        return self._row.storage_type == StorageType.Bytes

    def tensor(self) -> Tensor | None:
        """The tensor; None for bytes and for objects of classes that are not DCP's."""
        return Tensor(self._columns, self.position) if self.is_tensor else None

    def bytes_storage(self) -> StorageInfo | None:
        """Where a bytes item lies; None without storage information, and for what is not bytes."""
        if not self.is_bytes or self._row.chunk_count == 0:
            return None
        return storage_at(self._columns, self._row.chunk_begin, self._row.length_begin)


class Tensor(Entry):
    """TensorStorageMetadata."""

    def __init__(self, columns: Columns, position: int) -> None:
        """Rules E2, E3 and E5."""
        super().__init__(columns, position)
        row = self._row
        dimensions = row.ndim * (2 if row.strides == StridesKind.Explicit else 1)
        if not in_range(row.size_begin, dimensions, len(columns.sizes)):
            raise corrupt(f"E2: size of {self.name!r}")
        self._size = columns.sizes[row.size_begin : row.size_begin + dimensions].tolist()
        values = self._box_values()
        if values is None or (values and not in_range(row.box_begin, values, len(columns.boxes))):
            raise corrupt(f"E3: boxes of {self.name!r}")
        self._boxes = columns.boxes[row.box_begin : row.box_begin + values]
        if row.reordered and not in_range(row.order_begin, row.chunk_count, len(columns.chunk_order)):
            raise corrupt(f"E5: chunk order of {self.name!r}")

    def _box_values(self) -> int | None:
        """How many values of `boxes` the tensor takes; None where its chunks are no such boxes."""
        row, boxes = self._row, self._columns.boxes
        if row.chunk_layout == ChunkLayout.Whole:
            return 0 if row.chunk_count == 1 else None
        if row.chunk_layout == ChunkLayout.Explicit:
            return 2 * row.ndim * row.chunk_count
        if row.chunk_layout not in (ChunkLayout.Grid, ChunkLayout.EvenGrid) or not in_range(row.box_begin, row.ndim, len(boxes)):
            return None
        cells, values = 1, 2 * row.ndim
        for count in boxes[row.box_begin : row.box_begin + row.ndim]:
            cells *= count
            if count < 1 or cells > row.chunk_count:
                return None
            if row.chunk_layout == ChunkLayout.Grid:
                values += count
        return values if cells == row.chunk_count else None

    @property
    def ndim(self) -> int:
        return self._row.ndim

    @property
    def size(self) -> tuple[int, ...]:
        return tuple(self._size[: self.ndim])

    @property
    def dtype(self) -> str:
        """torch's name without "torch."; "unknown:N" where this version does not know it. Likewise the layout."""
        return type_name(DTYPES, self._row.dtype, self._columns.types, self._row.dtype_name)

    @property
    def item_size(self) -> int:
        """Bytes of an element; 0 for a dtype that has none here."""
        return item_size(self._row.dtype)

    @property
    def layout(self) -> str:
        return type_name(LAYOUTS, self._row.layout, self._columns.types, self._row.layout_name)

    @property
    def memory_format(self) -> str:
        return known_name(MEMORY_FORMATS, self._row.memory_format)

    @property
    def requires_grad(self) -> bool:
        return self._row.requires_grad != 0

    @property
    def pin_memory(self) -> bool:
        return self._row.pin_memory != 0

    @property
    def strides(self) -> tuple[int, ...] | None:
        """In elements; None in files from before torch 2.15."""
        if self._row.strides == StridesKind.Explicit:
            return tuple(self._size[self.ndim :])
        if self._row.strides != StridesKind.Contiguous:
            return None
        cell = self._cell(0) if self._row.chunk_count else None
        return contiguous_strides(self.size if cell is None else Chunk(self, cell).sizes)

    @property
    def chunk_count(self) -> int:
        return self._row.chunk_count

    def chunk(self, i: int) -> Chunk:
        """The i-th chunk in DCP's order."""
        if not 0 <= i < self.chunk_count:
            raise IndexError(i)
        cell = self._cell(i)
        if cell is None:
            raise corrupt(f"E5: chunk {i} of {self.name!r}")
        return Chunk(self, cell)

    def _cell(self, i: int) -> int | None:
        """The row, less the first, of DCP's i-th chunk; None where the order names none."""
        cell = self._columns.chunk_order[self._row.order_begin + i] if self._row.reordered else i
        return cell if cell < self.chunk_count else None

    def chunk_by_row(self, i: int) -> Chunk:
        """The i-th chunk by rows: sorted by offsets."""
        if not 0 <= i < self.chunk_count:
            raise IndexError(i)
        return Chunk(self, i)

    def chunks(self) -> Iterator[Chunk]:
        """All chunks in DCP's order."""
        return map(self.chunk, range(self.chunk_count))

    def find_chunk(self, offset: Sequence[int]) -> Chunk | None:
        """The first chunk that starts at an offset. O(ndim * log chunks)."""
        if len(offset) != self.ndim:
            return None
        if self._row.chunk_layout == ChunkLayout.Whole:
            cell = None if any(offset) else 0
        elif self._row.chunk_layout == ChunkLayout.Explicit:
            cell = self._find_explicit(list(offset))
        else:
            cell = self._find_in_grid(offset)
        return None if cell is None else Chunk(self, cell)

    def _find_explicit(self, offset: list[int]) -> int | None:
        def offsets(row: int) -> list[int]:
            return self._boxes[2 * self.ndim * row : 2 * self.ndim * row + self.ndim].tolist()

        row = partition_point(self.chunk_count, lambda row: offsets(row) < offset)
        return row if row < self.chunk_count and offsets(row) == offset else None

    def _find_in_grid(self, offset: Sequence[int]) -> int | None:
        cell, splits = 0, self.ndim
        for d, wanted in enumerate(offset):
            count = self._boxes[d]
            if self._row.chunk_layout == ChunkLayout.EvenGrid and (wanted < 0 or self._boxes[self.ndim + d] < 0):
                return None
            along = partition_point(count, lambda i: self._point(d, splits, i) < wanted)
            if along == count or self._point(d, splits, along) != wanted:
                return None
            cell = cell * count + along
            splits += count + 1
        return cell

    def overlapping(self, offsets: Sequence[int], sizes: Sequence[int]) -> list[int]:
        """The rows of all chunks that overlap a box, ascending, as torch decides it: in every dimension each begins before
        the other ends. Nothing overlaps a box of other dimensions."""
        if not len(offsets) == len(sizes) == self.ndim:
            return []
        ends = [end_of(begin, size) for begin, size in zip(offsets, sizes)]
        if self._row.chunk_layout in (ChunkLayout.Grid, ChunkLayout.EvenGrid):
            return self._overlapping_cells(offsets, ends)

        def overlaps(row: int) -> bool:
            intervals = (self._interval(row, d) for d in range(self.ndim))
            return all(begin < e and o < end_of(begin, size) for (begin, size), o, e in zip(intervals, offsets, ends))

        return [row for row in range(self.chunk_count) if overlaps(row)]

    def ranges(
        self, offsets: Sequence[int] | None = None, sizes: Sequence[int] | None = None, max_ranges: int = MAX_RANGES
    ) -> list[BoxRange]:
        """Which bytes of which files are a box (without one: the tensor), and where in the box each range goes. By row of the
        chunks that overlap it, each in order of its elements. Errors: "invalid_argument" for a box outside the tensor,
        "not_plain" where a chunk's data is not known, "holes" for elements that no chunk holds, "too_large"."""
        return box_ranges(self, offsets, sizes, max_ranges)

    def _overlapping_cells(self, offsets: Sequence[int], ends: Sequence[int]) -> list[int]:
        """By a range of cells per dimension; the outermost varies slowest. None where a step is negative, against rule V5."""
        cells, splits = [0], self.ndim
        for d, (begin, end) in enumerate(zip(offsets, ends)):
            if self._row.chunk_layout == ChunkLayout.EvenGrid and self._boxes[self.ndim + d] < 0:
                return []
            count = self._boxes[d]
            first = partition_point(count, lambda i: self._point(d, splits, i + 1) <= begin)
            last = partition_point(count, lambda i: self._point(d, splits, i) < end)
            cells = [cell * count + i for cell in cells for i in range(first, last)]
            splits += count + 1
        return cells

    def _point(self, d: int, splits: int, i: int) -> int:
        """Where cell i of a grid begins along a dimension whose split points begin at `splits`."""
        if self._row.chunk_layout == ChunkLayout.Grid:
            return self._boxes[splits + i]
        point = i * self._boxes[self.ndim + d]
        return min(point, self._size[d]) if INT64_MIN <= point <= INT64_MAX else self._size[d]

    def _interval(self, cell: int, d: int) -> tuple[int, int]:
        """Begin and size of a chunk along a dimension."""
        if self._row.chunk_layout == ChunkLayout.Whole:
            return 0, self._size[d]
        if self._row.chunk_layout == ChunkLayout.Explicit:
            at = 2 * self.ndim * cell + d
            return self._boxes[at], self._boxes[at + self.ndim]
        splits, below = self.ndim, self.chunk_count
        for before in range(d):
            below //= self._boxes[before]
            cell %= below
            splits += self._boxes[before] + 1
        i = cell // (below // self._boxes[d])
        begin = self._point(d, splits, i)
        return begin, wrapped(self._point(d, splits, i + 1) - begin)


class Chunk:
    """ChunkStorageMetadata: one chunk of a tensor."""

    def __init__(self, tensor: Tensor, cell: int) -> None:
        self._tensor, self._cell = tensor, cell

    @property
    def offsets(self) -> tuple[int, ...]:
        return tuple(self._tensor._interval(self._cell, d)[0] for d in range(self._tensor.ndim))

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(self._tensor._interval(self._cell, d)[1] for d in range(self._tensor.ndim))

    @property
    def row(self) -> int:
        """Of the chunk columns."""
        return self._tensor._row.chunk_begin + self._cell

    def storage(self) -> StorageInfo | None:
        """Where the chunk lies; None without storage information."""
        row = self._tensor._row
        return storage_at(self._tensor._columns, self.row, row.length_begin + (self._cell if row.lengths_differ else 0))

    def data(self) -> ChunkData | None:
        """Its elements inside that range; None where the file does not tell, or they are not plain. Rule E7."""
        columns, begins = self._tensor._columns, self._tensor._columns.chunk_data_begins
        begin = begins[self.row if len(begins) > 1 else 0] if len(begins) else NO_DATA_BEGIN
        if begin == NO_DATA_BEGIN or self._tensor.item_size == 0:
            return None
        storage = self.storage()
        if storage is None:
            return None
        sizes = self.sizes
        count = self._tensor.item_size * math.prod(sizes)
        end = columns.file_lengths[storage.file] if len(columns.file_lengths) else NO_FILE_LENGTH
        if (
            storage.transform_descriptors
            or any(size < 0 for size in sizes)
            or not in_range(begin, count, storage.length)
            or not in_range(storage.byte_offset, storage.length, end)
        ):
            raise corrupt(f"E7: data of row {self.row}")
        checksum = columns.chunk_checksums[self.row] if len(columns.chunk_checksums) else NO_CHECKSUM
        return ChunkData(storage.file, storage.byte_offset + begin, count, None if checksum == NO_CHECKSUM else checksum)


def contiguous_strides(size: Sequence[int]) -> tuple[int, ...]:
    """torch's empty(size).stride(); products that leave int64 give 0."""
    strides, stride = [], 1
    for n in reversed(size):
        strides.append(stride)
        stride *= max(n, 1)
        if stride > INT64_MAX:
            stride = 0
    return tuple(reversed(strides))


def end_of(begin: int, size: int) -> int:
    """begin + size; where that leaves int64, its last number."""
    return max(INT64_MIN, min(begin + size, INT64_MAX))


def wrapped(number: int) -> int:
    """Modulo 2^64, as an int64."""
    return (number - INT64_MIN) % 2**64 + INT64_MIN


class _Keys(Sequence):
    """The answers of `before`, as something to bisect: False sorts behind True."""

    def __init__(self, count: int, before: Callable[[int], bool]) -> None:
        self._count, self._before = count, before

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i):
        return not self._before(i)


def partition_point(count: int, before: Callable[[int], bool]) -> int:
    """The first of `count` numbers for which `before` does not hold."""
    return bisect_left(_Keys(count, before), True)
