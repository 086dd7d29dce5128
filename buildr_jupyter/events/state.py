"""State of a build: the reducer of its events."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.events.event import (
    MAX_LINE_BYTES,
    Event,
    Finished,
    LogLine,
    RunOutput,
    RunUpdate,
    Stage,
    StageUpdate,
    TransferUpdate,
)
from buildr_jupyter.model.progress import BuildWarning, StageStatus, StepUpdate

__all__ = ["BuildState"]


@dataclass(slots=True)
class BuildState:
    """All that a display needs to draw, reduced from the events; bounded in memory.

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
    runs: dict[str, RunUpdate] = field(default_factory=dict)
    """Of a sweep, by key; the last snapshot of each."""
    warnings: list[BuildWarning] = field(default_factory=list)
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
            case RunUpdate():
                self.runs[event.key] = event
            case BuildWarning():
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

    def go_on(self) -> BuildState:
        """Say that more is done with what came of it: what there is stays, and the same state takes in what follows."""
        self.status, self.error = "waiting", None
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
        """How much of a sweep's runs, else of the numbered steps, is behind us, 0.0 to 1.0; None if not known."""
        if self.runs and self.status not in ("done",):
            over = sum(1 for run in self.runs.values() if run.finished_at is not None)
            return over / max(run.total for run in self.runs.values())
        totals = [step.total for step in self.steps.values() if step.total]
        if not totals:
            return 1.0 if self.status == "done" else None
        finished = sum(1 for step in self.steps.values() if step.status in ("done", "cached"))
        return 1.0 if self.status == "done" else min(finished / max(max(totals), len(self.steps)), 1.0)
