"""Events: what a build says while it works, and what every display draws.

Builders, runners and the pipeline yield these values and never print. A snapshot (``StepUpdate``, ``TransferUpdate``)
is keyed, so that it can be merged, dropped in between or replayed without harm. Failure is an exception and never
an event; the code that catches it tells the state (``fail``, ``cancel``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from buildr_jupyter.model.progress import BuildWarning, StageStatus, StepUpdate

if TYPE_CHECKING:
    from buildr_jupyter.model.result import BuildResult

__all__ = [
    "MAX_LINE_BYTES",
    "Event",
    "Finished",
    "LogLine",
    "RunOutput",
    "RunUpdate",
    "Stage",
    "StageUpdate",
    "TransferUpdate",
]

Stage = Literal["export", "guard", "build", "proof", "publish", "run"]
TransferStatus = Literal["waiting", "moving", "done", "exists", "mounted"]
Stream = Literal["stdout", "stderr"]
Phase = Literal["waiting", "starting", "running", "collecting", "done", "failed", "cancelled", "lost"]

MAX_LINE_BYTES = 64 * 1024
"""A longer log line is cut here; ``LogLine.truncated_bytes`` says how much is missing."""


@dataclass(frozen=True, slots=True)
class StageUpdate:
    """The pipeline entered or left a stage."""

    stage: Stage
    status: StageStatus


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
    shown: str = ""
    """JSON of MIME type to data, where the text is the text form of an object that a notebook shows otherwise."""


@dataclass(frozen=True, slots=True)
class RunUpdate:
    """Snapshot of one run of a sweep; the last one with this ``key`` counts."""

    key: str
    """Unique in the sweep, and the same for the same inputs."""
    number: int
    """Its 0-based place in the grid."""
    total: int
    phase: Phase
    title: str = ""
    """Its inputs: ``rate=0.1 depth=3``; what is named like a secret is masked."""
    reason: str = ""
    """Why it is not done, in one sentence."""
    started_at: float | None = None
    finished_at: float | None = None
    reused: bool = False
    log_tail: tuple[str, ...] = ()
    """The last lines of one that failed."""
    returned: tuple[tuple[str, str], ...] = ()
    """Of one that is done: names and short texts of the scalars that it gave back."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event, exactly once, said by the pipeline."""

    result: BuildResult


Event = StageUpdate | StepUpdate | TransferUpdate | LogLine | RunOutput | RunUpdate | BuildWarning | Finished
