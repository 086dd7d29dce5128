"""Text that a command writes, as the lines that a person would see."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from buildr_jupyter.events.event import MAX_LINE_BYTES, LogLine
from buildr_jupyter.events.event import Stream as StreamName

__all__ = ["TAIL_LINES", "LogLines"]

TAIL_LINES = 50


class LogLines:
    """Cuts text into LogLines and keeps the last ones; ``numbers`` gives their ``seq``, shared by a build's steps.

    Where one text holds several that overwrite each other (a progress bar's ``\\r``), only the last becomes a line.
    """

    def __init__(self, numbers: Iterator[int]) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._numbers = numbers
        self._open: dict[StreamName, str | None] = {"stdout": None, "stderr": None}
        self._tail_open: str | None = None

    def is_open(self, stream: StreamName) -> bool:
        """Tell whether the last text of the stream ended in mid-line."""
        return self._open[stream] is not None

    def end(self) -> None:
        """What comes next begins a line."""
        self._open = {"stdout": None, "stderr": None}
        self._tail_open = None

    def feed(self, text: str, stream: StreamName, step: str | None, at: float | None) -> list[LogLine]:
        """Return the lines of a text; the last is ``partial`` where no line end follows it."""
        if text[-1:] == "\n" and self._open[stream] is None and text.count("\n") == 1 and "\r" not in text:
            return [self._line(text[:-1], stream, step, at)]  # the usual case, kept short: one whole line
        lines = []
        for piece in _split(text):
            before = self._open[stream]
            if piece == "\n" and before is not None and before.endswith("\r"):
                piece = f"{before[:-1]}\n"  # the line end's two halves came apart
            elif before is not None and not before.endswith("\r") and "\r" in piece.removesuffix("\n").rstrip("\r"):
                # A progress bar that writes its carriage return first: what is there is overwritten, and who shows the
                # lines is told by the end of the last one.
                self._open[stream] = before = f"{before}\r"[-MAX_LINE_BYTES:]
                lines.append(self._line("\r", stream, step, at, partial=True))
            if piece.endswith("\n"):
                self._open[stream] = None
                lines.append(self._line(_last_overwrite(piece[:-1].rstrip("\r")), stream, step, at))
            else:
                shown = _last_overwrite(piece)
                kept = "" if before is None or before.endswith("\r") else before
                self._open[stream] = (kept + shown)[-MAX_LINE_BYTES:]
                lines.append(self._line(shown, stream, step, at, partial=True))
        return lines

    def _line(
        self, text: str, stream: StreamName, step: str | None, at: float | None, *, partial: bool = False
    ) -> LogLine:
        missing = 0
        if len(text) * 4 > MAX_LINE_BYTES:
            text, missing = _cut(text)
        before = self._tail_open
        if before is None:
            self.tail.append(text)
        else:  # what a person would see: the line as it was completed or overwritten
            self.tail[-1] = text if before.endswith("\r") else (before + text)[-MAX_LINE_BYTES:]
        self._tail_open = self.tail[-1] if partial else None
        return LogLine(next(self._numbers), text, step, stream, at, partial, missing)


def _split(text: str) -> list[str]:
    pieces = [f"{line}\n" for line in text.split("\n")]
    last = pieces.pop()[:-1]
    return [*pieces, last] if last else pieces


def _last_overwrite(text: str) -> str:
    """Return what is left to see of a text with carriage returns; one at the end is kept."""
    if "\r" not in text:
        return text
    body = text.rstrip("\r")
    return body[body.rfind("\r") + 1 :] + text[len(body) : len(body) + 1]


def _cut(text: str) -> tuple[str, int]:
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_LINE_BYTES:
        return text, 0
    kept = encoded[:MAX_LINE_BYTES].decode("utf-8", "ignore")
    return kept, len(encoded) - len(kept.encode())
