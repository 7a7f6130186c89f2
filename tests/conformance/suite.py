"""Makes the files of the suite, and asks the C++ reader about them. FLATPOINT_CONFORMANCE and FLATPOINT_MAKE_FILES name
the programs that main.cpp and make_files.cpp become."""

import os
import pathlib
import random
import subprocess

import hostile
import questions
from surgery import Patient

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden"
HOSTILE = HERE / "hostile"
WRITTEN = HERE / "written"
SMALL_QUESTIONS = GOLDEN / "small.questions"  # hostile files are asked these


def run(program, *arguments):
    process = subprocess.run([os.environ[program], *map(str, arguments)], capture_output=True, timeout=300, check=False)
    if process.returncode != 0:
        raise AssertionError(f"{arguments}: exit {process.returncode}: {process.stderr.decode()}")
    return process.stdout


def reader(*arguments):
    return run("FLATPOINT_CONFORMANCE", *arguments)


def files(folder, suffix=".flatpoint"):
    found = sorted(folder.glob("*" + suffix))
    assert found, f"no {suffix} in {folder}"
    return found


def write_pairs(path, pairs):
    """NAME.questions and NAME.answers beside a file."""
    for suffix, lines in zip((".questions", ".answers"), zip(*pairs)):
        path.with_suffix(suffix).write_text("".join(line + "\n" for line in lines))


def make_golden(folder, *which):
    """Files, their canonical JSON by C++, and questions whose answers are worked out from that JSON."""
    run("FLATPOINT_MAKE_FILES", folder, *which)
    for path in files(folder):
        text = reader("json", path)
        path.with_suffix(".json").write_bytes(text)
        patient = Patient(path.read_bytes())
        vtable_size = patient.get("H", patient.vtable())
        has_loose = patient.slot("loose_storage") < patient.vtable() + vtable_size and patient.get("H", patient.slot("loose_storage")) != 0
        write_pairs(path, questions.ask(path.stem, text, has_loose))


def ask_hostile(path):
    """What C++ says of a hostile file that opens, beside it."""
    path.with_suffix(".json").write_bytes(reader("json", path))
    path.with_suffix(".answers").write_bytes(reader("answers", path, SMALL_QUESTIONS))


def make_hostile(folder):
    """Broken files, the codes they must give, and what is said of those that open."""
    lines = []
    for name, code, data in hostile.make((GOLDEN / "small.flatpoint").read_bytes()):
        path = folder / f"{name}.flatpoint"
        path.write_bytes(data)
        lines.append(f"{name}\t{code}\n")
        if code == "opens":
            ask_hostile(path)
    (folder / "codes.tsv").write_text("".join(sorted(lines)))


def make_mutants(folder, seeds):
    """Random damage in the same form as hostile/: nobody worked the answers out, but all readers must say what C++ says."""
    whole, lines = (GOLDEN / "small.flatpoint").read_bytes(), []
    for seed in seeds:
        pick, data = random.Random(seed), bytearray(whole)
        for _ in range(pick.randint(1, 4)):
            size = pick.choice((1, 2, 4, 8))
            at = pick.randrange(8, len(data) - 24) // size * size
            number = pick.choice((0, 1, 2**31, 2**32, 2**63, 2**64 - 1, pick.getrandbits(64), pick.randrange(64)))
            data[at : at + size] = (number % 256**size).to_bytes(size, "little")
        path = folder / f"mutant_{seed}.flatpoint"
        path.write_bytes(data)
    for path in files(folder):
        code = reader("codes", path).decode().strip()
        lines.append(f"{path.stem}\t{code}\n")
        if code == "opens":
            ask_hostile(path)
    (folder / "codes.tsv").write_text("".join(lines))
