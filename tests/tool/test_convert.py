"""convert: checkpoints anew as safetensors files. What torch reads from the samples stands in tests/data/values.json."""

import errno
import fcntl
import json
import os
import shutil
import struct
import zlib

from test_data import VALUES
from test_safetensors import floats, write
from tool import SAMPLES, ToolTest, run

FAULTS = os.environ["FLATPOINT_FAULTS"]
NO_PLACE = ["bcomplex32", "complex128", "complex32", "q*"]  # dtypes that safetensors files do not have, as FQNs of s04 and s05


def tensors_of(folder, files="*.safetensors"):
    """name -> (entry, bytes) of all files; every header says what transformers asks for."""
    found = {}
    for path in sorted(folder.glob(files)):
        data = path.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        assert header.pop("__metadata__") == {"format": "pt"}
        assert (8 + length) % 4096 == 0
        ends = sorted(tuple(entry["data_offsets"]) for entry in header.values())
        assert [begin for begin, _ in ends] == [0, *(end for _, end in ends)][: len(ends)], "no gaps"
        assert not ends or ends[-1][1] == len(data) - 8 - length
        found |= {name: (entry, data[8 + length :][slice(*entry["data_offsets"])]) for name, entry in header.items()}
    return found


class ConvertTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.target = self.folder / "model"

    def convert(self, *arguments, code=0, **options):
        answer = run("convert", *arguments, **options)
        self.assertEqual(answer.code, code, answer.out + answer.err)
        return answer

    def left(self):
        """What lies beside the target and the sources."""
        return [path.name for path in self.folder.iterdir() if path.name.startswith(".")]


