"""Frames taken out of a container's output, however it is cut; what is none stays text."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator

import pytest

from buildr_jupyter.events.event import Event, RunOutput
from buildr_jupyter.in_image.displays import BEGIN, END, VARIABLE
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
    assert asking(RunSpec("i", "n")).environment == ((VARIABLE, "1"),)
