"""Cuts into the bytes of a metadata file: reads its tables, changes numbers, moves columns."""

import pathlib
import re
import struct

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "schema" / "metadata.fbs"
TRAILER = 24

# Where members of the struct Entry lie, and their formats.
ENTRY_SIZE = 48
ENTRY = {
    "fqn_begin": (0, "I"),
    "fqn_length": (4, "I"),
    "size_begin": (8, "I"),
    "box_begin": (12, "I"),
    "chunk_begin": (16, "I"),
    "chunk_count": (20, "I"),
    "order_begin": (24, "I"),
    "length_begin": (28, "I"),
    "dtype": (32, "B"),
    "layout": (33, "B"),
    "memory_format": (34, "B"),
    "requires_grad": (35, "B"),
    "pin_memory": (36, "B"),
    "strides": (37, "B"),
    "dtype_name": (38, "H"),
    "layout_name": (40, "H"),
    "rank": (42, "B"),
    "storage_type": (43, "B"),
    "chunk_layout": (44, "B"),
    "reordered": (45, "B"),
    "lengths_differ": (46, "B"),
}


def fields_of(table):
    """The names of a table's fields, in the order of their numbers."""
    body = re.search(rf"^table {table} {{(.*?)^}}", SCHEMA.read_text(), re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"^ +(\w+):", body, re.MULTILINE)


class Patient:
    """A metadata file to cut into. `data` is its FlatBuffer, without trailer."""

    def __init__(self, data):
        self.data = bytearray(data[:-TRAILER])
        self.digest = data[-TRAILER : -TRAILER + 8]
        self.root = self.get("I", 0)

    def get(self, code, at):
        return struct.unpack_from("<" + code, self.data, at)[0]

    def put(self, code, at, value):
        struct.pack_into("<" + code, self.data, at, value)

    def finished(self, length=None, magic=b"FLPT.END"):
        length = len(self.data) if length is None else length
        return bytes(self.data) + self.digest + struct.pack("<Q", length) + magic

    # Tables

    def vtable(self, table=None):
        table = self.root if table is None else table
        return table - self.get("i", table)

    def slot(self, name):
        """Where the vtable of the root keeps a field's place."""
        return self.vtable() + 4 + 2 * fields_of("Metadata").index(name)

    def field(self, name):
        """Where the value of a field of the root lies. It must be present."""
        offset = self.get("H", self.slot(name))
        assert offset, f"no {name}"
        return self.root + offset

    def target(self, name):
        """The vector or table that a field of the root refers to."""
        at = self.field(name)
        return at + self.get("I", at)

    def table_field(self, table, name):
        """Where a field of the table that the root's field `table` refers to lies."""
        at = self.target(table)
        offset = self.get("H", self.vtable(at) + 4 + 2 * fields_of({"storage_meta": "StorageMeta", "source": "Source"}[table]).index(name))
        assert offset, f"no {table}.{name}"
        return at + offset

    # Columns

    def count(self, name):
        return self.get("I", self.target(name))

    def resize(self, name, count):
        """Changes the number of elements that a vector states."""
        self.put("I", self.target(name), count)

    def element(self, name, i, code):
        """Where element i of a column lies."""
        return self.target(name) + 4 + i * struct.calcsize("<" + code)

    def set(self, name, i, code, value):
        self.put(code, self.element(name, i, code), value)

    def entry(self, fqn):
        """Where the row of an entry lies."""
        names = self.target("fqns") + 4
        for i in range(self.count("entries")):
            at = self.target("entries") + 4 + i * ENTRY_SIZE
            begin, length = self.get("I", at), self.get("I", at + 4)
            if bytes(self.data[names + begin : names + begin + length]) == fqn:
                return at
        raise KeyError(fqn)

    def member(self, fqn, name):
        offset, code = ENTRY[name]
        return self.get(code, self.entry(fqn) + offset)

    def set_member(self, fqn, **members):
        at = self.entry(fqn)
        for name, value in members.items():
            offset, code = ENTRY[name]
            self.put(code, at + offset, value)

    # Growth

    def append(self, data, alignment=8):
        """Puts bytes behind everything else and says where."""
        self.data += bytes(-len(self.data) % alignment)
        at = len(self.data)
        self.data += data
        self.data += bytes(-len(self.data) % 8)
        return at

    def move(self, name, skew):
        """Moves a column behind everything else, its elements `skew` bytes off a multiple of 8."""
        begin, count = self.target(name), self.count(name)
        size = {"entries": ENTRY_SIZE, "index_hints": 16}.get(name, 8)
        elements = bytes(self.data[begin + 4 : begin + 4 + count * size])
        at = self.append(bytes((4 + skew) % 8) + struct.pack("<I", count) + elements) + (4 + skew) % 8
        self.put("I", self.field(name), at - self.field(name))
