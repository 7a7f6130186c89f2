"""Folders of torch_checkpointing: real manifests against what the library itself computes, and hostile ones."""

import hashlib
import json
import os
import pathlib
import pickle
import shutil
import struct
import unittest
import zipfile

from tool import ToolTest, run

HERE = pathlib.Path(__file__).parent.parent / "torch_checkpointing"
SAMPLES = sorted((HERE / "samples").iterdir())
OLD = 1_700_000_000_000_000_000

# Of hostile/: the error's code, and words of its message.
REFUSED = {
    "02_reduce": ("bad_pickle",),
    "11_path_not_json": ("bad_pickle", "JSON list"),
    "12_path_not_list": ("bad_pickle", "JSON list"),
    "10_duplicate_paths": ("bad_pickle", "are one"),
    "13_version_3": ("bad_pickle", "3.0", "2.0 and 1.0"),
    "14_no_version": ("bad_pickle", "no 'version'"),
    "15_mesh_too_short": ("bad_pickle", "mesh_shape"),
    "16_mesh_duplicate": ("bad_pickle", "rank 0 twice"),
    "17_rank_not_in_mesh": ("bad_pickle", "'ranks'", "7"),
    "18_partial": ("bad_pickle", "Partial"),
    "19_shard_dim_out": ("bad_pickle", "'dim' of a Shard"),
    "20_shard_dim_negative": ("bad_pickle", "'dim' of a Shard", "-"),
    "21_split_factor_0": ("bad_pickle", "split_factor"),
    "24_shape_negative": ("bad_pickle", "global_shape"),
    "25_shape_overflow": ("bad_pickle", "2^62 elements"),
    "26_types": ("bad_pickle", "not an int"),
    "27_rank_key_text": ("bad_pickle", "a rank is a str"),
    "28_same_file_twice": ("bad_pickle", "one.pt"),
    "29_layout_missing_rank": ("bad_pickle", "rank_to_layout_info"),
    "30_unknown_sharding_type": ("bad_pickle", "MyShards"),
    "31_unknown_format": ("bad_pickle", "Zarr"),
    "33_truncated": ("bad_pickle",),
    "35_persid": ("bad_pickle",),
    "36_cycle": ("bad_pickle",),
}
# Those that are read, and what is said of them.
FINDINGS = {
    "32_extra_keys": ["unknown_key", "unknown_key"],
    "34_trailing": ["bytes_after_stop"],
    "38_groups_disagree": ["groups_disagree"],
}


# Tensors whose values are not given, by the error's code.
NO_VALUES = {
    "01_single_plain": {"model.conj": "not_plain", "model.neg": "not_plain"},
    "11_default_tensor_v1": {"tables.table": "not_plain"},
    "12_strided_disjoint": dict.fromkeys(("model.s.ss2", "model.ss2", "model.ss2.other", "model.ss2.r", "model.ss2.uneven"), "not_plain"),
    "16_fsdp_tp_uneven": {"model.w1.weight": "size_mismatch"},
}


def as_argument(fqn):
    """Whether a command line can hold it: neither NUL nor a lone surrogate."""
    return "\0" not in fqn and not any(0xD800 <= ord(character) < 0xE000 for character in fqn)


