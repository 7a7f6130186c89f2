"""Writes pickles/: forms of `.metadata` that occur in the wild and that no sample shows, and what each must say.

    python make_pickles.py

Needs torch. Classes of other projects are stand-ins with the same names and attributes: a pickle holds nothing else of
them. NAME.json beside NAME.pickle is what describe_metadata.py says of the object that was pickled.
"""

import collections
import copyreg
import dataclasses
import io
import json
import pathlib
import pickle
import sys
import types

import describe_metadata
import names_once
import numpy
import torch
import torch.distributed._shard.sharded_tensor.metadata as old_home
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    _MEM_FORMAT_ENCODING,
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import SavePlan, WriteItem, WriteItemType

OUT = pathlib.Path(__file__).parent / "pickles"
SAVE_ID = "11111111-2222-3333-4444-555555555555"


def tensor(size, chunks=None, **properties):
    chunks = [((0,) * len(size), size)] if chunks is None else chunks
    return TensorStorageMetadata(
        properties=TensorProperties(**{"dtype": torch.float32, "strides": None, **properties}),
        size=torch.Size(size),
        chunks=[ChunkStorageMetadata(torch.Size(o), torch.Size(s)) for o, s in chunks],
    )


def rows(length, parts, width=4):
    step = -(-length // parts)
    cuts = [min(length, i * step) for i in range(parts + 1)]
    return tensor((length, width), [((a, 0), (b - a, width)) for a, b in zip(cuts, cuts[1:])])


def storage(entries, info=_StorageInfo, hint=lambda i: i):
    """One location per chunk, rank by rank, as DCP writes them."""
    data, ends = {}, {}
    most = max([len(v.chunks) for v in entries.values() if isinstance(v, TensorStorageMetadata)], default=1)
    for rank in range(max(most, 1)):
        for fqn, value in entries.items():
            if isinstance(value, BytesStorageMetadata):
                keys = [MetadataIndex(fqn)] if rank == 0 else []
            else:
                keys = [MetadataIndex(fqn, c.offsets, hint(i)) for i, c in enumerate(value.chunks) if i == rank]
            for key in keys:
                path, begin = f"__{rank}_0.distcp", ends.get(rank, 0)
                data[key] = info(path, begin, 100 + len(fqn))
                ends[rank] = begin + 100 + len(fqn)
    return data


def usual(**changes):
    entries = {
        "model.layers.0.weight": rows(10, 3),
        "model.layers.1.weight": rows(9, 3),
        "model.norm": tensor((6,), [((0,), (3,)), ((3,), (3,))], dtype=torch.bfloat16),
        "optim.step": tensor(()),
        "epoch": BytesStorageMetadata(),
    }
    planner = {fqn: tuple(fqn.split(".")) for fqn in entries}
    planner["model.layers.0.weight"] = ("model", "layers", 0, "weight")
    values = {
        "state_dict_metadata": entries,
        "planner_data": planner,
        "storage_data": storage(entries),
        "storage_meta": StorageMeta("/ckpt/step-100", SAVE_ID, None, ["a", "b.c"]),
        "version": "1.0.0",
    }
    return Metadata(**{**values, **changes})


def with_entries(entries, **changes):
    return usual(**{"state_dict_metadata": entries, "planner_data": None, "storage_data": storage(entries), **changes})


def module(name):
    """A stand-in for a module of another project, with the packages above it."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    return sys.modules[name]


def put_in(name, cls):
    cls.__module__, cls.__qualname__ = name, cls.__name__
    setattr(module(name), cls.__name__, cls)
    return cls


class Pickler(pickle.Pickler):
    """Reduces objects as `reduce(obj)` says where that is not NotImplemented."""

    def __init__(self, file, protocol, reduce):
        super().__init__(file, protocol)
        self.reduce = reduce

    def reducer_override(self, obj):
        return self.reduce(obj)


def dumps(obj, protocol=4, reduce=None):
    if reduce is None:
        return pickle.dumps(obj, protocol)
    file = io.BytesIO()
    Pickler(file, protocol, reduce).dump(obj)
    return file.getvalue()


# --- protocols and ways to make an object -----------------------------------------------------------------------------


def protocols():
    for protocol in (0, 1, 2, 3, 5):
        yield f"protocol{protocol}", usual(), dumps(usual(), protocol)


def ways_to_make_objects():
    ours = (Metadata, TensorStorageMetadata, ChunkStorageMetadata, BytesStorageMetadata, MetadataIndex, _StorageInfo)

    def through(make):
        return lambda obj: make(obj) if type(obj) in ours else NotImplemented

    def state(obj):
        return obj.__getstate__() if hasattr(type(obj), "__getstate__") else vars(obj) or None

    reconstructor = through(lambda obj: (copyreg._reconstructor, (type(obj), object, None), state(obj)))
    newobj = through(lambda obj: (copyreg.__newobj__, (type(obj),), state(obj)))
    newobj_ex = through(lambda obj: (copyreg.__newobj_ex__, (type(obj), (), {}), state(obj)))
    slots = through(lambda obj: (copyreg.__newobj__, (type(obj),), (state(obj), {})))
    yield "reconstructor", usual(), dumps(usual(), 4, reconstructor)
    yield "newobj_called", usual(), dumps(usual(), 1, newobj)
    yield "newobj_ex", usual(), dumps(usual(), 4, newobj_ex)
    yield "state_with_slots", usual(), dumps(usual(), 4, slots)
    called = lambda obj: (BytesStorageMetadata, ()) if type(obj) is BytesStorageMetadata else NotImplemented
    yield "bytes_class_called", usual(), dumps(usual(), 4, called)


def enums_by_name():
    """Python 3.11.0 to 3.11.3."""

    def reduce(obj):
        return (getattr, (type(obj), obj.name)) if isinstance(obj, _MEM_FORMAT_ENCODING) else NotImplemented

    entries = {
        "contiguous": tensor((2,)),
        "last": tensor((1, 2, 3, 4), memory_format=torch.channels_last),
        "preserve": tensor((2,), memory_format=torch.preserve_format),
    }
    for protocol in (2, 4):
        yield f"enum_by_name_{protocol}", with_entries(entries), dumps(with_entries(entries), protocol, reduce)
    yield "memory_formats", with_entries(entries), dumps(with_entries(entries))


def old_properties():
    """Before torch 2.3: TensorProperties of another module, a state of five."""
    entries = {"w": rows(4, 2), "b": tensor((2,))}
    for value in entries.values():
        value.properties = old_home.TensorProperties(dtype=torch.float32)
    metadata = with_entries(entries, storage_meta=None, version=None)
    del metadata.storage_meta, metadata.version
    yield "old_properties", metadata, dumps(metadata)


# --- other projects ---------------------------------------------------------------------------------------------------


def other_projects():
    @dataclasses.dataclass
    class _StorageInfo:
        relative_path: str
        offset: int
        length: int

    olmo = put_in("olmo_core.distributed.checkpoint.filesystem", _StorageInfo)
    entries = usual().state_dict_metadata
    yield "olmo_core", usual(storage_data=storage(entries, olmo)), None

    @dataclasses.dataclass
    class BlobInfo:
        relative_path: str
        offset: int
        length: int

    blobs = put_in("blobs.store", BlobInfo)
    yield "other_storage_info", usual(storage_data=storage(entries, blobs)), None
    mixed = storage(entries)
    mixed[next(reversed(mixed))] = blobs("x", 0, 1)
    yield "mixed_storage_info", usual(storage_data=mixed), None

    @dataclasses.dataclass
    class MCoreMetadata(Metadata):
        mcore_data: dict = dataclasses.field(default_factory=dict)

    megatron = put_in("megatron.core.dist_checkpointing.strategies.torch", MCoreMetadata)
    root = megatron(**vars(usual()), mcore_data={"w": {"nd_reformulated_orig_global_shape": (4, 6)}})
    yield "mcore_metadata", root, None

    index = MetadataIndex("model.norm", torch.Size([0]), 0)
    plan = SavePlan([WriteItem(index=index, type=WriteItemType.TENSOR)], planner_data={"model.norm": ("model", "norm")})
    planner = {**usual().planner_data, "__reserved_plans__": [plan, plan]}
    yield "plans_in_planner_data", usual(planner_data=planner), None
    attribute = usual()
    attribute.all_local_plans = [plan]
    attribute.chunks_again = attribute.state_dict_metadata["model.layers.0.weight"].chunks
    attribute.locations_again = list(attribute.storage_data.items())
    yield "attributes", attribute, None


# --- paths ------------------------------------------------------------------------------------------------------------


def paths():
    class Path313:
        pass

    def path_313(obj):
        return (Path313, ("/ckpt//a/.", "b/", "step")) if type(obj) is pathlib.PosixPath else NotImplemented

    put_in("pathlib._local", Path313).__name__ = "PosixPath"
    Path313.__qualname__ = "PosixPath"
    sys.modules["pathlib._local"].PosixPath = Path313
    yield (
        "path_segments",
        usual(storage_meta=StorageMeta(pathlib.PosixPath("/ckpt/a/b/step"), SAVE_ID)),
        dumps(usual(storage_meta=StorageMeta(pathlib.PosixPath("/unused"), SAVE_ID)), 4, path_313),
    )
    for name, path in {
        "path_relative": pathlib.PurePosixPath("a/b"),
        "path_empty": pathlib.PurePosixPath(),
        "path_double_root": pathlib.PurePosixPath("//a/b"),
        "path_windows": pathlib.PureWindowsPath("C:\\ckpt\\step"),
        "path_windows_relative": pathlib.PureWindowsPath("ckpt\\step"),
        "path_windows_drive": pathlib.PureWindowsPath("C:step"),
    }.items():
        yield name, usual(storage_meta=StorageMeta(path, SAVE_ID)), None
    no_modules = StorageMeta("s3://bucket/step", SAVE_ID, "load")
    del no_modules.modules
    yield "storage_meta_2_4", usual(storage_meta=no_modules), None
    for name, meta in {
        "storage_meta_other_id": StorageMeta(7, SAVE_ID),
        "storage_meta_other_attribute": StorageMeta("x", SAVE_ID),
        "storage_meta_other_modules": StorageMeta("x", SAVE_ID, None, ["a", 1]),
        "storage_meta_other_class": {"checkpoint_id": "x"},
    }.items():
        if name.endswith("attribute"):
            meta.extra = 1
        yield name, usual(storage_meta=meta), None


# --- types of torch that this version does not know -------------------------------------------------------------------


class Unknown:
    """Stands for a dtype or a layout of a later torch."""

    def __init__(self, name, is_layout=False):
        self.name, self.is_layout = name, is_layout
        self.__module__ = "torch"

    def __reduce__(self):
        return (torch.serialization._get_layout, (str(self),)) if self.is_layout else self.name

    def __str__(self):
        return f"torch.{self.name}"


def unknown_types():
    torch.float5_e3m1 = Unknown("float5_e3m1")
    entries = {
        "a": tensor((2,), dtype=torch.float5_e3m1),
        "b": tensor((2,), layout=Unknown("hyper", is_layout=True)),
        "c": tensor((2,), dtype=torch.float5_e3m1, layout=Unknown("hyper", is_layout=True)),
        "d": tensor((2,), layout=torch.sparse_coo, requires_grad=True, pin_memory=True),
    }
    yield "unknown_types", with_entries(entries), None


# --- chunks and where they lie ----------------------------------------------------------------------------------------


def chunks():
    hsdp = tensor((40, 2), [((o, 0), (4, 2)) for o in (0, 20, 28, 12, 36, 4, 8, 16, 24, 32)])
    yield "hsdp_order", with_entries({"w": hsdp, "v": rows(40, 10, 2)}), None
    empty = tensor((3,), [((0,), (2,)), ((2,), (1,)), ((3,), (0,)), ((3,), (0,))])
    yield "empty_chunks", with_entries({"tiny": empty, "nothing": tensor((0, 4)), "none": tensor((2,), [])}), None
    twice = tensor((4, 2), [((0, 0), (2, 2)), ((2, 0), (2, 2)), ((0, 0), (2, 2)), ((2, 0), (1, 2)), ((2, 0), (2, 2))])
    yield "replicated", with_entries({"w": twice, "v": rows(4, 2)}), None
    entries = usual().state_dict_metadata
    for name, hint in {
        "hints_absent": lambda i: None,
        "hints_reversed": lambda i: 2 - i,
        "hints_far": lambda i: 2**40 + i,
        "hints_negative": lambda i: -1 - i,
    }.items():
        yield name, usual(storage_data=storage(entries, hint=hint)), None

    loose = storage(entries)
    for key in (
        MetadataIndex("gone", torch.Size([1, 2])),
        MetadataIndex("gone"),
        MetadataIndex("model.norm", torch.Size([1]), 0),
        MetadataIndex("model.norm", torch.Size([0, 0]), 3),
        MetadataIndex("model.norm"),
        MetadataIndex("epoch", torch.Size([])),
        MetadataIndex("", torch.Size([])),
    ):
        loose[key] = _StorageInfo("__9_0.distcp", len(loose), 1)
    yield "loose_storage", usual(storage_data=loose), None
    backwards = dict(reversed(storage(entries).items()))
    yield "storage_backwards", usual(storage_data=backwards), None
    yield "storage_partial", usual(storage_data=dict(list(storage(entries).items())[::2])), None
    yield "storage_none", usual(storage_data=None), None
    yield "storage_empty", usual(storage_data={}), None

    transforms = storage(entries)
    for i, info in enumerate(transforms.values()):
        kinds = [None, ["stream.zstd/1"], ("stream.zstd/1",), [], ["a", "b@c/2"], ["stream.zstd/1"]]
        if i % 6:
            info.transform_descriptors = kinds[i % 6]
    yield "transforms", usual(storage_data=transforms), None
    large = storage(entries)
    for i, info in enumerate(large.values()):
        info.offset, info.length = 2**31 * i + 2**33 * (i % 2), 2**40 + i
    yield "large_numbers", usual(storage_data=large), None

    wide = tensor((1, 2, 3, 4, 5), [((0, 0, 0, 0, 0), (1, 2, 3, 4, 2)), ((0, 0, 0, 0, 2), (1, 2, 3, 4, 3))])
    yield "five_dimensions", with_entries({"w": wide}), None
    deep = tensor((1,) * 64, [((0,) * 64, (1,) * 64), ((1,) * 64, (0,) * 64)])
    yield "64_dimensions", with_entries({"w": deep}), None
    tuples = TensorStorageMetadata(TensorProperties(dtype=torch.float32), (4,), [ChunkStorageMetadata((0,), (True,))])
    yield "tuples_for_sizes", with_entries({"w": tuples}), None
    strides = {"a": tensor((4, 4), strides=(1, 4)), "b": tensor((4, 4), strides=(4, 1)), "c": tensor((4,), strides=(0,))}
    yield "strides", with_entries(strides), None
    shared = rows(8, 4)
    shared_list = TensorStorageMetadata(shared.properties, shared.size, shared.chunks)
    yield "shared_objects", with_entries({"a": shared, "b": shared, "c": shared_list}), None


# --- names and planner data -------------------------------------------------------------------------------------------


def names():
    odd = ["", ".", "a..b", "\0", "a\0b", "é.ü", "\ud800x", "\U0001f600", "x" * 300, "0.1.2", "-1", "a\nb", "\u2028"]
    entries = {fqn: tensor((2,)) if i % 2 else BytesStorageMetadata() for i, fqn in enumerate(odd)}
    planner = {fqn: (fqn,) for fqn in odd}
    yield "odd_names", with_entries(entries, planner_data=planner), None


def planner():
    names = ["a.0.b", "a.1.b", "a.-1.b", "a.b.c", "x.007", "x.7", "big", "", "a.1.5", "true"]
    entries = {fqn: BytesStorageMetadata() for fqn in names}
    data = {
        "a.b.c": ("a.b", "c"),
        "a.0.b": ("a", 0, "b"),
        "a.1.b": ("a", "1", "b"),
        "a.-1.b": ("a", -1, "b"),
        "x.007": ("x", 7),
        "x.7": ("x", 7),
        "big": ["big"],
        "": (),
        "a.1.5": ("a", 1.5),
        "true": (True,),
        "not an entry": ("not an entry",),
        3: ("three",),
    }
    yield "planner_paths", with_entries(entries, planner_data=data), None
    yield "planner_backwards", usual(planner_data=dict(reversed(usual().planner_data.items()))), None
    yield "planner_other", usual(planner_data=[("w", 1)]), None
    yield "planner_huge_int", usual(planner_data={**usual().planner_data, "epoch": (2**70,)}), None


# --- other writers, and values of other types than DCP's -----------------------------------------------------------------


def other_writers():
    entries = {**usual().state_dict_metadata, "wide": tensor((2, 3, 4, 5, 6)), "long": rows(2200, 1100)}
    for i in range(40):
        entries[f"model.layers.{i}.mlp.weight"] = rows(16, 8)
    large = with_entries(entries)
    yield "names_once", large, names_once.dumps(large)
    small = usual()
    yield "names_once_small", small, names_once.dumps(small)
    # Items that the importer folds, and that are not where one that is like them would be.
    scalars = {f"scalar.{i}": tensor(()) for i in range(60)}
    without = {MetadataIndex(fqn, None, 0): _StorageInfo("x", 8 * i, 8) for i, fqn in enumerate(scalars)}
    without = with_entries(scalars, storage_data=without)
    yield "names_once_without_offset", without, names_once.dumps(without)
    absent = usual(storage_data=storage(small.state_dict_metadata, hint=lambda i: None))
    yield "names_once_hints_absent", absent, names_once.dumps(absent)
    negative = storage(small.state_dict_metadata)
    for i, info in enumerate(negative.values()):
        if i % 3 == 1:
            info.length = -(2**40)
        if i % 3 == 2:
            info.offset = -(2**40)
    negative = usual(storage_data=negative)
    yield "names_once_negative", negative, names_once.dumps(negative)


def other_types():
    entries = usual().state_dict_metadata
    ordered = collections.OrderedDict(reversed(entries.items()))
    planner = collections.OrderedDict((fqn, (fqn,)) for fqn in ordered)
    yield (
        "ordered_dicts",
        usual(state_dict_metadata=ordered, planner_data=planner, storage_data=collections.OrderedDict(storage(entries))),
        None,
    )

    four = numpy.int64(4)
    size = (four, numpy.uint8(2))
    chunk = ChunkStorageMetadata((numpy.int32(0), 0), size)
    value = TensorStorageMetadata(TensorProperties(dtype=torch.float32, strides=None), size, [chunk])
    key = MetadataIndex("w", (numpy.int16(0), numpy.uint64(0)), numpy.int64(0))
    numbers = with_entries({"w": value}, storage_data={key: _StorageInfo("x", numpy.int64(2**40), numpy.uint32(7))})
    yield "numpy_2_integers", numbers, dumps(numbers)
    older = dumps(numbers, 3).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    yield "numpy_1_integers", numbers, older

    lists = TensorStorageMetadata(TensorProperties(dtype=torch.float32, strides=[1]), [4], [ChunkStorageMetadata([0], [4])])
    yield "lists_for_sizes", with_entries({"w": lists}, storage_data=None), None
    hints = {
        MetadataIndex("a", torch.Size([0]), True): _StorageInfo("x", 0, 4),
        MetadataIndex("a", torch.Size([2]), False): _StorageInfo("x", 4, 4),
    }
    yield "hints_are_bools", with_entries({"a": rows(4, 2, 1)}, storage_data=hints), None
    paths = {MetadataIndex("a"): _StorageInfo(pathlib.PurePosixPath("d", "x"), 0, 4), MetadataIndex("b"): _StorageInfo("d/x", 4, 4)}
    yield "paths_for_texts", with_entries({"a": BytesStorageMetadata(), "b": BytesStorageMetadata()}, storage_data=paths), None


def keys_without_offset():
    """A tensor without dimensions is at offset (), which no MetadataIndex without an offset speaks of."""
    entries = {fqn: tensor(()) for fqn in "abcd"}
    data = {MetadataIndex(fqn, None, 0): _StorageInfo("x", 8 * i, 8) for i, fqn in enumerate(entries)}
    yield "scalars_without_offset", with_entries(entries, storage_data=data), None


# --- what fits no column ----------------------------------------------------------------------------------------------


def misfits():
    class Foreign:
        pass

    put_in("foreign.thing", Foreign)
    foreign = Foreign()
    foreign.me, foreign.items = foreign, [1, {"k": (1.5, b"\0", None, True)}]

    def entry(**changes):
        value = tensor((4,))
        for path, change in changes.items():
            *owners, last = path.split("__")
            owner = value
            for name in owners:
                owner = owner[int(name)] if name.isdigit() else getattr(owner, name)
            setattr(owner, last, change)
        return value

    entries = {
        "fits": tensor((4,)),
        "foreign": foreign,
        "none": None,
        "negative_size": entry(size=(-1,)),
        "huge_size": entry(size=(2**63,)),
        "float_size": entry(size=(1.5,)),
        "list_size": entry(size=[4]),
        "no_size": entry(),
        "extra": entry(extra=1),
        "tuple_chunks": entry(chunks=()),
        "other_chunk": entry(chunks=[1]),
        "chunk_of_other_rank": entry(chunks__0__sizes=torch.Size([1, 2])),
        "chunk_with_extra": entry(chunks__0__extra=1),
        "negative_offset": entry(chunks__0__offsets=torch.Size([-1])),
        "grad_is_int": entry(properties__requires_grad=1),
        "strides_of_other_rank": entry(properties__strides=(1, 2)),
        "list_strides": entry(properties__strides=[1]),
        7: tensor((4,)),
        (1, 2): BytesStorageMetadata(),
        None: foreign,
    }
    del entries["no_size"].size
    extra_bytes = BytesStorageMetadata()
    extra_bytes.note = "x"
    entries["bytes_with_extra"] = extra_bytes
    yield "misfit_entries", usual(state_dict_metadata=entries, planner_data=None, storage_data=None), None

    data = storage(usual().state_dict_metadata)
    info = lambda **changes: types.SimpleNamespace(**changes)
    data[MetadataIndex("a", torch.Size([-1]))] = _StorageInfo("x", 0, 1)
    data[MetadataIndex("b", None, 2**70)] = _StorageInfo("x", 0, 1)
    data[MetadataIndex(5)] = _StorageInfo("x", 0, 1)
    data["str"] = _StorageInfo("x", 0, 1)
    data[1] = _StorageInfo("x", 0, 1)
    data[MetadataIndex("c")] = _StorageInfo("x", -1, 1)
    data[MetadataIndex("d")] = _StorageInfo("x", 0, 2**64)
    data[MetadataIndex("negative length")] = _StorageInfo("x", 0, -1)
    data[MetadataIndex("no length")] = _StorageInfo("x", 0, 0)
    data[MetadataIndex("e")] = _StorageInfo(None, 0, 1)
    data[MetadataIndex("f")] = _StorageInfo("x", 0, 1.0)
    data[MetadataIndex("g")] = _StorageInfo("x", 0, 1, transform_descriptors="abc")
    data[MetadataIndex("h")] = info(relative_path="x", offset=0, length=1)
    data[MetadataIndex("i")] = "x"
    data[MetadataIndex("fits")] = _StorageInfo("x", 0, 1)
    yield "misfit_storage", usual(storage_data=data), None
    yield "storage_is_list", usual(storage_data=list(data.items())), None
    yield "version_is_tuple", usual(version=(1, 0)), None


makers = (
    protocols,
    ways_to_make_objects,
    enums_by_name,
    old_properties,
    other_projects,
    paths,
    unknown_types,
    chunks,
    names,
    planner,
    other_writers,
    other_types,
    keys_without_offset,
    misfits,
)


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*"):
        old.unlink()
    for make in makers:
        for name, metadata, data in make():
            (OUT / f"{name}.pickle").write_bytes(dumps(metadata) if data is None else data)
            described, _ = describe_metadata.describe(metadata)
            (OUT / f"{name}.json").write_text(json.dumps(described, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
