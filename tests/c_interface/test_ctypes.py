"""flatpoint.h by ctypes: what PyTorch reads from the samples (tests/data/values.json), exact ranges, and errors."""

import concurrent.futures
import ctypes
import json
import os
import pathlib
import shutil
import tempfile
import unittest
import zlib
from ctypes import POINTER, byref, c_char, c_char_p, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

HERE = pathlib.Path(__file__).resolve().parent
SAMPLES = HERE.parent / "samples"
VALUES = json.loads((HERE.parent / "data" / "values.json").read_text())
LIBRARY = ctypes.CDLL(os.environ["FLATPOINT_LIBRARY"])

OK, NOT_FOUND, INVALID_ARGUMENT, AMBIGUOUS, NOT_PLAIN, CHANGED, HOLES, OUTSIDE, NO_ROOM = 0, 1, 8, 12, 32, 36, 37, 40, 255
TENSOR, BYTES = 0, 1
OF_RANK, ALLOW_OUTSIDE = 1, 2


class Error(ctypes.Structure):
    _fields_ = [("code", c_int32), ("message", c_char * 1020)]


class Text(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("length", c_size_t)]

    def __str__(self):
        return ctypes.string_at(self.data, self.length).decode()


class Options(ctypes.Structure):
    _fields_ = [("flags", c_uint32), ("rank", c_uint32), ("max_open_files", c_uint32)]


class Entry(ctypes.Structure):
    _fields_ = [
        *(("number", c_uint32), ("kind", c_uint32), ("fqn", Text), ("dtype", Text)),
        *(("item_size", c_uint32), ("ndim", c_uint32), ("size", POINTER(c_int64)), ("bytes", c_uint64)),
    ]


class File(ctypes.Structure):
    _fields_ = [("relative_path", Text), ("length", c_uint64), ("modified_ns", c_int64)]


class Range(ctypes.Structure):
    _fields_ = [("file", c_uint32), ("byte_offset", c_uint64), ("length", c_uint64), ("box_offset", c_uint64)]


NUMBERS = POINTER(c_int64)
LIBRARY.flatpoint_open.restype = c_void_p
LIBRARY.flatpoint_open.argtypes = [c_char_p, POINTER(Options), POINTER(Error)]
LIBRARY.flatpoint_close.argtypes = [c_void_p]
LIBRARY.flatpoint_close.restype = None
LIBRARY.flatpoint_entry_count.argtypes = LIBRARY.flatpoint_file_count.argtypes = [c_void_p]
LIBRARY.flatpoint_entry_count.restype = LIBRARY.flatpoint_file_count.restype = c_uint32
LIBRARY.flatpoint_folder.argtypes = [c_void_p]
LIBRARY.flatpoint_folder.restype = Text
LIBRARY.flatpoint_get.argtypes = [c_void_p, c_uint32, POINTER(Entry), POINTER(Error)]
LIBRARY.flatpoint_find.argtypes = [c_void_p, c_char_p, c_size_t, POINTER(Entry), POINTER(Error)]
LIBRARY.flatpoint_get_file.argtypes = [c_void_p, c_uint32, POINTER(File), POINTER(Error)]
LIBRARY.flatpoint_ranges.argtypes = [c_void_p, c_uint32, NUMBERS, NUMBERS, POINTER(Range), POINTER(c_size_t), POINTER(Error)]
LIBRARY.flatpoint_read.argtypes = [c_void_p, c_uint32, NUMBERS, NUMBERS, c_void_p, c_size_t, NUMBERS, c_uint32, POINTER(Error)]
LIBRARY.flatpoint_value.argtypes = [c_void_p, c_uint32, c_char_p, POINTER(c_size_t), POINTER(Error)]


class Failure(Exception):
    def __init__(self, error):
        self.code, self.text = error.code, error.message.decode()
        super().__init__(f"{self.code}: {self.text}")


def numbers(values):
    return None if values is None else (c_int64 * len(values))(*values)


