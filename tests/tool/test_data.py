"""get, stats and verify --check: the bytes of checkpoints, from outside. What torch says stands in tests/data/values.json."""

import contextlib
import io
import json
import math
import os
import pathlib
import struct
import subprocess
import unittest
import zipfile
import zlib

from tool import SAMPLES, TOOL, ToolTest, run

VALUES = json.loads((pathlib.Path(__file__).parents[1] / "data" / "values.json").read_text())


def read_safetensors(data):
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    return {name: (entry, data[8 + length :][slice(*entry["data_offsets"])]) for name, entry in header.items()}


def read_npy(data):
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:10]
    (length,) = struct.unpack("<H", data[8:10])
    assert (10 + length) % 64 == 0
    return eval(data[10 : 10 + length]), data[10 + length :]  # noqa: S307 - NumPy's own header is a literal


def places(data):
    """Where each run of a read item's bytes begins."""
    at = [data["byte_offset"]]
    for step in data["steps"]:
        at = [place + i * step["bytes"] for place in at for i in range(step["count"])]
    return at


class Import(ToolTest):
    def test_the_data_are_found_and_checked(self):
        copy = self.sample_with_data("s01_plain_tensors")
        output = copy / ".metadata.flatpoint"
        plain = run("import", copy)
        self.assertEqual((plain.code, plain.err), (0, b""))
        before = output.read_bytes()
        found = run("import", copy, "--data", "--json")
        self.assertEqual((found.code, found.json["data"]["not_plain"], found.err), (0, 0, b""))
        self.assertGreater(found.json["chunks"], 0)
        begins = output.read_bytes()
        self.assertNotEqual(before, begins)
        summed = run("import", copy, "--checksums")
        self.assertEqual(summed.code, 0)
        self.assertIn(b"the data of %d chunks found" % found.json["chunks"], summed.out)
        self.assertGreater(output.stat().st_size, len(begins))
        self.assertEqual(run("verify", copy, "--source").code, 0)
        self.assertIn(b"already imported", run("import", copy).out)
        (location,) = run("find", copy, "w", "--json").json["locations"]
        data = location["data"]
        offset = ",".join(map(str, location["index"]["offset"]))
        self.assertEqual(run("find", copy, "w", "--offset", offset, "--json").json["locations"], [location])
        bytes_there = (copy / location["storage"]["relative_path"]).read_bytes()[data["byte_offset"] :][: data["length"]]
        self.assertEqual(zlib.crc32(bytes_there), VALUES["s01_plain_tensors"]["w"]["crc32"])

    def test_a_plan_has_exact_bytes(self):
        copy = self.sample_with_data("d02_dtensor_2d")
        self.assertEqual(run("import", copy, "--data").code, 0)
        items = 0
        for mesh, placements in (("2", "S0"), ("2", "S1"), ("3", "S1"), ("2x2", "S1,S0")):
            plan = run("plan", copy, "--mesh", mesh, "--placements", placements, "--rank", "1", "--json").json
            for item in plan["items"]:
                if item["type"] != "TENSOR" or 0 in item["lengths"]:
                    continue
                items += len(item["data"]["steps"])
                file = (copy / item["relative_path"]).read_bytes()
                found = b"".join(file[at:][: item["data"]["length"]] for at in places(item["data"]))
                corner = [a + b for a, b in zip(item["storage_index"], item["storage_offsets"], strict=True)]
                box = ",".join(f"{a}:{a + n}" for a, n in zip(corner, item["lengths"], strict=True))
                self.assertEqual(run("get", copy, item["fqn"], "--box", box, "--format", "raw", "-o", "-").out, found)
        self.assertGreater(items, 0)  # some of them are woven

    def test_an_error_writes_nothing(self):
        copy = self.sample_with_data("s01_plain_tensors")
        next(copy.glob("*.distcp")).unlink()
        answer = run("import", copy, "--data")
        self.assertEqual((answer.code, answer.out), (2, b""))
        self.assertIn(b".distcp", answer.err)
        self.assertFalse((copy / ".metadata.flatpoint").exists())
        answer = run("import", "-", "--data", "-o", "-")
        self.assertEqual(answer.code, 2)


