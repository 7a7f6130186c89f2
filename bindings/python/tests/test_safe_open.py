"""flatpoint.safe_open beside safetensors' own."""

import flatpoint
import numpy
import pytest
import safetensors.numpy
from conftest import SAMPLES

import safetensors

SAMPLE = SAMPLES / "d02_dtensor_2d"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A checkpoint, and its tensors in a file of safetensors."""
    path = tmp_path_factory.mktemp("safe") / "x.safetensors"
    checkpoint = flatpoint.open(SAMPLE)
    safetensors.numpy.save_file(checkpoint.read(checkpoint), path)
    with flatpoint.safe_open(SAMPLE, framework="np") as ours, safetensors.safe_open(path, framework="np") as theirs:
        yield ours, theirs


def test_names_and_tensors(both):
    ours, theirs = both
    assert sorted(ours.keys()) == sorted(theirs.keys()) == sorted(ours.offset_keys()) and ours.metadata() is None
    everything = ours.get_tensors()
    for name in theirs.keys():
        expected = theirs.get_tensor(name)
        for got in (ours.get_tensor(name), everything[name]):
            assert got.dtype == expected.dtype and numpy.array_equal(got, expected)
        assert ours.get_slice(name).get_shape() == theirs.get_slice(name).get_shape()
        assert ours.get_slice(name).get_dtype() == theirs.get_slice(name).get_dtype() == "F32"


def test_slices(both):
    ours, theirs = both
    indices = (0, -1, slice(1, 3), slice(None), slice(2, None), slice(0, 99), slice(-2, None), slice(None, None, 2), ..., ())
    indices += ((0, 1), (0, slice(1, 2)), (slice(None), -1), (..., 0), (0, ...), (slice(1, 2), ..., slice(0, 1)), numpy.int64(1))
    compared = 0
    for name in theirs.keys():
        mine, other = ours.get_slice(name), theirs.get_slice(name)
        for index in indices:
            try:
                expected = other[index]
            except (safetensors.SafetensorError, OverflowError):  # not all that NumPy has
                continue
            assert mine[index].shape == expected.shape and numpy.array_equal(mine[index], expected), (name, index)
            compared += 1
    assert compared > 60


@pytest.mark.parametrize("index", [99, (0, 0, 0), [0, 1], (0, [1]), None, 1.0, "x"])
def test_what_safetensors_refuses_is_refused(both, index):
    ours, theirs = both
    with pytest.raises(safetensors.SafetensorError):
        theirs.get_slice("s0s1")[index]
    with pytest.raises((IndexError, TypeError), match="s0s1"):
        ours.get_slice("s0s1")[index]


def test_errors(both):
    with pytest.raises(FileNotFoundError, match="has no FQN 'absent'"):
        both[0].get_tensor("absent")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        flatpoint.safe_open("nowhere")
    with pytest.raises(ValueError, match="no framework 'tensorflow': there are np, numpy, pt"):
        flatpoint.safe_open(SAMPLE, framework="tensorflow")
    with pytest.raises(ValueError, match="device"):
        flatpoint.safe_open(SAMPLE, framework="np", device="cuda:0")
    sample = SAMPLES / "d01_dtensor_1d"
    with flatpoint.safe_open(sample) as opened:
        assert "obj.a" not in opened.keys() and "even" in opened.keys() and "FQNs" in repr(opened)
        with pytest.raises(flatpoint.Error, match="'obj.a' is no tensor"):
            opened.get_slice("obj.a")
        part = opened.get_slice("even")
        assert "even" in repr(part) and numpy.array_equal(part[2:4], flatpoint.open(sample)["even"].numpy()[2:4])
    with pytest.raises(ValueError, match="closed"):
        opened.keys()
