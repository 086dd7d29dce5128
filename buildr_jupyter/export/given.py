"""Given: what an export is made from, and what its cells are called in the image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.analysis.slicer import Statement
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import CellRun

__all__ = ["Given"]


class Given:
    """The runs that count, oldest first, the chosen cell as the last of them, and all that is known beside them."""

    def __init__(
        self,
        runs: Sequence[CellRun],
        target: CellRun,
        options: ExportOptions,
        folder: Path | None,
        notebook: str | None,
        namespace: Mapping[str, object] | None,
    ) -> None:
        """``folder`` and ``notebook`` are the notebook's folder and file name; ``namespace`` is the kernel's."""
        self.runs = [one for run in runs if run is not target for one in _here(run)]
        self.runs.append(target)
        self.last = len(self.runs) - 1
        self.options = options
        self.folder = folder
        self.notebook = notebook
        self.namespace = namespace
        self.warnings: list[BuildWarning] = []
        """What a person should know of the export; each part of it adds its own."""
        self._numbers: dict[int, int] = {}
        if target.status == "error":
            self.warn(f"{self.title(self.last)} failed when it ran; it is exported all the same")

    def title(self, number: int) -> str:
        """Return what the run with this number is called in the image.

        A cell without an index or an id is numbered in the order in which this is asked: the kernel's execution count
        goes into no image.
        """
        run = self.runs[number]
        name = (self.notebook or "notebook").replace("\n", " ").replace("\r", " ")
        if run.index is not None:
            return f"{name}, cell {run.index}"
        if run.id and self.notebook:
            return f"{name}, cell {run.id}"
        if number == self.last:
            return f"{name}, this cell"
        carried = self._numbers.setdefault(number, len(self._numbers) + 1)
        return f"{name}, earlier cell {carried}"

    def where(self, statement: Statement) -> str:
        """Return cell and line of a statement: ``nb.ipynb, cell 3, line 1``."""
        return f"{self.title(statement.run)}, line {statement.line}"

    def warn(self, text: str, hint: str | None = None) -> None:
        """Add a warning."""
        self.warnings.append(BuildWarning(text, hint))


def _here(run: CellRun) -> Iterator[CellRun]:
    """Yield what a run did in the kernel's namespace.

    The body of another containerized cell supplies no names, unless it also ran in the kernel; what its run gave back
    was bound there after it, and only the kernel has it.
    """
    if run.ran_here:
        yield replace(run, returned=()) if run.returned else run
    if run.returned:
        text = f"{' = '.join(run.returned)} = get_ipython()\n"
        yield replace(run, source=text, transformed=text, status="ok", failed_line=None, duration_s=None, magic=None)
