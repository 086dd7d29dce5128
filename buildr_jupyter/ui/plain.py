"""What a person reads without widgets: plain lines as it goes, the result as text and HTML, one JSON record a cell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import IO

from buildr_jupyter.errors import BuildrError
from buildr_jupyter.events.event import MAX_LINE_BYTES, Event, LogLine, RunOutput, RunUpdate, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.ui.sanitize import clean_text, show_size, warning_line
from buildr_jupyter.ui.step_titles import step_title
from buildr_jupyter.ui.sweep import render_run_line

__all__ = ["QuietDisplay", "TextDisplay", "write_output"]  # fmt: skip


def write_output(event: RunOutput) -> None:
    """Write what a container said to this process's stream of the same kind."""
    stream = sys.stderr if event.stream == "stderr" else sys.stdout
    stream.write(event.text)
    stream.flush()


class QuietDisplay:
    """Shows what the running container prints and nothing else."""

    def __init__(self, output: Callable[[RunOutput], object] = write_output) -> None:
        self._output = output

    def open(self, state: BuildState, title: str) -> None:
        """Nothing to show."""

    def draw(self, state: BuildState, events: list[Event]) -> None:
        """Hand on what the container wrote."""
        for event in events:
            if isinstance(event, RunOutput):
                self._output(event)

    def close(self, state: BuildState) -> None:
        """Nothing to show."""


class TextDisplay:
    """Plain lines, each once: for terminals, logs, nbclient and nbconvert."""

    def __init__(
        self, write: Callable[[str], object], *, log: bool = True, output: Callable[[RunOutput], object] = write_output
    ) -> None:
        """``write`` takes a line with its end; ``log``: the build's lines too; ``output`` takes the run's."""
        self._write = write
        self._log = log
        self._output = output
        self._shown: dict[str, str] = {}
        self._begun: dict[str | None, str] = {}

    def open(self, state: BuildState, title: str) -> None:
        """Say what is built."""
        self._write(f"buildr: {clean_text(title)}\n")

    def draw(self, state: BuildState, events: list[Event]) -> None:
        """Write the new steps, log lines, warnings and finished transfers; a step that is over at once is one line."""
        lines: list[str] = []
        pending: dict[str, StepUpdate] = {}
        for event in events:
            if isinstance(event, StepUpdate):
                pending[event.step] = event
                continue
            if pending and isinstance(event, LogLine | RunOutput):
                lines += self._steps(pending)
            if isinstance(event, RunOutput):
                self._flush(lines)
                self._output(event)
            elif line := self._line(event):
                lines.append(line)
        self._flush(lines + self._steps(pending))

    def _flush(self, lines: list[str]) -> None:
        if lines:
            self._write("".join(f"{line}\n" for line in lines))
        lines.clear()

    def _steps(self, pending: dict[str, StepUpdate]) -> list[str]:
        lines = []
        for step in pending.values():
            first = step.step not in self._shown
            if step.status not in ("waiting", "running"):
                lines += self._unended(step.step)
            if self._once(step.step, step.status) and (first or step.status == "failed"):
                number = f"{step.index}/{step.total}" if step.index and step.total else ""
                status = f"  ({step.status})" if step.status in ("cached", "failed") else ""
                lines.append(f"{step_title(step.title, number)}{status}")
        pending.clear()
        return lines

    def _line(self, event: Event) -> str | None:
        match event:
            case LogLine() if self._log:
                text = self._joined(event)
                return None if event.partial else _indented(text)
            case RunUpdate():
                return render_run_line(event)
            case BuildWarning():
                return warning_line(event)
            case TransferUpdate() if event.status in ("done", "exists", "mounted"):
                if self._once(f"{event.verb} {event.item}", event.status):
                    size = f" {show_size(event.total_bytes)}" if event.total_bytes else ""
                    return f"    {event.verb} {clean_text(event.item)}: {event.status}{size}"
        return None

    def _joined(self, line: LogLine) -> str:
        """Return a line with what its step began it with, and keep that where the line goes on."""
        before = self._begun.pop(line.step, "")
        text = line.text if before.endswith("\r") else (before + line.text)[-MAX_LINE_BYTES:]
        if line.partial:
            self._begun[line.step] = text
        return text

    def _unended(self, step: str | None) -> list[str]:
        """Return the line that a step began and did not end."""
        return [line] if (line := _indented(self._begun.pop(step, ""))) else []

    def _once(self, key: str, status: str) -> bool:
        if self._shown.get(key) == status:
            return False
        self._shown[key] = status
        return True

    def close(self, state: BuildState) -> None:
        """Write that it ended badly; error and result are shown where they are raised or returned."""
        self._flush([line for step in list(self._begun) for line in self._unended(step)])
        if state.status == "cancelled":
            self._write("buildr: cancelled; nothing half-made is left\n")
        elif state.status == "failed" and (stage := _failed_stage(state)):
            self._write(f"buildr: failed in stage {stage}\n")


def _indented(text: str) -> str | None:
    shown = clean_text(text.rstrip("\r"))
    return f"    {shown}" if shown.strip() else None


def _failed_stage(state: BuildState) -> str | None:
    """Return the stage that failed, None where none had begun: an option was wrong, and nothing was done."""
    return next((stage for stage, status in state.stages.items() if status in ("failed", "cancelled")), None)


def print_error(error: BuildrError, stream: IO[str]) -> None:
    """Write an error's lines to a stream of text."""
    stream.write(clean_text("\n".join(error.render())) + "\n")
