"""Lines of a log across all that breaks it: none lost, none twice."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from buildr_jupyter.cluster.answers import LogNotReady
from buildr_jupyter.cluster.logs import iter_lines, read_tail
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


def stamped(texts: list[str]) -> list[bytes]:
    return [f"2026-01-01T00:00:{n // 3:02d}.{n:09d}Z {text}\n".encode() for n, text in enumerate(texts)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab \u00e4", max_size=6), max_size=12), st.lists(st.integers(0, 400), max_size=3))
def test_each_line_comes_once(texts: list[str], cuts: list[int]) -> None:
    log = Log(stamped(texts), list(cuts))
    found = list(iter_lines(log, "p", "c", log.ended, CancelToken()))  # type: ignore[arg-type]
    assert found == [f"{text}\n".encode() for text in texts]


def test_a_log_that_is_not_there_yet_and_one_that_ends_early() -> None:
    log = Log(stamped(["a", "b"]), [LogNotReady("waiting"), 0])
    assert list(iter_lines(log, "p", "c", log.ended, CancelToken())) == [b"a\n", b"b\n"]  # type: ignore[arg-type]


def test_a_node_that_put_the_older_part_away() -> None:
    lines = stamped(["a", "b", "c", "d"])
    log = Log(lines, [len(lines[0] + lines[1])], rotated=1)
    assert list(iter_lines(log, "p", "c", log.ended, CancelToken())) == [b"a\n", b"b\n", b"c\n", b"d\n"]  # type: ignore[arg-type]


def test_words_of_the_node_are_no_line_of_the_program() -> None:
    lines = [b"2026-01-01T00:00:00Z a\n", b"2026-01-01T00:00:01Z b\n"]
    words = b"failed to create fsnotify watcher: too many open files\n"
    readings = [[lines[0], words], lines, lines, lines]

    class Node:
        def read_log(self, pod: str, container: str, cancel: CancelToken, *, follow: bool) -> Iterator[bytes]:
            assert follow == (len(readings) == 4)
            yield from readings.pop(0)

    assert list(iter_lines(Node(), "p", "c", lambda: len(readings) < 4, CancelToken())) == [b"a\n", b"b\n"]  # type: ignore[arg-type]


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

    found = iter_lines(Node(), "p", "c", lambda: True, CancelToken(), is_over=lambda: over[0])  # type: ignore[arg-type]
    assert list(found) == [b"a\n", b"b\n", b"c\n", b"d\n"]
    assert len(readings) == 0


def test_a_half_line_is_waited_for_and_then_taken_as_it_is() -> None:
    now = iter(range(0, 100, 2))
    log = Log([b"2026-01-01T00:00:00Z a\n", b"2026-01-01T00:00:01Z half"], [])
    found = iter_lines(log, "p", "c", lambda: True, CancelToken(), clock=lambda: float(next(now)))  # type: ignore[arg-type]
    assert list(found) == [b"a\n", b"half\n"]
    assert log.read > 3
    assert read_tail(log, "p", "c", 1, CancelToken()) == ("half",)  # type: ignore[arg-type]
