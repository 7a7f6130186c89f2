"""A `.metadata` like torch's, written without torch: classes of the same names with the same states. For names that no
model has, which torch's own planner would not flatten to."""

import enum
import pickle
import struct
import sys
import types

METADATA = "torch.distributed.checkpoint.metadata"


def make_class(module, name, bases=(object,), **members):
    made = type(name, bases, {"__module__": module, **members})
    return publish(module, name, made)


def publish(module, name, thing):
    sys.modules.setdefault(module, types.ModuleType(module))
    setattr(sys.modules[module], name, thing)
    return thing


def get_layout(name):
    raise NotImplementedError(name)


class Constant:
    """Something that a pickle names: torch.float32."""

    def __init__(self, module, name):
        self.__module__ = module
        self.name = name

    def __reduce__(self):
        return self.name


class Layout:
    def __reduce__(self):
        return get_layout, ("torch.strided",)


def with_state(cls, state):
    made = cls.__new__(cls)
    made.__dict__.update(state)
    return made


def metadata_with(names, stored=2, chunks=1, **attributes):
    """The pickle of a checkpoint with a float32 tensor under each name, of two elements per chunk. Chunks hold the first
    `stored` of theirs; those of one number lie in one file.
    `attributes` of Metadata are added; where both are dictionaries, their items."""
    saved = dict(sys.modules)
    try:
        return build(names, stored, chunks, attributes)
    finally:
        for module in set(sys.modules) - set(saved):
            del sys.modules[module]
        sys.modules.update(saved)


def build(names, stored, per_tensor, attributes):
    size = make_class("torch", "Size", (tuple,), __reduce__=lambda self: (type(self), (tuple(self),)))
    float32 = publish("torch", "float32", Constant("torch", "float32"))
    get_layout.__module__, get_layout.__qualname__ = "torch.serialization", "_get_layout"
    publish("torch.serialization", "_get_layout", get_layout)
    encoding = enum.Enum("_MEM_FORMAT_ENCODING", {"TORCH_CONTIGUOUS_FORMAT": 0}, module=METADATA)
    publish(METADATA, "_MEM_FORMAT_ENCODING", encoding)
    state = (float32, Layout(), False, encoding.TORCH_CONTIGUOUS_FORMAT, False, (1,))
    properties = make_class(METADATA, "TensorProperties", __getstate__=lambda self: state, __setstate__=None)
    tensor, chunk, index, whole = (
        make_class(METADATA, name) for name in ("TensorStorageMetadata", "ChunkStorageMetadata", "MetadataIndex", "Metadata")
    )
    info = make_class("torch.distributed.checkpoint.filesystem", "_StorageInfo")

    tensors, storage = {}, {}
    for position, name in enumerate(names):
        chunks = []
        for i in range(per_tensor):
            chunks.append(with_state(chunk, {"offsets": size([2 * i]), "sizes": size([stored])}))
            key = with_state(index, {"fqn": name, "index": i, "offset": size([2 * i])})
            storage[key] = with_state(info, {"relative_path": f"__{i}_0.distcp", "offset": 8 * position, "length": 8})
        tensors[name] = with_state(tensor, {"properties": properties(), "size": size([2 * per_tensor]), "chunks": chunks})
    planner_data = {name: tuple(name.split(".")) for name in names}
    fields = {"state_dict_metadata": tensors, "planner_data": planner_data, "storage_data": storage, "storage_meta": None}
    fields["version"] = "1.0.0"
    for name, value in attributes.items():
        fields[name] = fields[name] | value if isinstance(value, dict) and name in fields else value
    return pickle.dumps(with_state(whole, fields), protocol=4)


def with_attribute(metadata, name, value):
    """A pickle of Metadata with one more attribute, the last of its state: instructions that leave its value."""
    assert metadata.endswith(b"ub.")
    if metadata[2:3] == pickle.FRAME:  # one around all of so small a pickle
        metadata = metadata[:2] + metadata[11:]
    return metadata[:-2] + b"X" + struct.pack("<I", len(name)) + name.encode() + value + b"sb."
