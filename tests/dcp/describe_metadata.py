"""What a metadata file must say of a torch Metadata object, in the form of describe.cpp."""

import collections
import pathlib

import torch
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    MetadataIndex,
    StorageMeta,
    TensorStorageMetadata,
)

ABSENT = object()
DICTS = (dict, collections.OrderedDict)
PATHS = (pathlib.PosixPath, pathlib.PurePosixPath, pathlib.WindowsPath, pathlib.PureWindowsPath)


def text(value):
    data = value.encode("utf-8", "surrogatepass")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "hex:" + data.hex()


def class_name(cls):
    return f"{cls.__module__} {cls.__qualname__}"


def is_integer(value):
    """An int, or what is equal to one: a bool, an integer of numpy."""
    return type(value) in (int, bool) or (type(value).__module__ == "numpy" and hasattr(value, "__index__"))


def is_number(value):
    return is_integer(value) and 0 <= value < 2**63


def is_size(value):
    """torch.Size, a tuple of numbers, which is equal to it, or a list, which is not."""
    return type(value) in (torch.Size, tuple, list) and all(is_number(n) for n in value)


def has_only(obj, names):
    return set(vars(obj)) <= set(names)


def fits_chunk(chunk, rank):
    return (
        type(chunk) is ChunkStorageMetadata
        and set(vars(chunk)) == {"offsets", "sizes"}
        and all(is_size(part) and len(part) == rank for part in (chunk.offsets, chunk.sizes))
    )


def fits_tensor(value):
    if type(value) is not TensorStorageMetadata or set(vars(value)) != {"properties", "size", "chunks"}:
        return False
    properties = value.properties
    if type(properties).__name__ != "TensorProperties" or not is_size(value.size) or type(value.chunks) is not list:
        return False
    strides = getattr(properties, "strides", None)
    if strides is not None and not (is_size(strides) and len(strides) == len(value.size)):
        return False
    if type(properties.requires_grad) is not bool or type(properties.pin_memory) is not bool:
        return False
    return all(fits_chunk(chunk, len(value.size)) for chunk in value.chunks)


def describe_tensor(value):
    properties = value.properties
    strides = getattr(properties, "strides", None)
    return {
        "kind": "tensor",
        "dtype": str(properties.dtype),
        "layout": str(properties.layout),
        "requires_grad": properties.requires_grad,
        "memory_format": str(properties.memory_format),
        "pin_memory": properties.pin_memory,
        "strides": None if strides is None else [int(n) for n in strides],
        "size": [int(n) for n in value.size],
        "chunks": [[[int(n) for n in c.offsets], [int(n) for n in c.sizes]] for c in value.chunks],
    }


def fits_storage_meta(meta):
    if type(meta) is not StorageMeta or not has_only(meta, ("checkpoint_id", "save_id", "load_id", "modules")):
        return False
    ids = [vars(meta).get(name) for name in ("checkpoint_id", "save_id", "load_id")]
    if type(ids[0]) in PATHS:
        ids[0] = None
    modules = vars(meta).get("modules", [])
    return all(i is None or type(i) is str for i in ids) and type(modules) is list and all(type(m) is str for m in modules)


def describe_storage_meta(meta):
    checkpoint_id = vars(meta).get("checkpoint_id")
    out = {
        "checkpoint_id": None if checkpoint_id is None else text(str(checkpoint_id)),
        "save_id": meta.save_id,
        "load_id": meta.load_id,
    }
    if "modules" in vars(meta):
        out["modules"] = [text(m) for m in meta.modules]
    out["checkpoint_id_type"] = type(checkpoint_id).__name__
    return out


def fits_path(path, fqn):
    if type(path) is not tuple or not all(type(e) is str or (type(e) is int and -(2**63) <= e < 2**63) for e in path):
        return False
    return ".".join(map(str, path)) == fqn


def fits_key(key):
    if type(key) is not MetadataIndex or not has_only(key, ("fqn", "offset", "index")) or type(key.fqn) is not str:
        return False
    hint = key.index
    if hint is not None and not (is_integer(hint) and -(2**63) <= hint < 2**63):
        return False
    return key.offset is None or is_size(key.offset)


