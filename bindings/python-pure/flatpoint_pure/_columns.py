"""The columns of a file as memoryviews: the raw form that bulk work reads. Rules F1 to F8."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ._errors import Error, corrupt
from ._tables import Scalar, Table, Vector, follow, in_range, read_table

FORMAT_MAJOR = 1
TRAILER_SIZE = 24
MAX_FILE_SIZE = 0x7FFFFFFF
NO_FILE = 0xFFFFFFFF  # chunk_files of a row without storage information
NO_DATA_BEGIN = 0xFFFFFFFF  # what says "unknown" in chunk_data_begins
NO_CHECKSUM = NO_FILE_LENGTH = 2**64 - 1  # and in chunk_checksums and file_lengths; in file_times 0 does

ENTRY = struct.Struct("<8I6B2H5Bx")
LOOSE_STORAGE = struct.Struct("<4I2B2x")
TRANSFORM_LIST = struct.Struct("<IB3x")

# Every table of schema/metadata.fbs, fields in order.
STORAGE_META = (
    Vector("checkpoint_id"),
    Scalar("checkpoint_id_type", "B"),
    Vector("save_id"),
    Vector("load_id"),
    Scalar("has_modules", "B"),
    Vector("modules"),
    Vector("module_ends", "I"),
)
SOURCE = (
    Scalar("length", "Q"),
    Scalar("digest", "Q"),
    Scalar("modified_ns", "q"),
    Scalar("modified_recently", "B"),
    Vector("etag"),
    Scalar("kind", "B"),
)
METADATA = (
    Scalar("format_major", "H"),
    Scalar("format_minor", "H"),
    Scalar("fragment_rank", "i", -1),
    Vector("entries", size=48, alignment=4, required=True),
    Vector("fqns", required=True),
    Vector("fqn_slots", "I", required=True),
    Vector("fqn_order", "I"),
    Vector("sizes", "q"),
    Vector("boxes", "q"),
    Vector("chunk_order", "I"),
    Vector("chunk_files", "I"),
    Vector("chunk_byte_offsets", "Q"),
    Vector("chunk_lengths", "Q"),
    Vector("chunk_transforms", "H"),
    Vector("file_names"),
    Vector("file_name_ends", "I"),
    Vector("type_names"),
    Vector("type_name_ends", "I"),
    Vector("transform_names"),
    Vector("transform_name_ends", "I"),
    Vector("transform_lists", size=8, alignment=4),
    Scalar("has_storage_data", "B"),
    Vector("storage_order", "I"),
    Vector("index_hints", size=16, alignment=8),
    Vector("loose_storage", size=20, alignment=4),
    Scalar("has_planner_data", "B"),
    Vector("fqn_paths", "H"),
    Vector("path_elements", size=4, alignment=2),
    Vector("path_ends", "I"),
    Vector("planner_order", "I"),
    Table("storage_meta", STORAGE_META),
    Vector("version"),
    Vector("opaque", size=24, alignment=4),
    Vector("opaque_names"),
    Vector("opaque_pickles"),
    Vector("metadata_class"),
    Vector("storage_info_class"),
    Table("source", SOURCE),
    Vector("chunk_data_begins", "I"),
    Scalar("checksum_kind", "B"),
    Vector("chunk_checksums", "Q"),
    Vector("file_lengths", "Q"),
    Vector("file_times", "q"),
    Vector("file_formats"),
)


class EntryRow(NamedTuple):
    """One FQN as it lies in the file."""

    fqn_begin: int
    fqn_length: int
    size_begin: int
    box_begin: int
    chunk_begin: int
    chunk_count: int
    order_begin: int
    length_begin: int
    dtype: int
    layout: int
    memory_format: int
    requires_grad: int
    pin_memory: int
    strides: int
    dtype_name: int
    layout_name: int
    ndim: int
    storage_type: int
    chunk_layout: int
    reordered: int
    lengths_differ: int


class LooseStorageRow(NamedTuple):
    """Storage information whose MetadataIndex names no chunk, as it lies in the file."""

    fqn_begin: int
    fqn_length: int
    offset_begin: int
    length_begin: int
    has_offset: int
    ndim: int


@dataclass(frozen=True)
class TextColumn:
    """Many texts in one blob: text i is data[ends[i - 1] : ends[i]]."""

    data: memoryview
    ends: memoryview

    def __len__(self) -> int:
        return len(self.ends)

    def text(self, i: int) -> bytes | None:
        """Text i; None where it lies nowhere."""
        if not 0 <= i < len(self.ends):
            return None
        begin, end = self.ends[i - 1] if i > 0 else 0, self.ends[i]
        return bytes(self.data[begin:end]) if begin <= end <= len(self.data) else None


@dataclass(frozen=True)
class StorageMeta:
    """DCP's StorageMeta, its texts as bytes."""

    checkpoint_id: bytes | None
    save_id: bytes | None
    load_id: bytes | None
    modules: Sequence[bytes] | None


EMPTY = {code: memoryview(b"").cast(code) for code in "BHIQq"}


