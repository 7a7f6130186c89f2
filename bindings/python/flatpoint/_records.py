"""Values that the native module hands out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ._core import Chunk


class StorageInfo(NamedTuple):
    """DCP's _StorageInfo: the bytes [offset, offset + length) of a data file."""

    relative_path: str
    byte_offset: int
    length: int
    transform_descriptors: tuple[str, ...] | None
    """The first to apply on read comes first."""


class StorageMeta(NamedTuple):
    """DCP's StorageMeta."""

    checkpoint_id: str | None
    checkpoint_id_type: str | None
    """Python's type of it: "str", "PosixPath", ..."""
    save_id: str | None
    load_id: str | None
    modules: tuple[str, ...] | None
    """None in files from before the attribute existed."""


class TensorProperties(NamedTuple):
    """DCP's TensorProperties, with torch's names less "torch."."""

    dtype: str
    layout: str
    requires_grad: bool
    memory_format: str
    pin_memory: bool
    strides: tuple[int, ...] | None
    """In elements; None in files from before torch 2.15."""


class Overlap(NamedTuple):
    """A chunk that overlaps a box, and the region that they share."""

    chunk: Chunk
    chunk_offsets: tuple[int, ...]
    """Where the region begins inside the chunk."""
    box_offsets: tuple[int, ...]
    """Where it begins inside the box."""
    lengths: tuple[int, ...]
    """Elements, per dimension."""


class Wanted(NamedTuple):
    """What `Checkpoint.plan` is asked for under one FQN. None: as the checkpoint has it."""

    boxes: Iterable[tuple[Sequence[int], Sequence[int]]] | None = None
    """Pairs (offsets, sizes); None is the whole tensor."""
    size: Sequence[int] | None = None
    """Of the whole tensor; another size than the checkpoint's is an issue of the plan."""
    dtype: str | None = None
    """Likewise; torch's name without "torch."."""
    kind: str | None = None
    """ "tensor" or "bytes"."""


class ReadItem(NamedTuple):
    """DCP's ReadItem, and where the saved chunk lies."""

    fqn: str
    kind: str
    """ "tensor" or "bytes"."""
    box: int
    """Number of the wanted box among those of its FQN."""
    box_offsets: tuple[int, ...] | None
    """Of the wanted box in the tensor (dest_index.offset)."""
    dest_offsets: tuple[int, ...]
    """Inside the wanted box."""
    chunk_offsets: tuple[int, ...] | None
    """Of the saved chunk in the tensor (storage_index.offset)."""
    storage_offsets: tuple[int, ...]
    """Inside the saved chunk."""
    lengths: tuple[int, ...]
    """Elements, per dimension."""
    relative_path: str
    byte_offset: int
    length: int


class FileRead(NamedTuple):
    """A range of a file that is read at once, and the items that it serves."""

    relative_path: str
    byte_offset: int
    length: int
    item_begin: int
    item_count: int


class LoadIssue(NamedTuple):
    """Something wanted that does not fit. Fatal: torch would refuse the load, or fail in it."""

    kind: str
    fatal: bool
    fqn: str
    message: str


class OpaqueRecord(NamedTuple):
    """What fits no column, as a self-contained pickle: data to keep, never to execute."""

    kind: str
    """ "attribute", "state_dict_item", "state_dict_value", "planner_data", "planner_item", "storage_data",
    "storage_item", "storage_meta" or "version"."""
    position: int
    """In its dictionary's order."""
    name: str
    """Of the attribute, or the FQN."""
    pickle: bytes


class ChangedEntry(NamedTuple):
    """An FQN that two checkpoints describe differently."""

    fqn: str
    aspects: tuple[str, ...]
    """In what: "type", "dtype", "shape", "properties", "sharding", "location", "order", "planner"."""
    chunks: int
    """Whose location differs."""


