"""Writing: DCP's StorageWriter that publishes `.metadata.flatpoint`."""

from __future__ import annotations

import contextlib
import functools
import gc
import logging
import os
import pickle
from collections.abc import Iterator, Mapping
from time import time_ns
from typing import Any

import torch.distributed as dist
from torch.distributed.checkpoint import FileSystemWriter, filesystem
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex
from torch.distributed.checkpoint.planner import SavePlan
from torch.distributed.checkpoint.storage import WriteResult

import flatpoint
from flatpoint import _core

from ._files import (
    FLATPOINT_SUFFIX,
    PICKLE_NAME,
    etag_of,
    is_source,
    is_url,
    names_in,
    rank_of,
    read_file,
    replace_file,
    url_file_system,
)
from ._mappings import FileMapping
from ._metadata import ComparableMetadata, metadata_at
from ._source import Source

StorageLists = tuple[list[MetadataIndex], list[Any]]  # keys and values of storage_data


class SavedMetadata(ComparableMetadata):
    """The coordinator's metadata after a save: filled as always, but pickled as the place of the file, so that the other
    ranks get a few bytes and map the file when they look."""

    _source: Source
    _storage: StorageLists

    @functools.cached_property
    def storage_data(self) -> dict[MetadataIndex, Any]:
        """Made when somebody looks: hashing the keys takes longer than writing the file."""
        return dict(zip(*self._storage))

    def __reduce_ex__(self, protocol: int):
        source = self.__dict__.get("_source")
        if source is None:
            return super().__reduce_ex__(protocol)
        return metadata_at, (source, self._others())

    def _others(self) -> dict[str, Any]:
        """What is not in the file's dictionaries; a dictionary that is None among it."""
        in_file = ("state_dict_metadata", "planner_data", "storage_data")
        own = ("_source", "_storage")
        return {k: v for k, v in self.__dict__.items() if k not in own and (k not in in_file or v is None)}