class Columns:
    """The columns by their names in schema/metadata.fbs, as memoryviews: `numpy.asarray` takes them without a copy. Absent
    columns are empty; columns of structs are bytes. Values are unchecked. They lie in the file, and keep it open."""

    def __init__(self, buffer: memoryview) -> None:
        root = follow(buffer, 0)
        # The version comes first: a newer major may have a shape that today's checks refuse.
        version = read_table(buffer, root, METADATA[:2])
        if version["format_major"] != FORMAT_MAJOR:
            raise Error(
                "version",
                "F7: format version {format_major}.{format_minor}".format(**version) + f"; this reader knows {FORMAT_MAJOR}.x",
            )
        fields = read_table(buffer, root, METADATA)
        self.storage_meta = storage_meta(fields.pop("storage_meta"))
        self.version = None if fields["version"] is None else bytes(fields["version"])
        for field in METADATA:
            if isinstance(field, Scalar):
                setattr(self, field.name, fields[field.name])
            elif isinstance(field, Vector) and field.name != "version":
                column = fields[field.name]
                setattr(self, field.name, EMPTY[field.code] if column is None else column)
        self.entry_count = len(self.entries) // ENTRY.size
        self.loose_count = len(self.loose_storage) // LOOSE_STORAGE.size
        self.transform_list_count = len(self.transform_lists) // TRANSFORM_LIST.size
        self.files = TextColumn(self.file_names, self.file_name_ends)
        self.types = TextColumn(self.type_names, self.type_name_ends)
        self.transforms = TextColumn(self.transform_names, self.transform_name_ends)
        wrong = self._mismatch()
        if wrong:
            raise corrupt(f"F8: {wrong}")
        # Rows of the chunk columns that belong to chunks; the rest belong to loose_storage.
        self.chunk_rows = len(self.chunk_files) - self.loose_count

    def _mismatch(self) -> str | None:
        """Rule F8: columns that run beside each other have the same length."""
        entries, rows, slots = self.entry_count, len(self.chunk_files), len(self.fqn_slots)
        files = len(self.files)
        if slots & (slots - 1) != 0 or slots < max(1, 2 * entries):
            return "fqn_slots is not a power of two of at least twice the entries"
        for name, wanted in (
            ("fqn_order", entries),
            ("fqn_paths", entries),
            ("chunk_byte_offsets", rows),
            ("chunk_transforms", rows),
            ("chunk_checksums", rows),
            ("file_lengths", files),
            ("file_times", files),
            ("file_formats", files),
        ):
            if len(getattr(self, name)) not in (0, wanted):
                return f"{name} has {len(getattr(self, name))} values, not {wanted}"
        if len(self.chunk_data_begins) not in (0, 1, rows):
            return f"chunk_data_begins has {len(self.chunk_data_begins)} values, neither 1 nor {rows}"
        for name, length, most in (
            ("planner_order", len(self.planner_order), entries),
            ("loose_storage", self.loose_count, rows),
            ("storage_order", len(self.storage_order), rows),
        ):
            if length > most:
                return f"{name} has {length} values, more than {most}"
        return None

    def entry(self, position: int) -> EntryRow:
        return EntryRow(*ENTRY.unpack_from(self.entries, position * ENTRY.size))

    def loose(self, i: int) -> LooseStorageRow:
        return LooseStorageRow(*LOOSE_STORAGE.unpack_from(self.loose_storage, i * LOOSE_STORAGE.size))

    def transform_list_end(self, i: int) -> int:
        return TRANSFORM_LIST.unpack_from(self.transform_lists, i * TRANSFORM_LIST.size)[0]

    def fqn(self, begin: int, length: int, what: str) -> bytes:
        """Rule E1."""
        if not in_range(begin, length, len(self.fqns)):
            raise corrupt(f"E1: FQN of {what}")
        return bytes(self.fqns[begin : begin + length])


def storage_meta(fields: dict | None) -> StorageMeta | None:
    if fields is None:
        return None
    ids = [None if fields[name] is None else bytes(fields[name]) for name in ("checkpoint_id", "save_id", "load_id")]
    modules = None
    if fields["has_modules"]:
        column = TextColumn(
            *(EMPTY[code] if fields[name] is None else fields[name] for name, code in (("modules", "B"), ("module_ends", "I")))
        )
        modules = [column.text(i) or b"" for i in range(len(column))]
    return StorageMeta(*ids, modules)


def check_frame(head: bytes, tail: bytes, size: int) -> None:
    """Rules F1 to F4, from the first 8 bytes, the last 24 and the size of a file."""
    if head[4:8] != b"FLPT":
        raise Error("not_flatpoint", 'F1: not a flatpoint file: bytes 4 to 7 are not "FLPT"')
    if size > MAX_FILE_SIZE:
        raise Error("too_large", f"F4: {size} bytes, the format ends below 2 GiB")
    if size < TRAILER_SIZE or tail[16:] != b"FLPT.END":
        raise Error("truncated", "F2: truncated or appended: the file does not end with a trailer")
    length = struct.unpack_from("<Q", tail, 8)[0]
    if length != size - TRAILER_SIZE:
        raise Error("truncated", f"F3: truncated or appended: {size - TRAILER_SIZE} bytes where the trailer says {length}")
    if length % 8 != 0:
        raise corrupt(f"F3: FlatBuffer length {length} is not a multiple of 8")
