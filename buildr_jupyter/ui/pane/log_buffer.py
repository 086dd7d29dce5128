"""The log on its way to the page: numbered batches, bounded in number and bytes, and the whole of it in a file.

A page that missed a batch asks for it by its number. What comes faster than the page can be told is folded: each
batch says how many rows came before it, so the count of what is not drawn is exact.
"""

from __future__ import annotations

import re
import tempfile
import threading
import weakref
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeAlias, TypedDict

from buildr_jupyter.events.event import LogLine

__all__ = ["BATCH_BYTES", "MAX_ROWS", "LogFeed", "LogFile", "clean_log"]

MAX_ROWS = 20_000
"""So many rows are drawn, and kept to be sent again."""
BATCH_BYTES = 56 * 1024
"""Text of one batch; with its envelope it stays below 64 KiB."""
_ROW_CHARS = 4096
_PENDING_BYTES = 24 * BATCH_BYTES
_KEPT_BYTES = 6 * 1024 * 1024

_STEERING = re.compile(
    r"\x1b(?:(\[[0-9;:]{0,40}m)|\[[0-?]*[ -/]*[@-~]"
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_])?"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

_HALVES = re.compile("[\ud800-\udfff]")  # bytes that were no UTF-8; no message can carry them


def clean_log(text: str) -> str:
    """Return ``text`` with its colours (SGR sequences) and without any other escape, control or bidi override."""
    if not text.isascii():
        text = _HALVES.sub("\ufffd", text)
    if "\x1b" in text:
        text = _STEERING.sub(lambda found: f"\x1b{found[1]}" if found[1] else "", text)
    return _CONTROLS.sub("", text)


class _Row:
    __slots__ = ("join", "partial", "size", "step", "text")

    def __init__(self, step: str | None, text: str, partial: bool, join: int) -> None:
        self.step, self.text, self.partial, self.join = step, text, partial, join
        self.size = len(text) + 1 if text.isascii() else len(text.encode("utf-8", "replace")) + 1


Run: TypeAlias = list[str | int | None]
"""Step, join, rows and text of rows that follow one another in one step.

``join`` says what the first row does to the step's row before it: 0 nothing, 1 goes on, 2 overwrites; joined rows are
not counted.
"""


class Batch(TypedDict):
    """Rows that are sent at once."""

    n: int
    """Batches before it."""
    before: int
    """Rows before it, sent or not."""
    runs: list[Run]


class LogFeed:
    """Rows in, batches out."""

    def __init__(self, *, max_rows: int = MAX_ROWS, batch_bytes: int = BATCH_BYTES) -> None:
        self.max_rows, self.batch_bytes = max_rows, batch_bytes
        self.total = 0
        """Rows so far."""
        self._pending: deque[_Row] = deque()
        self._pending_bytes = 0
        self._sent = 0
        self._count = 0
        self._open: dict[str | None, _Row] = {}
        self._kept: deque[tuple[Batch, int, int]] = deque()
        self._kept_rows = self._kept_bytes = 0

    @property
    def pending(self) -> bool:
        """Tell whether there is something to send."""
        return bool(self._pending)

    def add(self, lines: Iterable[LogLine]) -> None:
        """Take lines in; a line that goes on or overwrites changes the row that is still waiting."""
        pending, opened = self._pending, self._open
        for line in lines:
            text = line.text
            if len(text) > _ROW_CHARS:
                text = f"{text[:_ROW_CHARS]}… ({len(text) - _ROW_CHARS + line.truncated_bytes} more)"
            before = opened.pop(line.step, None) if opened else None
            join = 0 if before is None else 2 if before.text.endswith("\r") or before.text == "" else 1
            row = _Row(line.step, text, line.partial, join)
            if line.partial:
                opened[line.step] = row
            if before is not None and pending and pending[-1] is before:
                self._pending_bytes -= pending.pop().size
                row.text = (before.text + text if join == 1 else text)[-_ROW_CHARS:]
                row.join = before.join
                row.size = len(row.text.encode("utf-8", "replace")) + 1
            elif not join:
                self.total += 1
            pending.append(row)
            self._pending_bytes += row.size
        while len(pending) > self.max_rows or self._pending_bytes > _PENDING_BYTES:
            gone = pending.popleft()
            self._pending_bytes -= gone.size
            self._sent += not gone.join

    def take(self) -> Batch | None:
        """Return the next batch, None where there is nothing to send."""
        if not self._pending:
            return None
        before, size = self._sent, 0
        rows: list[_Row] = []
        while self._pending and (not rows or size + self._pending[0].size <= self.batch_bytes):
            row = self._pending.popleft()
            size += row.size
            self._sent += not row.join
            rows.append(row)
        self._pending_bytes -= size
        batch: Batch = {"n": self._count, "before": before, "runs": list(_runs(rows))}
        self._count += 1
        self._keep(batch, self._sent - before, size)
        return batch

    def _keep(self, batch: Batch, rows: int, size: int) -> None:
        self._kept.append((batch, rows, size))
        self._kept_rows += rows
        self._kept_bytes += size
        while len(self._kept) > 1 and (
            self._kept_rows - self._kept[0][1] >= self.max_rows or self._kept_bytes > _KEPT_BYTES
        ):
            _, gone, size = self._kept.popleft()
            self._kept_rows -= gone
            self._kept_bytes -= size

    def since(self, number: int) -> list[Batch]:
        """Return the batches from ``number`` on that are kept, as they were sent."""
        return [batch for batch, _, _ in self._kept if batch["n"] >= number]


def _runs(rows: list[_Row]) -> Iterator[Run]:
    """Yield rows that follow one another in one step as one text; a joined row begins a run, an open one ends it."""
    run: list[str] = []
    first: _Row | None = None
    for row in rows:
        if first is not None and (row.step != first.step or row.join):
            yield [first.step, first.join, len(run), clean_log("\n".join(run))]
            first, run = None, []
        if first is None:
            first = row
        run.append(row.text.rstrip("\r").replace("\n", " "))
    if first is not None:
        yield [first.step, first.join, len(run), clean_log("\n".join(run))]


def _as_it_came(line: LogLine) -> str:
    if line.truncated_bytes:
        return f"{line.text}… ({line.truncated_bytes} more bytes)\n"
    return line.text if line.partial else f"{line.text}\n"


class LogFile:
    """The whole log in a temporary file that is gone with this object or this process; lines are cut at 64 KiB."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="buildr-log-")  # noqa: SIM115 - it lives as long as this object
        weakref.finalize(self, self._file.close)
        self._lock = threading.Lock()
        self.size_bytes = 0

    def add(self, lines: Iterable[LogLine]) -> None:
        """Append lines as they came: a line end after each, except after one that is still open."""
        data = "".join([_as_it_came(line) for line in lines]).encode("utf-8", "replace")
        with self._lock:
            self._file.seek(0, 2)
            self._file.write(data)
            self.size_bytes += len(data)

    def iter_gzip(self, block_bytes: int = 1 << 20) -> Iterator[bytes]:
        """Yield the file as gzip, piece by piece; what is appended meanwhile is not in it."""
        squeeze = zlib.compressobj(1, wbits=31)
        at, end = 0, self.size_bytes
        while at < end:
            with self._lock:
                self._file.seek(at)
                block = self._file.read(min(block_bytes, end - at))
            at += len(block)
            if packed := squeeze.compress(block):
                yield packed
        yield squeeze.flush()

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