class FlatpointWriter(FileSystemWriter):
    """FileSystemWriter that publishes `.metadata.flatpoint`, and beside it `.metadata` for every other tool.

    `write_pickle=False` leaves the `.metadata` out: ONLY flatpoint's readers find the checkpoint then. Programs that look for
    a `.metadata`, as trainers do to find the step to go on from, take the folder for empty and START AGAIN FROM THE
    BEGINNING, without an error. After a save
    every rank holds metadata that is read from the file when it is looked at. Where ranks do not see the coordinator's
    folder, `share="bytes"` sends them the file's contents.

    Both files appear at once and whole: an overwritten checkpoint's metadata is the old or the new. Where the older save
    left a `.metadata` alone and `write_pickle=False` takes it away, there is none for a moment.

    With dcp.save(..., use_collectives=False) each rank writes the metadata of what it wrote, `__R.metadata.flatpoint` and
    `__R.metadata`; nothing is gathered. FlatpointReader and flatpoint.merge join them. Such a save removes first what it will
    replace, so that a rank that fails is missed, not mistaken for its older save.

    A path with "://" is a URL for fsspec, with `fsspec_options`; what appears at once is up to the store then.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        *args: Any,
        write_pickle: bool = True,
        share: str = "path",
        fsspec_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ):
        super().__init__(path, *args, **kwargs)
        if is_url(path):
            self.fs, self.path = url_file_system(path, dict(fsspec_options or {}))
        if share not in ("path", "bytes"):
            raise ValueError(f'share is "path" or "bytes", not {share!r}')
        self.write_pickle = write_pickle
        self.share = share
        if not write_pickle:
            _warn_of_hidden_checkpoints()

    @property
    def _lone_rank(self) -> int | None:
        """The rank whose metadata this writes; None: the whole checkpoint's."""
        return None if getattr(self, "use_collectives", True) else self.rank

    def _metadata_exists(self) -> bool:
        return any(self._exists(name) for name in self._replaced_names())

    def _replaced_names(self) -> list[str]:
        """Metadata files that a save makes invalid."""
        rank = self._lone_rank
        names = [PICKLE_NAME]
        if rank is not None:
            names.append(f"__{rank}{PICKLE_NAME}")
        return [name + suffix for name in names for suffix in ("", FLATPOINT_SUFFIX)]

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        if not self.overwrite and self._metadata_exists():  # older torch looks for `.metadata` alone
            raise RuntimeError(f"Checkpoint already exists and {self.overwrite=}. ({self.path})")  # as torch says it
        plan = super().prepare_local_plan(plan)
        if self._lone_rank is not None:
            self._remove_older()
        return plan

    def _remove_older(self) -> None:
        """No rank waits for another: each removes what is its own, the first also what no rank of this save writes."""
        names = set(self._replaced_names())
        if self._lone_rank == 0:
            world = dist.get_world_size() if dist.is_initialized() else 1
            present = names_in(self.fs, self.path)
            names.update(name for name in present if (rank := rank_of(name)) is not None and rank >= world)
        else:
            names = {name for name in names if rank_of(name) is not None}
        for name in names:
            if self._exists(name):
                self.fs.rm_file(self._path_of(name))

    def _path_of(self, name: str) -> os.PathLike:
        return self.fs.concat_path(self.path, name)

    def _exists(self, name: str) -> bool:
        return self.fs.exists(self._path_of(name))

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        if type(metadata) is SavedMetadata:  # plan caching uses it again
            metadata.__class__ = Metadata
            del metadata._source, metadata._storage
        if hasattr(filesystem, "CURRENT_DCP_VERSION"):  # since torch 2.9
            metadata.version = filesystem.CURRENT_DCP_VERSION
        for name in ("state_dict_metadata", "planner_data"):
            if isinstance(value := getattr(metadata, name), FileMapping):  # a reader's, given back
                setattr(metadata, name, value.copy())
        metadata.storage_data = None
        metadata.storage_meta = self.storage_meta()

        rank = self._lone_rank
        # The pickle gets the time that the flatpoint file records, to the nanosecond: a later one gets that of a tick.
        time = time_ns() if self.write_pickle and not is_url(self.path) else None
        checkpoint, data, storage = self._encode(metadata, results, rank, time)
        pickle_name = PICKLE_NAME if rank is None else f"__{rank}{PICKLE_NAME}"
        flatpoint_name = pickle_name + FLATPOINT_SUFFIX
        # From the older save's files to the new one's, and whatever there is between two steps wins rightly.
        if self.write_pickle:
            self._replace(pickle_name, data, time)  # an older flatpoint file does not belong to it
            if is_url(self.path) and (etag := etag_of(self.fs, self._path_of(pickle_name))):
                checkpoint = flatpoint.from_bytes(data, rank=rank, etag=etag)
        else:
            self._remove_pickle(pickle_name, rank)
        self._replace(flatpoint_name, checkpoint._file_bytes)

        if type(metadata) is Metadata and all(record.kind == "attribute" for record in checkpoint.opaque):
            metadata._source = self._source_of(checkpoint, flatpoint_name)
            metadata._storage = storage
            del metadata.storage_data
            metadata.__class__ = SavedMetadata
        else:  # a custom planner's own objects in the dictionaries, which travel as torch sends them
            metadata.storage_data = dict(zip(*storage))

    def _remove_pickle(self, name: str, rank: int | None) -> None:
        """An older save's, which would win over a flatpoint file that does not belong to it. Beside it stays only a
        flatpoint file that says the same; an even older one would win alone."""
        if not self._exists(name):
            return
        beside = name + FLATPOINT_SUFFIX
        if self._exists(beside) and not self._belongs(beside, name):
            self.fs.rm_file(self._path_of(beside))
        self.fs.rm_file(self._path_of(name))

    def _belongs(self, flatpoint_name: str, pickle_name: str) -> bool:
        target, pickle_path = self._path_of(flatpoint_name), self._path_of(pickle_name)
        try:
            if is_url(self.path):
                return is_source(flatpoint.from_bytes(read_file(self.fs, target)), self.fs, pickle_path)
            return _core.matches_file(flatpoint.open(target), pickle_path)
        except (flatpoint.Error, OSError):
            return False

    def _encode(
        self, metadata: Metadata, results: list[list[WriteResult]], rank: int | None, time: int | None
    ) -> tuple[flatpoint.Checkpoint, bytes | None, StorageLists]:
        """The metadata as a flatpoint file, its pickle where that is to be written, and what storage_data is to hold."""
        with _no_collector():
            encoded = _core.from_object(metadata, results, rank=rank, keep_pickle=self.write_pickle, modified_ns=time)
            if encoded is not None:
                return encoded
            metadata.storage_data = {result.index: result.storage_data for of_rank in results for result in of_rank}
            storage = list(metadata.storage_data), list(metadata.storage_data.values())
            data = pickle.dumps(metadata)  # what others attached, objects of foreign classes
        return flatpoint.from_bytes(data, rank=rank, modified_ns=time), data, storage

    def _replace(self, name: str, data: Any, time: int | None = None) -> None:
        if is_url(self.path):
            replace_file(self.fs, self._path_of(name), bytes(memoryview(data)))
        else:
            _core.write_file(self._path_of(name), data, modified_ns=time)

    def _source_of(self, checkpoint: flatpoint.Checkpoint, name: str) -> Source:
        inline = self.share == "bytes"
        target = self._path_of(name)
        if is_url(self.path):
            return Source.of(checkpoint, url=target, inline=inline)
        return Source.of(flatpoint.open(target), inline=inline)


@functools.cache
def _warn_of_hidden_checkpoints() -> None:
    """Once in a process."""
    logging.getLogger(__name__).warning(
        "FlatpointWriter(write_pickle=False) writes no %s: programs that look for one, as trainers do before they go on from "
        "a checkpoint, find none and start again from the beginning",
        PICKLE_NAME,
    )


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Pickling makes many objects that live on: the collector would look at all of them again and again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
