"""The metadata of sharded checkpoints, without torch and without running anything that a file says.

    with flatpoint.open("ckpt/") as checkpoint:
        tensor = checkpoint["model.norm.weight"]
        tensor.dtype, tensor.shape, tensor.chunks[0].storage
        tensor.numpy(), tensor[0:4], checkpoint["step"].value()

`open` takes a checkpoint's folder, a `.metadata` that PyTorch wrote, or a flatpoint file. The answer is a read-only
mapping of FQN to Tensor, Bytes or Opaque, in the order of DCP's dictionary; nothing of the file is read before it is
asked for. Objects that were taken from a checkpoint stay readable after it is closed.
"""

from collections.abc import ItemsView, KeysView, Mapping, Sequence, ValuesView
from importlib.metadata import PackageNotFoundError, version

from . import _data, _edit, _opaque, _table
from ._columns import Columns
from ._core import Bytes, Checkpoint, Chunk, Chunks, Fqns, LoadPlan, MeshPlan, Opaque, Tensor, from_bytes, open
from ._errors import DtypeError, Error, ErrorCode, ExistsError, IoError, NotFoundError
from ._merge import merge
from ._records import (
    BrokenRule,
    ChangedEntry,
    CoverageReport,
    DataReport,
    Diff,
    FileDifference,
    FileLoad,
    FileRead,
    Finding,
    LoadBalance,
    LoadIssue,
    OpaqueRecord,
    Overlap,
    RankLoad,
    ReadItem,
    Statistics,
    StorageInfo,
    StorageMeta,
    TensorProperties,
    ValueDifference,
    VerifyReport,
    Wanted,
)
from ._safe_open import safe_open
from ._table import Table

__all__ = [
    "BrokenRule",
    "Bytes",
    "ChangedEntry",
    "Checkpoint",
    "Chunk",
    "Chunks",
    "Columns",
    "CoverageReport",
    "DataReport",
    "Diff",
    "DtypeError",
    "Error",
    "ErrorCode",
    "ExistsError",
    "FileDifference",
    "FileLoad",
    "FileRead",
    "Finding",
    "Fqns",
    "IoError",
    "LoadBalance",
    "LoadIssue",
    "LoadPlan",
    "MeshPlan",
    "NotFoundError",
    "Opaque",
    "OpaqueRecord",
    "Overlap",
    "RankLoad",
    "ReadItem",
    "Statistics",
    "StorageInfo",
    "StorageMeta",
    "Table",
    "Tensor",
    "TensorProperties",
    "ValueDifference",
    "VerifyReport",
    "Wanted",
    "from_bytes",
    "merge",
    "open",
    "safe_open",
]

try:
    __version__ = version("flatpoint")
except PackageNotFoundError:  # run from a folder that nobody installed
    __version__ = "unknown"

# What collections.abc builds on the few methods that the native types bring.
Mapping.register(Checkpoint)
Checkpoint.keys = lambda self: KeysView(self)
Checkpoint.items = lambda self: ItemsView(self)
Checkpoint.values = lambda self: ValuesView(self)
Checkpoint.columns = property(Columns, doc="The columns of the file, without a copy.")
Checkpoint.rename, Checkpoint.keep, Checkpoint.drop = _edit.rename, _edit.keep, _edit.drop
Checkpoint.export, Checkpoint.plan_mesh = _edit.export, _edit.plan_mesh
Checkpoint._repr_html_ = _edit.repr_html
Checkpoint.__reduce__ = _edit.reduce
# Nothing of a checkpoint changes but that it is closed: a copy is another door to the same file.
Checkpoint.__copy__ = lambda self: self._share()
Checkpoint.__deepcopy__ = lambda self, memo: self._share()
Checkpoint.read, Checkpoint.table, Checkpoint.chunks_table = _data.read, _table.table, _table.chunks_table
Tensor.numpy, Tensor.torch, Tensor.read_into = _data.to_numpy, _data.to_torch, _data.read_into
Tensor.__getitem__, Tensor.__array__ = _data.get_item, _data.to_array
Tensor.__iter__ = Tensor.__contains__ = None  # each step would read from the disk
Bytes.value = _data.value
for _name in ("chunks", "properties", "size", "numpy", "torch", "value"):
    setattr(Opaque, _name, _opaque.refusing(_name))
Opaque.__reduce_ex__ = _opaque.refuse_pickling
Opaque.__copy__ = Opaque.__deepcopy__ = _opaque.itself
for _type in (Chunks, Fqns, LoadPlan, MeshPlan):
    Sequence.register(_type)
    for _name in ("__contains__", "__reversed__", "index", "count"):
        setattr(_type, _name, getattr(Sequence, _name))
del _type, _name
