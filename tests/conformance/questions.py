"""Questions about a metadata file and their answers, both from its canonical JSON alone: by looking at everything."""

import itertools
import json
import math
import random

INT64 = (-(2**63), 2**63 - 1)
MAX_QUESTIONS = 160

# Storage information without a chunk, which the canonical JSON does not show: FQN, offset, answer. From make_files.cpp.
LOOSE = {
    "features": [
        (b"loose", None, 10, 7),
        (b"loose", (), 20, 7),
        (b"loose", (3,), 30, 7),
        (b"loose", (3, -1), 40, 7),
        (b"whole", (1, 1), 50, 7),
        (b"whole", None, 60, 7),
    ],
    "small": [(b"loose", (2,), 1, 2)],
}

# The bytes behind texts that are not well-formed. From make_files.cpp and random_model.cpp.
ILL_FORMED = [
    b"\xed\xa0\x80.\xff.\xc0\xaf.\xf4\x90\x80\x80.\xe2\x82",
    b"sub/\xc3\xbc \xff",
    b"\xff\xfe.",
]


# Bytes of an element. Others are not asked for.
ITEM_SIZES = {"float32": 4, "bfloat16": 2, "complex128": 16, "float8_e4m3fn": 1, "int64": 8, "uint8": 1}
MOST_ELEMENTS = 2000  # of a box whose ranges are asked for


def is_shown_as(data, text):
    return "".join("\ufffd" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in data.decode("utf-8", "surrogateescape")) == (
        text.replace("\ud800", "\ufffd" * 3)
    )


def encoded(text):
    """The bytes of a JSON text."""
    if "\ufffd" not in text:
        return text.encode("utf-8", "surrogatepass")
    return next(data for data in ILL_FORMED if is_shown_as(data, text))


def listed(numbers):
    return ",".join(map(str, numbers)) or "()"


def end_of(begin, size):
    return max(INT64[0], min(INT64[1], begin + size))


def overlaps(chunk, offsets, sizes):
    """Whether in every dimension each of the two begins before the other ends."""
    return all(
        begin < end_of(other, other_size) and other < end_of(begin, size)
        for begin, size, other, other_size in zip(chunk["offsets"], chunk["sizes"], offsets, sizes)
    )


def flat(place, offsets, sizes):
    """The number of an element in a box, row-major."""
    number = 0
    for at, offset, size in zip(place, offsets, sizes):
        number = number * size + at - offset
    return number


class Answers:
    def __init__(self, metadata):
        self.metadata = metadata
        self.names = [encoded(entry["fqn"]) for entry in metadata["entries"]]
        self.position = {name: i for i, name in enumerate(self.names)}
        self.files = [encoded(name) for name in metadata["files"]]

    def entry(self, fqn):
        return self.metadata["entries"][self.position[fqn]] if fqn in self.position else None

    def find(self, fqn):
        return f"found\t{self.position[fqn]}" if fqn in self.position else "absent"

    def storage(self, fqn, offset):
        """None where nothing stands there in the JSON: storage information without a chunk may still answer."""
        entry, place = self.entry(fqn), None
        if entry and entry["type"] == "bytes" and offset is None:
            place = entry["storage"]
        elif entry and entry["type"] == "tensor" and offset is not None:
            chunks = [chunk for chunk in entry["chunks"] if chunk["offsets"] == list(offset)]
            place = chunks[0]["storage"] if chunks else None
        if place is None:
            return None
        return f"found\t{self.files[place['file']].hex()}\t{place['byte_offset']}\t{place['length']}"

    def prefix(self, text):
        hits = [i for i, name in enumerate(self.names) if name.startswith(text)]
        return f"found\t{hits[0]}\t{hits[-1] + 1}" if hits else "absent"

    def ranges(self, fqn, offsets, sizes):
        """Element by element, in order of the chunk; neighbours in file and box are joined."""
        entry = self.entry(fqn)
        if not entry or entry["type"] != "tensor":
            return "absent"
        if len(entry["size"]) != len(offsets) or any(o < 0 or s < 0 or o + s > n for o, s, n in zip(offsets, sizes, entry["size"])):
            return "invalid_argument"
        if 0 in sizes:
            return "found\t()"
        item = ITEM_SIZES.get(entry["dtype"])
        if item is None:
            return "not_plain"
        ranges, held = [], set()
        for chunk in sorted(entry["chunks"], key=lambda chunk: chunk["offsets"]):
            own = [range(max(o, c), min(o + s, c + n)) for o, s, c, n in zip(offsets, sizes, chunk["offsets"], chunk["sizes"])]
            if not all(own):
                continue
            if "data" not in chunk:
                return "not_plain" if chunk["storage"] else "holes"
            data, begin = chunk["data"], len(ranges)
            for place in itertools.product(*own):
                at = [data["byte_offset"] + item * flat(place, chunk["offsets"], chunk["sizes"]), item * flat(place, offsets, sizes)]
                held.add(at[1])
                last = ranges[-1] if len(ranges) > begin else None
                if last and last[1] + last[2] == at[0] and last[3] + last[2] == at[1]:
                    last[2] += item
                else:
                    ranges.append([data["file"], at[0], item, at[1]])
        if len(held) < math.prod(sizes):
            return "holes"
        return "found\t" + ",".join(":".join(map(str, r)) for r in ranges)

    def overlap(self, fqn, offsets, sizes):
        entry = self.entry(fqn)
        if not entry or entry["type"] != "tensor" or not len(entry["size"]) == len(offsets) == len(sizes):
            return "absent"
        rows = sorted(entry["chunks"], key=lambda chunk: chunk["offsets"])
        hits = [str(row) for row, chunk in enumerate(rows) if overlaps(chunk, offsets, sizes)]
        return "found\t" + ",".join(hits) if hits else "absent"


