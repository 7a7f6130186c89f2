"""Whether data files are whole, statistics, exact ranges, begins: what the tool's verify, stats, plan and import --data do."""

import json
import shutil
import warnings

import flatpoint
import numpy
import pytest
from conftest import LLM, SAMPLES

SAMPLE = SAMPLES / "d02_dtensor_2d"
NAME = "model.model.layers.0.self_attn.q_proj.weight"


@pytest.fixture
def copied(tmp_path):
    return shutil.copytree(SAMPLE, tmp_path / "copy")


def kinds(findings):
    return {finding.kind for finding in findings}


def test_whole(copied):
    checkpoint = flatpoint.open(copied)
    for depth in ("files", "items", "bytes"):
        report = checkpoint.check_data(depth)
        assert report.sound and not report.broken and (report.files, report.missing, report.lost) == (4, 0, 0)
        assert (report.items > 0) == (depth != "files") and (report.checked_bytes > 0) == (depth == "bytes")
    assert checkpoint.check_data() == checkpoint.check_data("files")
    with pytest.raises(ValueError, match="no depth 'all': there are files, items, bytes"):
        checkpoint.check_data("all")
    with pytest.raises(flatpoint.Error, match="data_folder"):
        flatpoint.from_bytes((copied / ".metadata").read_bytes()).check_data()


def test_damage_is_found(copied):
    (copied / "__1_0.distcp").unlink()
    short = copied / "__2_0.distcp"
    short.write_bytes(short.read_bytes()[:100])
    (copied / "other.distcp").write_bytes(b"x")
    report = flatpoint.open(copied).check_data()
    assert not report.sound and (report.missing, report.too_short) == (1, 1) and report.lost > 0
    assert kinds(report.broken) == {"not_found", "truncated"} and kinds(report.findings) == {"unnamed_file"}
    assert flatpoint.open(copied).check_data(max_messages=1).suppressed >= 1


def test_flipped_bits_are_found(copied):
    path = copied / "__0_0.distcp"
    data = bytearray(path.read_bytes())
    checkpoint = flatpoint.open(copied)
    first = checkpoint["s0s1"].numpy()[:1, :3].tobytes()
    data[data.index(first)] ^= 1
    path.write_bytes(data)
    checkpoint = flatpoint.open(copied)
    assert checkpoint.check_data("items").sound
    assert kinds(checkpoint.check_data("bytes").broken) == {"checksum"}


def test_statistics():
    checkpoint = flatpoint.open(SAMPLES / "s07_optimizer_bytes")
    compared = 0
    for tensor in checkpoint.values():
        if not isinstance(tensor, flatpoint.Tensor) or not tensor.dtype.startswith("float"):
            continue
        stats, array = tensor.stats(), tensor.numpy().astype(numpy.float64)
        assert (stats.elements, stats.zeros, stats.nans, stats.infinities) == (array.size, (array == 0).sum(), 0, 0)
        assert (stats.min, stats.max) == (array.min(), array.max())
        assert numpy.allclose([stats.mean, stats.std], [array.mean(), array.std()])
        compared += 1
    assert compared > 5
    with pytest.raises(flatpoint.Error, match="complex64") as raised:
        flatpoint.open(SAMPLES / "s04_dtypes")["complex64"].stats()
    assert raised.value.code == flatpoint.ErrorCode.NOT_PLAIN


def test_values_are_compared(copied):
    data = bytearray((copied / "__0_0.distcp").read_bytes())
    whole = flatpoint.open(SAMPLE)["s0s1"]
    values = whole.numpy()[:1, :3]
    at = data.index(values.tobytes())
    data[at : at + 12] = (values + [0, 2, 0.5]).astype(numpy.float32).tobytes()
    (copied / "__0_0.distcp").write_bytes(data)
    other = flatpoint.open(copied)
    assert whole.compare(flatpoint.open(SAMPLE)["s0s1"]) == (True, None, None)
    assert whole.compare(other["s0s1"]) == (False, None, None)
    counted = whole.compare(other["s0s1"], all=True)
    assert (counted.same, counted.elements) == (False, 2) and abs(counted.largest - 2) < 1e-5
    with pytest.raises(ValueError, match="different dtypes or shapes"):
        whole.compare(other["rr"])
    with pytest.raises(TypeError, match="expected a Tensor"):
        whole.compare(values)


