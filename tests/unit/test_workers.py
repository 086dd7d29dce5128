"""Threads that are used again, and are as new each time."""

from __future__ import annotations

import contextvars
import os
import threading

import pytest

from buildr_jupyter.workers import run_soon

VARIABLE = contextvars.ContextVar("VARIABLE", default="new")


def test_one_after_another_use_one_thread() -> None:
    seen: list[tuple[int | None, str, str]] = []

    def work() -> None:
        seen.append((threading.get_native_id(), threading.current_thread().name, VARIABLE.get()))
        VARIABLE.set("used")

    for number in range(20):
        task = run_soon(work, name=f"job {number}")
        task.join(10)
        assert not task.is_alive()
    assert len({ident for ident, _, _ in seen}) == 1
    assert [name for _, name, _ in seen] == [f"job {number}" for number in range(20)]
    assert {value for _, _, value in seen} == {"new"}


def test_those_at_once_have_a_thread_each() -> None:
    together = threading.Barrier(8)
    tasks = [run_soon(lambda: together.wait(10), name="x") for _ in range(8)]
    for task in tasks:
        task.join(10)
        assert not task.is_alive()
    assert not together.broken


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_is_told_and_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    run_soon(lambda: 1 / 0, name="x").join(10)
    done = threading.Event()
    run_soon(done.set, name="x").join(10)
    assert done.is_set()
    assert told == [ZeroDivisionError]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_has_workers_of_its_own() -> None:
    run_soon(lambda: None, name="x").join(10)
    child = os.fork()
    if child == 0:
        task = run_soon(lambda: None, name="x")
        task.join(10)
        os._exit(int(task.is_alive()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
