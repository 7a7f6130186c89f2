#!/usr/bin/env python3
"""Mutated pickles: flatpoint's importer, its fast lane open and closed, against `pickle.load` of the file.

    run.py [--minutes M | --mutants N] [--seed S] [--keep FOLDER]

The importer may refuse what it likes (no writer made these pickles); what it imports must be what Python makes of the
file, and both lanes must agree. Exits with 1 and keeps the pickle where that fails. Needs torch and dcp_dump_import.
"""

import argparse
import collections
import contextlib
import gc
import io
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path[:0] = [str(HERE), str(HERE.parent)]

import describe_metadata as described
import mutate
import stand_ins
import torch
from torch.distributed.checkpoint.metadata import BytesStorageMetadata

LARGEST = 12 << 10  # bytes of a pickle to start from
BATCH = 200


def same(a, b, seen=None):
    """Whether two values have the same parts in the same order; cycles are followed once."""
    seen = set() if seen is None else seen
    if type(a) is not type(b):
        return False
    if isinstance(a, (type, int, float, str, bytes, bytearray, type(None), torch.dtype, torch.layout)):
        return repr(a) == repr(b)
    if (id(a), id(b)) in seen:
        return True
    seen.add((id(a), id(b)))
    if isinstance(a, dict):
        return len(a) == len(b) and all(same(i, k, seen) and same(j, m, seen) for (i, j), (k, m) in zip(a.items(), b.items()))
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y, seen) for x, y in zip(a, b))
    if isinstance(a, (set, frozenset)):
        return len(a) == len(b) and sorted(map(repr, a)) == sorted(map(repr, b))
    return same(vars(a), vars(b), seen) if hasattr(a, "__dict__") else a == b


class Differs(Exception):
    pass


def expect(condition, *what):
    if not condition:
        raise Differs(*what)


class Records:
    """The opaque records of an answer, by kind and position; each is to be met once."""

    def __init__(self, answer):
        self.left = {}
        for record in answer["opaque"]:
            key = (record["kind"], record["name"] if record["kind"] == "StateDictValue" else record["position"])
            expect(key not in self.left, "two records at one place", key)
            self.left[key] = bytes.fromhex(record["pickle"])
        self.names = {(r["kind"], r["position"]): r["name"] for r in answer["opaque"]}

    def has(self, kind, position):
        return (kind, position) in self.left

    def meet(self, kind, position, value):
        loaded = stand_ins.load(io.BytesIO(self.left.pop((kind, position))))
        expect(same(loaded, value), "record", kind, position, loaded, value)


def sizes(value):
    return [int(n) for n in value]


def compare_entry(entry, value, records, fqn):
    if entry["kind"] == "opaque":
        return records.meet("StateDictValue", described.text(fqn), value)
    if entry["kind"] == "bytes":
        return expect(type(value) is BytesStorageMetadata and not vars(value), "bytes", value)
    expect(type(value).__name__ == "TensorStorageMetadata" and set(vars(value)) == {"properties", "size", "chunks"}, value)
    now = described.describe_tensor(value)
    expect(now == entry, "tensor", fqn, entry, now)


def compare(answer, value):
    """Raises Differs where the answer says of the file what Python does not."""
    records = Records(answer)
    attributes = dict(vars(value))
    entries = attributes.pop("state_dict_metadata")
    planner = attributes.pop("planner_data", None)
    storage = attributes.pop("storage_data", None)
    meta = attributes.pop("storage_meta", None)
    version = attributes.pop("version", None)
    for position, (name, of) in enumerate(attributes.items()):
        expect(records.names.get(("Attribute", position)) == described.text(name), "attribute", name)
        records.meet("Attribute", position, of)

    told = iter(answer["state_dict_metadata"])
    for position, (fqn, of) in enumerate(entries.items()):
        if records.has("StateDictItem", position):
            records.meet("StateDictItem", position, (fqn, of))
        else:
            name, entry = next(told)
            expect(type(fqn) is str and name == described.text(fqn), "fqn", fqn, name)
            compare_entry(entry, of, records, fqn)
    expect(next(told, None) is None, "more entries than Python has")

    if records.has("PlannerData", 0):
        records.meet("PlannerData", 0, planner)
    elif planner is None:
        expect(answer["planner_data"] is None, "planner_data")
    else:
        told = iter(answer["planner_data"])
        for position, (fqn, path) in enumerate(planner.items()):
            if records.has("PlannerItem", position):
                records.meet("PlannerItem", position, (fqn, path))
            else:
                path = [e if type(e) is int else described.text(e) for e in path]
                now = next(told)
                expect(now == [described.text(fqn), path], "planner item", now, fqn, path)
        expect(next(told, None) is None, "more planner items than Python has")

    if records.has("StorageData", 0):
        records.meet("StorageData", 0, storage)
    elif storage is None:
        expect(answer["storage_data"] is None, "storage_data")
    else:
        told = iter(answer["storage_data"])
        for position, (key, info) in enumerate(storage.items()):
            if records.has("StorageItem", position):
                records.meet("StorageItem", position, (key, info))
            else:
                now, expected = next(told, None), described.describe_info(key, info)
                expect(now == expected, "storage item", position, now, expected)
        expect(next(told, None) is None, "more storage items than Python has")

    if records.has("StorageMeta", 0):
        records.meet("StorageMeta", 0, meta)
    elif meta is None:
        expect(answer["storage_meta"] is None, "storage_meta")
    else:
        expect(
            answer["storage_meta"] == described.describe_storage_meta(meta),
            "storage_meta",
            answer["storage_meta"],
            meta,
        )
    if records.has("Version", 0):
        records.meet("Version", 0, version)
    else:
        expect(answer["version"] == (None if version is None else described.text(version)), "version")
    expect(not records.left, "records that Python knows nothing of", list(records.left))


