"""Fixtures over the programs and modules that CMake builds from the folders of tests."""

import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def built(name):
    """Path of a built file. FLATPOINT_BUILD names the build's folder. Missing is a failure, never a skip."""
    path = ROOT / os.environ.get("FLATPOINT_BUILD", "build-dev") / "bin" / name
    if not path.exists():
        pytest.fail(f"{path} is not built: scripts/test torch builds it", pytrace=False)
    return path


@pytest.fixture(scope="module")
def answer(request):
    """Answers a list of cases, each [name, arguments...], in one process: of plan_cases in plan/, of torch_cases in torch/."""
    program = built(f"{request.path.parent.name}_cases")

    def run(cases):
        lines = "".join(json.dumps(case) + "\n" for case in cases)
        done = subprocess.run([program], input=lines, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(cases)
        return answers

    return run
