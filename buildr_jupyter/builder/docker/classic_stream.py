"""What a build's, a pull's and a push's documents mean, as events.

Source: ``captures/engine-build-events.json`` (Docker Engine 20.10, API 1.41), moby ``pkg/jsonmessage`` and
``builder/dockerfile``; podman 4.3 says ``STEP n/m: …`` where Docker says ``Step n/m : …``. The keys ``error`` and
``progress`` are deprecated since API 1.48, ``errorDetail`` and ``progressDetail`` stay.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Literal

from buildr_jupyter.builder.buildkit.progress import TRACE, BuildkitStream
from buildr_jupyter.events.event import Event, LogLine, TransferUpdate
from buildr_jupyter.events.event import Stream as StreamName
from buildr_jupyter.events.line_assembler import LogLines
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning, StepUpdate

__all__ = ["DockerStream", "described", "error_of", "exit_code_of", "said_of"]

_STEP = re.compile(r"(?:\[(\d+)/\d+\] )?(?:Step|STEP) (\d+)/(\d+) ?: (.*)", re.DOTALL)
_CONTAINER = re.compile(r" ---> Running in ([0-9a-f]{12})")
_CHATTER = re.compile(
    r" ---> (?:Running in )?[0-9a-f]{12}|--> [0-9a-f]{11,64}|Removing intermediate container [0-9a-f]{12}"
    r"|Successfully tagged \S+|COMMIT(?: \S+)?"
)
_CACHED = re.compile(r" ---> Using cache|--> Using cache [0-9a-f]+")
_BUILT = re.compile(r"Successfully built ([0-9a-f]{12,64})|([0-9a-f]{64})")
_WARNING = re.compile(r"(?: ---> )?\[Warning\] (.+)")
_DIGEST = re.compile(r"(?i:\bdigest): (sha256:[0-9a-f]{64})")
_EXIT_CODE = re.compile(r"(?:non-zero code|exit code|exit status): ?(\d+)|exit status (\d+)")
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"
_LAYER = re.compile(r"[0-9a-f]{12}")

_TRANSFER: dict[str, Literal["waiting", "moving", "done", "exists", "mounted"]] = {
    "Pulling fs layer": "waiting",
    "Waiting": "waiting",
    "Preparing": "waiting",
    "Downloading": "moving",
    "Verifying Checksum": "moving",
    "Download complete": "moving",
    "Extracting": "moving",
    "Pushing": "moving",
    "Pull complete": "done",
    "Pushed": "done",
    "Already exists": "exists",
    "Layer already exists": "exists",
}


def error_of(document: JsonObject) -> tuple[str, int | None] | None:
    """Return the message and exit code of a document that reports a failure, None for any other."""
    detail = document.get("errorDetail")
    message = document.get("error")
    if not message and not detail:
        return None
    code = None
    if isinstance(detail, dict):
        message = message or detail.get("message") or str(detail)
        code = detail.get("code")
    text = str(message or detail).strip()
    if not isinstance(code, int) or isinstance(code, bool) or code <= 0:
        code = exit_code_of(text)
    return text, code


def exit_code_of(text: str) -> int | None:
    """Return the exit code that a failure text names, None where it names none."""
    found = _EXIT_CODE.search(text)
    return int(found[1] or found[2]) if found else None


class DockerStream:
    """Reduces one stream's documents to events and remembers what the result needs.

    A pull's and a push's layers become TransferUpdates, a step's output LogLines; what BuildKit traces goes through
    ``BuildkitStream``.
    """

    def __init__(
        self, verb: Literal["build", "pull", "push"] = "build", *, clock: Callable[[], float] = time.time
    ) -> None:
        self.verb = verb
        self.image_id: str | None = None
        """``sha256:…``, or a prefix of its digits where the engine told no more."""
        self.digest: str | None = None
        """Of the manifest that was pushed or pulled."""
        self.steps: dict[str, StepUpdate] = {}
        self.base: str | None = None
        """The image that is pulled."""
        self.registry = ("", False)
        """The registry that is pushed to, and whether a login was sent."""
        self.begun = False
        """Whether the engine has said anything yet."""
        self.container: str | None = None
        """Where the classic builder runs the step: what an engine that is killed leaves behind."""
        self.since = 0.0
        """When the build began: seconds since the epoch."""
        self._clock = clock
        self._step: StepUpdate | None = None
        numbers = count()
        self._lines = LogLines(numbers)
        self._buildkit = BuildkitStream(self.steps, numbers)
        self._fresh_step = False
        self._layers: dict[str, TransferUpdate] = {}

    @property
    def step_title(self) -> str | None:
        """Title of the step that runs, or that failed."""
        return self._step.title if self._step else self._buildkit.failing_title

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that the build printed, the failing step's where the engine tells steps apart."""
        return tuple(self._lines.tail) or self._buildkit.tail

    def feed(self, document: JsonObject) -> list[Event]:
        """Return the events that one document means; a document of an unknown kind means none."""
        self.begun = True
        if document.get("id") == TRACE:
            return self._buildkit.feed_aux(document.get("aux"))
        text = document.get("stream")
        if isinstance(text, str):
            return self._output(text) if text else []
        status = document.get("status")
        if isinstance(status, str):
            return self._status(status, document)
        aux = document.get("aux")
        if isinstance(aux, dict):
            self._aux(aux)
        return []

    def finish(self) -> list[Event]:
        """Return the events of a stream that ended well: the last step is done."""
        return [*self._end_step(), *self._buildkit.finish()]

    def _aux(self, aux: JsonObject) -> None:
        for key, name in (("ID", "image_id"), ("Digest", "digest")):
            value = aux.get(key)
            if isinstance(value, str) and value:
                setattr(self, name, value)

    # -- steps and their output

    def _output(self, text: str) -> list[Event]:
        stream: StreamName = "stdout"
        if text.startswith(_RED) and text.endswith(_PLAIN):
            stream, text = "stderr", text[len(_RED) : -len(_PLAIN)]
        else:
            said = self._engine_says(text)
            if said is not None:
                return said
        step = self._step
        return [*self._lines.feed(text, stream, step.step if step else None, self._clock())]

    def _engine_says(self, text: str) -> list[Event] | None:
        """Return the events of a text that is the builder's own, None for output of a command.

        The engine does not mark its own texts; what a command prints in exactly their form is taken for them.
        """
        first = text[0]
        if first not in " -[SRC\n" and not (len(text) >= 64 and _BUILT.fullmatch(text.rstrip())):
            return None
        if text == "\n":
            # Directly after "Step n/m : …" the engine sends a newline of its own.
            fresh, self._fresh_step = self._fresh_step, False
            return [] if fresh or (self._step is None and not self._lines.is_open("stdout")) else None
        line = text.rstrip("\n")
        if found := _STEP.match(line):
            return self._begin_step(stage=found[1], index=int(found[2]), total=int(found[3]), title=found[4].strip())
        if _CHATTER.fullmatch(line):
            if found := _CONTAINER.fullmatch(line):
                self.container = self.container or found[1]
            return []
        if _CACHED.fullmatch(line) and self._step:
            self._step = replace(self._step, status="cached")
            return []
        if found := _BUILT.fullmatch(line):
            self.image_id = self.image_id or found[1] or found[2]
            return []
        if found := _WARNING.match(line):
            return [BuildWarning(found[1].strip())]
        return None

    def _begin_step(self, *, stage: str | None, index: int, total: int, title: str) -> list[Event]:
        events = self._end_step()
        self.container = None
        key = f"{stage}.{index}" if stage else str(index)
        self._step = StepUpdate(key, title, index, total, "running", self._clock())
        self.steps[key] = self._step
        self._fresh_step = True
        return [*events, self._step]

    def _end_step(self) -> list[Event]:
        events: list[Event] = []
        self._lines.end()
        if self._step and self._step.finished_at is None:
            status = "cached" if self._step.status == "cached" else "done"
            self._step = replace(self._step, status=status, finished_at=self._clock())  # type: ignore[arg-type]
            self.steps[self._step.step] = self._step
            events.append(self._step)
        return events

    # -- layers on the move

    def _status(self, status: str, document: JsonObject) -> list[Event]:
        item = document.get("id")
        if found := _DIGEST.search(status):
            self.digest = found[1]
        if not isinstance(item, str) or not _LAYER.fullmatch(item):
            return []
        if status.startswith("Retrying in"):
            return [
                self._transfer(item, "waiting", 0, None),
                BuildWarning(f"layer {item} is sent again: the registry failed"),
            ]
        kind = "mounted" if status.startswith("Mounted from") else _TRANSFER.get(status)
        if kind is None:
            return []
        known = self._layers.get(item)
        current, total = _progress(document, known)
        if status in ("Extracting", "Verifying Checksum", "Download complete") and known:
            # Their numbers are of another phase: a bar would run backwards.
            current, total = known.total_bytes or known.current_bytes, known.total_bytes
        elif kind == "done" and known:
            current, total = known.total_bytes or known.current_bytes, known.total_bytes
        update = self._transfer(item, kind, current, total)
        return [] if update == known else [update]

    def _transfer(
        self,
        item: str,
        status: Literal["waiting", "moving", "done", "exists", "mounted"],
        current: int,
        total: int | None,
    ) -> TransferUpdate:
        verb: Literal["pull", "push"] = "push" if self.verb == "push" else "pull"
        update = TransferUpdate(item, verb, self._step.step if self._step else None, current, total, status)
        self._layers[item] = update
        return update