def fails_too(records):
    """Whether a record holds what Python fails at. What calls make of what they are given, flatpoint cannot know: it
    keeps them as records, and says nothing of what they are. Of two failures a record may come to the other one first."""
    for record in records:
        try:
            stand_ins.load(io.BytesIO(bytes.fromhex(record["pickle"])))
        except Exception:  # noqa: BLE001
            return True
    return False


def judge(answer, path):
    """What came of one pickle, as a word; Differs where the two disagree."""
    expect(answer.get("error") != "the fast lane changed the result", "lanes")
    try:
        with open(path, "rb") as file, contextlib.redirect_stdout(io.StringIO()):
            value = stand_ins.load(file)
    except Exception as error:  # noqa: BLE001 - whatever a pickle makes Python raise
        if "error" in answer:
            return "refused by both"
        expect(fails_too(answer["opaque"]), "imported, where Python fails", repr(error)[:200])
        return "a record of it fails, as the whole does in Python"
    if "error" in answer:
        return "refused, where Python does not fail"
    expect(not answer.get("broken_rules"), answer.get("broken_rules"))
    try:
        compare(answer, value)
    except Differs:
        raise
    except Exception as error:
        raise Differs("cannot be compared", repr(error)) from error
    return "equal"


def starting_points():
    paths = sorted((ROOT / "tests/samples").rglob("*.metadata")) + sorted((HERE.parent / "pickles").glob("*.pickle"))
    datas = [path.read_bytes() for path in paths]
    return [mutate.instructions(data) for data in datas if len(data) <= LARGEST]


def dump(paths, keep=None):
    program = ROOT / os.environ.get("FLATPOINT_BUILD", "build-dev") / "bin" / "dcp_dump_import"
    done = subprocess.run([program], input="".join(f"{p}\n" for p in paths), capture_output=True, text=True, check=False)
    answers = [json.loads(line) for line in done.stdout.split("\n")[:-1]]
    if done.returncode != 0:
        kept = shutil.copy(paths[len(answers)], keep) if keep else paths[len(answers)]
        raise SystemExit(f"{kept}: dcp_dump_import died: {done.stderr[-500:]}")
    return answers


def judge_all(paths, keep=None):
    """Counts of what came of the pickles; those that disagree are told on standard output, and copied to `keep`."""
    warnings.simplefilter("ignore")
    counts = collections.Counter()
    for path, answer in zip(paths, dump(paths, keep)):
        try:
            counts[judge(answer, path)] += 1
        except Differs as difference:
            counts["different"] += 1
            kept = shutil.copy(path, keep) if keep else path
            print(f"{kept}: {difference.args}"[:1500], flush=True)
    return counts


def cpu_seconds():
    """Of this process and its children."""
    return sum(os.times()[:4])


def run(seed, mutants=None, minutes=None, keep=None):
    """Counts of what came of the mutants; those that disagree are kept."""
    starts = starting_points()
    end = cpu_seconds() + 60 * minutes if minutes else None
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        done = 0
        while (end is None or cpu_seconds() < end) and (mutants is None or done < mutants):
            paths = []
            for number in range(BATCH if mutants is None else min(BATCH, mutants - done)):
                chance = random.Random(f"{seed} {done + number}")
                ops = mutate.mutate(chance, chance.choice(starts), chance.choice(starts))
                paths.append(pathlib.Path(folder) / f"{seed}_{done + number}.pickle")
                paths[-1].write_bytes(mutate.assemble(chance, ops))
            counts.update(judge_all(paths, keep or tempfile.gettempdir()))
            for path in paths:
                path.unlink()
            done += len(paths)
            gc.collect()
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, help="of CPU time")
    parser.add_argument("--mutants", type=int)
    parser.add_argument("--seed", default="0")
    parser.add_argument("--keep")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the counts are told when it is stopped, too
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))  # a mutated length may ask for much
    mutants = options.mutants or (None if options.minutes else 2000)
    counts = run(options.seed, mutants, options.minutes, options.keep)
    for what, count in counts.most_common():
        print(f"{count:9} {what}")
    print(f"{counts.total():9} in {cpu_seconds() / 60:.1f} minutes of CPU")
    return 1 if counts["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