class DiffData(ToolTest):
    def pair(self, name="s01_plain_tensors", checksums=False):
        pair = [self.sample_with_data(name, side) for side in ("a", "b")]
        for side in pair if checksums else []:
            self.age(side)
            self.assertEqual(run("import", side, "--checksums").code, 0)
        return pair

    @staticmethod
    def age(folder, seconds=0):
        """Gives files a time that an import records."""
        for file in folder.glob("*.distcp"):
            os.utime(file, (1_700_000_000, 1_700_000_000 + seconds))

    def test_the_same_values(self):
        for name in ("s01_plain_tensors", "s04_dtypes", "s10_zstd", "s07_optimizer_bytes", "d02_dtensor_2d"):
            with self.subTest(name):
                answer = run("diff", SAMPLES / name, self.sample_with_data(name), "--data")
                self.assertEqual((answer.code, answer.out), (0, b"the same; values were compared\n"), answer.err)

    def test_what_differs_is_named(self):
        a, b = self.pair()
        self.change_data(b, "w", lambda data: struct.pack("<f", 100.25) + data[4:-4] + struct.pack("<f", -100))
        self.assertEqual(run("diff", a, b).code, 0)
        answer = run("diff", a, b, "--data")
        self.assertEqual((answer.code, answer.out.splitlines()[-1]), (1, b"~ w  data"))
        elements = run("get", a, "w", "-o", "-", "--format", "raw").out
        ends = struct.unpack("<f", elements[:4]) + struct.unpack("<f", elements[-4:])
        (changed,) = run("diff", a, b, "--largest", "--json").json["changed"]
        largest = max(abs(100.25 - ends[0]), abs(-100 - ends[1]))
        self.assertEqual(changed, {"fqn": "w", "data": {"elements": 2, "largest": largest}})
        self.assertIn(b"~ w  data of 2 elements, by ", run("diff", a, b, "--largest").out)
        self.change_data(b, "w", lambda data: struct.pack("<f", math.nan) + data[4:])
        (changed,) = run("diff", a, b, "--largest", "--json").json["changed"]
        self.assertEqual(changed["data"]["largest"], "nan")

    def test_other_chunks_hold_the_same_values(self):
        a, b = self.sample_with_data("d02_dtensor_2d"), self.folder / "whole.safetensors"
        self.assertEqual(run("get", a, "*", "-o", b).code, 0)
        answer = run("diff", a, b, "--only", "data,shape")
        self.assertEqual((answer.code, answer.out), (0, b"the same; values were compared\n"), answer.err)
        data = b.read_bytes()
        b.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        self.assertEqual(run("diff", a, b, "--only", "data").code, 1)

    def test_checksums_decide_where_the_files_are_the_recorded_ones(self):
        a, b = self.pair(checksums=True)
        flipped = lambda data: bytes([data[0] ^ 1]) + data[1:]  # noqa: E731
        self.change_data(b, "w", flipped)
        self.age(b)  # the checksums say that they are equal, and the file that it is the recorded one
        self.assertEqual(run("diff", a, b, "--data").code, 0)
        self.age(b, seconds=1)
        self.assertEqual(run("diff", a, b, "--data").code, 1)
        self.assertEqual(run("import", b, "--checksums").code, 0)
        self.change_data(b, "w", flipped)
        self.age(b, seconds=1)  # and here that they differ
        self.assertEqual(run("diff", a, b, "--data", "--ignore", "location").code, 1)
        # Only reading says how far; it finds no difference any more.
        self.assertEqual(run("diff", a, b, "--largest").code, 0)

    def test_values_of_bytes_items(self):
        a, b = self.pair("s07_optimizer_bytes")
        plain = next(
            entry["fqn"]
            for entry in run("ls", a, "--json").json["entries"]
            if entry["type"] == "bytes" and type(run("get", a, entry["fqn"]).json) is float
        )
        storage = run("find", a, plain, "--json").json["locations"][0]["storage"]
        file = b / storage["relative_path"]
        data = bytearray(file.read_bytes())
        number = struct.pack(">d", run("get", a, plain).json)
        data[data.index(number, storage["byte_offset"]) + 1] ^= 1
        file.write_bytes(data)
        self.assertEqual(run("diff", a, b, "--data").out.splitlines()[1:], [f"~ {plain}  data".encode()])

    def test_missing_data_are_an_error(self):
        a = self.sample_with_data("s01_plain_tensors")
        answer = run("diff", a, self.sample("s01_plain_tensors", "without"), "--data")
        self.assertEqual((answer.code, answer.out), (2, b""))
        self.assertIn(b".distcp", answer.err)


