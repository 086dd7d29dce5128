"""What whole processes of the command line take, beside an empty interpreter and ``import IPython``: medians."""

from __future__ import annotations

import compileall
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BOUNDS = {
    "buildr --version": ("an empty interpreter", 8.0),
    "buildr export": ("import IPython", 2.5),
    "buildr build, unchanged": ("import IPython", 3.5),
}
CELLS = ("import random\nrandom.seed(1)\nn = 3", "%%containerize quick\nprint([random.random() for _ in range(n)])")


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Return how long a process takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


def main(rounds: int = 11) -> int:
    """Print the table; return 1 where a bound is broken."""
    # Installed packages are compiled; a tree where PYTHONDONTWRITEBYTECODE is set would be compiled by each process.
    compileall.compile_dir(Path(__file__).parents[2] / "buildr_jupyter", quiet=1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
            for n, text in enumerate(CELLS)
        ]
        document = {"cells": made, "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}
        (folder / "nb.ipynb").write_text(json.dumps(document))
        environment = {**os.environ, "XDG_CACHE_HOME": scratch, "BUILDR_STORE": f"{scratch}/store"}
        buildr = [sys.executable, "-m", "buildr_jupyter"]
        notebook = str(folder / "nb.ipynb")
        commands = {
            "an empty interpreter": [sys.executable, "-c", "pass"],
            "import IPython": [sys.executable, "-c", "import IPython"],
            "buildr --version": [*buildr, "--version"],
            "buildr export": [*buildr, "export", notebook, "--out", f"{scratch}/out", "--no-check"],
            "buildr build, unchanged": [
                *buildr, "build", notebook, "--builder", "oci", "--base", "kernel", "--no-check",
            ],
        }  # fmt: skip
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds + 1):
            for name, command in commands.items():
                times[name].append(seconds(command, environment))
    medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    print("whole processes\n")
    broken = False
    for name, taken in medians.items():
        line = f"  {name:<24} {taken * 1000:7.1f} ms"
        if name in BOUNDS:
            beside, bound = BOUNDS[name]
            ratio = taken / medians[beside]
            broken = broken or ratio > bound
            line += f"  {ratio:6.2f} of {beside} (at most {bound})"
        print(line)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
