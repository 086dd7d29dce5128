from __future__ import annotations

import threading

import pytest

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Finished, LogLine, RunOutput, StageUpdate, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.result import BuildResult


def test_snapshots_merge_and_replay_without_harm() -> None:
    events = [
        StageUpdate("build", "running"),
        StepUpdate("1", "FROM x", 1, 2, "running", 10.0),
        StepUpdate("1", "FROM x", 1, 2, "done", 10.0, 12.5),
        StepUpdate("2", "RUN y", 2, 2, "running", 12.5),
        TransferUpdate("abc", "pull", current_bytes=5, total_bytes=10),
        TransferUpdate("abc", "pull", current_bytes=10, total_bytes=10, status="done"),
        BuildWarning("odd"),
    ]
    once, twice = BuildState().apply_all(events), BuildState().apply_all([*events, *events])
    assert once.steps == twice.steps
    assert once.transfers == twice.transfers
    assert once.warnings == twice.warnings == [BuildWarning("odd")]
    assert once.steps["1"].duration_s == 2.5
    assert once.steps["2"].duration_s is None
    assert once.fraction == 0.5


def test_the_log_is_bounded_and_counted() -> None:
    state = BuildState(max_log_lines=10)
    state.apply_all(LogLine(i, f"line {i}") for i in range(1000))
    assert state.log_total == 1000
    assert [line.text for line in state.log] == [f"line {i}" for i in range(990, 1000)]


def test_the_runs_output_is_bounded() -> None:
    state = BuildState().apply_all(RunOutput("stdout", "x" * 1000) for _ in range(200))
    assert len(state.run_tail) == 64 * 1024


def test_failing_marks_what_was_running() -> None:
    state = BuildState().apply_all(
        [StageUpdate("build", "running"), StepUpdate("1", "a", status="done"), StepUpdate("2", "b")]
    )
    state.fail(ValueError("no"))
    assert state.status == "failed"
    assert state.stages == {"build": "failed"}
    assert [step.status for step in state.steps.values()] == ["done", "failed"]
    assert BuildState().apply(StepUpdate("1", "a")).cancel().steps["1"].status == "cancelled"


def test_finished_ends_it() -> None:
    state = BuildState().apply(Finished(BuildResult("x:latest")))
    assert state.status == "done"
    assert state.fraction == 1.0


def test_a_token_calls_back_once_from_the_thread_that_sets_it() -> None:
    token, called = CancelToken(), []
    token.on_cancel(lambda: called.append(threading.current_thread().name))
    remove = token.on_cancel(lambda: called.append("removed"))
    remove()
    thread = threading.Thread(target=token.set, name="other")
    thread.start()
    thread.join()
    token.set()
    assert called == ["other"]
    assert token.is_set()
    token.on_cancel(lambda: called.append("late"))
    assert called == ["other", "late"]


def test_one_failing_callback_does_not_keep_the_others() -> None:
    token, called = CancelToken(), []

    def fail() -> None:
        raise OSError("gone")

    token.on_cancel(fail)
    token.on_cancel(lambda: called.append(1))
    with pytest.raises(ExceptionGroup):
        token.set()
    assert called == [1]
