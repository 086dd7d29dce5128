from __future__ import annotations

from buildr_jupyter.errors import BuildError
from buildr_jupyter.events import BuildState, Finished, LogLine, RunOutput, StageUpdate, StepUpdate, TransferUpdate
from buildr_jupyter.model import BuildResult
from buildr_jupyter.widgets import PaneWindow


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def pane(clock: Clock) -> tuple[PaneWindow, list[object], list[str]]:
    shown: list[object] = []
    output: list[str] = []
    return PaneWindow(shown.append, output=lambda event: output.append(event.text), clock=clock), shown, output


def test_it_is_shown_before_anything_happens_and_painted_at_most_five_times_a_second() -> None:
    clock = Clock()
    window, shown, _ = pane(clock)
    state = BuildState()
    window.open(state, "app:latest")
    assert shown == [window.widget]
    assert "app:latest" in window.head.value
    painted = window.log.value
    for number in range(100):
        state.apply(LogLine(number, f"line {number}"))
        window.draw(state, [])
    assert window.log.value == painted
    clock.now += 0.2
    window.draw(state, [])
    assert "line 99" in window.log.value


def test_what_is_sent_is_bounded_by_the_tail() -> None:
    clock = Clock()
    window, _, _ = pane(clock)
    state = BuildState().apply_all(LogLine(i, "x" * 1000) for i in range(30_000))
    window.close(state)
    assert len(window.log.value) < 80_000
    assert "29800 lines above" in window.log.value


def test_the_bar_never_goes_back_and_stays_red() -> None:
    window, _, _ = pane(Clock())
    state = BuildState().apply_all([StepUpdate("1", "a", 1, 2, "done"), StepUpdate("2", "b", 2, 2)])
    window.open(state, "app")
    assert window.bar.value == 0.5
    state.apply(StepUpdate("3", "c", 3, 4))
    state.apply(StageUpdate("build", "running"))
    window.close(state.fail(BuildError("Image build failed: no", hint="mend <it>")))
    assert window.bar.value == 0.5
    assert window.bar.bar_style == "danger"
    assert "Image build failed: no" in window.head.value
    assert "mend &lt;it&gt;" in window.head.value


def test_nothing_from_outside_becomes_markup() -> None:
    hostile = "<img src=x onerror=alert(1)>\x1b]0;t\x07"
    window, _, _ = pane(Clock())
    state = BuildState().apply_all([StepUpdate("1", hostile), LogLine(0, hostile), TransferUpdate(hostile, "push")])
    window.open(state, hostile)
    window.close(state.fail(BuildError(hostile)))
    markup = window.head.value + window.steps.value + window.log.value
    assert "<img" not in markup
    assert "\x1b" not in markup
    assert markup.count("&lt;img") == 5


def test_success_folds_the_steps_and_the_runs_output_goes_out() -> None:
    window, _, output = pane(Clock())
    state = BuildState()
    window.open(state, "app")
    window.draw(state.apply(RunOutput("stdout", "hello\n")), [RunOutput("stdout", "hello\n")])
    window.close(state.apply_all([StepUpdate("1", "a", 1, 1, "cached"), Finished(BuildResult("app"))]))
    assert output == ["hello\n"]
    assert "<details>" in window.steps.value
    assert window.log.value == ""
    assert window.bar.bar_style == "success"