class Checkpoint:
    def __init__(self, path, flags=0, rank=0):
        error = Error()
        self.handle = LIBRARY.flatpoint_open(os.fsencode(path), Options(flags, rank, 2), byref(error))
        if not self.handle:
            raise Failure(error)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        LIBRARY.flatpoint_close(self.handle)

    def call(self, name, *arguments, allow=()):
        error = Error(-1)
        code = getattr(LIBRARY, f"flatpoint_{name}")(self.handle, *arguments, byref(error))
        assert code == error.code
        if code != OK and code not in allow:
            raise Failure(error)
        return code

    def entries(self):
        for number in range(LIBRARY.flatpoint_entry_count(self.handle)):
            entry = Entry()
            self.call("get", number, byref(entry))
            yield entry

    def find(self, fqn):
        entry = Entry()
        self.call("find", fqn.encode(), len(fqn.encode()), byref(entry))
        return entry

    def read(self, entry, offsets=None, sizes=None, room=None, strides=None, threads=1):
        memory = ctypes.create_string_buffer(entry.bytes if room is None else room)
        self.call("read", entry.number, numbers(offsets), numbers(sizes), memory, len(memory), numbers(strides), threads)
        return memory.raw

    def ranges(self, entry, offsets=None, sizes=None):
        count = c_size_t(0)
        box = entry.number, numbers(offsets), numbers(sizes)
        code = self.call("ranges", *box, None, byref(count), allow=[NO_ROOM])
        assert (code == NO_ROOM) == (count.value > 0)
        found = (Range * count.value)()
        self.call("ranges", *box, found, byref(count))
        return list(found)

    def value(self, entry):
        length = c_size_t(0)
        self.call("value", entry.number, None, byref(length), allow=[NO_ROOM])
        text = ctypes.create_string_buffer(length.value)
        self.call("value", entry.number, text, byref(length))
        return json.loads(text.raw)

    def file(self, number):
        file = File()
        self.call("get_file", number, byref(file))
        return pathlib.Path(str(LIBRARY.flatpoint_folder(self.handle))) / str(file.relative_path)

    def joined(self, entry, offsets=None, sizes=None, length=None):
        """A box, put together from the files by its ranges."""
        box = bytearray(entry.bytes if length is None else length)
        for r in self.ranges(entry, offsets, sizes):
            box[r.box_offset : r.box_offset + r.length] = self.file(r.file).read_bytes()[r.byte_offset : r.byte_offset + r.length]
        return bytes(box)


class Samples(unittest.TestCase):
    def test_torchs_values(self):
        tensors = values = 0
        for name, expected in VALUES.items():
            with self.subTest(name), Checkpoint(SAMPLES / name) as checkpoint:
                entries = {str(entry.fqn): entry for entry in checkpoint.entries()}
                self.assertEqual(entries.keys(), expected.keys())
                for fqn, entry in entries.items():
                    self.assertEqual(checkpoint.find(fqn).number, entry.number)
                    if "crc32" in expected[fqn]:
                        self.assertEqual((entry.kind, entry.bytes), (TENSOR, expected[fqn]["bytes"]))
                        self.assertEqual(zlib.crc32(checkpoint.read(entry, threads=3)), expected[fqn]["crc32"], fqn)
                        tensors += 1
                    elif "value" in expected[fqn]:
                        self.assertEqual((entry.kind, checkpoint.value(entry)), (BYTES, expected[fqn]["value"]))
                        values += 1
        self.assertGreater(tensors, 100)
        self.assertGreater(values, 50)

    def test_ranges_are_what_is_read(self):
        for name in ("d01_dtensor_1d", "d02_dtensor_2d", "s13_safetensors_fs", "../safetensors/samples/d08_hf_sharded"):
            with self.subTest(name), Checkpoint(SAMPLES / name) as checkpoint:
                for entry in checkpoint.entries():
                    if entry.kind == TENSOR:
                        self.assertEqual(checkpoint.joined(entry), checkpoint.read(entry), entry.fqn)


