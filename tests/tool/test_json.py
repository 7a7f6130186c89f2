"""docs/json.schema.json says what --json prints: every answer is valid, and every member that it names was printed once."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

import jsonschema
from odd_names import metadata_with
from tool import SAMPLES, ToolTest, run

PAGES = pathlib.Path(os.environ["FLATPOINT_DOCS"])
SCHEMA = json.loads((PAGES / "json.schema.json").read_text())


class Code:
    def __reduce__(self):
        return os.system, ("true",)


def no_name_twice(pairs):
    assert len({name for name, _ in pairs}) == len(pairs), pairs
    return dict(pairs)


def resolved(schema):
    while "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def members(schema, path):
    """The members that a schema names, as paths that begin with the name of a definition."""
    if "$ref" in schema:
        return
    for name, member in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from members(member, f"{path}.{name}")
    if "items" in schema:
        yield from members(schema["items"], path)


def members_of(value, schema, path):
    """Those of them that a value has."""
    if "$ref" in schema:
        path = schema["$ref"].rsplit("/", 1)[1]
        schema = resolved(schema)
    if isinstance(value, dict):
        for name, member in value.items():
            known = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if known:
                yield f"{path}.{name}"
                yield from members_of(member, known, f"{path}.{name}")
    elif isinstance(value, list):
        for element in value:
            yield from members_of(element, schema["items"], path)


class JsonSchema(ToolTest):
    def setUp(self):
        super().setUp()
        self.seen = set()

    def check(self, definition, *arguments, code=0):
        """Runs a verb; its answer is what `definition` says."""
        answer = run(*arguments, "--json")
        self.assertEqual(answer.code, code, (arguments, answer.err))
        value = json.loads(answer.err if code == 2 else answer.out, object_pairs_hook=no_name_twice)
        schema = SCHEMA["$defs"][definition]
        validator = jsonschema.Draft202012Validator(schema | {"$defs": SCHEMA["$defs"]})
        wrong = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
        self.assertEqual(wrong, [], arguments)
        self.seen.update(members_of(value, schema, definition))
        return value

    def look_at(self, folder):
        names = [entry["fqn"] for entry in self.check("ls", "ls", folder)["entries"]]
        self.check("ls", "ls", "--tree", folder)
        self.check("show", "show", folder)
        for name in names[:8]:
            kind = self.check("show_fqn", "show", folder, name)["type"]
            found = run("find", folder, name, "--json").code == 0
            self.check("find" if found else "absent", "find", folder, name, code=0 if found else 1)
            if kind == "tensor":
                self.check("absent", "find", folder, name, "--offset", "12345,1,1,1,1,1", code=1)
        for check in ("rules", "files", "items", "bytes"):
            code = run("verify", folder, "--check", check, "--coverage", "--json").code
            self.check("verify", "verify", folder, "--check", check, "--coverage", code=code)
        mesh = ("--mesh", "2", "--placements", "S0")
        code = run("plan", folder, *mesh, "--rank", "1", "--json").code
        self.check("plan", "plan", folder, *mesh, "--rank", "1", code=code)
        self.check("plan_all_ranks", "plan", folder, *mesh, "--all-ranks", code=code)
        self.check("plan_by_file", "plan", folder, *mesh, "--all-ranks", "--by-file", code=code)

    def change(self, folder):
        out = self.folder / "out"
        self.check("import", "import", folder, "-o", out)
        self.check("already_imported", "import", folder, "-o", out)
        sharded = self.sample_with_data("d02_dtensor_2d")
        self.check("import", "import", sharded, "--data")
        columns = ("plan", sharded, "--mesh", "2", "--placements", "S1", "--rank", "1")
        self.check("plan", *columns, code=run(*columns).code)
        for entry in self.check("ls", "ls", sharded)["entries"]:
            self.check("find", "find", sharded, entry["fqn"])
        self.check("export", "export", out, "-o", self.folder / "exported", "--drop-opaque")
        self.check("keep", "keep", folder, "w", "-o", self.folder / "kept")
        self.check("drop", "drop", folder, "w", "-o", self.folder / "rest")
        self.check("rename", "rename", folder, "w", "w.new", "-o", self.folder / "renamed")
        for verb, more in (("keep", ["none"]), ("drop", ["none"]), ("rename", ["none", "other"])):
            self.check("nothing_to_do", verb, folder, *more, "-o", self.folder / "nothing", code=1)
        self.check("diff", "diff", out, self.folder / "renamed", code=1)
        self.check("diff", "diff", "--stat", out, self.folder / "renamed", code=1)
        self.check("diff", "diff", out, out)
        flipped = self.sample_with_data("s01_plain_tensors", "flipped")
        self.change_data(flipped, "w", lambda data: bytes([data[0] ^ 1]) + data[1:])
        self.check("diff", "diff", SAMPLES / "s01_plain_tensors", flipped, "--largest", code=1)

    def test_every_answer(self):
        samples = [path for path in sorted(SAMPLES.iterdir()) if (path / ".metadata").exists()]
        self.assertGreater(len(samples), 15)
        for sample in samples:
            with self.subTest(sample.name):
                self.look_at(sample)
        self.change(self.sample("s01_plain_tensors"))
        self.check("export", "export", SAMPLES / "s23_megatron_all_local_plans", "-o", self.folder / "e", "--drop-opaque")
        self.check("diff", "diff", SAMPLES / "d01_dtensor_1d", SAMPLES / "d02_dtensor_2d", code=1)
        self.check("merge", "merge", self.sample("d09_no_collectives"), "-o", self.folder / "merged")
        data = [path for path in samples if any(path.glob("*.distcp"))]
        self.assertGreater(len(data), 3)
        for sample in data:
            code = run("stats", sample, "--json").code
            if code != 2:
                self.check("stats", "stats", sample, code=code)
        self.check("diff", "diff", SAMPLES / "real_t2.6.0_sharded", SAMPLES / "real_t2.9.1_sharded", code=1)
        for stored in (1, 2):
            (self.folder / f"stored{stored}").write_bytes(metadata_with(["w"], stored))
        self.check("diff", "diff", self.folder / "stored1", self.folder / "stored2", code=1)
        wanted = self.folder / "wanted.json"
        wanted.write_text('[{"fqn": "none"}]')
        self.check("plan", "plan", SAMPLES / "s01_plain_tensors", "--wanted", wanted, code=1)
        self.check("convert", "convert", SAMPLES / "s07_optimizer_bytes", self.folder / "converted", "--drop", "*.step")
        self.check("report", "report", SAMPLES / "s07_optimizer_bytes", "-o", self.folder / "report.html")
        self.check("error", "nonsense", code=2)
        hostile = self.folder / "hostile"
        hostile.write_bytes(metadata_with(["w"], state_dict_metadata={"evil": Code()}, more=Code()))
        self.check("verify", "verify", hostile, code=1)
        self.check("show", "show", hostile)
        self.check("show_fqn", "show", hostile, "evil")
        self.check("error", "show", self.folder / "nowhere", code=2)
        (self.folder / "near").write_bytes(metadata_with(["layer.0.weight", "layer.1.weight"]))
        self.check("absent", "find", self.folder / "near", "layer.2.weight", code=1)

        named = {path for name, schema in SCHEMA["$defs"].items() for path in members(schema, name)}
        self.assertEqual(named - self.seen, set(), "members of the schema that no answer had")

    def test_every_object_is_closed(self):
        def look(schema, path):
            if isinstance(schema, dict):
                if "object" in schema.get("type", ()):
                    self.assertIn("additionalProperties", schema, path)
                for name, part in schema.items():
                    look(part, f"{path}.{name}")
            elif isinstance(schema, list):
                for part in schema:
                    look(part, path)

        for name, schema in SCHEMA["$defs"].items():
            look(schema, name)

    def test_the_page_is_made_from_the_schema(self):
        page = subprocess.run(
            [sys.executable, PAGES.parent / "tools/dev/json_page"], check=True, stdout=subprocess.PIPE, timeout=60
        ).stdout.decode()
        self.assertEqual((PAGES / "json.md").read_text(), page, "tools/dev/json_page > docs/json.md")


if __name__ == "__main__":
    unittest.main()
