"""Frames in a container's output, taken out again: what an object looks like, beside the text that it has."""

from __future__ import annotations

import base64
import json
from collections.abc import Generator
from dataclasses import dataclass, field, replace

from buildr_jupyter.events.event import MAX_LINE_BYTES, Event, RunOutput
from buildr_jupyter.in_image.displays import BEGIN, END, PIECE, VARIABLE
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.model.result import RunResult

__all__ = ["Frames", "asking", "stream_unframed"]

_MAX_FRAME = 32 << 20
"""Characters of what no more can be a frame, for its end does not come."""


def asking(spec: RunSpec) -> RunSpec:
    """Return how a container is run that frames what its program shows."""
    return replace(spec, settings=(*spec.settings, (VARIABLE, "1")))


@dataclass(slots=True)
class Frames:
    """Reads standard output in pieces; what is no whole frame stays the text that it is."""

    _rest: str = ""
    _bundle: str | None = None
    """JSON of the frame that is open."""
    _text: list[str] = field(default_factory=list)
    """The text in it so far."""
    _pieces: list[str] = field(default_factory=list)
    """What came of a long frame so far, as it came."""
    _ends_line: bool = False
    """The end of a piece's line has not come yet."""

    def feed(self, text: str) -> list[RunOutput]:
        """Return what is whole now that this text came."""
        self._rest += text
        found: list[RunOutput] = []
        while True:
            if self._ends_line and self._rest:
                self._rest, self._ends_line = self._rest.removeprefix("\n"), False
            start = self._rest.find(BEGIN)
            if start < 0:
                keep = next((n for n in range(len(BEGIN) - 1, 0, -1) if self._rest.endswith(BEGIN[:n])), 0)
                self._say(found, self._rest[: len(self._rest) - keep])
                self._rest = self._rest[len(self._rest) - keep :]
                return found
            self._say(found, self._rest[:start])
            self._rest = self._rest[start:]
            end = self._rest.find(END, len(BEGIN))
            if end < 0:
                if len(self._rest) <= _MAX_FRAME:
                    return found
                self._say(found, self._rest)
                self._rest = ""
                return found
            frame, self._rest = self._rest[: end + 1], self._rest[end + 1 :]
            self._mark(found, frame)

    def finish(self) -> list[RunOutput]:
        """Return what is left at the end of the output."""
        found: list[RunOutput] = []
        self._give_up(found)
        self._say(found, self._rest)
        self._rest = ""
        self._close(found, whole=False)
        return found

    def _give_up(self, found: list[RunOutput]) -> None:
        """Say the pieces of a frame whose end did not come as the text that they are."""
        pieces, self._pieces = self._pieces, []
        self._say(found, "".join(pieces))

    def _say(self, found: list[RunOutput], text: str) -> None:
        if not text:
            return
        if self._bundle is None:
            found.append(RunOutput("stdout", text))
        else:
            self._text.append(text)

    def _mark(self, found: list[RunOutput], frame: str) -> None:
        code = frame[len(BEGIN) : -len(END)]
        if code.startswith(PIECE):
            self._pieces.append(f"{frame}\n")
            self._ends_line = True
            if sum(map(len, self._pieces)) > _MAX_FRAME:
                self._give_up(found)
            return
        if not code:
            self._give_up(found)
            self._close(found, whole=True)
            return
        before = "".join(one[len(BEGIN + PIECE) : -len(f"{END}\n")] for one in self._pieces)
        bundle = _decoded(before + code)
        if bundle is None:
            self._give_up(found)
            self._say(found, frame)
            return
        self._pieces.clear()
        self._close(found, whole=False)  # one that was not ended: its program died in between
        self._bundle = bundle

    def _close(self, found: list[RunOutput], *, whole: bool) -> None:
        if self._bundle is None:
            return
        text, shown = "".join(self._text), self._bundle
        self._bundle, self._text = None, []
        if whole or text:
            found.append(RunOutput("stdout", text, shown=shown if whole else ""))


def _decoded(code: str) -> str | None:
    """Return the JSON of a frame, None where it holds none of MIME type to data."""
    try:
        found = json.loads(base64.b64decode(code, validate=True))
    except (ValueError, RecursionError):
        return None
    return json.dumps(found) if isinstance(found, dict) and found else None


def stream_unframed(run: Generator[Event, None, RunResult]) -> Generator[Event, None, RunResult]:
    """Yield the events of a run with its frames taken out of standard output, and of the result's tail, too."""
    frames, tail = Frames(), ""
    while True:
        try:
            event = next(run)
        except StopIteration as stop:
            rest = frames.finish()
            yield from rest
            tail += "".join(one.text for one in rest)
            ended: RunResult = stop.value
            return replace(ended, stdout_tail=tail[-MAX_LINE_BYTES:])
        if isinstance(event, RunOutput) and event.stream == "stdout":
            found = frames.feed(event.text)
            tail = (tail + "".join(one.text for one in found))[-MAX_LINE_BYTES:]
            yield from found
        else:
            yield event