def fits_info(info):
    fields = {"relative_path", "offset", "length", "transform_descriptors"}
    if not hasattr(info, "__dict__") or not fields - {"transform_descriptors"} <= set(vars(info)) <= fields:
        return False
    transforms = vars(info).get("transform_descriptors")
    if transforms is not None and not (type(transforms) in (list, tuple) and all(type(t) is str for t in transforms)):
        return False
    return type(info.relative_path) in (str, *PATHS) and is_number(info.offset) and is_number(info.length)


def describe_info(key, info):
    transforms = vars(info).get("transform_descriptors")
    return {
        "fqn": text(key.fqn),
        "offset": None if key.offset is None else [int(n) for n in key.offset],
        "index": None if key.index is None else int(key.index),
        "relative_path": text(str(info.relative_path)),
        "byte_offset": int(info.offset),
        "length": int(info.length),
        "transforms": None if transforms is None else [text(t) for t in transforms],
    }


def describe(metadata):
    """The description, and the objects of its opaque records in the same order."""
    opaque = []
    attributes = dict(vars(metadata))
    entries = attributes.pop("state_dict_metadata")
    planner = attributes.pop("planner_data", None)
    storage = attributes.pop("storage_data", None)
    meta = attributes.pop("storage_meta", None)
    version = attributes.pop("version", None)

    for position, (name, value) in enumerate(attributes.items()):
        opaque.append(("Attribute", position, name, value))

    described = []
    for position, (fqn, value) in enumerate(entries.items()):
        if type(fqn) is not str:
            opaque.append(("StateDictItem", position, "", (fqn, value)))
        elif type(value) is BytesStorageMetadata and not vars(value):
            described.append([text(fqn), {"kind": "bytes"}])
        elif fits_tensor(value):
            described.append([text(fqn), describe_tensor(value)])
        else:
            described.append([text(fqn), {"kind": "opaque"}])
            opaque.append(("StateDictValue", position, fqn, value))

    paths = None
    if type(planner) in DICTS:
        paths = []
        for position, (fqn, path) in enumerate(planner.items()):
            if type(fqn) is str and fqn in entries and fits_path(path, fqn):
                paths.append([text(fqn), [e if type(e) is int else text(e) for e in path]])
            else:
                opaque.append(("PlannerItem", position, "", (fqn, path)))
    elif planner is not None:
        opaque.append(("PlannerData", 0, "", planner))

    infos, info_class = None, None
    if type(storage) in DICTS:
        infos = []
        for position, (key, info) in enumerate(storage.items()):
            if fits_key(key) and fits_info(info) and info_class in (None, type(info)):
                info_class = type(info)
                infos.append(describe_info(key, info))
            else:
                opaque.append(("StorageItem", position, "", (key, info)))
    elif storage is not None:
        opaque.append(("StorageData", 0, "", storage))

    described_meta = None
    if meta is not None and fits_storage_meta(meta):
        described_meta = describe_storage_meta(meta)
    elif meta is not None:
        opaque.append(("StorageMeta", 0, "", meta))
    if version is not None and type(version) is not str:
        opaque.append(("Version", 0, "", version))
        version = None

    own_class = "torch.distributed.checkpoint.filesystem _StorageInfo"
    kinds = ["Attribute", "StateDictItem", "StateDictValue", "PlannerData", "PlannerItem", "StorageData", "StorageItem"]
    opaque.sort(key=lambda record: (kinds + ["StorageMeta", "Version"]).index(record[0]))
    description = {
        "root": class_name(type(metadata)),
        "version": None if version is None else text(version),
        "storage_meta": described_meta,
        "planner_data": paths,
        "state_dict_metadata": described,
        "storage_data": infos,
        "storage_info_class": None if info_class is None or class_name(info_class) == own_class else class_name(info_class),
        "opaque": [{"kind": kind, "position": position, "name": text(name)} for kind, position, name, _ in opaque],
    }
    return description, [record[3] for record in opaque]
