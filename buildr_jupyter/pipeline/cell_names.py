"""Names of cells as the kernel's user sees them: ``cell [6]`` where plan and image say the cell's id.

The id is what stays when a notebook is run again, so it is in plans and images, where no execution count may be; a
person looks for the number in the margin. So messages, results and displays get it, and nothing that is kept.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import replace

from buildr_jupyter.errors import BuildrError
from buildr_jupyter.events.event import Event, Finished
from buildr_jupyter.model.plan import NameNote
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.planner import CellSource

__all__ = ["CellNames"]


class CellNames:
    """The cells of a kernel: which number stands beside the cell with an id."""

    @classmethod
    def of(cls, job: ExportRequest) -> CellNames:
        """Return those of the kernel that asks; none for what comes from a file."""
        return cls(job.source.runs if isinstance(job.source, CellSource) else ())

    def __init__(self, runs: Sequence[CellRun]) -> None:
        """Of a cell that ran several times the last number counts: that is the one to be seen."""
        self._numbers = {run.id: run.count for run in runs if run.id and run.count and run.index is None}
        ids = "|".join(map(re.escape, sorted(self._numbers, key=len, reverse=True)))
        self._pattern = re.compile(rf"\bcell ({ids})(?![\w-])") if ids else None

    def text(self, text: str) -> str:
        """Return a text with ``cell [6]`` for ``cell ID``."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: f"cell [{self._numbers[found[1]]}]", text)

    def warning(self, warning: BuildWarning) -> BuildWarning:
        """Return a warning in these words."""
        return replace(warning, text=self.text(warning.text), hint=warning.hint and self.text(warning.hint))

    def result(self, result: BuildResult) -> BuildResult:
        """Return a result whose names, files, requirements and warnings are told in these words."""
        return replace(
            result,
            names=tuple(self._note(note) for note in result.names),
            files=tuple(replace(file, why=self.text(file.why)) for file in result.files),
            requirements=tuple(replace(one, why=self.text(one.why)) for one in result.requirements),
            warnings=tuple(self.warning(one) for one in result.warnings),
        )

    def error(self, error: BuildrError) -> None:
        """Put an error into these words, in place."""
        error.args = tuple(self.text(said) if isinstance(said, str) else said for said in error.args)
        error.hint = error.hint and self.text(error.hint)
        for name, said in list(vars(error).items()):
            if isinstance(said, BuildResult):
                setattr(error, name, self.result(said))

    def stream(self, events: Generator[Event, None, BuildResult]) -> Generator[Event, None, BuildResult]:
        """Yield the events, return the result and raise the errors of ``events`` in these words."""
        try:
            while True:
                yield self._event(next(events))
        except StopIteration as stop:
            result: BuildResult = stop.value
        except BuildrError as error:
            self.error(error)
            raise
        finally:
            events.close()
        return self.result(result)

    def _event(self, event: Event) -> Event:
        if isinstance(event, BuildWarning):
            return self.warning(event)
        return Finished(self.result(event.result)) if isinstance(event, Finished) else event

    def _note(self, note: NameNote) -> NameNote:
        return replace(note, origin=self.text(note.origin), why=self.text(note.why))
