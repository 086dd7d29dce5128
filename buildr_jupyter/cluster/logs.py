"""Logs of containers, line by line: none lost and none twice, however often the stream ends before the container does.

A followed log ends early as a matter of course: at once and empty while the kubelet does not know the container yet,
with an error while it is made, and in mid-line where a connection breaks. It is over only where the container was seen
to have ended *before* the log was read, and two readings after that found the same: a node says that a container has
ended while the last of its lines, thousands on a busy node, may still be on their way to the file.
A log that is read again begins at its beginning; the lines that are known are skipped by their number, or, where the
node has put the older part away meanwhile, by their times. Where lines are missing, or may be, that is said.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

from buildr_jupyter.cluster.answers import LogNotReady
from buildr_jupyter.cluster.client import ClusterClient
from buildr_jupyter.errors import ClusterNotFound, ClusterUnavailable
from buildr_jupyter.events.cancel import CancelToken

__all__ = ["iter_lines", "read_tail"]

_TIMED = re.compile(rb"\d{4}-\d\d-\d\dT\S+ ")
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_SETTLE_S = 0.3
"""Between two readings that must find the same, for the log to be over."""
_HALF_LINE_S = 5.0
"""So long a last line without a line end may get one; a node ends the last line by itself."""
_REFUSALS = 8
"""So often a node may say words in place of the log of a container that has ended."""


class _Words(Exception):
    """Words of a node where a line of the program should be."""


def iter_lines(
    client: ClusterClient,
    pod: str,
    container: str,
    has_ended: Callable[[], bool],
    cancel: CancelToken,
    *,
    say: Callable[[str], object],
    is_over: Callable[[], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[bytes]:
    """Yield the lines of a container's log as they come, each with its line end, until it has ended or is gone.

    ``has_ended`` tells whether the container was seen to have ended, ``is_over`` (the same, by default) whether what
    runs after it in the pod has: the log is read for the last time then. A last line without a line end is given one.
    ``say`` is given a sentence where lines are missing or may be. Raises what the client raises; a connection that
    breaks is made again.
    """
    known, over = _Known(), is_over or has_ended
    pause, settled, told, half_since, refusals = _PAUSE_S, False, False, None, 0
    while not cancel.is_set():
        ended, last, broken = has_ended(), over(), False
        before = known.count
        known.begin()
        rest = b""
        try:
            for chunk in client.read_log(pod, container, cancel, follow=not ended):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    _refuse_words(line)
                    if known.is_new(line):
                        yield _text(line) + b"\n"
            if ended and rest:
                _refuse_words(rest)
        except ClusterNotFound:  # the pod is gone, and its log with it
            if ended and not settled:
                say(f"pod {pod} was removed before its log was read to its end: lines may be missing")
            return
        except _Words as words:
            broken = True
            refusals += ended
            if refusals == _REFUSALS:
                say(f"the node does not give the rest of the log of pod {pod}, lines are missing: {words}")
                return
        except (ConnectionError, LogNotReady, ClusterUnavailable):
            broken = True
        if known.is_put_away and not told:
            told = True
            say(f"the node put a part of the log of pod {pod} away while it was read: lines may be missing there")
        new = known.count > before
        if not ended or broken:
            pause = _PAUSE_S if new else min(2 * pause, _LONGEST_PAUSE_S)
            settled = False
        else:
            half_since = (half_since or clock()) if rest else None
            whole = half_since is None or clock() - half_since > _HALF_LINE_S
            if last and settled and not new and whole:
                if rest and known.is_new(rest):
                    yield _text(rest) + b"\n"
                return
            settled, pause = last, _SETTLE_S
        cancel.wait(pause)


def _refuse_words(line: bytes) -> None:
    """Raise where a line is the node's own, in place of the rest (too many open files, no such container)."""
    if not _TIMED.match(line):
        raise _Words(line.decode("utf-8", "replace")[:200])


def read_tail(client: ClusterClient, pod: str, container: str, lines: int, cancel: CancelToken) -> tuple[str, ...]:
    """Return the last lines of a log, without their times; nothing where there is no log, or nobody to ask for it."""
    try:
        text = b"".join(client.read_log(pod, container, cancel, tail=lines))
    except (ClusterNotFound, ClusterUnavailable, LogNotReady, ConnectionError):
        return ()
    return tuple(_text(line).decode("utf-8", "replace") for line in text.split(b"\n") if line)[-lines:]


class _Known:
    """The lines that were yielded: how many, the first and the last of them, and how far a new reading has come."""

    def __init__(self) -> None:
        self.count = 0
        self._first: bytes | None = None
        self._last_time = b""
        self._at_last_time = 0  # how many of the lines that were yielded have it
        self._number = 0
        self._same = 0  # how many known lines of this reading have the last time
        self._by_time = False
        self.is_put_away = False

    def begin(self) -> None:
        """A reading begins at the beginning of the log."""
        self._number, self._same, self._by_time = 0, 0, False

    def is_new(self, line: bytes) -> bool:
        """Tell whether the next line of this reading was not yielded, and count it then."""
        stamp = line.partition(b" ")[0]
        if not self._number and self._first is not None:
            self._by_time = line != self._first
            self.is_put_away |= self._by_time
        self._number += 1
        if self._is_known(stamp):
            return False
        if self._first is None or (self._by_time and self._number == 1):
            self._first = line
        if stamp > self._last_time:
            self._last_time, self._at_last_time, self._same = stamp, 0, 0
        if stamp == self._last_time:
            self._at_last_time += 1
            self._same += 1
        self.count += 1
        return True

    def _is_known(self, stamp: bytes) -> bool:
        if not self._by_time:
            return self._number <= self.count
        if stamp == self._last_time and self._same < self._at_last_time:
            self._same += 1
            return True
        return stamp < self._last_time


def _text(line: bytes) -> bytes:
    """Return a line without the time in front of it."""
    return line.partition(b" ")[2]
