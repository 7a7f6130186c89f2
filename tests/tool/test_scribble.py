"""Somebody changes a number of a flatpoint file or of a data file, there and back, while a verb works on it. The answer may be
anything but a crash; under a sanitizer, an access outside is one."""

import os
import random
import re
import shutil
import sys
import unittest

from tool import SAMPLES, ToolTest, run

sys.path.insert(0, str(SAMPLES.parent / "conformance"))
import cases  # noqa: E402
from surgery import ENTRY, ENTRY_SIZE, Patient  # noqa: E402

GOLDEN = cases.load(SAMPLES.parent / "conformance" / "golden.cases")
FEATURES = next(case.data for case in GOLDEN if case.name == "features")
DATA_FILE = "__0_0.distcp"
RUNS = int(os.environ.get("FLATPOINT_SCRIBBLE_RUNS", "2"))  # of each verb and place; an attack takes 150


def verbs(file, folder):
    """For a file of every feature."""
    output = ("-o", folder / "out", "--force", "--drop-opaque")
    return [
        ("verify", file, "--coverage"),
        ("keep", file, "*", *output),
        ("rename", file, "*", "z.*", *output),
        ("drop", file, "even*", *output),
        ("diff", file, folder / "other.flatpoint"),
        ("ls", file, "--long"),
        ("show", file),
        ("show", file, "explicit"),
        ("find", file, "explicit"),
    ]


def verbs_of_fragment(file, folder):
    """For what a rank wrote alone."""
    return [
        ("export", file, "-o", folder / "out", "--force"),
        ("merge", file, folder / "other.flatpoint", "--partial", "-o", folder / "out", "--force"),
        ("plan", file, "--mesh", "2", "--placements", "S0", "--all-ranks"),
        ("plan", file, "--mesh", "2", "--placements", "S0", "--rank", "1"),
    ]


def verbs_of_bytes(file, folder):
    """For a file whose data file lies beside it."""
    return [
        ("get", file, "*", "-o", folder / "out.safetensors", "--force"),
        ("get", file, "w", "--box", "1:3,:", "-o", folder / "out.raw", "--force"),
        ("stats", file),
        ("verify", file, "--check", "items"),
        ("verify", file, "--check", "bytes"),
    ]


def places(patient):
    """Where to write which number: positions and lengths that lead far outside."""
    for column in (
        "chunk_files",
        "storage_order",
        "file_name_ends",
        "path_ends",
        "index_hints",
        "loose_storage",
        "opaque",
        "fqn_order",
        "planner_order",
        "chunk_order",
        "transform_lists",
    ):
        if patient.get("H", patient.slot(column)):
            yield column, patient.target(column) + 4 + (4 if column == "opaque" else 0), 0x7FFFFFF0
    for row in (0, patient.count("entries") - 1):
        for member in ("fqn_begin", "fqn_length", "chunk_begin", "size_begin"):
            yield f"entries[{row}].{member}", patient.target("entries") + 4 + row * ENTRY_SIZE + ENTRY[member][0], 0x70000000


class Scribble(ToolTest):
    def test_verbs(self):
        self.check(FEATURES, FEATURES, verbs)

    def test_verbs_of_a_fragment(self):
        folder = self.sample("d09_no_collectives")
        for rank in ("0", "1"):
            self.assertEqual(run("import", folder, "--of-rank", rank).code, 0)
        self.check(*((folder / f"__{rank}.metadata.flatpoint").read_bytes() for rank in (0, 1)), verbs_of_fragment)

    def test_verbs_of_bytes(self):
        data = self.with_data()
        self.check(data, data, verbs_of_bytes)

    def test_data_files(self):
        """The zip directory, the pickles and the bytes of the items."""
        (self.folder / "sound.flatpoint").write_bytes(self.with_data())
        file = self.folder / DATA_FILE
        data = file.read_bytes()
        chance = random.Random(0)
        ends = [match.start() for match in re.finditer(b"PK\1\2|PK\5\6|PK\6\6", data)]
        at = [end + 4 * field for end in chance.sample(ends, 8) for field in (2, 5, 6, 10)]
        for place in [*at, *chance.sample(range(len(data) - 4), 12)]:
            for bad in (0x7FFFFFF0, 1):
                self.scribble(file, data, place, bad, verbs_of_bytes(self.folder / "sound.flatpoint", self.folder))

    def with_data(self):
        """A flatpoint file, whose data file then lies in the test's folder."""
        sample = self.sample("s01_plain_tensors")
        shutil.copyfile(SAMPLES / "s01_plain_tensors" / DATA_FILE, self.folder / DATA_FILE)
        self.assertEqual(run("import", sample).code, 0)
        return (sample / ".metadata.flatpoint").read_bytes()

    def check(self, data, other, verbs):
        (self.folder / "other.flatpoint").write_bytes(other)
        file = self.folder / "scribbled.flatpoint"
        for arguments in verbs(file, self.folder):
            file.write_bytes(data)
            self.assertIn(run(*arguments).code, (0, 1), arguments)
        for _, at, bad in places(Patient(data)):
            self.scribble(file, data, at, bad, verbs(file, self.folder))

    def scribble(self, file, data, at, bad, verbs):
        fault = {
            "LD_PRELOAD": os.environ["FLATPOINT_FAULTS"],
            "FLATPOINT_SCRIBBLE": f"{at} {bad} {file.name}",
            "ASAN_OPTIONS": "verify_asan_link_order=0",
        }
        for arguments in verbs:
            for _ in range(RUNS):
                file.write_bytes(data)
                answer = run(*arguments, env=os.environ | fault)
                self.assertIn(answer.code, (0, 1, 2), (at, bad, arguments, answer.err))
                self.assertNotIn(b"Sanitizer", answer.err)


if __name__ == "__main__":
    unittest.main()