class Manifests(ToolTest):
    def manifest(self, content):
        """A folder with this manifest, written long ago."""
        path = self.folder / "metadata.pkl"
        path.write_bytes(content)
        os.utime(path, ns=(OLD, OLD))
        return path

    def test_samples_are_as_the_library_has_them(self):
        for sample in SAMPLES:
            with self.subTest(sample.name):
                expected = json.loads((sample / "expected.json").read_text())
                listed = {entry["fqn"]: entry for entry in run("ls", sample, "--json").json["entries"]}
                self.assertEqual(sorted(listed), sorted(expected))
                for fqn, tensor in expected.items():
                    self.assertEqual(listed[fqn]["dtype"], tensor["dtype"], fqn)
                    self.assertEqual(listed[fqn]["shape"], tensor["shape"], fqn)
                    if not as_argument(fqn):
                        continue
                    shown = run("show", sample, fqn, "--json")
                    self.assertEqual(shown.code, 0, shown.err)
                    chunks = [[chunk["offsets"], chunk["sizes"], chunk["storage"]["relative_path"]] for chunk in shown.json["chunks"]]
                    self.assertEqual(sorted(chunks), tensor["chunks"], fqn)
                answer = run("verify", sample, "--check", "rules", "--coverage", "--json")
                self.assertEqual(answer.code, 0, answer.out)

    def test_hostile_manifests(self):
        for path in sorted((HERE / "hostile").iterdir()):
            with self.subTest(path.stem):
                manifest = self.manifest(path.read_bytes())
                if path.stem in REFUSED:
                    code, *words = REFUSED[path.stem]
                    for verb in ("ls", "show", "import"):
                        self.check_error((verb, self.folder), code, str(manifest), *words)
                    answer = run("verify", self.folder)
                    self.assertEqual(answer.code, 1, answer.out)
                    self.assertIn(code.encode(), answer.out)
                    continue
                answer = run("show", self.folder, "--json")
                self.assertEqual(answer.code, 0, answer.err)
                kinds = [finding["kind"] for finding in answer.json["checkpoint"]["findings"]]
                self.assertEqual(kinds, FINDINGS.get(path.stem, []))
        self.assertEqual([path.name for path in self.folder.iterdir()], ["metadata.pkl"])

    def test_paths_out_of_the_folder(self):
        for name in ("04_path_dotdot", "05_path_absolute"):
            with self.subTest(name):
                self.manifest((HERE / "hostile" / f"{name}.pkl").read_bytes())
                answer = run("verify", self.folder, "--json")
                self.assertEqual(answer.code, 1)
                self.assertIn("path_outside", [finding["kind"] for finding in answer.json["findings"]])

    def test_nested_deeper_than_a_limit(self):
        lists = b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b"."
        self.manifest(lists)
        self.check_error(("ls", self.folder), "not_pickle", "no manifest")
        path = "[" * 50_000 + "]" * 50_000
        sound = pickle.loads((HERE / "hostile" / "00_sound.pkl").read_bytes())
        (item,) = sound["metadata"].values()
        item["nested_path_to_metadata"] = {path: next(iter(item["nested_path_to_metadata"].values()))}
        self.manifest(pickle.dumps(sound))
        self.check_error(("ls", self.folder), "bad_pickle", "byte 1 of the path")

    def test_split_factor_beyond_the_limit(self):
        sound = pickle.loads((HERE / "hostile" / "22_split_factor_huge.pkl").read_bytes())
        text = pickle.dumps(sound)
        (item,) = sound["metadata"].values()
        for groups in item["nested_path_to_metadata"].values():
            groups[0]["sharding_metadata"]["data"]["global_shape"][0] = 1 << 40
        self.manifest(pickle.dumps(sound))
        self.check_error(("ls", self.folder), "too_large", "max_chunks")
        self.manifest(text)
        self.assertEqual(run("ls", self.folder).code, 0)

    def test_import_and_its_source(self):
        sample = HERE / "samples" / "04_fsdp_tp"
        manifest = self.manifest((sample / "metadata.pkl").read_bytes())
        self.assertEqual(run("import", self.folder).code, 0)
        flatpoint = self.folder / ".metadata.flatpoint"
        self.assertEqual(run("ls", self.folder, "--json").json["checkpoint"]["path"], str(flatpoint))
        self.assertEqual(run("diff", self.folder, sample).code, 0)
        self.assertEqual(run("verify", flatpoint, "--check", "rules").code, 0)
        self.check_error(("export", flatpoint, "-o", self.folder / "out"), "invalid_argument", "archive of many tensors")
        other = HERE / "samples" / "03_fsdp_uneven" / "metadata.pkl"
        manifest.write_bytes(other.read_bytes())
        answer = run("ls", self.folder, "--json").json
        self.assertEqual(answer["checkpoint"]["path"], str(manifest))
        self.assertEqual(len(answer["checkpoint"]["notices"]), 1)

    def test_beside_a_metadata_of_dcp(self):
        self.manifest((HERE / "samples" / "08_hsdp" / "metadata.pkl").read_bytes())
        shutil.copy(self.sample("s01_plain_tensors", into="dcp") / ".metadata", self.folder / ".metadata")
        self.check_error(("ls", self.folder), "ambiguous", "metadata.pkl", "name one")
        self.assertEqual(run("ls", self.folder / "metadata.pkl").code, 0)
        self.assertEqual(run("ls", self.folder / ".metadata").code, 0)

    def test_values_are_those_that_were_saved(self):
        read = 0
        for sample in SAMPLES:
            expected = json.loads((sample / "expected.json").read_text())
            refused = {}
            for fqn, tensor in expected.items():
                if "sha256" not in tensor or not as_argument(fqn):
                    continue
                output = self.folder / "out.raw"
                answer = run("get", sample, fqn, "-o", output, "--force", "--json")
                if answer.code != 0:
                    refused[fqn] = answer.error["code"]
                    continue
                with self.subTest(sample=sample.name, fqn=fqn):
                    self.assertEqual(hashlib.sha256(output.read_bytes()).hexdigest()[:32], tensor["sha256"])
                read += 1
            with self.subTest(sample.name):
                self.assertEqual(refused, NO_VALUES.get(sample.name, {}))
        self.assertGreater(read, 150)

    def test_bytes_are_checked(self):
        folder = self.folder / "copy"
        shutil.copytree(HERE / "samples" / "04_fsdp_tp", folder)
        answer = run("verify", folder, "--check", "bytes")
        self.assertEqual(answer.code, 0, answer.out)
        self.assertNotIn(b"empty_storage", answer.out)
        self.assertEqual(run("stats", folder, "model.out.weight").code, 0)
        path = folder / "model_1.pt"
        content = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            (record,) = [one for one in archive.infolist() if one.filename.endswith("data/1")]
        begin = record.header_offset + 30 + sum(struct.unpack_from("<HH", content, record.header_offset + 26))
        path.write_bytes(content[:begin] + bytes([content[begin] ^ 1]) + content[begin + 1 :])
        answer = run("verify", folder, "--check", "bytes")
        self.assertEqual(answer.code, 1, answer.out)
        self.assertIn(b"model_1.pt", answer.out)
        (folder / "model_2.pt").unlink()
        self.assertEqual(run("verify", folder).code, 1)

    def test_data_file_of_another_shape(self):
        """FSDP over TP of 7 rows: the placements give row 6 to rank 4, rank 5 has it."""
        answer = run("verify", HERE / "samples" / "16_fsdp_tp_uneven", "--check", "items")
        self.assertEqual(answer.code, 1, answer.out)
        self.assertIn(b"model_4.pt", answer.out)


if __name__ == "__main__":
    unittest.main()
