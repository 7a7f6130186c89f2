"""What each rank of a process group does in the tests."""

import os
import pathlib
import pickle
import shutil
import signal
import time
import warnings

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from flatpoint.torch import FileMetadata, FlatpointLoadPlanner, FlatpointReader, FlatpointWriter
from torch.distributed.checkpoint.default_planner import create_default_local_load_plan
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

warnings.filterwarnings("ignore")


def enter(rank, world, rendezvous, name, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world)
    try:
        globals()[name](folder)
        dist.barrier()
    finally:
        dist.destroy_process_group()


# --- a state dict of every kind of sharding ---------------------------------------------------------------------------

SHAPES = {"even": (8, 6), "uneven": (10, 3), "tiny": (3,), "columns": (4, 12), "replicated": (5,), "wide": (7, 33)}


def full(fqn):
    shape = SHAPES[fqn]
    return torch.arange(1, torch.Size(shape).numel() + 1, dtype=torch.float32).reshape(shape) * (1 + len(fqn))


def placements(fqn):
    return {"columns": Shard(1), "replicated": Replicate()}.get(fqn, Shard(0))


def make_state(filled, *, two_dimensions=False):
    """The state dict of this rank; `filled` with the values, else with zeros to load into."""
    world = dist.get_world_size()
    mesh = init_device_mesh("cpu", (world,))
    make = (lambda t: t) if filled else torch.zeros_like
    tensors = {fqn: distribute_tensor(make(full(fqn)), mesh, [placements(fqn)]) for fqn in SHAPES}
    if two_dimensions:
        grid = init_device_mesh("cpu", (2, world // 2))
        tensors["grid"] = distribute_tensor(make(full("wide")), grid, [Shard(0), Shard(1)])
        tensors["strided"] = distribute_tensor(make(full("wide")), grid, [Shard(0), Shard(0)])
    else:
        tensors["grid"] = distribute_tensor(make(full("wide")), mesh, [Shard(0)])
        tensors["strided"] = distribute_tensor(make(full("wide")), mesh, [Shard(1)])
    scalar = torch.tensor(3.0 if filled else 0.0)
    return {
        "model": tensors,
        "optimizer": {"state": [{"step": scalar, "plain": make(torch.arange(4.0))}], "name": "adam" if filled else ""},
        "epoch": 7 if filled else 0,
    }


def assert_loaded(state):
    for fqn, tensor in state["model"].items():
        expected = full("wide") if fqn in ("grid", "strided") else full(fqn)
        assert torch.equal(tensor.full_tensor(), expected), fqn
    optimizer = state["optimizer"]
    assert optimizer["state"][0]["step"] == 3.0 and torch.equal(optimizer["state"][0]["plain"], torch.arange(4.0))
    assert optimizer["name"] == "adam" and state["epoch"] == 7


# --- saving ------------------------------------------------------------------------------------------------------------


def save_with_torch(folder):
    dcp.save(make_state(True), checkpoint_id=folder)


def save_with_torch_2d(folder):
    dcp.save(make_state(True, two_dimensions=True), checkpoint_id=folder)


def eager_of(folder, rank=None):
    """What a `.metadata` holds; the rank's own, where one is named."""
    metadata = dcp.FileSystemReader(folder).read_metadata(**({} if rank is None else {"rank": rank}))
    metadata.storage_meta.load_id = None
    return metadata


def check_saved(metadata, folder):
    """What dcp.save returned on this rank says what the `.metadata` says."""
    eager = eager_of(folder)
    assert isinstance(metadata, Metadata)
    assert metadata == eager and eager == metadata
    assert (type(metadata) is FileMetadata) == (dist.get_rank() != 0)


def save_in_every_way(folder):
    folder = pathlib.Path(folder)
    check_saved(dcp.save(make_state(True), storage_writer=FlatpointWriter(folder / "plain")), folder / "plain")
    two = make_state(True, two_dimensions=True)
    check_saved(dcp.save(two, storage_writer=FlatpointWriter(folder / "two")), folder / "two")
    dist.barrier()
    load_into(make_state(False, two_dimensions=True), folder / "two")
    share(folder)
    cache_plans(folder)
    save_asynchronously(folder)


def remove(folder):
    """Rank 0 removes what the others may have mapped already, or not looked at."""
    dist.barrier()
    if dist.get_rank() == 0:
        shutil.rmtree(folder)
    dist.barrier()


def share(folder):
    """Metadata that is looked at when the coordinator's folder is not to be seen."""
    by_path = dcp.save(make_state(True), storage_writer=FlatpointWriter(folder / "path"))
    by_bytes = dcp.save(make_state(True), storage_writer=FlatpointWriter(folder / "bytes", share="bytes"))
    eager = eager_of(folder / "bytes")
    remove(folder / "path")
    remove(folder / "bytes")
    assert by_bytes == eager
    if dist.get_rank() == 0:
        assert len(by_path.state_dict_metadata) == len(eager.state_dict_metadata)
        return
    try:
        len(by_path.state_dict_metadata)
    except FileNotFoundError:
        return
    raise AssertionError("metadata of a folder that is gone")


def cache_plans(folder):
    for name in ("first", "second"):
        planner = dcp.DefaultSavePlanner(enable_plan_caching=True)
        metadata = dcp.save(make_state(True), storage_writer=FlatpointWriter(folder / name), planner=planner)
        check_saved(metadata, folder / name)
        if name == "first":
            remove(folder / name)
    dist.barrier()
    load(folder / "second")


def save_asynchronously(folder):
    future = dcp.async_save(make_state(True), storage_writer=FlatpointWriter(folder / "thread"))
    check_saved(future.result(), folder / "thread")
    dist.barrier()
    load(folder / "thread")


def save_in_a_process(folder):
    """Another process saves; what comes back from it is a place on every rank."""
    from torch.distributed.checkpoint.state_dict_saver import AsyncCheckpointerType

    kind = AsyncCheckpointerType.PROCESS
    for name, alone in (("together", False), ("alone", True)):
        writer = FlatpointWriter(f"{folder}/{name}")
        options = {"use_collectives": False} if alone else {}
        future = dcp.async_save(make_state(True), storage_writer=writer, async_checkpointer_type=kind, **options)
        metadata, own = future.result(), dist.get_rank() if alone else None
        assert type(metadata) is FileMetadata and metadata == eager_of(writer.path, own)
        dist.barrier()
        load(writer.path)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(13, 6)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(6, 6) for _ in range(2))
        self.head = torch.nn.Linear(6, 3, bias=False)

    def forward(self, x):
        x = self.embedding(x)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.head(x)


def make_model(seed, *, tensor_parallel=1):
    """A model and its optimizer: whole where there is one process, else sharded by FSDP2 over all ranks, or over what tensor
    parallelism leaves."""
    torch.manual_seed(seed)
    model = Model()
    if dist.is_initialized():
        world = dist.get_world_size()
        mesh = init_device_mesh("cpu", (world // tensor_parallel, tensor_parallel), mesh_dim_names=("dp", "tp"))
        if tensor_parallel > 1:
            parallelize_module(model, mesh["tp"], {"layers.0": ColwiseParallel(), "layers.1": RowwiseParallel()})
        for layer in model.layers:
            fully_shard(layer, mesh=mesh["dp"])
        fully_shard(model, mesh=mesh["dp"])
    return model, torch.optim.AdamW(model.parameters(), lr=0.1, foreach=False)


def take_steps(model, optimizer, steps):
    for step in steps:
        model(torch.arange(8) + step).sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def train(steps, *, tensor_parallel=1):
    model, optimizer = make_model(steps, tensor_parallel=tensor_parallel)
    take_steps(model, optimizer, range(steps))
    return model, optimizer


def gathered(value):
    if isinstance(value, dict):
        return {key: gathered(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [gathered(item) for item in value]
    return value.full_tensor() if isinstance(value, DTensor) else value


def assert_same(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def save_fsdp(folder):
    """Sharded by FSDP2 alone, and by FSDP2 over tensor parallelism."""
    for name, tensor_parallel in (("fsdp", 1), ("fsdp_tp", 2)):
        model, optimizer = train(3, tensor_parallel=tensor_parallel)
        model_state, optimizer_state = get_state_dict(model, optimizer)
        state = {"model": model_state, "optimizer": optimizer_state}
        dcp.save(state, storage_writer=FlatpointWriter(f"{folder}/{name}", write_pickle=False))
        everything = gathered(state)
        if dist.get_rank() == 0:
            torch.save(everything, f"{folder}/{name}/expected.pt")
            placements = {len(tensor.placements) for tensor in model_state.values() if isinstance(tensor, DTensor)}
            assert placements == ({1} if tensor_parallel == 1 else {1, 2})


def load_fsdp(folder):
    """On another number of ranks, into a model in another state."""
    for name in ("fsdp", "fsdp_tp"):
        model, optimizer = train(1)
        model_state, optimizer_state = get_state_dict(model, optimizer)
        state = {"model": model_state, "optimizer": optimizer_state}
        dcp.load(state, storage_reader=FlatpointReader(f"{folder}/{name}"), planner=FlatpointLoadPlanner())
        set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
        loaded = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer)))
        assert_same(gathered(loaded), torch.load(f"{folder}/{name}/expected.pt", weights_only=False))


class DyingPlanner(dcp.DefaultSavePlanner):
    """Rank 1 is killed while the data is written."""

    def resolve_data(self, write_item):
        if dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().resolve_data(write_item)


class DyingWriter(FlatpointWriter):
    """The coordinator is killed before its flatpoint file is written."""

    def _replace(self, name, data, time=None):
        os.kill(os.getpid(), signal.SIGKILL)


def save_then_die(folder, **how):
    folder = pathlib.Path(folder)
    metadata = dcp.save(make_state(True), storage_writer=FlatpointWriter(folder))
    if dist.get_rank() == 0:
        (folder / "save_id").write_text(metadata.storage_meta.save_id)
    dist.barrier()
    dcp.save(make_state(True), **({"storage_writer": FlatpointWriter(folder)} | how))


def save_then_die_in_the_data(folder):
    save_then_die(folder, planner=DyingPlanner())


def save_then_die_in_the_metadata(folder):
    save_then_die(folder, storage_writer=DyingWriter(folder, write_pickle=False))


# --- saving alone ------------------------------------------------------------------------------------------------------


def save_alone(folder, *, in_a_thread=False):
    save = dcp.async_save if in_a_thread else dcp.save
    metadata = save(make_state(True), storage_writer=FlatpointWriter(folder), use_collectives=False)
    metadata = metadata.result() if in_a_thread else metadata
    own = eager_of(folder, dist.get_rank())
    assert metadata == own and pickle.loads(pickle.dumps(metadata)) == own


def save_alone_in_every_way(folder):
    save_alone(f"{folder}/ours")
    save_alone(f"{folder}/thread", in_a_thread=True)
    dcp.save(make_state(True), checkpoint_id=f"{folder}/torch", use_collectives=False)
    assert loads_with_torch(f"{folder}/torch")
    planner = dcp.DefaultSavePlanner(dedup_save_to_lowest_rank=True)
    dcp.save(make_state(True), storage_writer=FlatpointWriter(f"{folder}/together"), planner=planner)


def load_alone_in_every_way(folder):
    for name in ("ours", "thread", "torch", "flatpoint_only", "merged"):
        load(f"{folder}/{name}")
        load_into(make_state(False), f"{folder}/{name}")
    assert not loads_with_torch(f"{folder}/torch")
    if dist.get_world_size() == 2:
        save_alone(f"{folder}/fewer")
        save_and_load_on_own_disks(f"{folder}/own")
    else:
        load(f"{folder}/fewer")


def loads_with_torch(folder):
    """Whether every rank has, by DCP's own reader, what was saved."""
    state = make_state(False)
    dcp.load(state, checkpoint_id=folder)
    try:
        assert_loaded(state)
    except AssertionError:
        return False
    return True


def save_alone_then_die(folder):
    """Over an older save. The others finish first: nothing that they do waits for the one that dies."""
    save_alone(folder)
    dist.barrier()
    if dist.get_rank() == 1:
        wait_until_changed([pathlib.Path(folder, f"__{rank}.metadata.flatpoint") for rank in (0, 2, 3)])
    dcp.save(make_state(True), storage_writer=FlatpointWriter(folder), planner=DyingPlanner(), use_collectives=False)


def wait_until_changed(paths):
    before = [path.stat().st_ino for path in paths]
    for _ in range(1200):
        if all(path.exists() and path.stat().st_ino != inode for path, inode in zip(paths, before)):
            return
        time.sleep(0.05)


def save_and_load_on_own_disks(folder):
    own = pathlib.Path(folder, str(dist.get_rank()))
    dcp.save(make_state(True), storage_writer=FlatpointWriter(own), use_collectives=False)
    state = make_state(False)
    dcp.load(state, storage_reader=FlatpointReader(own, rank_local=True))
    assert_loaded(state)


# --- loading -----------------------------------------------------------------------------------------------------------


def load_into(state, folder):
    dcp.load(state, storage_reader=FlatpointReader(folder), planner=FlatpointLoadPlanner())
    assert_loaded(state)


def load(folder):
    state = make_state(False)
    dcp.load(state, storage_reader=FlatpointReader(folder))
    assert_loaded(state)


def same_items_as_torch(folder):
    metadata = FlatpointReader(folder).read_metadata()
    planner = FlatpointLoadPlanner()
    planner.set_up_planner(make_state(False), metadata, dist.get_rank() == 0)
    ours = planner.create_local_plan().items
    theirs = create_default_local_load_plan(planner.state_dict, eager_of(folder)).items
    assert len(ours) == len(theirs) and ours
    assert sorted(map(repr_of, ours)) == sorted(map(repr_of, theirs))


def repr_of(item):
    """A read item less the hint at the saved chunk's number, which takes no part in equality."""
    dest, storage = item.dest_index, item.storage_index
    return repr((item.type, dest.fqn, dest.offset, dest.index, item.dest_offsets, storage.fqn, storage.offset,
                 item.storage_offsets, item.lengths))  # fmt: skip


def load_otherwise_placed(folder, planner):
    """Each tensor placed as it was not saved: what was sharded is whole, or sharded otherwise; what was whole is sharded."""
    world = dist.get_world_size()
    mesh = init_device_mesh("cpu", (world,))
    grid = init_device_mesh("cpu", (1, world))
    for places, on in (([Replicate()], mesh), ([Shard(0)], mesh), ([Shard(-1)], mesh), ([Replicate(), Shard(0)], grid),
                       ([Shard(0), Shard(0)], grid), ([Shard(0), Replicate()], grid), (None, None)):  # fmt: skip
        zeros = {fqn: torch.zeros(shape) for fqn, shape in SHAPES.items()}
        tensors = zeros if places is None else {fqn: distribute_tensor(zero, on, places) for fqn, zero in zeros.items()}
        dcp.load({"model": tensors}, storage_reader=FlatpointReader(folder), planner=planner)
        for fqn, tensor in tensors.items():
            assert torch.equal(tensor.full_tensor() if isinstance(tensor, DTensor) else tensor, full(fqn)), (fqn, places)


def load_everything(folder):
    load(folder)
    load_into(make_state(False), folder)
    load_otherwise_placed(folder, None)
    load_otherwise_placed(folder, FlatpointLoadPlanner())
    same_items_as_torch(folder)