class Get(ToolTest):
    def test_every_tensor_has_torchs_bytes(self):
        for name, values in VALUES.items():
            for fqn, expected in values.items():
                if "crc32" not in expected:
                    continue
                with self.subTest(sample=name, fqn=fqn):
                    answer = run("get", SAMPLES / name, fqn, "-o", "-", "--format", "raw")
                    self.assertEqual((answer.code, answer.err), (0, b""))
                    self.assertEqual((zlib.crc32(answer.out), len(answer.out)), (expected["crc32"], expected["bytes"]))
                    break  # one of each sample: the library's test has them all

    def test_zipfile_agrees_on_every_item(self):
        """The record that holds a chunk has its bytes; what `verify` finds sound, zipfile does."""
        compared = 0
        for name in ("s01_plain_tensors", "d01_dtensor_1d", "d02_dtensor_2d", "real_t2.1.2_single", "real_t2.9.1_sharded"):
            sample = SAMPLES / name
            for fqn in VALUES[name]:
                entry = run("show", sample, fqn, "--json").json
                for chunk in entry.get("chunks", []):
                    with self.subTest(sample=name, fqn=fqn, chunk=chunk["offsets"]):
                        stored = chunk["storage"]
                        data = (sample / stored["relative_path"]).read_bytes()
                        item = data[stored["byte_offset"] :][: stored["length"]]
                        with zipfile.ZipFile(io.BytesIO(item)) as archive:
                            self.assertIsNone(archive.testzip())
                            record = archive.read(next(n for n in archive.namelist() if "/data/" in n))
                        box = ",".join(f"{o}:{o + n}" for o, n in zip(chunk["offsets"], chunk["sizes"]))
                        got = run("get", sample, fqn, "--box", box, "-o", "-", "--format", "raw")
                        self.assertEqual((got.code, got.out), (0, record), got.err)
                        compared += 1
        self.assertGreater(compared, 20)

    def test_values_are_json(self):
        values = VALUES["s07_optimizer_bytes"]
        plain = {fqn: value["value"] for fqn, value in values.items() if "value" in value}
        self.assertGreater(len(plain), 1)
        answer = run("get", SAMPLES / "s07_optimizer_bytes", *plain)
        self.assertEqual((answer.code, answer.json), (0, plain), answer.err)
        fqn, value = next(iter(plain.items()))
        self.assertEqual(run("get", SAMPLES / "s07_optimizer_bytes", fqn).json, value)

    def test_files_of_every_format(self):
        sample = SAMPLES / "s01_plain_tensors"
        fqns = [row["fqn"] for row in run("ls", sample, "--json").json["entries"]]
        out = self.folder / "all.safetensors"
        self.assertEqual(run("get", sample, "*", "-o", out).code, 0)
        tensors = read_safetensors(out.read_bytes())
        self.assertEqual(set(tensors), set(VALUES["s01_plain_tensors"]))
        for fqn, (entry, data) in tensors.items():
            self.assertEqual(zlib.crc32(data), VALUES["s01_plain_tensors"][fqn]["crc32"])
            raw = self.folder / "one.raw"
            self.assertEqual(run("get", sample, fqn, "-o", raw, "--force").code, 0)
            self.assertEqual(raw.read_bytes(), data)
            npy = self.folder / "one.npy"
            self.assertEqual(run("get", sample, fqn, "-o", npy, "-f").code, 0)
            head, body = read_npy(npy.read_bytes())
            self.assertEqual((head["descr"], list(head["shape"]), body), ("<f4", entry["shape"], data))
        self.assertEqual(sorted(fqns), sorted(tensors))
        self.assertEqual([p.name for p in self.folder.iterdir() if "tmp" in p.name], [])

    def test_a_box_is_part_of_the_whole(self):
        sample = SAMPLES / "s01_plain_tensors"
        two_d = next(row["fqn"] for row in run("ls", sample, "--json").json["entries"] if len(row["shape"]) == 2)
        head, whole = read_npy(run("get", sample, two_d, "-o", "-").out)
        rows, columns = head["shape"]
        self.assertGreater(rows, 2)
        head, part = read_npy(run("get", sample, two_d, "--box", "1:3,-1:", "-o", "-").out)
        self.assertEqual(head["shape"], (2, 1))
        expected = b"".join(whole[4 * (r * columns + columns - 1) :][:4] for r in (1, 2))
        self.assertEqual(part, expected)
        for box in ("0:99", "x", "3:1", "0,0,0", "", str(2**63 - 1), str(-(2**63)), f"{2**63 - 1}:", str(2**63)):
            with self.subTest(box):
                answer = run("get", sample, two_d, "--box", box, "-o", "-")
                self.assertEqual(answer.code, 0 if box == "" else 2)

    def test_only_a_file_is_replaced(self):
        sample = SAMPLES / "s01_plain_tensors"
        for make in (os.mkfifo, os.mkdir):
            out = self.folder / f"{make.__name__}.raw"
            make(out)
            mode = out.lstat().st_mode
            for fqn in ("w", "step"):
                self.check_error(["get", sample, fqn, "-o", out, "--force"], "invalid_argument")
            self.assertEqual(out.lstat().st_mode, mode)
        link, target = self.folder / "link.raw", self.folder / "target"
        target.write_bytes(b"precious")
        link.symlink_to(target)
        self.assertEqual(run("get", sample, "w", "-o", link, "--force").code, 0)
        self.assertFalse(link.is_symlink())
        self.assertEqual((len(link.read_bytes()), target.read_bytes()), (96, b"precious"))
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["link.raw", "mkdir.raw", "mkfifo.raw", "target"])

    def test_a_killed_process_leaves_nothing(self):
        """A process that dies amid a tensor of many gigabytes, which has no bytes on the disk."""
        model = self.folder / "model.safetensors"
        header = b'{"w":{"dtype":"U8","shape":[68719476736],"data_offsets":[0,68719476736]}}'
        model.write_bytes(len(header).to_bytes(8, "little") + header)
        os.truncate(model, model.stat().st_size + 2**36)
        out = self.folder / "out"
        out.mkdir()
        process = subprocess.Popen([TOOL, "get", model, "w", "-o", out / "w.raw"], stderr=subprocess.DEVNULL)
        try:
            while not any(self.size_of(fd) for fd in self.open_files(process, out)):
                self.assertIsNone(process.poll())
        finally:
            process.kill()
            process.wait()
        self.assertEqual(list(out.iterdir()), [])

    @staticmethod
    def open_files(process, folder):
        """The files of a folder that a process has open, with or without a name."""
        at = pathlib.Path(f"/proc/{process.pid}/fd")
        for fd in at.iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(fd).startswith(str(folder)):
                    yield fd

    @staticmethod
    def size_of(path):
        with contextlib.suppress(OSError):
            return os.stat(path).st_size
        return 0

    def test_what_cannot_be_written_says_so_and_leaves_nothing(self):
        sample = SAMPLES / "s01_plain_tensors"
        out = self.folder / "x.npy"
        fqn = next(iter(VALUES["s01_plain_tensors"]))
        out.write_bytes(b"mine")
        self.check_error(["get", sample, fqn, "-o", out], "conflict", "--force")
        self.assertEqual(out.read_bytes(), b"mine")
        self.check_error(["get", sample, "*", "-o", self.folder / "y.npy"], "invalid_argument", "safetensors")
        self.check_error(["get", sample, fqn], "invalid_argument", "-o")
        self.check_error(["get", sample, fqn, "-o", self.folder / "none" / "x.raw"], "not_found")
        self.check_error(["get", sample, fqn, "-o", self.folder / "x"], "invalid_argument", "format")
        self.assertEqual(run("get", sample, "absent", "-o", out).code, 1)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["x.npy"])

    def test_more_bytes_than_64_bits_count(self):
        huge = SAMPLES.parent / "data" / "huge_by_strides"
        out = self.folder / "out.npy"
        for arguments in (("stats", huge), ("get", huge, "w", "-o", out)):
            answer = run(*arguments)
            self.assertEqual(answer.code, 2, answer.err)
            self.assertIn(b"more bytes than there is memory", answer.err)
        self.assertFalse(out.exists())
        self.assertEqual(run("get", huge, "w", "--box", "7:9", "-o", "-", "--format", "raw").out, bytes(8))

    def test_a_data_file_that_is_missing_or_short(self):
        copy = self.sample_with_data("s01_plain_tensors")
        fqn = next(iter(VALUES["s01_plain_tensors"]))
        out = self.folder / "x.raw"
        os.truncate(copy / "__0_0.distcp", 50)
        self.check_error(["get", copy, fqn, "-o", out], "truncated", fqn, "__0_0.distcp")
        (copy / "__0_0.distcp").unlink()
        self.check_error(["get", copy, fqn, "-o", out], "not_found", fqn)
        self.assertFalse(out.exists())


