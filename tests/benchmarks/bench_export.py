"""Time of an export against ``ast.parse`` plus ``symtable`` of the same cells; a snapshot against ``pickle.dump``.

Also how an export's cost grows with the number of cells, and what programs take whose functions call each other.
"""

from __future__ import annotations

import ast
import hashlib
import math
import pickle
import resource
import subprocess
import symtable
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import export
from buildr_jupyter.export.snapshot import take_snapshot
from buildr_jupyter.notebook.cells import CellRun, read_notebook
from buildr_jupyter.notebook.parse_cache import forget
from tests.benchmarks.recursive_programs import PROGRAMS

BOUND, SNAPSHOT_BOUND, EXPONENT = 2.0, 1.3, 1.3
PROGRAM_S, PROGRAM_MB = 1.5, 150
CELL = """\
data_{0} = [value * {0} for value in range(10)]
total_{0} = sum(data_{0}) + len(data_{0})
def scale_{0}(values, factor=2):
    return [value * factor for value in values if value > {0}]
result_{0} = scale_{0}(data_{0}, factor={0})
table_{0} = {{"total": total_{0}, "result": result_{0}, "name": "cell {0}"}}
table_{0}["more"] = total_{0} * 3 - 1
for key, value in table_{0}.items():
    print(key, value)
print(f"{{total_{0}:>10}} of cell {0}")
"""


def best(work: Callable[[], object], rounds: int = 3) -> float:
    """Return the shortest time of some rounds, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def bench_export(count: int, folder: Path) -> tuple[float, float, float]:
    """Return the seconds of parsing, of reading and exporting cells never seen before, and of an export again."""
    sources = [CELL.format(number) for number in range(count)]
    rounds = 3 if count <= 1000 else 1
    file = folder / "bench.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in sources]), file)

    def parse() -> None:
        for source in sources:
            ast.parse(source)
            symtable.symtable(source, "cell", "exec")

    def again() -> None:
        runs = read_notebook(file).runs
        export(runs, runs[-1], ExportOptions(), folder=None, notebook=file.name)

    def first() -> None:
        forget(0)
        again()

    return best(parse, rounds), best(first, rounds), best(again, rounds)


def bench_snapshot(size_bytes: int) -> tuple[float, float, float]:
    """Return the seconds of ``pickle.dump`` to a file, of a snapshot, and of sha256 alone."""
    import numpy as np

    array = np.arange(size_bytes // 8, dtype="int64")

    def plain() -> None:
        with tempfile.NamedTemporaryFile() as file:
            pickle.dump({"a": array}, file, protocol=5)

    def floor() -> None:
        hashlib.sha256(memoryview(array).cast("B"))

    taken = best(lambda: take_snapshot(["a"], {"a": array}, limit_bytes=size_bytes * 2, origins={}))
    return best(plain), taken, best(floor)


def exponent(points: list[tuple[int, float]]) -> float:
    """Return the power of the size with which the cost grows: the slope of the line through the logarithms."""
    xs, ys = [math.log(size) for size, _ in points], [math.log(cost) for _, cost in points]
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    return sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True)) / sum((a - x) ** 2 for a in xs)


def export_program(name: str) -> None:
    """Export the last cell of a program; print the seconds and the megabytes at the peak of this process."""
    runs = [CellRun(cell, cell, index=number, status="ok") for number, cell in enumerate(PROGRAMS[name])]
    started = time.perf_counter()
    export(runs, runs[-1], ExportOptions(), folder=None, notebook="nb.ipynb")
    print(time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def bench_programs() -> bool:
    """Print what each program takes, in a process of its own; tell whether one is over its bounds."""
    over = False
    print(f"\nprograms whose functions call each other: at most {PROGRAM_S} s and {PROGRAM_MB} MB")
    for name in PROGRAMS:
        command = [sys.executable, "-m", "tests.benchmarks.bench_export", "--program", name]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, megabytes = map(float, ran.stdout.split())
        bad = seconds > PROGRAM_S or megabytes > PROGRAM_MB
        print(f"  {name:<24} {seconds:7.3f} s {megabytes:7.1f} MB{'   over' if bad else ''}")
        over = over or bad
    return over


def main() -> int:
    if sys.argv[1:2] == ["--program"]:
        export_program(sys.argv[2])
        return 0
    over = bench_programs()
    points: list[tuple[int, float]] = []
    print(f"{'cells':>8} {'parse s':>10} {'export s':>10} {'ratio':>8} {'again s':>10} {'ratio':>8}   bound {BOUND}")
    for count in (100, 1000, 10_000):
        with tempfile.TemporaryDirectory() as folder:
            parse, first, again = bench_export(count, Path(folder))
        row = f"{count:>8} {parse:>10.3f} {first:>10.3f} {first / parse:>8.2f} {again:>10.3f} {again / parse:>8.2f}"
        points.append((count, first))
        over = over or first / parse > BOUND
        print(row + ("   over" if first / parse > BOUND else ""))
    power = exponent(points)
    over = over or power > EXPONENT
    print(f"cost grows with the number of cells to the power of {power:.2f}, at most {EXPONENT}")
    size_bytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1 << 28
    dump, taken, digest = bench_snapshot(size_bytes)
    print(
        f"snapshot of {size_bytes:,} bytes: pickle.dump {dump:.3f} s, snapshot {taken:.3f} s, ratio {taken / dump:.2f}, "
        f"bound {SNAPSHOT_BOUND}{'   over' if taken / dump > SNAPSHOT_BOUND else ''}"
    )
    print(f"  sha256 of the same bytes alone takes {digest:.3f} s: no snapshot with a digest is faster than that")
    return 1 if over or taken / dump > SNAPSHOT_BOUND else 0


if __name__ == "__main__":
    raise SystemExit(main())
