"""Driver: work in a worker thread, its events drawn by displays in the calling one."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

from buildr_jupyter.errors import BuildBusy, Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.job import Display, ExportRequest
from buildr_jupyter.pipeline.stages import stream
from buildr_jupyter.process import memory
from buildr_jupyter.process.workers import Task, run_soon

__all__ = ["drive", "drive_events"]


_active: dict[str, BuildState] = {}

_active_lock = threading.Lock()


@contextmanager
def _claim(refs: tuple[ImageRef, ...], state: BuildState) -> Generator[None, None, None]:
    names = [str(ref) for ref in refs]
    with _active_lock:
        for name in names:
            if name in _active:
                raise BuildBusy(
                    f"{name} is being built already", handle=_active[name], hint="wait for it, or cancel it"
                )
        _active.update(dict.fromkeys(names, state))
    try:
        yield
    finally:
        with _active_lock:
            for name in names:
                _active.pop(name, None)


_END = object()

_QUEUED = 10_000  # events between worker and displays: a builder that floods waits, and memory stays level

_STOP_WAIT_S = 30.0


def drive(
    job: ExportRequest,
    displays: list[Display],
    *,
    cancel: CancelToken | None = None,
    clock: Callable[[], float] = time.monotonic,
    interval_s: float = 0.05,
    work: Callable[[ExportRequest, CancelToken], Generator[Event, None, BuildResult]] = stream,
    state: BuildState | None = None,
) -> BuildResult:
    """Run ``work`` for a request as ``drive_events`` does; ``state`` is what the events are reduced into."""
    cancel = cancel or CancelToken()
    return drive_events(
        work(job, cancel), job.refs, displays, cancel=cancel, clock=clock, interval_s=interval_s, state=state
    )


def drive_events(
    generator: Generator[Event, None, BuildResult],
    refs: tuple[ImageRef, ...],
    displays: list[Display],
    *,
    cancel: CancelToken,
    clock: Callable[[], float] = time.monotonic,
    interval_s: float = 0.05,
    state: BuildState | None = None,
) -> BuildResult:
    """Run the generator in a worker thread and draw the displays from this one, at most every ``interval_s`` seconds.

    The references ``refs`` are claimed meanwhile: raises BuildBusy where one of them is being built already. An
    interrupt sets ``cancel``, waits for the work to end, and goes on as KeyboardInterrupt.
    """
    state = BuildState() if state is None else state
    events: queue.Queue[object] = queue.Queue(maxsize=_QUEUED)
    outcome: list[BuildResult | BaseException] = []
    worker: Task | None = None
    with _claim(refs, state):
        for display in displays:
            display.open(state, str(refs[0]))
        try:
            worker = run_soon(lambda: _work(generator, events, outcome), name="buildr-build")
            _follow(events, state, displays, clock, interval_s)
            worker.join()
            if isinstance(outcome[0], BaseException):
                raise outcome[0]
        except (KeyboardInterrupt, Cancelled):
            state.cancel()
            if worker is not None:
                _stop(worker, events, cancel)
            raise
        except BaseException as error:
            state.fail(error)
            raise
        finally:
            for display in displays:
                display.close(state)
            memory.give_back()
    return outcome[0]


def _stop(worker: Task, events: queue.Queue[object], cancel: CancelToken) -> None:
    """Cancel the work and wait for its end, taking from the queue what it still says."""
    try:
        cancel.set()
    finally:
        deadline = time.monotonic() + _STOP_WAIT_S
        while worker.is_alive() and time.monotonic() < deadline:
            with suppress(queue.Empty):
                events.get(timeout=0.05)


def _work(
    generator: Generator[Event, None, BuildResult],
    events: queue.Queue[object],
    outcome: list[BuildResult | BaseException],
) -> None:
    try:
        while True:
            events.put(next(generator))
    except StopIteration as stop:
        outcome.append(stop.value)
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
        outcome.append(error)
    finally:
        events.put(_END)


def _follow(
    events: queue.Queue[object],
    state: BuildState,
    displays: list[Display],
    clock: Callable[[], float],
    interval_s: float,
) -> None:
    """Reduce events until the end, handing them to the displays in batches."""
    batch: list[Event] = []
    drawn_at, more = clock(), False
    while True:
        try:
            event = events.get(timeout=max(0.0, interval_s - (clock() - drawn_at)) if batch or more else 0.5)
        except queue.Empty:
            event = None
        if event is not None and event is not _END:
            state.apply(event)  # type: ignore[arg-type]
            batch.append(event)  # type: ignore[arg-type]
        if event is _END or event is None or clock() - drawn_at >= interval_s:
            asked = [display.draw(state, batch) for display in displays]
            more = any(asked)
            batch, drawn_at = [], clock()
        if event is _END:
            return
