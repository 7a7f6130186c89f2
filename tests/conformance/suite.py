"""Makes the cases of the suite, and asks the C++ reader about them. FLATPOINT_CONFORMANCE and FLATPOINT_MAKE_FILES name
the programs that main.cpp and make_files.cpp become."""

import os
import pathlib
import random
import subprocess
import tempfile

import cases
import hostile
import questions
from cases import Case
from surgery import Patient

HERE = pathlib.Path(__file__).resolve().parent
GOLDEN = HERE / "golden.cases"
HOSTILE = HERE / "hostile.cases"
WRITTEN = HERE / "written"


def run(program, *arguments, stdin=b""):
    process = subprocess.run([os.environ[program], *map(str, arguments)], input=stdin, capture_output=True, timeout=300, check=False)
    if process.returncode != 0:
        raise AssertionError(f"{arguments}: exit {process.returncode}: {process.stderr.decode()}")
    return process.stdout


def reader(*arguments, stdin=b""):
    return run("FLATPOINT_CONFORMANCE", *arguments, stdin=stdin)


def said(asked):
    """The same cases with the code, the canonical JSON and the answers of the C++ reader."""
    return cases.parse(reader("say", stdin=cases.dump(asked).encode()).decode())


def small():
    """The case that hostile files are made of, and whose questions they are asked."""
    return next(case for case in cases.load(GOLDEN) if case.name == "small")


def make_golden(*which):
    """Files, their canonical JSON by C++, and questions whose answers are worked out from that JSON."""
    with tempfile.TemporaryDirectory() as folder:
        run("FLATPOINT_MAKE_FILES", folder, *which)
        made = said([Case(path.stem, path.read_bytes()) for path in sorted(pathlib.Path(folder).glob("*.flatpoint"))])
    for case in made:
        assert case.code == "opens", case.name
        patient = Patient(case.data)
        vtable_size = patient.get("H", patient.vtable())
        has_loose = patient.slot("loose_storage") < patient.vtable() + vtable_size and patient.get("H", patient.slot("loose_storage")) != 0
        case.asked = questions.ask(case.name, case.json, has_loose)
    return made


def make_hostile(whole):
    """Broken files made of the case `whole`, the codes they must give, and what C++ says of those that open."""
    made = said([Case(name, data, code, asked=whole.asked) for name, code, data in sorted(hostile.make(whole.data))])
    wanted = {name: code for name, code, _ in hostile.make(whole.data)}
    for case in made:
        assert case.code == wanted[case.name], (case.name, case.code)
    return made


def make_mutants(whole, seeds):
    """Random damage in the same form: nobody worked the answers out, but all readers must say what C++ says."""

    def mutant(seed):
        pick, data = random.Random(seed), bytearray(whole.data)
        for _ in range(pick.randint(1, 4)):
            size = pick.choice((1, 2, 4, 8))
            at = pick.randrange(8, len(data) - 24) // size * size
            number = pick.choice((0, 1, 2**31, 2**32, 2**63, 2**64 - 1, pick.getrandbits(64), pick.randrange(64)))
            data[at : at + size] = (number % 256**size).to_bytes(size, "little")
        return Case(f"mutant_{seed}", bytes(data), asked=whole.asked)

    return said([mutant(seed) for seed in seeds])