def boxes(entry, pick):
    """Boxes in, around, across and beside the chunks of a tensor."""
    size = entry["size"]
    yield [0] * len(size), size
    yield [-(2**63)] * len(size), [2**63 - 1] * len(size)
    yield [n // 2 for n in size], [0] * len(size)
    for chunk in pick.sample(entry["chunks"], min(3, len(entry["chunks"]))):
        yield chunk["offsets"], chunk["sizes"]
        yield [end_of(o, s) for o, s in zip(chunk["offsets"], chunk["sizes"])], [1] * len(size)
    for _ in range(2):
        offsets = [pick.randint(-1, max(n, 0)) for n in size]
        yield offsets, [pick.randint(0, max(n - o, 0) + 1) for n, o in zip(size, offsets)]
    yield [0] * (len(size) + 1), [1] * (len(size) + 1)


def inner_boxes(entry, pick):
    """Boxes inside a tensor."""
    for _ in range(6):
        offsets = [pick.randint(0, n) for n in entry["size"]]
        yield offsets, [pick.randint(0, n - o) for n, o in zip(entry["size"], offsets)]


def ask(name, text, has_loose):
    """Pairs of question and answer about a file of that name with that canonical JSON."""
    metadata = json.loads(text)
    has_data = "file_facts" in metadata
    answers, pick, asked = Answers(metadata), random.Random(name), []

    def add(verb, fqn, *rest):
        answer = getattr(answers, verb)(fqn, *rest)
        if answer is None and has_loose:
            return
        fields = ["-" if part is None else listed(part) for part in rest]
        asked.append(("\t".join([verb, fqn.hex(), *fields]), answer or "absent"))

    known = list(zip(answers.names, metadata["entries"]))
    known = pick.sample(known, min(len(known), MAX_QUESTIONS))
    for fqn in [b"", b"absent", b"\0", b"\xff", *(fqn + b"." for fqn, _ in known[:3]), *(fqn[:-1] for fqn, _ in known[:3])]:
        add("find", fqn)
        add("storage", fqn, None)
    for prefix in [b"", b"a", b"model.", b"\xff", *(fqn[: pick.randint(0, len(fqn))] for fqn, _ in known)]:
        add("prefix", prefix)
    for fqn, entry in known:
        add("find", fqn)
        if entry["type"] != "tensor":
            add("storage", fqn, None)
            add("overlap", fqn, [0], [1])
            continue
        for chunk in pick.sample(entry["chunks"], min(3, len(entry["chunks"]))):
            add("storage", fqn, chunk["offsets"])
            add("storage", fqn, [min(n + 1, INT64[1]) for n in chunk["offsets"]])
        for offsets, sizes in boxes(entry, pick):
            add("overlap", fqn, offsets, sizes)
            if (entry["dtype"] in ITEM_SIZES or entry["dtype"] == "float3") and math.prod(sizes) <= MOST_ELEMENTS:
                add("ranges", fqn, offsets, sizes)
        if has_data:
            for offsets, sizes in inner_boxes(entry, pick):
                add("ranges", fqn, offsets, sizes)
    asked = sorted(set(asked))
    chosen = pick.sample(asked, min(MAX_QUESTIONS, len(asked)))
    for fqn, offset, place, length in LOOSE.get(name, []):
        fields = f"{fqn.hex()}\t{'-' if offset is None else listed(offset)}"
        chosen.append((f"storage\t{fields}", f"found\t{b'loose.distcp'.hex()}\t{place}\t{length}"))
    return sorted(set(chosen))
