"""Frames taken out of a container's output, however it is cut; what is none stays text."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator

import pytest

from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.in_image.displays import BEGIN, END, PIECE, VARIABLE
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.runner.frames import Frames, asking, stream_unframed


def frame(text: str, **bundle: object) -> str:
    code = base64.b64encode(json.dumps(bundle).encode()).decode()
    return f"{BEGIN}{code}{END}{text}{BEGIN}{END}"


def said(pieces: list[str]) -> list[tuple[str, str]]:
    frames = Frames()
    found = [one for piece in pieces for one in frames.feed(piece)] + frames.finish()
    joined: list[tuple[str, str]] = []
    for one in found:
        if joined and not one.shown and not joined[-1][1]:
            joined[-1] = (joined[-1][0] + one.text, "")
        else:
            joined.append((one.text, one.shown))
    return joined


WHOLE = f"one\n{frame('table', html='<b>')}two{frame('', png='x')}\x1b[31mred"
EXPECTED = [("one\n", ""), ("table", '{"html": "<b>"}'), ("two", ""), ("", '{"png": "x"}'), ("\x1b[31mred", "")]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_cut_changes_nothing(size: int) -> None:
    assert said([WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        f"{BEGIN}no base64{END}x",
        f"{BEGIN}{base64.b64encode(b'[1]').decode()}{END}x",
        f"{BEGIN}e30={END}x",
        f"x{BEGIN}e30",
        f"x{BEGIN[:4]}",
    ],
)
def test_what_is_no_frame_is_text(text: str) -> None:
    assert said([text]) == [(text, "")]


def test_a_frame_whose_program_died_is_its_text() -> None:
    assert said([frame("half", html="x").removesuffix(f"{BEGIN}{END}")]) == [("half", "")]
    assert said([f"{BEGIN}{END}end"]) == [("end", "")]


def in_pieces(text: str, size: int, between: str = "", **bundle: object) -> str:
    code = base64.b64encode(json.dumps(bundle).encode()).decode()
    *first, last = [code[start : start + size] for start in range(0, len(code), size)]
    return "".join(f"{BEGIN}{PIECE}{one}{END}\n{between}" for one in first) + f"{BEGIN}{last}{END}{text}{BEGIN}{END}"


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_long_frame_comes_in_pieces_and_other_lines_may_be_between_them(size: int) -> None:
    whole = f"one\n{in_pieces('table', 4, html='<b>long')}two"
    expected = [("one\n", ""), ("table", '{"html": "<b>long"}'), ("two", "")]
    assert said([whole[start : start + size] for start in range(0, len(whole), size)]) == expected
    whole = in_pieces("table", 12, "a warning\n", html="<b>long")
    lines = (whole.count(PIECE), whole.count("\n"))
    found = said([whole[start : start + size] for start in range(0, len(whole), size)])
    assert lines[0] > 1
    assert "".join(text for text, shown in found if not shown) == "a warning\n" * lines[0]
    assert found[-1] == ("table", '{"html": "<b>long"}')


def test_pieces_without_an_end_are_the_text_that_they_are() -> None:
    piece = f"{BEGIN}{PIECE}abc{END}\n"
    assert said([f"x{piece}{piece}y"]) == [(f"xy{piece}{piece}", "")]
    assert said([f"{piece}{BEGIN}no{END}x"]) == [(f"{piece}{BEGIN}no{END}x", "")]


def test_a_run_and_its_tail_have_no_frames() -> None:
    def run() -> Generator[Event, None, RunResult]:
        yield RunOutput("stdout", WHOLE[:30])
        yield RunOutput("stderr", "wrong")
        yield RunOutput("stdout", WHOLE[30:])
        return RunResult(0, WHOLE)

    stream, events = stream_unframed(run()), []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as stop:
            result = stop.value
            break
    assert result.stdout_tail == "one\ntabletwo\x1b[31mred"
    assert "".join(one.text for one in events if one.stream == "stdout") == result.stdout_tail
    assert [one.text for one in events if one.stream == "stderr"] == ["wrong"]
    assert asking(RunSpec("i", "n")).settings == ((VARIABLE, "1"),)
