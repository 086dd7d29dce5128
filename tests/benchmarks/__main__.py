"""``make bench``: the benchmarks, one after another; each prints a table of ratios measured in its own run.

Run: ``python -m tests.benchmarks [NAME …]``, or ``make bench ONLY="NAME …"``. A name is that of a module here without
its ``bench_``; without names all of them run. An unknown name is refused before the first one starts.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

PREFIX = "bench_"


def names() -> list[str]:
    """Return the names of all benchmarks."""
    return sorted(path.stem.removeprefix(PREFIX) for path in Path(__file__).parent.glob(f"{PREFIX}*.py"))


def run(name: str) -> int:
    """Run one of them in a process of its own, and return its exit status."""
    return subprocess.run([sys.executable, "-m", f"tests.benchmarks.{PREFIX}{name}"], check=False).returncode


def main(words: Sequence[str], run: Callable[[str], int] = run) -> int:
    """Run those that are named, else all; return 1 where a bound is broken, 2 where a name is none."""
    wanted = list(dict.fromkeys(words)) or names()
    if unknown := [word for word in wanted if word not in names()]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(names())}", file=sys.stderr)
        return 2
    broken = []
    for name in wanted:
        print(f"== {name}", flush=True)
        if run(name):
            broken.append(name)
        print(flush=True)
    if broken:
        print(f"bounds broken in: {', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
