"""Writes the `.metadata` that make_metadata.py would make, straight as a pickle stream: for sizes where PyTorch takes too long.

    stream_metadata.py OUT --chunks 10000000 [--shards 320]
    stream_metadata.py --check PICKLE --chunks 10000 [--shards 64]

The stream has the opcodes of CPython's pickler (protocol 4), memo included; only the borders of its frames differ by a few
bytes. --check compares with a file that make_metadata.py wrote: the same opcodes in the same order.
"""

import argparse
import io
import itertools
import pickletools
import struct
import sys
import uuid
from pathlib import Path

import llm

DCP = "torch.distributed.checkpoint."
BATCH = 1000  # the pickler's items per SETITEMS and APPENDS
FRAME = 64 * 1024
OBJECT = b")\x81\x94}\x94("  # EMPTY_TUPLE NEWOBJ MEMOIZE EMPTY_DICT MEMOIZE MARK: an object and the begin of its state
BUILT = b"ub"  # SETITEMS BUILD


def integer(value: int) -> bytes:
    if 0 <= value < 1 << 8:
        return b"K" + struct.pack("<B", value)
    if 0 <= value < 1 << 16:
        return b"M" + struct.pack("<H", value)
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    length = value.bit_length() // 8 + 1
    return b"\x8a" + struct.pack("<B", length) + value.to_bytes(length, "little", signed=True)


def text(value: str) -> bytes:
    """With its MEMOIZE."""
    data = value.encode()
    return (b"\x8c" + struct.pack("<B", len(data)) if len(data) < 256 else b"X" + struct.pack("<I", len(data))) + data + b"\x94"


class Stream:
    """Opcodes in frames, and the memo: a key stands for one Python object, whether or not others equal it."""

    def __init__(self, file):
        self.file = file
        self.memo = {}
        self.memos = 0
        self.frame = []
        self.frame_length = 0
        self.cache = {}
        file.write(b"\x80\x04")

    def put(self, opcodes: bytes, memos: int = 0) -> None:
        """Opcodes of which `memos` are MEMOIZE."""
        self.frame.append(opcodes)
        self.frame_length += len(opcodes)
        self.memos += memos

    def end_item(self, last: bool = False) -> None:
        """Between items a full frame ends."""
        if self.frame_length >= FRAME or last:
            self.file.write(b"\x95" + struct.pack("<Q", self.frame_length))
            self.file.writelines(self.frame)
            self.frame, self.frame_length = [], 0

    def get(self, key) -> bytes:
        at = self.memo[key]
        return b"h" + struct.pack("<B", at) if at < 256 else b"j" + struct.pack("<I", at)

    def once(self, key, write) -> None:
        """Refers to an object; where it is new, write() puts it, a MEMOIZE last."""
        if key in self.memo:
            self.put(self.get(key))
        else:
            write()
            self.memo[key] = self.memos - 1

    def repeat(self, key, write) -> None:
        """write() puts the same opcodes each time, once everything that it refers to is known."""
        if key in self.cache:
            self.put(*self.cache[key])
            return
        known, parts, memos = len(self.memo), len(self.frame), self.memos
        write()
        if len(self.memo) == known:
            self.cache[key] = b"".join(self.frame[parts:]), self.memos - memos

    def text(self, value: str, owner: str = "attribute") -> None:
        self.once((owner, value), lambda: self.put(text(value), 1))

    def global_(self, module: str, name: str) -> None:
        def write():
            # The name of a module is one object for all classes of DCP and for all dtypes, another one for each other class.
            shared = module.startswith(DCP) or name in llm.ITEM_SIZE
            self.text(module, "module" if shared else f"module of {name}")
            self.put(text(name) + b"\x93\x94", 2)

        self.once(("global", module, name), write)

    def ints(self, values) -> None:
        numbers = b"".join(map(integer, values))
        if len(values) > 3:
            self.put(b"(" + numbers + b"t\x94", 1)
        elif values:
            self.put(numbers + b"?\x85\x86\x87"[len(values) : len(values) + 1] + b"\x94", 1)
        else:
            self.put(b")")

    def size(self, values) -> None:
        self.global_("torch", "Size")
        self.ints(values)
        self.put(b"\x85\x94R\x94", 2)

    def object(self, module: str, name: str) -> None:
        """An object and the begin of its state; `built` ends it."""
        self.global_(DCP + module, name)
        self.put(OBJECT, 2)

    def built(self) -> None:
        self.put(BUILT)

    def items(self, values, write, end: bytes) -> None:
        """What a list or dict holds, in the pickler's batches; `end` is the opcode for one item and for many."""
        single, many = end[:1], end[1:]
        values = list(values)
        if len(values) == 1:
            write(values[0])
            self.put(single)
            return
        for begin in range(0, len(values), BATCH):
            self.put(b"(")
            for value in values[begin : begin + BATCH]:
                write(value)
            self.put(many)
        if many == b"u" and values and len(values) % BATCH == 0:
            self.put(b"(u")  # CPython asks a dict for one more batch


