#!/usr/bin/env python3
"""Writes values.json: what PyTorch itself reads from the items of the samples. Needs PyTorch, safetensors and zstandard;
run it by hand.

Per sample and FQN: the CRC-32 and number of the bytes of the whole tensor, row-major; or a bytes item's value; or "torch
cannot" with what is odd about the item.
"""

import io
import json
import math
import pathlib
import pickle
import zlib

import safetensors.torch
import torch
from torch.distributed.checkpoint._extension import ExtensionRegistry
from torch.distributed.checkpoint.metadata import BytesStorageMetadata

HERE = pathlib.Path(__file__).parent
SAMPLES = HERE.parent / "samples"


def load(folder, info):
    with (folder / info.relative_path).open("rb") as file:
        file.seek(info.offset)
        stream = io.BytesIO(file.read(info.length))
    descriptors = getattr(info, "transform_descriptors", None) or []
    for transform in ExtensionRegistry().from_descriptor_list(descriptors):
        stream = io.BytesIO(transform.transform_from(stream).read())
    return torch.load(stream, map_location="cpu", weights_only=False)


def is_raw(folder, info):
    with (folder / info.relative_path).open("rb") as file:
        file.seek(info.offset + 8)
        return file.read(1) == b"{"


def load_raw(folder, info, fqn):
    """A tensor that torch wrote by SerializationFormat.SAFETENSORS, which its FileSystemReader cannot read."""
    content = (folder / info.relative_path).read_bytes()[info.offset :]
    return safetensors.torch.load(content)[fqn]


def as_json(value):
    """As flatpoint shows it; raises TypeError for what is not plain."""
    if isinstance(value, dict):
        return {as_key(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(type(value).__name__)


def as_key(key):
    return key if isinstance(key, str) else json.dumps(as_json(key))


def assemble(folder, metadata, fqn, tensor):
    whole = torch.empty(tensor.size, dtype=tensor.properties.dtype)
    by_offset = {tuple(i.offset): s for i, s in metadata.storage_data.items() if i.fqn == fqn}
    for chunk in tensor.chunks:
        info = by_offset[tuple(chunk.offsets)]
        part = load_raw(folder, info, fqn) if is_raw(folder, info) else load(folder, info)
        if part.is_quantized:
            raise TypeError("quantized")
        box = tuple(slice(o, o + s) for o, s in zip(chunk.offsets, chunk.sizes))
        if box:
            whole[box].copy_(part)
        else:
            whole = part.clone()
    data = whole.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return {"crc32": zlib.crc32(data), "bytes": len(data)}


def describe(folder):
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    values = {}
    for fqn, entry in metadata.state_dict_metadata.items():
        try:
            if isinstance(entry, BytesStorageMetadata):
                info = next(s for i, s in metadata.storage_data.items() if i.fqn == fqn)
                values[fqn] = {"value": as_json(load(folder, info))}
            else:
                values[fqn] = assemble(folder, metadata, fqn, entry)
        except Exception as error:  # noqa: BLE001 - whatever PyTorch raises is the answer
            values[fqn] = {"torch cannot": f"{type(error).__name__}: {error}".splitlines()[0][:120]}
    return values


def main():
    folders = sorted(path.parent for path in SAMPLES.glob("*/.metadata") if list(path.parent.glob("*.distcp")))
    values = {folder.name: describe(folder) for folder in folders}
    (HERE / "values.json").write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
