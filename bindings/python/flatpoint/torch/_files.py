"""Where a checkpoint's files are: a local folder, or a URL through DCP's fsspec layer."""

from __future__ import annotations

import os
import re
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystemBase

import flatpoint
from flatpoint import _core

PICKLE_NAME = ".metadata"
FLATPOINT_SUFFIX = ".flatpoint"
FLATPOINT_NAME = PICKLE_NAME + FLATPOINT_SUFFIX
_RANK_NAME = re.compile(r"__([0-9]{1,10})\.metadata(\.flatpoint)?")


def rank_of(name: str) -> int | None:
    """R of `__R.metadata` and `__R.metadata.flatpoint`: what rank R wrote alone."""
    match = _RANK_NAME.fullmatch(name)
    return int(match[1]) if match else None


def is_url(path: str | os.PathLike) -> bool:
    return "://" in os.fspath(path)


def url_file_system(url: str, options: dict[str, Any]) -> tuple[FileSystemBase, str]:
    """DCP's file system for a URL. `options` go to fsspec."""
    try:
        from torch.distributed.checkpoint.fsspec_filesystem import _FileSystem
    except ImportError:  # torch 2.6
        from torch.distributed.checkpoint._fsspec_filesystem import FileSystem as _FileSystem

    fs = _FileSystem()
    return fs, fs.init_path(url, **options)


def names_in(fs: FileSystemBase, folder: str | os.PathLike) -> list[str]:
    paths = fs.fs.ls(folder, detail=False) if is_url(folder) else os.listdir(folder)
    return [os.path.basename(path) for path in paths]


def read_file(fs: FileSystemBase, path: str | os.PathLike) -> bytes:
    with fs.create_stream(path, "rb") as stream:
        return stream.read()


def etag_of(fs: FileSystemBase, path: str) -> str:
    """A store's mark of a file's content; empty where it gives none."""
    info = fs.fs.info(path)
    return str(info.get("ETag") or info.get("etag") or "")


def is_source(checkpoint: flatpoint.Checkpoint, fs: FileSystemBase, path: str) -> bool:
    """Whether a flatpoint file was imported from the pickle at a URL: by its etag, else by its bytes."""
    size = fs.fs.info(path).get("size")
    length = len(read_file(fs, path)) if size is None else size
    return _core.is_source(checkpoint, length, etag_of(fs, path), lambda: read_file(fs, path))


def replace_file(fs: FileSystemBase, path: str, data: bytes) -> None:
    """As DCP does it: written under another name, then renamed. How whole that is depends on the store."""
    temporary = f"{path}.tmp"
    with fs.create_stream(temporary, "wb") as stream:
        stream.write(data)
    if fs.exists(path):
        fs.rm_file(path)
    fs.rename(temporary, path)
