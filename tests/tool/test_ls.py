"""The verb ls: what is listed, in which form; and that terminals and pipes get different lines."""

import csv
import fcntl
import io
import os
import pty
import struct
import subprocess
import termios
import unittest

from odd_names import metadata_with
from tool import TOOL, ToolTest, run

BIG = "synthetic_w64_1000"


def on_terminal(*arguments, columns=80, **environment):
    """Standard output of a run on a terminal that is so wide."""
    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {"TERM": "xterm", "PATH": "/usr/bin"} | environment
    process = subprocess.Popen([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=side, stderr=subprocess.DEVNULL, env=env)
    os.close(side)
    shown = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    process.wait()
    os.close(main)
    return shown.decode().replace("\r\n", "\n")


class Ls(ToolTest):
    def entries(self, *arguments):
        return run("ls", *arguments, "--json").json["entries"]

    def test_filters_are_what_a_script_would_pick(self):
        ckpt = self.imported(BIG)
        every = self.entries(ckpt)
        dtype = next(e["dtype"] for e in every if "dtype" in e)
        self.assertEqual(self.entries(ckpt, "--dtype", dtype), [e for e in every if e.get("dtype") == dtype])
        self.assertEqual(self.entries(ckpt, "--dtype", f"{dtype},bytes"), [e for e in every if e.get("dtype") in (dtype, None)])
        some = sorted(e["bytes"] for e in every)[len(every) // 2]
        for size in (str(some), f"{some / 1024}K", f"{some / 1024**2}MiB"):
            self.assertEqual(self.entries(ckpt, "--min-size", size), [e for e in every if e["bytes"] >= some])
        path = run("show", ckpt, "--json").json["files"][3]["relative_path"]
        there = {
            e["fqn"]
            for e in every
            for at in run("find", ckpt, e["fqn"], "--json").json["locations"]
            if at["storage"]["relative_path"] == path
        }
        self.assertEqual({e["fqn"] for e in self.entries(ckpt, "--file", path)}, there)
        self.assertEqual(run("ls", ckpt, "--file", "nothing*").code, 1)
        for nonsense in ("x", "-1", "1Q", "1KK", "", "1e40"):
            self.check_error(("ls", ckpt, f"--min-size={nonsense}"), "usage", "--min-size")

    def test_totals_are_those_of_show(self):
        for sample in ("s07_optimizer_bytes", "s04_dtypes", BIG):
            ckpt = self.imported(sample)
            listed, shown = run("ls", ckpt, "--json").json, run("show", ckpt, "--json").json
            for name in ("fqns", "bytes", "bytes_items"):
                self.assertEqual(listed[name], shown[name])
            self.assertEqual(sum(e["stored_bytes"] for e in listed["entries"]), shown["stored_bytes"])

    def test_a_tree_sums_up(self):
        ckpt = self.imported("s07_optimizer_bytes")
        listed = run("ls", ckpt, "--json").json["entries"]
        for depth in (1, 2, 99):
            modules = run("ls", ckpt, "--tree", "--depth", str(depth), "--json").json["modules"]
            self.assertEqual(len(modules), len({m["module"] for m in modules}))
            for module in modules:
                below = [e for e in listed if e["fqn"].startswith(module["module"] + ".")]
                self.assertEqual(module["tensors"], sum(e["type"] == "tensor" for e in below))
                self.assertEqual(module["others"], sum(e["type"] != "tensor" for e in below))
                self.assertEqual(module["bytes"], sum(e["bytes"] for e in below if e["type"] == "tensor"))
                self.assertLessEqual(module["module"].count("."), depth - 1)
        lines = run("ls", ckpt, "--tree", "--depth", "2").out.decode().splitlines()
        self.assertEqual(lines[0].split(), ["module", "tensors", "others", "size"])
        self.assertTrue(any(line.startswith("  ") for line in lines[1:]), lines)

    def test_a_module_comes_before_what_is_inside(self):
        path = self.folder / ".metadata"
        path.write_bytes(metadata_with(["a.b.c", "a-x.y", "a.b-2.z", "a.c"]))
        modules = [m["module"] for m in run("ls", path, "--tree", "--json").json["modules"]]
        self.assertEqual(modules, ["a", "a.b", "a.b-2", "a-x"])

    def test_lines_for_spreadsheets(self):
        path = self.folder / ".metadata"
        names = ['comma, "quote"', "tab\there", "line\nbreak", "plain"]
        path.write_bytes(metadata_with(names))
        expected = sorted(n.replace("\t", "\\t").replace("\n", "\\n") for n in names)
        for option, separator in (("--csv", ","), ("--tsv", "\t")):
            rows = list(
                csv.DictReader(
                    io.StringIO(run("ls", path, option).out.decode()),
                    delimiter=separator,
                    quoting=csv.QUOTE_MINIMAL if option == "--csv" else csv.QUOTE_NONE,
                )
            )
            self.assertEqual([row["fqn"] for row in rows], expected)
        listed = self.entries(self.imported("s07_optimizer_bytes"))
        rows = list(csv.DictReader(io.StringIO(run("ls", self.folder / "s07_optimizer_bytes", "--csv").out.decode())))
        self.assertEqual([int(row["bytes"]) for row in rows], [e["bytes"] for e in listed])
        self.assertEqual([row["dtype"] for row in rows], [e.get("dtype", "") for e in listed])

    def test_a_terminal_is_as_wide_as_it_is(self):
        ckpt = self.imported(BIG)
        least = 68  # what the other columns of this listing need beside a name of 12
        for columns in (40, 70, 80):
            lines = on_terminal("ls", ckpt, columns=columns).splitlines()[:-2]  # without the sums
            self.assertLessEqual(max(len(line) for line in lines), max(columns, least))
            self.assertTrue(any("\u2026" in line for line in lines))
        self.assertEqual(on_terminal("ls", ckpt, columns=400), run("ls", ckpt).out.decode())

    def test_colours_where_somebody_looks(self):
        one, other = self.imported("s01_plain_tensors"), self.imported("s04_dtypes")
        self.assertIn("\x1b[31m- ", on_terminal("diff", one, other))
        plain = run("diff", one, other).out.decode()
        self.assertNotIn("\x1b", plain)
        self.assertEqual(on_terminal("diff", one, other, NO_COLOR="1"), plain)
        self.assertEqual(on_terminal("diff", one, other, TERM="dumb"), plain)
        self.assertIn("\x1b[32msound", on_terminal("verify", one, columns=200))


if __name__ == "__main__":
    unittest.main()
