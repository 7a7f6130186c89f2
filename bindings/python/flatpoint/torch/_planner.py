"""Planning a load in C++."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch.distributed.checkpoint import DefaultLoadPlanner, _version
from torch.distributed.checkpoint._nested_dict import flatten_state_dict
from torch.distributed.checkpoint._traverse import set_element
from torch.distributed.checkpoint.metadata import MetadataIndex
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlan, ReadItem
from torch.distributed.checkpoint.planner_helpers import _create_chunk_list
from torch.distributed.tensor import DTensor

import flatpoint

from ._mappings import StateDictMetadata

_BYTES_SIZE = torch.Size([0])


class IncompatibleCheckpointError(RuntimeError, ValueError):
    """The checkpoint does not fit the state dict; the message has a line for every FQN, which begins as torch's message for
    one does. `issues` holds them for programs.

    RuntimeError is what torch raises for a missing key, ValueError what it raises for another size.
    """

    def __init__(self, issues: tuple[flatpoint.LoadIssue, ...], lines: tuple[str, ...] = ()):
        self.issues = issues
        self.lines = lines or tuple(issue.message for issue in issues)
        places = f"\n(the checkpoint does not fit the state dict in {len(issues)} places)" if len(issues) > 1 else ""
        super().__init__("\n".join(self.lines) + places)

    def __reduce__(self):
        return type(self), (self.issues, self.lines)


class FlatpointLoadPlanner(DefaultLoadPlanner):
    """DefaultLoadPlanner that plans in C++: the same read items, grouped by file and sorted by position there.

    Everything that does not fit is in one error. `weights_only` refuses objects that torch.load(weights_only=True) refuses;
    torch's own planner unpickles them whatever they are. With metadata that FlatpointReader did not read, or that was
    changed since, it plans as DefaultLoadPlanner does.
    """

    def __init__(
        self,
        flatten_state_dict: bool = True,
        flatten_sharded_tensors: bool = True,
        allow_partial_load: bool = False,
        *,
        weights_only: bool = False,
    ) -> None:
        super().__init__(flatten_state_dict, flatten_sharded_tensors, allow_partial_load)
        self.weights_only = weights_only

    def create_local_plan(self) -> LoadPlan:
        entries = self.metadata.state_dict_metadata if self.metadata is not None else None
        if not isinstance(entries, StateDictMetadata) or not entries.is_of_the_file():
            return super().create_local_plan()
        checkpoint = entries._source.checkpoint
        plan = self._plan(checkpoint)
        if self.flatten_state_dict and self._is_from_before_2_4(plan):
            plan = self._plan(checkpoint)
        fatal = tuple(issue for issue in plan.issues if issue.fatal)
        if fatal:
            raise IncompatibleCheckpointError(fatal, tuple(self._line(checkpoint, issue) for issue in fatal))
        return LoadPlan([_read_item(item) for item in plan])

    def _plan(self, checkpoint: flatpoint.Checkpoint) -> flatpoint.LoadPlan:
        boxes = _Boxes()
        wanted = {fqn: _wanted(checkpoint, fqn, value, boxes) for fqn, value in self.state_dict.items()}
        return checkpoint.plan(wanted, strict=not self.allow_partial_load)

    def _line(self, checkpoint: flatpoint.Checkpoint, issue: flatpoint.LoadIssue) -> str:
        """What torch says of it, which programs look for; our own words behind."""
        if issue.kind == "missing":
            return f"Missing key in checkpoint state_dict: {issue.fqn}."
        if issue.kind == "size_mismatch":
            wanted = self.state_dict[issue.fqn]
            size = getattr(wanted, "global_shape", None) or wanted.size()
            saved = torch.Size(checkpoint[issue.fqn].shape)
            return f"Size mismatch between saved {saved} and current: {torch.Size(size)} for {issue.fqn}"
        return issue.message

    def _is_from_before_2_4(self, plan: flatpoint.LoadPlan) -> bool:
        """DefaultLoadPlanner's rule: the checkpoint has keys that only the flattening before torch 2.4 makes. Switches to
        that flattening where it is so."""
        unexpected = plan.unexpected
        if not unexpected:
            return False
        _version._derived_version = "2_3"
        try:
            state_dict, mappings = flatten_state_dict(self.original_state_dict)
        finally:
            _version._derived_version = None
        if state_dict.keys().isdisjoint(unexpected):
            return False
        self.state_dict, self.mappings = state_dict, mappings
        return True

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        if not self.weights_only:
            return super().load_bytes(read_item, value)
        loaded = torch.load(value, weights_only=True)
        if self.flatten_state_dict:
            set_element(self.original_state_dict, self.mappings[read_item.dest_index.fqn], loaded)
        else:
            self.state_dict[read_item.dest_index.fqn] = loaded


class _Boxes:
    """The boxes of tensors on this rank. Tensors of one shape, mesh and placements share theirs: torch takes longer over
    them than the plan takes over everything else."""

    def __init__(self) -> None:
        self._known: dict[tuple, list] = {}

    def of(self, tensor: torch.Tensor) -> list[tuple[torch.Size, torch.Size]]:
        if type(tensor) is not DTensor or hasattr(tensor._local_tensor, "__create_chunk_list__"):
            return self._ask(tensor)
        key = (tensor.shape, tensor.device_mesh, tensor.placements)
        boxes = self._known.get(key)
        if boxes is None:
            boxes = self._known[key] = self._ask(tensor)
        return boxes

    @staticmethod
    def _ask(tensor: torch.Tensor) -> list[tuple[torch.Size, torch.Size]]:
        return [(chunk.offsets, chunk.sizes) for chunk in _create_chunk_list(tensor)]


def _wanted(checkpoint: flatpoint.Checkpoint, fqn: str, value: Any, boxes: _Boxes) -> flatpoint.Wanted:
    """What torch's planner would ask for: bytes where bytes are saved, whatever the value is."""
    if not isinstance(value, torch.Tensor) and not hasattr(value, "__create_chunk_list__"):
        return flatpoint.Wanted(kind="bytes")
    if isinstance(checkpoint.get(fqn), flatpoint.Bytes):
        return flatpoint.Wanted(kind="bytes")
    size = getattr(value, "global_shape", None)
    if size is None:
        size = value.size()
    if isinstance(value, DTensor) and value.device_mesh.get_coordinate() is None:
        return flatpoint.Wanted((), size, kind="tensor")  # this rank is not of the tensor's mesh
    return flatpoint.Wanted(boxes.of(value), size, kind="tensor")


def _read_item(item: flatpoint.ReadItem) -> ReadItem:
    fqn, kind, box, box_offsets, dest_offsets, chunk_offsets, storage_offsets, lengths, *_ = item
    if kind == "bytes":
        index = MetadataIndex(fqn)
        return ReadItem(LoadItemType.BYTE_IO, index, _BYTES_SIZE, index, _BYTES_SIZE, _BYTES_SIZE)
    return ReadItem(
        LoadItemType.TENSOR,
        MetadataIndex(fqn, box_offsets, box),
        torch.Size(dest_offsets),
        MetadataIndex(fqn, chunk_offsets),
        torch.Size(storage_offsets),
        torch.Size(lengths),
    )
