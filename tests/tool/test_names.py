"""Names that a terminal, a shell or JSON cannot take as they are, and patterns."""

import fnmatch
import random
import unittest

from odd_names import metadata_with
from tool import ToolTest, run

ODD = {
    "": "",
    "a\nb": r"a\nb",
    "tab\there": r"tab\there",
    "\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    "c1\x9b31m": r"c1\u009b31m",
    "nul\0inside": r"nul\x00inside",
    "back\\slash": r"back\\slash",
    "looks\\nescaped": r"looks\\nescaped",
    "lone\ud800high": r"lone\ud800high",
    "lone\udc80low": r"lone\udc80low",
    "right\u202eleft": r"right\u202eleft",
    "zero\u200bwidth": r"zero\u200bwidth",
    "tag\U000e0041": r"tag\U000e0041",
    'quote"d': 'quote"d',
    "größe": "größe",
    "重み.層": "重み.層",
    "\U0001f600": "\U0001f600",
}


class OddNames(ToolTest):
    def setUp(self):
        super().setUp()
        self.names = list(ODD)
        random.Random(1).shuffle(self.names)
        (self.folder / ".metadata").write_bytes(metadata_with(self.names))

    def test_table_is_safe_and_aligned(self):
        lines = run("ls", self.folder).out.decode().split("\n")
        rows = lines[1 : 1 + len(ODD)]
        shown = sorted(row.split("  ")[0] for row in rows)
        self.assertEqual(shown, sorted(ODD.values()))
        for line in lines:
            self.assertTrue(line.isprintable(), ascii(line))
        wide = {"重": 2, "み": 2, "層": 2, "\U0001f600": 2}
        ends = {sum(wide.get(c, 1) for c in row[: row.index("float32")]) for row in rows}
        self.assertEqual(len(ends), 1)

    def test_json_keeps_every_name(self):
        entries = run("ls", self.folder, "--sort", "dcp", "--json").json["entries"]
        self.assertEqual([entry["fqn"] for entry in entries], self.names)

    def test_a_printed_name_finds_its_entry(self):
        for name, shown in ODD.items():
            with self.subTest(shown):
                for verb in ("find", "show"):
                    self.assertEqual(run(verb, self.folder, shown, "--json").json["fqn"], name)
                if "\0" not in name:
                    raw = name.encode("utf-8", "surrogatepass")
                    self.assertEqual(run("find", self.folder, raw, "--json").json["fqn"], name)

    def test_messages_are_safe(self):
        answer = run("find", self.folder, "\x1b[31mred\x1b[1m")
        self.assertEqual(answer.code, 1)
        self.assertTrue(answer.err.decode().rstrip("\n").isprintable(), answer.err)
        self.check_error(("ls", self.folder / "no\x1b\nwhere"), "not_found")

    def check_error(self, arguments, code):
        answer = run(*arguments)
        self.assertEqual(answer.code, 2)
        self.assertTrue(answer.err.decode().removesuffix("\n").isprintable(), answer.err)
        self.assertEqual(run(*arguments, "--json").error["code"], code)


class NearNames(ToolTest):
    def near(self, names, wanted):
        (self.folder / ".metadata").write_bytes(metadata_with(names))
        answer = run("find", self.folder, wanted, "--json")
        self.assertEqual(answer.code, 1)
        return answer.json["near"]

    def test_near_names(self):
        names = [f"model.layers.{i}.{kind}" for i in range(4) for kind in ("weight", "bias")]
        self.assertEqual(self.near(names, "model.layers.2.wieght")[0], "model.layers.2.weight")
        self.assertEqual(self.near(names, "layers.3.bias")[0], "model.layers.3.bias")
        self.assertEqual(self.near(names, "module.model.layers.0.weight")[0], "model.layers.0.weight")
        self.assertEqual(self.near(names, "completely.different"), [])


class Patterns(ToolTest):
    def matches(self, *patterns):
        answer = run("ls", self.folder, "--json", "--", *patterns)
        return [entry["fqn"] for entry in answer.json["entries"]]

    def test_same_as_fnmatch(self):
        """Thousands of small patterns over every short name of few letters, against Python's own matcher."""
        draw = random.Random(7)
        names = sorted({"".join(draw.choices("ab.é]", k=draw.randrange(7))) for _ in range(400)}, key=str.encode)
        (self.folder / ".metadata").write_bytes(metadata_with(names))
        parts = ["a", "b", ".", "é", "*", "*", "?", "[ab]", "[!a]", "[]]", "[!]b]", "[a-b]", "[b-a]", "[.-a]", "[a-]", "[", "]"]
        for _ in range(200):
            pattern = "".join(draw.choices(parts, k=draw.randrange(1, 6)))
            with self.subTest(pattern):
                self.assertEqual(self.matches(pattern), [name for name in names if fnmatch.fnmatchcase(name, pattern)])

    def test_several_patterns_and_escapes(self):
        (self.folder / ".metadata").write_bytes(metadata_with(["a", "ab", "a*", "b", "c?"]))
        self.assertEqual(self.matches("a*", "*b", "a"), ["a", "a*", "ab", "b"])
        self.assertEqual(self.matches(r"a\*"), ["a*"])
        self.assertEqual(self.matches(r"c\?", "nothing"), ["c?"])

    def test_stars_do_not_blow_up(self):
        (self.folder / ".metadata").write_bytes(metadata_with(["a" * 20000]))
        self.assertEqual(self.matches("*a" * 50 + "*b"), [])


if __name__ == "__main__":
    unittest.main()
