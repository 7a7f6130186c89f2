"""Somebody changes a number of a flatpoint file, there and back, while a verb works on it. The answer may be anything but a
crash; under a sanitizer, an access outside is one."""

import os
import sys
import unittest

from tool import SAMPLES, ToolTest, run

sys.path.insert(0, str(SAMPLES.parent / "conformance"))
import cases  # noqa: E402
from surgery import ENTRY, ENTRY_SIZE, Patient  # noqa: E402

GOLDEN = cases.load(SAMPLES.parent / "conformance" / "golden.cases")
FEATURES = next(case.data for case in GOLDEN if case.name == "features")
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

    def check(self, data, other, verbs):
        (self.folder / "other.flatpoint").write_bytes(other)
        file = self.folder / "scribbled.flatpoint"
        for arguments in verbs(file, self.folder):
            file.write_bytes(data)
            self.assertIn(run(*arguments).code, (0, 1), arguments)
        for name, at, bad in places(Patient(data)):
            fault = {
                "LD_PRELOAD": os.environ["FLATPOINT_FAULTS"],
                "FLATPOINT_SCRIBBLE": f"{at} {bad}",
                "ASAN_OPTIONS": "verify_asan_link_order=0",
            }
            for arguments in verbs(file, self.folder):
                for _ in range(RUNS):
                    file.write_bytes(data)
                    answer = run(*arguments, env=os.environ | fault)
                    self.assertIn(answer.code, (0, 1, 2), (name, arguments, answer.err))
                    self.assertNotIn(b"Sanitizer", answer.err)


if __name__ == "__main__":
    unittest.main()
