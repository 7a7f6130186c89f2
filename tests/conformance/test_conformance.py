"""The C++ reader says of every case of the suite what stands in it, and the suite is what its scripts make."""

import pathlib
import tempfile
import unittest

import cases
import suite
from suite import GOLDEN, HOSTILE, WRITTEN, reader


class Conformance(unittest.TestCase):
    maxDiff = None

    def check(self, expected):
        said = suite.said(expected)
        self.assertEqual([case.name for case in said], [case.name for case in expected])
        for ours, theirs in zip(said, expected):
            with self.subTest(ours.name):
                self.assertEqual(ours, theirs)

    def test_golden(self):
        self.check(cases.load(GOLDEN))

    def test_hostile(self):
        self.check(cases.load(HOSTILE))

    def test_files_that_other_languages_wrote(self):
        """Their columns were put together by hand with generated builders: the tests of those readers make them."""
        written = sorted(WRITTEN.glob("*.flatpoint"))
        self.assertEqual(len(written), 2)
        for path in written:
            with self.subTest(path.name):
                self.assertEqual(reader("json", path), (WRITTEN / "expected.json").read_bytes())
                self.assertEqual(reader("verify", path), b"sound\n")

    def test_golden_files_are_sound(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder) / f"{case.name}.flatpoint" for case in cases.load(GOLDEN)]
            for path, case in zip(paths, cases.load(GOLDEN)):
                path.write_bytes(case.data)
            self.assertEqual(reader("verify", *paths).split(), [b"sound"] * len(paths))

    def test_too_large(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "sparse.flatpoint"
            with path.open("wb") as file:
                file.write(suite.small().data)
                file.truncate(2**31)
            self.assertEqual(reader("codes", path), b"too_large\n")

    def test_scripts_make_these_files(self):
        for path, made in ((GOLDEN, suite.make_golden()), (HOSTILE, suite.make_hostile(suite.small()))):
            kept = cases.load(path)
            self.assertEqual([case.name for case in made], [case.name for case in kept])
            for ours, theirs in zip(made, kept):
                self.assertEqual(ours, theirs, ours.name)
            self.assertEqual(cases.dump(made), path.read_text("ascii"))

    def test_big_files(self):
        """Every sample, hundreds of random files and some that are too large to keep."""
        self.check(suite.make_golden("big"))


if __name__ == "__main__":
    unittest.main()
