"""The C++ reader says of every file of the suite what stands beside it, and the suite is what its scripts make."""

import pathlib
import tempfile
import unittest

import suite
from suite import GOLDEN, HOSTILE, SMALL_QUESTIONS, WRITTEN, files, reader


class Conformance(unittest.TestCase):
    maxDiff = None

    def check_folder(self, folder):
        for text in files(folder, ".json"):
            with self.subTest(text.name):
                self.assertEqual(reader("json", text.with_suffix(".flatpoint")), text.read_bytes())
        for answers in files(folder, ".answers"):
            with self.subTest(answers.name):
                asked = SMALL_QUESTIONS if folder == HOSTILE else answers.with_suffix(".questions")
                said = reader("answers", answers.with_suffix(".flatpoint"), asked).decode().splitlines()
                pairs = [tuple(zip(asked.read_text().splitlines(), lines)) for lines in (said, answers.read_text().splitlines())]
                self.assertEqual(*pairs)

    def test_golden(self):
        self.check_folder(GOLDEN)

    def test_hostile_files_that_open(self):
        self.check_folder(HOSTILE)

    def test_codes(self):
        codes = dict(line.split("\t") for line in (HOSTILE / "codes.tsv").read_text().splitlines())
        self.assertEqual(sorted(codes), [path.stem for path in files(HOSTILE)])
        said = reader("codes", *(HOSTILE / f"{name}.flatpoint" for name in codes)).decode().splitlines()
        self.assertEqual(dict(zip(codes, said, strict=True)), codes)

    def test_files_that_other_languages_wrote(self):
        """Their columns were put together by hand with generated builders: the tests of those readers make them."""
        for path in files(WRITTEN):
            with self.subTest(path.name):
                self.assertEqual(reader("json", path), (WRITTEN / "expected.json").read_bytes())
                self.assertEqual(reader("verify", path), b"sound\n")

    def test_golden_files_are_sound(self):
        self.assertEqual(set(reader("verify", *files(GOLDEN)).split()), {b"sound"})

    def test_too_large(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "sparse.flatpoint"
            with path.open("wb") as file:
                file.write((GOLDEN / "small.flatpoint").read_bytes())
                file.truncate(2**31)
            self.assertEqual(reader("codes", path), b"too_large\n")

    def test_scripts_make_these_files(self):
        with tempfile.TemporaryDirectory() as made:
            made = pathlib.Path(made)
            for folder, make in ((GOLDEN, suite.make_golden), (HOSTILE, suite.make_hostile)):
                (made / folder.name).mkdir()
                make(made / folder.name)
                self.assertEqual([path.name for path in sorted((made / folder.name).iterdir())], sorted(p.name for p in folder.iterdir()))
                for path in folder.iterdir():
                    self.assertEqual((made / folder.name / path.name).read_bytes(), path.read_bytes(), path.name)

    def test_big_files(self):
        """Every sample, hundreds of random files and some that are too large to keep."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            suite.make_golden(folder, "big")
            self.check_folder(folder)


if __name__ == "__main__":
    unittest.main()
