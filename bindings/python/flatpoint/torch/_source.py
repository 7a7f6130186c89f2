"""Where lazy metadata comes from: an open file here, its place elsewhere."""

from __future__ import annotations

import os
import threading

import flatpoint

from ._files import is_url, read_file, url_file_system

TRAILER_BYTES = 24


def trailer_of(checkpoint: flatpoint.Checkpoint) -> bytes:
    """The end of a flatpoint file: length and digest, so that two files with the same are the same."""
    return bytes(memoryview(checkpoint._file_bytes)[-TRAILER_BYTES:])


class Source:
    """A checkpoint's metadata. Pickled as its path and digest (as its bytes where it has no path), and opened on first
    use; another file at that path is an error then."""

    def __init__(self, path: str, trailer: bytes, data: bytes | None = None, checkpoint: flatpoint.Checkpoint | None = None):
        self.path = path
        self.trailer = trailer
        self.data = data
        self._checkpoint = checkpoint
        self._lock = threading.Lock()

    @classmethod
    def of(cls, checkpoint: flatpoint.Checkpoint, *, url: str = "", inline: bool = False) -> Source:
        """`url`: of the file, where the checkpoint was opened from its bytes."""
        path = url or (os.path.abspath(checkpoint.path) if checkpoint.path else "")
        data = bytes(memoryview(checkpoint._file_bytes)) if inline or not path else None
        return cls(path, trailer_of(checkpoint), data, checkpoint)

    @property
    def checkpoint(self) -> flatpoint.Checkpoint:
        if self._checkpoint is None:
            with self._lock:
                if self._checkpoint is None:
                    self._checkpoint = self._open()
        return self._checkpoint

    def _open(self) -> flatpoint.Checkpoint:
        if self.data is not None:
            return flatpoint.from_bytes(self.data)
        if is_url(self.path):
            checkpoint = flatpoint.from_bytes(read_file(*url_file_system(self.path, {})))
        else:
            checkpoint = flatpoint.open(self.path)
        if trailer_of(checkpoint) != self.trailer:
            message = f"{self.path}: not the metadata that was saved there: it was replaced meanwhile"
            raise flatpoint.Error(flatpoint.ErrorCode.STALE, message)
        return checkpoint

    def __reduce__(self):
        return Source, (self.path, self.trailer, self.data)

    def __repr__(self) -> str:
        return f"Source({self.path!r})"
