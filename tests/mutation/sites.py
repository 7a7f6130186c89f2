"""Where C++ code can be mutated: the edits that put a mutant behind a switch. Works on tokens of clang-formatted code."""

import re
from typing import NamedTuple


class Edit(NamedTuple):
    begin: int
    end: int
    text: str  # {id} stands for the mutant's number


class Site(NamedTuple):
    file: str
    line: int
    last_line: int
    code: str  # of the first line
    what: str  # for people: "<  becomes <=", ...
    edits: tuple[Edit, ...]


OPERATORS = {
    "<": ("Less", "<", ">", "<="),
    "<=": ("LessEqual", "<", ">", "<"),
    ">": ("Greater", "<", ">", ">="),
    ">=": ("GreaterEqual", "<", ">", ">"),
    "==": ("Equal", "==", "==", "!="),
    "!=": ("NotEqual", "==", "==", "=="),
    "+": ("Plus", "+", "+", "-"),
    "-": ("Minus", "+", "+", "+"),
}
STATEMENT = re.compile(r"^(\s+)((?:\+\+|--)?[a-z_*][\w.]*(?:->\w+|\[[^\]]*\]|\.\w+)*\s*(?:\([^;{}]*\)|(?:[-+|&^*]|<<|>>)?= [^;{}]+)?);$")
NO_STATEMENT = re.compile(
    r"^\s*(if|for|while|switch|do|return|break|continue|using|throw|goto|case|default|delete|else|typedef|friend|static_assert|namespace)\b"
)


def blanked(text: str) -> str:
    """The same length, without comments, literals of text and preprocessor lines."""
    pattern = re.compile(
        r"//[^\n]*|/\*.*?\*/|R\"(\w*)\(.*?\)\1\"|\"(?:\\.|[^\"\\\n])*\"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'|^\s*#[^\n]*(?:\\\n[^\n]*)*",
        re.DOTALL | re.MULTILINE,
    )
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def closing(code: str, at: int) -> int:
    """Where the bracket that opens at `at` closes."""
    depth = 0
    for i in range(at, len(code)):
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
            if depth == 0:
                return i
    return len(code)


def parted(code: str, begin: int, end: int, operator: str) -> list[tuple[int, int]]:
    """[begin, end) parted at an operator outside of brackets."""
    parts, depth, start, i = [], 0, begin, begin
    while i < end:
        if code[i] in "([{":
            depth += 1
        elif code[i] in ")]}":
            depth -= 1
        elif depth == 0 and code.startswith(operator, i):
            parts.append((start, i))
            start = i = i + len(operator)
            continue
        i += 1
    return parts + [(start, end)]


def trimmed(code: str, begin: int, end: int) -> tuple[int, int]:
    while begin < end and code[begin].isspace():
        begin += 1
    while end > begin and code[end - 1].isspace():
        end -= 1
    return begin, end


def conditions(code: str):
    """(begin, end, mutant in place of it) of conditions and of their parts."""
    spans = []
    for found in re.finditer(r"\b(?:if|while) (?:constexpr )?\(", code):
        if "constexpr" in found.group():
            continue
        opened = found.end() - 1
        begin, end = parted(code, opened + 1, closing(code, opened), ";")[-1]
        spans.append((begin, end, found.group().startswith("if")))
    for found in re.finditer(r"\breturn (?=[^;]*(?:&&|\|\|))", code):
        end = code.find(";", found.end())
        if not re.search(r"[{}\[?]", code[found.end() : end]):
            spans.append((found.end(), end, False))
    for begin, end, whole in spans:
        if re.match(r"\s*(?:const )?(?:auto|[A-Z]\w*|bool)[&* ]+\w+ = ", code[begin:end]):
            continue
        alternatives = parted(code, begin, end, "||")
        for a, b in alternatives:
            parts = parted(code, a, b, "&&")
            if len(parts) > 1:
                for part in parts:
                    yield *trimmed(code, *part), "true"
            if len(alternatives) > 1 or (whole and len(parts) == 1):
                yield *trimmed(code, a, b), "false"
        if whole and len(alternatives) == 1:
            yield *trimmed(code, begin, end), "false"


def sites_of(file: str, text: str) -> list[Site]:
    code = blanked(text)
    line_of = lambda at: text.count("\n", 0, at) + 1
    originals = text.split("\n")
    sites, seen = [], set()

    def add(begin: int, end: int, what: str, *edits: Edit):
        if (begin, end, what) not in seen:
            seen.add((begin, end, what))
            sites.append(Site(file, line_of(begin), line_of(end), originals[line_of(begin) - 1].strip(), what, edits))

    for begin, end, value in conditions(code):
        if value == "true":
            edits = Edit(begin, begin, "(::flatpoint_mutants::on({id}) || ("), Edit(end, end, "))")
        else:
            edits = Edit(begin, begin, "(!::flatpoint_mutants::on({id}) && ("), Edit(end, end, "))")
        add(begin, end, f"{' '.join(text[begin:end].split())} becomes {value}", *edits)
    for found in re.finditer(r"(?<=[\w)\]]) (<=?|>=?|==|!=|\+|-) (?=[\w(~!*&:'\"-])", code):
        operator = found.group(1)
        name, before, after, other = OPERATORS[operator]
        begin, end = found.span(1)
        add(begin, end, f"{operator} becomes {other}", Edit(begin, end, f"{before} ::flatpoint_mutants::{name}<{{id}}>() {after}"))
    for found in re.finditer(r"(?<=[ (,])(\d+)(?=[ ,);])(?! ?[<(]\))", code):
        begin, end = found.span(1)
        number = found.group(1)
        pick = f"::flatpoint_mutants::pick({{id}}, {number}, {int(number) + 1})"
        add(begin, end, f"{number} becomes {int(number) + 1}", Edit(begin, end, pick))
    lines = code.split("\n")
    start, before = 0, ""
    for line in lines:
        found = STATEMENT.match(line)
        complete = found and line.count("(") == line.count(")") and not NO_STATEMENT.match(line)
        if complete and re.search(r"[;{}]$|^$|\)$|\belse$|:$", before.rstrip()):
            begin, end = start + found.start(2), start + len(line)
            what = f"{text[begin:end]} is left out"
            add(begin, end, what, Edit(begin, begin, "{ if (!::flatpoint_mutants::on({id})) "), Edit(end, end, " }"))
        if line.strip():
            before = line
        start += len(line) + 1
    return sites


def mutated(text: str, chosen: dict[int, Site]) -> str:
    """All of them at once; lines keep their numbers."""
    inserts = []
    for number, site in chosen.items():
        for order, edit in enumerate(site.edits):
            opens = order == 0 and len(site.edits) > 1
            width = site.edits[-1].end - site.edits[0].begin
            # What opens at one place: the widest first; what closes there: the narrowest first.
            key = (edit.begin, 1 if opens or len(site.edits) == 1 else 0, -width if opens else width)
            inserts.append((key, edit, edit.text.replace("{id}", str(number))))
    out, at = [], 0
    for _, edit, insert in sorted(inserts, key=lambda each: each[0]):
        out += [text[at : edit.begin], insert]
        at = max(at, edit.end)
    out.append(text[at:])
    return '#include "../../tests/mutation/mutants.hpp"\n#line 1\n' + "".join(out)
