"""Joining what ranks wrote alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from . import _core

_METADATA_NAME = ".metadata.flatpoint"


def merge(
    fragments: str | os.PathLike[str] | Iterable[str | os.PathLike[str] | _core.Checkpoint],
    output: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    partial: bool = False,
    limits: Mapping[str, int] | None = None,
) -> _core.Checkpoint:
    """Join what the ranks of a save wrote alone into the metadata of the whole, and publish it.

    `fragments` is a folder, or files and open checkpoints. `output` is by default the `.metadata.flatpoint` of the folder;
    where single fragments are given without it nothing is written. Reads no tensor data. `partial=True` joins what is
    there where a rank's fragment is missing, or a tensor has elements that no rank wrote; the answer's `findings` name the
    tensors. Raises Error: NOT_FOUND (a rank is missing, or all are), CONFLICT (fragments that contradict each other, missing
    elements, a file that is there and not to be overwritten).
    """
    if isinstance(fragments, (str, os.PathLike)):
        opened = _core.open_fragments(fragments, limits=limits)
        output = os.path.join(fragments, _METADATA_NAME) if output is None else output
    else:
        opened = [each if isinstance(each, _core.Checkpoint) else _core.open(each, limits=limits) for each in fragments]
    merged = _core.merge(opened, partial=partial)
    if output is not None:
        merged.write(output, overwrite=overwrite)
    return merged
