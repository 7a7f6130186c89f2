"""Checkpoints made of others: names changed, entries left out, the pickle that PyTorch reads."""

from __future__ import annotations

import fnmatch
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

from . import _core
from ._errors import Error, ErrorCode

Placements = str | Iterable[object] | Mapping[str, str | Iterable[object]] | Callable[[str], str | Iterable[object] | None]
Names = Mapping[str, str] | Callable[[str], str | None]


def rename(self: _core.Checkpoint, names: Names, *, drop_opaque: bool = False) -> _core.Checkpoint:
    """A checkpoint in memory with other names: of a mapping of old names to new, or what a function says of each FQN (None
    leaves it out). Nothing else changes, tensor data least of all; `write` publishes it.

    Raises KeyError for a name that the checkpoint lacks; Error: CONFLICT where two FQNs would have one name, OPAQUE_RECORDS
    where there are records that cannot be looked into (`drop_opaque` leaves them out).
    """
    if isinstance(names, Mapping):
        for fqn in names:
            if fqn not in self:
                raise KeyError(fqn)
        return self._edit(lambda fqn: names.get(fqn, fqn), drop_opaque)
    return self._edit(names, drop_opaque)


def keep(self: _core.Checkpoint, *patterns: str, drop_opaque: bool = False) -> _core.Checkpoint:
    """A checkpoint in memory with the FQNs alone that match one of the patterns: `*`, `?`, `[a-z]`; `*` matches dots too.
    Raises Error as `rename` does, and NOT_FOUND where no FQN matches."""
    matches = _matcher(self, patterns)
    return self._edit(lambda fqn: fqn if matches(fqn) else None, drop_opaque)


def drop(self: _core.Checkpoint, *patterns: str, drop_opaque: bool = False) -> _core.Checkpoint:
    """A checkpoint in memory without the FQNs that match one of the patterns, which are those of `keep`."""
    matches = _matcher(self, patterns)
    return self._edit(lambda fqn: None if matches(fqn) else fqn, drop_opaque)


def plan_mesh(self: _core.Checkpoint, mesh: Sequence[int], placements: Placements, *, max_gap: int = 0) -> _core.MeshPlan:
    """The plans of all ranks of a device mesh, (8, 4), that load by placements: "S0,R", or torch's; under all FQNs the same,
    or by pattern, {"*.o_proj.*": "S1,R", "*": "S0,R"}, of several the first that matches (patterns are those of `keep`), or
    what a function says of an FQN. FQNs without placements are not loaded. A tensor without the dimension is replicated.
    Raises Error: INVALID_ARGUMENT."""
    if not isinstance(placements, Mapping):
        return self._plan_mesh(mesh, placements, max_gap)
    rules = [(re.compile(fnmatch.translate(pattern)).match, each) for pattern, each in placements.items()]
    return self._plan_mesh(mesh, lambda fqn: next((each for matches, each in rules if matches(fqn)), None), max_gap)


def _matcher(checkpoint: _core.Checkpoint, patterns: tuple[str, ...]) -> Callable[[str], bool]:
    if not patterns:
        raise TypeError("expected a pattern, such as 'model.*'")
    matches = re.compile("|".join(f"(?:{fnmatch.translate(pattern)})" for pattern in patterns)).match
    if not any(map(matches, checkpoint)):
        raise Error(ErrorCode.NOT_FOUND, f"no FQN matches {', '.join(map(repr, patterns))}")
    return lambda fqn: matches(fqn) is not None


def export(
    self: _core.Checkpoint,
    path: str | os.PathLike[str] | None = None,
    *,
    torch: str = "2.15",
    opaque: str = "refuse",
    dcp_classes: bool = False,
    overwrite: bool = False,
) -> bytes:
    """The `.metadata` that PyTorch reads, equal to what the checkpoint was imported from; published at `path` where one is
    given. `torch` is the oldest version that has to read it. `opaque`: what becomes of records that need names which are
    not DCP's: "refuse" (an Error that names them), "keep" or "drop". `dcp_classes` writes DCP's own classes in the place of
    look-alikes of another project, such as OLMo-core's. A pickle beside the flatpoint file that it comes from becomes the
    source of that file, so that it does not pass for stale; a warning says where it holds less, as one for an older torch
    may, and is read in its place from then on.

    Raises Error: OPAQUE_RECORDS, INVALID_ARGUMENT (a fact that this PyTorch cannot hold); ExistsError, a FileExistsError.
    """
    version = re.fullmatch(r"(\d+)\.(\d+)(\..*)?", torch)
    if version is None:
        raise ValueError(f'torch is a version such as "2.14", not {torch!r}')
    data, _ = self._export(int(version[1]), int(version[2]), opaque, dcp_classes)
    if path is not None:
        _core.write_file(path, data, overwrite=overwrite)
        if not self._record_as_source(path):
            warnings.warn(f"{self.path} says more than {path}, which is read in its place from now on", stacklevel=2)
    return data


def reduce(self: _core.Checkpoint):
    """Pickled as its bytes, and the folder of its data files."""
    return _restore, (bytes(memoryview(self._file_bytes)), self.data_folder, self._allow_outside)


def _restore(data: bytes, data_folder: str | None = None, allow_outside: bool = False) -> _core.Checkpoint:
    return _core.from_bytes(data, data_folder=data_folder, allow_outside=allow_outside)


def repr_html(self: _core.Checkpoint) -> str:
    """For notebooks: the first entries as a table."""
    from html import escape

    if self.closed:
        return escape(repr(self))
    shown = 20
    rows = []
    for fqn, _ in zip(self, range(shown)):
        entry = self[fqn]
        if isinstance(entry, _core.Tensor):
            cells = (fqn, entry.dtype, " × ".join(map(str, entry.shape)) or "scalar", str(len(entry.chunks)))
        else:
            cells = (fqn, type(entry).__name__.lower(), "", "")
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("FQN", "dtype", "shape", "chunks"))
    more = f"<p>and {len(self) - shown:,} more</p>" if len(self) > shown else ""
    title = escape(self.path or "checkpoint in memory")
    return f"<b>{title}</b>: {len(self):,} FQNs<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"
