"""What ``%load_ext buildr_jupyter`` adds to a bare ``import IPython``: whole processes, in turn, medians."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

BOUND = 1.15
BARE = "import IPython"
LOADED = (
    "import IPython, sys; from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance();"
    " {load}; assert not {{'docker', 'ipywidgets'}} & set(sys.modules)"
)


def seconds(code: str) -> float:
    """Return how long a process takes that runs ``code``."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return time.perf_counter() - started


def main(rounds: int = 15) -> int:
    """Print the table; return 1 where the bound is broken."""
    codes = {
        "import IPython": BARE,
        "a shell": LOADED.format(load="pass"),
        "a shell with the extension": LOADED.format(load="s.extension_manager.load_extension('buildr_jupyter')"),
    }
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(rounds + 1):
        for name, code in codes.items():
            times[name].append(seconds(code))
    medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    added = medians["a shell with the extension"] - medians["a shell"]
    ratio = (medians["import IPython"] + added) / medians["import IPython"]
    print("what %load_ext adds\n")
    for name, taken in medians.items():
        print(f"  {name:<28} {taken * 1000:7.1f} ms")
    print(f"  added, of import IPython     {ratio:7.3f}  (at most {BOUND})")
    return 0 if ratio <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())
