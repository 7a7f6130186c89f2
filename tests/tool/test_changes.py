"""merge, rename, drop, keep, diff: what they write, what they say, what they refuse."""

import json
import unittest

from tool import SAMPLES, ToolTest, run


class Changes(ToolTest):
    def fqns(self, path):
        return [entry["fqn"] for entry in run("ls", path, "--json", "--sort", "dcp").json["entries"]]

    def test_a_folder_of_ranks_becomes_one_checkpoint(self):
        folder = self.sample("d09_no_collectives")
        self.assertEqual(run("ls", folder).code, 2)
        answer = run("merge", folder)
        self.assertEqual((answer.code, answer.err), (0, b""))
        self.assertIn(b".metadata.flatpoint: 2 FQNs, 4 chunks in ", answer.out)
        self.assertTrue(answer.out.endswith(b" from 4 fragments, without 3 replicas\n"), answer.out)
        self.assertEqual(run("verify", folder, "--check", "rules").code, 0)
        expected = json.loads((SAMPLES / "d09_no_collectives/__0.expected.json").read_text())
        self.assertEqual(self.fqns(folder), list(expected["state_dict_metadata"]))
        self.check_error(["merge", folder], "conflict", "there is a file already", "--force")
        self.assertEqual(run("merge", folder, "--force", "--json").json["replicas"], 3)

    def test_the_order_of_arguments_does_not_matter(self):
        folder = self.sample("d09_no_collectives")
        outputs = []
        for ranks in ((0, 1, 2, 3), (3, 1, 0, 2)):
            fragments = []
            for rank in ranks:
                fragments.append(self.folder / f"rank{rank}.{ranks[0]}.flatpoint")
                self.assertEqual(run("import", folder, "--of-rank", str(rank), "-o", fragments[-1]).code, 0)
            output = self.folder / f"{ranks[0]}.flatpoint"
            self.assertEqual(run("merge", *fragments, "-o", output).code, 0)
            outputs.append(output.read_bytes())
        run("merge", folder)
        outputs.append((folder / ".metadata.flatpoint").read_bytes())
        self.assertEqual(len(set(outputs)), 1)

    def test_imports_beside_their_pickles_are_no_second_fragments(self):
        folder = self.sample("d09_no_collectives")
        self.assertEqual(run("import", folder, "--of-rank", "2").code, 0)
        self.assertEqual(run("merge", folder, "--json").json["fragments"], 4)

    def test_a_missing_rank(self):
        folder = self.sample("d09_no_collectives")
        (folder / "__1.metadata").unlink()
        output = self.folder / "out"
        self.check_error(["merge", folder, "-o", output], "not_found", "there are fragments of ranks 0, 2, 3, but none of rank 1")
        answer = run("merge", folder, "--partial", "--json").json
        self.assertEqual([finding["kind"] for finding in answer["findings"]], ["hole"])
        for rank in (2, 3):  # now only holes tell
            (folder / f"__{rank}.metadata").unlink()
        self.check_error(["merge", folder / "__0.metadata", "-o", output], "conflict", "16 of the 64 elements")
        self.assertFalse(output.exists())

    def test_four_thousand_ranks(self):
        folder = self.folder / "many"
        folder.mkdir()
        pickle = (SAMPLES / "d09_no_collectives/__2.metadata").read_bytes()
        for rank in range(4096):
            (folder / f"__{rank}.metadata").write_bytes(pickle)
        one = run("merge", folder / "__7.metadata", "-o", self.folder / "one", "--partial", "--json").json
        answer = run("merge", folder, "--partial", "--json").json
        self.assertEqual(answer["fragments"], 4096)
        self.assertEqual(answer["chunks"], one["chunks"])
        self.assertEqual(answer["replicas"], 4095 * 2)  # the chunk and the bytes
        self.assertEqual(run("diff", folder, self.folder / "one").code, 0)

    def test_what_merge_refuses(self):
        folder = self.sample("d09_no_collectives")
        whole = self.imported("s01_plain_tensors")
        output = self.folder / "out"
        self.check_error(["merge", whole, "-o", output], "invalid_argument", "is no fragment")
        self.check_error(["merge", folder / "__0.metadata"], "invalid_argument", "-o OUT is needed")
        self.check_error(["merge", self.folder], "not_found", "no fragment")
        self.check_error(["merge", folder, folder / "__0.metadata", "-o", output], "conflict", "rank 0 is there twice")

    def test_rename_by_pattern_and_back(self):
        original = self.imported("s07_optimizer_bytes")
        renamed, back = original.parent / "renamed", original.parent / "back"  # beside the data: no note
        answer = run("rename", original, "model.*", "module.*", "-o", renamed)
        self.assertEqual((answer.code, answer.err), (0, b""))
        names = [n.replace("model.", "module.", 1) if n.startswith("model.") else n for n in self.fqns(original)]
        self.assertEqual(self.fqns(renamed), names)
        self.assertEqual(run("verify", renamed).code, 0)
        self.assertEqual(run("rename", renamed, "module.*", "model.*", "-o", back).code, 0)
        self.assertEqual(back.read_bytes(), original.read_bytes())

    def test_rename_by_a_file(self):
        original = self.imported("s01_plain_tensors")
        first = self.fqns(original)[0]
        names, output = self.folder / "names", self.folder / "out"
        names.write_text(f"{first}\tline\\nbreak\n")
        self.assertEqual(run("rename", original, "--map", names, "-o", output, "--json").json["renamed"], 1)
        self.assertIn("line\nbreak", self.fqns(output))
        for content, code, words in (
            (f"{first} new", "invalid_argument", "expected OLD, a tab, NEW"),
            ("absent\tnew", "not_found", "no FQN 'absent'"),
            (f"{first}\ta\n{first}\tb", "invalid_argument", "earlier line"),
            (f"{first}\t\\q", "invalid_argument", "no escape"),
        ):
            names.write_text(content)
            self.check_error(["rename", original, "--map", names, "-o", self.folder / "none"], code, words)

    def test_rename_refusals(self):
        original = self.imported("s01_plain_tensors")
        names, output = self.folder / "names", self.folder / "out"
        self.check_error(["rename", original, "*", "same", "-o", output], "invalid_argument", "different numbers of *")
        self.check_error(["rename", original, "only", "-o", output], "invalid_argument", "expected FROM TO")
        a, b = self.fqns(original)[:2]
        names.write_text(f"{a}\t{b}\n")
        self.check_error(["rename", original, "--map", names, "-o", output], "conflict", "would both become")
        self.check_error(["rename", original, a, b, "-o", output], "conflict", "would both become", b)
        self.check_error(["rename", original, a, "new", "-o", original], "invalid_argument", "would replace a file")
        self.assertFalse(output.exists())

    def test_drop_and_keep_share_the_checkpoint(self):
        original = self.imported("s07_optimizer_bytes")
        dropped, kept = self.folder / "dropped", self.folder / "kept"
        self.assertEqual(run("drop", original, "model.*", "-o", dropped).code, 0)
        self.assertEqual(run("keep", original, "model.*", "-o", kept).code, 0)
        names = self.fqns(original)
        self.assertEqual(self.fqns(kept), [name for name in names if name.startswith("model.")])
        self.assertEqual(self.fqns(dropped), [name for name in names if not name.startswith("model.")])

    def test_nothing_to_do_is_a_negative_answer(self):
        original = self.imported("s01_plain_tensors")
        for command in (("drop", "nothing*"), ("keep", "nothing*"), ("rename", "nothing", "x")):
            answer = run(command[0], original, *command[1:], "-o", self.folder / "out")
            self.assertEqual((answer.code, answer.out), (1, b""))
            self.assertIn(b"no FQN matches; nothing is written", answer.err)
        self.assertFalse((self.folder / "out").exists())

    def test_opaque_records_stop_an_edit(self):
        original = self.imported("s23_megatron_all_local_plans")
        output = self.folder / "out"
        for verb, *arguments in (("drop", "*"), ("keep", "*"), ("rename", "*", "new.*")):
            self.check_error([verb, original, *arguments, "-o", output], "opaque_records", "--drop-opaque")
            self.assertFalse(output.exists())
        self.assertEqual(run("drop", original, "*", "-o", output, "--drop-opaque").code, 0)
        self.assertEqual(self.fqns(output), [])

    def test_the_same(self):
        folder = self.sample("d01_dtensor_1d")
        imported = self.folder / "copy.flatpoint"
        run("import", folder, "-o", imported)
        answer = run("diff", folder, imported)
        self.assertEqual((answer.code, answer.out, answer.err), (0, b"the same; values were not compared\n", b""))
        self.assertTrue(run("diff", folder, imported, "--json").json["same"])

    def test_differences(self):
        original = self.imported("s01_plain_tensors")
        name = self.fqns(original)[0]
        renamed = self.folder / "renamed"
        run("rename", original, name, "new name", "-o", renamed)
        answer = run("diff", original, renamed)
        self.assertEqual(answer.code, 1)
        lines = answer.out.decode().splitlines()
        self.assertEqual(lines[0], "1 removed, 1 added, 0 changed, 0 of the whole; values were not compared")
        self.assertTrue(lines[1].startswith(f"- {name}  "), lines)
        self.assertTrue(lines[2].startswith("+ new name  "), lines)
        program = run("diff", original, renamed, "--json")
        self.assertEqual((program.code, program.json["removed"], program.json["added"]), (1, [name], ["new name"]))

    def test_aspects_are_chosen(self):
        one, other = self.imported("real_t2.9.1_single"), self.imported("real_t2.1.2_single")
        self.assertEqual(run("diff", one, other).code, 1)
        self.assertEqual(run("diff", one, other, "--only", "dtype", "--json").json["changed"], [])
        every = ("type", "dtype", "shape", "properties", "sharding", "location", "order", "planner", "meta", "save")
        self.assertEqual(run("diff", one, other, "--only", "meta").code, 1)
        self.assertEqual(run("diff", one, other, "--ignore", ",".join(every[:-1]), "--json").json["changed"], [])
        self.check_error(["diff", one, other, "--only", "colour"], "usage", "colour")

    def test_ids_of_the_save_do_not_count(self):
        one = self.sample("s01_plain_tensors")
        other = self.sample("s01_plain_tensors", into="other")
        pickle = (other / ".metadata").read_bytes()
        save_id = run("show", one, "--json").json["storage_meta"]["save_id"].encode()
        self.assertEqual(pickle.count(save_id), 1)
        (other / ".metadata").write_bytes(pickle.replace(save_id, save_id[::-1]))
        answer = run("diff", one, other)
        self.assertEqual(
            (answer.code, answer.out), (0, b"the same; other ids of the save (--strict counts them); values were not compared\n")
        )
        said = run("diff", one, other, "--json").json
        self.assertEqual((said["same"], said["values_compared"], said["file"]), (True, False, []))
        self.assertEqual([i["what"] for i in said["save_ids"]], ["storage_meta.save_id"])
        for more in (("--strict",), ("--only", "save")):
            self.assertEqual(run("diff", one, other, *more).code, 1)
            self.assertEqual(run("diff", one, other, *more, "--json").json["file"][0]["aspect"], "save")
        self.assertEqual(run("diff", one, other, "--strict", "--ignore", "save").code, 0)

    def test_differences_by_module(self):
        original = self.imported("synthetic_w64_1000")
        renamed = self.folder / "renamed"
        run("rename", original, "*.layers.0.*.weight", "*.layers.0.*.kernel", "-o", renamed)
        answer = run("diff", original, renamed, "--stat", "--depth", "4", "--json")
        self.assertEqual(answer.code, 1)
        modules = {m["module"]: (m["removed"], m["added"]) for m in answer.json["modules"]}
        self.assertEqual(set(modules), {"model.model.layers.0"} | {m for m in modules if m.startswith("optim")})
        self.assertEqual(sum(m[0] for m in modules.values()), len(run("diff", original, renamed, "--json").json["removed"]))
        lines = run("diff", original, renamed, "--stat", "--depth", "4").out.decode().splitlines()
        self.assertRegex(lines[0], r"^\d+ removed, \d+ added")
        self.assertEqual(lines[1].split()[:3], ["module", "removed", "added"])


if __name__ == "__main__":
    unittest.main()