class Save:
    """What torch's planner makes of the plans of all ranks."""

    def __init__(self, chunks: int, shards: int):
        self.chunks, self.shards = chunks, shards
        self.items = [(item, item.fqn) for item in llm.state_dict(llm.parameter_count(chunks, shards))]
        self.owner = self.deduplicate()

    def sizes(self, item: llm.Item, rank: int) -> tuple:
        return llm.shard(item.shape, rank, self.shards)[1]

    def deduplicate(self) -> dict[str, int]:
        """The rank that keeps what several have: plain items and empty shards, which all begin at the end of their dimension."""
        planned = [0] * self.shards
        owner = {}
        for rank in range(self.shards):
            for item, fqn in self.items:
                if fqn in owner:
                    continue
                if item.sharded and self.sizes(item, rank)[0] != 0:
                    keeper = rank
                elif rank == 0 or item.sharded:
                    candidates = set(range(rank, self.shards))
                    owner[fqn] = keeper = min(candidates, key=planned.__getitem__)
                else:
                    continue
                planned[keeper] += llm.tensor_length(item) or 1
        return owner

    def plan(self, rank: int):
        """(item, fqn, offsets, sizes) of what a rank keeps."""
        for item, fqn in self.items:
            if item.sharded:
                offsets, sizes = llm.shard(item.shape, rank, self.shards)
                if sizes[0] != 0 or self.owner[fqn] == rank:
                    yield item, fqn, offsets, sizes
            elif self.owner[fqn] == rank:
                yield item, fqn, item.shape, item.shape  # no dimensions, or None


def text_owner(rank: int, item: llm.Item) -> str:
    """A path of one element is its FQN: one object. Other FQNs are joined anew."""
    return f"rank {rank}" if len(item.path) == 1 else f"fqn of rank {rank}"


