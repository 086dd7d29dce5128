"""Progress records that results keep: steps of a build and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["BuildWarning", "StageStatus", "StepStatus", "StepUpdate"]


StageStatus = Literal["waiting", "running", "done", "cached", "failed", "cancelled"]

StepStatus = Literal["waiting", "running", "done", "cached", "failed", "cancelled"]


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
class BuildWarning:
    """Something odd; the work goes on."""

    text: str
    hint: str | None = None
