"""The columns of a file, where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import _core

if TYPE_CHECKING:
    from ._core import Checkpoint


class Columns(Mapping[str, Any]):
    """Every vector of schema/metadata.fbs by its name; one that the file lacks is empty.

    With NumPy an array (of a structured dtype where rows are structs), without it a memoryview. Nothing is copied: both
    are read-only, and keep the file mapped after the checkpoint is closed. Values are unchecked: a file that `verify`
    passes keeps the rules of docs/format.md.
    """

    def __init__(self, checkpoint: Checkpoint):
        self._checkpoint = checkpoint

    def __getitem__(self, name: str) -> Any:
        view = memoryview(self._checkpoint._column(name))
        try:
            import numpy
        except ImportError:
            return view
        return numpy.asarray(view)

    def __iter__(self) -> Iterator[str]:
        return iter(_core.column_names)

    def __len__(self) -> int:
        return len(_core.column_names)

    def __contains__(self, name: object) -> bool:
        return name in _core.column_names

    def __repr__(self) -> str:
        return f"Columns({self._checkpoint!r})"
