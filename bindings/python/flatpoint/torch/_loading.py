"""The bytes of a load plan: read by the library, straight into the tensors that are to hold them."""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlanner, ReadItem

import flatpoint
from flatpoint import _core

from ._mappings import StorageData

logger = logging.getLogger("flatpoint.torch")

BATCH_BYTES = 512 << 20
"""What is read before the planner hears of it: a planner may keep memory from `resolve_tensor` to `commit_tensor`."""
STAGING_BYTES = 64 << 20
"""Of each half of the memory that tensors go through which are not read in place."""


class Part(NamedTuple):
    """What an item reads, in bytes, and which chunk it is of."""

    item: ReadItem
    dtype: torch.dtype
    size: int


class Stream:
    """Copies to tensors of other dtypes in the CPU's memory; they are done when `copy` returns."""

    def memory(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8)

    def copy(self, target: torch.Tensor, staged: torch.Tensor) -> None:
        target.copy_(staged)

    def mark(self) -> Any:
        """Stands for all copies until now."""
        return None

    def wait(self, mark: Any) -> None:
        """Returns when they are done."""


class DeviceStream(Stream):
    """Copies from pinned memory, which go on while the next bytes are read."""

    def __init__(self, device: torch.device):
        self.device = device
        self.module = torch.get_device_module(device)

    def memory(self, size: int) -> torch.Tensor:
        return torch.empty(size, dtype=torch.uint8, pin_memory=True)

    def copy(self, target: torch.Tensor, staged: torch.Tensor) -> None:
        target.copy_(staged, non_blocking=True)

    def mark(self) -> Any:
        with self.module.device(self.device):
            event = self.module.Event()
            event.record()
        return event

    def wait(self, mark: Any) -> None:
        mark.synchronize()


def stream_to(device: torch.device) -> Stream:
    return DeviceStream(device) if device.type in ("cuda", "xpu") else Stream()


class Loading:
    """One call of `read_data`."""

    def __init__(self, checkpoint: flatpoint.Checkpoint, planner: LoadPlanner, *, threads: int, verify: bool):
        self.checkpoint = checkpoint
        self.planner = planner
        self.threads = threads
        self.verify = verify
        self.needed = self.read = self.items = 0
        self.left: collections.Counter[str] = collections.Counter()  # why items are left to torch
        self.bytes_items = 0
        self.began = time.monotonic()

    def load(self, items: Sequence[ReadItem], storage_data: StorageData) -> list[ReadItem]:
        """Loads what it can, and gives back what is left to torch."""
        left, parts = self._sort(items, storage_data)
        staged: dict[torch.device, list[tuple[Part, torch.Tensor]]] = {}
        for batch in batches(parts, lambda part: part.size, BATCH_BYTES):
            direct = []
            for part in batch:
                target = self.planner.resolve_tensor(part.item).detach()
                if target.size() != part.item.lengths or not _is_plain(target):
                    left.append(part.item)
                    self.left["a target that is no plain tensor of its size"] += 1
                elif target.dtype == part.dtype and target.device.type == "cpu":
                    direct.append((part, target))
                else:
                    staged.setdefault(target.device, []).append((part, target))
            self._read([_place(part.item, (), part.item.lengths, target) for part, target in direct])
            for part, target in direct:
                self._commit(part, target)
        for device, pairs in staged.items():
            self._load_through(stream_to(device), pairs)
        return left

    def _sort(self, items: Sequence[ReadItem], storage_data: StorageData) -> tuple[list[ReadItem], list[Part]]:
        """What is left to torch, and the rest in the order of the files."""
        left, asked = [], []
        for item in items:
            if item.type == LoadItemType.BYTE_IO:
                self.bytes_items += 1
                left.append(item)
                if self.verify:
                    _core.check_item(self.checkpoint, item.storage_index.fqn)
            elif item.storage_index.offset is None or not storage_data.is_of_the_file(item.storage_index):
                left.append(item)
                self.left["storage information that was changed"] += 1
            else:
                asked.append(item)
        named = [(i.storage_index.fqn, i.storage_index.offset, i.storage_offsets, i.lengths) for i in asked if i.lengths.numel()]
        found = iter(_core.find_parts(self.checkpoint, named, self.verify))
        placed = []
        for item in asked:
            tensor = self.checkpoint[item.storage_index.fqn]
            dtype = getattr(torch, tensor.dtype, None)
            where = next(found) if item.lengths.numel() else (0, 0, None)
            reason = where[2] if isinstance(dtype, torch.dtype) else f"dtype {tensor.dtype}"
            if reason is None:
                placed.append((where[:2], Part(item, dtype, item.lengths.numel() * dtype.itemsize)))
            else:
                left.append(item)
                self.left[reason] += 1
        placed.sort(key=lambda pair: pair[0])
        return left, [part for _, part in placed]

    def _load_through(self, stream: Stream, pairs: list[tuple[Part, torch.Tensor]]) -> None:
        """Reads into one half of the staging memory while what is in the other is copied from."""
        largest = max(part.size for part, _ in pairs)
        size = min(STAGING_BYTES, max(largest, sum(_aligned(part.size) for part, _ in pairs)))
        halves = [stream.memory(size), None]
        copied: list[tuple[Any, list[tuple[Part, torch.Tensor]]] | None] = [None, None]
        # Pieces, the last of a part with the part.
        pieces = [
            (part, target, offsets, lengths, last)
            for part, target in pairs
            for offsets, lengths, last in split(part.item.lengths, part.dtype.itemsize, size)
        ]
        for number, batch in enumerate(batches(pieces, lambda p: _aligned(p[3].numel() * p[0].dtype.itemsize), size)):
            half = number % 2
            if halves[half] is None:
                halves[half] = stream.memory(size)
            self._finish(stream, copied[half])
            at, places, copies, done = 0, [], [], []
            for part, target, offsets, lengths, last in batch:
                used = lengths.numel() * part.dtype.itemsize
                memory = halves[half][at : at + used].view(part.dtype).view(lengths)
                places.append(_place(part.item, offsets, lengths, memory))
                copies.append((_narrowed(target, offsets, lengths), memory))
                if last:
                    done.append((part, target))
                at += _aligned(used)
            self._read(places)
            for target, memory in copies:
                stream.copy(target, memory)
            copied[half] = (stream.mark(), done)
            self._finish(stream, copied[1 - half])
            copied[1 - half] = None
        for each in copied:
            self._finish(stream, each)

    def _finish(self, stream: Stream, copied: tuple[Any, list[tuple[Part, torch.Tensor]]] | None) -> None:
        if copied is None:
            return
        mark, done = copied
        stream.wait(mark)
        for part, target in done:
            self._commit(part, target)

    def _commit(self, part: Part, target: torch.Tensor) -> None:
        self.planner.commit_tensor(part.item, target)
        self.items += 1

    def _read(self, places: list[tuple]) -> None:
        places = [place for place in places if 0 not in place[3]]
        if not places:
            return
        needed, read = _core.read_parts(self.checkpoint, places, self.threads, self.verify)
        self.needed += needed
        self.read += read
        logger.debug("%s: read %d bytes so far", self.checkpoint.data_folder, self.read)

    def log(self) -> None:
        seconds = time.monotonic() - self.began
        reasons = ", ".join(f"{count} of {reason}" for reason, count in sorted(self.left.items()))
        logger.info(
            "%s: %d tensor items, %d bytes (%d read) and %d objects in %.3f s, %.0f MB/s; %d tensor items torch's way%s",
            self.checkpoint.data_folder,
            self.items,
            self.needed,
            self.read,
            self.bytes_items,
            seconds,
            self.needed / max(seconds, 1e-9) / 1e6,
            sum(self.left.values()),
            f": {reasons}" if reasons else "",
        )


