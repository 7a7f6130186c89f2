"""Hostile pickles, composed of every name that the exporter knows: what it writes makes DCP's objects and does nothing else.

Python unpickles each exported file in a process of its own, in which an unpickler with a list of its own looks at every name,
call and change before it happens, and Python's audit hook at what the process does. Files that the audit (`flatpoint verify`)
calls clean go the same way as they are. FLATPOINT_SEEDS=N composes N files; with FLATPOINT_FIRST_SEED=N others.
"""

import json
import os
import pathlib
import random
import struct
import subprocess
import sys

from test_export_against_python import export

HERE = pathlib.Path(__file__).parent
METADATA = "torch.distributed.checkpoint.metadata"
PLANNER = "torch.distributed.checkpoint.planner"
FILESYSTEM = "torch.distributed.checkpoint.filesystem"
OLD = "torch.distributed._shard.sharded_tensor.metadata"


# --- instructions -----------------------------------------------------------------------------------------------------


def text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def name(module, qualname):
    return text(module) + text(qualname) + b"\x93"


def number(value):
    return b"J" + struct.pack("<i", value)


def tuple_of(*items):
    return b"(" + b"".join(items) + b"t"


def call(callable_, *arguments):
    return callable_ + tuple_of(*arguments) + b"R"


def dict_of(*items):
    return b"}(" + b"".join(items) + b"u"


def metadata(*attributes):
    state = [text("state_dict_metadata"), dict_of(), text("planner_data"), b"N", text("storage_data"), b"N", *attributes]
    return b"\x80\x04" + name(METADATA, "Metadata") + b")\x81" + dict_of(*state) + b"b."


