"""Changes pickles instruction by instruction, so that most of what comes out still runs."""

import pickletools
import struct

ARGUMENTLESS = [bytes([b]) for b in b"(012N}])atuesbR.lde\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94"]
NUMBERS = [
    b"K\x00", b"K\x01", b"M\x00\x01", b"J\xff\xff\xff\xff", b"\x8a\x00", b"\x8a\x01\xff", b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\x00",
    b"\x8a\x02\x05\x00", b"I7\n", b"I007\n", b"I00\n", b"I01\n", b"I0x1\n", b"I-0\n", b"L5L\n", b"L05L\n", b"F1.5\n", b"Fnan\n",
    b"G\x3f\xf0\x00\x00\x00\x00\x00\x00",
]  # fmt: skip
NAMES = [
    b"cbuiltins\nstr\n", b"cbuiltins\nlist\n", b"ccollections\nOrderedDict\n", b"c__builtin__\nset\n", b"cpathlib\nPurePosixPath\n",
    b"ctorch\nSize\n", b"ctorch\nfloat16\n", b"ctorch.distributed.checkpoint.metadata\nMetadataIndex\n",
    b"ctorch.distributed.checkpoint.filesystem\nMetadataIndex\n", b"ctorch.distributed.checkpoint.metadata\nChunkStorageMetadata\n",
    b"ctorch.distributed.checkpoint.filesystem\n_StorageInfo\n", b"celsewhere\n_StorageInfo\n",
]  # fmt: skip
TEXTS = [b"offset", b"length", b"fqn", b"index", b"relative_path", b"offsets", b"sizes", b"size", b"chunks", b"x", b""]
SPECIAL = [b"__dict__", b"__class__", b"__setstate__"]


def instructions(data):
    """The bytes of each instruction but FRAME, up to STOP."""
    parsed = list(pickletools.genops(data))
    ends = [position for _, _, position in parsed[1:]] + [parsed[-1][2] + 1]
    return [data[begin:end] for (op, _, begin), end in zip(parsed, ends) if op.name != "FRAME"]


def text(value):
    return b"\x8c" + bytes([len(value)]) + value


def some_instructions(random, pool):
    """A few instructions: of another pickle, of one kind, or ones that do something together."""
    kind = random.randrange(12)
    fetch = b"h" + bytes([random.randrange(64)])
    if kind == 0:
        begin = random.randrange(len(pool))
        return pool[begin : begin + random.choice((1, 1, 2, 5, 20))]
    if kind == 1:
        return [random.choice(ARGUMENTLESS)]
    if kind == 2:
        return [random.choice(NUMBERS)]
    if kind == 3:
        return [random.choice(NAMES)]
    if kind == 4:
        return [random.choice((b"h", b"q")) + bytes([random.randrange(64)])]
    if kind == 5:  # sets an item late
        return [fetch, text(random.choice(TEXTS)), random.choice(NUMBERS), b"s", b"0"]
    if kind == 6:  # appends late
        return [fetch, random.choice(NUMBERS + [b"N", b"h\x05"]), b"a", b"0"]
    if kind == 7:  # a call in place of a value
        return [random.choice(NAMES), text(random.choice(TEXTS)), b"\x85", b"R"]
    if kind == 8:  # a call for nothing
        return [random.choice(NAMES), text(random.choice(TEXTS)), b"\x85", b"R", b"0"]
    if kind == 9:  # an item of the dict below, which is to be set again or was
        return [text(random.choice(TEXTS)), random.choice(NAMES), text(random.choice(TEXTS)), b"\x85", b"R"]
    if kind == 10:  # another state
        return [*one_attribute(random), b"b"]
    return [b"\x80" + bytes([random.randrange(6)])]


def one_attribute(random):
    """A dict of one attribute, which may be one that changes the object itself."""
    value = random.choice((b"N", b"}", b"h" + bytes([random.randrange(64)]), *NAMES))
    return [b"}", text(random.choice(TEXTS + 2 * SPECIAL)), value, b"s"]


def mutate(random, ops, pool):
    ops = list(ops)
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        at = random.randrange(1, len(ops))
        kind = random.choice((0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5, 5, 5, 6, 6, 7))
        if kind == 0:
            del ops[at : at + random.choice((1, 1, 2, 8))]
        elif kind == 1:
            ops[at:at] = some_instructions(random, pool)
        elif kind == 2:
            ops[at : at + 1] = some_instructions(random, pool)
        elif kind == 3:  # the same again elsewhere
            count = random.choice((1, 2, 5, 12, 30))
            to = random.randrange(1, len(ops))
            ops[to:to] = ops[at : at + count]
        elif kind == 4:
            to = random.randrange(1, len(ops))
            ops[at], ops[to] = ops[to], ops[at]
        elif kind == 5:  # another operand of the same kind
            same = [op for op in pool if op[:1] == ops[at][:1]]
            if same:
                ops[at] = random.choice(same)
        elif kind == 7:  # slots beside a state
            builds = [i for i, op in enumerate(ops) if op == b"b"]
            if builds:
                build = random.choice(builds)
                ops[build:build] = [*one_attribute(random), b"\x86"]
        elif len(ops[at]) > 1:  # another operand, at random
            broken = bytearray(ops[at])
            broken[random.randrange(1, len(broken))] = random.randrange(256)
            ops[at] = bytes(broken)
        if len(ops) < 3:
            return list(pool)
    return ops


def assemble(random, ops):
    """The instructions as a pickle: in one frame, in several that end between or inside of instructions, or in none."""
    body = b"".join(ops[1:])
    head = ops[0]
    kind = random.randrange(4)
    if kind == 0:
        return head + body
    if kind == 1:
        return head + frame(body)
    ends = {len(body)}
    if kind == 2:
        position = 0
        for op in ops[1:]:
            position += len(op)
            if random.random() < 0.02:
                ends.add(position)
    else:
        ends.update(random.randrange(1, len(body) + 1) for _ in range(random.randrange(1, 4)))
    out, begin = head, 0
    for end in sorted(ends):
        out += frame(body[begin:end])
        begin = end
    return out


def frame(data):
    return b"\x95" + struct.pack("<Q", len(data)) + data
