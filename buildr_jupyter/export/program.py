"""The program that a cell really is: the text of main.py, with the origin of each line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from buildr_jupyter.export.exporter import Program, make_program
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.notebook.parse_cache import collector_paused, forget

__all__ = ["Program", "explain", "export"]


def export(
    runs: Sequence[CellRun],
    target: CellRun,
    options: ExportOptions,
    *,
    folder: Path | None,
    notebook: str | None,
    namespace: Mapping[str, object] | None = None,
) -> Program:
    """Return the program that the cell ``target`` is, given the ``runs`` before it, oldest first.

    ``folder`` and ``notebook`` are the notebook's folder and file name, where known; ``namespace`` is the kernel's.
    Raises CellSyntaxError, UnboundName, DialectError, ValueRefused, FileRefused.
    """
    with collector_paused():
        try:
            return make_program(Given(runs, target, options, folder, notebook, namespace))
        finally:
            forget()


def explain(program: Program) -> list[tuple[str, str, str, str]]:
    """Return the rows of ``--explain``: (what, kind, where from, why), names first, then imports and files."""
    rows = [(note.name, note.kind, note.origin, note.why) for note in program.names]
    rows.extend((use.module, "module", use.origin, "imported") for use in program.imports)
    rows.extend((text, "requirement", origin, "asked for by the notebook") for text, origin in program.requirements)
    rows.extend((entry.path, f"{entry.size_bytes} bytes", "", entry.why) for entry in (*program.files, *program.state))
    return rows
