"""What kaniko's executor says, as events.

Source: ``--log-format json`` of executor v1.24.0, run by the tests: its own words are JSON documents with ``level`` and
``msg`` on standard error, what a RUN writes is passed through, and its last words, where it fails, are plain text on
standard error. The engine passes the two streams on in no fixed order: what a RUN wrote to standard output can arrive
after those last words.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

from buildr_jupyter.events.event import Event, TransferUpdate
from buildr_jupyter.events.line_assembler import LogLines
from buildr_jupyter.model.json_object import JsonObject, parse_object
from buildr_jupyter.model.progress import BuildWarning, StepStatus, StepUpdate
from buildr_jupyter.process.run import Output

__all__ = ["KanikoStream"]

_INSTRUCTION = re.compile(
    r"(?:RUN|COPY|ADD|ENV|WORKDIR|CMD|ENTRYPOINT|LABEL|USER|EXPOSE|VOLUME|ARG|SHELL|STOPSIGNAL|HEALTHCHECK)\s", re.I
)
_STAGE = re.compile(r"Building stage '(?P<base>.*)' \[idx: '(?P<number>\d+)'")
_RETRIEVING = re.compile(r"Retrieving image manifest (\S+)")
_CACHED = re.compile(r"Using caching version of cmd: (.*)", re.DOTALL)
_PUSHING = re.compile(r"Pushing image to (\S+)")
_PUSHED = re.compile(r"Pushed (\S+)@(sha256:[0-9a-f]{64})")
_FAILED = re.compile(r"(?:[Ee]rror:? |kaniko should only be run|failed to )")
_MAPPED = "not found on any configured mapped registries"
_NOT_RETRIEVED = re.compile(r"Failed to retrieve image \S+ from remapped registry \S+: (.*)\. Will try", re.DOTALL)
"""Of a registry with another name in a cluster: the error itself does not say why."""
_STATUS = re.compile(r"exit status (\d+)")


class KanikoStream:
    """Reduces the executor's lines to events, and remembers what the result and an error need."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.steps: dict[str, StepUpdate] = {}
        self.base: str | None = None
        """The image that was asked for last."""
        self.pushing: str | None = None
        """The reference that is pushed, once it comes to that."""
        self._clock = clock
        self._lines = LogLines(count())
        self._step: StepUpdate | None = None
        self._stage = 0
        self._last = ""
        self._not_retrieved = ""

    @property
    def step_title(self) -> str | None:
        """Title of the step that runs, or that failed."""
        return self._step.title if self._step else None

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that were printed, without the executor's own last words."""
        lines = list(self._lines.tail)
        if self._last in lines:
            lines.reverse()
            lines.remove(self._last)
            lines.reverse()
        return tuple(lines)

    def message(self, status: int) -> tuple[str, int | None]:
        """Return why it failed, and the exit code of the command that did."""
        said = self._last if _FAILED.match(self._last) else ""
        if _MAPPED in said and self._not_retrieved:
            said = f"{said}: {self._not_retrieved}"
        found = _STATUS.search(said)
        if status < 0 or status in (137, 143):
            return said or "kaniko's executor was killed", int(found[1]) if found else None
        return said or f"kaniko's executor ended with status {status}", int(found[1]) if found else None

    def feed(self, piece: Output) -> tuple[list[Event], str]:
        """Return the events of one piece of output, and the text that the seed's log shows of it."""
        text = piece.data.decode("utf-8", "replace")
        document = _document(text)
        if document is None:
            if piece.stream == "stderr":
                self._last = text.strip() or self._last
            step = self._step.step if self._step else None
            return [*self._lines.feed(text, piece.stream, step, self._clock())], text.strip()
        said = str(document["msg"]).strip()
        if document["level"] in ("warning", "error", "fatal", "panic"):
            self._last = said
            if found := _NOT_RETRIEVED.match(said):
                self._not_retrieved = found[1]
            return [BuildWarning(said)] if document["level"] == "warning" else [], said
        events = self._own(said)
        titles = [event.title for event in events if isinstance(event, StepUpdate) and event.finished_at is None]
        return events, titles[0] if titles else said

    def finish(self) -> list[Event]:
        """Return the events of a run that ended well: the last step is done."""
        return self._end_step()

    def _own(self, said: str) -> list[Event]:
        if found := _STAGE.match(said):
            self._stage = int(found["number"])
            return self._begin_step(f"FROM {found['base']}")
        if found := _CACHED.match(said):
            return self._begin_step(found[1], "cached")
        if _INSTRUCTION.match(said):
            if self._step and self._step.title == said and self._step.status == "cached":
                return []  # said once more where it is taken from the cache
            return self._begin_step(said)
        if found := _PUSHING.match(said):
            self.pushing = found[1]
            return [*self._end_step(), TransferUpdate(found[1], "push")]
        if found := _PUSHED.match(said):
            return [TransferUpdate(self.pushing or found[1], "push", status="done")]
        if found := _RETRIEVING.match(said):
            self.base = found[1]
        return []

    def _begin_step(self, title: str, status: StepStatus = "running") -> list[Event]:
        events = self._end_step()
        key = f"{self._stage}.{sum(1 for step in self.steps if step.startswith(f'{self._stage}.'))}"
        self._step = StepUpdate(key, title, status=status, started_at=self._clock())
        self.steps[key] = self._step
        return [*events, self._step]

    def _end_step(self) -> list[Event]:
        self._lines.end()
        if self._step is None or self._step.finished_at is not None:
            return []
        status: StepStatus = "cached" if self._step.status == "cached" else "done"
        self._step = replace(self._step, status=status, finished_at=self._clock())
        self.steps[self._step.step] = self._step
        return [self._step]


def _document(text: str) -> JsonObject | None:
    """Return the executor's own document on a line, None for what a command printed."""
    if not text.startswith('{"'):
        return None
    found = parse_object(text)
    return found if found is not None and {"level", "msg"} <= found.keys() else None
