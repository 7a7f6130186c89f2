#!/usr/bin/env python3
"""Every file that a release could write must keep its meaning: compares schema/released/*/metadata.fbs with the schema.

`flatc --conform` comes first, but it lets through a field added to a struct, a value gone from an enum, a changed
identifier or root and a new required field. So the rules of the format are checked here as well:

    a struct never changes; a table grows at its end, by optional fields; an enum only gains values.

Usage: check_released.py FLATC [ROOT]
"""

import pathlib
import re
import subprocess
import sys

DECLARATION = re.compile(r"\b(table|struct|enum)\s+(\w+)\s*(?::\s*(\w+)\s*)?\{([^}]*)\}")
HEADER = re.compile(r"\b(namespace|file_identifier|file_extension|root_type)\s+([^;]+);")


class Schema:
    """The subset of the schema language that schema/metadata.fbs is written in."""

    def __init__(self, text):
        text = re.sub(r"//[^\n]*", "", text)
        self.header = dict(HEADER.findall(text))
        self.types = {}  # name -> (kind, members in order)
        for kind, name, base, body in DECLARATION.findall(text):
            members = self._values(body) if kind == "enum" else self._fields(body)
            self.types[name] = (f"{kind} : {base}" if base else kind, members)

    @staticmethod
    def _fields(body):
        return ["".join(field.split()) for field in body.split(";") if field.strip()]

    @staticmethod
    def _values(body):
        values, following = [], 0
        for item in filter(None, (part.strip() for part in body.split(","))):
            name, _, number = (part.strip() for part in item.partition("="))
            following = int(number) if number else following
            values.append(f"{name}={following}")
            following += 1
        return values


def broken_promises(released, current):
    """What a reader of files written under `released` would no longer understand, as lines."""
    released, current = Schema(released), Schema(current)
    problems = [
        f"{key} was {value}, is {current.header.get(key)}" for key, value in released.header.items() if current.header.get(key) != value
    ]
    for name, (kind, members) in released.types.items():
        if name not in current.types:
            problems.append(f"{kind} {name} is gone")
            continue
        now_kind, now = current.types[name]
        if now_kind != kind:
            problems.append(f"{name} was {kind}, is {now_kind}")
        elif kind.startswith("enum"):
            problems += [f"{name}: {value} is gone" for value in members if value not in now]
        elif now[: len(members)] != members:
            changed = next((old for old, new in zip(members, now) if old != new), members[-1])
            problems.append(f"{name}: changed at {changed}")
        elif kind == "struct" and now != members:
            problems.append(f"struct {name} has grown by {now[len(members)]}")
        else:
            problems += [f"{name}: new field {field} is required" for field in now[len(members) :] if "required" in field]
    return problems


def conforms(flatc, released, current):
    """flatc's own verdict on two files: an empty text, or why not."""
    run = subprocess.run([flatc, "--conform", released, current], capture_output=True, text=True, check=False)
    return "" if run.returncode == 0 else (run.stdout + run.stderr).strip()


def main():
    flatc = sys.argv[1]
    root = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parents[2])
    current = root / "schema/metadata.fbs"
    releases = sorted((root / "schema/released").glob("*/metadata.fbs"))
    failed = False
    for released in releases:
        problems = broken_promises(released.read_text(), current.read_text())
        verdict = conforms(flatc, released, current)
        problems += [verdict] if verdict else []
        failed |= bool(problems)
        for problem in problems:
            print(f"{released.relative_to(root)}: {problem}")
    print(f"{len(releases)} released schemas compared with {current.relative_to(root)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
