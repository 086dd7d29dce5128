"""Docstring examples of installed packages, as notebooks: each program prints what its cell printed."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import export
from buildr_jupyter.notebook.cells import CellRun, transform

MODULES = ("collections", "statistics", "fractions", "heapq", "difflib", "textwrap", "bisect", "random")


def notebooks() -> list:
    found = []
    for name in MODULES:
        module = __import__(name)
        for test in doctest.DocTestFinder(recurse=True).find(module):
            cells = [example.source.rstrip("\n") for example in test.examples]
            if len(cells) > 2:
                found.append(pytest.param([f"from {name} import *", *cells], id=test.name))
    return found


RUN = """
import ast, contextlib, io, json, sys
namespace, printed = {"__name__": "__main__"}, []
for cell in json.load(sys.stdin):
    stream = io.StringIO()
    try:
        tree = ast.parse(cell)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(stream):
            exec(compile(tree, "cell", "exec"), namespace)
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), namespace) if last else None
            if value is not None:
                print(repr(value))
        printed.append(stream.getvalue())
    except Exception:
        printed.append(None)
json.dump(printed, sys.stdout)
"""
ENVIRONMENT = {**os.environ, "PYTHONHASHSEED": "0"}


def outputs(cells: list[str], folder: Path) -> list[str | None]:
    """Return what each cell prints in a process of its own, with its last value; None for one that fails."""
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(
        command, cwd=folder, input=json.dumps(cells), capture_output=True, text=True, env=ENVIRONMENT, check=True
    )
    return list(json.loads(done.stdout))


@pytest.mark.parametrize("cells", notebooks())
def test_docstring_as_notebook(cells: list[str], tmp_path: Path) -> None:
    first, second = outputs(cells, tmp_path), outputs(cells, tmp_path)
    chosen = [n for n, out in enumerate(first) if out and out == second[n]][-2:]
    runs = [CellRun(cell, transform(cell), index=index) for index, cell in enumerate(cells)]
    for number in chosen:
        program = export(runs[: number + 1], runs[number], ExportOptions(), folder=None, notebook="doc.ipynb")
        (tmp_path / "main.py").write_text(program.text)
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, env=ENVIRONMENT
        )
        assert done.stdout == first[number], done.stderr
