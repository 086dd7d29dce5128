"""Logs of containers, line by line: none lost and none twice, however often the stream ends before the container does.

A followed log ends early as a matter of course: at once and empty while the kubelet does not know the container yet,
with an error while it is made, and in mid-line where a connection breaks. It is over only where the container was seen
to have ended *before* the log was read, and where a second reading, a moment later, gives nothing more: containerd
counts a container as ended while up to 16 KiB of its output still wait to be written to the log's file. A log that is
read again begins at its beginning; the lines that are known are skipped by their number, or, where the node has put the
older part away meanwhile, by their times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from buildr_jupyter.cluster.answers import LogNotReady
from buildr_jupyter.cluster.client import ClusterClient
from buildr_jupyter.errors import ClusterNotFound, ClusterUnavailable
from buildr_jupyter.events.cancel import CancelToken

__all__ = ["iter_lines", "read_tail"]

_TIMED = re.compile(rb"\d{4}-\d\d-\d\dT\S+ ")
_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
_SETTLED_S = 0.3
"""So long after a reading of all that there is another one must find no more."""
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
) -> Iterator[bytes]:
    """Yield the lines of a container's log as they come, each with its line end, until it has ended or is gone.

    ``has_ended`` tells whether the container was seen to have ended; a last line without a line end is given one where
    the log is over. ``say`` is told in a sentence where lines are missing or may be. Raises what the client raises; a
    connection that breaks is made again.
    """
    known = _Known()
    pause, refusals = _PAUSE_S, 0
    whole: tuple[int, bytes] | None = None  # the lines, and the rest, of the last reading that may be the final one
    while not cancel.is_set():
        ended, broken = has_ended(), False
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
        except ClusterNotFound:
            if whole is not None:
                yield from _last(known, whole[1])
            elif ended:
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
        if known.was_put_away and not known.told:
            known.told = True
            say(f"the node put a part of the log of pod {pod} away while it was read: lines may be missing there")
        if ended and not broken and not cancel.is_set():
            if whole == (known.count, rest):
                yield from _last(known, rest)
                return
            whole = (known.count, rest)
            cancel.wait(_SETTLED_S)
            continue
        pause = _PAUSE_S if known.count > before else min(2 * pause, _LONGEST_PAUSE_S)
        cancel.wait(pause)


def _refuse_words(line: bytes) -> None:
    """Raise where a line is the node's own, in place of the rest (too many open files, no such container)."""
    if not _TIMED.match(line):
        raise _Words(line.decode("utf-8", "replace")[:200])


def _last(known: _Known, rest: bytes) -> Iterator[bytes]:
    """Yield what stands behind the last line end."""
    if rest and known.is_new(rest):
        yield _text(rest) + b"\n"


def read_tail(client: ClusterClient, pod: str, container: str, lines: int, cancel: CancelToken) -> tuple[str, ...]:
    """Return the last lines of a log, without their times; nothing where there is no log."""
    try:
        text = b"".join(client.read_log(pod, container, cancel, tail=lines))
    except (ClusterNotFound, LogNotReady, ConnectionError):
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
        self._same = 0  # how many lines of this reading have the last time
        self._by_time = False
        self.was_put_away = self.told = False

    def begin(self) -> None:
        """A reading begins at the beginning of the log."""
        self._number, self._same, self._by_time = 0, 0, False

    def is_new(self, line: bytes) -> bool:
        """Tell whether the next line of this reading was not yielded, and count it then."""
        time = line.partition(b" ")[0]
        if not self._number and self._first is not None:
            self._by_time = line != self._first
            self.was_put_away |= self._by_time
        self._number += 1
        if self._is_known(time):
            return False
        if self._first is None or (self._by_time and self._number == 1):
            self._first = line
        if time > self._last_time:
            self._last_time, self._at_last_time, self._same = time, 0, 0
        if time == self._last_time:
            self._at_last_time += 1
            self._same += 1
        self.count += 1
        return True

    def _is_known(self, time: bytes) -> bool:
        if not self._by_time:
            return self._number <= self.count
        if time == self._last_time and self._same < self._at_last_time:
            self._same += 1
            return True
        return time < self._last_time


def _text(line: bytes) -> bytes:
    """Return a line without the time in front of it."""
    return line.partition(b" ")[2]
