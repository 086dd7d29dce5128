"""Worker threads that are used again: each new thread costs memory that the allocator never gives back.

A thread gets an arena of malloc's of its own, some 16 KiB that stay when it ends; a kernel that builds a thousand times
would keep a thousand of them.
"""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from collections.abc import Callable

__all__ = ["Task", "run_soon"]


class Task:
    """Something that a worker does; as a thread is, it can be waited for."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def is_alive(self) -> bool:
        """Tell whether it goes on."""
        return not self._over.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most so many seconds."""
        self._over.wait(timeout)

    def _end(self) -> None:
        self._over.set()


class _Worker(threading.Thread):
    def __init__(self) -> None:
        super().__init__(name="buildr-worker", daemon=True)
        self.orders: queue.SimpleQueue[tuple[Task, Callable[[], object], str]] = queue.SimpleQueue()

    def run(self) -> None:
        while True:
            task, work, self.name = self.orders.get()
            try:
                contextvars.Context().run(work)  # as in a thread of its own: nothing is left of what was set before
            except BaseException as error:  # noqa: BLE001 - shown as the end of any thread is
                threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self)))
            finally:
                del work
                self.name = "buildr-worker"
                with _lock:
                    _idle.append(self)
                task._end()
                del task


_lock = threading.Lock()
_idle: list[_Worker] = []


def run_soon(work: Callable[[], object], *, name: str) -> Task:
    """Have ``work`` done in a thread beside this one, at once, and return the task; the process does not wait for it.

    A worker that is free is taken, the last one first; where none is, there is one more.
    """
    task = Task()
    with _lock:
        worker = _idle.pop() if _idle else None
    if worker is None:
        worker = _Worker()
        worker.start()
    worker.orders.put((task, work, name))
    return task


def _forked() -> None:
    """Forget the workers in a child: no thread but one came along."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
