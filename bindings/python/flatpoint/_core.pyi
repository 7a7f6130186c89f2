"""The C++ library for Python."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Never, final, overload

from numpy import ndarray
from torch import Tensor as TorchTensor

from ._columns import Columns
from ._edit import Placements
from ._index import Index
from ._records import (
    CoverageReport,
    DataReport,
    Diff,
    FileRead,
    Finding,
    LoadBalance,
    LoadIssue,
    OpaqueRecord,
    Overlap,
    ReadItem,
    Statistics,
    StorageInfo,
    StorageMeta,
    TensorProperties,
    ValueDifference,
    VerifyReport,
    Wanted,
)
from ._table import Table

column_names: tuple[str, ...]

def open(
    path: str | PathLike[str],
    *,
    rank: int | None = None,
    copy: bool = False,
    limits: Mapping[str, int] | None = None,
    data_folder: str | PathLike[str] | None = None,
    allow_outside: bool = False,
) -> Checkpoint:
    """Open a checkpoint's folder, a `.metadata`, a flatpoint file, or files of safetensors.

    In a folder a `.metadata.flatpoint` that was imported from what lies beside it wins; otherwise that is imported in
    memory, as data: nothing of it is executed. `rank` picks one of the `__R.metadata` of a save without
    collectives. `copy` reads the file instead of mapping it, for folders where others write in place. `limits` are those of include/flatpoint/dcp.hpp: {"max_chunks": 1_000_000}. Data files are read from the folder of the
    metadata, or from `data_folder`; where their paths leave it only with `allow_outside`.

    Raises Error; NotFoundError is a FileNotFoundError, IoError an OSError.
    """

def from_bytes(
    data: bytes | bytearray | memoryview,
    *,
    rank: int | None = None,
    limits: Mapping[str, int] | None = None,
    modified_ns: int | None = None,
    etag: str = "",
    data_folder: str | PathLike[str] | None = None,
    allow_outside: bool = False,
) -> Checkpoint:
    """Open the bytes of a flatpoint file or of a `.metadata`, which are copied. `rank`: of the `__R.metadata` that they are;
    `modified_ns` and `etag`: by what it is recognised later; `data_folder`: where the data files are. Raises Error."""

def from_object(
    metadata: object,
    results: list[list[object]] | None = None,
    *,
    rank: int | None = None,
    keep_pickle: bool = False,
    modified_ns: int | None = None,
) -> tuple[Checkpoint, bytes | None, tuple[list[object], list[object]]] | None:
    """Open torch's Metadata, as importing its pickle would, and that pickle where it is to be kept. `results`: the ranks'
    WriteResults, from which storage_data is made in the place of the object's own; its keys and values are returned. None
    where the object is not plain: Python's pickle has to write it. Raises Error."""

def open_fragments(folder: str | PathLike[str], *, limits: Mapping[str, int] | None = None) -> list[Checkpoint]:
    """What ranks wrote alone into a folder: every `__R.metadata`, or the flatpoint file beside it, and every other flatpoint
    file of one rank. Raises Error."""

def merge(fragments: Sequence[Checkpoint], *, partial: bool) -> Checkpoint:
    """The whole that fragments are, in memory; its findings are what is odd about it. Raises Error."""

def write_file(
    path: str | PathLike[str],
    data: bytes | bytearray | memoryview,
    *,
    overwrite: bool = True,
    modified_ns: int | None = None,
) -> None:
    """Publish a file: written under another name, synced, and renamed into place, with a modification time of its own.
    Raises Error."""

def is_source(checkpoint: Checkpoint, length: int, etag: str, read: Callable[[], bytes]) -> bool:
    """Whether a checkpoint was imported from a pickle elsewhere: by its etag, or by its bytes, which `read` gives."""

def matches_file(checkpoint: Checkpoint, pickle: str | PathLike[str]) -> bool:
    """Whether a checkpoint was imported from a pickle: by its time, or by its bytes. Raises Error."""

