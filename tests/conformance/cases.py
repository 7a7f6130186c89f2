"""Files of cases, as docs/conformance.md describes them."""

import dataclasses

ANSWER = "\t=\t"


@dataclasses.dataclass
class Case:
    name: str
    data: bytes
    code: str = "opens"
    json: str | None = None  # canonical JSON without its newline, where the file opens
    asked: list[tuple[str, str]] = dataclasses.field(default_factory=list)  # questions and answers


def dump(cases):
    def lines():
        for case in cases:
            yield f"case\t{case.name}\t{case.code}"
            yield f"file\t{case.data.hex()}"
            if case.json is not None:
                yield f"json\t{case.json}"
            for question, answer in case.asked:
                yield f"ask\t{question}{ANSWER}{answer}"

    return "".join(line + "\n" for line in lines())


def parse(text):
    cases = []
    for line in text.splitlines():
        kind, _, rest = line.partition("\t")
        if kind == "case":
            name, code = rest.split("\t")
            cases.append(Case(name, b"", code))
        elif kind == "file":
            cases[-1].data = bytes.fromhex(rest)
        elif kind == "json":
            cases[-1].json = rest
        elif kind == "ask":
            cases[-1].asked.append(tuple(rest.split(ANSWER)))
        else:
            raise ValueError(f"no line of a case: {line}")
    return cases


def load(path):
    """Never none."""
    cases = parse(path.read_text("ascii"))
    assert cases, f"no case in {path}"
    return cases
