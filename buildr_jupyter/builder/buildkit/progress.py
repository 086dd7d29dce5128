"""What BuildKit's progress records mean, as events; the same for the engine's trace and for buildctl's lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from buildr_jupyter.builder.buildkit.proto import (
    DecodeError,
    StatusResponse,
    Vertex,
    VertexLog,
    VertexStatus,
    decode_aux,
)
from buildr_jupyter.events.event import Event, TransferUpdate
from buildr_jupyter.events.event import Stream as StreamName
from buildr_jupyter.events.line_assembler import LogLines
from buildr_jupyter.model.progress import BuildWarning, StepUpdate

__all__ = ["TRACE", "BuildkitStream"]

TRACE = "moby.buildkit.trace"
"""The ``id`` of an engine's document that holds a progress record."""

_NAME = re.compile(r"\[(?:(\w+/[\w/.>-]+) )?(?:(\S+) +)?(\d+)/(\d+)\] (.*)", re.DOTALL)
"""``[linux/amd64 stage-1 2/3] RUN …``: platform and stage are there where there are several."""
_INTERNAL = re.compile(r"\[(?:internal|auth|context \S+)\] ")
_CLIPPED = re.compile(r"\[output clipped, log limit (\S+) reached\]")
_BLOB = re.compile(r"sha256:([0-9a-f]{64})")
_CANCELLED = re.compile(r"context canceled|\bCANCELED\b", re.IGNORECASE)
_SENDING = re.compile(r"exporting |pushing ", re.IGNORECASE)


class BuildkitStream:
    """Merges the records of one build; a vertex, its times and its state are told many times over.

    ``steps`` and ``numbers`` belong to the build: the steps so far, and the numbers of its log lines.
    """

    def __init__(self, steps: dict[str, StepUpdate], numbers: Iterator[int]) -> None:
        self.steps = steps
        self._numbers = numbers
        self._logs: dict[str, LogLines] = {}
        self._decoders: dict[tuple[str, StreamName], codecs.IncrementalDecoder] = {}
        self._failed: list[str] = []
        self._newest: str | None = None
        self._warned: set[str] = set()
        self._layers: dict[tuple[str, str], TransferUpdate] = {}

    @property
    def failing(self) -> StepUpdate | None:
        """The step that failed first, else the newest one that still runs."""
        if self._failed:
            return self.steps[self._failed[0]]
        running = [step for step in self.steps.values() if step.status == "running"]
        return running[-1] if running else None

    @property
    def failing_title(self) -> str | None:
        """Title of the failing step."""
        return self.failing.title if self.failing else None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of the failing step, of the one that said something last where none failed."""
        step = self.failing
        key = step.step if step and step.step in self._logs else self._newest
        return tuple(self._logs[key].tail) if key in self._logs else ()

    def feed_aux(self, aux: object) -> list[Event]:
        """Return the events of an engine's document; one that does not decode is a warning, once."""
        try:
            return self.feed(decode_aux(aux))
        except DecodeError as error:
            return self._warn(f"a progress record of the engine cannot be read: {error}")

    def feed(self, record: StatusResponse) -> list[Event]:
        """Return the events of one record."""
        events: list[Event] = []
        for vertex in record.vertexes:
            events += self._vertex(vertex)
        for status in record.statuses:
            events += self._status(status)
        for log in record.logs:
            events += self._log(log)
        for warning in record.warnings:
            events += self._warn(warning.short, warning.url or None)
        return events

    def finish(self) -> list[Event]:
        """Return the events of a build that ended well: what was not said to be done is."""
        events: list[Event] = []
        for step in list(self.steps.values()):
            if step.status == "running":
                events += self._changed(replace(step, status="done"))
        return events

    def _warn(self, text: str, hint: str | None = None) -> list[Event]:
        if not text or text in self._warned:
            return []
        self._warned.add(text)
        return [BuildWarning(text, hint)]

    # -- steps

    def _vertex(self, vertex: Vertex) -> list[Event]:
        if not vertex.digest or not vertex.name:
            return []
        before = self.steps.get(vertex.digest)
        status = _status_of(vertex, before)
        if status is None:
            return []  # it waits
        events: list[Event] = []
        if before is None:  # each step is said to run once, a cached one too: that is what the seed's log tells
            platform, index, total, title = _parse_name(vertex.name)
            before = StepUpdate(vertex.digest, title, index, total, "running", vertex.started, platform=platform)
            events += self._changed(before)
        if status == "failed" and vertex.digest not in self._failed:
            self._failed.append(vertex.digest)
        started, finished = before.started_at or vertex.started, vertex.completed or before.finished_at
        return [*events, *self._changed(replace(before, status=status, started_at=started, finished_at=finished))]

    def _changed(self, step: StepUpdate) -> list[Event]:
        if self.steps.get(step.step) == step:
            return []
        self.steps[step.step] = step
        return [step]

    # -- layers and the context on the move

    def _status(self, status: VertexStatus) -> list[Event]:
        found = _BLOB.search(status.id) or _BLOB.search(status.name)
        step = self.steps.get(status.vertex)
        title = step.title if step else ""
        verb: Literal["pull", "push", "upload"]
        if found:
            verb, item = ("push" if _SENDING.match(title) else "pull"), found[1][:12]
            if status.name.startswith(("extracting", "exporting", "writing", "unpacking")) or status.id.startswith(
                ("extracting", "exporting", "writing", "unpacking", "naming")
            ):
                return []  # numbers of another phase: a bar would run backwards
        elif status.id.startswith("transferring context"):
            verb, item = "upload", "context"
        else:
            return []
        known = self._layers.get((verb, item))
        total = status.total if status.total > 0 else (known.total_bytes if known else None)
        current = max(0, status.current)
        state: Literal["moving", "done"] = "done" if status.completed else "moving"
        update = TransferUpdate(
            item, verb, status.vertex or None, min(current, total) if total else current, total, state
        )
        if known == update or (known and known.status == "done"):
            return []
        self._layers[verb, item] = update
        return [update]

    # -- output

    def _log(self, log: VertexLog) -> list[Event]:
        stream: StreamName = "stderr" if log.stream == 2 else "stdout"
        key = (log.vertex, stream)
        decoder = self._decoders.get(key)
        if decoder is None:
            decoder = self._decoders[key] = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(log.data)
        if not text:
            return []
        lines = self._logs.get(log.vertex)
        if lines is None:
            lines = self._logs[log.vertex] = LogLines(self._numbers)
        self._newest = log.vertex
        events: list[Event] = [*lines.feed(text, stream, log.vertex or None, log.at)]
        if "[output clipped" in text and (clipped := _CLIPPED.search(text)):
            events += self._warn(
                f"the engine left out a part of a step's output, which goes above {clipped[1]}",
                "let the step write less, or into a file",
            )
        return events


def _status_of(
    vertex: Vertex, before: StepUpdate | None
) -> Literal["running", "done", "cached", "failed", "cancelled"] | None:
    if vertex.error:
        return "cancelled" if _CANCELLED.search(vertex.error) else "failed"
    if vertex.cached:
        return "cached"
    if before and before.status in ("cached", "failed", "cancelled"):
        return before.status
    if vertex.completed is not None and vertex.started is not None:
        return "done"
    if vertex.started is not None:
        return "done" if before and before.status == "done" else "running"
    return None


def _parse_name(name: str) -> tuple[str | None, int | None, int | None, str]:
    """Return platform, number, count and title of a vertex' name."""
    if found := _NAME.fullmatch(name):
        return found[1], int(found[3]), int(found[4]), found[5].strip()
    return None, None, None, _INTERNAL.sub("", name, count=1).strip()