def read_boxes(boxes: Iterable[tuple[Tensor, Sequence[int], Sequence[int], Any, Sequence[int] | None]], threads: int, verify: bool) -> None:
    """Read boxes of tensors of one checkpoint: (tensor, offsets, sizes, to, byte strides). `to` is a writable buffer of
    exactly the bytes of the box, or the address of memory that the caller vouches for, which strides belong to. Threads: 0
    chooses. Raises Error."""

def find_parts(
    checkpoint: Checkpoint, parts: Iterable[tuple[str, Sequence[int], Sequence[int], Sequence[int]]], verify: bool
) -> list[tuple[int, int, str | None]]:
    """Where parts of chunks lie, each (fqn, offsets of the chunk, offsets in it, lengths): (number of the file, byte offset of
    the chunk's item, None), or instead of None why `read_parts` does not take it: what torch alone can read, or a part that
    lies in several chunks. `verify` compares strided and compressed ones with their checksums. Raises Error."""

def read_parts(
    checkpoint: Checkpoint,
    parts: Iterable[tuple[str, Sequence[int], Sequence[int], Sequence[int], int, Sequence[int]]],
    threads: int,
    verify: bool,
) -> tuple[int, int]:
    """Read parts that `find_parts` knows, each with two values more: an address that the caller vouches for and byte strides
    there. In the order of their files. Answers (bytes needed, bytes read). Threads: 0 chooses. Raises Error."""

def check_item(checkpoint: Checkpoint, fqn: str) -> None:
    """Compare a bytes item with the checksums in it. Raises Error."""

