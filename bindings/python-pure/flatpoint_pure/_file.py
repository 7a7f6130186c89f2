"""Files: opening, closing, and look-ups by name."""

from __future__ import annotations

import builtins
import contextlib
import mmap
import os
import stat
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import xxhash

from ._columns import TRAILER_SIZE, Columns, StorageMeta, check_frame
from ._data import FileFacts, file_facts
from ._errors import Error, corrupt
from ._names import CHECKSUM_KINDS, known_name
from ._tables import in_range
from ._tensor import Entry, StorageInfo, Tensor, partition_point, storage_at

MAX_PROBES = 32

Name = str | bytes


def open(path: str | os.PathLike[str]) -> MetadataFile:
    """Maps a file, or the `.metadata.flatpoint` of a folder, and checks rules F1 to F8; nothing beside it is looked at. The
    file must not be written in place while it is open (publish by rename); where others do, read it and use `from_bytes`."""
    if os.path.isdir(path):
        pickle, path = os.path.join(path, ".metadata"), os.path.join(path, ".metadata.flatpoint")
        if os.path.exists(pickle) and not os.path.exists(path):
            raise is_pickle(pickle)
    try:
        with builtins.open(path, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Error("io", f"{os.fspath(path)}: not a regular file")
            size = status.st_size
            head = os.pread(file.fileno(), 8, 0)
            if head[:1] == b"\x80" and head[4:] != b"FLPT":
                raise is_pickle(path)
            check_frame(head, os.pread(file.fileno(), TRAILER_SIZE, max(0, size - TRAILER_SIZE)), size)
            return MetadataFile(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    except FileNotFoundError as error:
        raise Error("not_found", str(error)) from error
    except OSError as error:
        raise Error("io", str(error)) from error


def is_pickle(path: str | os.PathLike[str]) -> Error:
    """DCP's own `.metadata`, which this package does not read."""
    name = os.fspath(path)
    return Error("not_flatpoint", f"{name}: a pickle, no flatpoint file: run `flatpoint import {name}`")


def from_bytes(data: bytes | bytearray | memoryview) -> MetadataFile:
    """The same for bytes in memory, which are borrowed."""
    view = memoryview(data).cast("B")
    check_frame(bytes(view[:8]), bytes(view[max(0, len(view) - TRAILER_SIZE) :]), len(view))
    return MetadataFile(data)


def as_bytes(name: Name) -> bytes:
    return name.encode("utf-8", "surrogatepass") if isinstance(name, str) else bytes(name)


class MetadataFile:
    """An open metadata file: a sequence of its entries, sorted by FQN. Made by `open` and `from_bytes`. Immutable; safe to
    use from any number of threads."""

    def __init__(self, owner: Any) -> None:
        if sys.byteorder != "little":
            raise Error("io", "files are read in place, which takes a little-endian machine")
        self._owner = owner
        self._bytes = memoryview(owner).cast("B").toreadonly()
        self.columns = Columns(self._bytes[: len(self._bytes) - TRAILER_SIZE])

    def __enter__(self) -> MetadataFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the file back, as soon as nothing that came from it is used any more."""
        self.__dict__.pop("columns", None)
        self.__dict__.pop("_bytes", None)
        owner, self._owner = self._owner, None
        if isinstance(owner, mmap.mmap):
            with contextlib.suppress(BufferError):  # a column is still in use; the mapping goes with it
                owner.close()

    def __len__(self) -> int:
        return self.columns.entry_count

    def __getitem__(self, position: int) -> Entry:
        """The entry at a position of the sorted order."""
        if not 0 <= position < len(self):
            raise IndexError(position)
        return Entry(self.columns, position)

    def __iter__(self) -> Iterator[Entry]:
        return map(self.__getitem__, range(len(self)))

    def find(self, fqn: Name) -> Entry | None:
        """state_dict_metadata[fqn], compared as bytes; None where there is none. O(1): at most 32 probes, then binary search."""
        position = self._position(as_bytes(fqn))
        return None if position is None else self[position]

    def find_storage(self, fqn: Name, offset: Sequence[int] | None = None) -> StorageInfo | None:
        """storage_data[MetadataIndex(fqn, offset)]. Without an offset that of bytes; `()` is a scalar tensor's."""
        entry, storage = self.find(fqn), None
        if entry is not None and offset is None:
            storage = entry.bytes_storage()
        elif entry is not None and entry.is_tensor:
            chunk = Tensor(self.columns, entry.position).find_chunk(offset)
            storage = None if chunk is None else chunk.storage()
        return storage if storage is not None else self._find_loose(as_bytes(fqn), offset)

    def prefix(self, prefix: Name) -> range:
        """The positions of all FQNs that begin with a prefix."""
        wanted = as_bytes(prefix)
        begin = partition_point(len(self), lambda i: self._name(i) < wanted)
        end = begin + partition_point(len(self) - begin, lambda i: self._name(begin + i)[: len(wanted)] <= wanted)
        return range(begin, end)

    def file_name(self, i: int) -> bytes:
        """relative_path of data file i, one of `len(columns.files)`."""
        name = self.columns.files.text(i)
        if name is None:
            raise corrupt(f"V7: name of file {i}")
        return name

    def file_facts(self, i: int) -> FileFacts:
        """Data file i as it was when the begins of its chunks' data were read."""
        return file_facts(self.columns, i)

    @property
    def checksum_kind(self) -> str | None:
        """What `ChunkData.checksum` is: "xxh3", "crc32"; "unknown:N" where this version does not know it."""
        return known_name(CHECKSUM_KINDS, self.columns.checksum_kind) if self.columns.checksum_kind else None

    @property
    def version(self) -> bytes | None:
        """Metadata.version."""
        return self.columns.version

    @property
    def storage_meta(self) -> StorageMeta | None:
        """Metadata.storage_meta."""
        return self.columns.storage_meta

    def digest_matches(self) -> bool:
        """Whether the trailer's digest is that of the bytes (rule F9). Reads the whole file."""
        body = self._bytes[:-TRAILER_SIZE]
        return struct.unpack_from("<Q", self._bytes, len(body))[0] == xxhash.xxh3_64_intdigest(body)

    def root(self) -> Any:
        """The generated root table (flatpoint.fb.Metadata), for what this package does not wrap: orders, hints, planner
        paths, opaque records. Its vectors lie inside the file; the numbers in them are whatever the file says."""
        from flatpoint.fb.Metadata import Metadata

        return Metadata.GetRootAs(self._bytes, 0)

    def _name(self, position: int) -> bytes:
        row = self.columns.entry(position)
        return self.columns.fqn(row.fqn_begin, row.fqn_length, f"entry {position}")

    def _position(self, fqn: bytes) -> int | None:
        code = xxhash.xxh3_64_intdigest(fqn)
        index_bits, slots = len(self).bit_length(), self.columns.fqn_slots
        for probe in range(MAX_PROBES):
            slot = slots[(code + probe) % len(slots)]
            if slot == 0:
                return None
            position = slot % (1 << index_bits) - 1
            if slot >> index_bits == code >> 32 >> index_bits and 0 <= position < len(self) and self._name(position) == fqn:
                return position
        position = partition_point(len(self), lambda i: self._name(i) < fqn)
        return position if position < len(self) and self._name(position) == fqn else None

    def _find_loose(self, fqn: bytes, offset: Sequence[int] | None) -> StorageInfo | None:
        """Storage information without a chunk: sorted by FQN, no offset first, then offset."""
        columns = self.columns

        def key(i: int) -> tuple:
            row = columns.loose(i)
            name = columns.fqn(row.fqn_begin, row.fqn_length, f"loose storage {i}")
            if not in_range(row.offset_begin, row.ndim, len(columns.sizes)):
                raise corrupt(f"E2: offset of loose storage {i}")
            own = columns.sizes[row.offset_begin : row.offset_begin + row.ndim].tolist()
            return (name, True, own) if row.has_offset else (name, False, [])

        wanted = (fqn, False, []) if offset is None else (fqn, True, list(offset))
        i = partition_point(columns.loose_count, lambda i: key(i) < wanted)
        if i == columns.loose_count or key(i) != wanted:
            return None
        return storage_at(columns, columns.chunk_rows + i, columns.loose(i).length_begin)
