"""Notebooks of others: each printing cell, exported from a file without outputs and counts, beside what a kernel gave.

``python -m tests.corpus.notebooks FOLDER_OR_FILE…`` runs each notebook twice in a kernel, keeps the cells whose text is
the same in both runs, exports each of them, runs the program, and compares. It prints a line for each cell that is
not right, and at the end the counts and the share of earlier statements that programs carry. Notebooks of others are
not kept in this repository: get them with their data files, and name their folder.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from buildr_jupyter import cli
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import export
from buildr_jupyter.notebook.cells import read_notebook

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def normal(text: str) -> str:
    """Return text without colours and trailing spaces, in which addresses of objects are the same in each run."""
    text = re.sub(r"0x[0-9a-f]{6,}", "0x…", _ANSI.sub("", text))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def texts_of(path: Path, timeout_s: int) -> list[str | None]:
    """Return what each cell prints and shows as text in a kernel; None for one that failed."""
    notebook = nbformat.read(path, 4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%pprint off"))
    client = NotebookClient(
        notebook, timeout=timeout_s, allow_errors=True, resources={"metadata": {"path": str(path.parent)}}
    )
    with contextlib.redirect_stderr(io.StringIO()):
        client.execute()
    return [text_of(cell) for cell in notebook.cells[1:]]


def text_of(cell: nbformat.NotebookNode) -> str | None:
    """Return the text of one cell's outputs."""
    if cell.cell_type != "code":
        return None
    parts: list[str] = []
    for output in cell.outputs:
        if output.output_type == "error":
            return None
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif output.output_type in ("execute_result", "display_data") and "image/png" not in output.data:
            parts.append(output.data.get("text/plain", "") + "\n")
    return normal("".join(parts))


def stripped(path: Path) -> None:
    """Take the outputs and counts out of a notebook."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    path.write_text(json.dumps(notebook), encoding="utf-8")


def iter_notebooks(places: list[Path]) -> Iterator[Path]:
    """Yield the notebooks of files and folders."""
    for place in places:
        found = sorted(place.rglob("*.ipynb")) if place.is_dir() else [place]
        yield from (path for path in found if ".ipynb_checkpoints" not in path.parts)


def check_cell(path: Path, index: int, expected: str, work: Path) -> tuple[str, str]:
    """Export one cell and run it; return how that ended, and what was wrong."""
    told = io.StringIO()
    out = work / f"out{index}"
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        status = cli.main(["export", str(path), "--cell", str(index), "--out", str(out)])
    if status:
        return "refused", told.getvalue().strip()[:300]
    try:
        ran = subprocess.run(
            [sys.executable, "main.py"], cwd=out / "app", capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return "failed", "timeout"
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if normal(ran.stdout) == expected:
        return "right", ""
    if ran.returncode:
        return "failed", ran.stderr.strip()[-300:]
    return "silent", f"got {normal(ran.stdout)[:200]!r}, not {expected[:200]!r}"


def share_carried(path: Path, index: int) -> float | None:
    """Return the share of the statements of earlier cells that the program of a cell carries."""
    runs = read_notebook(path).runs
    target = next(run for run in runs if run.index == index)
    program = export(runs[: runs.index(target) + 1], target, ExportOptions(), folder=path.parent, notebook=path.name)
    return program.carried / program.before if program.before else None


def main() -> int:
    """Print the table; the status is 1 if more than one cell in a hundred was wrong in silence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="+", type=Path)
    parser.add_argument("--every", type=int, default=1, help="look at every n-th printing cell only")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one cell in the kernel")
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    shares: list[float] = []
    slowest = 0.0
    for path in iter_notebooks(arguments.places):
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            shutil.copytree(path.parent, work / "one")
            shutil.copytree(path.parent, work / "two")
            shutil.copytree(path.parent, work / "clean")
            try:
                first = texts_of(work / "one" / path.name, arguments.timeout)
                second = texts_of(work / "two" / path.name, arguments.timeout)
            except Exception as error:  # noqa: BLE001 - a notebook that no kernel runs has nothing to compare
                print(f"{path.name}: does not run: {type(error).__name__}", flush=True)
                continue
            clean = work / "clean" / path.name
            stripped(clean)
            same = [i for i, (a, b) in enumerate(zip(first, second, strict=True)) if a and a == b]
            for index in copy.copy(same)[:: arguments.every]:
                expected = first[index]
                assert expected is not None
                began = time.perf_counter()
                kind, detail = check_cell(clean, index, expected, work)
                slowest = max(slowest, time.perf_counter() - began)
                counts[kind] += 1
                if kind != "right":
                    print(f"{path.name} cell {index} {kind}: {detail}", flush=True)
                with contextlib.suppress(Exception):
                    share = share_carried(clean, index)
                    if share is not None:
                        shares.append(share)
    total = sum(counts.values())
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()), f"of {total}")
    if shares:
        print(
            f"carried at the median: {statistics.median(shares):.0%} of the earlier statements, slowest {slowest:.1f} s"
        )
    return 1 if counts["silent"] * 100 > total else 0


if __name__ == "__main__":
    sys.exit(main())
