from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from buildr_jupyter.errors import BuildBusy, BuildError, Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.driver import drive_events

REFS = (ImageRef.parse("app:1"), ImageRef.parse("app:2"))


class Display:
    """Keeps what it was told, and in which thread."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.said: list[str] = []
        self.threads: set[int] = set()

    def open(self, state: BuildState, title: str) -> None:
        self.said.append(f"open {title} {state.status}")

    def draw(self, state: BuildState, events: list[Event]) -> None:
        self.events += events
        self.threads.add(threading.get_ident())

    def close(self, state: BuildState) -> None:
        self.said.append(f"close {state.status}")


def drive(
    work: Generator[Event, None, BuildResult], display: Display, cancel: CancelToken | None = None
) -> BuildResult:
    return drive_events(work, REFS, [display], cancel=cancel or CancelToken())


def lines(count: int) -> Generator[Event, None, BuildResult]:
    yield from (LogLine(number, str(number)) for number in range(count))
    return BuildResult("app:1")


def test_every_event_is_drawn_once_in_order_from_the_callers_thread() -> None:
    display, worker = Display(), []

    def work() -> Generator[Event, None, BuildResult]:
        worker.append(threading.get_ident())
        return (yield from lines(500))

    assert drive(work(), display) == BuildResult("app:1")
    assert [event.seq for event in display.events if isinstance(event, LogLine)] == list(range(500))
    assert display.threads == {threading.get_ident()}
    assert worker != [threading.get_ident()]
    assert display.said[0] == "open app:1 waiting"


def test_a_failure_is_raised_and_told_to_the_display() -> None:
    def work() -> Generator[Event, None, BuildResult]:
        yield LogLine(0, "before")
        raise BuildError("Image build failed: no")

    display = Display()
    with pytest.raises(BuildError, match="no"):
        drive(work(), display)
    assert [type(event) for event in display.events] == [LogLine]
    assert display.said[-1] == "close failed"


def test_what_was_cancelled_says_so() -> None:
    cancel, display = CancelToken(), Display()

    def work() -> Generator[Event, None, BuildResult]:
        yield LogLine(0, "before")
        cancel.set()
        raise Cancelled("the build was cancelled")

    with pytest.raises(Cancelled):
        drive(work(), display, cancel)
    assert display.said[-1] == "close cancelled"


def test_an_interrupt_cancels_the_work_and_waits_for_its_end() -> None:
    ended = threading.Event()
    cancel = CancelToken()

    def work() -> Generator[Event, None, BuildResult]:
        try:
            yield LogLine(0, "before")
            stopped = threading.Event()
            undo = cancel.on_cancel(stopped.set)
            assert stopped.wait(60)
            undo()
            raise Cancelled("the build was cancelled")
        finally:
            ended.set()

    class Interrupts(Display):
        def draw(self, state: BuildState, events: list[Event]) -> None:
            raise KeyboardInterrupt

    display = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        drive(work(), display, cancel)
    assert cancel.is_set()
    assert ended.wait(60)
    assert display.said[-1] == "close cancelled"


def test_a_reference_is_built_once_at_a_time_and_free_afterwards() -> None:
    refused = []

    def work() -> Generator[Event, None, BuildResult]:
        with pytest.raises(BuildBusy, match="app:2 is being built already") as caught:
            drive_events(lines(1), REFS[1:], [], cancel=CancelToken())
        refused.append(caught.value.handle)
        return (yield from lines(1))

    state = BuildState()
    drive_events(work(), REFS, [], cancel=CancelToken(), state=state)
    assert refused == [state], "the error leads to the build that is at work"
    assert drive_events(lines(1), REFS[1:], [], cancel=CancelToken()) == BuildResult("app:1")