def _progress(document: JsonObject, known: TransferUpdate | None) -> tuple[int, int | None]:
    detail = document.get("progressDetail")
    current = detail.get("current") if isinstance(detail, dict) else None
    total = detail.get("total") if isinstance(detail, dict) else None
    if not isinstance(total, int) or total <= 0:
        total = known.total_bytes if known else None
    if not isinstance(current, int):
        current = known.current_bytes if known else 0
    if total is not None and current > total:
        current = total  # measured: a push counts the tar's padding too
    return current, total


def described(document: JsonObject, events: list[Event]) -> list[str]:
    """Return the seed's texts for one document in the log; of a trace one for each step begun and each line."""
    if document.get("id") == TRACE:
        return [f"Build output: {text}" for event in events if (text := said_of(event))]
    if document.get("stream"):
        return [f"Build output: {str(document['stream']).strip()}"]
    if document.get("status"):
        return [f"Push output: {document['status']} {document.get('progress')}"]
    if document.get("aux"):
        return [f"Push finished: {document.get('aux')}"]
    return [str(document)]


def said_of(event: Event) -> str | None:
    """Return what the seed's log says of an event: a step that begins, or a line; None for any other."""
    if isinstance(event, LogLine):
        return event.text.rstrip()
    if isinstance(event, StepUpdate) and event.status == "running":
        return event.title
    return None
