"""The state dict that the benchmarks save: a large language model under FSDP2 with AdamW, as names, shapes and shards.

Knows nothing of PyTorch, so that both writers of `.metadata` files (make_metadata.py, stream_metadata.py) start from it.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

DENSE_LAYERS = 80  # up to here a model like LLaMA 70B; more parameters than that make a mixture of experts
EXPERT_LAYERS = 61
ITEM_SIZE = {"bfloat16": 2, "float32": 4}
TENSOR_HEADER = 1325  # bytes that torch.save adds to a small tensor
BYTES_LENGTH = 1261  # what a pickled number takes


class Item(NamedTuple):
    path: tuple  # of str and int: planner data
    shape: tuple | None  # None: a plain value, saved as bytes
    dtype: str
    sharded: bool

    @property
    def fqn(self) -> str:
        return ".".join(map(str, self.path))


def parameters(count: int) -> Iterator[tuple[str, tuple]]:
    """The first `count` parameters: name and shape."""
    dense = count <= DENSE_LAYERS * 9 + 1
    hidden, wide, kv, vocabulary = (8192, 28672, 1024, 128256) if dense else (7168, 18432, 1536, 129280)
    experts = 0 if dense else max(1, -(-(count // EXPERT_LAYERS - 7) // 3))
    yield "model.embed_tokens.weight", (vocabulary, hidden)
    layer = 0
    left = count - 1
    while left > 0:
        prefix = f"model.layers.{layer}"
        names = [(f"{prefix}.self_attn.{n}_proj.weight", (kv if n in "kv" else hidden, hidden)) for n in "qkvo"]
        if dense:
            names += [(f"{prefix}.mlp.{n}_proj.weight", (hidden, wide) if n == "down" else (wide, hidden)) for n in ("gate", "up", "down")]
        else:
            names.append((f"{prefix}.mlp.gate.weight", (256, hidden)))
            for expert in range(experts):
                names += [
                    (f"{prefix}.mlp.experts.{expert}.{n}_proj.weight", (hidden, 2048) if n == "down" else (2048, hidden))
                    for n in ("gate", "up", "down")
                ]
        names += [(f"{prefix}.input_layernorm.weight", (hidden,)), (f"{prefix}.post_attention_layernorm.weight", (hidden,))]
        yield from names[:left]
        left -= len(names)
        layer += 1


def state_dict(parameter_count: int) -> Iterator[Item]:
    """Every entry of the flattened state dict, in its order."""
    model = list(parameters(parameter_count))
    for name, shape in model:
        yield Item(("model", name), shape, "bfloat16", True)
    for name, shape in model:
        yield Item(("optimizer", "state", name, "step"), (), "float32", False)
        yield Item(("optimizer", "state", name, "exp_avg"), shape, "float32", True)
        yield Item(("optimizer", "state", name, "exp_avg_sq"), shape, "float32", True)
    for group in (0, 1):
        for key in (
            "lr",
            "betas",
            "eps",
            "weight_decay",
            "amsgrad",
            "maximize",
            "foreach",
            "capturable",
            "differentiable",
            "fused",
            "decoupled_weight_decay",
            "params",
        ):
            yield Item(("optimizer", "param_groups", group, key), None, "", False)
    for key in ("last_epoch", "_step_count", "_last_lr"):
        yield Item(("lr_scheduler", key), None, "", False)
    for key in ("step", "rng_state", "data_loader"):
        yield Item((key,), None, "", False)


def parameter_count(chunks: int, shards: int) -> int:
    """How many parameters give about that many chunks: weight and two moments in `shards` each, and a step."""
    return max(1, round(chunks / (3 * shards + 1)))


def shard(shape: tuple, rank: int, shards: int) -> tuple[tuple, tuple]:
    """Offsets and sizes of a rank's shard under Shard(0), as torch.chunk cuts: ceil division, the last ones short or empty."""
    step = -(-shape[0] // shards)
    begin = min(shape[0], rank * step)
    end = min(shape[0], begin + step)
    return (begin,) + (0,) * (len(shape) - 1), (end - begin,) + shape[1:]


def contiguous_strides(shape: tuple) -> tuple:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def tensor_length(item: Item, sizes: tuple | None = None) -> int:
    """Bytes of a tensor (of a shard with those sizes); 0 for a plain value."""
    return 0 if item.shape is None else math.prod(item.shape if sizes is None else sizes) * ITEM_SIZE[item.dtype]


def stored_length(item: Item, sizes: tuple | None) -> int:
    """Bytes that an item takes in its data file."""
    return BYTES_LENGTH if item.shape is None else tensor_length(item, sizes) + TENSOR_HEADER


def checkpoint_path(chunks: int) -> str:
    return f"/checkpoints/llm/step_{chunks}"
