"""Blobs on the move: several at once, with what a person sees of it, and the manifest only after its blobs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, TransferUpdate

# The client imports requests: an image that no registry is asked for needs none of it.
if TYPE_CHECKING:
    from buildr_jupyter.registry.client import Registry

__all__ = ["ASK_BYTES", "Blob", "Work", "in_parallel", "push_blob", "push_blobs"]

WORKERS = 4
ASK_BYTES = 16 * 1024
"""A smaller blob is sent without asking whether it is there: that costs no more than the question."""


Work = Callable[[Callable[[Event], None]], None]
"""Something to do, given what tells of it."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob that a manifest names."""

    digest: str
    size_bytes: int
    local: Callable[[], Path]
    """Where its bytes are on this machine; fetches them from the base's registry when that is first needed."""
    mount_from: str | None = None
    """A repository of the same registry that has it."""


def push_blobs(
    registry: Registry, repository: str, blobs: Sequence[Blob], cancel: CancelToken
) -> Generator[Event, None, int]:
    """Bring the blobs into the repository, four at once; return how many bytes were sent.

    Raises PublishError and its kinds, BuildError for a base's layer that cannot be fetched, Cancelled.
    """
    sent: list[int] = []

    def one(blob: Blob, say: Callable[[Event], None]) -> None:
        if push_blob(registry, repository, blob, say, lambda: cancel.check("the push")):
            sent.append(blob.size_bytes)

    unique = list({blob.digest: blob for blob in blobs}.values())
    unique.sort(key=lambda blob: -blob.size_bytes)
    yield from in_parallel([partial(one, blob) for blob in unique], cancel)
    return sum(sent)


def push_blob(
    registry: Registry, repository: str, blob: Blob, say: Callable[[Event], None], check: Callable[[], None]
) -> bool:
    """Bring one blob into the repository; tell whether its bytes were sent. ``check`` may raise to stop.

    Raises as ``push_blobs``.
    """
    item = blob.digest.removeprefix("sha256:")[:12]

    def progress(done: int) -> None:
        check()
        say(TransferUpdate(item, "push", None, done, blob.size_bytes, "moving"))

    how = registry.upload(
        repository, blob.digest, blob.size_bytes, lambda: blob.local().open("rb"),
        mount_from=blob.mount_from, progress=progress, ask_bytes=ASK_BYTES,
    )  # fmt: skip
    say(TransferUpdate(item, "push", None, blob.size_bytes, blob.size_bytes, how))
    return how == "done"


def in_parallel(works: Sequence[Work], cancel: CancelToken, *, workers: int = WORKERS) -> Generator[Event, None, None]:
    """Do the works in threads, yielding what they say; the first that raises ends it, once the others have stopped.

    A work that has not begun by then is left out. Raises what the first raised, or Cancelled.
    """
    events: queue.Queue[Event | None] = queue.Queue()
    stop = threading.Event()
    errors: list[BaseException] = []

    def run(work: Work) -> None:
        try:
            if not stop.is_set() and not cancel.is_set():
                work(events.put)
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            errors.append(error)
            stop.set()
        finally:
            events.put(None)

    with ThreadPoolExecutor(max(1, min(workers, len(works))), thread_name_prefix="buildr-oci") as pool:
        try:
            for work in works:
                pool.submit(run, work)
            left = len(works)
            while left:
                event = events.get()
                if event is None:
                    left -= 1
                else:
                    yield event
        finally:
            stop.set()
    cancel.check()
    if errors:
        raise errors[0]