def write_state_dict(stream: Stream, save: Save) -> None:
    boxes = {}
    kept = {}

    for rank in range(save.shards):
        for item, fqn, offsets, sizes in save.plan(rank):
            kept.setdefault(fqn, (rank, item))
            if item.sharded and item.shape not in boxes:
                shards = [llm.shard(item.shape, r, save.shards) for r in range(save.shards)]
                full = [box for box in shards if box[1][0] != 0]
                boxes[item.shape] = full + shards[len(full) : len(full) + 1]

    def write_box(box):
        stream.object("metadata", "ChunkStorageMetadata")
        stream.text("offsets")
        stream.size(box[0])
        stream.text("sizes")
        stream.size(box[1])
        stream.built()

    def write_layout():
        stream.global_("torch.serialization", "_get_layout")
        stream.put(text("torch.strided") + b"\x85\x94R\x94", 3)

    def write_memory_format():
        stream.global_(DCP + "metadata", "_MEM_FORMAT_ENCODING")
        stream.put(integer(0) + b"\x85\x94R\x94", 2)

    def write_tensor(item, shards):
        stream.object("metadata", "TensorStorageMetadata")
        stream.text("properties")
        stream.global_(DCP + "metadata", "TensorProperties")
        stream.put(b")\x81\x94(", 1)
        stream.global_("torch", item.dtype)
        stream.once("layout", write_layout)
        stream.put(b"\x89")
        stream.once("memory format", write_memory_format)
        stream.put(b"\x89")
        stream.ints(llm.contiguous_strides(shards[0][1]))
        stream.put(b"t\x94b", 1)
        stream.text("size")
        stream.size(item.shape)
        stream.text("chunks")
        stream.put(b"]\x94", 1)
        stream.items(shards, write_box, b"ae")
        stream.built()

    def write_entry(entry):
        fqn, (rank, item) = entry
        stream.text(fqn, text_owner(rank, item))
        if item.shape is None:
            stream.global_(DCP + "metadata", "BytesStorageMetadata")
            stream.put(b")\x81\x94", 1)
        else:
            shards = boxes[item.shape] if item.sharded else [((), ())]
            stream.repeat((item.shape, item.dtype), lambda: write_tensor(item, shards))
        stream.end_item()

    stream.put(b"}\x94", 1)
    stream.items(kept.items(), write_entry, b"su")


def write_planner_data(stream: Stream, save: Save) -> None:
    """Keys are the last rank's objects, paths the first rank's, as ChainMap takes them."""

    def write_element(element):
        stream.put(integer(element)) if isinstance(element, int) else stream.text(element, "rank 0")

    def write_path(entry):
        item, fqn = entry
        stream.text(fqn, text_owner(save.shards - 1, item))
        if len(item.path) > 3:
            stream.put(b"(")
        for element in item.path:
            write_element(element)
        stream.put((b"t" if len(item.path) > 3 else b"?\x85\x86\x87"[len(item.path) : len(item.path) + 1]) + b"\x94", 1)
        stream.end_item()

    stream.put(b"}\x94", 1)
    stream.items(save.items, write_path, b"su")


def write_storage_data(stream: Stream, save: Save) -> None:
    """The bulk of the file, hence templates: after the first entry only numbers and names differ."""
    entries = storage_entries(save)
    stream.put(b"}\x94(", 1)
    write_first_entry(stream, *next(entries))
    index_begin = stream.get(("global", DCP + "metadata", "MetadataIndex")) + OBJECT + stream.get(("attribute", "fqn"))
    index = stream.get(("attribute", "index"))
    offset = stream.get(("attribute", "offset"))
    size = stream.get(("global", "torch", "Size"))
    info_begin = BUILT + stream.get(("global", DCP + "filesystem", "_StorageInfo")) + OBJECT + stream.get(("attribute", "relative_path"))
    length = stream.get(("attribute", "length"))
    tuples = {1: b"\x85\x94\x85\x94R\x94", 2: b"\x86\x94\x85\x94R\x94"}
    path = stream.get(("path", "__0_0.distcp"))
    rank_before = 0
    for count, (rank, fqn, hint, offsets, begin, size_in_bytes) in enumerate(entries, start=1):
        if count % BATCH == 0:
            stream.put(b"u(")
        stream.end_item()
        memos = 5  # two objects, their states, the FQN
        if offsets is None:
            where = b"N"
        elif offsets:
            where = integer(hint) + offset + size + b"".join(map(integer, offsets)) + tuples[len(offsets)]
            memos += 3
        else:
            where = integer(hint) + offset + size + b")\x85\x94R\x94"
            memos += 2
        if rank != rank_before:
            rank_before = rank
            name = f"__{rank}_0.distcp"
            stream.memo["path", name] = stream.memos + memos
            info = info_begin + text(name) + offset
            path = stream.get(("path", name))
            memos += 1
        else:
            info = info_begin + path + offset
        stream.put(b"".join((index_begin, text(fqn), index, where, info, integer(begin), length, integer(size_in_bytes), BUILT)), memos)
    stream.put(b"u")
    if (count + 1) % BATCH == 0:
        stream.put(b"(u")


