"""What a command writes becomes the lines that a person would have seen, however it is cut."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.events.event import MAX_LINE_BYTES, LogLine
from buildr_jupyter.events.line_assembler import TAIL_LINES, LogLines


def fed(*texts: str) -> tuple[list[LogLine], list[str]]:
    cut = LogLines(count())
    lines = [line for text in texts for line in cut.feed(text, "stdout", "1", None)]
    return lines, list(cut.tail)


def seen(text: str) -> list[str]:
    """What is left to see of a text in the end: of each line what its last carriage return before its end left."""
    *whole, rest = text.split("\n")
    shown = [line.rstrip("\r").rpartition("\r")[2] for line in whole]
    return [*shown, rest.rstrip("\r").rpartition("\r")[2]] if rest else shown


def joined(lines: list[LogLine]) -> list[str]:
    """What a display makes of the lines: one that is partial goes on, or is overwritten where it ends in a return."""
    rows: list[str] = []
    before: LogLine | None = None
    for line in lines:
        if before is None:
            rows.append(line.text)
        elif before.text.endswith("\r"):
            rows[-1] = line.text
        else:
            rows[-1] += line.text
        before = line if line.partial else None
    return [row.rstrip("\r") for row in rows]


@given(st.lists(st.text(alphabet="ab\r\n", max_size=6), max_size=6))
def test_any_cut_of_a_text_gives_the_lines_of_the_whole(pieces: list[str]) -> None:
    pieces = [piece for piece in pieces if piece]
    text = "".join(pieces)
    if text.replace("\r\n", "").endswith("\r") or "\r\r" in text:
        return  # a return at the very end: what comes next decides what it was
    lines, tail = fed(*pieces)
    assert [line.rstrip("\r") for line in tail] == seen(text)
    assert joined(lines) == seen(text)


@pytest.mark.parametrize(
    "pieces",
    [
        ["10%", "\r20%", "\r30%\n"],
        ["10%\r", "20%\r", "30%\n"],
        ["10%\r20%\r", "30%\n"],
        ["10%", "\r", "30%\n"],
        ["10%\r20%\r30%\r\n"],
        ["\r10%", "\r2", "0%\r30", "%\n"],
    ],
    ids=str,
)
def test_of_a_progress_bar_the_last_is_left(pieces: list[str]) -> None:
    """tqdm writes its carriage return first, pip last."""
    lines, tail = fed(*pieces)
    assert tail == ["30%"]
    assert joined(lines) == ["30%"]


@pytest.mark.parametrize(
    "pieces", [["a\r\nb\r\n"], ["a\r", "\nb\r\n"], ["a", "\r\nb", "\r\n"], ["a\r\nb\r", "\n"]], ids=str
)
def test_a_line_end_of_two_characters_is_one(pieces: list[str]) -> None:
    assert fed(*pieces)[1] == ["a", "b"]


def test_lines_are_numbered_and_say_where_they_are_from() -> None:
    cut = LogLines(count(7))
    (one,) = cut.feed("x\n", "stderr", "2", 1.5)
    assert one == LogLine(7, "x", "2", "stderr", 1.5)
    two, three = cut.feed("y\nz", "stdout", None, None)
    assert (two.seq, two.partial, three.seq, three.partial) == (8, False, 9, True)
    assert cut.is_open("stdout")
    assert not cut.is_open("stderr")


def test_after_an_end_a_new_line_begins() -> None:
    cut = LogLines(count())
    cut.feed("half", "stdout", "1", None)
    cut.end()
    assert not cut.is_open("stdout")
    cut.feed("whole\n", "stdout", "2", None)
    assert list(cut.tail) == ["half", "whole"]


def test_the_last_lines_are_kept() -> None:
    _, tail = fed("".join(f"{number}\n" for number in range(200)))
    assert tail == [str(number) for number in range(200 - TAIL_LINES, 200)]


@pytest.mark.parametrize("character", ["a", "é", "😀"])
def test_a_line_is_cut_at_its_limit_and_says_what_is_missing(character: str) -> None:
    size = len(character.encode())
    ((line,), _) = fed(character * MAX_LINE_BYTES + "\n")
    assert len(line.text.encode()) <= MAX_LINE_BYTES
    assert len(line.text.encode()) + line.truncated_bytes == size * MAX_LINE_BYTES
    assert set(line.text) == {character}, "no character is cut in two"


def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    cut = LogLines(count())
    for _ in range(100):
        cut.feed("x" * 10_000, "stdout", "1", None)
    assert len(cut.tail) == 1
    assert len(cut.tail[0]) <= MAX_LINE_BYTES
