"""A training job as users write it, and start it with torchrun:

    torchrun --standalone --nproc-per-node=N training.py FOLDER STEPS [--die]

It goes on from the newest checkpoint in the folder, and saves `step-N` after each step. With --die, rank 1 is killed during
the last save.
"""

import pathlib
import sys

import flatpoint
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from flatpoint.torch import FlatpointReader, FlatpointWriter
from ranks import DyingPlanner, make_model, take_steps
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

SEED = 5


def state_of(model, optimizer, step):
    model_state, optimizer_state = get_state_dict(model, optimizer)
    return {"model": model_state, "optimizer": optimizer_state, "step": step}


def load(folder, model, optimizer):
    """The step that was saved there."""
    state = state_of(model, optimizer, 0)
    dcp.load(state, storage_reader=FlatpointReader(folder))
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    return state["step"]


def newest(folder):
    """The newest checkpoint that is there as a whole, or None."""
    for path in sorted(folder.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")), reverse=True):
        try:
            flatpoint.open(path).close()
        except flatpoint.NotFoundError:
            continue
        return path
    return None


def main(folder, steps, *options):
    dist.init_process_group("gloo")
    folder, steps = pathlib.Path(folder), int(steps)
    model, optimizer = make_model(SEED)
    start = newest(folder)
    first = load(start, model, optimizer) if start else 0
    print(f"rank {dist.get_rank()} of {dist.get_world_size()} begins at step {first}", flush=True)
    for step in range(first, steps):
        take_steps(model, optimizer, [step])
        planner = DyingPlanner() if "--die" in options and step + 1 == steps else None
        state = state_of(model, optimizer, step + 1)
        dcp.save(state, storage_writer=FlatpointWriter(folder / f"step-{step + 1}"), planner=planner)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
