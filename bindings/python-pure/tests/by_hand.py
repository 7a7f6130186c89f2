"""A metadata file whose columns are put together by hand with the generated builders: the schema serves writers too.

python tests/by_hand.py FILE    (with generated/python on the path)
"""

import struct
import sys

import flatbuffers
import xxhash

from flatpoint.fb import Metadata as fb
from flatpoint.fb import StorageMeta
from flatpoint.fb.ChunkLayout import ChunkLayout
from flatpoint.fb.Entry import CreateEntry
from flatpoint.fb.Layout import Layout
from flatpoint.fb.MemoryFormat import MemoryFormat
from flatpoint.fb.ScalarType import ScalarType
from flatpoint.fb.StorageType import StorageType
from flatpoint.fb.StridesKind import StridesKind

NAMES = [b"a.bytes", b"b.grid", b"c.explicit"]
FILES = [b"__0_0.distcp", b"__1_0.distcp"]


def fqn_slots(names):
    """The hash column of docs/format.md."""
    count = 1
    while count < 2 * len(names):
        count *= 2
    slots, index_bits = [0] * count, len(names).bit_length()
    for entry, name in enumerate(names):
        code = xxhash.xxh3_64_intdigest(name)
        for probe in range(32):
            at = (code + probe) % count
            if slots[at] == 0:
                slots[at] = code >> 32 >> index_bits << index_bits | entry + 1
                break
    return slots


def ends(texts):
    return [sum(map(len, texts[: i + 1])) for i in range(len(texts))]


def entries(builder):
    """Bytes; a tensor of [4, 2] in an even grid of two chunks, in reverse; a tensor of [5] with a hole between its chunks."""
    members = [
        ("fqn size box chunk count order length ndim type layout reordered strides"),
        (0, 0, 0, 0, 1, 0, 0, 0, StorageType.Bytes, ChunkLayout.Whole, False, StridesKind.Absent),
        (1, 0, 0, 1, 2, 0, 1, 2, StorageType.Tensor, ChunkLayout.EvenGrid, True, StridesKind.Contiguous),
        (2, 2, 4, 3, 2, 0, 1, 1, StorageType.Tensor, ChunkLayout.Explicit, False, StridesKind.Absent),
    ]
    rows = [dict(zip(members[0].split(), row)) for row in members[1:]]
    fb.StartEntriesVector(builder, len(rows))
    for r in reversed(rows):
        begin = ends(NAMES)[r["fqn"]] - len(NAMES[r["fqn"]])
        properties = (ScalarType.Float32, Layout.Strided, MemoryFormat.Contiguous, r["fqn"] == 2, False, r["strides"], 0, 0)
        if r["type"] == StorageType.Bytes:
            properties = (0,) * 8
        CreateEntry(
            builder, begin, len(NAMES[r["fqn"]]), r["size"], r["box"], r["chunk"], r["count"], r["order"], r["length"],
            *properties, r["ndim"], r["type"], r["layout"], r["reordered"], False,
        )  # fmt: skip
    return builder.EndVector()


def vector(builder, start, prepend, numbers):
    start(builder, len(numbers))
    for number in reversed(numbers):
        prepend(number)
    return builder.EndVector()


def make():
    builder = flatbuffers.Builder(0)
    columns = [
        (fb.AddEntries, entries(builder)),
        (fb.AddFqns, builder.CreateByteVector(b"".join(NAMES))),
        (fb.AddFqnSlots, vector(builder, fb.StartFqnSlotsVector, builder.PrependUint32, fqn_slots(NAMES))),
        (fb.AddSizes, vector(builder, fb.StartSizesVector, builder.PrependInt64, [4, 2, 5])),
        (fb.AddBoxes, vector(builder, fb.StartBoxesVector, builder.PrependInt64, [2, 1, 2, 2, 0, 2, 3, 2])),
        (fb.AddChunkOrder, vector(builder, fb.StartChunkOrderVector, builder.PrependUint32, [1, 0])),
        (fb.AddChunkFiles, vector(builder, fb.StartChunkFilesVector, builder.PrependUint32, [0, 0, 1, 1, 0])),
        (fb.AddChunkByteOffsets, vector(builder, fb.StartChunkByteOffsetsVector, builder.PrependUint64, [0, 100, 0, 16, 116])),
        (fb.AddChunkLengths, vector(builder, fb.StartChunkLengthsVector, builder.PrependUint64, [100, 16])),
        (fb.AddFileNames, builder.CreateByteVector(b"".join(FILES))),
        (fb.AddFileNameEnds, vector(builder, fb.StartFileNameEndsVector, builder.PrependUint32, ends(FILES))),
        (fb.AddVersion, builder.CreateByteVector(b"1.0.0")),
    ]
    save_id = builder.CreateByteVector(b"by hand")
    StorageMeta.Start(builder)
    StorageMeta.AddSaveId(builder, save_id)
    StorageMeta.AddHasModules(builder, True)
    columns.append((fb.AddStorageMeta, StorageMeta.End(builder)))
    fb.Start(builder)
    fb.AddFormatMajor(builder, 1)
    fb.AddHasStorageData(builder, True)
    for add, offset in columns:
        add(builder, offset)
    builder.Finish(fb.End(builder), b"FLPT")
    body = bytes(builder.Output())
    return body + struct.pack("<QQ", xxhash.xxh3_64_intdigest(body), len(body)) + b"FLPT.END"


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as file:
        file.write(make())
