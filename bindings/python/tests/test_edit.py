"""Checkpoints made of others, how loads spread over a mesh, coverage, copies."""

import collections.abc
import copy
import pickle
import pydoc

import flatpoint
import pytest
from conftest import LLM, SAMPLES

NAME = "model.model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def checkpoint():
    return flatpoint.open(LLM)


def test_rename(checkpoint):
    renamed = checkpoint.rename({NAME: "q"})
    assert list(renamed) == ["q" if fqn == NAME else fqn for fqn in checkpoint]
    assert renamed["q"].shape == checkpoint[NAME].shape and renamed.verify().sound
    assert renamed.find("q", (0, 0)) == checkpoint.find(NAME, (0, 0))
    assert checkpoint.rename(lambda fqn: fqn.replace("model.", "", 1)).prefix("model.layers.")
    assert list(checkpoint.rename(lambda fqn: fqn if fqn == NAME else None)) == [NAME]
    with pytest.raises(KeyError, match="absent"):
        checkpoint.rename({"absent": "x"})
    with pytest.raises(flatpoint.Error) as raised:
        checkpoint.rename(lambda fqn: "one")
    assert raised.value.code == flatpoint.ErrorCode.CONFLICT
    with pytest.raises(ZeroDivisionError):
        checkpoint.rename(lambda fqn: 1 / 0)
    with pytest.raises(TypeError, match="str"):
        checkpoint.rename(lambda fqn: 3)


def test_keep_and_drop(checkpoint):
    kept = checkpoint.keep("model.*.q_proj.*", "*norm*")
    dropped = checkpoint.drop("model.*.q_proj.*", "*norm*")
    assert kept and dropped and set(kept) | set(dropped) == set(checkpoint) and not set(kept) & set(dropped)
    assert NAME in kept and kept[NAME].dtype == checkpoint[NAME].dtype
    for ask in (checkpoint.keep, checkpoint.drop):
        with pytest.raises(flatpoint.Error, match="no FQN matches 'nothing'") as raised:
            ask("nothing")
        assert raised.value.code == flatpoint.ErrorCode.NOT_FOUND
        with pytest.raises(TypeError, match="pattern"):
            ask()


def test_export(checkpoint, tmp_path):
    data = checkpoint.export(tmp_path / ".metadata")
    assert (tmp_path / ".metadata").read_bytes() == data and flatpoint.from_bytes(data) == checkpoint
    with pytest.raises(FileExistsError):
        checkpoint.export(tmp_path / ".metadata")
    assert checkpoint.export(tmp_path / ".metadata", overwrite=True) == data
    assert checkpoint.export(torch="2.14.1") == checkpoint.export(torch="2.14")
    with pytest.raises(ValueError, match="2.14"):
        checkpoint.export(torch="newest")
    with pytest.raises(ValueError, match="there are refuse, keep, drop"):
        checkpoint.export(opaque="burn")


def test_mesh(checkpoint):
    mesh = checkpoint.plan_mesh((4, 2), "S0,R")
    assert isinstance(mesh, collections.abc.Sequence) and len(mesh) == 8
    balance = mesh.balance()
    assert [load.needed_bytes for load in balance.ranks] == [plan.needed_bytes for plan in mesh]
    assert [load.items for load in balance.ranks] == [len(plan) for plan in mesh]
    assert balance.total.stored_bytes == sum(load.stored_bytes for load in balance.ranks)
    assert balance.ranks[balance.most_loaded_rank].stored_bytes == max(load.stored_bytes for load in balance.ranks)
    assert {load.relative_path for load in balance.files} == set(checkpoint.files)
    assert "8 ranks" in repr(mesh) and "items" in repr(mesh[0])
    for wrong in ("nonsense", "S0"):
        with pytest.raises(flatpoint.Error) as raised:
            checkpoint.plan_mesh((4, 2), wrong)
        assert raised.value.code == flatpoint.ErrorCode.INVALID_ARGUMENT


def test_coverage(checkpoint):
    report = checkpoint.coverage()
    assert report.tiles and report.tensors > 0 and report.not_tiled == 0 and report.findings == ()
    parts = flatpoint.open(SAMPLES / "d09_no_collectives", rank=1).coverage(max_findings=1)
    assert not parts.tiles and parts.not_tiled and {finding.kind for finding in parts.findings} == {"chunk_hole"}


def test_equality_and_copies(checkpoint, tmp_path):
    again = flatpoint.open(LLM)
    assert checkpoint == again and hash(checkpoint) == hash(again) and not checkpoint != again
    assert checkpoint != checkpoint.rename({NAME: "q"}) and checkpoint != dict(checkpoint) and checkpoint != 3
    pickled = pickle.loads(pickle.dumps(checkpoint))
    assert pickled == checkpoint and list(pickled) == list(checkpoint)
    for made in (copy.copy(checkpoint), copy.deepcopy(checkpoint)):
        assert made == checkpoint and made is not checkpoint
        made.close()
        assert not checkpoint.closed and checkpoint[NAME]
    again.close()
    assert again == again and again != checkpoint


def test_shown_in_notebooks(checkpoint):
    html = checkpoint._repr_html_()
    assert "21 FQNs" in html and "<td>bfloat16</td>" in html and "8192 × 8192" in html and "and 1 more" in html
    odd = checkpoint.rename({NAME: "<script>"})
    assert "<script>" not in odd._repr_html_() and "&lt;script&gt;" in odd._repr_html_() or "script" not in odd._repr_html_()
    checkpoint.close()
    assert "closed" in checkpoint._repr_html_()


def test_help_shows_arguments(checkpoint):
    text = pydoc.plain(pydoc.render_doc(flatpoint.Checkpoint))
    for shown in ("find(self", "fqn", "plan_mesh(self", "mesh", "*patterns", "drop_opaque", "overwrite"):
        assert shown in text, shown
    assert "path" in pydoc.render_doc(flatpoint.open)


def test_wrong_values_name_the_right_ones(checkpoint):
    with pytest.raises(ValueError, match="no kind 'text': there are tensor, bytes"):
        checkpoint.plan({NAME: flatpoint.Wanted(kind="text")})
    with pytest.raises(ValueError, match="float32"):
        checkpoint.plan({NAME: flatpoint.Wanted(dtype="torch.float32")})
