"""Parts of an export for tests: what it is given, the cells read, a slice of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat

from buildr_jupyter import cli
from buildr_jupyter.analysis.slicer import Slice, slice_back
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.reading import Reading
from buildr_jupyter.notebook.cells import CellRun, transform


def cell(source: str, index: int | None = None, **facts: object) -> CellRun:
    return CellRun(source, transform(source), index=index, **{"status": "ok", **facts})  # type: ignore[arg-type]


def given_of(
    *cells: str | CellRun, folder: Path | None = None, namespace: dict[str, object] | None = None, **options: object
) -> Given:
    """Return what an export of the last cell is given; texts get their place as index."""
    runs = [cell(one, index) if isinstance(one, str) else one for index, one in enumerate(cells)]
    return Given(runs, runs[-1], ExportOptions(**options), folder, "nb.ipynb", namespace)  # type: ignore[arg-type]


def sliced_of(given: Given, *supplied: str) -> tuple[Reading, Slice]:
    """Return the cells read, and the slice of the chosen one; ``supplied`` are names that come as values."""
    reading = Reading(given)
    statements = reading.statements()
    return reading, slice_back(reading.flow, statements, given.last, supplied=frozenset(supplied))


def exported(folder: Path, out: Path, *cells: str) -> int:
    """Export the last cell of a notebook in ``folder`` by the command line; return the status."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    nbformat.write(notebook, folder / "nb.ipynb")
    return cli.main(["export", str(folder / "nb.ipynb"), "--cell", str(len(cells) - 1), "--out", str(out)])


def printed(out: Path) -> str:
    """Return what an exported program prints; it has to end well."""
    command = [sys.executable, "main.py"]
    return subprocess.run(command, cwd=out / "app", check=True, capture_output=True, text=True).stdout
