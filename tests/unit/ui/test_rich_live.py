from __future__ import annotations

import io

from rich.console import Console

from buildr_jupyter.events.event import LogLine, RunOutput
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.ui.rich_live import LiveDisplay


def drawn(*, terminal: bool) -> tuple[str, list[str]]:
    out, said = io.StringIO(), []
    window = LiveDisplay(
        Console(file=out, force_terminal=terminal, width=80), output=lambda event: said.append(event.text)
    )
    state = BuildState()
    window.open(state, "app:1\x1b]0;t\x07")
    events = [
        StepUpdate("1", "RUN [bold]x[/bold]", 1, 2),
        LogLine(0, "hello [red]\x1b[2J", "1"),
        RunOutput("stdout", "ran\n"),
    ]
    window.draw(state.apply_all(events), events)
    window.close(state.fail(ValueError()))
    return out.getvalue(), said


def test_lines_stay_and_a_head_moves_below_them() -> None:
    text, said = drawn(terminal=True)
    assert "[1/2] RUN [bold]x[/bold]" in text
    assert "    hello [red]" in text
    assert "app:1 · running" in text
    assert "\x1b[2J" not in text.replace("\x1b[2K", "")
    assert "\x1b]0;" not in text
    assert said == ["ran\n"]


def test_where_it_is_no_terminal_only_the_lines_are_written() -> None:
    text, _ = drawn(terminal=False)
    assert text.splitlines()[:2] == ["buildr: app:1", "[1/2] RUN [bold]x[/bold]"]
    assert "\x1b" not in text
