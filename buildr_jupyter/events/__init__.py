"""Events: records of what happens in a build, the state that they come to, and their codec."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildr_jupyter.events.cancel import CancelToken
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
    "RunUpdate",
    "Stage",
    "StageUpdate",
    "StepUpdate",
    "TransferUpdate",
]

# Imported when asked for (PEP 562): a package that imports its own modules makes two threads wait for each other's
# import lock, and Python then gives one of them a module that is half there.
_MODULES = {
    "BuildState": "buildr_jupyter.events.state",
    "BuildWarning": "buildr_jupyter.model.progress",
    "CancelToken": "buildr_jupyter.events.cancel",
    "Event": "buildr_jupyter.events.event",
    "Finished": "buildr_jupyter.events.event",
    "LogLine": "buildr_jupyter.events.event",
    "MAX_LINE_BYTES": "buildr_jupyter.events.event",
    "RunOutput": "buildr_jupyter.events.event",
    "RunUpdate": "buildr_jupyter.events.event",
    "Stage": "buildr_jupyter.events.event",
    "StageUpdate": "buildr_jupyter.events.event",
    "StepUpdate": "buildr_jupyter.model.progress",
    "TransferUpdate": "buildr_jupyter.events.event",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
