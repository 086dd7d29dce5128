"""What a person reads without widgets: plain lines as it goes, the result as text and HTML, one JSON record a cell."""

from __future__ import annotations

import html
import json
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from buildr_jupyter.assembly import Assembly
from buildr_jupyter.context import render_dockerfile
from buildr_jupyter.errors import BuildrError, Cancelled
from buildr_jupyter.events import BuildState, Event, LogLine, RunOutput, StepUpdate, TransferUpdate, Warned
from buildr_jupyter.model import BuildResult, FileNote

__all__ = [
    "QuietWindow", "TextWindow", "clean_text", "error_fields", "make_plan_record", "make_record",
    "render_explanation", "render_result_html",
    "render_result_text", "show_size", "show_title", "write_output",
]  # fmt: skip

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_])")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean_text(text: str) -> str:
    """Return ``text`` without terminal escapes, control characters and bidirectional overrides; line ends stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def show_size(size_bytes: int | None) -> str:
    """Return a size as a person reads it: ``188 MB``; ``-`` where it is not known."""
    if size_bytes is None:
        return "-"
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def show_title(title: str) -> str:
    """Return a step's title on one line of at most 120 characters."""
    line = " ".join(clean_text(title).split())
    return line if len(line) <= 120 else line[:119] + "…"


def write_output(event: RunOutput) -> None:
    """Write what a container said to this process's stream of the same kind."""
    stream = sys.stderr if event.stream == "stderr" else sys.stdout
    stream.write(event.text)
    stream.flush()


class QuietWindow:
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


class TextWindow:
    """Plain lines, each once: for terminals, logs, nbclient and nbconvert."""

    def __init__(
        self, write: Callable[[str], object], *, log: bool = True, output: Callable[[RunOutput], object] = write_output
    ) -> None:
        """``write`` takes a line with its end; ``log``: the build's lines too; ``output`` takes the run's."""
        self._write = write
        self._log = log
        self._output = output
        self._shown: dict[str, str] = {}

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
            if self._once(step.step, step.status) and (first or step.status == "failed"):
                number = f"[{step.index}/{step.total}] " if step.index and step.total else ""
                status = f"  ({step.status})" if step.status in ("cached", "failed") else ""
                lines.append(f"{number}{show_title(step.title)}{status}")
        pending.clear()
        return lines

    def _line(self, event: Event) -> str | None:
        match event:
            case LogLine() if self._log and not event.partial:
                text = clean_text(event.text)
                return f"    {text}" if text.strip() else None
            case Warned():
                hint = f" ({clean_text(event.hint)})" if event.hint else ""
                return f"warning: {clean_text(event.text)}{hint}"
            case TransferUpdate() if event.status in ("done", "exists", "mounted"):
                if self._once(f"{event.verb} {event.item}", event.status):
                    size = f" {show_size(event.total_bytes)}" if event.total_bytes else ""
                    return f"    {event.verb} {clean_text(event.item)}: {event.status}{size}"
        return None

    def _once(self, key: str, status: str) -> bool:
        if self._shown.get(key) == status:
            return False
        self._shown[key] = status
        return True

    def close(self, state: BuildState) -> None:
        """Write that it ended badly; error and result are shown by whoever raises or returns them."""
        if state.status == "cancelled":
            self._write("buildr: cancelled; nothing half-made is left\n")
        elif state.status == "failed":
            self._write(f"buildr: failed in stage {_failed_stage(state)}\n")


def _failed_stage(state: BuildState) -> str:
    return next((stage for stage, status in state.stages.items() if status in ("failed", "cancelled")), "export")


def _facts(result: BuildResult) -> list[tuple[str, str]]:
    load = f"docker load -i {shlex.quote(str(result.archive))} && " if result.archive else ""
    facts = [
        ("image", result.image),
        ("image id", result.image_id or ""),
        ("digest", result.digest or ""),
        ("size", " ".join(part for part in (
            f"{show_size(result.size_bytes)} compressed" if result.size_bytes else "",
            f"{show_size(result.unpacked_bytes)} unpacked" if result.unpacked_bytes else "",
        ) if part)),
        ("pushed", ", ".join(result.pushed)),
        ("archive", str(result.archive or "")),
        ("time", f"{result.duration_s:.1f} s" + (", nothing had changed" if result.cached else "")),
        ("run it", f"{load}docker run --rm {result.image}"),
    ]  # fmt: skip
    if result.run:
        facts.append(("exit code", str(result.run.exit_code)))
    return [(name, clean_text(value)) for name, value in facts if value]


def render_result_text(result: BuildResult) -> str:
    """Return the result as aligned lines of plain text."""
    return "\n".join(f"{name:>9}  {value}" for name, value in _facts(result))


