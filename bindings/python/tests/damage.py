"""Damaged files, asked for everything that the module can tell of them.

    python damage.py FILE... [--count N] [--seed S]

Each file is changed N times: columns taken out of the table, counts and rows overwritten, bytes flipped. Opening and
asking may raise flatpoint.Error and nothing else; a crash ends the process. Prints how often which outcome came.
"""

import argparse
import collections
import pathlib
import random
import struct

import flatpoint

MOST = 200  # entries and chunks that are walked in one file: rows may be shared, so that walking all is quadratic
TRAILER = 24
EDGES = (0, 1, 2, 255, 256, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)


def table_fields(data):
    """Where the root table's vtable names its columns."""
    (root,) = struct.unpack_from("<I", data, 0)
    (back,) = struct.unpack_from("<i", data, root)
    vtable = root - back
    (size,) = struct.unpack_from("<H", data, vtable)
    return root, range(vtable + 4, vtable + size, 2)


def columns_of(data):
    """(where its length stands, its length) of each vector of the root table."""
    root, fields = table_fields(data)
    for field in fields:
        (at,) = struct.unpack_from("<H", data, field)
        if at == 0 or root + at + 4 > len(data):
            continue
        (offset,) = struct.unpack_from("<I", data, root + at)
        vector = root + at + offset
        if 0 < offset and vector + 4 < len(data) - TRAILER:
            yield vector, struct.unpack_from("<I", data, vector)[0]


def drop_column(data, dice):
    _, fields = table_fields(data)
    struct.pack_into("<H", data, dice.choice(fields), 0)


def swap_columns(data, dice):
    _, fields = table_fields(data)
    one, other = dice.choice(fields), dice.choice(fields)
    data[one : one + 2], data[other : other + 2] = data[other : other + 2], data[one : one + 2]


def change_length(data, dice):
    vector, length = dice.choice(list(columns_of(data)))
    struct.pack_into("<I", data, vector, dice.choice((0, 1, length // 2, max(length - 1, 0), length + 1)))


def change_value(data, dice):
    """A value at the start of a column, or anywhere in it, becomes one at the edge of its range."""
    vector, length = dice.choice(list(columns_of(data)))
    end = min(vector + 4 + max(length, 1) * dice.choice((1, 2, 4, 8, 40)), len(data) - TRAILER)
    width, form = dice.choice(((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q")))
    if vector + 4 + width > end:
        return
    at = dice.randrange(vector + 4, end - width + 1)
    near = struct.unpack_from(form, data, at)[0] + dice.choice((-1, 1))
    struct.pack_into(form, data, at, dice.choice((*EDGES, near, dice.getrandbits(64))) % 2 ** (8 * width))


def flip_byte(data, dice):
    data[dice.randrange(len(data) - TRAILER)] ^= 1 << dice.randrange(8)


def damaged(data, dice):
    data = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        change = dice.choice((drop_column, drop_column, swap_columns, change_length, change_value, change_value, flip_byte))
        try:
            change(data, dice)
        except (struct.error, IndexError):  # damage before has left no table to change
            flip_byte(data, dice)
    return bytes(data)


def without_each_column(data):
    _, fields = table_fields(data)
    for field in fields:
        less = bytearray(data)
        struct.pack_into("<H", less, field, 0)
        yield bytes(less)


def ask_entry(checkpoint, fqn, ask):
    entry = ask(lambda: checkpoint[fqn])
    ask(lambda: checkpoint.planner_path(fqn))
    ask(lambda: checkpoint.find(fqn))
    for name in ("properties", "nbytes", "storage", "pickle", "chunks", "__repr__"):
        ask(lambda: repr(getattr(entry, name, None)))
    if not isinstance(entry, flatpoint.Tensor):
        return
    ask(lambda: entry.overlapping([0] * len(entry.shape), entry.shape))
    for i in range(min(len(entry.chunks), MOST)):
        chunk = ask(lambda: entry.chunks[i])
        if chunk is not None:
            ask(lambda: (chunk.row, repr(chunk), chunk.storage, checkpoint.find(fqn, chunk.offsets)))


def ask_everything(data, outcomes):
    """Every question that the module knows, each of which may be refused."""

    def ask(question):
        try:
            return question()
        except flatpoint.Error as error:
            outcomes[error.code.name] += 1
        except KeyError:  # a name that is not where its order wants it
            outcomes["absent"] += 1
        return None

    checkpoint = ask(lambda: flatpoint.from_bytes(data))
    if checkpoint is None:
        return
    outcomes["opened"] += 1
    names = ask(lambda: list(checkpoint)) or []
    for fqn in names[:MOST]:
        ask_entry(checkpoint, fqn, ask)
    for name in ("files", "storage_meta", "version", "opaque", "findings", "rank", "path", "notices"):
        ask(lambda: getattr(checkpoint, name))
    for name, column in checkpoint.columns.items():
        ask(lambda: memoryview(column).tobytes())
        assert len(memoryview(column)) == len(column), name
    ask(checkpoint._storage_items)
    ask(checkpoint._planner_fqns)
    ask(lambda: list(checkpoint.prefix("m"))[:MOST])
    ask(checkpoint.verify)
    ask(lambda: checkpoint.diff(checkpoint))
    plan = ask(lambda: checkpoint.plan({fqn: None for fqn in names[:MOST]}))
    if plan is not None:
        ask(lambda: (plan.issues, plan.reads, plan.unexpected, plan.needed_bytes))
        ask(lambda: [plan[i] for i in range(min(len(plan), MOST))])


def run(files, count, seed):
    outcomes = collections.Counter()
    for number, data in enumerate(files):
        for less in without_each_column(data):
            ask_everything(less, outcomes)
        for i in range(count):
            dice = random.Random(f"{seed}/{number}/{i}")
            data_of_now = damaged(data, dice)
            try:
                ask_everything(data_of_now, outcomes)
            except BaseException:
                print(f"file {number}, change {i}, seed {seed}")
                raise
    return outcomes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", default="1")
    arguments = parser.parse_args()
    files = []
    for path in arguments.files:
        with flatpoint.open(path) as checkpoint:
            files.append(bytes(memoryview(checkpoint._file_bytes)))
    print(dict(run(files, arguments.count, arguments.seed)))


if __name__ == "__main__":
    main()