class Convert(ConvertTest):
    def test_every_sample_has_the_values_that_torch_reads(self):
        compared = 0
        for sample, values in VALUES.items():
            with self.subTest(sample):
                drop = [word for pattern in NO_PLACE for word in ("--drop", pattern)]
                expected = {fqn: value for fqn, value in values.items() if "crc32" in value and fqn not in NO_PLACE}
                if not expected:
                    self.check_error(["convert", SAMPLES / sample, self.target, *drop], "not_found", "no tensor")
                    continue
                answer = self.convert(SAMPLES / sample, self.target, "--verify", "--json", *drop).json
                found = tensors_of(self.target)
                self.assertEqual(
                    {name: zlib.crc32(data) for name, (_, data) in found.items()}, {f: v["crc32"] for f, v in expected.items()}
                )
                self.assertEqual(answer["bytes"], sum(len(data) for _, data in found.values()))
                self.assertEqual(sorted(answer["left_out"]), sorted(fqn for fqn, value in values.items() if "value" in value))
                self.assertTrue(answer["verified"])
                listed = run("ls", SAMPLES / sample, "--json").json["entries"]
                shapes = {entry["fqn"]: entry.get("shape") for entry in listed}
                for name, (entry, _) in found.items():
                    pairs = entry["dtype"] == "F4"  # the format counts values
                    self.assertEqual(entry["shape"], [*shapes[name][:-1], shapes[name][-1] * 2] if pairs else shapes[name])
                self.assertEqual(run("diff", SAMPLES / sample, self.target, "--data", "--json").code, 1)  # chunks, files
                compared += len(found)
                shutil.rmtree(self.target)
        self.assertGreater(compared, 100)

    def test_files_by_size_and_their_index(self):
        source = SAMPLES / "d04_fsdp2"
        answer = self.convert(source, self.target, "--max-shard-size", "1KB", "--json").json
        names = [file["name"] for file in answer["files"]]
        self.assertGreater(len(names), 5)
        self.assertEqual(names, [f"model-{i + 1:05}-of-{len(names):05}.safetensors" for i in range(len(names))])
        index = json.loads((self.target / "model.safetensors.index.json").read_text())
        self.assertEqual(index["metadata"], {"total_size": answer["bytes"]})
        self.assertEqual(set(index["weight_map"].values()), set(names))
        for name in names:
            header = tensors_of(self.target, name)
            self.assertEqual(set(header), {fqn for fqn, file in index["weight_map"].items() if file == name})
            size = sum(len(data) for _, data in header.values())
            self.assertTrue(size <= 1000 or len(header) == 1, name)
        again = self.folder / "again"
        self.convert(self.target, again, "--to", "safetensors")  # of safetensors files, into one
        self.assertEqual([path.name for path in again.iterdir()], ["model.safetensors"])
        self.assertEqual({n: d for n, (_, d) in tensors_of(again).items()}, {n: d for n, (_, d) in tensors_of(self.target).items()})
        like = self.folder / "like"
        self.convert(again, like, "--to", "safetensors", "--like", self.target / "model.safetensors.index.json")
        for name in names:
            self.assertEqual(tensors_of(like, name).keys(), tensors_of(self.target, name).keys())
        self.assertEqual({n: d for n, (_, d) in tensors_of(like).items()}, {n: d for n, (_, d) in tensors_of(again).items()})
        short = self.folder / "short.index.json"
        short.write_text(json.dumps({"weight_map": {"a": "x.safetensors"}}))
        self.check_error(
            ["convert", again, self.folder / "none", "--to", "safetensors", "--like", short], "invalid_argument", "does not say where"
        )
        self.assertEqual(
            self.convert(
                again,
                self.folder / "part",
                "--to",
                "safetensors",
                "--like",
                self.target / "model.safetensors.index.json",
                "--drop",
                "*.bias",
                "--json",
            ).json["missing"],
            sorted(fqn for fqn in index["weight_map"] if fqn.endswith(".bias")),
        )

    def test_choosing_and_carrying(self):
        source = self.sample_with_data("s07_optimizer_bytes")
        for name in ("config.json", "tokenizer.model"):
            (source / name).write_text(name)
        answer = self.convert(source, self.target, "--keep", "model.*", "--drop", "*.bias", "--carry", "*.json", "--json").json
        self.assertEqual(set(tensors_of(self.target)), {"model.0.weight", "model.2.weight"} & set(tensors_of(self.target)))
        self.assertIn("model.0.bias", answer["not_chosen"])
        self.assertEqual(answer["carried"], ["config.json", "expected.json"])
        self.assertEqual(answer["other_files"], ["tokenizer.model"])
        self.assertEqual((self.target / "config.json").read_text(), "config.json")

    def test_new_names(self):
        source = SAMPLES / "s07_optimizer_bytes"
        plain = {f: value["crc32"] for f, value in VALUES["s07_optimizer_bytes"].items() if f.startswith("model.") and "crc32" in value}
        names = self.folder / "names.tsv"
        names.write_text("model.0.bias\tfirst\n")
        for arguments, name_of in (
            (["--rename", "model.*=module.*"], lambda fqn: fqn.replace("model.", "module.")),
            (["--rename", "model.*.*=net.{2}_{1}_{2}"], lambda fqn: "net.{2}_{1}_{2}".format(*fqn.split("."))),
            (["--rename", "*.0.*={1}.zero.{2}", "--rename", "*=w.*"], lambda f: f.replace(".0.", ".zero.") if ".0." in f else "w." + f),
            (["--rename", "model.0.*={x}{1}{0}"], lambda fqn: fqn.replace("model.0.", "{x}") + "{0}" if ".0." in fqn else fqn),
            (["--map", names, "--rename", "*=m.*"], lambda fqn: "first" if fqn == "model.0.bias" else "m." + fqn),
        ):
            self.convert(source, self.target, "--keep", "model.*", *arguments, "--force")
            found = {name: zlib.crc32(data) for name, (_, data) in tensors_of(self.target).items()}
            self.assertEqual(found, {name_of(fqn): value for fqn, value in plain.items()}, arguments)
        self.convert(source, self.folder / "dcp", "--to", "dcp", "--rename", "model.*=module.*", "--verify")
        listed = {entry["fqn"] for entry in run("ls", self.folder / "dcp", "--json").json["entries"]}
        self.assertEqual({f for f in listed if f.startswith("mod")}, {f.replace("model.", "module.") for f in plain})
        for words, code, said in (
            (["--rename", "model.*=x"], "invalid_argument", "cannot be told"),
            (["--rename", "model.*={2}"], "invalid_argument", "cannot be told"),
            (["--rename", "model.*"], "invalid_argument", "FROM=TO"),
            (["--rename", "a=b=c"], "invalid_argument", "FROM=TO"),
            (["--rename", "model.*.*={1}"], "conflict", "would both become"),
        ):
            self.check_error(["convert", source, self.folder / "none", "--keep", "model.*", *words], code, said)
        names.write_text("nowhere\tfirst\n")
        self.check_error(["convert", source, self.folder / "none", "--map", names], "not_found", "nowhere")

    def test_a_dry_run_writes_nothing(self):
        before = sorted(self.folder.iterdir())
        answer = self.convert(SAMPLES / "d02_dtensor_2d", self.target, "--dry-run", "--json").json
        self.assertEqual((answer["written"], answer["verified"]), (False, False))
        self.assertEqual(sorted(self.folder.iterdir()), before)

    def test_what_is_there_stays_without_force(self):
        source = SAMPLES / "d01_dtensor_1d"
        self.target.mkdir()
        (self.target / "model.safetensors").write_text("mine")
        self.check_error(["convert", source, self.target], "conflict", "is there already", "--force")
        self.assertEqual((self.target / "model.safetensors").read_text(), "mine")
        self.convert(source, self.target, "--force")
        self.assertGreater(len(tensors_of(self.target)), 1)
        self.convert(source, str(self.target) + "/", "--force")
        self.assertEqual(self.left(), [])

    def test_force_replaces_checkpoints_alone(self):
        source = self.sample_with_data("d01_dtensor_1d")
        before = {path: path.read_bytes() for path in source.iterdir()}
        home = self.folder / "home"
        home.mkdir()
        (home / "thesis.tex").write_text("years")
        link = self.folder / "link"
        link.symlink_to(source)
        file = self.folder / "file"
        file.write_text("file")
        for target, word in ((home, "no checkpoint"), (source, "holds the source"), (link, "no folder"), (file, "no folder")):
            self.check_error(["convert", source, target, "--force"], "invalid_argument", word)
        parent = self.folder / "parent"
        parent.mkdir()
        (parent / "x.safetensors").write_text("")
        inner = shutil.copytree(source, parent / "inner")
        self.check_error(["convert", inner, parent, "--force"], "invalid_argument", "holds the source")
        self.check_error(["convert", source, self.folder / "none" / "there"], "not_found")
        self.check_error(["convert", source, "/"], "invalid_argument", "no name for a folder")
        self.check_error(["convert", source, ""], "invalid_argument", "no name for a folder")
        self.assertEqual({path: path.read_bytes() for path in source.iterdir()}, before)
        self.assertEqual((home / "thesis.tex").read_text(), "years")
        self.assertEqual(self.left(), [])
        self.convert(source, source / "hf")  # inside of the source is a place like others
        self.assertGreater(len(tensors_of(source / "hf")), 1)

    def test_what_cannot_be_right_is_refused_before_a_byte(self):
        for sample, code, words in (
            ("s04_dtypes", "not_plain", ("bcomplex32", "no dtype")),
            ("s05_quantized", "not_plain", ("q",)),
            ("s17_empty", "not_found", ("no tensor",)),
        ):
            self.check_error(["convert", SAMPLES / sample, self.target], code, *words)
        copy = self.sample_with_data("d01_dtensor_1d")
        data = sorted(copy.glob("*.distcp"))[0]
        os.truncate(data, data.stat().st_size - 1)
        self.check_error(["convert", copy, self.target], "truncated", data.name)
        data.unlink()
        self.check_error(["convert", copy, self.target], "not_found", data.name)
        no_text = ["--rename", b"col=\xff"]
        copy = self.sample_with_data("d01_dtensor_1d", "whole")
        environment = dict(os.environ, LD_PRELOAD=FAULTS, FLATPOINT_CALLS=str(self.folder / "calls"))
        for form, words in (("safetensors", b"has no place"), ("dcp", b"no str")):
            answer = self.convert(copy, self.target, "--to", form, *no_text, code=2, env=environment)
            self.assertIn(words, answer.err)
        self.assertNotIn("fallocate", (self.folder / "calls").read_text())
        self.assertFalse(self.target.exists())
        self.assertEqual(self.left(), [])

    def test_holes_and_overlaps_are_refused(self):
        for rows, code, word in ((([0, 1], [2, 1]), "holes", "hole"), (([0, 2], [1, 2]), "conflict", "chunk")):
            folder = self.folder / code
            folder.mkdir()
            for number, (begin, size) in enumerate(rows):
                info = json.dumps({"w": {"saved_offsets": [begin]}})
                write(folder / f"shard-{number}.safetensors", {"w": ("F32", [size], floats(*range(size)))}, {"DCP_SHARDING_INFO": info})
            answer = run("convert", folder, self.target, "--json")
            if answer.code == 0:
                self.fail(answer.out)
            self.assertIn(answer.error["code"], (code, "conflict"), answer.error)
            self.assertFalse(self.target.exists())

    def test_a_flipped_bit_is_found_by_verify(self):
        copy = self.sample_with_data("d04_fsdp2")
        self.change_data(copy, "app.model.0.0.weight", lambda data: bytes([data[0] ^ 1]) + data[1:])
        self.check_error(["convert", copy, self.target, "--verify"], "checksum", "app.model.0.0.weight")
        self.assertFalse(self.target.exists())
        self.assertEqual(self.left(), [])

    def test_one_process_at_a_time(self):
        partial = self.folder / ".model.flatpoint-partial"
        partial.mkdir()
        lock = os.open(partial, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        self.check_error(["convert", SAMPLES / "d01_dtensor_1d", self.target], "conflict", "another process")
        os.close(lock)
        (partial / "model.safetensors").write_text("of a killed one")
        self.convert(SAMPLES / "d01_dtensor_1d", self.target)
        self.assertEqual(self.left(), [])
        partial.symlink_to("/")
        self.check_error(["convert", SAMPLES / "d01_dtensor_1d", self.folder / "model", "--force"], "not_found", "flatpoint-partial")


class Faults(ConvertTest):
    """System calls that fail, or are the last of a process."""

    def with_fault(self, fault, *more):
        environment = dict(os.environ, LD_PRELOAD=FAULTS, FLATPOINT_FAULT=fault)
        return run("convert", SAMPLES / "d02_dtensor_2d", self.target, "--max-shard-size", "500", *more, env=environment)

    def calls(self, *more):
        log = self.folder / "calls"
        environment = dict(os.environ, LD_PRELOAD=FAULTS, FLATPOINT_CALLS=str(log))
        self.convert(SAMPLES / "d02_dtensor_2d", self.target, "--max-shard-size", "500", *more, env=environment)
        names = log.read_text().split()
        log.unlink()
        return names

    def state(self):
        return {path.name: path.read_bytes() for path in self.target.iterdir()} if self.target.exists() else None

    def try_each(self, force, action):
        """The target is absent, the old one, or all of the new one, whatever call it is."""
        more = ["--force"] if force else []
        if force:
            self.convert(SAMPLES / "d01_dtensor_1d", self.target)
        old = self.state()
        names = self.calls(*more)
        new = self.state()
        self.assertNotEqual(old, new)
        struck = 0
        step = 1 if os.environ.get("FLATPOINT_FULL") else max(1, len(names) // 16)
        for number in range(1, len(names) + 1, step):
            shutil.rmtree(self.target, ignore_errors=True)
            if force:
                self.convert(SAMPLES / "d01_dtensor_1d", self.target)
            answer = self.with_fault(f"any {number} {action}", *more)
            with self.subTest(call=names[number - 1], number=number, action=action):
                self.assertIn(self.state(), (old, new) if answer.code else (new,), answer.err)
                if action.isdigit():
                    self.assertIn(answer.code, (0, 2))
                    self.assertEqual(self.left(), [])
                else:
                    self.assertEqual(answer.code, -9)
                struck += answer.code != 0
            self.convert(SAMPLES / "d02_dtensor_2d", self.target, "--max-shard-size", "500", "--force")
            self.assertEqual(self.state(), new)
            self.assertEqual(self.left(), [])
        self.assertGreater(struck, 5)

    def test_killed(self):
        for force in (False, True):
            self.try_each(force, "kill_before")
            shutil.rmtree(self.target)

    def test_no_space(self):
        for force in (False, True):
            self.try_each(force, str(errno.ENOSPC))
            shutil.rmtree(self.target)

    def test_no_space_is_said_before_a_byte(self):
        answer = self.with_fault(f"allocate 1 {errno.ENOSPC}")
        self.assertEqual(answer.code, 2)
        self.assertIn(b"No space left", answer.err)
        self.assertNotIn("copy_file_range", answer.err.decode())

    def test_a_file_system_that_copies_nothing_by_itself(self):
        for number in (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            answer = self.with_fault(f"copy 1 {number}")
            self.assertEqual(answer.code, 0, answer.err)
            found = {name: zlib.crc32(data) for name, (_, data) in tensors_of(self.target).items()}
            self.assertEqual(found, {fqn: value["crc32"] for fqn, value in VALUES["d02_dtensor_2d"].items()})
            shutil.rmtree(self.target)
        self.assertEqual(self.with_fault(f"allocate 1 {errno.EOPNOTSUPP}").code, 0)
        self.assertEqual(self.with_fault("any 9 short", "--force").code, 0)

    def test_a_file_system_without_exchange(self):
        self.convert(SAMPLES / "d01_dtensor_1d", self.target)
        old = self.state()
        answer = self.with_fault(f"exchange 1 {errno.EINVAL}", "--force")
        self.assertEqual(answer.code, 2)
        self.assertIn(b"does not exchange folders", answer.err)
        self.assertEqual((self.state(), self.left()), (old, []))
