"""Silence is noticed, asked about, and ended; a quiet step is left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from buildr_jupyter.engine.stall import StallDetector
from buildr_jupyter.errors import EngineError, EngineUnavailable


def watch(ask: Callable[[], object] | None, *, idle_s: float | None) -> tuple[StallDetector, threading.Event]:
    ended = threading.Event()
    made = StallDetector(
        ended.set, ask=ask, ask_after_s=0.05, idle=lambda: EngineError("said nothing"), idle_s=idle_s
    )  # fmt: skip
    return made, ended


def gone() -> None:
    raise EngineUnavailable("gone")


def test_an_engine_that_answers_is_only_quiet() -> None:
    asked = threading.Semaphore(0)
    made, ended = watch(asked.release, idle_s=None)
    for _ in range(3):
        assert asked.acquire(timeout=10)
    assert not ended.is_set()
    made.close()
    assert made.reason is None


def test_an_engine_that_is_gone_ends_the_wait() -> None:
    made, ended = watch(gone, idle_s=None)
    assert ended.wait(10)
    made.close()
    assert isinstance(made.reason, EngineUnavailable)


@pytest.mark.parametrize("ask", [None, lambda: None])
def test_whoever_is_there_may_not_be_silent_for_ever(ask: Callable[[], object] | None) -> None:
    made, ended = watch(ask, idle_s=0.2)
    assert ended.wait(10)
    made.close()
    assert str(made.reason) == "said nothing"


def test_who_speaks_is_not_asked() -> None:
    asked = []
    made, ended = watch(lambda: asked.append(1), idle_s=1.0)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        made.heard()
        time.sleep(0.002)
    made.close()
    assert not ended.is_set()
    assert len(asked) <= 1  # a machine that stands still for a moment may ask once


def test_words_that_come_while_it_is_asked_count() -> None:
    def ask() -> None:
        made.heard()
        gone()

    asked = threading.Event()
    made, ended = watch(lambda: (asked.set(), ask()), idle_s=None)
    assert asked.wait(10)
    assert not ended.wait(0.02)
    made.close()
    assert made.reason is None


def test_closing_ends_the_thread() -> None:
    before = threading.active_count()
    for _ in range(20):
        watch(gone, idle_s=60)[0].close()
    assert threading.active_count() == before
