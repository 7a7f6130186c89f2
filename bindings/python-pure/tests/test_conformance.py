"""The suite that every reader passes: docs/conformance.md. FLATPOINT_SUITE names another of its form."""

import dataclasses
import os
import pathlib
import re

import pytest

import flatpoint_pure
from flatpoint_pure import Error

COMMITTED = pathlib.Path(__file__).parents[3] / "tests" / "conformance"
SUITE = pathlib.Path(os.environ.get("FLATPOINT_SUITE") or COMMITTED)


@dataclasses.dataclass
class Case:
    """One of docs/conformance.md."""

    name: str
    code: str
    data: bytes = b""
    json: str = ""  # where it opens
    asked: list = dataclasses.field(default_factory=list)  # questions and answers


def cases(kind, suite=SUITE):
    """Those of "golden" or "hostile"; never none."""
    found = []
    for line in (suite / f"{kind}.cases").read_text("ascii").splitlines():
        what, _, rest = line.partition("\t")
        if what == "case":
            found.append(Case(*rest.split("\t")))
        elif what == "file":
            found[-1].data = bytes.fromhex(rest)
        elif what == "json":
            found[-1].json = rest + "\n"
        else:
            assert what == "ask", line
            found[-1].asked.append(tuple(rest.split("\t=\t")))
    assert found
    return found


GOLDEN, HOSTILE = cases("golden"), cases("hostile")
SMALL = next(case.data for case in GOLDEN if case.name == "small")  # what hostile files are made of


def code_point(data):
    """The code point at the front of bytes (lone surrogates allowed) and its bytes; U+FFFD where it is not well-formed."""
    for length in (1, 2, 3, 4):
        try:
            return ord(data[:length].decode("utf-8", "surrogatepass")), length
        except (UnicodeDecodeError, TypeError):
            continue
    return 0xFFFD, 1


def quoted(data):
    out = []
    while data:
        value, length = code_point(data)
        data = data[length:]
        if value in (0x22, 0x5C):
            out.append("\\" + chr(value))
        elif value >= 0x10000:
            out.append(f"\\u{0xD800 + (value - 0x10000 >> 10):04x}\\u{0xDC00 + (value - 0x10000 & 0x3FF):04x}")
        else:
            out.append(chr(value) if 0x20 <= value < 0x7F else f"\\u{value:04x}")
    return '"' + "".join(out) + '"'


def as_bytes(text):
    return text.encode("utf-8", "surrogatepass")


def optional(value, show):
    return "null" if value is None else show(value)


def listed(items, show=str):
    return "[" + ",".join(map(show, items)) + "]"


def boolean(value):
    return "true" if value else "false"


def corrupt_or(make):
    """What `make` gives; "corrupt" in its place where the file is."""
    try:
        return make()
    except Error as error:
        assert error.code == "corrupt"
        return '"corrupt"'


def storage(make):
    def show(info):
        transforms = optional(info.transform_descriptors, lambda texts: listed(texts, quoted))
        return f'{{"file":{info.file},"byte_offset":{info.byte_offset},"length":{info.length},"transforms":{transforms}}}'

    return corrupt_or(lambda: optional(make(), show))


def data(chunk):
    def show():
        found = chunk.data()
        return found and (
            f'{{"file":{found.file},"byte_offset":{found.byte_offset},"length":{found.length},"checksum":{optional(found.checksum, str)}}}'
        )

    said = corrupt_or(show)
    return f',"data":{said}' if said else ""


def facts(file, i):
    found = file.file_facts(i)
    return f'{{"length":{optional(found.length, str)},"time":{optional(found.modified_ns, str)},"format":"{found.format}"}}'


def file_facts(file):
    said = f'"checksum_kind":"{file.checksum_kind}",' if file.checksum_kind else ""
    c = file.columns
    if len(c.file_lengths) or len(c.file_times) or len(c.file_formats):
        said += f'"file_facts":{listed(range(len(c.files)), lambda i: facts(file, i))},'
    return said


def chunk(tensor, i):
    def make():
        chunk = tensor.chunk(i)
        return f'{{"offsets":{listed(chunk.offsets)},"sizes":{listed(chunk.sizes)},"storage":{storage(chunk.storage)}{data(chunk)}}}'

    return corrupt_or(make)


def entry(file, position):
    def make():
        entry = file[position]
        if entry.is_tensor:
            tensor = entry.tensor()
            what = (
                f'"type":"tensor","dtype":{quoted(as_bytes(tensor.dtype))},"layout":{quoted(as_bytes(tensor.layout))},'
                f'"memory_format":{quoted(as_bytes(tensor.memory_format))},"requires_grad":{boolean(tensor.requires_grad)},'
                f'"pin_memory":{boolean(tensor.pin_memory)},"strides":{optional(tensor.strides, listed)},"size":{listed(tensor.size)},'
                f'"chunks":{listed(range(tensor.chunk_count), lambda i: chunk(tensor, i))}'
            )
        elif entry.is_bytes:
            what = f'"type":"bytes","storage":{storage(entry.bytes_storage)}'
        else:
            what = '"type":"opaque"'
        return f'{{"fqn":{quoted(entry.fqn)},{what}}}'

    return corrupt_or(make)