@final
class Checkpoint(Mapping[str, Tensor | Bytes | Opaque]):
    """An open checkpoint: a read-only mapping of FQN to what it holds, in DCP's order. Safe to read from many threads."""

    def __getitem__(self, fqn: str) -> Tensor | Bytes | Opaque: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[str]: ...
    def __enter__(self) -> Checkpoint: ...
    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None) -> None: ...
    def close(self) -> None:
        """Forget the file: what is asked of the checkpoint later raises ValueError. Objects that were taken from it,
        columns included, stay readable, and keep the file mapped."""

    @property
    def closed(self) -> bool: ...
    @property
    def path(self) -> str:
        """The file that was read; empty for bytes."""

    @property
    def origin(self) -> str:
        """ "flatpoint", or "pickle": a `.metadata` that was imported in memory."""

    @property
    def notices(self) -> tuple[str, ...]:
        """For people: why a file beside it was passed over, ..."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What is odd about the pickle that was imported, or about what was merged."""

    @property
    def rank(self) -> int | None:
        """The rank that wrote this alone; None: it is a whole checkpoint's."""

    @property
    def files(self) -> tuple[str, ...]:
        """relative_path of every data file."""

    @property
    def data_folder(self) -> str | None:
        """The folder of the data files: that of the metadata unless `open` was told another; None for bytes without one."""

    @property
    def storage_meta(self) -> StorageMeta | None: ...
    @property
    def version(self) -> str | None:
        """DCP's version."""

    @property
    def columns(self) -> Columns:
        """The columns of the file, without a copy."""

    def find(self, fqn: str, offset: Iterable[int] | None = None) -> StorageInfo | None:
        """storage_data[MetadataIndex(fqn, offset)]. No offset is that of bytes."""

    def prefix(self, prefix: str) -> Fqns:
        """FQNs that begin with a text, sorted by bytes."""

    def planner_path(self, fqn: str) -> tuple[str | int, ...] | None:
        """planner_data[fqn]: the FQN as keys and positions in lists."""

    def plan(
        self,
        wanted: Mapping[str, Iterable[tuple[Sequence[int], Sequence[int]]] | Wanted | None],
        *,
        strict: bool = True,
        max_gap: int = 0,
    ) -> LoadPlan:
        """Plan the reads of what is wanted: FQN to boxes (offsets, sizes), None for all of it, or a Wanted.

        What does not fit is in the plan's issues. With `strict` an FQN that the checkpoint lacks is a fatal one. Ranges of
        one file at most `max_gap` bytes apart are read at once.
        """

    def read(
        self,
        wanted: Mapping[str, Index] | Iterable[str],
        out: Mapping[str, Any] | None = None,
        *,
        bits: bool = False,
        threads: int = 0,
        verify: bool = False,
    ) -> dict[str, Any]:
        """Read many tensors, or parts of them, in the order of their files: a mapping of FQN to an index, or FQNs alone. An
        index is None (all of it), what `checkpoint[fqn][...]` takes, or a pair (offsets, sizes). The answer has, under each
        FQN, the memory of `out` where it has the FQN, else an array of NumPy, or the value of a bytes item. Raises Error."""

    def table(self) -> Table:
        """A row per FQN, in DCP's order: fqn, kind, dtype, shape, nbytes, chunks, stored_bytes. Raises Error: CORRUPT."""

    def chunks_table(self) -> Table:
        """A row per chunk of a tensor and per bytes item, in DCP's order: fqn, chunk, offsets, sizes, file, byte_offset,
        length, row. Raises Error: CORRUPT."""

    def diff(self, other: Checkpoint, *, aspects: Iterable[str] | None = None) -> Diff:
        """What another checkpoint says differently: facts are compared, not bytes. `aspects` selects what counts ("dtype",
        "shape", "location", ...: include/flatpoint/diff.hpp); FQNs that only one has always do."""

    def plan_mesh(self, mesh: Sequence[int], placements: Placements, *, max_gap: int = 0) -> MeshPlan:
        """The plans of all ranks of a device mesh, (8, 4), that load by placements: "S0,R", or torch's; under all FQNs the
        same, or by pattern, {"*.o_proj.*": "S1,R", "*": "S0,R"}, of several the first that matches, or what a function says
        of an FQN. FQNs without placements are not loaded. Raises Error: INVALID_ARGUMENT."""

    def _plan_mesh(self, mesh: Sequence[int], placements: Any, max_gap: int) -> MeshPlan: ...
    def coverage(self, *, max_findings: int = 10) -> CoverageReport:
        """Whether the chunks of each tensor tile it: no hole, no overlap, nothing outside. Raises Error: CORRUPT."""

    def rename(self, names: Mapping[str, str] | Callable[[str], str | None], *, drop_opaque: bool = False) -> Checkpoint:
        """A checkpoint in memory with other names: of a mapping of old names to new, or what a function says of each FQN
        (None leaves it out). Raises KeyError for a name that the checkpoint lacks; Error: CONFLICT, OPAQUE_RECORDS."""

    def keep(self, *patterns: str, drop_opaque: bool = False) -> Checkpoint:
        """A checkpoint in memory with the FQNs alone that match one of the patterns: `*`, `?`, `[a-z]`; `*` matches dots
        too. Raises Error, NOT_FOUND where no FQN matches."""

    def drop(self, *patterns: str, drop_opaque: bool = False) -> Checkpoint:
        """A checkpoint in memory without the FQNs that match one of the patterns."""

    def export(
        self,
        path: str | PathLike[str] | None = None,
        *,
        torch: str = "2.15",
        opaque: str = "refuse",
        dcp_classes: bool = False,
        overwrite: bool = False,
    ) -> bytes:
        """The `.metadata` that PyTorch reads; published at `path` where one is given. `torch` is the oldest version that has
        to read it. `opaque`: what becomes of records that need names which are not DCP's: "refuse", "keep" or "drop".
        `dcp_classes`: DCP's own classes in the place of look-alikes. Raises Error; ExistsError, a FileExistsError."""

    def check_data(self, depth: str = "files", *, max_messages: int = 100) -> DataReport:
        """Whether the data files are there and whole. Depth: "files" looks at their lengths; "items" also compares size and
        dtype of every item with the metadata, and finds items that share bytes; "bytes" also reads every byte and compares
        checksums. Raises Error: CORRUPT."""

    def find_data(self, *, checksums: bool = False) -> Checkpoint:
        """A checkpoint in memory that says where the bytes of each chunk begin, for readers in other languages; with
        `checksums` of all of them, which reads them once. `write` publishes it. Raises Error."""

    def move_data(self, folder: str | PathLike[str]) -> Checkpoint:
        """A checkpoint in memory whose data files lie below a folder, which is put before every relative path."""

    def verify(self, *, max_messages: int = 10) -> VerifyReport:
        """Check every rule of the format on every row, in time linear in the file's size."""

    def write(self, path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Publish the metadata as a flatpoint file: synced, and renamed into place.

        Raises ExistsError, a FileExistsError, where there is a file already, unless `overwrite`.
        """

    @property
    def opaque(self) -> tuple[OpaqueRecord, ...]:
        """What fits no column, as pickles that nothing here executes."""

    def _entries_table(self) -> TableColumns: ...
    def _chunks_table(self) -> TableColumns: ...
    def _storage_items(self) -> list[tuple[tuple[str, tuple[int, ...] | None, int | None], tuple[Any, ...]]]: ...
    def _planner_fqns(self) -> list[str]: ...
    def _edit(self, name_of: Callable[[str], str | None], drop_opaque: bool) -> Checkpoint: ...
    def _export(self, torch_major: int, torch_minor: int, opaque: str, dcp_classes: bool) -> tuple[bytes, tuple[str, ...]]: ...
    def _record_as_source(self, pickle: str | PathLike[str]) -> bool: ...
    def _share(self) -> Checkpoint: ...
    @property
    def _allow_outside(self) -> bool: ...
    @property
    def _file_bytes(self) -> Column: ...
    @property
    def _has_storage_data(self) -> bool: ...
    @property
    def _has_planner_data(self) -> bool: ...
    def _column(self, name: str) -> Column: ...

@final
class Tensor:
    """A tensor of the checkpoint (TensorStorageMetadata), read in place."""

    @property
    def fqn(self) -> str: ...
    @property
    def dtype(self) -> str:
        """torch's name less "torch."."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def ndim(self) -> int:
        """Number of dimensions."""

    @property
    def itemsize(self) -> int | None:
        """Bytes per element; None for a dtype that this version does not know."""

    @property
    def nbytes(self) -> int | None:
        """Elements times bytes per element; None for a dtype that this version does not know."""

    @property
    def properties(self) -> TensorProperties: ...
    def _boxes(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]: ...
    @property
    def chunks(self) -> Chunks:
        """In DCP's order."""

    def compare(self, other: Tensor, *, all: bool = False) -> ValueDifference:
        """Whether the values of another checkpoint's tensor of the same dtype and shape are the same, by checksums where both
        have them, else by reading up to the first difference; `all` counts every one. Raises ValueError; Error as `numpy`."""

    def stats(self) -> Statistics:
        """What the elements are like, in one pass over their bytes. Raises Error as `numpy` does; NOT_PLAIN for dtypes that
        are no real numbers."""

    def overlapping(self, offsets: Iterable[int], sizes: Iterable[int]) -> list[Overlap]:
        """The chunks that overlap a box, by ascending offsets: arithmetic where the chunks form a grid."""

    def numpy(self, index: Index = None, *, bits: bool = False, threads: int = 0, verify: bool = False) -> ndarray:
        """The tensor as an array of NumPy, or the part that `index` names. bfloat16 and float8 need the package ml_dtypes;
        `bits` gives any dtype as unsigned integers of its width. `verify` checks the checksums of what is touched.
        `threads`: 0 chooses. Raises Error, DtypeError, IndexError, TypeError."""

    def torch(self, index: Index = None, *, threads: int = 0, verify: bool = False) -> TorchTensor:
        """The tensor as one of PyTorch's in memory of its own, or the part that `index` names. Raises as `numpy` does."""

    def read_into(self, out: Any, index: Index = None, *, threads: int = 0, verify: bool = False) -> None:
        """Read the tensor, or the part that `index` names, into memory that is there: an array of NumPy or a CPU tensor of
        PyTorch of the same dtype and shape, with any strides; or a writable buffer of as many bytes. After an error the
        memory holds anything. Raises as `numpy` does; ValueError, TypeError where `out` does not fit."""

    def __getitem__(self, index: Index) -> ndarray:
        """That part alone is read: ints, slices and `...`."""

    __iter__: None
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray:
        """`numpy.asarray(tensor)`."""

@final
class Bytes:
    """An object that is saved as bytes (BytesStorageMetadata)."""

    @property
    def fqn(self) -> str: ...
    @property
    def storage(self) -> StorageInfo | None: ...
    def value(self) -> Any:
        """The object that was saved, where it is a plain value: numbers, str, bytes, None, lists, tuples, sets and dicts of
        them. Nothing of the item is run. Raises Error: NOT_PLAIN names the class of anything else."""

    def _plain_pickle(self) -> bytes: ...

@final
class Opaque:
    """Metadata of a class that is not DCP's, kept as a pickle."""

    @property
    def fqn(self) -> str: ...
    @property
    def pickle(self) -> bytes:
        """Nothing here ever executes it."""

    @property
    def chunks(self) -> Never:
        """Raises OpaqueEntryError, an Error and an AttributeError, which names the FQN."""

    @property
    def properties(self) -> Never: ...
    @property
    def size(self) -> Never: ...
    @property
    def numpy(self) -> Never: ...
    @property
    def torch(self) -> Never: ...
    @property
    def value(self) -> Never: ...

@final
class Chunk:
    """One chunk of a tensor (ChunkStorageMetadata), and where it lies."""

    @property
    def offsets(self) -> tuple[int, ...]: ...
    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def storage(self) -> StorageInfo | None: ...
    @property
    def row(self) -> int:
        """Row of the chunk columns (`Checkpoint.columns`)."""

@final
class Chunks(Sequence[Chunk]):
    """A tensor's chunks, in DCP's order."""

    @overload
    def __getitem__(self, index: int) -> Chunk: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Chunk]: ...
    def __len__(self) -> int: ...

