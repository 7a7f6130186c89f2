"""What the tool says of every sample, against what plain unpickling by torch said (expected.json)."""

import json
import unittest

from tool import SAMPLES, ToolTest, run


def expectations():
    """(the `.metadata`, what it holds) of all samples."""
    for path in sorted(SAMPLES.glob("**/*expected.json")):
        yield path.with_name(path.name.removesuffix("expected.json") + "metadata"), json.loads(path.read_text())


def source_of(path):
    """`expected.json` stands beside `.metadata`, `__0.expected.json` beside `__0.metadata`."""
    return path if path.exists() else path.with_name("." + path.name)


def storage_of(items):
    """storage_data as the tool says it: by FQN and offset."""
    return {
        (item["fqn"], tuple(item["offset"]) if item["offset"] is not None else None): (
            item["index"],
            {
                "relative_path": item["relative_path"],
                "byte_offset": item["byte_offset"],
                "length": item["length"],
                "transform_descriptors": item["transforms"],
            },
        )
        for item in items or ()
    }


class Samples(ToolTest):
    def test_samples(self):
        seen = 0
        for path, expected in expectations():
            source = source_of(path)
            with self.subTest(str(source.relative_to(SAMPLES))):
                self.check_whole(source, expected)
                self.check_entries(source, expected)
                seen += 1
        self.assertGreater(seen, 40)

    def check_whole(self, source, expected):
        listed = run("ls", source, "--sort", "dcp", "--json").json["entries"]
        self.assertEqual([entry["fqn"] for entry in listed], list(expected["state_dict_metadata"]))
        shown = run("show", source, "--json").json
        self.assertEqual(shown["version"], expected["version"])
        self.assertEqual(shown["source"]["length"], source.stat().st_size)
        tensors = [entry for entry in expected["state_dict_metadata"].values() if entry["kind"] == "tensor"]
        self.assertEqual(shown["tensors"], len(tensors))
        self.assertEqual(shown["chunks"], sum(len(tensor["chunks"]) for tensor in tensors))
        self.assertEqual({record["name"] for record in shown["opaque"] if record["kind"] == "attribute"}, set(expected["extra_attrs"]))
        meta, wanted = shown["storage_meta"], expected["storage_meta"]
        self.assertEqual(meta is None, wanted is None)
        for field in ("checkpoint_id", "save_id", "load_id") if wanted else ():
            self.assertEqual(meta[field], wanted[field])

    def check_entries(self, source, expected):
        storage = storage_of(expected["storage_data"])
        planner = expected["planner_data"]
        for fqn, entry in expected["state_dict_metadata"].items():
            shown = run("show", source, fqn, "--json").json
            if isinstance(planner, dict):
                self.assertEqual(shown["planner_path"], planner.get(fqn))
            if entry["kind"] != "tensor":
                self.assertEqual(shown["type"], "bytes")
                self.assertEqual(shown["storage"], storage.get((fqn, None), (None, None))[1])
                continue
            self.check_properties(shown["properties"], entry)
            self.assertEqual(shown["size"], entry["size"])
            self.assertEqual([[chunk["offsets"], chunk["sizes"]] for chunk in shown["chunks"]], entry["chunks"])
            for chunk in shown["chunks"]:
                index, place = storage[fqn, tuple(chunk["offsets"])]
                self.assertEqual((chunk["index"], chunk["storage"]), (index, place))

    def check_properties(self, shown, entry):
        for field in ("dtype", "layout", "memory_format"):
            self.assertEqual("torch." + shown[field], entry[field])
        for field in ("requires_grad", "pin_memory", "strides"):
            self.assertEqual(shown[field], entry[field])

    def test_find_by_index(self):
        """storage_data[MetadataIndex(fqn, offset)] of one sample, item by item."""
        sample = SAMPLES / "d02_dtensor_2d"
        for (fqn, offset), (index, place) in storage_of(json.loads((sample / "expected.json").read_text())["storage_data"]).items():
            answer = run("find", sample, fqn, "--offset", ",".join(map(str, offset)), "--json").json
            self.assertEqual(answer["locations"], [{"index": {"fqn": fqn, "offset": list(offset), "index": index}, "storage": place}])


if __name__ == "__main__":
    unittest.main()
