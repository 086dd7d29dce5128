"""A live display for a terminal, drawn by rich: the log scrolls, what runs and the bar stand below it."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.ui.plain import TextDisplay, write_output
from buildr_jupyter.ui.sanitize import clean_text
from buildr_jupyter.ui.step_titles import step_title

__all__ = ["LiveDisplay"]


class LiveDisplay:
    """Plain lines above, a moving head below; where it ends, only the lines stay."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        output: Callable[[RunOutput], object] = write_output,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``console`` is rich's; ``output`` takes what the running container prints."""
        self._console = console or Console()
        self._clock = clock
        self._lines = TextDisplay(self._write, output=output)
        self._live: Live | None = None
        self._title = ""
        self._began = 0.0

    def _write(self, text: str) -> None:
        self._console.print(Text(text.rstrip("\n")), soft_wrap=True)

    def open(self, state: BuildState, title: str) -> None:
        """Say what is built and begin to draw."""
        self._title, self._began = clean_text(title), self._clock()
        self._lines.open(state, title)
        self._live = Live(self._head(state), console=self._console, transient=True, auto_refresh=False)
        self._live.start()

    def draw(self, state: BuildState, events: list[Event]) -> None:
        """Write the new lines and draw the head anew."""
        self._lines.draw(state, events)
        if self._live:
            self._live.update(self._head(state), refresh=True)

    def close(self, state: BuildState) -> None:
        """Take the head away and say how it ended."""
        if self._live:
            self._live.stop()
            self._live = None
        self._lines.close(state)

    def _head(self, state: BuildState) -> Group:
        running = next((step for step in reversed(state.steps.values()) if step.status == "running"), None)
        seconds = self._clock() - self._began
        words = f"{self._title} · {state.status} · {seconds:.0f} s"
        fraction = state.fraction
        bar = ProgressBar(total=1.0, completed=fraction or 0.0, pulse=fraction is None, width=40)
        step = Text(step_title(running.title) if running else "", style="dim", no_wrap=True, overflow="ellipsis")
        return Group(Text(words, style="bold"), bar, step)
