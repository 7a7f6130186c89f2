"""Runs the command-line tool for the tests. FLATPOINT_TOOL names it, FLATPOINT_SAMPLES the folder of sample checkpoints."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

TOOL = pathlib.Path(os.environ["FLATPOINT_TOOL"])
SAMPLES = pathlib.Path(os.environ["FLATPOINT_SAMPLES"])
GOLDEN = pathlib.Path(__file__).parent / "golden"

FORMAT_MAJOR_FIELD = 0  # of the root table
NOBODY = 65534


class Answer:
    """What one run of the tool gave."""

    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        """The error object that `--json` puts on standard error."""
        return json.loads(self.err)["error"]

    def as_golden(self):
        """Everything a user sees, as bytes."""
        text = b"exit %d\n--- stdout\n" % self.code + self.out
        return text + b"--- stderr\n" + self.err if self.err else text


def run(*arguments, tool=TOOL, **options):
    """Runs the tool; arguments may be str, bytes or paths."""
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "timeout": 60} | options
    return Answer(subprocess.run([os.fspath(tool), *map(os.fspath, arguments)], check=False, **options))


class ToolTest(unittest.TestCase):
    """A test with a folder of its own, gone afterwards."""

    maxDiff = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="flatpoint-test-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def sample_with_data(self, name, into=None):
        """A private copy of a sample, tensor data included."""
        return shutil.copytree(SAMPLES / name, self.folder / (into or name))

    def change_data(self, copy, fqn, change):
        """Changes the bytes of the first chunk of an FQN, in its data file: bytes to bytes of the same length."""
        known = self.folder / "known.flatpoint"
        assert run("import", copy / ".metadata", "--data", "-f", "-o", known).code == 0
        location = run("find", known, fqn, "--json").json["locations"][0]
        path, begin, length = (copy / location["storage"]["relative_path"], *location["data"].values())
        data = path.read_bytes()
        path.write_bytes(data[:begin] + change(data[begin:][:length]) + data[begin + length :])

    def sample(self, name, into=None):
        """A private copy of a sample's metadata, without its tensor data and with a fixed modification time."""
        copy = self.folder / (into or name)
        copy.mkdir(parents=True)
        for source in sorted((SAMPLES / name).glob("*metadata")):
            shutil.copyfile(source, copy / source.name)
            os.utime(copy / source.name, ns=(0, 1_700_000_000_000_000_000))
        return copy

    def imported(self, name="s01_plain_tensors"):
        """The flatpoint file of a sample, without the `.metadata` it came from."""
        folder = self.sample(name)
        self.assertEqual(run("import", folder).code, 0)
        (folder / ".metadata").unlink()
        return folder / ".metadata.flatpoint"

    def check_error(self, arguments, code, *words, **options):
        """Exit 2, nothing on standard output, one line for people, an object with a stable code for programs."""
        plain = run(*arguments, **options)
        self.assertEqual((plain.code, plain.out), (2, b""), plain.err)
        text = plain.err.decode()
        self.assertRegex(text, r"\Aflatpoint: error: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, text)
        program = run(*arguments, "--json", **options)
        self.assertEqual((program.code, program.out), (2, b""), program.err)
        self.assertEqual(program.error["code"], code)
        self.assertEqual(f"flatpoint: error: {program.error['message']}\n", text)