class Boxes(unittest.TestCase):
    def setUp(self):
        self.checkpoint = Checkpoint(HERE.parent / "safetensors" / "samples" / "d08_hf_sharded")
        self.entry = self.checkpoint.find("even")  # [8, 8], 0 ... 63, float32, two rows a file
        self.addCleanup(LIBRARY.flatpoint_close, self.checkpoint.handle)

    def floats(self, data):
        return [int(value) for value in memoryview(data).cast("f")]

    def test_facts(self):
        entry = self.entry
        self.assertEqual((str(entry.fqn), str(entry.dtype), entry.item_size, entry.bytes), ("even", "float32", 4, 256))
        self.assertEqual(entry.size[: entry.ndim], [8, 8])
        self.assertEqual(LIBRARY.flatpoint_file_count(self.checkpoint.handle), 4)
        self.assertEqual(self.checkpoint.file(2).name, "shard-00003-model-00001-of-00001.safetensors")

    def test_a_box(self):
        expected = [8 * row + column for row in (1, 2) for column in (6, 7)]
        self.assertEqual(self.floats(self.checkpoint.read(self.entry, (1, 6), (2, 2), 16)), expected)
        self.assertEqual(self.floats(self.checkpoint.joined(self.entry, (1, 6), (2, 2), 16)), expected)
        self.assertEqual(len(self.checkpoint.ranges(self.entry, (1, 6), (2, 2))), 2)
        self.assertEqual(self.checkpoint.ranges(self.entry, (1, 6), (0, 2)), [])
        self.assertEqual(self.checkpoint.read(self.entry, (8, 8), (0, 0), 0), b"")

    def test_strides(self):
        """Columns become rows, with a gap behind each."""
        read = self.floats(self.checkpoint.read(self.entry, (0, 3), (8, 2), 4 * 17, strides=(4, 36)))
        self.assertEqual(read, [8 * row + 3 for row in range(8)] + [0] + [8 * row + 4 for row in range(8)])

    def test_threads(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            whole = list(range(64))
            for read in pool.map(lambda _: self.checkpoint.read(self.entry, threads=2), range(200)):
                self.assertEqual(self.floats(read), whole)

    def refused(self, code, words, call, *arguments, **options):
        with self.assertRaises(Failure) as caught:
            call(*arguments, **options)
        self.assertEqual(caught.exception.code, code, caught.exception)
        self.assertIn(words, caught.exception.text)

    def test_what_is_refused(self):
        read = self.checkpoint.read
        self.refused(NOT_FOUND, "no FQN 'Even'", self.checkpoint.find, "Even")
        self.refused(INVALID_ARGUMENT, "there is no entry 2", self.checkpoint.call, "get", 2, Entry())
        self.refused(INVALID_ARGUMENT, "there is no data file 4", self.checkpoint.call, "get_file", 4, File())
        self.refused(INVALID_ARGUMENT, "takes 256 bytes, there is room for 255", read, self.entry, room=255)
        for box in (((0, 0), (9, 8)), ((1, 0), (8, 8)), ((-1, 0), (1, 1)), ((0, 0), (-1, 8)), ((2**63 - 1, 0), (2, 1))):
            self.refused(INVALID_ARGUMENT, "does not lie inside size [8, 8]", read, self.entry, *box)
        self.refused(INVALID_ARGUMENT, "takes 263 bytes", read, self.entry, room=262, strides=(33, 4))
        self.refused(INVALID_ARGUMENT, "stride -4 of dimension 1 is negative", read, self.entry, strides=(32, -4))
        self.refused(INVALID_ARGUMENT, "there is room for 256", read, self.entry, strides=(2**62, 2**62))
        self.refused(INVALID_ARGUMENT, "is no bytes item", self.checkpoint.value, self.entry)
        self.refused(NOT_FOUND, "nowhere", Checkpoint, "/nowhere")

    def test_other_checkpoints(self):
        with Checkpoint(SAMPLES / "s05_quantized") as checkpoint:
            quantized = next(entry for entry in checkpoint.entries() if "qint" in str(entry.dtype))
            self.refused(NOT_PLAIN, "quantized", checkpoint.read, quantized)
            self.refused(NOT_PLAIN, "quantized", checkpoint.ranges, quantized)
        self.refused(AMBIGUOUS, "choose one rank", Checkpoint, SAMPLES / "d09_no_collectives")
        with Checkpoint(SAMPLES / "d09_no_collectives", OF_RANK, 1) as checkpoint:
            self.assertGreater(LIBRARY.flatpoint_entry_count(checkpoint.handle), 0)
        with tempfile.TemporaryDirectory() as folder:
            here = pathlib.Path(folder, "here")
            shutil.copytree(HERE.parent / "safetensors" / "samples" / "d08_hf_sharded", here)
            with Checkpoint(here) as checkpoint:
                with (here / "shard-00002-model-00001-of-00001.safetensors").open("ab") as file:
                    file.write(b"!")
                self.refused(CHANGED, "shard-00002", checkpoint.read, checkpoint.find("even"))
                (here / "shard-00002-model-00001-of-00001.safetensors").unlink()
            with Checkpoint(here) as checkpoint:
                self.refused(HOLES, "[2, 0]", checkpoint.read, checkpoint.find("even"))
                self.refused(HOLES, "element 16 of the box", checkpoint.ranges, checkpoint.find("even"))

    def test_outside(self):
        """Files elsewhere are looked for where that is allowed."""
        golden = (HERE.parent / "conformance" / "golden.cases").read_text().splitlines()
        metadata = bytes.fromhex(golden[golden.index("case\tdata_files\topens") + 1].removeprefix("file\t"))
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "inner", ".metadata.flatpoint")
            path.parent.mkdir()
            path.write_bytes(metadata)
            for flags, code in ((0, OUTSIDE), (ALLOW_OUTSIDE, NOT_FOUND)):
                with Checkpoint(path.parent, flags) as checkpoint:
                    self.refused(code, "../d.bin", checkpoint.read, checkpoint.find("outside"))

    def test_a_long_message_is_cut_between_characters(self):
        for length in range(1000, 1040):
            with self.assertRaises(Failure) as caught:
                self.checkpoint.find("x" * length + "ä" * 100)
            self.assertTrue(caught.exception.text)  # it could be decoded


if __name__ == "__main__":
    unittest.main()
