"""Files and folders of safetensors as checkpoints, from outside."""

import json
import os
import pathlib
import struct

from tool import ToolTest, run

SAMPLES = pathlib.Path(__file__).parents[1] / "safetensors" / "samples"
OLD = 1_700_000_000_000_000_000


def write(path, tensors, metadata=None, tail=b""):
    """`tensors`: name -> (dtype, shape, bytes)."""
    header, data = ({"__metadata__": metadata} if metadata else {}), b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data + tail)
    os.utime(path, ns=(0, OLD))


def floats(*numbers):
    return struct.pack(f"<{len(numbers)}f", *numbers)


class Safetensors(ToolTest):
    def model(self):
        """Two files and their index."""
        write(self.folder / "model-1.safetensors", {"a": ("F32", [2, 2], floats(1, 2, 3, 4)), "n": ("I64", [], bytes(8))})
        write(self.folder / "model-2.safetensors", {"b": ("BF16", [2], b"\x80\x3f\x00\x40")})
        index = {"weight_map": {"a": "model-1.safetensors", "n": "model-1.safetensors", "b": "model-2.safetensors"}}
        (self.folder / "model.safetensors.index.json").write_text(json.dumps(index))
        os.utime(self.folder / "model.safetensors.index.json", ns=(0, OLD))
        return self.folder

    def raw(self, path, fqn, *more):
        answer = run("get", path, fqn, "-o", "-", "--format", "raw", *more)
        self.assertEqual(answer.code, 0, answer.err)
        return answer.out

    def test_folder_index_and_file_answer_every_verb(self):
        folder = self.model()
        for path, fqns in ((folder, "abn"), (folder / "model.safetensors.index.json", "abn"), (folder / "model-1.safetensors", "an")):
            with self.subTest(path):
                listed = run("ls", path, "--json").json
                self.assertEqual(listed["checkpoint"]["origin"], "safetensors")
                self.assertEqual([entry["fqn"] for entry in listed["entries"]], list(fqns))
                self.assertEqual(self.raw(path, "a", "--box", "1,:"), floats(3, 4))
                for verb in (["find", path, "a"], ["show", path], ["show", path, "a"], ["stats", path]):
                    answer = run(*verb)
                    self.assertEqual((answer.code, answer.err), (0, b""), verb)
                answer = run("verify", path, "--check", "bytes", "--coverage", "--json")
                self.assertEqual((answer.code, answer.json["findings"]), (0, []), answer.out + answer.err)
                self.assertEqual(answer.json["data"]["without_checksum"], len(fqns))
        self.assertEqual(run("diff", folder, folder / "model.safetensors.index.json").code, 0)
        self.assertEqual(run("diff", folder, folder / "model-1.safetensors").code, 1)
        kept = self.folder / "kept.flatpoint"
        self.assertEqual(run("keep", folder, "a", "-o", kept).code, 0)
        self.assertEqual(self.raw(kept, "a"), floats(1, 2, 3, 4))
        for source in (folder, kept):
            self.check_error(["export", source, "-o", self.folder / "x"], "invalid_argument", "safetensors files")

    def test_an_import_holds_until_a_file_changes(self):
        folder = self.model()
        answer = run("import", folder, "--json")
        self.assertEqual((answer.code, answer.json["output"]), (0, str(folder / ".metadata.flatpoint")), answer.err)
        self.assertEqual(run("import", folder).out.decode(), f"{folder}/.metadata.flatpoint: already imported from {folder}/\n")

        def opened():
            checkpoint = run("ls", folder, "--json").json["checkpoint"]
            return checkpoint["origin"], len(checkpoint["notices"])

        self.assertEqual(opened(), ("flatpoint", 0))
        self.assertEqual(self.raw(folder, "n"), bytes(8))
        answer = run("verify", folder, "--json")
        self.assertEqual((answer.code, answer.json["source"]), (0, "matches"))
        self.assertEqual(run("show", folder, "--json").json["source"]["kind"], "safetensors")
        os.utime(folder / "model-2.safetensors")
        self.assertEqual(opened(), ("flatpoint", 1))
        write(folder / "model-2.safetensors", {"b": ("F16", [2], bytes(4))})
        self.assertEqual(opened(), ("safetensors", 1))
        answer = run("verify", folder, "--json")
        self.assertEqual((answer.code, answer.json["source"]), (1, "stale"))
        self.check_error(
            ["get", folder / ".metadata.flatpoint", "b", "-o", self.folder / "b.raw"],
            "changed",
            "model-2.safetensors",
            "the metadata knows one of",
        )
        write(folder / "model-2.safetensors", {"bb": ("F16", [2], bytes(4))})  # a header as long as before
        os.utime(folder / "model-2.safetensors", ns=(0, OLD + 1))
        self.check_error(["get", folder / ".metadata.flatpoint", "b", "-o", self.folder / "b.raw"], "dtype_mismatch", "'b'", "float16")
        answer = run("import", folder, "--force")
        self.assertEqual(answer.code, 0, answer.err)
        self.assertEqual(run("verify", folder).code, 0)

    def test_torchs_shards_are_one_tensor(self):
        for row, numbers in ((0, (1, 2)), (2, (5, 6)), (1, (3, 4))):
            note = {"DCP_SHARDING_INFO": json.dumps({"w": {"saved_offsets": [row, 0]}})}
            write(self.folder / f"shard-{row}.safetensors", {"w": ("F32", [1, 2], floats(*numbers))}, note)
        self.assertEqual(self.raw(self.folder, "w"), floats(1, 2, 3, 4, 5, 6))
        (self.folder / "shard-1.safetensors").unlink()
        self.check_error(["get", self.folder, "w", "-o", self.folder / "w.raw"], "holes", "[1, 0]")
        self.assertEqual(run("verify", self.folder, "--coverage").code, 1)

    def test_what_torch_wrote(self):
        """By HuggingFaceStorageWriter: of four ranks, a shard each; of one, with an index."""
        shards, whole = SAMPLES / "d08_hf_sharded", SAMPLES / "s14_huggingface"
        self.assertEqual(self.raw(shards, "even"), floats(*range(64)))
        self.assertEqual(self.raw(shards, "rep"), floats(1, 1, 1))
        self.assertEqual(run("find", shards, "even", "--containing", "5,0", "--json").json["locations"][0]["index"]["offset"], [4, 0])
        for folder, shapes in ((shards, {"even": [8, 8], "rep": [3]}), (whole, {"a": [4], "b": [2, 2]})):
            listed = run("ls", folder, "--json").json["entries"]
            self.assertEqual({entry["fqn"]: entry["shape"] for entry in listed}, shapes)
            answer = run("verify", folder, "--check", "bytes", "--coverage", "--json")
            self.assertEqual((answer.code, answer.json["findings"]), (0, []))

    def test_what_is_broken_is_named(self):
        path = self.folder / "model.safetensors"
        cases = {
            "hole at the tail": ({"w": ("U8", [1], b"x")}, b"y", "bad_item"),
            "'F6_E2M3'": ({"w": ("F6_E2M3", [4], b"xyz")}, b"", "not_plain"),
            "takes 2 bytes": ({"w": ("U8", [2], b"x")}, b"", "bad_item"),
        }
        for words, (tensors, tail, code) in cases.items():
            with self.subTest(words):
                write(path, tensors, tail=tail)
                for target in (path, self.folder):
                    self.check_error(["ls", target], code, words, "model.safetensors")
                    answer = run("verify", target, "--json")
                    self.assertEqual((answer.code, [rule["rule"] for rule in answer.json["broken_rules"]]), (1, [code]))
        path.write_bytes(struct.pack("<Q", 100) + b"{")
        self.check_error(["ls", path], "truncated", "header of 100 bytes in a file of 9 bytes")

    def test_an_index_is_held_to_the_headers(self):
        folder = self.model()
        index = {
            "weight_map": {"a": "model-1.safetensors", "ghost": "model-2.safetensors", "b": "model-2.safetensors", "l": "lost.safetensors"}
        }
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        answer = run("verify", folder, "--json")
        self.assertEqual([finding["kind"] for finding in answer.json["findings"]], ["missing_file", "ghost_entry", "unindexed_tensor"])
        self.assertIn(b"lost.safetensors, which is not there", run("ls", folder).err)

    def test_bfloat16_goes_to_numpys_files_as_ml_dtypes_has_it(self):
        folder = self.model()
        answer = run("get", folder, "b", "-o", self.folder / "b.npy")
        self.assertEqual(answer.code, 0)
        self.assertIn(b"view the array as ml_dtypes.bfloat16", answer.err)
        content = (self.folder / "b.npy").read_bytes()
        self.assertIn(b"'descr': '<V2'", content)
        self.assertTrue(content.endswith(b"\x80\x3f\x00\x40"))
        self.assertEqual(run("get", folder, "*", "-o", self.folder / "all.safetensors").code, 0)
        self.assertEqual(self.raw(self.folder / "all.safetensors", "b"), b"\x80\x3f\x00\x40")
