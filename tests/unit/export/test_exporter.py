"""Each odd cell of tests/data/cells: what is carried, and that the program prints what the cell prints."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import Program, export
from buildr_jupyter.notebook.cells import CellRun, transform

DATA = Path(__file__).parents[2] / "data" / "cells" / "odd.txt"


def cases() -> list:
    found = []
    for line in DATA.read_text().splitlines():
        if line.strip() and not line.startswith("# "):
            name, _, rest = line.partition(" | ")
            cells, _, expected = rest.rpartition(" => ")
            sources = [unescape(cell) for cell in cells.split(" ;; ")]
            found.append(pytest.param(sources, expected.strip(), id=name))
    return found


def unescape(cell: str) -> str:
    kept = cell.replace("\\\\", "\0")
    return (
        kept.replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t").replace("\\x0c", "\f").replace("\0", "\\")
    )


def runs_of(sources: list[str]) -> list[CellRun]:
    return [CellRun(source, transform(source), index=index) for index, source in enumerate(sources)]


def program_of(sources: list[str], options: ExportOptions | None = None) -> Program:
    runs = runs_of(sources)
    return export(runs, runs[-1], options or ExportOptions(), folder=None, notebook="odd.ipynb")


KERNEL = """
import gc, json, os, sys, warnings
warnings.simplefilter("ignore")
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))  # its thread is in no child
shell.display_formatter.formatters["text/plain"].pprint = False
shell.displayhook.write_output_prompt = lambda: None
for line in sys.stdin:
    request = json.loads(line)
    for name in request["libraries"]:
        __import__(name)
    gc.freeze()  # else a child copies all pages of the libraries, to look for garbage in them
    if os.fork() == 0:
        break
    os.wait()
    print(flush=True)
else:
    sys.exit()
os.chdir(request["folder"])
sys.path.insert(0, ".")
out = os.open("../printed", os.O_CREAT | os.O_WRONLY)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.stdin = open(0)
os.dup2(2, 1)
for number, cell in enumerate(request["cells"]):
    if number == len(request["cells"]) - 1:
        sys.stdout.flush()
        os.dup2(out, 1)
        sys.displayhook = shell.displayhook
    shell.run_cell(cell, store_history=True)
sys.stdout.flush()
os._exit(0)  # a kernel goes on, and to take a process with IPython and pandas apart costs more than the cells
"""
"""Starts IPython and imports the libraries of cells once; each line's cells run in a child, in their folder.

Answers with an empty line.
"""
LIBRARIES = ("pandas", "matplotlib.pyplot")
SERVER = """
import gc, json, os, runpy, sys
{prepare}
for line in sys.stdin:
    request = json.loads(line)
    for name in request["libraries"]:
        __import__(name)
    gc.freeze()  # else a child copies all pages of the libraries, to look for garbage in them, at its end, too
    if os.fork() == 0:
        break
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
else:
    sys.exit()
os.chdir(request["folder"])
for descriptor, name in ((1, "../out"), (2, "../err")):
    os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), descriptor)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.stdin, sys.path[0] = open(0), request["folder"]
{work}
"""
"""Answers each line with the status of a child that does the work in a folder, where libraries are imported once."""
PROGRAM = SERVER.format(prepare="", work='sys.argv = ["main.py"]\nrunpy.run_path("main.py", run_name="__main__")')


@pytest.fixture(scope="module")
def imported() -> Iterator[subprocess.Popen[str]]:
    yield from serve_programs()


@pytest.fixture(scope="module")
def plain() -> Iterator[subprocess.Popen[str]]:
    """For programs that take no library: none is there before they run, as in a Python that has just been started."""
    yield from serve_programs()


def serve_programs() -> Iterator[subprocess.Popen[str]]:
    one_thread = {"OPENBLAS_NUM_THREADS": "1"}  # a child has none of its parent's threads
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, **one_thread, "PYTHONHASHSEED": "0"},
    ) as process:  # fmt: skip
        yield process
        process.stdin.close()


def libraries_of(sources: list[str]) -> list[str]:
    return [name for name in LIBRARIES if any(name.partition(".")[0] in cell for cell in sources)]


def run_imported(
    imported: subprocess.Popen[str], program: Program, libraries: list[str], folder: Path
) -> subprocess.CompletedProcess[str]:
    (folder / "main.py").write_text(program.text)
    imported.stdin.write(json.dumps({"folder": str(folder), "libraries": libraries}) + "\n")
    imported.stdin.flush()
    status = int(imported.stdout.readline())
    out, err = (folder.parent / name for name in ("out", "err"))
    return subprocess.CompletedProcess(["main.py"], status, out.read_text(), err.read_text())


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    one_thread = {"OPENBLAS_NUM_THREADS": "1"}  # a child has none of its parent's threads
    own = {"PYTHONHASHSEED": "0", "NO_COLOR": "1", "IPYTHONDIR": str(tmp_path_factory.mktemp("ipython"))}
    environment = {**os.environ, **one_thread, **own}
    with subprocess.Popen(
        [sys.executable, "-c", KERNEL],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    ) as process:  # fmt: skip
        yield process
        process.stdin.close()


def kernel_prints(kernel: subprocess.Popen[str], sources: list[str], folder: Path) -> str:
    request = {"cells": sources, "folder": str(folder), "libraries": libraries_of(sources)}
    kernel.stdin.write(json.dumps(request) + "\n")
    kernel.stdin.flush()
    assert kernel.stdout.readline() == "\n"
    return (folder.parent / "printed").read_text()


def test_there_are_at_least_150() -> None:
    assert len(cases()) >= 150


@pytest.mark.parametrize(("sources", "expected"), cases())
def test_odd_cell(
    sources: list[str],
    expected: str,
    tmp_path: Path,
    kernel: subprocess.Popen[str],
    imported: subprocess.Popen[str],
    plain: subprocess.Popen[str],
) -> None:
    if not expected.isdigit():
        with pytest.raises(Exception) as caught:
            program_of(sources)
        assert type(caught.value).__name__ == expected
        assert "odd.ipynb, cell" in str(caught.value)
        return
    program = program_of(sources)
    (tmp_path / "app").mkdir()
    (tmp_path / "kernel").mkdir()
    libraries = libraries_of(sources)
    done = run_imported(imported if libraries else plain, program, libraries, tmp_path / "app")
    wanted = kernel_prints(kernel, sources, tmp_path / "kernel")
    assert done.returncode == 0, done.stderr
    assert done.stdout == wanted
    assert program.carried == int(expected)


@pytest.mark.parametrize(("sources", "expected"), cases())
def test_no_name_is_left_unbound(sources: list[str], expected: str) -> None:
    """pyflakes, of other authors, finds no undefined name in the program's own text."""
    from pyflakes import api, reporter

    if not expected.isdigit():
        return
    code = program_of(sources).text.partition("# all that follows was run by this\n")[2]
    if any(late in code for late in ("#: ", "import *", "exec(", "globals()", "run_path(")):  # names made at run time
        return
    out, err = io.StringIO(), io.StringIO()
    api.check(code, "main.py", reporter.Reporter(out, err))
    undefined = [line for line in out.getvalue().splitlines() if "undefined name" in line]
    assert [
        line for line in undefined if not any(name in line for name in ("unknown", "nope", "sum", "print", "'q'"))
    ] == []
    assert err.getvalue() == ""
