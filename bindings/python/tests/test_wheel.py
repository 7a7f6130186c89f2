"""The wheel in an environment that has nothing else but what the wheel requires."""

import json
import os
import pathlib
import subprocess
import sys
import venv

import flatpoint
import pytest
from conftest import LLM

WHEELS = pathlib.Path(__file__).resolve().parents[3] / "build-python/wheel"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """The environment's folder of programs. pip finds out what the wheel requires."""
    (wheel,) = WHEELS.glob("flatpoint-*.whl")
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", folder / "bin/python"]
    subprocess.run([*pip, "install", "--quiet", wheel], env=ENVIRONMENT, check=True)
    return folder / "bin"


def run(*command, cwd="/"):
    return subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True)


def answer(python, code, *arguments):
    """What code prints as JSON."""
    done = run(python, "-c", code, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


INSTALLED = """
import importlib.metadata, json
print(json.dumps([each.name for each in importlib.metadata.distributions()]))
"""

LOOK = """
import json, sys
import flatpoint
with flatpoint.open(sys.argv[1]) as checkpoint:
    tensors = {fqn: entry for fqn, entry in checkpoint.items() if isinstance(entry, flatpoint.Tensor)}
    shapes = {fqn: tensor.shape for fqn, tensor in tensors.items()}
    storage = {fqn: checkpoint.find(fqn, tensor.chunks[-1].offsets) for fqn, tensor in tensors.items()}
    answer = [flatpoint.__version__, flatpoint.__file__, shapes, storage, checkpoint.verify().sound]
print(json.dumps([*answer, sorted({"torch", "numpy"} & set(sys.modules))]))
"""


def test_nothing_else_is_there(programs):
    assert answer(programs / "python", INSTALLED) == ["flatpoint"]


def test_a_checkpoint_is_read(programs):
    expected = json.loads((LLM.parent / "expected.json").read_text())
    version, home, shapes, storage, sound, others = answer(programs / "python", LOOK, LLM)
    assert version == flatpoint.__version__ and pathlib.Path(home).is_relative_to(programs.parent)
    tensors = {fqn: entry for fqn, entry in expected["state_dict_metadata"].items() if entry["kind"] == "tensor"}
    assert shapes == {fqn: entry["size"] for fqn, entry in tensors.items()} and shapes
    placed = {(item["fqn"], str(item["offset"])): item for item in expected["storage_data"]}
    last = {fqn: placed[fqn, str(entry["chunks"][-1][0])] for fqn, entry in tensors.items()}
    assert storage == {fqn: [i["relative_path"], i["byte_offset"], i["length"], None] for fqn, i in last.items()}
    assert sound and others == []


@pytest.mark.parametrize("tool", [["flatpoint"], ["python", "-m", "flatpoint"]], ids=["script", "module"])
def test_the_tool_runs(programs, folder, tool):
    tool = [programs / tool[0], *tool[1:]]
    assert run(*tool, "--version").stdout == f"flatpoint {flatpoint.__version__}\n"
    listed = run(*tool, "ls", folder, "--json").stdout
    assert {entry["fqn"] for entry in json.loads(listed)["entries"]} == set(flatpoint.open(folder))


def test_torch_is_asked_for_by_name(programs):
    done = run(programs / "python", "-c", "import flatpoint.torch")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "ModuleNotFoundError: flatpoint.torch needs PyTorch: pip install '.[torch]' in a clone of flatpoint, or torch itself\n"
    )
