"""Pickles a Metadata as NVIDIA's resiliency extension does: names written once and popped, objects not memoized, no
frames; what is small comes from Python's own pickler at protocol 3, without a memo."""

import io
import pickle
import struct

from torch.distributed.checkpoint.metadata import BytesStorageMetadata, ChunkStorageMetadata, TensorStorageMetadata

METADATA = "torch.distributed.checkpoint.metadata"
CLASSES = [
    ("torch", "Size"),
    (METADATA, "Metadata"),
    (METADATA, "MetadataIndex"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
    (METADATA, "ChunkStorageMetadata"),
    (METADATA, "TensorStorageMetadata"),
    (METADATA, "BytesStorageMetadata"),
]
KEYS = ["fqn", "index", "offset", "relative_path", "length", "offsets", "sizes", "properties", "size", "chunks"]
BATCH = 1000


def small(value):
    file = io.BytesIO()
    pickler = pickle.Pickler(file, 3)
    pickler.fast = True
    pickler.dump(value)
    return file.getvalue()[2:-1]


def text(value):
    data = value.encode("utf-8", "surrogatepass")
    return (b"\x8c" + bytes([len(data)]) if len(data) < 256 else b"X" + struct.pack("<I", len(data))) + data


class Writer:
    def __init__(self):
        self.out = []
        self.names = {}
        self.sizes = {}

    def fetch(self, name):
        number = self.names[name]
        return b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number)

    def once(self, name, data):
        self.names[name] = len(self.names)
        return data + b"\x94"

    def string(self, value):
        return self.fetch(value) if value in self.names else self.once(value, text(value))

    def size(self, value):
        if value not in self.sizes:
            numbers = b"".join(small(n) for n in value)
            marked = b"(" + numbers + b"t" if len(value) > 3 else numbers + b")\x85\x86\x87"[len(value) : len(value) + 1]
            self.sizes[value] = self.fetch(("torch", "Size")) + marked + b"\x85R"
        return self.sizes[value]

    def object(self, cls, *state):
        pairs = b"".join(self.fetch(("key", key)) + value for key, value in state)
        cls = next(each for each in CLASSES if each[1] == cls)
        return self.fetch(cls) + b")\x81" + (b"}(" + pairs + b"ub" if state else b"")

    def batches(self, empty, end, items):
        items = list(items)
        parts = [b"(" + b"".join(items[i : i + BATCH]) + end for i in range(0, len(items), BATCH)]
        return empty + b"".join(parts)

    def chunk(self, chunk):
        if type(chunk) is not ChunkStorageMetadata:
            return small(chunk)
        return self.object("ChunkStorageMetadata", ("offsets", self.size(chunk.offsets)), ("sizes", self.size(chunk.sizes)))

    def entry(self, value):
        if type(value) is BytesStorageMetadata:
            return self.object("BytesStorageMetadata")
        if type(value) is not TensorStorageMetadata:
            return small(value)
        size = self.size(value.size)
        chunks = self.batches(b"]", b"e", map(self.chunk, value.chunks))
        return self.object("TensorStorageMetadata", ("properties", small(value.properties)), ("size", size), ("chunks", chunks))

    def location(self, key, info):
        index = [("fqn", self.string(key.fqn)), ("index", small(key.index))]
        if key.offset is not None:
            index.append(("offset", self.size(key.offset)))
        path = self.string(info.relative_path)
        where = [("relative_path", path), ("offset", small(info.offset)), ("length", small(info.length))]
        return self.object("MetadataIndex", *index) + self.object("_StorageInfo", *where)

    def write(self, metadata):
        names = b"".join(self.once(cls, text(cls[0]) + text(cls[1]) + b"\x93") + b"0" for cls in CLASSES)
        names += b"".join(self.once(("key", key), text(key)) + b"0" for key in KEYS)
        state = b""
        for name, value in vars(metadata).items():
            state += text(name)
            if name == "state_dict_metadata":
                state += self.batches(b"}", b"u", (self.string(fqn) + self.entry(of) for fqn, of in value.items()))
            elif name == "storage_data":
                state += self.batches(b"}", b"u", (self.location(key, info) for key, info in value.items()))
            else:
                state += small(value)
        root = self.fetch((METADATA, "Metadata"))
        return b"\x80\x04" + names + root + b")\x81}(" + state + b"ub."


def dumps(metadata):
    return Writer().write(metadata)


if __name__ == "__main__":  # names_once.py FROM TO: writes a `.metadata` of torch's own again in this form
    import sys

    with open(sys.argv[1], "rb") as before, open(sys.argv[2], "wb") as after:
        after.write(dumps(pickle.load(before)))
