"""Events: records of what happens in a build, the state that they come to, and their codec."""

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import (
    MAX_LINE_BYTES,
    Event,
    Finished,
    LogLine,
    RunOutput,
    Stage,
    StageUpdate,
    TransferUpdate,
)
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import BuildWarning, StepUpdate

__all__ = [
    "MAX_LINE_BYTES",
    "BuildState",
    "BuildWarning",
    "CancelToken",
    "Event",
    "Finished",
    "LogLine",
    "RunOutput",
    "Stage",
    "StageUpdate",
    "StepUpdate",
    "TransferUpdate",
]
