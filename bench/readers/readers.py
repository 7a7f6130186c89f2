"""What opening and look-ups cost in other languages, beside that language's JSON parser on the same content: one table.

`scripts/bench readers` calls it. The files are those of bench/report.py; the JSON is the canonical one of docs/conformance.md and
lies in memory. Each language's own program measures: medians, warm, after whatever its runtime compiles while it runs. Node cannot
map files: there, opening is to check bytes in memory. A language whose tools are missing is left out, which the table says.
--quick: 1 k and 10 k chunks.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import report  # noqa: E402

BINDINGS = ROOT / "bindings"

# Language: tool, folder, what builds, what runs, goal for open + find in microseconds.
LANGUAGES = {
    "Rust": ("cargo", "rust", "cargo build --quiet --release --example bench", "target/release/examples/bench", 100),
    "Go": ("go", "go", "go build -o {build}/bench-go ./bench", "{build}/bench-go", 100),
    "Java": ("mvn", "java", "mvn -q -B test-compile", "mvn -q -B exec:java -Dexec.args={arguments}", 100),
    "Python": ("python3", "python-pure", "true", f"{ROOT}/.cache/venv/readers/bin/python -B tests/bench.py", 1000),
    "TypeScript": (
        "npm",
        "typescript",
        "npm run --silent build",
        "node --max-old-space-size=8192 dist/bindings/typescript/bench/bench.js",
        1000,
    ),
}


def run(command, build, folder, *arguments):
    """What a command prints. Maven takes a program's arguments as one of its own."""
    environment = os.environ | {"PYTHONPATH": f"{BINDINGS}/python-pure:{ROOT}/generated/python", "MAVEN_OPTS": "-Xmx8g"}
    words = [word.format(build=build, arguments=" ".join(arguments)) for word in command.split()]
    if "{arguments}" not in command:
        words += arguments
    said = subprocess.run(words, cwd=BINDINGS / folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    return said.replace("\x1b[0m", "")  # Maven resets the colour before all that a program prints


def measure(language, dataset, json, build):
    """A row of the table. REQUIRES: the language's program is built."""
    _, folder, _, program, goal = LANGUAGES[language]
    said = run(program, build, folder, str(dataset.path("flatpoint").resolve()), str(json))
    opened, found, overlapped, parsed = (float(value) * unit for value, unit in zip(said.split(), (1e3, 1, 1e3, 1e6), strict=True))
    met = "met" if opened <= goal * 1e3 else "**missed**"
    costs = " | ".join(map(report.duration, (opened, found, overlapped, parsed)))
    return f"| {language} | {report.count(dataset.chunks)} | {costs} | {report.digits(parsed / opened)}× | ≤ {report.duration(goal * 1e3)} | {met} |"


def main(is_quick):
    datasets = [report.fsdp(1000 * thousands) for thousands in ((1, 10) if is_quick else (1, 10, 100, 1000))]
    for dataset in datasets:
        report.prepare(dataset)
    print(report.machine() + "\n")
    print("| language | chunks | open + find | find | overlap | parse JSON | JSON / open + find | goal | |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |")
    with tempfile.TemporaryDirectory() as build:
        for language, (tool, folder, make, *_) in LANGUAGES.items():
            if shutil.which(tool) is None:
                print(f"| {language} | not measured: no {tool} |")
                continue
            run(make, build, folder)
            for dataset in datasets:
                json = pathlib.Path(build) / f"{dataset.chunks}.json"
                if not json.exists():
                    with json.open("wb") as text:
                        subprocess.run([ROOT / "build-dev/bin/conformance", "json", dataset.path("flatpoint")], check=True, stdout=text)
                print(measure(language, dataset, json, build), flush=True)


if __name__ == "__main__":
    main("--quick" in sys.argv[1:])
