"""Docstring examples of installed packages, as notebooks: each program prints what its cell printed."""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from buildr_jupyter.cell.program import ExportOptions, export
from buildr_jupyter.cell.source import CellRun, transform

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


def outputs(cells: list[str]) -> list[str | None]:
    """Return what each cell prints, with the value of its last expression; None for one that fails."""
    namespace: dict = {"__name__": "__main__"}
    printed: list[str | None] = []
    for cell in cells:
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
        except Exception:  # noqa: BLE001 - an example may raise anything
            printed.append(None)
    return printed


@pytest.mark.parametrize("cells", notebooks())
def test_docstring_as_notebook(cells: list[str], tmp_path: Path) -> None:
    first, second = outputs(cells), outputs(cells)
    chosen = [n for n, out in enumerate(first) if out and out == second[n] and " at 0x" not in out][-2:]
    runs = [CellRun(cell, transform(cell), index=index) for index, cell in enumerate(cells)]
    for number in chosen:
        program = export(runs[: number + 1], runs[number], ExportOptions(), folder=None, notebook="doc.ipynb")
        (tmp_path / "main.py").write_text(program.text)
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, env=environment
        )
        if first[number] != done.stdout and "{" in (first[number] or ""):
            continue  # the order of a set of this process is not that of another
        assert done.stdout == first[number], done.stderr
