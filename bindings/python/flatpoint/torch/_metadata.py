"""torch's Metadata over a flatpoint file: nothing is read before torch asks for it."""

from __future__ import annotations

import copyreg
import pathlib
from typing import Any

from torch.distributed.checkpoint.metadata import Metadata, StorageMeta

import flatpoint

from ._mappings import FileMapping, PlannerData, StateDictMetadata, StorageData
from ._plain import build
from ._source import Source

_FIELDS = ("state_dict_metadata", "planner_data", "storage_data", "storage_meta", "version")


class ComparableMetadata(Metadata):
    """Equal to any Metadata that says the same."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Metadata):
            return NotImplemented
        return all(getattr(self, name, None) == getattr(other, name, None) for name in _FIELDS)

    __hash__ = None


class FileMetadata(ComparableMetadata):
    """Metadata whose dictionaries are read from a flatpoint file, or from a `.metadata` that was imported, when torch asks
    for a key. It equals what unpickling the `.metadata` gives, and is pickled and copied as that: torch's own Metadata with
    dictionaries, changes included. (What a save sends to other processes is the place of its file.)

    What flatpoint keeps as opaque pickles is not unpickled: `opaque` holds it. An attribute that is made of DCP's own
    classes alone, as Megatron's `all_local_plans`, is built when it is asked for, from a closed list and without running
    anything; one that holds anything else is not there.
    """

    opaque: tuple[flatpoint.OpaqueRecord, ...]

    @property
    def __class__(self) -> type:
        """Pickling asks for it, and finds torch's; `type()` tells the truth."""
        return Metadata

    def __getattr__(self, name: str) -> Any:
        for record in self.__dict__.get("opaque", ()):
            if record.kind == "attribute" and record.name == name:
                value = build(record.pickle, name)
                self.__dict__[name] = value
                return value
        raise AttributeError(f"the metadata has no attribute {name!r}", name=name, obj=self)

    def __reduce_ex__(self, protocol: int):
        mappings = self._mappings()
        if self.__dict__.get("_travels") and mappings and not any(mapping.changed for mapping in mappings.values()):
            return metadata_at, (next(iter(mappings.values()))._source, self._others())
        state = self._others() | {name: mapping.copy() for name, mapping in mappings.items()}
        for record in state.pop("opaque", ()):
            if record.kind == "attribute" and hasattr(self, record.name):
                state[record.name] = getattr(self, record.name)
        return copyreg.__newobj__, (Metadata,), {name: state.pop(name) for name in _FIELDS if name in state} | state

    def _mappings(self) -> dict[str, FileMapping]:
        return {name: value for name, value in self.__dict__.items() if isinstance(value, FileMapping)}

    def _others(self) -> dict[str, Any]:
        own = {"_travels", *self._mappings()}
        return {name: value for name, value in self.__dict__.items() if name not in own}


def metadata_at(source: Source, others: dict[str, Any]) -> FileMetadata:
    """What a save sends to other processes: metadata whose dictionaries are the file's, but for those among `others`. Who
    sends it on sends the place again."""
    metadata = FileMetadata(StateDictMetadata(source), PlannerData(source), StorageData(source))
    metadata.__dict__.update(others, _travels=True)
    return metadata


def _storage_meta(meta: flatpoint.StorageMeta | None) -> StorageMeta | None:
    if meta is None:
        return None
    checkpoint_id: Any = meta.checkpoint_id
    if checkpoint_id is not None and meta.checkpoint_id_type not in (None, "str"):
        checkpoint_id = getattr(pathlib, _PATHS[meta.checkpoint_id_type])(checkpoint_id)
    made = StorageMeta(checkpoint_id, meta.save_id, meta.load_id)
    if "modules" in StorageMeta.__dataclass_fields__:  # since torch 2.8
        made.modules = list(meta.modules or ())
    return made


# A path of the other kind of system can be held, not made.
_PATHS = {
    "PosixPath": pathlib.Path().__class__.__name__.replace("Windows", "PurePosix"),
    "WindowsPath": "PureWindowsPath",
    "PurePosixPath": "PurePosixPath",
    "PureWindowsPath": "PureWindowsPath",
}


def make_metadata(source: Source) -> FileMetadata:
    checkpoint = source.checkpoint
    metadata = FileMetadata(
        StateDictMetadata(source),
        PlannerData(source) if checkpoint._has_planner_data else None,
        StorageData(source) if checkpoint._has_storage_data else None,
        _storage_meta(checkpoint.storage_meta),
    )
    metadata.version = checkpoint.version  # a field since torch 2.9
    metadata.opaque = checkpoint.opaque
    return metadata
