"""Sweep as text, as a static table, and as lines while its runs end."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from typing import Any

from buildr_jupyter.events.event import Event, RunUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.ui.sanitize import clean_text

__all__ = ["JsonRuns", "render_run_line", "render_sweep_html", "render_sweep_text", "sweep_record"]

_ROWS = 200
_CELL = 80
_SCALARS = (bool, int, float, str, type(None))


def render_run_line(update: RunUpdate) -> str | None:
    """Return the line that tells the end of a run; None while it goes on."""
    if update.finished_at is None:
        return None
    how = f"{update.phase}, done before" if update.reused else update.phase
    took = f" ({update.finished_at - update.started_at:.1f} s)" if update.started_at is not None else ""
    why = f": {update.reason}" if update.reason else ""
    lines = [f"run {update.number + 1}/{update.total} {how}{took}  {update.title}{why}"]
    lines += [f"    {line}" for line in update.log_tail[-5:]]
    return "\n".join(clean_text(line) for line in lines)


def render_sweep_text(sweep: Sequence[RunResult]) -> str:
    """Return the runs as aligned lines of plain text, at most 200 of them."""
    columns, rows = _table(sweep)
    widths = [max(len(row[place]) for row in [columns, *rows]) for place in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in [columns, *rows]]  # fmt: skip
    return "\n".join([*lines, _summary(sweep)])


def render_sweep_html(sweep: Sequence[RunResult]) -> str:
    """Return the runs as a static table, at most 200 rows: no script, no style sheet, every text escaped."""
    columns, rows = _table(sweep)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<table class="buildr-sweep"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
        f"<p>{html.escape(_summary(sweep))}</p>"
    )


def _summary(sweep: Sequence[RunResult]) -> str:
    counts: dict[str, int] = {}
    for run in sweep:
        counts[run.state] = counts.get(run.state, 0) + 1
    again = sum(run.reused for run in sweep)
    shown = ", ".join(f"{count} {state}" for state, count in counts.items())
    more = f"; the first {_ROWS} are shown" if len(sweep) > _ROWS else ""
    return f"{len(sweep)} runs: {shown}" + (f", {again} of them before" if again else "") + more


def _table(sweep: Sequence[RunResult]) -> tuple[list[str], list[list[str]]]:
    shown = sweep[:_ROWS]
    inputs = list(dict.fromkeys(name for run in shown for name in run.inputs))
    returned = list(dict.fromkeys(one.name for run in shown for one in run.returned if one.format == "json"))
    rows = []
    for run in shown:
        cells = [_cell(run.inputs.get(name)) for name in inputs]
        cells += [run.state, f"{run.duration_s:.1f} s" if run.state == "done" else ""]
        cells += [_cell(value) if isinstance(value := run.values.get(name), _SCALARS) else "…" for name in returned]
        rows.append([*cells, clean_text(run.reason)])
    return [*inputs, "state", "time", *returned, ""], rows


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return clean_text(text)[:_CELL]


def sweep_record(sweep: Sequence[RunResult]) -> dict[str, Any]:
    """Return what the JSON record of a cell says of its sweep."""
    return {
        "runs": len(sweep),
        "done": sum(run.state == "done" for run in sweep),
        "failed": sum(run.state != "done" for run in sweep),
        "reused": sum(run.reused for run in sweep),
    }


class JsonRuns:
    """A display that writes one line of JSON for each run as it ends."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def open(self, state: BuildState, title: str) -> None:
        """Nothing to say yet."""

    def draw(self, state: BuildState, events: list[Event]) -> None:
        """Write the runs that ended."""
        for event in events:
            if isinstance(event, RunUpdate) and event.finished_at is not None:
                record = {
                    "schema": 1, "run": {
                        "key": event.key, "number": event.number, "inputs": clean_text(event.title),
                        "state": event.phase, "reason": clean_text(event.reason) or None, "reused": event.reused,
                        "log_tail": [clean_text(line) for line in event.log_tail],
                    },
                }  # fmt: skip
                self._write(json.dumps(record) + "\n")

    def close(self, state: BuildState) -> None:
        """The sweep's own line is the record of its cell."""
