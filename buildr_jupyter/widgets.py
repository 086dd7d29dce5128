"""The pane in a notebook: state, one progress bar, steps and the end of the log, drawn from ``BuildState``.

One writer (the thread that calls ``draw``), whole snapshots, at most five a second: what is sent is bounded by the
tail that is shown and not by what the build prints. Every text is escaped.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable

import ipywidgets

from buildr_jupyter.display import clean_text, show_size, show_title, write_output
from buildr_jupyter.events import BuildState, Event, RunOutput

__all__ = ["PaneWindow"]

_TAIL_LINES = 200
_TAIL_CHARS = 64 * 1024
_MARKS = {"done": "✓", "cached": "≡", "failed": "✗", "cancelled": "-", "running": "▸", "waiting": "·"}
_ROW = 'style="white-space:nowrap;overflow:hidden;text-overflow:ellipsis"'
_COLOURS = {"failed": "danger", "cancelled": "warning", "done": "success"}


class PaneWindow:
    """A widget pane under the cell; ``widget`` is what is displayed."""

    def __init__(
        self,
        show: Callable[[object], None],
        *,
        output: Callable[[RunOutput], object] = write_output,
        clock: Callable[[], float] = time.monotonic,
        interval_s: float = 0.2,
    ) -> None:
        """``show`` displays the widget; ``output`` takes what the running container prints."""
        self._show, self._output, self._clock, self._interval_s = show, output, clock, interval_s
        self._title = ""
        self._started = self._drawn_at = clock()
        self.head = ipywidgets.HTML()
        self.bar = ipywidgets.FloatProgress(min=0.0, max=1.0, layout=ipywidgets.Layout(width="100%"))
        self.steps = ipywidgets.HTML()
        self.log = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self.head, self.bar, self.steps, self.log])

    def open(self, state: BuildState, title: str) -> None:
        """Show the pane before anything has happened."""
        self._title = title
        self._started = self._clock()
        self._paint(state)
        self._show(self.widget)

    def draw(self, state: BuildState, events: list[Event]) -> None:
        """Show the present state, unless it was shown a moment ago; the container's output goes out at once."""
        for event in events:
            if isinstance(event, RunOutput):
                self._output(event)
        if self._clock() - self._drawn_at >= self._interval_s:
            self._paint(state)

    def close(self, state: BuildState) -> None:
        """Show the end; a failure keeps its red bar and the last lines of the log."""
        self._paint(state)

    def _paint(self, state: BuildState) -> None:
        self._drawn_at = self._clock()
        with self.widget.hold_trait_notifications():
            self.head.value = self._render_head(state)
            self.bar.bar_style = _COLOURS.get(state.status, "info")
            self.bar.value = max(self.bar.value, state.fraction or 0.0)
            self.steps.value = _render_steps(state)
            self.log.value = _render_log(state) if state.status != "done" else ""

    def _render_head(self, state: BuildState) -> str:
        seconds = self._clock() - self._started
        status = html.escape(state.status)
        error = f"<div><b>{html.escape(clean_text(str(state.error)))}</b></div>" if state.error else ""
        hint = getattr(state.error, "hint", None)
        error += f"<div>hint: {html.escape(clean_text(hint))}</div>" if hint else ""
        warnings = "".join(f"<div>⚠ {html.escape(clean_text(w.text))}</div>" for w in state.warnings[:10])
        title = html.escape(clean_text(self._title))
        return f'<div role="status"><b>{title}</b> · {status} · {seconds:.1f} s</div>{error}{warnings}'


def _render_steps(state: BuildState) -> str:
    rows = []
    for step in list(state.steps.values())[-50:]:
        took = f" · {step.duration_s:.1f} s" if step.duration_s is not None else ""
        rows.append(f"<div {_ROW}>{_MARKS[step.status]} {html.escape(show_title(step.title))}{took}</div>")
    for transfer in list(state.transfers.values())[-20:]:
        total = f" of {show_size(transfer.total_bytes)}" if transfer.total_bytes else ""
        moved = f"{show_size(transfer.current_bytes)}{total}" if transfer.current_bytes else ""
        rows.append(
            f"<div {_ROW}>{transfer.verb} {html.escape(clean_text(transfer.item))}: {transfer.status} {moved}</div>"
        )
    if not rows:
        return ""
    block = f'<div style="font-family:monospace;line-height:1.5">{"".join(rows)}</div>'
    if state.status != "done":
        return block
    cached = sum(1 for step in state.steps.values() if step.status == "cached")
    return f"<details><summary>{len(state.steps)} steps, {cached} cached</summary>{block}</details>"


def _render_log(state: BuildState) -> str:
    lines = [state.log[i].text for i in range(max(0, len(state.log) - _TAIL_LINES), len(state.log))]
    if not lines:
        return ""
    folded = state.log_total - len(lines)
    text = "\n".join(clean_text(line) for line in lines)[-_TAIL_CHARS:]
    above = f"<div>… {folded} lines above</div>" if folded else ""
    style = "max-height:20em;overflow:auto;margin:0;white-space:pre-wrap"
    return f'{above}<pre style="{style}" role="log">{html.escape(text)}</pre>'