def canonical_json(file):
    def show_meta(meta):
        return (
            f'{{"checkpoint_id":{optional(meta.checkpoint_id, quoted)},"save_id":{optional(meta.save_id, quoted)},'
            f'"load_id":{optional(meta.load_id, quoted)},"modules":{optional(meta.modules, lambda texts: listed(texts, quoted))}}}'
        )

    columns = file.columns
    names = listed(range(len(columns.files)), lambda i: corrupt_or(lambda: quoted(file.file_name(i))))
    return (
        f'{{"format":[{columns.format_major},{columns.format_minor}],"fragment_rank":{columns.fragment_rank},'
        f'"version":{optional(file.version, quoted)},"storage_meta":{optional(file.storage_meta, show_meta)},'
        f'"files":{names},{file_facts(file)}"entries":{listed(range(len(file)), lambda i: entry(file, i))}}}\n'
    )


def parsed(text):
    return [] if text == "()" else list(map(int, text.split(",")))


def answer(file, question):
    verb, name, *rest = question.split("\t")
    name = bytes.fromhex(name)
    said = None
    try:
        if verb == "find":
            found = file.find(name)
            said = found and found.position
        elif verb == "storage":
            info = file.find_storage(name, None if rest[0] == "-" else parsed(rest[0]))
            said = info and f"{info.relative_path.hex()}\t{info.byte_offset}\t{info.length}"
        elif verb == "prefix":
            found = file.prefix(name)
            said = f"{found.start}\t{found.stop}" if found else None
        elif verb == "overlap":
            found = file.find(name)
            tensor = found and found.tensor()
            rows = tensor.overlapping(*map(parsed, rest)) if tensor else []
            said = ",".join(map(str, rows)) or None
        elif verb == "ranges":
            found = file.find(name)
            tensor = found and found.tensor()
            if tensor:
                said = ",".join(":".join(map(str, r)) for r in tensor.ranges(*map(parsed, rest))) or "()"
        else:
            raise AssertionError(question)
    except Error as error:
        assert verb == "ranges" or error.code == "corrupt"
        return error.code
    return "absent" if said is None else f"found\t{said}"


@pytest.fixture
def opened(tmp_path):
    """Opens bytes as a file of their own."""
    path = tmp_path / "a.flatpoint"

    def opened(data):
        path.write_bytes(data)
        return flatpoint_pure.open(path)

    return opened


def check(file, case):
    assert canonical_json(file) == case.json, case.name
    assert [(question, answer(file, question)) for question, _ in case.asked] == case.asked, case.name


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case.name)
def test_golden_files(case, opened):
    with opened(case.data) as file:
        check(file, case)
        assert file.digest_matches()


def test_hostile_files_that_open(opened):
    for case in HOSTILE:
        if case.code == "opens":
            with opened(case.data) as file:
                check(file, case)


def code_of(opener, argument):
    try:
        opener(argument).close()
    except Error as error:
        return error.code
    return "opens"


@pytest.mark.parametrize("how", ["mapped", "bytes"])
def test_codes(how, opened):
    opener = opened if how == "mapped" else flatpoint_pure.from_bytes
    expected = {case.name: case.code for case in GOLDEN + HOSTILE}
    assert {case.name: code_of(opener, case.data) for case in GOLDEN + HOSTILE} == expected


def test_no_metadata_files(tmp_path):
    assert code_of(flatpoint_pure.open, tmp_path / "absent.flatpoint") == "not_found"
    assert code_of(flatpoint_pure.open, tmp_path) == "not_found"
    assert code_of(flatpoint_pure.open, "/dev/null") == "io"
    sparse = tmp_path / "sparse.flatpoint"
    sparse.write_bytes(SMALL)
    os.truncate(sparse, 2**31)
    assert code_of(flatpoint_pure.open, sparse) == "too_large"


def test_digest():
    data = bytearray(SMALL)
    data[-25] ^= 1
    assert not flatpoint_pure.from_bytes(data).digest_matches()


def test_root_and_columns(opened):
    """The generated accessors and the columns read the same file."""
    with opened(SMALL) as file:
        root = file.root()
        assert (root.EntriesLength(), root.OpaqueLength(), root.PlannerOrderLength()) == (len(file), 1, 3)
        assert list(file.columns.chunk_byte_offsets) == [root.ChunkByteOffsets(i) for i in range(root.ChunkByteOffsetsLength())]
        boxes = file.columns.boxes
    assert boxes.format == "q" and len(boxes.tolist()) == len(boxes)  # a column outlives close()


def test_tables_are_those_of_the_schema():
    """The list of fields that the reader checks is the schema's, in its order."""
    from flatpoint_pure import _columns

    schema = (pathlib.Path(__file__).parents[3] / "schema" / "metadata.fbs").read_text()
    for table, fields in (
        ("Metadata", _columns.METADATA),
        ("StorageMeta", _columns.STORAGE_META),
        ("Source", _columns.SOURCE),
    ):
        body = re.search(rf"^table {table} {{(.*?)^}}", schema, re.MULTILINE | re.DOTALL)[1]
        assert [field.name for field in fields] == re.findall(r"^ +(\w+):", body, re.MULTILINE)


def test_readme_shows_what_works(tmp_path, monkeypatch, capsys):
    readme = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
    (tmp_path / "ckpt").mkdir()
    (tmp_path / "ckpt" / ".metadata.flatpoint").write_bytes(SMALL)
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", readme, re.DOTALL)[1], {})
    assert capsys.readouterr().out.splitlines()[:2] == ["even float32 (8, 2)", "explicit float32 (8,)"]


def test_folders_and_pickles(tmp_path):
    pickle = tmp_path / ".metadata"
    pickle.write_bytes(b"\x80\x04N.")
    for path in (tmp_path, pickle):
        with pytest.raises(flatpoint_pure.Error, match=f"run `flatpoint import {pickle}`"):
            flatpoint_pure.open(path)
    (tmp_path / ".metadata.flatpoint").write_bytes(SMALL)
    with flatpoint_pure.open(tmp_path) as file:
        assert len(file) == 7
