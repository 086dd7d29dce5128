"""What a build can say while it works, and the state that every window draws.

Builders, runners and the pipeline yield these values and never print. A snapshot (``StepUpdate``, ``TransferUpdate``)
is keyed, so that it can be merged, dropped in between or replayed without harm. Failure is an exception and never
an event; whoever catches it tells the state (``fail``, ``cancel``).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from buildr_jupyter.model import BuildResult

__all__ = [
    "MAX_LINE_BYTES",
    "BuildState",
    "CancelToken",
    "Event",
    "Finished",
    "LogLine",
    "RunOutput",
    "Stage",
    "StageUpdate",
    "StepUpdate",
    "TransferUpdate",
    "Warned",
]

Stage = Literal["export", "guard", "build", "publish", "run"]
StageStatus = Literal["waiting", "running", "done", "cached", "failed", "cancelled"]
StepStatus = Literal["waiting", "running", "done", "cached", "failed", "cancelled"]
TransferStatus = Literal["waiting", "moving", "done", "exists", "mounted"]
Stream = Literal["stdout", "stderr"]

MAX_LINE_BYTES = 64 * 1024
"""A longer log line is cut here; ``LogLine.truncated_bytes`` says how much is missing."""


@dataclass(frozen=True, slots=True)
class StageUpdate:
    """The pipeline entered or left a stage."""

    stage: Stage
    status: StageStatus


@dataclass(frozen=True, slots=True)
class StepUpdate:
    """Snapshot of one step of the build; the last one with this ``step`` counts."""

    step: str
    """Key of the step, unique in the build (``"3"`` for the classic builder, the vertex digest for BuildKit)."""
    title: str
    """What a person reads: the Dockerfile instruction, or what is done."""
    index: int | None = None
    """1-based number of the step, where the builder numbers steps."""
    total: int | None = None
    status: StepStatus = "running"
    started_at: float | None = None
    """Seconds since the epoch, the engine's clock where it tells one."""
    finished_at: float | None = None
    platform: str | None = None

    @property
    def duration_s(self) -> float | None:
        """Seconds that the step took, None while it runs or where it is not known."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, self.finished_at - self.started_at)


@dataclass(frozen=True, slots=True)
class TransferUpdate:
    """Snapshot of one layer on the move; the last one with this ``verb`` and ``item`` counts."""

    item: str
    """The layer: its short id or digest, as the engine names it."""
    verb: Literal["pull", "push", "upload"]
    step: str | None = None
    current_bytes: int = 0
    total_bytes: int | None = None
    status: TransferStatus = "moving"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the build's output, appended."""

    seq: int
    """Grows by one from 0 within a build."""
    text: str
    """Without its line end; at most 64 KiB of UTF-8."""
    step: str | None = None
    stream: Stream = "stdout"
    at: float | None = None
    partial: bool = False
    """The text ends in a carriage return or in mid-line: the next line with this step goes on or overwrites."""
    truncated_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RunOutput:
    """What the running container wrote, as it comes; not split into lines."""

    stream: Stream
    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something odd; the work goes on."""

    text: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event, exactly once, said by the pipeline."""

    result: BuildResult


Event = StageUpdate | StepUpdate | TransferUpdate | LogLine | RunOutput | Warned | Finished


class CancelToken:
    """Asks work in another thread to stop.

    ``set()`` may be called from any thread and more than once. What the working side hangs on it with ``on_cancel``
    is called once, in the thread that sets the token (at once, if it is already set): close a socket, ask an engine
    to cancel, end a child.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Ask for the stop; errors of one callback do not keep the others from being called."""
        with self._lock:
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
        errors = []
        for callback in callbacks:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - whatever one raises, the others are called
                errors.append(error)
        if errors:
            raise ExceptionGroup("what was to be stopped did not stop cleanly", errors)

    def is_set(self) -> bool:
        """Tell whether the stop was asked for."""
        return self._event.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is set, at most ``timeout_s`` seconds; tell whether it is."""
        return self._event.wait(timeout_s)

    def on_cancel(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` when the token is set; return what takes it off again."""
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                return lambda: self._remove(callback)
        callback()
        return lambda: None

    def _remove(self, callback: Callable[[], None]) -> None:
        with self._lock:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


@dataclass(slots=True)
class BuildState:
    """All that a window needs to draw, reduced from the events; bounded in memory.

    ``apply`` reads no clock and does no I/O: the same events always give the same state.
    """

    max_log_lines: int = 20_000
    status: Literal["waiting", "running", "done", "failed", "cancelled"] = "waiting"
    stages: dict[Stage, StageStatus] = field(default_factory=dict)
    steps: dict[str, StepUpdate] = field(default_factory=dict)
    transfers: dict[tuple[str, str], TransferUpdate] = field(default_factory=dict)
    log: deque[LogLine] = field(default_factory=deque)
    log_total: int = 0
    """How many lines were logged; ``log_total - len(log)`` of them are folded away."""
    warnings: list[Warned] = field(default_factory=list)
    run_tail: str = ""
    """The last 64 KiB that the container wrote."""
    error: BaseException | None = None
    result: BuildResult | None = None

    def __post_init__(self) -> None:
        self.log = deque(self.log, maxlen=self.max_log_lines)

    def apply(self, event: Event) -> BuildState:
        """Take one event in and return this state."""
        match event:
            case LogLine():
                self.log.append(event)
                self.log_total += 1
            case StepUpdate():
                self.steps[event.step] = event
            case TransferUpdate():
                self.transfers[event.verb, event.item] = event
            case StageUpdate():
                self.stages[event.stage] = event.status
            case RunOutput():
                self.run_tail = (self.run_tail + event.text)[-MAX_LINE_BYTES:]
            case Warned():
                if event not in self.warnings:
                    self.warnings.append(event)
            case Finished():
                self.status, self.result = "done", event.result
        if self.status == "waiting":
            self.status = "running"
        return self

    def apply_all(self, events: Iterable[Event]) -> BuildState:
        """Take many events in, in order, and return this state."""
        for event in events:
            self.apply(event)
        return self

    def fail(self, error: BaseException) -> BuildState:
        """Say that the work failed: what was running has failed with it."""
        self.error = error
        return self._end("failed")

    def cancel(self) -> BuildState:
        """Say that a person stopped the work."""
        return self._end("cancelled")

    def _end(self, status: Literal["failed", "cancelled"]) -> BuildState:
        self.status = status
        self.stages = {stage: status if was == "running" else was for stage, was in self.stages.items()}
        self.steps = {
            key: replace(step, status=status) if step.status == "running" else step for key, step in self.steps.items()
        }
        return self

    @property
    def fraction(self) -> float | None:
        """How much of the numbered steps is behind us, 0.0 to 1.0; None where it is not known."""
        totals = [step.total for step in self.steps.values() if step.total]
        if not totals:
            return 1.0 if self.status == "done" else None
        finished = sum(1 for step in self.steps.values() if step.status in ("done", "cached"))
        return 1.0 if self.status == "done" else min(finished / max(max(totals), len(self.steps)), 1.0)