def storage_entries(save: Save):
    """(rank, fqn, hint, offsets, byte offset, length) in the order of storage_data; offsets are None for bytes."""
    full = {}
    for rank in range(save.shards):
        begin = 0
        plan = list(save.plan(rank))
        for item, fqn, offsets, sizes in itertools.chain(
            (p for p in plan if p[0].shape is None), (p for p in plan if p[0].shape is not None)
        ):
            length = llm.stored_length(item, sizes)
            hint = None if item.shape is None else 0
            if item.sharded:
                if item.shape not in full:
                    full[item.shape] = sum(save.sizes(item, r)[0] != 0 for r in range(save.shards))
                hint = min(rank, full[item.shape])
            yield rank, fqn, hint, offsets, begin, length
            begin += length


def write_first_entry(stream: Stream, rank, fqn, hint, offsets, begin, length) -> None:
    stream.object("metadata", "MetadataIndex")
    stream.text("fqn")
    stream.put(text(fqn), 1)
    stream.text("index")
    if offsets is None:
        stream.put(b"N")
    else:
        stream.put(integer(hint))
        stream.text("offset")
        stream.size(offsets)
    stream.built()
    stream.object("filesystem", "_StorageInfo")
    stream.text("relative_path")
    stream.text(f"__{rank}_0.distcp", "path")
    stream.text("offset")
    stream.put(integer(begin))
    stream.text("length")
    stream.put(integer(length))
    stream.built()


def write_storage_meta(stream: Stream, save: Save) -> None:
    stream.object("metadata", "StorageMeta")
    stream.text("checkpoint_id")
    stream.global_("pathlib", "PosixPath")
    parts = Path(llm.checkpoint_path(save.chunks)).parts
    stream.put(b"(" + b"".join(map(text, parts)) + b"t\x94R\x94", len(parts) + 2)
    stream.text("save_id")
    stream.put(text(str(uuid.uuid5(uuid.NAMESPACE_URL, f"{save.chunks}/{save.shards}/1"))), 1)
    stream.text("load_id")
    stream.put(b"N")
    stream.text("modules")
    stream.put(b"]\x94", 1)
    stream.built()


def write_metadata(file, chunks: int, shards: int) -> None:
    save = Save(chunks, shards)
    stream = Stream(file)
    stream.object("metadata", "Metadata")
    for name, write in (
        ("state_dict_metadata", write_state_dict),
        ("planner_data", write_planner_data),
        ("storage_data", write_storage_data),
        ("storage_meta", write_storage_meta),
    ):
        stream.text(name)
        write(stream, save)
    stream.text("version")
    stream.put(text("1.0.0"), 1)
    stream.built()
    stream.put(b".")
    stream.end_item(last=True)


def opcodes(pickled: bytes):
    return ((opcode.name, argument) for opcode, argument, _ in pickletools.genops(pickled) if opcode.name != "FRAME")


def check(pickled: Path, chunks: int, shards: int) -> None:
    ours = io.BytesIO()
    write_metadata(ours, chunks, shards)
    for at, (a, b) in enumerate(itertools.zip_longest(opcodes(ours.getvalue()), opcodes(pickled.read_bytes()))):
        if a != b:
            sys.exit(f"opcode {at}: {a} instead of {b}")
    print(f"{at + 1} equal opcodes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--chunks", type=int, default=10_000_000)
    parser.add_argument("--shards", type=int, default=256)
    parser.add_argument("--check", type=Path)
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check, arguments.chunks, arguments.shards)
        return
    temporary = arguments.out.with_name(arguments.out.name + ".tmp")
    with open(temporary, "wb") as file:
        write_metadata(file, arguments.chunks, arguments.shards)
    temporary.replace(arguments.out)


if __name__ == "__main__":
    main()
