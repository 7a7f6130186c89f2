"""A `.metadata` that would run a command, given to every verb: nothing runs, and what would is shown and goes nowhere."""

import os
import pickle
import re
import struct
import unittest

from odd_names import metadata_with, with_attribute
from tool import ToolTest, run


class Code:
    """What unpickling turns into a call of os.system."""

    def __init__(self, trap):
        self.command = f"touch {trap}"

    def __reduce__(self):
        return os.system, (self.command,)


def attacks(code):
    """Code wherever a value may stand, name by name."""
    return {
        "an attribute": metadata_with(["w"], mcore_data=[code]),
        "a value": metadata_with(["w"], state_dict_metadata={"evil": code}),
        "a key": metadata_with(["w"], state_dict_metadata={code: 1}),
        "storage data": metadata_with(["w"], storage_data={code: code}),
        "planner data": metadata_with(["w"], planner_data={"w": code}),
        "all planner data": metadata_with(["w"], planner_data=code),
        "storage meta": metadata_with(["w"], storage_meta=code),
        "the version": metadata_with(["w"], version=code),
    }


# A key that only Python can hash and compare: the import does not guess.
REFUSED = {"a key.metadata", "storage data.metadata"}

# What follows a verb; CKPT and OUT stand for paths.
VERBS = {
    "ls": [["CKPT", "--json"]],
    "show": [["CKPT"], ["CKPT", "w"], ["CKPT", "evil"]],
    "find": [["CKPT", "w", "--offset", "0"]],
    "plan": [["CKPT", "--mesh", "2", "--placements", "S0", "--rank", "1"], ["CKPT", "--mesh", "2", "--placements", "S0", "--all-ranks"]],
    "get": [["CKPT", "w", "-o", "OUT"], ["CKPT", "evil", "-o", "OUT"]],
    "stats": [["CKPT"]],
    "verify": [["CKPT", "--coverage"], ["CKPT", "--check", "bytes"]],
    "diff": [["CKPT", "CKPT"]],
    "import": [["CKPT", "-o", "OUT"]],
    "export": [["CKPT", "-o", "OUT"], ["CKPT", "-o", "OUT", "--keep-opaque"], ["CKPT", "-o", "OUT", "--drop-opaque"]],
    "convert": [["CKPT", "OUT"], ["CKPT", "OUT", "--drop", "evil"]],
    "report": [["CKPT", "-o", "OUT"]],
    "merge": [["CKPT", "-o", "OUT"], ["CKPT", "-o", "OUT", "--drop-opaque"]],
    "rename": [["CKPT", "w", "v", "-o", "OUT"], ["CKPT", "w", "v", "-o", "OUT", "--drop-opaque"]],
    "drop": [["CKPT", "w", "-o", "OUT"], ["CKPT", "w", "-o", "OUT", "--drop-opaque"]],
    "keep": [["CKPT", "w", "-o", "OUT"], ["CKPT", "w", "-o", "OUT", "--drop-opaque"]],
}