class Verify(ToolTest):
    def test_samples_are_sound_down_to_the_bytes(self):
        for name in ("s01_plain_tensors", "d04_fsdp2", "s10_zstd", "real_t2.1.2_single", "s04_dtypes"):
            with self.subTest(name):
                answer = run("verify", SAMPLES / name, "--check", "bytes", "--json")
                self.assertEqual((answer.code, answer.json["broken_rules"]), (0, []), answer.err)
                self.assertGreater(answer.json["data"]["checked_bytes"], 0)

    def test_a_flipped_bit_is_found_by_its_checksum_alone(self):
        copy = self.sample_with_data("s01_plain_tensors")
        data = bytearray((copy / "__0_0.distcp").read_bytes())
        data[704] ^= 4  # the first byte of the first tensor
        (copy / "__0_0.distcp").write_bytes(data)
        self.assertEqual(run("verify", copy, "--check", "items").code, 0)
        answer = run("verify", copy, "--check", "bytes", "--json")
        self.assertEqual((answer.code, [rule["rule"] for rule in answer.json["broken_rules"]]), (1, ["checksum"]))
        message = answer.json["broken_rules"][0]["message"]
        self.assertIn("FQN '", message)
        self.assertIn("byte 0 of __0_0.distcp", message)

    def test_a_folder_is_asked_for_its_files(self):
        """By default: a file alone says nothing of them."""
        copy = self.sample_with_data("s08_multi_file")
        self.assertEqual(run("verify", copy, "--json").json["files"], {"files": 6, "missing": 0, "too_short": 0, "fqns": 6, "lost": 0})
        self.assertIn(b"sound; data files not read (--check items, bytes)\n6 data files: there, and long enough\n", run("verify", copy).out)
        self.assertIn(b"sound; data files not looked at (--check files)\n", run("verify", copy / ".metadata").out)
        self.assertIn(b"sound; bytes not compared", run("verify", copy, "--check", "items").out)
        self.assertRegex(run("verify", copy, "--check", "bytes").out, rb": sound\n")

        (copy / "__0_1.distcp").unlink()
        whole = (copy / "__0_0.distcp").read_bytes()
        (copy / "__0_0.distcp").write_bytes(whole[:-1])
        for depth in ((), ("--check", "files"), ("--check", "items"), ("--check", "bytes")):
            with self.subTest(depth):
                answer = run("verify", copy, *depth, "--json")
                self.assertEqual(answer.code, 1)
                self.assertEqual([rule["rule"] for rule in answer.json["broken_rules"]], ["truncated", "not_found"])
                self.assertEqual(answer.json["files"], {"files": 6, "missing": 1, "too_short": 1, "fqns": 6, "lost": 2})
        text = b"1 of 6 data files missing, 1 too short: 2 of 6 FQNs (33 %) cannot be read whole\n"
        self.assertIn(text, run("verify", copy).out)
        self.assertEqual(run("verify", copy, "--check", "rules").code, 0)
        self.assertEqual(run("verify", copy / ".metadata").code, 0)
        self.assertEqual(run("verify", copy / ".metadata", "--check", "files").code, 1)

    def test_missing_and_unnamed_files(self):
        copy = self.sample_with_data("s08_multi_file")
        (copy / "__0_1.distcp").rename(copy / "__9_9.distcp")
        answer = run("verify", copy, "--json")
        self.assertEqual((answer.code, [rule["rule"] for rule in answer.json["broken_rules"]]), (1, ["not_found"]))
        self.assertIn("unnamed_file", [finding["kind"] for finding in answer.json["findings"]])


