"""Completion, as the tool answers and as bash, zsh and fish use it; the manual, as groff sets it."""

import os
import pty
import select
import shutil
import subprocess
import time
import unittest

from odd_names import metadata_with
from tool import TOOL, ToolTest, run

LAYER = "model.model.layers.0."
ATTENTION = LAYER + "self_attn."


class Candidates(ToolTest):
    def complete(self, *words, shell="bash"):
        answer = run("completion", shell, "--", *words)
        self.assertEqual((answer.code, answer.err), (0, b""))
        return answer.out.decode().splitlines()

    def test_verbs_and_options(self):
        self.assertEqual(self.complete("s"), ["show", "stats"])
        self.assertIn("verify", self.complete(""))
        self.assertEqual(self.complete("--json", "mer"), ["merge"])
        self.assertEqual(self.complete("--of-rank", "3", "mer"), ["merge"])
        self.assertEqual(self.complete("plan", "--mes"), ["--mesh"])
        self.assertEqual(self.complete("--vers"), ["--version"])
        self.assertEqual(self.complete("ls", "--vers"), [])
        self.assertIn("--limit", self.complete("ls", "-"))
        self.assertEqual(self.complete("nonsense", ""), [])

    def test_values(self):
        self.assertEqual(self.complete("ls", "--sort", "s"), ["size"])
        self.assertEqual(self.complete("ls", "--sort=s"), ["--sort=size"])
        self.assertEqual(self.complete("ls", "--sort", "=", "s"), ["size"])  # as bash hands it over
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh", "fish"])
        self.assertEqual(self.complete("ls", ""), [])  # a file name: the shell's own matter

    def test_values_of_a_list(self):
        (option,) = [word for word in self.complete("diff", "--") if word == "--ignore"]
        values = self.complete("diff", option, "")
        self.assertGreater(len(values), 1)
        self.assertEqual(self.complete("diff", option, values[0] + "," + values[1][:2])[0], f"{values[0]},{values[1]}")

    def test_names_stop_at_dots(self):
        folder = self.sample("synthetic_w64_1000")
        self.assertEqual(self.complete("show", folder, ""), ["model.", "optimizer.", "step"])
        self.assertEqual(self.complete("find", folder, LAYER), [LAYER + "mlp.gate_proj.weight", ATTENTION])
        self.assertEqual(self.complete("ls", "--sort", "size", folder, "st"), ["step"])
        self.assertEqual(self.complete("get", folder, "step", "st"), ["step"])
        self.assertEqual(self.complete("show", folder, "step", ""), [])
        self.assertEqual(self.complete("show", self.folder / "absent", ""), [])

    def test_odd_names_are_printable(self):
        (self.folder / ".metadata").write_bytes(metadata_with(["a\x1b[31m", "a\nb", "ab"]))
        self.assertEqual(self.complete("show", self.folder, "a"), [r"a\nb", r"a\x1b[31m", "ab"])

    def test_descriptions_for_fish(self):
        self.assertIn("ls\tList FQNs: dtype, shape, chunks, size", self.complete("", shell="fish"))
        for line in self.complete("diff", "-", shell="fish"):
            self.assertEqual(line.count("\t"), int("--help" not in line), line)


class Shells(ToolTest):
    """What a person gets who presses the tabulator."""

    def setUp(self):
        super().setUp()
        self.sample("synthetic_w64_1000", into="ckpt")
        self.environment = os.environ | {"PATH": f"{TOOL.parent}:{os.environ['PATH']}", "TERM": "dumb"}

    def script(self, shell):
        path = self.folder / f"completion.{shell}"
        path.write_bytes(run("completion", shell).out)
        return path

    def run_shell(self, *command):
        done = subprocess.run(command, cwd=self.folder, env=self.environment, check=True, stdout=subprocess.PIPE, timeout=60)
        return done.stdout.decode().splitlines()

    def type_into(self, command, lines):
        """A terminal in which the shell runs; what it showed."""
        process, terminal = pty.fork()
        if process == 0:
            os.chdir(self.folder)
            os.execvpe(command[0], command, self.environment)
        shown = b""
        try:
            for line, awaited in lines:
                os.write(terminal, line)
                until = time.monotonic() + 30
                mark = len(shown)
                while awaited not in shown[mark:] and time.monotonic() < until:
                    if select.select([terminal], [], [], 0.1)[0]:
                        shown += os.read(terminal, 65536)
                self.assertIn(awaited, shown[mark:], shown.decode(errors="replace"))
        finally:
            os.close(terminal)
            os.waitpid(process, 0)
        return shown

    def test_bash(self):
        script = self.script("bash")
        self.type_into(
            ["bash", "--norc", "--noprofile", "-i"],
            [
                (f"source {script}; echo re''ady\n".encode(), b"ready"),
                (b"flatpoint find ckpt " + (LAYER + "self").encode() + b"\tq\t\n", b"__63_0.distcp"),
            ],
        )

    def test_zsh(self):
        script = self.script("zsh")
        self.type_into(
            ["zsh", "-f", "-i"],
            [
                (f"autoload -U compinit; compinit -u -D; source {script}; echo re''ady\n".encode(), b"ready"),
                (b"flatpoint find ckpt " + (LAYER + "self").encode() + b"\tq\t\n", b"__63_0.distcp"),
            ],
        )

    def test_fish(self):
        script = self.script("fish")
        found = self.run_shell("fish", "-c", f"source {script}; complete -C 'flatpoint show ckpt {LAYER}'")
        self.assertEqual(found, [LAYER + "mlp.gate_proj.weight", ATTENTION])
        found = self.run_shell("fish", "-c", f"source {script}; complete -C 'flatpoint show ck'")
        self.assertEqual(found, ["ckpt/"])


class Manual(ToolTest):
    def test_every_page(self):
        groff = shutil.which("groff")
        self.assertIsNotNone(groff, "groff-base is not installed (scripts/setup --tests installs it)")
        verbs = run("completion", "bash", "--", "").out.decode().split()
        self.assertIn("manual", verbs)
        for verb in [None, *verbs]:
            with self.subTest(verb):
                page = run("manual", *([verb] if verb else [])).out
                done = subprocess.run(
                    [groff, "-man", "-Tascii", "-ww", "-rLL=200n", "-P-cbou"], input=page, capture_output=True, check=True
                )
                self.assertEqual(done.stderr, b"")
                text = " ".join(done.stdout.decode().split())
                for line in run("help", *([verb] if verb else [])).out.decode().splitlines():
                    words = line.split()
                    if line.startswith("  ") and words and "this text" not in line:
                        self.assertIn(words[0], text)
        self.assertIn(b"no verb 'lss'", run("manual", "lss").err)


if __name__ == "__main__":
    unittest.main()
