"""The blocks of docs/python.md run as they stand, one after the other."""

import contextlib
import io
import re
import shutil

import flatpoint
from conftest import SAMPLES

PAGE = SAMPLES.parents[1] / "docs/python.md"
SAMPLE = SAMPLES / "s07_optimizer_bytes"
NAMES = {"model.0.weight": "model.embed.weight", "model.0.bias": "model.norm.weight"}  # with the shapes that the page speaks of


def test_blocks_run(tmp_path, monkeypatch):
    shutil.copytree(SAMPLE, tmp_path / "ckpt")
    sample = flatpoint.open(SAMPLE)
    sample.rename(NAMES).write(tmp_path / "ckpt/.metadata.flatpoint")
    (tmp_path / "ckpt/.metadata").unlink()
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 8
    names = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for number, block in enumerate(blocks):
            exec(compile(block, f"{PAGE.name}, block {number}", "exec"), names)
    whole = sample["model.0.weight"].numpy()
    assert names["rows"].tolist() == whole[:4].tolist() and names["block"].shape == (3, 8)
    assert names["mine"][:4].tolist() == whole[4:8].tolist() and names["mine"][8:12].tolist() == whole[:4].tolist()
    assert set(names["everything"]) == set(names["checkpoint"]) and names["step"] == sample["step"].value()
    assert names["bad"] == [] and names["small"].files == names["checkpoint"].files
