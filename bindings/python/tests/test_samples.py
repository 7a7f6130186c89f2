"""Every fact of every sample, against what torch said of it."""

import flatpoint
import pytest


@pytest.fixture(params=["pickle", "flatpoint"])
def opened(request, sample, tmp_path):
    source, expected = sample
    checkpoint = flatpoint.open(source)
    if request.param == "flatpoint":
        checkpoint.write(tmp_path / "x.flatpoint")
        checkpoint = flatpoint.open(tmp_path / "x.flatpoint")
    assert checkpoint.origin == request.param
    return checkpoint, expected


def describe(entry):
    """An entry in the form of expected.json."""
    if isinstance(entry, flatpoint.Bytes):
        return {"kind": "bytes"}
    properties = entry.properties
    assert properties.dtype == entry.dtype
    return {
        "kind": "tensor",
        "dtype": f"torch.{properties.dtype}",
        "layout": f"torch.{properties.layout}",
        "requires_grad": properties.requires_grad,
        "memory_format": f"torch.{properties.memory_format}",
        "pin_memory": properties.pin_memory,
        "strides": None if properties.strides is None else list(properties.strides),
        "size": list(entry.shape),
        "chunks": [[list(chunk.offsets), list(chunk.sizes)] for chunk in entry.chunks],
    }


def test_entries(opened):
    checkpoint, expected = opened
    described = {fqn: describe(entry) for fqn, entry in checkpoint.items()}
    assert list(described) == list(expected["state_dict_metadata"])
    assert described == expected["state_dict_metadata"]
    assert all(entry.fqn == fqn for fqn, entry in checkpoint.items())


def test_storage(opened):
    checkpoint, expected = opened
    for item in expected["storage_data"]:
        transforms = item["transforms"]
        assert checkpoint.find(item["fqn"], item["offset"]) == (
            item["relative_path"],
            item["byte_offset"],
            item["length"],
            None if transforms is None else tuple(transforms),
        )
    assert set(checkpoint.files) == {item["relative_path"] for item in expected["storage_data"]}


def test_chunks_know_where_they_lie(opened):
    checkpoint, _ = opened
    for entry in checkpoint.values():
        if isinstance(entry, flatpoint.Tensor):
            for chunk in entry.chunks:
                assert chunk.storage == checkpoint.find(entry.fqn, chunk.offsets)
        else:
            assert entry.storage == checkpoint.find(entry.fqn)


def test_whole(opened):
    checkpoint, expected = opened
    assert checkpoint.version == expected["version"]
    meta = expected["storage_meta"]
    if meta is None:
        assert checkpoint.storage_meta is None
    else:
        assert checkpoint.storage_meta[:4] == tuple(meta[name] for name in ("checkpoint_id", "checkpoint_id_type", "save_id", "load_id"))
        modules = meta.get("modules")
        assert checkpoint.storage_meta.modules == (None if modules is None else tuple(modules))
    assert checkpoint.verify().sound


def test_planner_paths(opened):
    checkpoint, expected = opened
    paths = expected["planner_data"]
    for fqn in checkpoint:
        path = checkpoint.planner_path(fqn)
        assert path == (tuple(paths[fqn]) if paths and fqn in paths else None)
