"""A build with a handle: driven in the thread that waits for it, or in one of its own while the kernel stays free."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Callable, Generator
from typing import Literal

from buildr_jupyter.errors import Cancelled
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.driver import drive
from buildr_jupyter.pipeline.job import Display, ExportRequest
from buildr_jupyter.pipeline.stages import stream
from buildr_jupyter.process.workers import run_soon
from buildr_jupyter.runner import select

__all__ = ["Build"]

_LEAVE_S = 10.0
_alive: weakref.WeakSet[Build] = weakref.WeakSet()


class Build:
    """A build that was started or will be: ``cancel()``, ``result()``, ``status``, ``reference``."""

    def __init__(
        self,
        job: ExportRequest,
        displays: list[Display],
        *,
        work: Callable[[ExportRequest, CancelToken], Generator[Event, None, BuildResult]] = stream,
        after: Callable[[Build], object] | None = None,
        kept: bool = False,
        state: BuildState | None = None,
    ) -> None:
        """``work`` is what is driven; ``after`` is called at its end, good or bad, in the thread that drove it.

        ``kept``: what works goes on where this process leaves. ``state`` is one that goes on, of an earlier build.
        """
        self.kept = kept
        self.job, self._displays, self._work, self._after = job, displays, work, after
        self.reference = str(job.refs[0])
        self.state = state or BuildState()
        self.error: BaseException | None = None
        self._token = CancelToken()
        self._over = threading.Event()
        self._outcome: BuildResult | None = None

    @property
    def status(self) -> Literal["waiting", "running", "done", "failed", "cancelled"]:
        """Tell how far it is."""
        if self.error is not None and self.state.status in ("waiting", "running"):
            return "failed"  # refused before its state began: another build of this reference is at work
        return self.state.status

    @property
    def goes_on(self) -> bool:
        """Whether it goes on where this process leaves: in a process of its own, or as a run in a cluster."""
        if self.kept:
            return True
        started = self.state.stages.get("run") == "running"
        return started and not select(self.job.order().runs_on).capabilities().in_engine

    def cancel(self) -> None:
        """Ask it to stop; returns at once, and does nothing to a build that is over."""
        if not self._over.is_set():
            self._token.set()

    def result(self, timeout_s: float | None = None) -> BuildResult:
        """Wait for the end and return the result; raises what the build raised, TimeoutError where it goes on."""
        if not self._over.wait(timeout_s):
            raise TimeoutError(f"{self.reference} is not finished after {timeout_s} s")
        if self.error is not None:
            raise self.error
        assert self._outcome is not None
        return self._outcome

    def run(self) -> BuildResult:
        """Drive it to its end in this thread; an interrupt cancels it."""
        try:
            self._outcome = drive(self.job, self._displays, cancel=self._token, work=self._work, state=self.state)
            return self._outcome
        except BaseException as error:
            self.error = error
            raise
        finally:
            self._over.set()
            if self._after:
                self._after(self)

    def start(self) -> Build:
        """Drive it in a thread of its own; where the process leaves before its end, it is cancelled."""
        if not _alive:
            atexit.register(_leave)
        _alive.add(self)
        run_soon(self._run_quietly, name=f"buildr {self.reference}")
        return self

    def _run_quietly(self) -> None:
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001 - kept: result() raises it, and the displays have shown it
            self.error = error

    def __repr__(self) -> str:
        return f"Build({self.reference!r}, {self.status})"


def _leave() -> None:
    """Cancel what still runs here and give it a moment to end: nothing half-made stays in an engine."""
    running = [build for build in list(_alive) if build.status in ("waiting", "running") and not build.goes_on]
    for build in running:
        build.cancel()
    for build in running:
        try:
            build.result(_LEAVE_S)
        except (TimeoutError, Cancelled):
            continue
        except BaseException:  # noqa: BLE001, S112 - the process ends; the error was shown
            continue
