"""Reading: DCP's StorageReader over mapped metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

import flatpoint

from ._files import FLATPOINT_NAME, PICKLE_NAME, is_url, read_file, url_file_system
from ._metadata import make_metadata
from ._source import Source

_ID_WITHIN = 4096  # the save's id stands in the last bytes of a `.metadata`, whatever its size


class FlatpointReader(FileSystemReader):
    """FileSystemReader that maps `.metadata.flatpoint` instead of unpickling `.metadata`.

    Where there is only a `.metadata`, or one that the flatpoint file does not belong to, it is imported in memory, as data:
    nothing of it is executed. `limits` are those of `flatpoint.open`.

    The tensors' bytes are read as FileSystemReader reads them. Objects that were saved as bytes are unpickled by the load
    planner: FlatpointLoadPlanner(weights_only=True) refuses what torch.load(weights_only=True) refuses.

    A path with "://" is a URL for fsspec, with `fsspec_options`; its metadata is read into memory.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        _extension_registry: Any = None,
        *,
        limits: Mapping[str, int] | None = None,
        fsspec_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(path, _extension_registry)
        self.limits = limits
        if is_url(path):
            self.fs, self.path = url_file_system(path, dict(fsspec_options or {}))

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        metadata = make_metadata(self._source(kwargs.get("rank")))
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata

    def _source(self, rank: int | None) -> Source:
        present = [name for name in (FLATPOINT_NAME, PICKLE_NAME) if self._has(name)]
        if rank is None and not present:
            # Ranks that saved alone are asked for one by one: DCP does so after this error.
            message = f"{self.path}: no checkpoint: neither {FLATPOINT_NAME} nor {PICKLE_NAME}"
            raise flatpoint.NotFoundError(flatpoint.ErrorCode.NOT_FOUND, message)
        if not is_url(self.path):
            return Source.of(flatpoint.open(self.path, rank=rank, limits=self.limits))
        if rank is not None:
            return self._read(f"__{rank}{PICKLE_NAME}")
        source = self._read(present[0])
        return source if len(present) == 1 or self._is_of_the_pickle(source) else self._read(PICKLE_NAME)

    def _has(self, name: str) -> bool:
        return self.fs.exists(self.fs.concat_path(self.path, name))

    def _read(self, name: str) -> Source:
        url = self.fs.concat_path(self.path, name)
        return Source.of(flatpoint.from_bytes(read_file(self.fs, url), limits=self.limits), url=url)

    def _is_of_the_pickle(self, source: Source) -> bool:
        """Whether the flatpoint file was imported from the `.metadata` beside it: the save's id is in both."""
        meta = source.checkpoint.storage_meta
        if meta is None or meta.save_id is None:
            return False
        with self.fs.create_stream(self.fs.concat_path(self.path, PICKLE_NAME), "rb") as stream:
            length = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, length - _ID_WITHIN))
            return meta.save_id.encode() in stream.read()
