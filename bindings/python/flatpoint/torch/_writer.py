"""Writing: DCP's StorageWriter that publishes `.metadata.flatpoint`."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
from collections.abc import Iterator, Mapping
from typing import Any

from torch.distributed.checkpoint import FileSystemWriter
from torch.distributed.checkpoint import filesystem
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.storage import WriteResult

import flatpoint
from flatpoint import _core

from ._files import FLATPOINT_NAME, PICKLE_NAME, is_url, replace_file, url_file_system
from ._metadata import ComparableMetadata, FileMetadata, PlannerData, StateDictMetadata, StorageData
from ._source import Source


class SavedMetadata(ComparableMetadata):
    """The coordinator's metadata after a save: filled as always, but pickled as the place of the file, so that the other
    ranks get a few bytes and map the file when they look."""

    def __reduce_ex__(self, protocol: int):
        source = self.__dict__.get("_source")
        if source is None:
            return super().__reduce_ex__(protocol)
        return _as_file_metadata, (source, self._others())

    def _others(self) -> dict[str, Any]:
        """What is not in the file's dictionaries; a dictionary that is None among it."""
        in_file = ("state_dict_metadata", "planner_data", "storage_data")
        return {k: v for k, v in self.__dict__.items() if k != "_source" and (k not in in_file or v is None)}


def _as_file_metadata(source: Source, others: dict[str, Any]) -> Metadata:
    metadata = FileMetadata(StateDictMetadata(source), PlannerData(source), StorageData(source))
    metadata.__dict__.update(others)
    return metadata


class FlatpointWriter(FileSystemWriter):
    """FileSystemWriter that publishes `.metadata.flatpoint`, and beside it `.metadata` for every other tool.

    `write_pickle=False` leaves the `.metadata` out; only flatpoint's readers can load the checkpoint then. After a save
    every rank holds metadata that is read from the file when it is looked at. Where ranks do not see the coordinator's
    folder, `share="bytes"` sends them the file's contents.

    Both files appear at once and whole: an overwritten checkpoint's metadata is the old or the new.

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

    def _metadata_exists(self) -> bool:
        return super()._metadata_exists() or (self.use_collectives and self.fs.exists(self._path_of(FLATPOINT_NAME)))

    def _path_of(self, name: str) -> os.PathLike:
        return self.fs.concat_path(self.path, name)

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        if not self.use_collectives:  # each rank writes its own __R.metadata
            return super().finish(metadata, results)
        metadata.__class__ = Metadata
        metadata.__dict__.pop("_source", None)
        metadata.version = filesystem.CURRENT_DCP_VERSION
        metadata.storage_data = {result.index: result.storage_data for rank in results for result in rank}
        metadata.storage_meta = self.storage_meta()

        with _no_collector():
            data = pickle.dumps(metadata)
        checkpoint = flatpoint.from_bytes(data)
        if self.write_pickle:
            self._replace(PICKLE_NAME, data)
        self._replace(FLATPOINT_NAME, checkpoint._file_bytes)
        if not self.write_pickle and self.fs.exists(self._path_of(PICKLE_NAME)):
            self.fs.rm_file(self._path_of(PICKLE_NAME))  # an older save's

        if all(record.kind == "attribute" for record in checkpoint.opaque):
            metadata._source = self._source_of(checkpoint)
            metadata.__class__ = SavedMetadata
        # else: a custom planner's own objects in the dictionaries, which travel as torch sends them

    def _replace(self, name: str, data: Any) -> None:
        if is_url(self.path):
            replace_file(self.fs, self._path_of(name), bytes(memoryview(data)))
        else:
            _core.write_file(self._path_of(name), data)

    def _source_of(self, checkpoint: flatpoint.Checkpoint) -> Source:
        inline = self.share == "bytes"
        target = self._path_of(FLATPOINT_NAME)
        if is_url(self.path):
            return Source.of(checkpoint, url=target, inline=inline)
        return Source.of(flatpoint.open(target), inline=inline)


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