def render_result_html(result: BuildResult) -> str:
    """Return the result as a small table: no script, no style sheet, every text escaped."""
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left"><code>{html.escape(value)}</code></td></tr>'
        for name, value in _facts(result)
    )
    return f'<table class="buildr-result">{rows}</table>'


def render_explanation(assembly: Assembly) -> str:
    """Return what ``--dry-run`` shows: Dockerfile, files with sizes, requirements and names with reasons."""
    plan = assembly.plan
    parts = ["Dockerfile", "", render_dockerfile(plan)]
    parts += _table("file", [(e.path, show_size(e.size_bytes), e.why) for e in plan.all_files])
    parts += _table("requirement", [(r.text, r.why) for r in plan.requirements])
    parts += _table("name", [(n.name, n.kind, n.origin, n.why) for n in plan.names])
    parts += [f"warning: {warning.text}" for warning in assembly.warnings]
    return clean_text("\n".join(parts).rstrip() + "\n")


def _table(title: str, rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return [f"no {title}s", ""]
    widths = [min(60, max(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"{len(rows)} {title}{'s' if len(rows) != 1 else ''}", *(f"  {line}" for line in lines), ""]


def make_record(cell: Mapping[str, Any], outcome: BuildResult | BaseException, *, duration_s: float = 0.0) -> str:
    """Return the one JSON line that ``--json`` prints for a cell, without its line end; schema 1 of the contracts."""
    result = outcome if isinstance(outcome, BuildResult) else getattr(outcome, "result", None)
    failed = outcome if isinstance(outcome, BaseException) else None
    record: dict[str, Any] = {
        "schema": 1,
        "cell": dict(cell),
        "status": _status_of(failed),
        "stage": getattr(failed, "stage", None) if failed else None,
        "image": None, "image_id": None, "digest": None, "size_bytes": None, "unpacked_bytes": None,
        "duration_s": round(duration_s, 3), "cached": False, "context": None, "requirements": [], "names": [],
        "files": [], "pushed": [], "archive": None, "run": None, "error": None,
    }  # fmt: skip
    if result is not None:
        record |= _result_fields(result)
    if failed is not None:
        record["error"] = error_fields(failed)
    return json.dumps(record, ensure_ascii=False)


def make_plan_record(cell: Mapping[str, Any], assembly: Assembly, *, context: Path | None = None) -> str:
    """Return the JSON line of a cell that was exported or only planned: as ``make_record``, and ``dockerfile``.

    ``context`` is the folder that was written, None for ``--dry-run``.
    """
    plan = assembly.plan
    notes = tuple(FileNote(entry.path, entry.size_bytes, entry.why) for entry in plan.all_files)
    planned = BuildResult("", requirements=plan.requirements, names=plan.names, files=notes, context=context)
    record = json.loads(make_record(cell, planned)) | {
        "stage": "export",
        "image": None,
        "content_digest": plan.content_digest,
        "dockerfile": render_dockerfile(plan),
        "warnings": [clean_text(warning.text) for warning in assembly.warnings],
    }
    return json.dumps(record, ensure_ascii=False)


def error_fields(error: BaseException) -> dict[str, Any]:
    """Return the ``error`` field of a record: type, message, hint, step, log_tail; unknown is None."""
    return {
        "type": type(error).__name__,
        "message": clean_text(str(error)) or ("interrupted" if isinstance(error, KeyboardInterrupt) else ""),
        "hint": getattr(error, "hint", None),
        "step": getattr(error, "step", None),
        "log_tail": [clean_text(line) for line in getattr(error, "log_tail", ())] or None,
    }


def _status_of(failed: BaseException | None) -> str:
    if failed is None:
        return "ok"
    return "cancelled" if isinstance(failed, Cancelled | KeyboardInterrupt) else "failed"


def _result_fields(result: BuildResult) -> dict[str, Any]:
    return {
        "image": result.image,
        "image_id": result.image_id,
        "digest": result.digest,
        "size_bytes": result.size_bytes,
        "unpacked_bytes": result.unpacked_bytes,
        "duration_s": round(result.duration_s, 3),
        "cached": result.cached,
        "context": str(result.context) if result.context else None,
        "requirements": [{"requirement": r.text, "why": r.why} for r in result.requirements],
        "names": [{"name": n.name, "origin": n.origin, "kind": n.kind, "why": n.why} for n in result.names],
        "files": [{"path": f.path, "bytes": f.bytes, "why": f.why} for f in result.files],
        "pushed": list(result.pushed),
        "archive": str(result.archive) if result.archive else None,
        "run": result.run
        and {
            "exit_code": result.run.exit_code,
            "stdout_tail": result.run.stdout_tail,
            "log_tail": [clean_text(line) for line in result.run.log_tail],
        },
    }


def print_error(error: BuildrError, stream: IO[str]) -> None:
    """Write an error's lines to a stream of text."""
    stream.write(clean_text("\n".join(error.render())) + "\n")
