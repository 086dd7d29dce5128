"""Notebooks of others: each printing cell, exported from a file without outputs and counts, beside what a kernel gave.

``python -m tests.corpus.notebooks FOLDER_OR_FILE…`` runs each notebook twice in a kernel, keeps the cells whose text is
the same in both runs, exports each of them, runs the program, and compares. It prints a line for each cell that is
not the same or was warned of, and at the end a table with a row for each place that was named: ``same``, ``told`` (the
program printed something else or failed, and the export had warned), ``silent`` (it printed something else, and nobody
was told), ``failed`` (it ended with a traceback, and nobody was told before), ``refused`` and ``crashed`` (the exporter
itself), exports of over 10 s, the median share of the earlier statements that programs carry, and how many cells were
warned of though they are the same. Notebooks of others are not kept in this repository: get them with their data
files, and name their folder.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import io
import json
import multiprocessing
import os
import re
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from buildr_jupyter import cli
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import export
from buildr_jupyter.notebook.cells import read_notebook

TIMEOUT_S = 120
SLOW_S = 10.0
KINDS = ("same", "told", "silent", "failed", "refused", "crashed")
_FORKS = multiprocessing.get_context("fork")
"""Not a fork server: each of its children would load this module first, which takes longer than most programs."""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Group:
    """What was found of the cells of one place."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    warned: int = 0
    """Cells that are the same, and that the export had warned of."""
    shares: list[float] = field(default_factory=list)
    exports: list[float] = field(default_factory=list)

    def row(self) -> str:
        """Return the group's row of the table."""
        total = sum(self.counts.values())
        shares = " ".join(f"{self.counts[kind] / max(total, 1):8.1%}" for kind in KINDS)
        carried = f"{statistics.median(self.shares):8.0%}" if self.shares else "       -"
        slow = sum(seconds > SLOW_S for seconds in self.exports)
        longest = max(self.exports, default=0.0)
        return f"{self.name[:20]:20} {total:6} {shares} {slow:5} {longest:8.1f} {carried} {self.warned:7}"


def normal(text: str) -> str:
    """Return text without colours and trailing spaces, in which addresses of objects are the same in each run."""
    text = re.sub(r"0x[0-9a-f]{6,}", "0x…", _ANSI.sub("", text))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def texts_of(path: Path, timeout_s: int) -> list[str | None]:
    """Return what each cell prints and shows as text in a kernel; None for one that failed."""
    notebook = nbformat.read(path, 4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell("%pprint off"))
    client = NotebookClient(
        notebook,
        timeout=timeout_s,
        interrupt_on_timeout=True,
        allow_errors=True,
        resources={"metadata": {"path": str(path.parent)}},
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
        else:
            parts.append(shown(output.output_type, output.get("data", {})))
    return normal("".join(parts))


def shown(kind: str, data: Mapping[str, str]) -> str:
    """Return what a program prints of an output: a figure is a file; one that is the cell's value is its text, too."""
    if kind == "execute_result" or (kind == "display_data" and "image/png" not in data):
        return data.get("text/plain", "") + "\n"
    return ""


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


def run_program(app: Path, *, warm: bool) -> subprocess.CompletedProcess[str]:
    """Run ``main.py`` in a process of its own; a warm one is a child of one that has loaded the large libraries.

    That takes a third of the time; that a program lacks an import of a submodule is not seen there. What joblib starts
    at work never ends below a child.
    """
    if not warm or "n_jobs" in (app / "main.py").read_text(encoding="utf-8"):
        return subprocess.run(
            [sys.executable, "main.py"], cwd=app, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    sys.__stdout__.flush()
    process = _FORKS.Process(target=_run_here, args=(app,))
    process.start()
    process.join(TIMEOUT_S)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise subprocess.TimeoutExpired("main.py", TIMEOUT_S)
    texts = [(app.parent / name).read_text(encoding="utf-8", errors="replace") for name in ("stdout", "stderr")]
    return subprocess.CompletedProcess(["main.py"], process.exitcode, *texts)


def _run_here(app: Path) -> None:
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(app.parent / name, os.O_CREAT | os.O_WRONLY), descriptor)
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    os.chdir(app)
    sys.argv, sys.path[0] = ["main.py"], str(app)
    runpy.run_path("main.py", run_name="__main__")


def check_cell(path: Path, index: int, expected: str, work: Path, *, warm: bool, group: Group) -> tuple[str, str]:
    """Export one cell and run it; return how that ended, and what was wrong."""
    told = io.StringIO()
    out = work / f"out{index}"
    began = time.perf_counter()
    try:
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            status = cli.main(["export", str(path), "--cell", str(index), "--out", str(out)])
    except Exception:  # noqa: BLE001 - a crash is what is looked for
        return "crashed", traceback.format_exc()[-600:]
    finally:
        group.exports.append(time.perf_counter() - began)
    if status:
        kind = "crashed" if "Traceback (most recent" in told.getvalue() else "refused"
        return kind, told.getvalue().strip()[-600:]
    warned = "warning:" in told.getvalue()
    try:
        ran = run_program(out / "app", warm=warm)
    except subprocess.TimeoutExpired:
        return "told" if warned else "failed", "timeout"
    finally:
        shutil.rmtree(out, ignore_errors=True)
    if normal(ran.stdout) == expected:
        group.warned += warned
        return "same", told.getvalue().strip()[-600:] if warned else ""
    if ran.returncode:
        return "told" if warned else "failed", ran.stderr.strip()[-300:]
    return "told" if warned else "silent", f"got {normal(ran.stdout)[:200]!r}, not {expected[:200]!r}"


def texts_of_two_runs(path: Path, work: Path, timeout_s: int, cache: Path | None) -> list[list[str | None]]:
    """Return the texts of the cells of two runs in new kernels; from the cache, if the same file ran before."""
    kept = cache and cache / f"{hashlib.sha256(path.read_bytes()).hexdigest()}.json"
    if kept and kept.is_file():
        return [*json.loads(kept.read_text(encoding="utf-8"))]
    texts = [texts_of(work / place / path.name, timeout_s) for place in ("one", "two")]
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(texts), encoding="utf-8")
    return texts