class FileDifference(NamedTuple):
    """A difference that belongs to no FQN."""

    aspect: str
    what: str
    """ "version", "storage_meta.save_id", ..."""
    a: str
    """What the two say, for people; both empty where that would be too long."""
    b: str


class Diff(NamedTuple):
    """What `Checkpoint.diff` found."""

    same: bool
    removed: tuple[str, ...]
    """FQNs that the other lacks."""
    added: tuple[str, ...]
    """FQNs that only the other has."""
    changed: tuple[ChangedEntry, ...]
    file: tuple[FileDifference, ...]


class BrokenRule(NamedTuple):
    """A rule of the format that a file breaks: "F4", "E2", ..."""

    rule: str
    message: str


class Finding(NamedTuple):
    """Something about a checkpoint that is legal, but that its owner may want to know."""

    kind: str
    message: str


class VerifyReport(NamedTuple):
    """What `Checkpoint.verify` found."""

    sound: bool
    broken_rules: tuple[BrokenRule, ...]
    findings: tuple[Finding, ...]
    suppressed: int
    """Messages beyond `max_messages` of a rule or kind."""


class CoverageReport(NamedTuple):
    """What `Checkpoint.coverage` found."""

    tiles: bool
    """Whether every element of every tensor lies in exactly one chunk, and no chunk reaches outside."""
    tensors: int
    """That were checked."""
    not_tiled: int
    """Of these."""
    findings: tuple[Finding, ...]
    suppressed: int
    """Findings beyond `max_findings` of a tensor."""


class RankLoad(NamedTuple):
    """What one rank reads."""

    items: int
    files: int
    needed_bytes: int
    """Of the wanted elements."""
    stored_bytes: int
    """Of the stored chunks that hold them, each counted once."""


class FileLoad(NamedTuple):
    """What is read of one file by all ranks together."""

    relative_path: str
    bytes: int
    """Stored chunks, counted once for each rank."""
    ranks: int


class LoadBalance(NamedTuple):
    """How a load spreads over the ranks of a mesh and over files."""

    ranks: tuple[RankLoad, ...]
    files: tuple[FileLoad, ...]
    total: RankLoad
    """Over ranks; its files are those that are read at all."""
    most_loaded_rank: int
    read_amplification: float
    """Stored bytes that are read for each byte that is needed; 0 where none is."""
    chunks_unstored: int
    """Needed, but without storage information: counted once for each rank."""
    issues: tuple[LoadIssue, ...]
    """What does not fit in the plan of some rank, once for each FQN and kind."""
    loadable: bool
    """Whether every rank's plan is."""


class DataReport(NamedTuple):
    """What `Checkpoint.check_data` found."""

    sound: bool
    broken: tuple[Finding, ...]
    """Kinds: "not_found", "truncated", "outside", "io"; of items also those of ErrorCode, and "overlap"."""
    findings: tuple[Finding, ...]
    """What is merely odd: "unnamed_file", "not_plain"."""
    suppressed: int
    """Messages beyond `max_messages`."""
    files: int
    missing: int
    too_short: int
    fqns: int
    """With items."""
    lost: int
    """Of these, FQNs of which an item is not whole."""
    items: int
    """That were looked into."""
    checked_bytes: int
    """Of items whose checksum holds."""
    without_checksum: int
    """Items."""


class ValueDifference(NamedTuple):
    """What `Tensor.compare` found. Values are the same where all their bits are."""

    same: bool
    elements: int | None
    """That differ; None where they are the same, or not all were asked for."""
    largest: float | None
    """Absolute difference, likewise; NaN where one side alone is NaN; None for dtypes that are no real numbers."""


class Statistics(NamedTuple):
    """What the elements of a tensor are like. Mean and deviation are those of the finite ones, the least and the greatest
    those of all but NaN; 0 where there is none."""

    elements: int
    zeros: int
    nans: int
    infinities: int
    min: float
    max: float
    mean: float
    std: float
    """Of the whole, not of a sample."""
