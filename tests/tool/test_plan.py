"""The verb plan, and verify --coverage: what is wanted, as a person or a loader states it, to what is read."""

import json
import unittest

from odd_names import metadata_with
from tool import ToolTest, run

MESH = ("--mesh", "3", "--placements", "S0")
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000  # nothing may recurse into it


class Plan(ToolTest):
    def setUp(self):
        super().setUp()
        self.checkpoint = self.sample("d01_dtensor_1d")

    def wanted(self, content):
        path = self.folder / "wanted.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def plan(self, *arguments, code=0):
        answer = run("plan", self.checkpoint, *arguments, "--json")
        self.assertEqual(answer.code, code, answer.err)
        return answer.json

    def test_shards_from_a_file_are_those_of_the_mesh(self):
        """What rank 1 of 3 holds, spelled out, gives the plan that the mesh gives."""
        meshed = self.plan(*MESH, "--rank", "1")
        entries = run("ls", self.checkpoint, "--json").json["entries"]
        shards = []
        for entry in entries:
            if entry["type"] != "tensor":
                shards.append({"fqn": entry["fqn"]})
                continue
            size = entry["shape"]
            step = -(-size[0] // 3) if size else 0
            begin, end = (min(step, size[0]), min(2 * step, size[0])) if size else (0, 0)
            box = [[begin, *[0] * (len(size) - 1)], [end - begin, *size[1:]]] if size else [[], []]
            shards.append({"fqn": entry["fqn"], "size": size, "dtype": entry["dtype"], "boxes": [box]})
        listed = self.plan("--wanted", self.wanted(shards))
        order = lambda item: (item["relative_path"], item["byte_offset"], item["fqn"])
        self.assertEqual(sorted(listed.pop("items"), key=order), sorted(meshed.pop("items"), key=order))
        self.assertEqual(listed, meshed)

    def test_boxes_may_be_objects(self):
        boxes = {"fqn": "uneven", "size": [10, 3], "boxes": [{"offsets": [2, 0], "sizes": [3, 3]}]}
        lists = {"fqn": "uneven", "size": [10, 3], "boxes": [[[2, 0], [3, 3]]]}
        self.assertEqual(self.plan("--wanted", self.wanted([boxes])), self.plan("--wanted", self.wanted([lists])))

    def test_everything_wrong_is_said_at_once(self):
        shards = [
            {"fqn": "gone"},
            {"fqn": "uneven", "size": [10, 4], "boxes": [[[0, 0], [10, 4]]]},
            {"fqn": "even", "size": [8, 8], "dtype": "int8", "boxes": [[[4, 0], [5, 8]]]},
            {"fqn": "tiny"},
        ]
        plan = self.plan("--wanted", self.wanted(shards), code=1)
        self.assertFalse(plan["loadable"])
        self.assertEqual(
            [(issue["kind"], issue["fatal"], issue["fqn"]) for issue in plan["issues"]],
            [
                ("missing", True, "gone"),
                ("size_mismatch", True, "uneven"),
                ("dtype_mismatch", False, "even"),
                ("box_outside", True, "even"),
                ("type_mismatch", True, "tiny"),
            ],
        )
        self.assertIn("[10, 4]", plan["issues"][1]["message"])
        self.assertIn("[10, 3]", plan["issues"][1]["message"])
        self.assertEqual(set(plan["unexpected"]), {"col", "obj.a", "obj.b", "plain", "rep"})
        text = run("plan", self.checkpoint, "--wanted", self.folder / "wanted.json")
        self.assertEqual(text.code, 1)
        for line in ("error missing: FQN 'gone'", "error box_outside: FQN 'even'", "note unexpected: FQN 'rep'"):
            self.assertIn(line, text.out.decode())

    def test_the_partial_rule(self):
        path = self.wanted([{"fqn": "gone"}, {"fqn": "obj.a"}])
        self.plan("--wanted", path, code=1)
        plan = self.plan("--wanted", path, "--partial")
        self.assertTrue(plan["loadable"])
        self.assertEqual([item["fqn"] for item in plan["items"]], ["obj.a"])

    def test_a_stated_gap_joins_reads(self):
        apart = self.plan(*MESH, "--rank", "0")
        joined = self.plan(*MESH, "--rank", "0", "--gap", "1000000")
        self.assertLess(len(joined["reads"]), len(apart["reads"]))
        self.assertEqual(len(joined["reads"]), joined["files"])
        self.assertEqual(joined["items"], apart["items"])
        self.assertGreater(joined["read_bytes"], apart["read_bytes"])
        self.assertEqual(joined["stored_bytes"], apart["stored_bytes"])

    def test_all_ranks_add_up(self):
        balance = self.plan(*MESH, "--all-ranks")
        for rank, load in enumerate(balance["ranks"]):
            plan = self.plan(*MESH, "--rank", str(rank))
            self.assertEqual(
                load,
                {"rank": rank, "items": len(plan["items"])} | {name: plan[name] for name in ("files", "needed_bytes", "stored_bytes")},
            )
        for name in ("items", "needed_bytes", "stored_bytes"):
            self.assertEqual(balance[name], sum(load[name] for load in balance["ranks"]))
        self.assertEqual(balance["read_amplification"], balance["stored_bytes"] / balance["needed_bytes"])
        most = max(load["stored_bytes"] for load in balance["ranks"])
        self.assertEqual(balance["ranks"][balance["most_loaded_rank"]]["stored_bytes"], most)
        most = max(balance["file_loads"], key=lambda load: load["bytes"])
        self.assertEqual(balance["most_loaded_file"], most["relative_path"])

    def test_what_is_asked_must_be_whole(self):
        for arguments in (
            (),
            ("--mesh", "3", "--rank", "0"),
            ("--placements", "S0", "--rank", "0"),
            MESH,
            (*MESH, "--rank", "0", "--all-ranks"),
            ("--wanted", "x", *MESH),
            ("--wanted", "x", "--rank", "0"),
            ("--wanted", "x", "--all-ranks"),
        ):
            with self.subTest(arguments):
                self.check_error(("plan", self.checkpoint, *arguments), "invalid_argument", "--wanted", "--mesh")

    def test_a_mesh_that_does_not_fit(self):
        cases = (
            (("--mesh", "3x", "--placements", "S0", "--rank", "0"), ("--mesh", "'3x'")),
            (("--mesh", "3,2", "--placements", "S0", "--rank", "0"), ("--mesh", "'3,2'")),
            (("--mesh", "3x2", "--placements", "S0", "--rank", "0"), ("1 placements", "2 dimensions")),
            (("--mesh", "0", "--placements", "S0", "--rank", "0"), ("size 0",)),
            (("--mesh", "3", "--placements", "Q", "--rank", "0"), ("Q",)),
            (("--mesh", "3", "--placements", "P", "--rank", "0"), ("FQN", "partial")),
            (("--mesh", "3", "--placements", "S0", "--rank", "3"), ("rank 3", "3 ranks")),
        )
        for arguments, words in cases:
            with self.subTest(arguments):
                self.check_error(("plan", self.checkpoint, *arguments), "invalid_argument", *words)
        self.check_error(("plan", self.checkpoint, "--mesh", "65536x65536", "--placements", "R,R", "--all-ranks"), "too_large")

    def test_a_file_of_shards_that_says_something_else(self):
        cases = (
            ("[", ("wanted.json", "parse error")),
            ("{}x", ("wanted.json",)),
            ('{"fqn": "w"}', ("wanted.json", "array")),
            ("[1]", ("wanted.json",)),
            ('[{"size": [1]}]', ("wanted.json", "fqn")),
            ('[{"fqn": "w", "boxes": []}]', ("wanted.json", "size")),
            ('[{"fqn": "w"}, {"fqn": "w", "sizes": [4]}]', ("wanted.json", "entry 1", "'sizes'")),
            ('[{"fqn": "w", "size": 4, "boxes": []}]', ("FQN 'w'", "not 4")),
            ('[{"fqn": "w", "size": [4], "boxes": {}}]', ("FQN 'w'", "not an object")),
            ('[{"fqn": "w", "size": [4], "boxes": [[[0]]]}]', ("wanted.json", "index 1")),
            ('[{"fqn": "w", "size": [4]}]', ("wanted.json", "boxes")),
            ('[{"fqn": "w", "size": [4, 4], "boxes": [[[0], [4, 4]]]}]', ("FQN 'w'", "1 offsets", "2 dimensions")),
            ('[{"fqn": "w", "size": [4], "boxes": [[[0], [4, 4]]]}]', ("FQN 'w'", "2 sizes", "1 dimensions")),
            ('[{"fqn": "w", "size": [4], "dtype": "float33", "boxes": []}]', ("FQN 'w'", "float33")),
            ('[{"fqn": "w", "size": [4.5], "boxes": []}]', ("FQN 'w'", "4.5")),
            ('[{"fqn": "w", "size": [18446744073709551615], "boxes": []}]', ("FQN 'w'", "18446744073709551615")),
            (f'[{{"fqn": "w", "size": {DEEP}, "boxes": []}}]', ("FQN 'w'", "not an object")),
            (f'[{{"fqn": "w", "size": [{DEEP}], "boxes": []}}]', ("FQN 'w'", "an object is no 64-bit integer")),
            (f'[{{"fqn": "w", "size": [4], "boxes": {DEEP}}}]', ("FQN 'w'", "not an object")),
            (f'[{{"fqn": {DEEP}}}]', ("wanted.json", "string")),
        )
        for content, words in cases:
            with self.subTest(content[:80]):
                self.check_error(("plan", self.checkpoint, "--wanted", self.wanted(content)), "invalid_argument", *words)
        self.check_error(("plan", self.checkpoint, "--wanted", self.folder / "absent"), "not_found", "absent")


class Ranks(ToolTest):
    """Patterns, placements of some FQNs, and all ranks at once."""

    MESH = ("--mesh", "4")

    def plan(self, ckpt, *arguments):
        return run("plan", ckpt, *self.MESH, *arguments, "--json").json

    def test_patterns_and_their_placements(self):
        ckpt = self.imported("synthetic_w64_1000")
        every = [e["fqn"] for e in run("ls", ckpt, "--json").json["entries"]]
        some = "model.*.layers.0.*"
        chosen = self.plan(ckpt, some, "--placements", "S0", "--rank", "1")
        self.assertEqual({i["fqn"] for i in chosen["items"]}, {f for f in every if f.startswith("model.") and ".layers.0." in f})
        self.assertEqual(chosen["unexpected"], [])
        mixed = self.plan(ckpt, some, "--placements", "S0", "--placements", "*.o_proj.*=Shard(dim=1)", "--rank", "1")
        alone = self.plan(ckpt, some, "--placements", "S1", "--rank", "1")
        for plan, same in ((chosen, False), (alone, True)):
            items = [i for i in plan["items"] if ".o_proj." in i["fqn"]]
            self.assertEqual([i for i in mixed["items"] if ".o_proj." in i["fqn"]] == items, same)
        rest = [i for i in chosen["items"] if ".o_proj." not in i["fqn"]]
        self.assertEqual([i for i in mixed["items"] if ".o_proj." not in i["fqn"]], rest)
        for arguments, code, words in (
            (("--placements", "*.o_proj.*=S1", "--rank", "0"), "invalid_argument", "without a pattern for the rest"),
            (("--placements", "S0", "--placements", "S1", "--rank", "0"), "invalid_argument", "a second one"),
            (("nothing*", "--placements", "S0", "--rank", "0"), "not_found", "no FQN matches"),
            (("--placements", "*.o_proj.*=S1,S0", "--placements", "S0", "--rank", "0"), "invalid_argument", "2 placements"),
        ):
            self.check_error(("plan", ckpt, *self.MESH, *arguments), code, words)

    def test_who_reads_what_of_which_file(self):
        ckpt = self.imported("synthetic_w64_1000")
        arguments = (*self.MESH, "--placements", "S0", "--all-ranks", "--by-file")
        matrix = run("plan", ckpt, *arguments, "--json").json
        self.assertEqual([r["rank"] for r in matrix["ranks"]], [0, 1, 2, 3])
        for row in matrix["ranks"]:
            reads = self.plan(ckpt, "--placements", "S0", "--rank", str(row["rank"]))["reads"]
            expected = dict.fromkeys(matrix["files"], 0)
            for read in reads:
                expected[read["relative_path"]] += read["length"]
            self.assertEqual(dict(zip(matrix["files"], row["bytes"], strict=True)), expected)
        lines = [line.split("\t") for line in run("plan", ckpt, *arguments, "--tsv").out.decode().splitlines()]
        self.assertEqual(lines[0], ["rank", *matrix["files"]])
        self.assertEqual([[int(x) for x in line] for line in lines[1:]], [[r["rank"], *r["bytes"]] for r in matrix["ranks"]])
        table = run("plan", ckpt, *arguments).out.decode()
        self.assertIn(f"... {len(matrix['files']) - 20} more files; --full shows them", table)
        self.assertNotIn("--full", run("plan", ckpt, *arguments, "--full").out.decode())
        balance = run("plan", ckpt, *arguments[:-1], "--json").json
        self.assertEqual([r["rank"] for r in balance["ranks"]], [0, 1, 2, 3])
        self.assertEqual(balance["issue_count"], len(balance["issues"]))
        self.check_error(("plan", ckpt, *self.MESH, "--placements", "S0", "--rank", "1", "--by-file"), "invalid_argument", "--all-ranks")

    def test_the_table_has_byte_ranges_and_is_cut(self):
        ckpt = self.imported("synthetic_w64_1000")
        arguments = ("plan", ckpt, *self.MESH, "--placements", "S0", "--rank", "1")
        reads = run(*arguments, "--json").json["reads"]
        lines = run(*arguments, "--full").out.decode().splitlines()
        self.assertEqual(lines[0].split("  ")[0], "file")
        shown = [line.split()[:3] for line in lines[1 : 1 + len(reads)]]
        self.assertEqual(shown, [[r["relative_path"], str(r["byte_offset"]), str(r["length"])] for r in reads])
        self.assertGreater(len(reads), 20)
        cut = run(*arguments).out.decode().splitlines()
        self.assertEqual([line.split() for line in cut[:21]], [line.split() for line in lines[:21]])
        self.assertEqual(cut[21], f"... {len(reads) - 20} more read{'' if len(reads) == 21 else 's'}; --full shows them")


class VerifyCoverage(ToolTest):
    def test_a_hole_is_a_negative_answer(self):
        folder = self.folder / "checkpoint"
        folder.mkdir()
        (folder / ".metadata").write_bytes(metadata_with(["w", "v"], stored=1))
        for path in (folder, folder / ".metadata"):
            with self.subTest(path):
                self.assertEqual(run("verify", path, "--check", "rules").code, 0)
                answer = run("verify", path, "--check", "rules", "--coverage", "--json")
                self.assertEqual(answer.code, 1)
                self.assertTrue(answer.json["sound"])
                self.assertEqual(answer.json["coverage"], {"tensors": 2, "not_tiled": 2, "not_judged": 0})
                self.assertIn(
                    {"kind": "chunk_hole", "message": "FQN 'w' of size [2]: no chunk holds the region at [1] with sizes [1]"},
                    answer.json["findings"],
                )
                text = run("verify", path, "--check", "rules", "--coverage")
                self.assertEqual(text.code, 1)
                self.assertIn("0 of 2 tensors tiled by their chunks", text.out.decode())

    def test_a_file_that_does_not_open_has_no_coverage(self):
        file = self.imported()
        file.write_bytes(file.read_bytes()[:-8])
        answer = run("verify", file, "--coverage", "--json")
        self.assertEqual(answer.code, 1)
        self.assertNotIn("coverage", answer.json)


if __name__ == "__main__":
    unittest.main()