def _aligned(size: int) -> int:
    return -(-size // 64) * 64


def _is_plain(target: torch.Tensor) -> bool:
    """Whether memory is all there is to it; torch says what is wrong with the others."""
    if type(target) is not torch.Tensor or target.layout is not torch.strided or target.device.type == "meta":
        return False
    shared = any(stride == 0 and size > 1 for stride, size in zip(target.stride(), target.shape))
    return not (shared or target.is_conj() or target.is_neg() or target.is_quantized)


def _place(item: ReadItem, offsets: Sequence[int], lengths: torch.Size, memory: torch.Tensor) -> tuple:
    """What `read_parts` takes. `offsets`: in the item's part."""
    index = item.storage_index
    begin = [a + b for a, b in zip(item.storage_offsets, offsets)] if offsets else item.storage_offsets
    strides = [stride * memory.element_size() for stride in memory.stride()]
    return index.fqn, index.offset, begin, lengths, memory.data_ptr(), strides


def _narrowed(target: torch.Tensor, offsets: Sequence[int], lengths: torch.Size) -> torch.Tensor:
    for dimension, (offset, length) in enumerate(zip(offsets, lengths)):
        if length != target.shape[dimension]:
            target = target.narrow(dimension, offset, length)
    return target


def batches(values: Iterable[Any], size_of: Callable[[Any], int], limit: int) -> Iterator[list[Any]]:
    """Neighbours that stay within the limit together, or one that exceeds it alone."""
    batch, size = [], 0
    for value in values:
        if batch and size + size_of(value) > limit:
            yield batch
            batch, size = [], 0
        batch.append(value)
        size += size_of(value)
    if batch:
        yield batch


def split(lengths: torch.Size, itemsize: int, limit: int) -> Iterator[tuple[tuple[int, ...], torch.Size, bool]]:
    """Boxes of at most `limit` bytes that a box is made of, row-major: offsets, lengths, whether it is the last."""
    rows = tuple(lengths)
    if 0 in rows or torch.Size(rows).numel() * itemsize <= limit:
        yield (0,) * len(rows), torch.Size(rows), True
        return
    inner = torch.Size(rows[1:]).numel() * itemsize
    if inner > limit:
        for row in range(rows[0]):
            for offsets, sizes, last in split(torch.Size(rows[1:]), itemsize, limit):
                yield (row, *offsets), torch.Size((1, *sizes)), last and row == rows[0] - 1
        return
    step = limit // inner
    for row in range(0, rows[0], step):
        yield (row, *(0 for _ in rows[1:])), torch.Size((min(step, rows[0] - row), *rows[1:])), row + step >= rows[0]
