"""The program that a cell really is: the text of main.py, with the origin of each line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.export.exporter import Making
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.plan import FileEntry, ImportUse, NameNote
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.notebook.parse_cache import collector_paused, forget

__all__ = ["Program", "explain", "export"]


@dataclass(frozen=True, slots=True)
class Program:
    """What goes into ``app/``, and why."""

    text: str
    """main.py."""
    origins: tuple[str | None, ...] = ()
    """For each line of ``text`` where it comes from: ``nb.ipynb, cell 3, line 1``; None for our own lines."""
    names: tuple[NameNote, ...] = ()
    imports: tuple[ImportUse, ...] = ()
    requirements: tuple[tuple[str, str], ...] = ()
    """(requirement as written after ``%pip install``, origin)."""
    files: tuple[FileEntry, ...] = ()
    state: tuple[FileEntry, ...] = ()
    parameters: tuple[str, ...] = ()
    warnings: tuple[BuildWarning, ...] = ()
    carried: int = 0
    """Top-level statements of other cells."""
    before: int = 0
    """Top-level statements in the cells that ran before."""
    tree: Tree | None = None
    """Where the files lie below ``app/``; None where no folder is known."""


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
            made = Making(runs, target, options, folder, notebook, namespace).make()
        finally:
            forget()
    return Program(
        text=made.text,
        origins=made.origins,
        names=made.names,
        imports=made.imports,
        requirements=made.requirements,
        files=made.files,
        state=made.state,
        parameters=tuple(name for name, _ in options.params),
        warnings=made.warnings,
        carried=made.carried,
        before=made.before,
        tree=made.tree,
    )


def explain(program: Program) -> list[tuple[str, str, str, str]]:
    """Return the rows of ``--explain``: (what, kind, where from, why), names first, then imports and files."""
    rows = [(note.name, note.kind, note.origin, note.why) for note in program.names]
    rows.extend((use.module, "module", use.origin, "imported") for use in program.imports)
    rows.extend((text, "requirement", origin, "asked for by the notebook") for text, origin in program.requirements)
    rows.extend((entry.path, f"{entry.size_bytes} bytes", "", entry.why) for entry in (*program.files, *program.state))
    return rows
