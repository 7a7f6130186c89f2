"""Value types against torch's own."""

import itertools
import random

import pytest
import torch
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING, MetadataIndex, TensorProperties


def attributes(kind):
    """Every attribute of torch of that type, aliases included: name and value."""
    return [(name, value) for name, value in vars(torch).items() if isinstance(value, kind)]


def short(value):
    return str(value).removeprefix("torch.")


def test_every_dtype_has_torchs_name_and_item_size(answer):
    [types] = answer([["types"]])
    expected = {short(dtype): dtype.itemsize for _, dtype in attributes(torch.dtype)}
    assert len(expected) > 40
    assert types["dtypes"] == expected


def test_every_alias_of_a_dtype(answer):
    names = attributes(torch.dtype)
    assert answer([["dtype_named", name] for name, _ in names]) == [short(dtype) for _, dtype in names]
    assert answer([["dtype_named", name] for name in ("", "float31", "strided", "FLOAT32", "torch.float32")]) == [None] * 5


def test_every_layout(answer):
    [types] = answer([["types"]])
    assert sorted(types["layouts"]) == sorted({short(layout) for _, layout in attributes(torch.layout)})


def test_memory_formats_have_dcps_numbers(answer):
    [types] = answer([["types"]])
    expected = []
    for member in _MEM_FORMAT_ENCODING:
        properties = TensorProperties.__new__(TensorProperties)
        properties.__setstate__((torch.int8, torch.strided, False, member, False))
        expected.append([short(properties.memory_format), member.value])
    assert types["memory_formats"] == expected


def test_contiguous_strides(answer):
    sizes = [list(size) for rank in range(5) for size in itertools.product((0, 1, 2, 7), repeat=rank)]
    expected = [list(torch.empty(size, device="meta").stride()) for size in sizes]
    assert answer([["strides", size] for size in sizes]) == expected


def test_metadata_index_equality_and_hash(answer):
    fields = [
        [fqn, offset, index] for fqn in ("a", "b", "") for offset in (None, [], [0], [0, 0], [-1], [2**63 - 1]) for index in (None, 0, 3)
    ]
    pairs = list(itertools.product(fields, repeat=2))
    expected = [MetadataIndex(*a) == MetadataIndex(*b) for a, b in pairs]
    hashes = [hash(MetadataIndex(*a)) == hash(MetadataIndex(*b)) for a, b in pairs]
    answers = answer([["indexes", a, b] for a, b in pairs])
    assert [equal for equal, _ in answers] == expected
    assert [same for _, same in answers] == hashes


def set_state(state):
    properties = TensorProperties.__new__(TensorProperties)
    properties.__setstate__(tuple(state))
    return properties


def test_states_of_five_and_six_fields(answer):
    pick = random.Random(5).choice
    cases = []
    for _ in range(300):
        state = [
            pick(attributes(torch.dtype))[1],
            pick(attributes(torch.layout))[1],
            pick((True, False)),
            pick(list(_MEM_FORMAT_ENCODING)),
            pick((True, False)),
            pick((None, (), (4, 1), (0, 0, 1))),
        ]
        cases.append(state[: pick((5, 6))])
    wire = [[short(s[0]), short(s[1]), s[2], s[3].value, s[4], *s[5:]] for s in cases]
    for state, got in zip(cases, answer([["state", case] for case in wire])):
        properties = set_state(state)
        back = properties.__getstate__()
        strides = properties.strides if properties.strides is None else list(properties.strides)
        assert got == {
            "dtype": short(properties.dtype),
            "layout": short(properties.layout),
            "requires_grad": properties.requires_grad,
            "memory_format": short(properties.memory_format),
            "pin_memory": properties.pin_memory,
            "strides": strides,
            "state": [short(back[0]), short(back[1]), back[2], back[3].value, back[4], strides],
        }


@pytest.mark.parametrize("fields", [0, 1, 4, 7, 9])
def test_another_number_of_fields(answer, fields):
    state = ["int8", "strided", False, 0, False, None, 1, 2, 3][:fields]
    with pytest.raises(ValueError) as error:
        set_state([torch.int8, torch.strided, False, _MEM_FORMAT_ENCODING(0), False, None, 1, 2, 3][:fields])
    [got] = answer([["state", state]])
    # Newer Pythons say how many there were, in both messages.
    assert got["error"].removesuffix(f", got {fields})") == str(error.value).removesuffix(")").removesuffix(f", got {fields}")


def test_an_encoding_that_is_no_member(answer):
    with pytest.raises(RuntimeError) as error:
        set_state((torch.int8, torch.strided, False, "0", False))
    assert answer([["state", ["int8", "strided", False, "0", False]]]) == [{"error": str(error.value)}]
