"""Samples that PyTorch wrote, and what plain unpickling by torch said of them."""

import json
import pathlib
import shutil

import pytest

SAMPLES = pathlib.Path(__file__).resolve().parents[3] / "tests/samples"
LLM = SAMPLES / "synthetic_w64_1000/.metadata"


def expectations():
    for path in sorted(SAMPLES.rglob("*expected.json")):
        stem = path.name.removesuffix("expected.json")
        source = path.with_name(stem + "metadata")
        yield source if source.exists() else path.with_name("." + stem + "metadata"), path


@pytest.fixture(params=[pytest.param(pair, id=str(pair[0].relative_to(SAMPLES))) for pair in expectations()], scope="module")
def sample(request):
    """(a `.metadata`, what it holds), once for each sample."""
    source, expected = request.param
    return source, json.loads(expected.read_text())


@pytest.fixture
def folder(tmp_path):
    """A checkpoint's folder: 21 tensors of 64 ranks, 1 024 chunks."""
    shutil.copy(LLM, tmp_path / ".metadata")
    return tmp_path
