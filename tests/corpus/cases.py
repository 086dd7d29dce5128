"""Cases from files: a table that says how the program of each case ends, beside what its notebook printed.

``python -m tests.corpus.cases FOLDER…`` reads folders of cases (``input/``, ``expected.txt`` and ``cell.txt`` or a
``run:`` line in ``about.txt``) and prints, for each, ``right``, ``refused`` (the export said no), ``failed`` (the
program ended with another status than 0) or ``silent`` (it printed something else, and nobody was told). With
``--kernel`` the cells before run in a kernel that has the extension loaded, and ``%%containerize --export`` writes the
program there.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from buildr_jupyter import cli
from tests.integration.kernels import client_in, run_cell

TIMEOUT_S = 60


class Outcome(NamedTuple):
    """How one case ended."""

    kind: str
    """``right``, ``refused``, ``failed`` or ``silent``."""
    detail: str = ""
    duration_s: float = 0.0


def command_of(case: Path) -> tuple[str, str]:
    """Return the notebook, relative to the case, and the cell that is exported."""
    for name in ("cell.txt", "about.txt"):
        if (case / name).is_file():
            found = re.search(r"(\S+\.(?:ipynb|py)) --cell (\S+)", (case / name).read_text())
            if found:
                return found[1] if found[1].startswith("input/") else f"input/{found[1]}", found[2]
    raise SystemExit(f"{case}: neither cell.txt nor about.txt names a notebook and a cell")


def export_file(case: Path, work: Path) -> tuple[int, str]:
    """Export the case's cell from its file in a copy of its folder; return the status and what was said."""
    notebook, cell = command_of(case)
    told = io.StringIO()
    with contextlib.chdir(work), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        status = cli.main(["export", notebook, "--cell", cell, "--out", str(work / "out")])
    return status, told.getvalue().strip()


def export_kernel(case: Path, work: Path) -> tuple[int, str]:
    """Export the case's cell from a kernel in which the cells before it ran; return the status and what was said."""
    notebook, cell = command_of(case)
    path = work / notebook
    if path.suffix != ".ipynb" or not cell.isdigit():
        return export_file(case, work)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    *before, body = ["".join(one["source"]) for one in cells[: int(cell) + 1] if one["cell_type"] == "code"]
    with client_in(path.parent) as client:
        run_cell(client, "%load_ext buildr_jupyter")
        for source in before:
            # A cell may end in an error, as it may in the notebook.
            client.execute_interactive(source, output_hook=lambda _: None, timeout=TIMEOUT_S)
        said: list[str] = []
        magic = "" if body.startswith("%%containerize") else f"%%containerize --export {work / 'out'}\n"
        if not magic:
            head, _, rest = body.partition("\n")
            body = f"{head} --export {work / 'out'}\n{rest}"

        def hear(message: dict[str, Any]) -> None:
            content = message["content"]
            said.append(str(content.get("text") or content.get("evalue") or content.get("data", {}).get("text/plain")))

        reply = client.execute_interactive(magic + body, output_hook=hear, timeout=TIMEOUT_S)
    return int(reply["content"]["status"] == "error"), "".join(said).strip()


def run_case(case: Path, work: Path, *, kernel: bool = False) -> Outcome:
    """Export the case's cell from a copy of its folder, run the program, and compare."""
    expected = (case / "expected.txt").read_text().strip()
    shutil.copytree(case / "input", work / "input")
    began = time.perf_counter()
    status, told = (export_kernel if kernel else export_file)(case, work)
    duration = time.perf_counter() - began
    if status:
        return Outcome("refused", told, duration)
    try:
        ran = subprocess.run(
            [sys.executable, "main.py"],
            cwd=work / "out" / "app",
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome("failed", "timeout", duration)
    if ran.stdout.strip() == expected:
        return Outcome("right", "", duration)
    if ran.returncode:
        return Outcome("failed", ran.stderr.strip()[-300:], duration)
    return Outcome("silent", f"got {ran.stdout[:150]!r}, not {expected[:150]!r}", duration)


def main() -> int:
    """Print the table; the status is 1 if a case ended in silence or failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", default="", help="pattern of names")
    parser.add_argument("--kernel", action="store_true", help="run the cells before in a kernel, and export there")
    parser.add_argument("--verbose", action="store_true", help="show those that are right, too")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    for folder in arguments.folders:
        for case in sorted(path for path in folder.iterdir() if path.is_dir()):
            if not re.search(arguments.only, case.name):
                continue
            with tempfile.TemporaryDirectory() as work:
                outcome = run_case(case, Path(work), kernel=arguments.kernel)
            counts[outcome.kind] += 1
            if arguments.verbose or outcome.kind != "right":
                print(f"{case.name:32} {outcome.kind:8} {outcome.duration_s:5.1f} s  {outcome.detail}", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    return 1 if counts["silent"] + counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
