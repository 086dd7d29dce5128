"""Requirements of 60 distributions against ``importlib.metadata.packages_distributions()`` of the same environment."""

from __future__ import annotations

import importlib.metadata
import statistics
import sys
import time
from collections.abc import Callable

from buildr_jupyter.dependencies.environment import Installed, Interpreter
from buildr_jupyter.dependencies.resolve import resolve, target_markers
from buildr_jupyter.model.plan import ImportUse

BOUND = 3.0
WANTED = 60


def imports() -> list[ImportUse]:
    """Return one import for each of 60 installed distributions."""
    seen: dict[str, str] = {}
    for module, owners in sorted(importlib.metadata.packages_distributions().items()):
        if module.isidentifier() and not module.startswith("_") and owners[0] not in seen:
            seen[owners[0]] = module
    own = Installed(Interpreter.current())
    usable = [module for module in seen.values() if (found := own.locate(module)) and found.path and own.owners(found)]
    return [ImportUse(module, (), "cell 0, line 1") for module in usable if not own.is_stdlib(module)][:WANTED]


def median_s(call: Callable[[], object], rounds: int = 9) -> float:
    """Return the median of some rounds, the first not counted."""
    taken = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])


def main() -> int:
    """Print the table; return 1 where the bound is broken."""
    wanted = imports()
    interpreter, markers = Interpreter.current(), target_markers("3.11", "x86_64")
    base = median_s(importlib.metadata.packages_distributions)
    ours = median_s(lambda: resolve(wanted, Installed(interpreter), markers=markers))
    print(f"requirements of {len(wanted)} distributions          ms   ratio   bound")
    print(f"packages_distributions()             {base * 1000:8.1f}    1.00")
    print(f"resolve()                            {ours * 1000:8.1f}  {ours / base:6.2f}  {BOUND:6.2f}")
    return 0 if ours / base <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
