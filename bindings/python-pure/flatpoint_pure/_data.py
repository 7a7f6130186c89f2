"""Tensors out of local data files, by what the columns say alone: no zip, no pickle."""

from __future__ import annotations

import builtins
import math
import mmap
import os
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import xxhash

from ._columns import NO_FILE_LENGTH
from ._errors import Error
from ._names import FILE_FORMATS, known_name
from ._ranges import MAX_RANGES, checked_box, shared_chunks
from ._tensor import Chunk, ChunkData, Tensor

if TYPE_CHECKING:
    from ._file import MetadataFile


class FileFacts(NamedTuple):
    """A data file as it was when the begins of its chunks' data were read. None: unknown."""

    length: int | None
    modified_ns: int | None
    format: str  # "unknown", "torch_save", "safetensors", "archive", "mixed"; "unknown:N"


class _Mapped(NamedTuple):
    path: str
    descriptor: int
    mapping: mmap.mmap | None  # None: an empty file
    bytes: memoryview
    status: tuple[int, int]
    is_other_time: bool


class DataFiles:
    """The data files of a checkpoint's folder, mapped on first use.

    A file of another length than the metadata states is refused ("changed"), and so is one of another time, unless the
    metadata has a checksum of the chunk that is asked for, and it holds, or `accept_times` says that the folder was copied.
    A file that is truncated while it is mapped raises SIGBUS: publish by rename. Not safe for use by several threads."""

    def __init__(
        self, metadata: MetadataFile, folder: str | os.PathLike[str], *, accept_times: bool = False, allow_outside: bool = False
    ) -> None:
        self._metadata, self._folder = metadata, os.fspath(folder)
        self._accept_times, self._allow_outside = accept_times, allow_outside
        self._files: dict[int, _Mapped] = {}
        self._sound: set[int] = set()  # rows whose checksum was compared

    def __enter__(self) -> DataFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files. Chunks that were handed out stay valid as long as they are used."""
        for file in self._files.values():
            os.close(file.descriptor)
        self._files.clear()

    def chunk(self, chunk: Chunk) -> memoryview:
        """The elements of a chunk, without a copy."""
        data = chunk.data()
        if data is None:
            raise Error("not_plain", f"row {chunk.row}: where its elements begin is not known")
        return self._admitted(chunk, data)

    def read(self, tensor: Tensor, offsets: Sequence[int] | None = None, sizes: Sequence[int] | None = None, out: Any = None) -> Any:
        """A box (without one: the tensor), row-major. `out`: what takes it, a writable buffer of that many bytes; without
        one a bytearray is made. After an error it holds anything. Errors: those of `Tensor.ranges`; "changed", "checksum",
        "truncated", "outside", "not_found", "io"."""
        offsets, sizes = checked_box(tensor, offsets, sizes)
        ranges = tensor.ranges(offsets, sizes, MAX_RANGES)
        for chunk in shared_chunks(tensor, offsets, sizes):
            data = chunk.data()
            if data is not None:  # else `ranges` has refused
                self._admitted(chunk, data)
        size = tensor.item_size * math.prod(sizes)
        out = bytearray(size) if out is None else out
        to = memoryview(out).cast("B")
        if len(to) != size:
            raise Error("invalid_argument", f"{tensor.name}: the box has {size} bytes, `out` has {len(to)}")
        for r in ranges:
            to[r.box_offset : r.box_offset + r.length] = self._files[r.file].bytes[r.byte_offset : r.byte_offset + r.length]
        for file in {r.file for r in ranges}:
            self._check_unchanged(self._files[file])
        return out

    def check(self, chunk: Chunk) -> bool:
        """Compares a chunk with its checksum: "checksum" where it differs. False where there is none."""
        data = chunk.data()
        if data is None or data.checksum is None:
            return False
        self._admitted(chunk, data, always=True)
        return True

    def _admitted(self, chunk: Chunk, data: ChunkData, always: bool = False) -> memoryview:
        file = self._open(data.file)
        if data.byte_offset + data.length > len(file.bytes):
            raise Error("truncated", f"{file.path}: ends at byte {len(file.bytes)}, inside the data of row {chunk.row}")
        elements = file.bytes[data.byte_offset : data.byte_offset + data.length]
        if always or (file.is_other_time and chunk.row not in self._sound):
            found = _checksum(self._metadata.columns.checksum_kind, elements) if data.checksum is not None else None
            if found is None:
                raise Error("changed", f"{file.path}: was written after the metadata was, and row {chunk.row} has no known checksum")
            if found != data.checksum:
                code = "checksum" if always or not file.is_other_time else "changed"
                raise Error(code, f"{file.path}: the bytes of row {chunk.row} do not have their checksum")
            self._sound.add(chunk.row)
        return elements

    def _open(self, number: int) -> _Mapped:
        if number not in self._files:
            self._files[number] = self._open_now(number)
        return self._files[number]

    def _open_now(self, number: int) -> _Mapped:
        name = self._metadata.file_name(number)
        relative = os.fsdecode(name)
        outside = not name or os.path.isabs(relative) or ".." in relative.split("/")
        if b"\0" in name or (outside and not self._allow_outside):
            raise Error("outside", f"{relative}: the path of a data file leaves the checkpoint's folder")
        path, facts = os.path.join(self._folder, relative), self._metadata.file_facts(number)
        try:
            with builtins.open(path, "rb", buffering=0) as file:
                status = os.fstat(file.fileno())
                if facts.length is not None and facts.length != status.st_size:
                    raise Error("changed", f"{path}: has {status.st_size} bytes, the metadata knows one of {facts.length}")
                mapping = mmap.mmap(file.fileno(), status.st_size, access=mmap.ACCESS_READ) if status.st_size else None
                is_other_time = facts.modified_ns is not None and facts.modified_ns != status.st_mtime_ns and not self._accept_times
                return _Mapped(
                    path,
                    os.dup(file.fileno()),
                    mapping,
                    memoryview(mapping) if mapping is not None else memoryview(b""),
                    (status.st_size, status.st_mtime_ns),
                    is_other_time,
                )
        except FileNotFoundError as error:
            raise Error("not_found", str(error)) from error
        except OSError as error:
            raise Error("io", str(error)) from error

    def _check_unchanged(self, file: _Mapped) -> None:
        status = os.fstat(file.descriptor)
        if (status.st_size, status.st_mtime_ns) != file.status:
            raise Error("changed", f"{file.path}: was written while it was read")


def _checksum(kind: int, elements: memoryview) -> int | None:
    """None for a kind that this version does not know."""
    if kind == 1:
        return xxhash.xxh3_64_intdigest(elements)
    return zlib.crc32(elements) if kind == 2 else None


def file_facts(columns: Any, number: int) -> FileFacts:
    def value(name: str, unknown: int) -> int | None:
        column = getattr(columns, name)
        found = column[number] if number < len(column) else unknown
        return None if found == unknown else found

    file_format = known_name(FILE_FORMATS, value("file_formats", 0) or 0)
    return FileFacts(value("file_lengths", NO_FILE_LENGTH), value("file_times", 0), file_format)
