"""What the write side costs, in one table: build and write, merge, diff, export, tensors. `scripts/bench build` calls it.

Each program of bench/write makes its own data, runs flatpoint and a rival in turns, and gives medians. `pickle.dump` and
`pickle.load` run here, with the garbage collector off. --quick: small sizes, whose ratios say little.
"""

import argparse
import gc
import io
import pickle
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from report import (
    DATA,
    PYTHON,
    ROOT,
    Row,
    Times,
    at_least,
    at_most,
    compare,
    count,
    digits,
    duration,
    machine,
    megabytes,
    note,
    print_table,
    run,
    verdict,
)

warnings.filterwarnings("ignore")
BIN = ROOT / "build-bench/bin"


def values(name: str, *arguments) -> dict[str, dict[str, float]]:
    """Runs a program; gives its quantities by case."""
    note(f"{name} {' '.join(map(str, arguments))}")
    cases = {}
    for line in run(BIN / name, *arguments).splitlines():
        case, quantity, value = line.split("\t")
        cases.setdefault(case, {})[quantity] = float(value)
    return cases


def build_rows(sizes: list[int], rounds: int) -> list[Row]:
    rows = []
    kinds = {"even": "even grids", "permuted": "grids in a mesh's order", "ragged": "no grids"}
    with tempfile.TemporaryDirectory(dir=DATA) as folder:  # on a disk, not in memory as /tmp may be
        for chunks in sizes:
            for kind, words in kinds.items():
                v = values("bench_build", chunks, rounds, folder, kind)[kind]
                rows.append(
                    compare(
                        f"build + write, {count(chunks)} chunks, {words}",
                        Times(v["all"]),
                        "write + fsync of the columns",
                        Times(v["rival"]),
                        at_most,
                        2,
                    )
                )
                rows.append(
                    Row(
                        "its memory", megabytes(v["memory"]), "the columns", megabytes(v["columns"]), *at_most(2, v["memory"], v["columns"])
                    )
                )
    return rows


def merge_rows(base: int, sizes: list[int], rounds: int) -> list[Row]:
    rows = []
    for kind, words in (("shared", "all with every tensor"), ("own", "each with its own tensors")):
        for fragments, chunks in [(1, base), (64, base), (1024, base)] + [(64, size) for size in sizes if size != base]:
            v = values("bench_merge", chunks, fragments, kind, rounds)[kind]
            rows.append(
                Row(
                    f"merge of {fragments} {'fragments' if fragments > 1 else 'fragment'}, {count(chunks)} chunks, {words}",
                    f"{duration(v['merge'])}, {digits(v['merge'] / chunks)} ns per chunk",
                    "reading their bytes",
                    duration(v["rival"]),
                    *at_most(None, v["merge"], v["rival"]),
                )
            )
            rows.append(
                Row("its memory", megabytes(v["memory"]), "the result", megabytes(v["result"]), *at_most(None, v["memory"], v["result"]))
            )
    return rows


def diff_rows(sizes: list[int], rounds: int) -> list[Row]:
    rows = []
    for chunks in sizes:
        # A tensor per chunk takes more bytes: a tenth of them.
        for kind, words, n in (
            ("even", "chunks, even grids", chunks),
            ("ragged", "chunks, no grids", chunks),
            ("names", "tensors of one chunk", chunks // 10),
        ):
            v = values("bench_diff", n, rounds, kind)[kind]
            rows.append(
                Row(
                    f"diff of two equal files, {count(n)} {words}",
                    duration(v["diff"]),
                    "comparing their bytes",
                    duration(v["rival"]),
                    f"{digits(v['diff'] / v['rival'])}×",
                    "≤ 1 s" if n >= 10_000_000 else "",
                    verdict(1 if n >= 10_000_000 else None, v["diff"] <= 1e9),
                )
            )
    return rows


def lap(work) -> int:
    """Nanoseconds."""
    begin = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - begin


def dump(metadata) -> bytes:
    out = io.BytesIO()
    pickle.dump(metadata, out)
    return out.getvalue()


def export_rows(sizes: list[int], rounds: int) -> list[Row]:
    rows = []
    gc.disable()
    for chunks in sizes:
        path = DATA / f"fsdp-{chunks}.metadata"
        if not path.exists():
            note(f"making {path.name}")
            run(PYTHON, ROOT / "bench/data/make_metadata.py", path, "--chunks", chunks)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "exported"
            ours = values("bench_export", path, out, rounds)["export"]
            original, exported = path.read_bytes(), out.read_bytes()
        metadata = pickle.loads(original)
        dumped = statistics.median(lap(lambda: dump(metadata)) for _ in range(rounds))
        assert pickle.loads(exported) == metadata
        metadata = None
        loads = {"original": [], "exported": []}
        for _ in range(rounds):
            loads["original"].append(lap(lambda: pickle.loads(original)))
            loads["exported"].append(lap(lambda: pickle.loads(exported)))
        what = f"{count(chunks)} chunks"
        rows.append(compare(f"export, {what}", Times(ours["time"]), "pickle.dump, gc off", Times(dumped), at_least, 40))
        rows.append(
            Row(
                "its memory",
                megabytes(ours["memory"]),
                "the pickle",
                megabytes(len(exported)),
                *at_most(None, ours["memory"], len(exported)),
            )
        )
        rows.append(
            compare(
                f"pickle.load of what was exported, {what}",
                Times(statistics.median(loads["exported"])),
                "of the original",
                Times(statistics.median(loads["original"])),
                at_most,
                1.05,
            )
        )
    gc.enable()
    return rows


def tensor_rows(tensors: int, rounds: int) -> list[Row]:
    rows = []
    for library, v in values("bench_tensors", tensors, rounds).items():
        for quantity, words in (("describe", "descriptor"), ("create", "TensorStorageMetadata")):
            goal = 200 if quantity == "create" and library == "descriptor" else None
            rows.append(
                Row(
                    f"{library} → {words}, per tensor",
                    duration(v[quantity]),
                    "",
                    "",
                    "",
                    "≤ 200 ns" if goal else "",
                    verdict(goal, v[quantity] <= 200),
                )
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that everything runs; its ratios say little")
    quick = parser.parse_args().quick
    DATA.mkdir(parents=True, exist_ok=True)
    k, m = 1000, 1_000_000
    rows = build_rows([20 * k] if quick else [2 * m, 10 * m], 3 if quick else 7)
    rows += merge_rows(*((20 * k, [5 * k]) if quick else (m, [250 * k, 4 * m])), 3 if quick else 7)
    rows += diff_rows([20 * k] if quick else [2 * m, 10 * m], 3 if quick else 7)
    rows += export_rows([k] if quick else [100 * k, m], 3 if quick else 5)
    rows += tensor_rows(1000 if quick else 100 * k, 3 if quick else 11)
    print(machine() + "\n")
    print_table(rows)


if __name__ == "__main__":
    main()
