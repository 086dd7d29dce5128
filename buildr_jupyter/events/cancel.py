"""Cancellation: a token that any thread may set."""

from __future__ import annotations

import threading
from collections.abc import Callable

from buildr_jupyter.errors import Cancelled

__all__ = ["CancelToken"]


class CancelToken:
    """Asks work in another thread to stop.

    ``set()`` may be called from any thread and more than once. What the working side hangs on it with ``on_cancel``
    is called once, in the thread that sets the token (at once, if it is already set): close a socket, ask an engine
    to cancel, end a child.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Ask for the stop; errors of one callback do not keep the others from being called."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        errors = []
        for callback in callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - whatever one raises, the others are called
                errors.append(error)
        if errors:
            raise ExceptionGroup("what was to be stopped did not stop cleanly", errors)

    def is_set(self) -> bool:
        """Tell whether the stop was asked for."""
        return self._event.is_set()

    def check(self, what: str = "the work") -> None:
        """Raise Cancelled if the stop was asked for; ``what`` is what was cancelled."""
        if self._event.is_set():
            raise Cancelled(f"{what} was cancelled")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is set, at most ``timeout_s`` seconds; tell whether it is."""
        return self._event.wait(timeout_s)

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when the token is set; return what takes it off again."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return lambda: self._remove(callback)
        callback()
        return lambda: None

    def _remove(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