class Stats(ToolTest):
    def test_numbers_are_those_of_the_bytes(self):
        answer = run("stats", SAMPLES / "s01_plain_tensors", "--json")
        self.assertEqual(answer.code, 0, answer.err)
        for tensor in answer.json["tensors"]:
            raw = run("get", SAMPLES / "s01_plain_tensors", tensor["fqn"], "-o", "-", "--format", "raw").out
            numbers = struct.unpack(f"<{len(raw) // 4}f", raw)
            mean = math.fsum(numbers) / len(numbers)
            std = math.sqrt(math.fsum((x - mean) ** 2 for x in numbers) / len(numbers))
            self.assertEqual((tensor["min"], tensor["max"]), (min(numbers), max(numbers)))
            self.assertEqual((tensor["elements"], tensor["zeros"]), (len(numbers), numbers.count(0)))
            self.assertAlmostEqual(tensor["mean"], mean, 5)
            self.assertAlmostEqual(tensor["std"], std, 5)

    def test_nan_is_a_negative_answer(self):
        copy = self.sample_with_data("s01_plain_tensors")
        data = bytearray((copy / "__0_0.distcp").read_bytes())
        data[704:712] = struct.pack("<ff", math.nan, -math.inf)
        (copy / "__0_0.distcp").write_bytes(data)
        answer = run("stats", copy, "--json")
        self.assertEqual(answer.code, 1)
        bad = [(t["nan"], t["inf"]) for t in answer.json["tensors"] if t["nan"] or t["inf"]]
        self.assertEqual(bad, [(1, 1)])
        self.assertEqual(run("stats", copy, "absent").code, 1)


if __name__ == "__main__":
    unittest.main()
