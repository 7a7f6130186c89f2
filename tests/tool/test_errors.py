"""Bad input and bad surroundings: a clear error, the right exit status, and no rubbish left behind."""

import os
import shutil
import struct
import subprocess
import unittest

from odd_names import metadata_with
from tool import NOBODY, TOOL, ToolTest, run

READING_VERBS = (("ls",), ("show",), ("find", "w"))


def with_major_version(content, version):
    """The bytes of a flatpoint file with another format_major, found as FlatBuffers lays it out."""
    (root,) = struct.unpack_from("<I", content, 0)
    (to_vtable,) = struct.unpack_from("<i", content, root)
    (field,) = struct.unpack_from("<H", content, root - to_vtable + 4)
    changed = bytearray(content)
    struct.pack_into("<H", changed, root + field, version)
    return bytes(changed)


class BadInput(ToolTest):
    def check_all(self, path, code, *words):
        for verb, *more in READING_VERBS:
            with self.subTest(verb):
                self.check_error((verb, path, *more), code, *words)

    def test_nothing_there(self):
        missing = self.folder / "missing"
        self.check_all(missing, "not_found", "missing")
        self.check_error(("verify", missing), "not_found", "missing")
        self.check_error(("import", missing), "not_found", "missing")

    def test_folder_without_metadata(self):
        self.check_all(self.folder, "not_found", str(self.folder))
        self.check_error(("verify", self.folder), "not_found", str(self.folder))
        self.check_error(("import", self.folder), "not_found", str(self.folder))

    def test_file_of_another_program(self):
        for name, content in (("empty", b""), ("text", b"tensors, honestly\n"), ("zip", b"PK\x03\x04" + bytes(60))):
            with self.subTest(name):
                path = self.folder / name
                path.write_bytes(content)
                self.check_all(path, "not_pickle", name)
                self.check_error(("verify", path), "not_pickle", name)

    def test_what_is_no_checkpoint_is_recognised(self):
        files = {
            "__0_0.distcp": (b"PK\x03\x04" + bytes(60), "data file of DCP", "name its folder"),
            "model.pt": (b"PK\x03\x04" + bytes(60), "torch.save", "torch_save_to_dcp"),
            "metadata.pkl": (b"\x80\x04}.", "no manifest of torch_checkpointing"),
        }
        for name, (content, *words) in files.items():
            with self.subTest(name):
                path = self.folder / name
                path.write_bytes(content)
                self.check_all(path, "not_pickle", name, *words)
                self.check_error(("verify", path), "not_pickle", *words)
        (self.folder / "model.safetensors").write_bytes(struct.pack("<Q", 2) + b"{}")
        self.check_all(self.folder, "not_pickle", "no manifest of torch_checkpointing")
        (self.folder / "model.safetensors").unlink()
        (self.folder / "metadata.pkl").unlink()
        self.check_all(self.folder, "not_found", "their metadata is missing")
        for step in ("step_3", "step_1", "step_2", "step_4"):
            self.sample("s01_plain_tensors", into=step)
        self.check_all(self.folder, "not_found", "name one of step_1, step_2, step_3 and 1 more")
        self.check_error(("verify", self.folder), "not_found", "step_1")
        for url in ("s3://bucket/ckpt", "https://host/.metadata"):
            self.check_all(url, "not_found", "is a URL", "fetch its")
            self.check_error(("verify", url), "not_found", "is a URL")

    def test_truncated_and_appended(self):
        whole = self.imported().read_bytes()
        for name, content in (("truncated", whole[:-8]), ("half", whole[: len(whole) // 2]), ("appended", whole + bytes(8))):
            with self.subTest(name):
                path = self.folder / name
                path.write_bytes(content)
                self.check_all(path, "truncated", name)
                verdict = run("verify", path, "--json")
                self.assertEqual(verdict.code, 1)
                self.assertIn(verdict.json["broken_rules"][0]["rule"], ("F2", "F3"))

    def test_newer_major_version(self):
        path = self.folder / "newer"
        path.write_bytes(with_major_version(self.imported().read_bytes(), 9))
        self.check_all(path, "version", "9")
        verdict = run("verify", path, "--json")
        self.assertEqual((verdict.code, [broken["rule"] for broken in verdict.json["broken_rules"]]), (1, ["F7"]))

    def test_truncated_pickle(self):
        folder = self.sample("s01_plain_tensors")
        pickle = folder / ".metadata"
        pickle.write_bytes(pickle.read_bytes()[:-20])
        self.check_all(folder, "bad_pickle", ".metadata")
        self.check_error(("import", folder), "bad_pickle", ".metadata")
        self.assertEqual(os.listdir(folder), [".metadata"])
        verdict = run("verify", folder, "--json")
        self.assertEqual((verdict.code, verdict.json["broken_rules"][0]["rule"]), (1, "bad_pickle"))

    def test_limits(self):
        folder = self.sample("s01_plain_tensors")
        self.check_error(("ls", folder, "--limit", "max_opcodes=5"), "too_large", "max_opcodes")
        self.check_error(("import", folder, "--limit", "max_input_bytes=100"), "too_large", "max_input_bytes")
        self.assertEqual(os.listdir(folder), [".metadata"])
        self.assertEqual(run("ls", folder, "--limit", "max_depth=100", "--limit", "max_opcodes=100000").code, 0)
        for nonsense in ("max_depth", "max_depth=", "max_depth=x", "depth=5", "max_depth=-1", "max_depth=5x", "="):
            with self.subTest(nonsense):
                self.check_error(("ls", folder, "--limit", nonsense), "usage", nonsense)

    def test_several_ranks(self):
        folder = self.sample("d09_no_collectives")
        self.check_all(folder, "ambiguous", "0, 1, 2, 3", "--of-rank")
        self.assertEqual(run("ls", folder, "--of-rank", "2").code, 0)
        self.check_error(("ls", folder, "--of-rank", "7"), "not_found", "__7.metadata")
        self.check_error(("import", folder), "ambiguous", "--of-rank")
        imported = run("import", folder, "--of-rank", "2", "--json")
        self.assertEqual(imported.json["output"], str(folder / "__2.metadata.flatpoint"))

    def test_unreadable(self):
        """As root everything can be read: then as nobody."""
        folder = self.sample("s01_plain_tensors")
        tool, options = self.unprivileged()
        for path in (folder / ".metadata", folder):
            with self.subTest(path.name):
                path.chmod(0)
                self.check_error(("ls", folder), "io", "ermission denied", tool=tool, **options)
                self.check_error(("verify", folder), "io", "ermission denied", tool=tool, **options)
                path.chmod(0o755)

    def unprivileged(self):
        """A tool that somebody without privileges can run, and how."""
        self.folder.chmod(0o755)
        if os.geteuid() != 0:
            return TOOL, {}
        copy = self.folder / "flatpoint"
        shutil.copy(TOOL, copy)
        return copy, {"user": NOBODY, "group": NOBODY, "extra_groups": []}

    def test_output_folder_is_read_only(self):
        folder = self.sample("s01_plain_tensors")
        tool, options = self.unprivileged()
        folder.chmod(0o555)
        self.check_error(("import", folder), "io", "ermission denied", tool=tool, **options)
        self.assertEqual(os.listdir(folder), [".metadata"])


class Import(ToolTest):
    def test_existing_output(self):
        folder = self.sample("s01_plain_tensors")
        output = folder / ".metadata.flatpoint"
        output.write_bytes(b"precious")
        self.check_error(("import", folder), "conflict", ".metadata.flatpoint", "--force")
        self.assertEqual(output.read_bytes(), b"precious")
        self.assertEqual(run("import", folder, "--force").code, 0)
        made = output.read_bytes()
        self.assertEqual(made[4:8], b"FLPT")
        again = run("import", folder)
        self.assertEqual((again.code, again.err), (0, b""))
        self.assertIn(b"already imported from", again.out)
        self.assertTrue(run("import", folder, "--json").json["already_imported"])
        self.assertEqual(output.read_bytes(), made)
        shutil.copy(self.sample("s04_dtypes") / ".metadata", folder / ".metadata")
        self.check_error(("import", folder), "conflict", "--force")
        self.assertEqual(sorted(os.listdir(folder)), [".metadata", ".metadata.flatpoint"])

    def test_output_is_the_source(self):
        folder = self.sample("s01_plain_tensors")
        before = (folder / ".metadata").read_bytes()
        for alias in (folder / ".metadata", folder / "." / ".metadata", folder / ".." / folder.name / ".metadata"):
            self.check_error(("import", folder, "-o", alias, "--force"), "invalid_argument", "file that is read")
        self.assertEqual((folder / ".metadata").read_bytes(), before)

    def test_output_is_no_place_for_a_file(self):
        folder = self.sample("s01_plain_tensors")
        self.check_error(("import", folder, "-o", folder), "invalid_argument", "folder")
        self.check_error(("import", folder, "-o", folder / "no" / "where"), "not_found", "no")
        self.assertEqual(os.listdir(folder), [".metadata"])

    def test_flatpoint_file_as_source(self):
        path = self.imported()
        self.check_error(("import", path), "invalid_argument", "already")
        self.check_error(("import", path.parent), "invalid_argument", "already")

    def test_mode_follows_the_umask(self):
        for umask, mode in ((0o022, 0o644), (0o077, 0o600)):
            with self.subTest(oct(umask)):
                output = self.folder / f"{umask}.flatpoint"
                answer = run("import", self.sample("s01_plain_tensors", f"{umask}"), "-o", output, umask=umask)
                self.assertEqual(answer.code, 0, answer.err)
                self.assertEqual(output.stat().st_mode & 0o777, mode)

    def test_relative_output(self):
        self.sample("s01_plain_tensors")
        self.assertEqual(run("import", "s01_plain_tensors", "-o", "x.flatpoint", cwd=self.folder).code, 0)
        self.assertTrue((self.folder / "x.flatpoint").is_file())

    def test_stale_file_loses_to_the_pickle(self):
        folder = self.sample("s01_plain_tensors")
        run("import", folder)
        shutil.copy(self.sample("s04_dtypes") / ".metadata", folder / ".metadata")
        listed = run("ls", folder, "--json")
        self.assertEqual(listed.json["checkpoint"]["origin"], "pickle")
        self.assertEqual(len(listed.json["checkpoint"]["notices"]), 1)
        self.assertIn(b"flatpoint: note: ", run("ls", folder).err)


class Verify(ToolTest):
    def test_stale_source(self):
        folder = self.sample("s01_plain_tensors")
        run("import", folder)
        sound = run("verify", folder, "--check", "rules", "--json")
        self.assertEqual((sound.code, sound.json["sound"], sound.json["source"]), (0, True, "matches"))

        pickle = folder / ".metadata"
        shutil.copy(self.sample("s04_dtypes") / ".metadata", pickle)
        stale = run("verify", folder, "--check", "rules", "--json")
        self.assertEqual((stale.code, stale.json["source"]), (1, "stale"))
        self.assertEqual([broken["rule"] for broken in stale.json["broken_rules"]], ["stale"])
        self.assertEqual(run("verify", folder, "--check", "rules").code, 1)

        file = folder / ".metadata.flatpoint"
        self.assertEqual(run("verify", file, "--json").json["source"], "not_looked_for")
        self.assertEqual((run("verify", file).code, run("verify", file, "--source").code), (0, 1))
        pickle.unlink()
        self.assertEqual(run("verify", folder, "--check", "rules", "--json").json["source"], "absent")

    def test_the_source_of_a_rank(self):
        """The file that a rank wrote alone belongs to that rank's pickle, for every verb."""
        folder = self.sample("d09_no_collectives")
        self.assertEqual(run("import", folder, "--of-rank", "0").code, 0)
        file = folder / "__0.metadata.flatpoint"
        for given in ((file, "--source"), (folder, "--of-rank", "0")):
            answer = run("verify", *given, "--check", "rules", "--json")
            self.assertEqual((answer.code, answer.json["path"], answer.json["source"]), (0, str(file), "matches"))
            sound = run("verify", *given, "--check", "rules").out
            self.assertIn(b"imported from the __0.metadata beside it", sound)
            self.assertIn(b"unpickling the __0.metadata makes objects", sound)
        shutil.copy(folder / "__1.metadata", folder / "__0.metadata")
        for given in ((file, "--source"), (folder, "--of-rank", "0")):
            answer = run("verify", *given, "--check", "rules", "--json")
            self.assertEqual((answer.code, answer.json["source"]), (1, "stale"))
            self.assertIn("__0.metadata", answer.json["broken_rules"][0]["message"])
        listed = run("ls", folder, "--of-rank", "0")
        self.assertIn(b"was not imported from the __0.metadata beside it", listed.err)
        self.assertEqual(run("import", folder, "--of-rank", "0").code, 2)
        self.assertEqual(run("import", folder, "--of-rank", "0", "--force").code, 0)
        self.assertEqual(run("verify", file, "--source").code, 0)

    def test_a_copied_folder(self):
        """Other times, the same bytes: the flatpoint file wins with a note, until it is imported again."""
        folder = self.sample("s01_plain_tensors")
        run("import", folder)
        self.assertEqual(run("ls", folder).err, b"")
        os.utime(folder / ".metadata", ns=(1, 1))
        listed = run("ls", folder, "--json").json["checkpoint"]
        self.assertEqual((listed["origin"], len(listed["notices"])), ("flatpoint", 1))
        self.assertIn("flatpoint import", listed["notices"][0])
        self.assertEqual(run("import", folder, "--force").code, 0)
        self.assertEqual(run("ls", folder).err, b"")

    def test_changed_inside(self):
        """A change far from the end keeps length and tail: only the full digest shows it."""
        folder = self.sample("synthetic_w64_1000")
        run("import", folder)
        pickle = folder / ".metadata"
        content = bytearray(pickle.read_bytes())
        at = content.index(b"q_proj")
        content[at : at + 6] = b"Q_PROJ"
        pickle.write_bytes(content)
        self.assertEqual(run("verify", folder, "--json").json["source"], "stale")

    def test_digest(self):
        path = self.imported()
        content = bytearray(path.read_bytes())
        content[-24] ^= 1
        path.write_bytes(content)
        self.assertEqual(run("ls", path).code, 0)
        verdict = run("verify", path, "--json")
        self.assertEqual((verdict.code, [broken["rule"] for broken in verdict.json["broken_rules"]]), (1, ["F9"]))

    def test_pickle(self):
        verdict = run("verify", self.sample("s01_plain_tensors") / ".metadata", "--json")
        self.assertEqual((verdict.code, verdict.json["sound"]), (0, True))


class StandardStreams(ToolTest):
    def test_closed_output(self):
        folder = self.sample("s01_plain_tensors")
        answer = run("ls", folder, stdout=None, preexec_fn=lambda: os.close(1))
        self.assertEqual(answer.code, 2)
        self.assertRegex(answer.err.decode(), r"\Aflatpoint: error: standard output: [^\n]+\n\Z")

    def test_all_closed(self):
        """No file of ours may become a standard stream."""
        folder = self.sample("s01_plain_tensors")
        answer = run("import", folder, stdin=None, stdout=None, stderr=None, preexec_fn=lambda: os.closerange(0, 3))
        self.assertEqual(answer.code, 2)
        self.assertEqual(run("verify", folder / ".metadata.flatpoint").code, 0)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            answer = run("ls", self.sample("s01_plain_tensors"), stdout=full)
        self.assertEqual(answer.code, 2)
        self.assertIn(b"No space left", answer.err)

    def test_reader_goes_away(self):
        """Not an error, and no signal."""
        command = [TOOL, "ls", self.sample("synthetic_w64_1000"), "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            process.stdout.read(1)
            process.stdout.close()
            self.assertEqual(process.stderr.read(), b"")
            self.assertEqual(process.wait(60), 0)


class Usage(ToolTest):
    def test_mistakes(self):
        for arguments in (
            (),
            ("nonsense",),
            ("ls",),
            ("ls", ".", "--nonsense"),
            ("ls", ".", "--sort", "colour"),
            ("find", "."),
            ("show", ".", "a", "b"),
            ("ls", ".", "--of-rank", "x"),
            ("ls", ".", "--of-rank", "-1"),
        ):
            with self.subTest(arguments):
                self.check_error(arguments, "usage")

    def test_what_may_be_meant(self):
        for arguments, meant in ((("sow", "."), "'show'"), (("ls", ".", "--lnog"), "'--long'"), (("ls", ".", "--hlep"), "'--help'")):
            self.check_error(arguments, "usage", f"did you mean {meant}?")

    def test_ways_to_write_options(self):
        """Short ones together, a value behind its name or apart, options before the verb and between arguments."""
        folder = self.sample("s01_plain_tensors")
        listing = run("ls", folder, "w*", "-l", "--sort", "size").out
        for arguments in (
            ("ls", "-l", "--sort=size", folder, "w*"),
            ("ls", folder, "-l", "w*", "--sort", "size"),
            ("ls", folder, "--sort=size", "-l", "--", "w*"),
        ):
            self.assertEqual(run(*arguments).out, listing)
        self.assertEqual(run("--json", "ls", folder).out, run("ls", folder, "--json").out)
        self.assertEqual(run("import", folder, f"-fo{self.folder / 'out'}").code, 0)
        for mistake in (
            ("ls", folder, "-x"),
            ("ls", folder, "-lx"),
            ("ls", folder, "--long=yes"),
            ("ls", folder, "--sort", "size", "--sort", "name"),
        ):
            self.check_error(mistake, "usage")

    def test_offset(self):
        folder = self.sample("s01_plain_tensors")
        for nonsense in ("x", "1,", ",1", "1,,2", "[1", "1]", "1 2", "9223372036854775808"):
            with self.subTest(nonsense):
                self.check_error(("find", folder, "w", f"--offset={nonsense}"), "invalid_argument", nonsense)
        for offset in ("0,0", "[0, 0]", " 0 , 0 "):
            self.assertEqual(run("find", folder, "w", "--offset", offset).code, 0)
        for offset in ("", "[]", "0", "0,0,0", "-1,0", "4,0"):
            self.assertEqual(run("find", folder, "w", "--offset", offset).code, 1)
        self.assertEqual(run("find", folder, "step", "--offset", "").code, 0)

    def test_the_chunk_that_holds_an_element(self):
        folder = self.sample("d02_dtensor_2d")
        boxes = {tuple(c["offsets"]): c["sizes"] for c in run("show", folder, "s0s1", "--json").json["chunks"]}
        for offset, sizes in boxes.items():
            for element in (offset, [o + n - 1 for o, n in zip(offset, sizes, strict=True)]):
                answer = run("find", folder, "s0s1", "--containing", ",".join(map(str, element)), "--json").json
                self.assertEqual([tuple(at["index"]["offset"]) for at in answer["locations"]], [offset])
        for element, words in (("9", "1 indices for a tensor of 2"), ("0,-1", "outside"), ("0,9999", "outside"), ("x", "expected numbers")):
            self.check_error(("find", folder, "s0s1", "--containing", element), "invalid_argument", "--containing", words)
        self.check_error(("find", folder, "s0s1", "--containing", "0,0", "--offset", "0,0"), "usage", "exclude each other")
        self.assertEqual(run("find", folder, "absent", "--containing", "0").code, 1)
        self.check_error(("find", self.sample("d01_dtensor_1d"), "obj.a", "--containing", ""), "invalid_argument", "no tensor")

    def test_names_that_look_like_something_else(self):
        """Brackets (a list to the parser of options), verbs, options."""
        for name in ("[x]", "ls", "find", "--json", "-", "="):
            (self.folder / name).mkdir()
            (self.folder / name / ".metadata").write_bytes(metadata_with([name, "other"]))
            path = "./-" if name == "-" else name  # alone it is standard input
            with self.subTest(name):
                self.assertEqual(run("find", "--json", "--", path, name, cwd=self.folder).json["fqn"], name)
                self.assertEqual(run("show", "--json", "--", path, name, cwd=self.folder).json["fqn"], name)
                matched = run("ls", "--json", "--", path, name, cwd=self.folder).json["entries"]
                self.assertEqual([entry["fqn"] for entry in matched], [] if name == "[x]" else [name])

    def test_help_has_an_example_for_every_verb(self):
        overview = run("--help")
        self.assertEqual((overview.code, overview.err), (0, b""))
        for verb in ("ls", "show", "find", "verify", "import"):
            with self.subTest(verb):
                self.assertIn(f"\n  {verb} ".encode(), overview.out)
                answer = run(verb, "--help")
                self.assertEqual((answer.code, answer.err), (0, b""))
                self.assertIn(f"  flatpoint {verb} ckpt/".encode(), answer.out)

                self.assertEqual(run("help", verb).out, answer.out)
        self.assertEqual(run("help").out, overview.out)

    def test_version(self):
        answer = run("--version")
        self.assertEqual(answer.code, 0)
        self.assertRegex(answer.out.decode(), r"\Aflatpoint \d+\.\d+\.\d+\n\Z")


if __name__ == "__main__":
    unittest.main()
