"""Reading: DCP's StorageReader over mapped metadata."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, Literal

from torch.distributed.checkpoint import FileSystemReader
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import LoadPlan, LoadPlanner
from torch.futures import Future

import flatpoint
from flatpoint import _core

from ._files import FLATPOINT_NAME, FLATPOINT_SUFFIX, PICKLE_NAME, is_source, is_url, names_in, rank_of, read_file, url_file_system
from ._loading import Loading
from ._mappings import StorageData
from ._metadata import make_metadata
from ._source import Source


class FlatpointReader(FileSystemReader):
    """FileSystemReader that maps `.metadata.flatpoint` instead of unpickling `.metadata`.

    Where there is only a `.metadata`, or one that the flatpoint file does not belong to, it is imported in memory, as data:
    nothing of it is executed. `limits` are those of `flatpoint.open`.

    The tensors' bytes are read by the library: exactly those that the plan needs, in the order of the files, by `threads`
    threads (0 chooses), straight into tensors in the CPU's memory; through a bounded memory into those of other dtypes or
    devices. What only torch can read (quantized tensors, subclasses, unknown transforms) is read as FileSystemReader reads
    it, and so is everything behind a URL; the logger "flatpoint.torch" counts it, with the reasons, at level INFO.
    `verify="checksum"` compares what is read with the checksums of the metadata or of the items, where they have one.

    Objects that were saved as bytes are unpickled by the load planner: FlatpointLoadPlanner(weights_only=True) refuses what
    torch.load(weights_only=True) refuses.

    Where ranks saved alone (`use_collectives=False`), what they wrote is joined in memory, so that any number of ranks can
    load it; a rank whose file is missing, or elements that no rank wrote, are an error. `rank_local=True` reads only what a
    rank wrote itself, for disks that other ranks do not see.

    A path with "://" is a URL for fsspec, with `fsspec_options`; its metadata is read into memory.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        _extension_registry: Any = None,
        *,
        limits: Mapping[str, int] | None = None,
        rank_local: bool = False,
        fsspec_options: Mapping[str, Any] | None = None,
        verify: Literal["checksum"] | None = None,
        threads: int = 0,
    ) -> None:
        if verify not in (None, "checksum"):
            raise ValueError(f"verify={verify!r}: expected None or 'checksum'")
        if threads < 0:
            raise ValueError(f"threads={threads}: expected a number of threads, or 0")
        super().__init__(path, *(() if _extension_registry is None else (_extension_registry,)))
        self.limits = limits
        self.rank_local = rank_local
        self.verify = verify
        self.threads = threads
        self._incomplete: flatpoint.Error | None = None
        if is_url(path):
            self.fs, self.path = url_file_system(path, dict(fsspec_options or {}))

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        metadata = make_metadata(self._source(kwargs.get("rank")))
        if metadata.storage_meta is None:
            metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata

    def read_data(self, plan: LoadPlan, planner: LoadPlanner) -> Future[None]:
        checkpoint = self._checkpoint_here()
        if checkpoint is None:
            if self.verify is not None:
                message = f"{self.path}: checksums are compared only in local folders, with the metadata that this reader read"
                raise flatpoint.Error(flatpoint.ErrorCode.INVALID_ARGUMENT, message)
            return super().read_data(plan, planner)
        loading = Loading(checkpoint, planner, threads=self.threads, verify=self.verify is not None)
        left = loading.load(plan.items, self.storage_data)
        done = super().read_data(dataclasses.replace(plan, items=left), planner)
        loading.log()
        return done

    def _checkpoint_here(self) -> flatpoint.Checkpoint | None:
        """What the metadata was read from, where its data files are those in this reader's local folder."""
        if is_url(self.path) or not isinstance(self.storage_data, StorageData):
            return None
        checkpoint = self.storage_data._source.checkpoint
        folder = checkpoint.data_folder
        is_here = folder is not None and os.path.realpath(folder) == os.path.realpath(self.path)
        return checkpoint if is_here else None

    def _source(self, rank: int | None) -> Source:
        """DCP asks for a rank's own metadata where there is no common one to read."""
        if rank is not None:
            if self._incomplete is not None:
                raise self._incomplete  # what this rank wrote may be a part of what it is to load
            return self._open(f"__{rank}{PICKLE_NAME}", rank)
        self._incomplete = None
        if self._has(FLATPOINT_NAME) or self._has(PICKLE_NAME):
            return self._open(PICKLE_NAME, None)
        if self.rank_local:
            raise self._not_found(f"neither {FLATPOINT_NAME} nor {PICKLE_NAME}")
        fragments = self._fragments()
        try:
            return Source.of(_core.merge(fragments, partial=False))
        except flatpoint.Error as error:
            hint = "FlatpointReader(rank_local=True) lets each rank read what it wrote itself"
            self._incomplete = type(error)(error.code, f"{self.path}: {error} ({hint})")
            raise self._incomplete from error

    def _fragments(self) -> list[flatpoint.Checkpoint]:
        if not is_url(self.path):
            return _core.open_fragments(self.path, limits=self.limits)
        names = names_in(self.fs, self.path) if self.fs.exists(self.path) else ()
        ranks = {rank for name in names if (rank := rank_of(name)) is not None}
        if not ranks:
            raise self._not_found(f"neither {FLATPOINT_NAME} nor {PICKLE_NAME} nor what ranks wrote alone")
        return [self._open(f"__{rank}{PICKLE_NAME}", rank).checkpoint for rank in sorted(ranks)]

    def _not_found(self, what: str) -> flatpoint.Error:
        return flatpoint.NotFoundError(flatpoint.ErrorCode.NOT_FOUND, f"{self.path}: no checkpoint: {what}")

    def _open(self, pickle_name: str, rank: int | None) -> Source:
        """The flatpoint file of that pickle; the pickle itself where it has none."""
        if not is_url(self.path):
            return Source.of(flatpoint.open(self.path, rank=rank, limits=self.limits, allow_outside=True))
        flatpoint_name = pickle_name + FLATPOINT_SUFFIX
        if not self._has(flatpoint_name):
            return self._read(pickle_name, rank)
        source = self._read(flatpoint_name, rank)
        has_pickle = self._has(pickle_name)
        if has_pickle and not is_source(source.checkpoint, self.fs, self.fs.concat_path(self.path, pickle_name)):
            return self._read(pickle_name, rank)
        return source

    def _has(self, name: str) -> bool:
        return self.fs.exists(self.fs.concat_path(self.path, name))

    def _read(self, name: str, rank: int | None) -> Source:
        url = self.fs.concat_path(self.path, name)
        checkpoint = flatpoint.from_bytes(read_file(self.fs, url), rank=rank, limits=self.limits)
        return Source.of(checkpoint, url=url)
