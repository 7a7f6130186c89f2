"""Runs every benchmark and prints one table: work, ours, rival, ratio, goal, met or missed. scripts/bench calls it.

Rivals run in turns with flatpoint, so that whatever else the machine does slows all of them alike. Times are warm medians; the
cold value, from a page cache that was emptied of the files, stands in parentheses.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / ".cache/bench-data"
PYTHON = ROOT / ".cache/venv/torch/bin/python"
PROGRAM = ROOT / "build-bench/bin/flatpoint_bench"


class Dataset(NamedTuple):
    """A `.metadata` file, the metadata file made from it, and the stores with the same facts."""

    kind: str
    chunks: int
    shards: int
    replicas: int = 1
    stores: bool = False

    def path(self, suffix: str) -> Path:
        return DATA / f"{self.kind}-{self.chunks}.{suffix}"

    @property
    def files(self) -> list[str]:
        suffixes = ("flatpoint", "lmdb", "sqlite") if self.stores else ("flatpoint",)
        return [str(self.path(suffix)) for suffix in suffixes]


def fsdp(chunks: int, **options) -> Dataset:
    return Dataset("fsdp", chunks, 256 if chunks > 1_000_000 else 64, **options)


def hsdp(chunks: int) -> Dataset:
    return Dataset("hsdp", chunks, 64, 2)


def names(count: int, **options) -> Dataset:
    """Tensors of one chunk: as many names as chunks."""
    return Dataset("names", count, 1, **options)


# ------------------------------------------------------------------------------------------------------- preparation


def run(*command) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stderr[-2000:]}")
    return result.stdout


def is_newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime >= than.stat().st_mtime


def prepare(dataset: Dataset) -> None:
    pickled, file = dataset.path("metadata"), dataset.path("flatpoint")
    if not pickled.exists():
        note(f"making {pickled.name}")
        if dataset.chunks > 1_000_000:
            run(PYTHON, ROOT / "bench/data/stream_metadata.py", pickled, "--chunks", dataset.chunks, "--shards", dataset.shards)
        else:
            run(
                PYTHON,
                ROOT / "bench/data/make_metadata.py",
                pickled,
                "--chunks",
                dataset.chunks,
                "--shards",
                dataset.shards,
                "--replicas",
                dataset.replicas,
            )
    if not is_newer(file, pickled) or not is_newer(file, PROGRAM):
        note(f"importing {pickled.name}")
        run(PROGRAM, "convert", pickled, file)
    if not is_newer(dataset.path("once"), pickled) and dataset.chunks <= 1_000_000:
        note(f"writing {pickled.name} as NVIDIA's resiliency extension does")
        run(PYTHON, ROOT / "tests/dcp/names_once.py", pickled, dataset.path("once"))
    if dataset.stores and not all(is_newer(dataset.path(store), file) for store in ("lmdb", "sqlite")):
        note(f"filling LMDB and SQLite from {file.name}")
        run(PROGRAM, "stores", *dataset.files)


def check_stream_writer(dataset: Dataset) -> None:
    """The writer that stands in for torch at 10 M chunks gives torch's own opcodes."""
    run(
        PYTHON,
        ROOT / "bench/data/stream_metadata.py",
        "--check",
        dataset.path("metadata"),
        "--chunks",
        dataset.chunks,
        "--shards",
        dataset.shards,
    )


