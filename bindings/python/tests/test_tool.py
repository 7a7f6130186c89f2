"""The tool as a console script and as `python -m flatpoint`."""

import json
import pathlib
import subprocess
import sys
import sysconfig

import flatpoint
import pytest

SCRIPT = pathlib.Path(sysconfig.get_path("scripts")) / "flatpoint"


@pytest.mark.parametrize("tool", [[SCRIPT], [sys.executable, "-m", "flatpoint"]], ids=["script", "module"])
def test_tool(tool, folder):
    version = subprocess.run([*tool, "--version"], capture_output=True, text=True, check=True).stdout
    assert version == f"flatpoint {flatpoint.__version__}\n"
    subprocess.run([*tool, "import", folder], capture_output=True, check=True)
    listed = subprocess.run([*tool, "ls", folder, "--json"], capture_output=True, text=True, check=True).stdout
    assert [entry["fqn"] for entry in json.loads(listed)["entries"]] == list(flatpoint.open(folder).prefix(""))
    absent = subprocess.run([*tool, "find", folder, "absent"], capture_output=True, check=False)
    assert absent.returncode == 1
