"""Where files go and where data lie: standard streams, edited metadata and its data files, an export beside its source."""

import os
import pty
import shutil
import subprocess
import unittest

from tool import SAMPLES, TOOL, ToolTest, run


class StandardStreams(ToolTest):
    def piped(self, *arguments, feed):
        return run(*arguments, stdin=None, input=feed)

    def test_standard_input_is_a_checkpoint(self):
        pickle = (SAMPLES / "d02_dtensor_2d" / ".metadata").read_bytes()
        file = self.folder / "file"
        made = self.piped("import", "-", "-o", "-", feed=pickle)
        self.assertEqual((made.code, made.err), (0, b""))
        file.write_bytes(made.out)
        for content in (pickle, made.out):
            for verb in (("ls",), ("find", "s0s0"), ("plan", "--mesh", "2", "--placements", "S0", "--rank", "1")):
                answer = self.piped(verb[0], "-", *verb[1:], feed=content)
                self.assertEqual((answer.code, answer.out), (0, run(verb[0], file, *verb[1:]).out), answer.err)
            self.assertEqual(self.piped("verify", "-", feed=content).code, 0)
        self.assertTrue(self.piped("verify", "-", "--json", feed=pickle).json["unpickling"]["clean"])
        self.assertEqual(self.piped("verify", "-", feed=made.out[:-8]).code, 1)
        self.assertEqual(self.piped("ls", "-", feed=b"").code, 2)
        answer = self.piped("ls", "-", "--limit", "max_input_bytes=99", feed=pickle)
        self.assertEqual(answer.code, 2)
        self.assertIn(b"max_input_bytes", answer.err)

    def test_standard_output_holds_the_file_alone(self):
        source = self.imported("d02_dtensor_2d")
        for verb, *arguments in (("export", source), ("keep", source, "*"), ("drop", source, "s0*"), ("rename", source, "s0s0", "x")):
            file = self.folder / verb
            self.assertEqual(run(verb, *arguments, "-o", file).code, 0)
            answer = run(verb, *arguments, "-o", "-")
            self.assertEqual((answer.code, answer.out, answer.err), (0, file.read_bytes(), b""))
            refused = run(verb, *arguments, "-o", "-", "--json")
            self.assertEqual((refused.code, refused.out), (2, b""))
        folder = self.sample("d09_no_collectives")
        self.assertEqual(run("merge", folder, "-o", "-").out[4:8], b"FLPT")
        self.assertEqual(run("import", "-", stdin=subprocess.DEVNULL).code, 2)  # where to?

    def on_terminal(self, *arguments, feed=None, until=None):
        """Runs the tool with standard error on a terminal, and gives what it showed. `until`: standard input ends when that is shown."""
        main, side = pty.openpty()
        process = subprocess.Popen([TOOL, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=side)
        os.close(side)
        shown = b""
        while until is not None and until not in shown:
            shown += os.read(main, 4096)
        process.communicate(feed)
        while True:
            try:
                piece = os.read(main, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            shown += piece
        os.close(main)
        return process.returncode, shown

    def test_long_waits_are_shown_on_a_terminal(self):
        pickle = (SAMPLES / "d02_dtensor_2d" / ".metadata").read_bytes()
        code, shown = self.on_terminal("ls", "-", feed=pickle, until=b"reading standard input: 2 s")
        self.assertEqual(code, 0)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)
        self.assertEqual(self.on_terminal("ls", self.sample("d02_dtensor_2d"))[1], b"")

    def test_a_terminal_gets_no_bytes(self):
        main, side = pty.openpty()
        answer = run("keep", self.imported(), "*", "-o", "-", stdout=side)
        os.close(side), os.close(main)
        self.assertEqual(answer.code, 2)
        self.assertIn(b"is a terminal", answer.err)


class DataPlace(ToolTest):
    def checkpoint(self):
        copy = self.folder / "ckpt"
        shutil.copytree(SAMPLES / "s08_multi_file", copy)
        return copy

    def paths(self, file):
        return {row["relative_path"] for row in run("show", file, "--json").json["files"]}

    def test_a_note_says_where_the_data_are(self):
        ckpt = self.checkpoint()
        other = self.folder / "other"
        other.mkdir()
        for verb in (("keep", "*"), ("drop", "p0"), ("rename", "p0", "q0")):
            answer = run(verb[0], ckpt, *verb[1:], "-o", other / verb[0])
            self.assertEqual(answer.code, 0)
            self.assertIn(b"relative to its folder", answer.err)
            self.assertIn(str(ckpt).encode(), answer.err)
            self.assertEqual(run(verb[0], ckpt, *verb[1:], "-o", ckpt / verb[0]).err, b"")

    def test_data_from_leads_back(self):
        ckpt = self.checkpoint()
        out = self.folder / "other" / ".metadata.flatpoint"
        out.parent.mkdir()
        answer = run("keep", ckpt, "p[01]", "-o", out, "--data-from", ckpt)
        self.assertEqual((answer.code, answer.err), (0, b""))
        self.assertTrue(all(path.startswith("/") for path in self.paths(out)))  # as the folder was named
        os.remove(out)
        answer = run("keep", "ckpt", "p[01]", "-o", "other/.metadata.flatpoint", "--data-from", "ckpt", cwd=self.folder)
        self.assertEqual((answer.code, answer.err), (0, b""))
        self.assertTrue(all(path.startswith("../ckpt/__0_") for path in self.paths(out)), self.paths(out))
        self.assertEqual(run("verify", out, "--check", "rules").code, 0)
        self.check_error(("get", out.parent, "p0", "-o", self.folder / "x.raw"), "outside", "--allow-outside")
        self.assertEqual(run("get", out.parent, "p0", "-o", self.folder / "x.raw", "--allow-outside").code, 0)
        self.assertEqual(run("get", ckpt, "p0", "-o", self.folder / "y.raw").code, 0)
        self.assertEqual((self.folder / "x.raw").read_bytes(), (self.folder / "y.raw").read_bytes())
        self.assertEqual(run("verify", out.parent, "--allow-outside", "--check", "bytes").code, 0)
        self.check_error(("keep", ckpt, "*", "-o", self.folder / "z", "--data-from", self.folder / "none"), "not_found", "none")

    def test_links(self):
        ckpt = self.checkpoint()
        out = self.folder / "other" / ".metadata.flatpoint"
        out.parent.mkdir()
        answer = run("keep", ckpt, "p[01]", "-o", out, "--link")
        self.assertEqual((answer.code, answer.err), (0, b""))
        self.assertEqual(sorted(os.listdir(out.parent)), [".metadata.flatpoint", "__0_0.distcp", "__0_1.distcp"])
        self.assertTrue((out.parent / "__0_0.distcp").samefile(ckpt / "__0_0.distcp"))
        self.assertEqual(run("verify", out.parent, "--check", "bytes").code, 0)
        self.assertEqual(run("keep", ckpt, "p[01]", "-o", out, "--link", "-f").code, 0)
        os.remove(out), os.remove(out.parent / "__0_1.distcp")
        (out.parent / "__0_1.distcp").write_bytes(b"mine")
        self.check_error(("keep", ckpt, "p[01]", "-o", out, "--link"), "conflict", "__0_1.distcp")
        self.assertEqual((out.exists(), (out.parent / "__0_1.distcp").read_bytes()), (False, b"mine"))

    def test_merge_as_well(self):
        ckpt = self.folder / "ckpt"
        shutil.copytree(SAMPLES / "d09_no_collectives", ckpt)
        out = self.folder / "other" / ".metadata.flatpoint"
        out.parent.mkdir()
        self.assertIn(b"relative to its folder", run("merge", ckpt, "-o", out).err)
        self.assertEqual(run("merge", ckpt, "-o", out, "--force", "--link").err, b"")
        self.assertEqual(run("verify", out.parent, "--check", "bytes").code, 0)


class ExportBeside(ToolTest):
    def test_an_export_is_the_new_source(self):
        for sample in ("s07_optimizer_bytes", "real_t2.9.1_sharded"):
            with self.subTest(sample):
                file = self.imported(sample)
                pickle = file.parent / ".metadata"
                self.assertEqual(run("export", file, "-o", pickle).err, b"")
                self.assertEqual(run("verify", file.parent, "--check", "rules", "--json").json["source"], "matches")
                self.assertEqual(run("ls", file.parent, "--json").json["checkpoint"]["origin"], "flatpoint")
                self.assertEqual(run("diff", file, pickle, "--strict").code, 0)

    def test_one_that_says_less_is_not(self):
        file = self.imported("real_t2.9.1_sharded")
        renamed = file.parent / "x"
        answer = run("export", file, "-o", file.parent / ".metadata", "--torch", "2.3")
        self.assertEqual(answer.code, 0)
        self.assertIn(b"says more than this .metadata", answer.err)
        self.assertEqual(run("ls", file.parent, "--json").json["checkpoint"]["origin"], "pickle")
        self.assertFalse(renamed.exists())

    def test_elsewhere_the_file_stays_as_it_was(self):
        file = self.imported()
        before = (file.read_bytes(), file.stat().st_mtime_ns)
        self.assertEqual(run("export", file, "-o", self.folder / ".metadata").code, 0)
        self.assertEqual((file.read_bytes(), file.stat().st_mtime_ns), before)


if __name__ == "__main__":
    unittest.main()
