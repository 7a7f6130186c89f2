"""Where a checkpoint's files are: a local folder, or a URL through DCP's fsspec layer."""

from __future__ import annotations

import os
from typing import Any

from torch.distributed.checkpoint.filesystem import FileSystemBase

FLATPOINT_NAME = ".metadata.flatpoint"
PICKLE_NAME = ".metadata"


def is_url(path: str | os.PathLike) -> bool:
    return "://" in os.fspath(path)


def url_file_system(url: str, options: dict[str, Any]) -> tuple[FileSystemBase, str]:
    """DCP's file system for a URL. `options` go to fsspec."""
    from torch.distributed.checkpoint.fsspec_filesystem import _FileSystem

    fs = _FileSystem()
    return fs, fs.init_path(url, **options)


def read_file(fs: FileSystemBase, path: str | os.PathLike) -> bytes:
    with fs.create_stream(path, "rb") as stream:
        return stream.read()


def replace_file(fs: FileSystemBase, path: str, data: bytes) -> None:
    """As DCP does it: written under another name, then renamed. How whole that is depends on the store."""
    temporary = f"{path}.tmp"
    with fs.create_stream(temporary, "wb") as stream:
        stream.write(data)
    if fs.exists(path):
        fs.rm_file(path)
    fs.rename(temporary, path)
