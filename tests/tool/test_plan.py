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
                {"items": len(plan["items"])} | {name: plan[name] for name in ("files", "needed_bytes", "stored_bytes")},
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
