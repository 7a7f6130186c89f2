"""PyTorch Distributed Checkpoint with flatpoint's metadata.

    dcp.save(state_dict, storage_writer=FlatpointWriter("ckpt/"))
    dcp.load(state_dict, storage_reader=FlatpointReader("ckpt/"))

A rank that loads maps the metadata instead of unpickling it, and nothing of a `.metadata` is executed.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "flatpoint.torch needs PyTorch: pip install '.[torch]' in a clone of flatpoint, or torch itself", name="torch"
    ) from None

from ._metadata import FileMetadata
from ._planner import FlatpointLoadPlanner, IncompatibleCheckpointError
from ._reader import FlatpointReader
from ._writer import FlatpointWriter

__all__ = ["FileMetadata", "FlatpointLoadPlanner", "FlatpointReader", "FlatpointWriter", "IncompatibleCheckpointError"]
