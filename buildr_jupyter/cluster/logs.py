"""Logs of containers, line by line: none lost and none twice, however often the stream ends before the container does.

A followed log ends early as a matter of course: at once and empty while the kubelet does not know the container yet,
with an error while it is made, and in mid-line where a connection breaks. It is over only where the container was seen
to have ended *before* the log was read. A log that is read again begins at its beginning; the lines that are known are
skipped by their number, or, where the node has put the older part away meanwhile, by their times.
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


def iter_lines(
    client: ClusterClient, pod: str, container: str, has_ended: Callable[[], bool], cancel: CancelToken
) -> Iterator[bytes]:
    """Yield the lines of a container's log as they come, each with its line end, until it has ended or is gone.

    ``has_ended`` tells whether the container was seen to have ended; a last line without a line end is given one where
    the log is over. Raises what the client raises; a connection that breaks is made again.
    """
    known = _Known()
    pause = _PAUSE_S
    while not cancel.is_set():
        ended, broken = has_ended(), False
        before = known.count
        known.begin()
        rest = b""
        try:
            for chunk in client.read_log(pod, container, cancel, follow=not ended):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    # The node's own words in place of the rest: it cannot watch the file (too many open files).
                    # Once the container has ended the file is read without that.
                    if not ended and not _TIMED.match(line):
                        raise ConnectionError(line.decode("utf-8", "replace"))
                    if known.is_new(line):
                        yield _text(line) + b"\n"
        except ClusterNotFound:
            return  # the pod is gone, and its log with it
        except (ConnectionError, LogNotReady, ClusterUnavailable):
            broken = True
        if ended and not broken and not cancel.is_set():
            if rest and known.is_new(rest):
                yield _text(rest) + b"\n"
            return
        pause = _PAUSE_S if known.count > before else min(2 * pause, _LONGEST_PAUSE_S)
        cancel.wait(pause)


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
        self._number = 0
        self._by_time = False

    def begin(self) -> None:
        """A reading begins at the beginning of the log."""
        self._number, self._by_time = 0, False

    def is_new(self, line: bytes) -> bool:
        """Tell whether the next line of this reading was not yielded, and count it then."""
        time = line.partition(b" ")[0]
        if not self._number and self._first is not None:
            self._by_time = line != self._first
        self._number += 1
        known = time <= self._last_time if self._by_time else self._number <= self.count
        if known:
            return False
        if self._first is None or (self._by_time and self._number == 1):
            self._first = line
        self._last_time = max(self._last_time, time)
        self.count += 1
        return True


def _text(line: bytes) -> bytes:
    """Return a line without the time in front of it."""
    return line.partition(b" ")[2]
