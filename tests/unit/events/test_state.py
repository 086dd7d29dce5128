"""The state of a build is what its events say, however often a snapshot is repeated or dropped in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.events.event import (
    MAX_LINE_BYTES,
    Event,
    Finished,
    LogLine,
    RunOutput,
    StageUpdate,
    TransferUpdate,
)
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.result import BuildResult

SNAPSHOTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(StepUpdate, st.sampled_from("ab"), st.just("RUN"), st.none() | st.integers(1, 3), st.none() | st.just(3),
              st.sampled_from(["running", "done", "cached"])),
    st.builds(TransferUpdate, st.sampled_from("xy"), st.sampled_from(["pull", "push"]), current_bytes=st.integers(0, 9)),
    st.builds(StageUpdate, st.sampled_from(["export", "build"]), st.sampled_from(["running", "done"])),
    st.builds(BuildWarning, st.sampled_from(["one", "two"])),
)  # fmt: skip


@given(st.lists(SNAPSHOTS, max_size=12), st.data())
def test_a_snapshot_may_be_repeated_and_earlier_ones_dropped(events: list[Event], data: st.DataObject) -> None:
    whole = BuildState().apply_all(events)
    again = [event for event in events for _ in range(data.draw(st.integers(1, 2)))]
    assert BuildState().apply_all(again) == whole
    last = {(type(e), getattr(e, "step", None), getattr(e, "item", None), getattr(e, "verb", None), getattr(e, "stage", None)): e
            for e in events if not isinstance(e, BuildWarning)}  # fmt: skip
    merged = BuildState().apply_all([*(e for e in events if isinstance(e, BuildWarning)), *last.values()])
    assert (merged.steps, merged.transfers, merged.stages) == (whole.steps, whole.transfers, whole.stages)
    assert merged.warnings == whole.warnings


def test_the_first_event_begins_the_work_and_the_last_ends_it() -> None:
    state = BuildState()
    assert state.status == "waiting"
    assert state.apply(StageUpdate("export", "running")) is state
    assert state.status == "running"
    result = BuildResult("a")
    state.apply(Finished(result))
    assert (state.status, state.result) == ("done", result)


def test_the_log_is_bounded_and_tells_how_much_is_gone() -> None:
    state = BuildState(max_log_lines=3).apply_all(LogLine(number, str(number)) for number in range(5))
    assert [line.text for line in state.log] == ["2", "3", "4"]
    assert state.log_total == 5


def test_the_containers_last_words_are_kept() -> None:
    state = BuildState()
    for _ in range(3):
        state.apply(RunOutput("stdout", "x" * MAX_LINE_BYTES))
    state.apply(RunOutput("stderr", "end"))
    assert len(state.run_tail) == MAX_LINE_BYTES
    assert state.run_tail.endswith("xend")


@pytest.mark.parametrize("ending", ["failed", "cancelled"])
def test_what_was_running_ends_with_the_work(ending: str) -> None:
    state = BuildState().apply_all(
        [
            StageUpdate("export", "done"),
            StageUpdate("build", "running"),
            StepUpdate("1", "FROM", status="cached"),
            StepUpdate("2", "RUN", status="running"),
            StepUpdate("3", "COPY", status="waiting"),
        ]
    )
    error = ValueError("x")
    state.fail(error) if ending == "failed" else state.cancel()
    assert state.status == ending
    assert state.error is (error if ending == "failed" else None)
    assert state.stages == {"export": "done", "build": ending}
    assert [step.status for step in state.steps.values()] == ["cached", ending, "waiting"]


@pytest.mark.parametrize(
    ("steps", "fraction"),
    [
        ([], None),
        ([StepUpdate("1", "x")], None),
        ([StepUpdate("1", "x", 1, 4)], 0.0),
        ([StepUpdate("1", "x", 1, 4, "done"), StepUpdate("2", "x", 2, 4, "cached"), StepUpdate("3", "x", 3, 4)], 0.5),
        ([StepUpdate("1", "x", 1, 1, "done"), StepUpdate("2", "y", None, None, "done")], 1.0),
    ],
    ids=str,
)
def test_fraction(steps: list[StepUpdate], fraction: float | None) -> None:
    assert BuildState().apply_all(steps).fraction == fraction
    done = BuildState().apply_all([*steps, Finished(BuildResult("a"))])
    assert done.fraction == 1.0