@final
class Fqns(Sequence[str]):
    """FQNs, read in place."""

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __len__(self) -> int: ...

@final
class LoadPlan(Sequence[ReadItem]):
    """What one rank reads, grouped by file and sorted by position there."""

    @overload
    def __getitem__(self, index: int) -> ReadItem: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ReadItem]: ...
    def __len__(self) -> int: ...
    def ranges(self) -> tuple[tuple[tuple[str, int, int], ...], ...]:
        """Per item the exact bytes of files that hold its elements, in their order: (relative_path, offset, length). Reads
        nothing but the ends of items that are not known yet. Raises Error as `Tensor.numpy` does."""

    @property
    def reads(self) -> tuple[FileRead, ...]:
        """The ranges of files that serve the items, by file, then offset."""

    @property
    def issues(self) -> tuple[LoadIssue, ...]:
        """Everything that does not fit, in the order of what was wanted."""

    @property
    def unexpected(self) -> tuple[str, ...]:
        """FQNs of the checkpoint that were not wanted, sorted."""

    @property
    def loadable(self) -> bool:
        """Whether no issue is fatal."""

    @property
    def needed_bytes(self) -> int:
        """Bytes of the wanted elements."""

    @property
    def stored_bytes(self) -> int:
        """Bytes of the stored chunks that hold them, each counted once."""

    @property
    def read_bytes(self) -> int:
        """Bytes of all reads, gaps included."""

@final
class MeshPlan(Sequence[LoadPlan]):
    """The plans of a mesh's ranks, each made when it is asked for."""

    @overload
    def __getitem__(self, index: int) -> LoadPlan: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LoadPlan]: ...
    def __len__(self) -> int: ...
    def balance(self) -> LoadBalance:
        """How the load spreads over ranks and files."""

@final
class TableColumns:
    """The columns of a Table, in memory of their own."""

    @property
    def names(self) -> tuple[str, ...]: ...
    def __len__(self) -> int:
        """Rows."""

    def parts(self, name: str) -> tuple[str, Any, Any, bytes | None]: ...
    def stream(self) -> object: ...
    def schema(self) -> object: ...

@final
class Column:
    """A column where it lies in the file: a read-only buffer."""

    def __len__(self) -> int: ...
    def __buffer__(self, flags: int) -> memoryview: ...