class Malicious(ToolTest):
    def setUp(self):
        super().setUp()
        self.trap = self.folder / "trap"
        self.out = self.folder / "out"
        self.code = Code(self.trap)

    def run_verb(self, verb, arguments, checkpoint):
        self.out.unlink(missing_ok=True)
        answer = run(verb, *({"CKPT": checkpoint, "OUT": self.out}.get(word, word) for word in arguments))
        self.assertIn(answer.code, (0, 1, 2), answer.err)
        self.assertFalse(self.trap.exists(), "the pickle ran a command")
        return answer

    def ask_everything(self, checkpoint):
        for verb, uses in VERBS.items():
            for arguments in uses:
                with self.subTest(checkpoint.name, verb=verb, arguments=arguments):
                    self.run_verb(verb, arguments, checkpoint)

    def checkpoints(self):
        for name, data in attacks(self.code).items():
            path = self.folder / f"{name}.metadata"
            path.write_bytes(data)
            yield path

    def test_the_trap_would_spring(self):
        pickle.loads(pickle.dumps(self.code))
        self.assertTrue(self.trap.exists())

    def test_every_verb_is_tried(self):
        verbs = re.search(r"\nVerbs:\n(.*?)\n\n", run("--help").out.decode(), re.DOTALL)[1]
        self.assertEqual(re.findall(r"^  (\w+)", verbs, re.MULTILINE), [*VERBS, "completion", "manual"])  # which open nothing

    def test_code_in_the_place_of_a_value(self):
        for checkpoint in self.checkpoints():
            self.ask_everything(checkpoint)
            imported = self.folder / f"{checkpoint.stem}.flatpoint"
            if checkpoint.name in REFUSED:
                self.check_error(("import", checkpoint, "-o", imported), "bad_pickle", "only Python can hash and compare")
                continue
            self.assertEqual(run("import", checkpoint, "-o", imported).code, 0)
            self.ask_everything(imported)

    def test_code_instead_of_metadata(self):
        path = self.folder / "root.metadata"
        for protocol in range(6):
            path.write_bytes(pickle.dumps(self.code, protocol))
            self.ask_everything(path)
            self.check_error(("ls", path), "not_pickle", "system")

    def test_it_is_shown(self):
        for checkpoint in self.checkpoints():
            if checkpoint.name in REFUSED:
                continue
            with self.subTest(checkpoint.name):
                shown = self.run_verb("show", ["CKPT"], checkpoint).out.decode()
                self.assertIn("named in these pickles, not imported\nposix system\n", shown)

    def test_verify_names_it(self):
        for checkpoint in self.checkpoints():
            with self.subTest(checkpoint.name):
                answer = self.run_verb("verify", ["CKPT"], checkpoint)
                self.assertEqual(answer.code, 1)
                self.assertIn("unpickling: posix.system is called", answer.out.decode())
                told = self.run_verb("verify", ["CKPT", "--json"], checkpoint).json["unpickling"]
                self.assertFalse(told["clean"])
                self.assertEqual({act["name"] for act in told["acts"]}, {"posix.system"})
        harmless = self.folder / "harmless.metadata"
        harmless.write_bytes(metadata_with(["w"]))
        answer = run("verify", harmless, "--json")
        self.assertEqual((answer.code, answer.json["unpickling"]), (0, {"clean": True, "acts": []}))

    def test_code_through_names_of_dcp(self):
        """`getattr(PosixPath, "write_text")(path, text)`: no name in it is foreign."""

        def word(text):
            return b"X" + struct.pack("<I", len(text)) + text.encode()

        def name(module, qualname):
            return word(module) + word(qualname) + b"\x93"

        method = name("builtins", "getattr") + name("pathlib", "PosixPath") + word("write_text") + b"\x86R"
        path = name("pathlib", "PosixPath") + word(str(self.trap)) + b"\x85R"
        call = method + path + word("ran") + b"\x86R"
        checkpoint = self.folder / "getattr.metadata"
        checkpoint.write_bytes(with_attribute(metadata_with(["w"]), "note", call))
        self.ask_everything(checkpoint)
        self.out.unlink(missing_ok=True)
        self.check_error(("export", checkpoint, "-o", self.out), "opaque_records", "builtins.getattr", "'note'")
        self.assertFalse(self.out.exists())
        self.assertEqual(self.run_verb("verify", ["CKPT"], checkpoint).code, 1)

    def test_it_is_not_exported_by_default(self):
        for checkpoint in self.checkpoints():
            with self.subTest(checkpoint.name):
                self.out.unlink(missing_ok=True)
                if checkpoint.name in REFUSED:
                    self.check_error(("export", checkpoint, "-o", self.out), "bad_pickle", "only Python can hash and compare")
                    continue
                self.check_error(("export", checkpoint, "-o", self.out), "opaque_records", "posix.system")
                self.assertFalse(self.out.exists())
                self.assertEqual(self.run_verb("export", VERBS["export"][2], checkpoint).code, 0)
                self.assertNotIn(b"posix", self.out.read_bytes())


if __name__ == "__main__":
    unittest.main()
