"""Stall detector: notices when a peer has gone silent, and asks whether it is still there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from buildr_jupyter.errors import BuildrError
from buildr_jupyter.process.workers import run_soon

__all__ = ["StallDetector"]


class StallDetector:
    """Calls ``end`` once, from a thread of its own, when nothing was heard for too long; ``reason`` says why.

    After ``ask_after_s`` seconds of silence, and again after as many, ``ask`` is called, which raises a BuildrError
    where nobody is there any more. After ``idle_s`` seconds (None: never) ``idle`` makes the error. ``close`` ends the
    watch and waits for its thread, which lasts no longer than ``ask`` does.
    """

    def __init__(
        self,
        end: Callable[[], None],
        *,
        ask: Callable[[], object] | None,
        ask_after_s: float,
        idle: Callable[[], BuildrError],
        idle_s: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._end, self._ask, self._ask_after_s = end, ask, ask_after_s
        self._idle, self._idle_s, self._clock = idle, idle_s, clock
        self.reason: BuildrError | None = None
        self._heard_at = clock()
        self._closed = threading.Event()
        self._thread = run_soon(self._watch, name="buildr-silence")

    def heard(self) -> None:
        """Take note that something came; cheap enough for every piece of a stream."""
        self._heard_at = self._clock()

    def close(self) -> None:
        """End the watch."""
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        asked_at = self._heard_at
        while not self._closed.wait(self._wait_s(asked_at)):
            now = self._clock()
            if self._idle_s is not None and now - self._heard_at >= self._idle_s:
                self._stop(self._idle())
                return
            if self._ask is not None and now - max(self._heard_at, asked_at) >= self._ask_after_s:
                try:
                    self._ask()
                except BuildrError as error:
                    if self._heard_at <= now:  # else it spoke meanwhile
                        self._stop(error)
                        return
                asked_at = self._clock()

    def _wait_s(self, asked_at: float) -> float | None:
        now, waits = self._clock(), []
        if self._idle_s is not None:
            waits.append(self._heard_at + self._idle_s - now)
        if self._ask is not None:
            waits.append(max(self._heard_at, asked_at) + self._ask_after_s - now)
        return max(0.01, min(waits)) if waits else None

    def _stop(self, reason: BuildrError) -> None:
        if not self._closed.is_set():
            self.reason = reason
            self._end()