def note(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


# ------------------------------------------------------------------------------------------------------- measurements


class Times(NamedTuple):
    warm: float  # nanoseconds
    cold: float | None = None


def measure(command: str, dataset: Dataset) -> dict[tuple[str, str], Times]:
    """Runs the program; gives times by (work, contender)."""
    note(f"{command}, {dataset.kind} {count(dataset.chunks)}")
    lines = [line.split("\t") for line in run(PROGRAM, command, command, *dataset.files).splitlines()]
    values = {(work, contender, state): float(median) for work, contender, state, median, *_ in lines}
    return {
        (work, contender): Times(values[work, contender, "warm"], values.get((work, contender, "cold"))) for work, contender, _ in values
    }


class Server:
    """A process that answers a line with a line."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def read(self) -> str:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args} ended early")
        return line.strip()

    def ask(self, line: str) -> float:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return float(self.read())

    def anonymous_memory(self) -> int:
        _, resident, shared, *_ = map(int, Path(f"/proc/{self.process.pid}/statm").read_text().split())
        return (resident - shared) * os.sysconf("SC_PAGE_SIZE")

    def peak_of(self, line: str) -> int:
        """How far memory of its own grows while it answers."""
        before = peak = self.anonymous_memory()
        answer = threading.Thread(target=self.ask, args=(line,))
        answer.start()
        while answer.is_alive():
            peak = max(peak, self.anonymous_memory())
            time.sleep(0.0005)
        return peak - before


def unpickler(dataset: Dataset) -> Server:
    server = Server(PYTHON, ROOT / "bench/rivals/unpickle.py", dataset.path("metadata"))
    server.read()
    return server


def measure_import(dataset: Dataset, laps: int) -> dict[str, Times]:
    """flatpoint's import and pickle.load in turns. The laps with the collector on are few: they are long."""
    note(f"import, {dataset.kind} {count(dataset.chunks)}")
    with Server(PROGRAM, "import", dataset.path("metadata")) as ours, unpickler(dataset) as theirs:
        contenders = {
            "flatpoint": (ours, "warm", "cold"),
            "off": (theirs, "load off", "load off cold"),
            "on": (theirs, "load on", "load on cold"),
        }
        times = {}
        for state, command in (("cold", 2), ("warm", 1)):
            if state == "warm":
                for server, warm, _ in contenders.values():
                    server.ask(warm)
            values = {name: [] for name in contenders}
            for _ in range(laps):
                for name, contender in contenders.items():
                    values[name].append(contender[0].ask(contender[command]))
            times[state] = {name: statistics.median(laps_of) for name, laps_of in values.items()}
    return {name: Times(times["warm"][name], times["cold"][name]) for name in contenders}


def measure_comparison(dataset: Dataset, laps: int) -> Times:
    """Opening where the pickle beside the file has another time: all of it is read."""
    note(f"compare, {dataset.kind} {count(dataset.chunks)}")
    with Server(PROGRAM, "compare", dataset.path("flatpoint"), dataset.path("metadata")) as server:
        cold = statistics.median(server.ask("cold") for _ in range(laps))
        server.ask("warm")
        return Times(statistics.median(server.ask("warm") for _ in range(laps)), cold)


def measure_names_once(dataset: Dataset, laps: int) -> Times:
    """Imports of the same metadata as another writer pickles it."""
    note(f"import, {dataset.kind} {count(dataset.chunks)}, names written once")
    with Server(PROGRAM, "import", dataset.path("once")) as server:
        server.ask("warm")
        return Times(statistics.median(server.ask("warm") for _ in range(laps)))


# -------------------------------------------------------------------------------------------------------------- table


class Row(NamedTuple):
    work: str
    ours: str
    rival: str
    theirs: str
    ratio: str
    goal: str
    verdict: str


HEADER = Row("work", "flatpoint", "rival", "its value", "ratio", "goal", "")


def digits(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def count(value: int) -> str:
    return f"{value // 1_000_000} M" if value >= 1_000_000 else f"{value // 1000} k"


def duration(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{digits(nanoseconds / size)} {unit}"
    return f"{digits(nanoseconds)} ns"


def both(times: Times) -> str:
    return duration(times.warm) + (f" ({duration(times.cold)})" if times.cold is not None else "")


def at_most(goal: float | None, ours: float, theirs: float) -> tuple[str, str, str]:
    """Ratio, goal and verdict where less is better: ours / theirs."""
    ratio = ours / theirs
    return f"{ratio:.2f}×", f"≤ {goal:g}×" if goal else "", verdict(goal, goal is not None and ratio <= goal)


def at_least(goal: float | None, ours: float, theirs: float) -> tuple[str, str, str]:
    """The same where more is better: theirs / ours."""
    ratio = theirs / ours
    wanted = "" if goal is None else f"≥ {digits(goal) if goal >= 1000 else f'{goal:g}'}×"
    return f"{digits(ratio)}×", wanted, verdict(goal, goal is not None and ratio >= goal)


def verdict(goal: float | None, is_met: bool) -> str:
    return "" if goal is None else "met" if is_met else "**missed**"


def compare(work: str, ours: Times, rival: str, theirs: Times, how, goal: float | None) -> Row:
    return Row(work, both(ours), rival, both(theirs), *how(goal, ours.warm, theirs.warm))


def open_rows(datasets: list[Dataset]) -> tuple[list[Row], dict[int, Times]]:
    rows, ours = [], {}
    for dataset in datasets:
        times = measure("open", dataset)
        mine = times["open", "flatpoint"]
        what = f"{count(dataset.chunks)} {'chunks' if dataset.kind == 'fsdp' else 'tensors of one chunk'}"
        rows.append(compare(f"open + find, {what}", mine, "bare mmap", times["open", "bare mmap"], at_most, 3))
        if dataset.stores:
            for store in ("LMDB", "SQLite"):
                rows.append(compare("", mine, store, times["open", store], at_most, 1))
        if dataset.kind == "fsdp":
            ours[dataset.chunks] = mine
    return rows, ours


def find_rows(datasets: list[Dataset]) -> list[Row]:
    rows = []
    goals = {"std::unordered_map": 0.6, "boost::unordered_flat_map": 1, "LMDB": 1, "SQLite": 1}
    for dataset in datasets:
        times = measure("find", dataset)
        for what in ("hit", "miss"):
            mine = times[f"find {what}", "flatpoint"]
            work = f"find(fqn), {what}, {count(dataset.chunks)} names"
            for rival, goal in goals.items():
                if (f"find {what}", rival) in times:
                    rows.append(compare(work, mine, rival, times[f"find {what}", rival], at_most, goal))
                    work = ""
    return rows


def index_rows(dataset: Dataset, lookups: int, laps: int) -> list[Row]:
    """Python's dict has its caches to itself; so has flatpoint beside it. The stores share theirs with it, in turns."""
    alone = measure("index", dataset._replace(stores=False))["index", "flatpoint"]
    with unpickler(dataset) as server:
        server.ask("keep")
        python = Times(statistics.median(server.ask(f"index {lookups}") for _ in range(laps)))
    rows = [compare(f"find(MetadataIndex), {count(dataset.chunks)} chunks", alone, "Python's dict", python, at_least, 20)]
    times = measure("index", dataset)
    mine = times["index", "flatpoint"]
    return rows + [compare("", mine, store, times["index", store], at_most, 1) for store in ("LMDB", "SQLite")]


def import_rows(dataset: Dataset, laps: int, opened: Times) -> list[Row]:
    times = measure_import(dataset, laps)
    rows = []
    what = f"{count(dataset.chunks)} chunks"
    # The goals are for 1 M chunks; fewer take pickle less time and flatpoint as much.
    is_large = dataset.chunks >= 1_000_000
    rows.append(compare(f"open + find, {what}", opened, "pickle.load, gc off", times["off"], at_least, 100_000 if is_large else None))
    rows.append(compare("", opened, "pickle.load, gc on", times["on"], at_least, 400_000 if is_large else None))
    rows.append(compare(f"import, {what}", times["flatpoint"], "pickle.load, gc off", times["off"], at_least, 20))
    cold = {name: Times(t.cold) for name, t in times.items()}
    rows.append(compare("the same, cold", cold["flatpoint"], "pickle.load, gc off", cold["off"], at_least, 10))
    compared = measure_comparison(dataset, laps)
    rows.append(compare("open, all of the pickle compared", compared, "its import", times["flatpoint"], at_most, None))
    rows.append(compare("import, warm", times["flatpoint"], "pickle.load, gc on", times["on"], at_least, None))
    if dataset.chunks <= 1_000_000:
        once = measure_names_once(dataset, laps)
        rows.append(compare("import, from NVIDIA's resiliency extension", once, "from torch's pickler", times["flatpoint"], at_most, 1))
    return rows


def size_rows(dataset: Dataset, goal: float) -> list[Row]:
    chunks = dataset.chunks
    ours, theirs = (dataset.path(suffix).stat().st_size / chunks for suffix in ("flatpoint", "metadata"))
    return [
        Row(
            f"file, {dataset.kind.upper()}, {count(chunks)} chunks",
            f"{ours:.1f} B per chunk",
            "pickle",
            f"{theirs:.1f} B per chunk",
            f"{ours / theirs:.3f}×",
            f"≤ {goal:g} B",
            verdict(goal, ours <= goal),
        )
    ]


def memory_rows(dataset: Dataset) -> list[Row]:
    note(f"memory, {dataset.kind} {count(dataset.chunks)}")
    size = dataset.path("metadata").stat().st_size
    opened = float(run(PROGRAM, "open-memory", dataset.path("flatpoint")))
    with Server(PROGRAM, "import", dataset.path("metadata")) as server:
        imported = server.peak_of("warm")
    with unpickler(dataset) as server:
        loaded = server.peak_of("load off")
    what = f"{count(dataset.chunks)} chunks"
    return [
        Row(f"private memory: open, find all, {what}", megabytes(opened), "pickle.load", megabytes(loaded), *at_most(None, opened, loaded)),
        Row(f"private memory: import, {what}", megabytes(imported), "size of the pickle", megabytes(size), *at_most(3, imported, size)),
        Row("", megabytes(imported), "pickle.load", megabytes(loaded), *at_most(None, imported, loaded)),
    ]


def megabytes(value: float) -> str:
    return f"{digits(value / 1e6)} MB" if value >= 1e6 else f"{value / 1e3:.0f} kB"


def print_table(rows: list[Row]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(HEADER, *rows)]
    numbers = {1, 3, 4}  # flush right

    def line(row: Row) -> str:
        cells = (cell.rjust(width) if i in numbers else cell.ljust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        return "| " + " | ".join(cells) + " |"

    print(line(HEADER))
    print("| " + " | ".join("-" * (width - 1) + ":" if i in numbers else "-" * width for i, width in enumerate(widths)) + " |")
    for row in rows:
        print(line(row))


def machine() -> str:
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown processor")
    compiler = run("g++", "-dumpfullversion").strip()
    torch = run(PYTHON, "-c", "import importlib.metadata; print(importlib.metadata.version('torch'))").strip()
    return (
        f"{os.cpu_count()} cores of {model}, Linux {platform.release().split('-')[0]}, GCC {compiler}, "
        f"Python {platform.python_version()}, torch {torch}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that everything runs; its ratios say little")
    parser.add_argument("--prepare", action="store_true", help="makes the data and stops")
    arguments = parser.parse_args()
    DATA.mkdir(parents=True, exist_ok=True)
    k, m = 1000, 1_000_000
    if arguments.quick:
        opens, finds = [fsdp(k), fsdp(10 * k, stores=True)], [names(k, stores=True)]
        hybrid, laps, lookups = hsdp(10 * k), 3, 2000
    else:
        opens = [fsdp(k), fsdp(10 * k), fsdp(100 * k), fsdp(m, stores=True), fsdp(10 * m), names(m, stores=True)]
        finds = [names(k, stores=True), names(10 * k), names(100 * k), names(m, stores=True)]
        hybrid, laps, lookups = hsdp(m), 5, 20_000
    main_set = next(d for d in opens if d.stores)
    for dataset in dict.fromkeys(opens + finds + [hybrid]):
        prepare(dataset)
    if arguments.quick:
        check_stream_writer(fsdp(k))
    if arguments.prepare:
        return

    rows, opened = open_rows(opens)
    imports = import_rows(main_set, laps, opened[main_set.chunks])
    rows += imports[:2] + find_rows(finds) + index_rows(main_set, lookups, laps) + imports[2:]
    rows += size_rows(main_set, 16) + size_rows(hybrid, 20) + memory_rows(main_set)
    print(machine() + "\n")
    print_table(rows)


if __name__ == "__main__":
    main()
