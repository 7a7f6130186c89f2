"""`flatpoint export`: what it refuses, what it says, and that its output is what `import` reads."""

import pickle
import unittest

from odd_names import with_attribute
from tool import ToolTest, run


class Foreign:
    """Of a module that DCP does not define."""


class Export(ToolTest):
    def test_import_reads_it(self):
        for sample in ("d02_dtensor_2d", "s10_zstd", "s23_megatron_all_local_plans"):
            with self.subTest(sample):
                folder = self.sample(sample)
                out = folder / "out.metadata"
                self.assertEqual(run("export", folder, "-o", out).code, 0)
                self.assertEqual(run("diff", folder / ".metadata", out).code, 0)
                self.assertEqual(run("import", out, "-o", folder / "again.flatpoint").code, 0)
                self.assertEqual(run("verify", folder / "again.flatpoint").code, 0)

    def test_refusals(self):
        folder = self.sample("s01_plain_tensors")
        source = folder / ".metadata"
        before = source.read_bytes()
        self.check_error(["export", folder, "-o", source, "--force"], "invalid_argument", "would replace")
        self.check_error(["export", source, "-o", folder], "invalid_argument", "is a folder")
        (folder / "there").write_bytes(b"x")
        self.check_error(["export", source, "-o", folder / "there"], "conflict", "--force")
        self.check_error(["export", source, "-o", folder / "no" / "folder"], "not_found")
        for version in ("newest", "1.13", "3.0", "3"):
            self.check_error(["export", source, "-o", folder / "out", "--torch", version], "usage", "--torch", version)
        self.check_error(["export", source, "-o", folder / "out", "--keep-opaque", "--drop-opaque"], "usage", "--keep-opaque")
        self.check_error(["export", source], "usage", "--output")
        self.assertEqual(source.read_bytes(), before)
        self.assertEqual((folder / "there").read_bytes(), b"x")
        self.assertEqual(run("export", source, "-o", folder / "there", "--force").code, 0)
        self.assertGreater((folder / "there").stat().st_size, 100)

    def test_foreign_names(self):
        folder = self.sample("s01_plain_tensors")
        source = folder / "foreign.metadata"
        out = folder / "out"
        source.write_bytes(with_attribute((folder / ".metadata").read_bytes(), "more", pickle.dumps(Foreign(), 2)[2:-1]))
        name = f"{Foreign.__module__}.Foreign"
        self.check_error(["export", source, "-o", out], "opaque_records", "'more'", name, "--keep-opaque", "--drop-opaque")
        self.assertFalse(out.exists())
        dropped = run("export", source, "-o", out, "--drop-opaque")
        self.assertEqual(dropped.code, 0)
        self.assertIn(f"note: left out: attribute 'more' of Metadata needs {name}", dropped.err.decode())
        self.assertNotIn(b"Foreign", out.read_bytes())
        said = run("export", source, "-o", out, "--drop-opaque", "--force", "--json")
        self.assertEqual(said.json["dropped"], [f"attribute 'more' of Metadata needs {name}"])
        self.assertEqual(run("export", source, "-o", out, "--keep-opaque", "--force").code, 0)
        self.assertIn(b"Foreign", out.read_bytes())

    def test_torch_version(self):
        folder = self.sample("s10_zstd")
        self.check_error(["export", folder, "-o", folder / "out", "--torch", "2.6"], "invalid_argument", "2.7")
        self.assertEqual(run("export", folder, "-o", folder / "out", "--torch", "2.14.1").code, 0)
        self.assertEqual(run("export", folder, "-o", folder / "new").code, 0)
        self.assertLess((folder / "out").stat().st_size, (folder / "new").stat().st_size)


if __name__ == "__main__":
    unittest.main()
