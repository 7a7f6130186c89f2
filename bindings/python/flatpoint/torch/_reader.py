"""Reading: DCP's StorageReader over mapped metadata."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

import flatpoint

from ._metadata import make_metadata
from ._source import Source

FLATPOINT_NAME = ".metadata.flatpoint"
PICKLE_NAME = ".metadata"


class FlatpointReader(FileSystemReader):
    """FileSystemReader that maps `.metadata.flatpoint` instead of unpickling `.metadata`.

    Where there is only a `.metadata`, or one that the flatpoint file does not belong to, it is imported in memory, as data:
    nothing of it is executed. `limits` are those of `flatpoint.open`.

    The tensors' bytes are read as FileSystemReader reads them. Objects that were saved as bytes are unpickled by the load
    planner: FlatpointLoadPlanner(weights_only=True) refuses what torch.load(weights_only=True) refuses.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        _extension_registry: Any = None,
        *,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__(path, _extension_registry)
        self.limits = limits

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        metadata = make_metadata(Source.of(self._open(kwargs.get("rank"))))
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata

    def _open(self, rank: int | None) -> flatpoint.Checkpoint:
        names = (FLATPOINT_NAME, PICKLE_NAME)
        if rank is None and not any(self.fs.exists(self.fs.concat_path(self.path, name)) for name in names):
            # Ranks that saved alone are asked for one by one: DCP does so after this error.
            message = f"{self.path}: no checkpoint: neither {FLATPOINT_NAME} nor {PICKLE_NAME}"
            raise flatpoint.NotFoundError(flatpoint.ErrorCode.NOT_FOUND, message)
        return flatpoint.open(self.path, rank=rank, limits=self.limits)