def test_ranges_are_the_bytes_of_a_plan():
    checkpoint = flatpoint.open(SAMPLE)
    box = ((1, 2), (5, 7))
    plan = checkpoint.plan({"s0s1": [box]})
    expected = checkpoint["s0s1"].numpy(box)
    out = numpy.zeros_like(expected)
    assert len(plan.ranges()) == len(plan)
    for item, ranges in zip(plan, plan.ranges()):
        content = b"".join((SAMPLE / path).read_bytes()[offset : offset + length] for path, offset, length in ranges)
        where = tuple(slice(begin, begin + length) for begin, length in zip(item.dest_offsets, item.lengths))
        out[where] = numpy.frombuffer(content, numpy.float32).reshape(item.lengths)
    assert numpy.array_equal(out, expected)
    with pytest.raises(flatpoint.Error, match="FQN 'even': saved chunks hold 16 of the 64 elements") as raised:
        alone = flatpoint.open(SAMPLES / "d09_no_collectives", rank=1)
        alone.plan({"even": None}).ranges()
    assert raised.value.code == flatpoint.ErrorCode.HOLES


def test_begins_and_checksums(copied):
    checkpoint = flatpoint.open(copied)
    found = checkpoint.find_data()
    assert found.verify().sound and numpy.array_equal(found["s0s1"].numpy(), checkpoint["s0s1"].numpy())
    assert found.find_data(checksums=True).verify().sound
    found.write(copied / ".metadata.flatpoint")
    path = copied / "__0_0.distcp"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(flatpoint.Error) as raised:
        flatpoint.open(copied / ".metadata.flatpoint")["s0s1"].numpy()
    assert raised.value.code == flatpoint.ErrorCode.CHANGED


def test_paths_below_another_folder(copied, tmp_path):
    moved = flatpoint.open(copied).move_data("copy")
    assert moved.files == tuple(f"copy/{name}" for name in flatpoint.open(copied).files) and moved.data_folder is None
    moved.write(tmp_path / "x.flatpoint")
    assert flatpoint.open(tmp_path / "x.flatpoint").check_data("items").sound


def test_placements_by_pattern():
    checkpoint = flatpoint.open(LLM)
    same = checkpoint.plan_mesh((4, 2), "S0,R")
    by_pattern = checkpoint.plan_mesh((4, 2), {"*.q_proj.*": "S1,R", "*": "S0,R"})
    by_function = checkpoint.plan_mesh((4, 2), lambda fqn: "S1,R" if ".q_proj." in fqn else ("S0", "R"))
    assert [plan.reads for plan in by_pattern] == [plan.reads for plan in by_function]
    assert [plan.reads for plan in by_pattern] != [plan.reads for plan in same]
    alone = checkpoint.plan_mesh((4, 2), {NAME: "S0,R"})
    assert {item.fqn for item in alone[0]} == {NAME}
    balance = alone.balance()
    assert balance.loadable and balance.issues == ()
    for wrong in ({"*": "nonsense"}, {"*": "S0"}):
        with pytest.raises(flatpoint.Error) as raised:
            checkpoint.plan_mesh((4, 2), wrong)
        assert raised.value.code == flatpoint.ErrorCode.INVALID_ARGUMENT
    with pytest.raises(ZeroDivisionError):
        checkpoint.plan_mesh((4, 2), lambda fqn: 1 / 0)


def test_an_export_becomes_the_source(tmp_path):
    flatpoint.open(LLM).write(tmp_path / ".metadata.flatpoint")
    flatpoint.open(tmp_path / ".metadata.flatpoint").export(tmp_path / ".metadata", torch="2.15")
    checkpoint = flatpoint.open(tmp_path)
    assert checkpoint.origin == "flatpoint" and not any("not imported" in notice for notice in checkpoint.notices)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checkpoint.export(tmp_path / ".metadata", torch="2.14", overwrite=True)
    has_strides = any(t.properties.strides is not None for t in checkpoint.values() if isinstance(t, flatpoint.Tensor))
    assert [str(each.message).count("says more than") for each in caught] == ([1] if has_strides else [])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    before = (tmp_path / ".metadata.flatpoint").read_bytes()
    checkpoint.export(elsewhere / ".metadata")
    assert (tmp_path / ".metadata.flatpoint").read_bytes() == before


def test_reports_are_plain_values(copied):
    report = flatpoint.open(copied).check_data()
    assert json.loads(json.dumps(report._asdict()))["sound"] is True and "sound=True" in repr(report)
