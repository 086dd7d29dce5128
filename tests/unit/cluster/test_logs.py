"""Lines of a log across all that breaks it: none lost, none twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildr_jupyter.cluster import logs
from buildr_jupyter.cluster.answers import LogNotReady
from buildr_jupyter.cluster.logs import iter_lines, read_tail
from buildr_jupyter.errors import ClusterNotFound
from buildr_jupyter.events.cancel import CancelToken


class Log:
    """A client whose log is read in pieces; ``readings`` say how many bytes each reading gives before it breaks."""

    def __init__(self, lines: list[bytes], readings: list[int | Exception], *, rotated: int = 0) -> None:
        self.lines, self.readings, self.rotated = lines, readings, rotated
        self.read = 0

    def read_log(
        self, pod: str, container: str, cancel: CancelToken, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[bytes]:
        self.read += 1
        lines = self.lines if self.read == 1 else self.lines[self.rotated :]
        data = b"".join(lines)
        if follow and self.readings:
            first = self.readings.pop(0)
            if isinstance(first, Exception):
                raise first
            yield data[:first]
            raise ConnectionError("broken")
        yield data

    def ended(self) -> bool:
        return not self.readings


@pytest.fixture(autouse=True, scope="module")
def _no_pause() -> Iterator[None]:
    """A fake's log is written at once: nobody has to wait for the rest of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "_SETTLE_S", 0.0)
        yield


def said(text: str) -> None:
    raise AssertionError(text)


def stamped(texts: list[str]) -> list[bytes]:
    return [f"2026-01-01T00:00:{n // 3:02d}.{n:09d}Z {text}\n".encode() for n, text in enumerate(texts)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab \u00e4", max_size=6), max_size=12), st.lists(st.integers(0, 400), max_size=3))
def test_each_line_comes_once(texts: list[str], cuts: list[int]) -> None:
    log = Log(stamped(texts), list(cuts))
    found = list(iter_lines(log, "p", "c", log.ended, CancelToken(), say=said))  # type: ignore[arg-type]
    assert found == [f"{text}\n".encode() for text in texts]


def test_a_log_that_is_not_there_yet_and_one_that_ends_early() -> None:
    log = Log(stamped(["a", "b"]), [LogNotReady("waiting"), 0])
    assert list(iter_lines(log, "p", "c", log.ended, CancelToken(), say=said)) == [b"a\n", b"b\n"]  # type: ignore[arg-type]


def test_a_node_that_put_the_older_part_away() -> None:
    lines = stamped(["a", "b", "c", "d"])
    told: list[str] = []
    log = Log(lines, [len(lines[0] + lines[1])], rotated=1)
    found = list(iter_lines(log, "p", "c", log.ended, CancelToken(), say=told.append))  # type: ignore[arg-type]
    assert found == [b"a\n", b"b\n", b"c\n", b"d\n"]
    assert len(told) == 1


def test_lines_that_are_written_after_the_end_was_told() -> None:
    lines = stamped(["a", "b", "c", "d"])
    half = lines[2][:-3]
    readings = [lines[:1], lines[:1], [*lines[:2], half], lines, lines]
    over = [False, False, False, True, True]

    class Node:
        def read_log(self, pod: str, container: str, cancel: CancelToken, *, follow: bool) -> Iterator[bytes]:
            assert not follow
            over.pop(0)
            yield from readings.pop(0)

    found = iter_lines(Node(), "p", "c", lambda: True, CancelToken(), say=said, is_over=lambda: over[0])  # type: ignore[arg-type]
    assert list(found) == [b"a\n", b"b\n", b"c\n", b"d\n"]
    assert len(readings) == 0


def test_a_half_line_is_waited_for_and_then_taken_as_it_is() -> None:
    now = iter(range(0, 100, 2))
    log = Log([b"2026-01-01T00:00:00Z a\n", b"2026-01-01T00:00:01Z half"], [])
    found = iter_lines(log, "p", "c", lambda: True, CancelToken(), say=said, clock=lambda: float(next(now)))  # type: ignore[arg-type]
    assert list(found) == [b"a\n", b"half\n"]
    assert log.read > 3
    assert read_tail(log, "p", "c", 1, CancelToken()) == ("half",)  # type: ignore[arg-type]


class Readings:
    """A client whose log gives what each reading finds; the last one is found again and again."""

    def __init__(self, *readings: list[bytes] | Exception, ends: int = 0) -> None:
        self.readings, self.ends = list(readings), ends
        self.read = 0

    def read_log(self, pod: str, container: str, cancel: CancelToken, *, follow: bool) -> Iterator[bytes]:
        assert follow == (self.read < self.ends)
        found = self.readings[min(self.read, len(self.readings) - 1)]
        self.read += 1
        if isinstance(found, Exception):
            raise found
        yield from found

    def ended(self) -> bool:
        return self.read >= self.ends


def read(log: Readings) -> tuple[list[bytes], list[str]]:
    """Return the lines, and what is said of those that are missing."""
    told: list[str] = []
    lines = list(iter_lines(log, "p", "c", log.ended, CancelToken(), say=told.append))  # type: ignore[arg-type]
    return lines, told


def test_words_of_the_node_are_no_line_of_the_program() -> None:
    lines = stamped(["a", "b"])
    words = b"failed to create fsnotify watcher: too many open files"
    for end in (b"", b"\n"):
        assert read(Readings([lines[0], words + end], lines, ends=1)) == ([b"a\n", b"b\n"], [])
        assert read(Readings([lines[0], words + end], lines)) == ([b"a\n", b"b\n"], [])


def test_a_node_that_no_longer_has_the_log_is_told_and_not_asked_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LONGEST_PAUSE_S", 0.001)
    lines, told = read(Readings(stamped(["a"]), [b"unable to retrieve container logs for containerd://1"], ends=1))
    assert lines == [b"a\n"]
    assert len(told) == 1
    assert "lines are missing: unable to retrieve container logs for containerd://1" in told[0]


def test_a_pod_that_is_removed_is_told_where_its_log_was_not_read_to_the_end() -> None:
    lines, gone = stamped(["a"]), ClusterNotFound("no pod")
    assert read(Readings(lines, gone)) == ([b"a\n"], [])
    found, told = read(Readings(lines, gone, ends=1))
    assert found == [b"a\n"]
    assert len(told) == 1
    assert "before its log was read to its end" in told[0]


def test_lines_of_one_time_around_a_rotation() -> None:
    first, *same = [b"2026-01-01T00:00:00Z a\n", *(b"2026-01-01T00:00:01Z %d\n" % n for n in range(4))]
    found, told = read(Readings([first, *same[:2]], same, ends=1))
    assert found == [b"a\n", b"0\n", b"1\n", b"2\n", b"3\n"]
    assert len(told) == 1
    assert "put a part of the log" in told[0]
