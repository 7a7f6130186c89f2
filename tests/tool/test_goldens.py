"""The tool's output, and the files that it writes, byte for byte. tests/tool/update_goldens writes them, never this."""

import shutil
import unittest

import goldens
from tool import GOLDEN, ToolTest, run


class Goldens(ToolTest):
    def test_goldens(self):
        goldens.prepare(self)
        made = dict(goldens.generate(self))
        self.assertEqual(set(made), {path.name for path in GOLDEN.iterdir()})
        for name, content in made.items():
            with self.subTest(name):
                golden = (GOLDEN / name).read_bytes()
                if name.endswith(".txt"):
                    self.assertEqual(content.decode(), golden.decode())
                self.assertTrue(content == golden, f"{name} differs from its golden")

    def test_golden_files_still_read(self):
        """Form to form: what lies in a golden flatpoint file is what its `.metadata` says."""
        for sample, options in goldens.IMPORTS.items():
            with self.subTest(sample):
                folder = self.sample(sample)
                file = self.folder / "golden.flatpoint"
                shutil.copyfile(GOLDEN / f"{sample}.flatpoint", file)
                self.assertEqual(run("verify", file).code, 0)
                for verb in (("ls", "--sort", "dcp"), ("show",)):
                    pickle, flatpoint = (self.facts(*verb, source, *more) for source, more in ((folder, options), (file, ())))
                    self.assertEqual(pickle, flatpoint)

    def facts(self, *command):
        answer = run(*command, "--json").json
        del answer["checkpoint"]
        return answer


if __name__ == "__main__":
    unittest.main()