CLASSES = [
    *((METADATA, c) for c in ("Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "ChunkStorageMetadata", "MetadataIndex")),
    *((METADATA, c) for c in ("StorageMeta", "TensorProperties")),
    *((PLANNER, c) for c in ("SavePlan", "LoadPlan", "WriteItem", "ReadItem", "TensorWriteData", "BytesIOWriteData")),
    *((FILESYSTEM, c) for c in ("_StorageInfo", "_StoragePrefix")),
    (OLD, "TensorProperties"),
]
ENUMERATIONS = [(METADATA, "_MEM_FORMAT_ENCODING"), (OLD, "MEM_FORMAT_ENCODING"), (PLANNER, "WriteItemType"), (PLANNER, "LoadItemType")]
CALLABLES = [
    *(("pathlib", c) for c in ("PosixPath", "PurePosixPath", "PureWindowsPath")),
    *(("torch", c) for c in ("Size", "device", "float32", "bool")),
    *(("builtins", c) for c in ("getattr", "bytearray", "bytes", "complex", "range", "slice", "object")),
    *(("copyreg", c) for c in ("_reconstructor", "__newobj__")),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    ("torch.serialization", "_get_layout"),
]
# Some were on the exporter's list once; none may be called.
FOREIGN = [
    *(
        ("builtins", c)
        for c in ("dict", "list", "tuple", "set", "frozenset", "int", "str", "bool", "float", "eval", "__import__", "setattr")
    ),
    ("posix", "system"),
    ("torch", "load"),
    ("torch", "set_default_dtype"),
    ("torch.distributed.checkpoint", "load"),
]
ATTRIBUTES = ["write_text", "TORCH_CONTIGUOUS_FORMAT", "TENSOR", "SHARD", "BYTE_IO", "mro", "__class__", "__subclasses__", "name", "fqn"]
KEYS = ["offset", "fqn", "index", "items", "__setstate__", "__class__", "__dict__", "__reduce__", "value", "_value_", "chunks"]
CODECS = ["latin1", "latin-1", "utf-8", "zlib", "hex", "idna"]


class Attack:
    """Instructions for one value; often in a form that DCP's pickles have, or nearly so."""

    def __init__(self, seed, trap):
        self.random = random.Random(seed)
        self.trap = trap
        self.memo = 0

    def chance(self, share):
        return self.random.random() < share

    def pick(self, values):
        return self.random.choice(list(values))

    def any_name(self):
        return name(*self.pick(self.pick([CLASSES, ENUMERATIONS, CALLABLES, CALLABLES, FOREIGN])))

    def any_text(self):
        return text(self.pick([str(self.trap), "print('ran')", "torch.strided", "cpu", *ATTRIBUTES, *KEYS, *CODECS]))

    def plain(self):
        numbers = [number(self.pick([0, 1, 2, 3, 7, -1, 300, 2**31 - 1])), b"\x8a\x05\x00\x00\x00\x00\x0b"]
        return self.pick(
            [
                b"N",
                b"\x88",
                b"\x89",
                *numbers,
                *numbers,
                self.any_text(),
                b"C\x02hi",
                b"G?\xf8\0\0\0\0\0\0",
                b")",
                b"]",
                b"}",
                name("torch", "int8"),
            ]
        )

    def form(self, depth):
        """A call or an object as a pickle of DCP's has it."""
        ints = tuple_of(*(number(self.random.randrange(9)) for _ in range(self.random.randrange(4))))
        enumeration = name(*self.pick(ENUMERATIONS))
        return self.pick(
            [
                lambda: call(name("torch", "Size"), ints),
                lambda: call(enumeration, number(self.random.randrange(4))),
                lambda: call(name("builtins", "getattr"), enumeration, text(self.pick(ATTRIBUTES[:5]))),
                lambda: call(name("pathlib", self.pick(["PosixPath", "PurePosixPath"])), *([self.any_text()] * self.random.randrange(3))),
                lambda: call(name("torch.serialization", "_get_layout"), text("torch.strided")),
                lambda: call(name("_codecs", "encode"), self.any_text(), text(self.pick(CODECS))),
                lambda: call(name("builtins", self.pick(["bytearray", "bytes"])), *self.pick([[], [b"C\x02hi"], [number(7)]])),
                lambda: call(name("builtins", "range"), number(0), number(9), number(2)),
                lambda: call(name("collections", "OrderedDict")) + b"(" + self.any_text() + self.value(depth - 1) + b"u",
                lambda: call(name("copyreg", "_reconstructor"), name(*self.pick(CLASSES)), name("builtins", "object"), b"N"),
                lambda: call(name("copyreg", "__newobj__"), name(*self.pick(CLASSES))),
                lambda: name(*self.pick(CLASSES)) + b")\x81" + self.state(depth - 1) + b"b",
                lambda: self.properties(),
                lambda: name(*self.pick(CLASSES)) + b")\x81",
            ]
        )()

    def properties(self):
        layout = call(name("torch.serialization", "_get_layout"), text("torch.strided"))
        encoding = call(name(METADATA, "_MEM_FORMAT_ENCODING"), number(0)) if self.chance(0.8) else self.value(1)
        return name(METADATA, "TensorProperties") + b")\x81" + tuple_of(name("torch", "int8"), layout, b"\x89", encoding, b"\x89") + b"b"

    def state(self, depth):
        if self.chance(0.1):
            return self.value(depth)
        key = lambda: text(self.pick(KEYS)) if self.chance(0.2) else text(self.pick(["fqn", "offset", "index", "items"]))
        value = lambda: self.value(depth) if self.chance(0.6) else self.plain()
        attributes = dict_of(*(part for _ in range(self.random.randrange(3)) for part in (key(), value())))
        slots = dict_of(text(self.pick(KEYS)), value()) + b"\x86" if self.chance(0.05) else b""
        return attributes + slots

    def value(self, depth=4):
        made = self.plain() if depth <= 0 or self.chance(0.25) else self.form(depth) if self.chance(0.6) else self.composed(depth)
        if self.chance(0.15):
            made += self.change(depth)
        if self.chance(0.3):
            made += b"r" + struct.pack("<I", self.memo)
            self.memo += 1
        return made

    def composed(self, depth):
        """Anything after anything."""
        part = lambda: self.value(depth - 1)
        return self.pick(
            [
                lambda: call(self.any_name(), *(part() for _ in range(self.random.randrange(4)))),
                lambda: call(part(), part()),
                lambda: call(call(name("builtins", "getattr"), self.any_name(), text(self.pick(ATTRIBUTES))), part(), self.any_text()),
                lambda: self.any_name() + tuple_of(*(part() for _ in range(self.random.randrange(2)))) + b"\x81",
                lambda: self.any_name() + b")" + self.state(depth - 1) + b"\x92",
                lambda: tuple_of(part(), part()),
                lambda: b"](" + part() + part() + b"e",
                lambda: dict_of(self.any_text() if self.chance(0.7) else part(), part()),
                lambda: b"\x8f(" + part() + b"\x90",
                lambda: b"(" + part() + part() + b"\x91",
                lambda: self.any_name(),
                lambda: b"j" + struct.pack("<I", self.random.randrange(max(self.memo, 1))),
                lambda: part() + b"0" + part(),
                lambda: part() + b"2\x86",
            ]
        )()

    def change(self, depth):
        return self.pick(
            [
                lambda: self.state(depth - 1) + b"b",
                lambda: b"(" + self.any_text() + self.value(depth - 1) + b"u",
                lambda: self.any_text() + self.value(depth - 1) + b"s",
                lambda: b"(" + self.value(depth - 1) + b"e",
                lambda: self.value(depth - 1) + b"a",
                lambda: b"(" + self.value(depth - 1) + b"\x90",
            ]
        )()

    def file(self):
        parts = []
        for i in range(self.random.randint(1, 3)):
            parts += [text(self.pick(["note", "mcore_data", "version", "storage_meta", "planner_data", f"x{i}", f"y{i}"])), self.value()]
        if self.chance(0.02):
            parts += [text("__setstate__"), b"N"]
        return metadata(*parts)


# --- what Python makes of it ------------------------------------------------------------------------------------------

GUARD = """
import collections, dataclasses, enum, io, json, pathlib, pickle, sys
import torch, torch.distributed.checkpoint as dcp, torch.serialization
from torch.distributed.checkpoint import filesystem, metadata, planner
import torch.distributed._shard.sharded_tensor.metadata as old
import _codecs, copyreg

OBJECTS = {getattr(m, n) for m, names in (
    (metadata, "Metadata TensorStorageMetadata BytesStorageMetadata ChunkStorageMetadata MetadataIndex StorageMeta TensorProperties"),
    (planner, "SavePlan LoadPlan WriteItem ReadItem TensorWriteData BytesIOWriteData"),
    (filesystem, "_StorageInfo _StoragePrefix"), (old, "TensorProperties")) for n in names.split()}
ENUMS = {metadata._MEM_FORMAT_ENCODING, old.MEM_FORMAT_ENCODING, planner.WriteItemType, planner.LoadItemType}
PATHS = {pathlib.PosixPath, pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.WindowsPath}
NAMES = OBJECTS | ENUMS | PATHS | {torch.Size, torch.device, torch.serialization._get_layout, collections.OrderedDict, getattr, bytearray,
    bytes, complex, range, slice, object, copyreg._reconstructor, copyreg.__newobj__, _codecs.encode}

class Violation(Exception):
    pass

def require(holds, *what):
    if not holds:
        raise Violation(*map(str, what))

def plain(*types):
    return lambda args: all(type(a) in types for a in args)

def is_made_bare(args):
    return args[0] in OBJECTS

CALLS = {
    torch.Size: lambda args: len(args) == 1 and type(args[0]) is tuple and plain(int, bool)(args[0]),
    torch.device: lambda args: type(args[0]) is str and plain(str, int)(args),
    torch.serialization._get_layout: lambda args: len(args) == 1 and type(args[0]) is str,
    collections.OrderedDict: lambda args: args == (),
    getattr: lambda args: len(args) == 2 and args[0] in ENUMS and args[1] in args[0].__members__,
    bytearray: lambda args: args == () or plain(bytes)(args) or (plain(str)(args) and args[1] in ("latin1", "latin-1")),
    bytes: lambda args: args == (),
    complex: plain(float),
    range: plain(int),
    slice: plain(int, type(None)),
    copyreg._reconstructor: lambda args: len(args) == 3 and is_made_bare(args) and args[1:] == (object, None),
    copyreg.__newobj__: lambda args: len(args) == 1 and is_made_bare(args),
    _codecs.encode: lambda args: plain(str)(args) and args[1] in ("latin1", "latin-1"),
    metadata.BytesStorageMetadata: lambda args: args == (),
    **{cls: lambda args: len(args) == 1 and type(args[0]) is int for cls in ENUMS},
    **{cls: plain(str) for cls in PATHS},
}

class Guard(pickle._Unpickler):
    dispatch = dict(pickle._Unpickler.dispatch)
    calls = 0

    def find_class(self, module, name):
        require(module in sys.modules, "imports", module)
        found = super().find_class(module, name)
        require(isinstance(found, torch.dtype) or found in NAMES, "names", module, name)
        return found

    def load_reduce(self):
        func, args = self.stack[-2], self.stack[-1]
        require(func in CALLS and CALLS[func](args), "calls", func, args)
        Guard.calls += 1
        super().load_reduce()
    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self):
        require(self.stack[-2] in OBJECTS and self.stack[-1] == (), "makes", self.stack[-2], self.stack[-1])
        Guard.calls += 1
        super().load_newobj()
    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def refuse(self):
        raise Violation("an instruction that DCP does not need")
    for opcode in (pickle.NEWOBJ_EX, pickle.INST, pickle.OBJ, pickle.EXT1, pickle.PERSID, pickle.BINPERSID):
        dispatch[opcode[0]] = refuse

    def load_build(self):
        inst, state = self.stack[-2], self.stack[-1]
        require(type(inst) in OBJECTS, "changes", type(inst))
        if type(inst).__name__ == "TensorProperties":
            require(type(state) is tuple and isinstance(state[0], torch.dtype) and isinstance(state[3], enum.Enum), "state", state)
        else:
            require(type(state) is dict and all(type(k) is str and not k.startswith("__") for k in state), "state", state)
            require(not any(callable(v) for v in state.values()), "holds", state)
        super().load_build()
    dispatch[pickle.BUILD[0]] = load_build

    def load_setitem(self):
        require(type(self.stack[-3]) in (dict, collections.OrderedDict), "sets items of", type(self.stack[-3]))
        super().load_setitem()
    dispatch[pickle.SETITEM[0]] = load_setitem

    def load_setitems(self):
        target = self.metastack[-1][-1]
        require(type(target) in (dict, collections.OrderedDict), "sets items of", type(target))
        super().load_setitems()
    dispatch[pickle.SETITEMS[0]] = load_setitems

    def load_append(self):
        require(type(self.stack[-2]) is list, "appends to", type(self.stack[-2]))
        super().load_append()
    dispatch[pickle.APPEND[0]] = load_append

    def load_appends(self):
        require(type(self.metastack[-1][-1]) is list, "appends to", type(self.metastack[-1][-1]))
        super().load_appends()
    dispatch[pickle.APPENDS[0]] = load_appends

    def load_additems(self):
        require(type(self.metastack[-1][-1]) is set, "adds to", type(self.metastack[-1][-1]))
        super().load_additems()
    dispatch[pickle.ADDITEMS[0]] = load_additems

# What Python loads on first use, before the hook looks.
torch.serialization._get_layout("torch.strided"), torch.device("cpu")
for codec in ("latin1", "latin-1"):
    _codecs.encode("x", codec), bytearray("x", codec)
SHARED = [m for e in ENUMS for m in e] + [e for e in ENUMS]
before = [dict(vars(s)) for s in SHARED]
seen = []
watching = False
def hook(event, args):
    if watching and not event.startswith("object.__getattr__") and event != "pickle.find_class":
        seen.append(event)
sys.addaudithook(hook)
answers = {"loaded": 0, "failed": 0, "wrong": []}
for path in sys.stdin.read().split("\\n")[:-1]:
    data = open(path, "rb").read()
    seen.clear()
    watching = True
    try:
        Guard(io.BytesIO(data)).load()
        answers["loaded"] += 1
    except Violation as violation:
        answers["wrong"].append([path, str(violation)])
    except Exception as error:  # two keys of one dict that cannot be compared, a number torch has no room for: nothing ran
        answers["failed"] += 1
    watching = False
    if seen:
        answers["wrong"].append([path, "does " + ", ".join(seen)])
if before != [dict(vars(s)) for s in SHARED]:
    answers["wrong"].append(["some file", "changed what the process shares"])
answers["calls"] = Guard.calls
print(json.dumps(answers))
"""


def unpickle(paths):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GUARD], input="".join(f"{p}\n" for p in paths), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def compose(folder, seeds):
    paths = []
    for seed in seeds:
        paths.append(folder / f"{seed}.metadata")
        paths[-1].write_bytes(Attack(seed, folder / "trap").file())
    return paths


def test_composed_attacks(tmp_path):
    first = int(os.environ.get("FLATPOINT_FIRST_SEED", "0"))
    paths = compose(tmp_path, range(first, first + int(os.environ.get("FLATPOINT_SEEDS", "3000"))))
    answers = export(paths, "audit")
    written = [f"{path}.exported" for path, answer in zip(paths, answers) if "error" not in answer]
    clean = [path for path, answer in zip(paths, answers) if answer["clean"]]
    refused = [answer["error"] for answer in answers if answer.get("code") == "opaque_records"]
    # The two lists are written apart; what the first lets pass, the second does.
    assert [error for error in refused if "finished pickle" in error] == []
    assert len(written) > len(paths) / 20 and len(clean) > len(paths) / 20 and len(refused) > len(paths) / 5
    for files in (written, clean):
        said = unpickle(files)
        assert said["wrong"] == []
        assert said["loaded"] > len(files) / 2 and said["calls"] > said["loaded"], said
    assert not (tmp_path / "trap").exists()


def test_the_guard_sees(tmp_path):
    """It finds what it is there for."""
    write_text = call(name("builtins", "getattr"), name("pathlib", "PosixPath"), text("write_text"))
    path = call(name("pathlib", "PosixPath"), text(str(tmp_path / "trap")))
    shared = call(name(METADATA, "_MEM_FORMAT_ENCODING"), number(0))
    layout = call(name("torch.serialization", "_get_layout"), text("torch.strided"))
    attacks = {
        "code": call(write_text, path, text("print('ran')")),
        "bomb": call(name("builtins", "bytes"), number(2**31 - 1)),
        "member": shared + dict_of(text("_value_"), number(7)) + b"b",
        "layout": layout + dict_of(text("x"), number(7)) + b"b",
        "items": call(name("torch", "Size"), tuple_of(number(1))) + b"(" + number(0) + number(7) + b"u",
        "class": name(METADATA, "MetadataIndex"),
        "codec": call(name("_codecs", "encode"), text("x"), text("idna")),
        "set_state": name(METADATA, "StorageMeta") + b")\x81" + dict_of(text("__setstate__"), name("pathlib", "PosixPath")) + b"b",
        "hash": b"".join([number(1), b"\x85", b"2\x86" * 60]).join([b"}", b"Ns"]),
    }
    paths = []
    for attack, value in attacks.items():
        paths.append(tmp_path / attack)
        paths[-1].write_bytes(metadata(text("note"), value))
    for path, answer in zip(paths, export(paths, "audit")):
        assert answer["code"] == "opaque_records" and not answer["clean"], path
        assert "finished pickle" not in answer["error"], path
    guarded = [path for path in paths if path.name not in ("class", "hash")]
    assert [pathlib.Path(path).name for path, _ in unpickle(guarded)["wrong"]] == [path.name for path in guarded]
    assert not (tmp_path / "trap").exists()
