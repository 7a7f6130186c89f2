"""A training job that torchrun starts, and again with fewer ranks, of which one is killed."""

import pathlib
import re
import subprocess
import sys

import flatpoint
import pytest
import torch
import training
from ranks import make_model, take_steps
from torch.distributed.checkpoint.state_dict import get_state_dict

SCRIPT = pathlib.Path(training.__file__)


def torchrun(ranks, *arguments):
    """Its exit status, at which step its ranks began, and what went wrong."""
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    run = subprocess.run([*command, SCRIPT, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    return run.returncode, sorted(re.findall(r"rank \d of \d begins at step \d", run.stdout)), run.stderr


def begins(ranks, step):
    return [f"rank {rank} of {ranks} begins at step {step}" for rank in range(ranks)]


def assert_trained(folder, steps):
    """What one process loads is what one process, without shards or checkpoints, comes to in as many steps."""
    expected, loaded = make_model(training.SEED), make_model(0)
    take_steps(*expected, range(steps))
    assert training.load(folder, *loaded) == steps
    (model, optimizer), (model_there, optimizer_there) = (get_state_dict(*made) for made in (expected, loaded))
    assert optimizer["state"]["head.weight"]["exp_avg"].abs().max() > 0
    torch.testing.assert_close((model_there, optimizer_there["state"]), (model, optimizer["state"]))
    assert optimizer_there["param_groups"] == optimizer["param_groups"]


@pytest.mark.since(2, 7)  # older FSDP2 does not train on a CPU
def test_a_job_and_its_checkpoints(tmp_path):
    """Each goes on where the last whole checkpoint ends; a save that was cut short is none, and harms none."""
    assert torchrun(4, tmp_path, 2)[:2] == (0, begins(4, 0))
    assert_trained(tmp_path / "step-2", 2)

    status, ranks, errors = torchrun(2, tmp_path, 4, "--die")
    assert status != 0 and re.search(r"rank\s*: 1 .*exitcode\s*: -9", errors, re.DOTALL), errors
    assert ranks == begins(2, 2)
    assert_trained(tmp_path / "step-3", 3)
    assert flatpoint.open(tmp_path / "step-3").origin == "flatpoint" and flatpoint.open(tmp_path / "step-3").verify().sound

    assert {path.suffix for path in (tmp_path / "step-4").iterdir()} == {".distcp"}
    with pytest.raises(flatpoint.NotFoundError):
        flatpoint.open(tmp_path / "step-4")
    assert training.newest(tmp_path) == tmp_path / "step-3"