def sampled(indices: list[int], count: int) -> list[int]:
    """Return as many of the cells as asked for, evenly spread; all for 0."""
    if not count or len(indices) <= count:
        return indices
    return [indices[(2 * n + 1) * len(indices) // (2 * count)] for n in range(count)]


def share_carried(path: Path, index: int) -> float | None:
    """Return the share of the statements of earlier cells that the program of a cell carries."""
    runs = read_notebook(path).runs
    target = next(run for run in runs if run.index == index)
    program = export(runs[: runs.index(target) + 1], target, ExportOptions(), folder=path.parent, notebook=path.name)
    return program.carried / program.before if program.before else None


@contextlib.contextmanager
def run_twice(path: Path, arguments: argparse.Namespace) -> Iterator[tuple[Path, dict[int, str]]]:
    """Yield a copy of a notebook, beside a copy of its data, and the text of each cell that is looked at, by its place.

    These are as many as ``arguments`` say of those that print the same in two kernels; none where no kernel runs it.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in ("one", "two", "copy"):
            shutil.copytree(path.parent, work / name)
        texts: dict[int, str] = {}
        try:
            both = zip(*texts_of_two_runs(path, work, arguments.timeout, arguments.cache), strict=True)
            texts = {place: first for place, (first, second) in enumerate(both) if first and first == second}
        except Exception as error:  # noqa: BLE001 - a notebook that no kernel runs has nothing to compare
            print(f"{path.name}: does not run: {type(error).__name__}", flush=True)
        yield work / "copy" / path.name, {place: texts[place] for place in sampled([*texts], arguments.cells)}


def check_notebook(path: Path, group: Group, arguments: argparse.Namespace) -> None:
    """Run a notebook twice, and check the cells that print the same both times."""
    with run_twice(path, arguments) as (clean, texts):
        work = clean.parents[1]
        stripped(clean)
        for index, expected in texts.items():
            kind, detail = check_cell(clean, index, expected, work, warm=bool(arguments.warm), group=group)
            group.counts[kind] += 1
            share = None
            with contextlib.suppress(Exception):
                share = share_carried(clean, index)
            if share is not None:
                group.shares.append(share)
            if kind != "same" or detail or arguments.all:
                print(f"{path.name} cell {index} {kind}: {detail}" + (f"{share or 0:.0%}" if arguments.all else ""))
            sys.stdout.flush()


def look_at(check: Callable[[Path, Group, argparse.Namespace], None], about: str | None) -> Group:
    """Check the notebooks that the command line names, each by ``check``; print the table and return all."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("places", nargs="+", type=Path)
    parser.add_argument("--cells", type=int, default=0, metavar="N", help="look at N printing cells of each notebook")
    parser.add_argument("--timeout", type=int, default=120, help="seconds for one cell in the kernel")
    parser.add_argument("--cache", type=Path, help="folder that keeps what the kernels printed, for the next time")
    parser.add_argument("--all", action="store_true", help="print a line for the cells that are the same, too")
    parser.add_argument("--warm", default="", metavar="MODULES", help="load these once, and run programs as children")
    arguments = parser.parse_args()
    for name in ["tests.corpus.warm", *arguments.warm.split(",")] if arguments.warm else ():
        importlib.import_module(name)
    groups = [Group(place.name) for place in arguments.places]
    for group, place in zip(groups, arguments.places, strict=True):
        for path in iter_notebooks([place]):
            check(path, group, arguments)
    return print_table(groups)


def print_table(groups: list[Group]) -> Group:
    """Print a row for each group, and one for all; return all."""
    print(
        f"{'':20} {'cells':>6} {' '.join(f'{kind:>8}' for kind in KINDS)} {'slow':>5} {'longest':>8}  carried  warned"
    )
    together = Group("together")
    for group in groups:
        together.counts.update(group.counts)
        together.warned += group.warned
        together.shares += group.shares
        together.exports += group.exports
    for group in [*groups, together] if len(groups) > 1 else groups:
        print(group.row())
    return together


def main() -> int:
    """Print the table; the status is 1 if more than one cell in a hundred was wrong in silence."""
    together = look_at(check_notebook, __doc__)
    return 1 if together.counts["silent"] * 100 > sum(together.counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
