"""Model: frozen values, without input or output."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
    from buildr_jupyter.model.image_ref import ImageRef
    from buildr_jupyter.model.interface import Candidate, Input, Interface, Return
    from buildr_jupyter.model.plan import (
        CustomDockerfile,
        FileEntry,
        FileNote,
        ImagePlan,
        ImportUse,
        NameNote,
        Requirement,
    )
    from buildr_jupyter.model.progress import BuildWarning, StepUpdate
    from buildr_jupyter.model.proof import Proof
    from buildr_jupyter.model.request import (
        Archive,
        BuildRequest,
        EngineLoad,
        Layout,
        Mount,
        Output,
        PortBinding,
        Push,
        RunSpec,
        Secret,
        Unsupported,
    )
    from buildr_jupyter.model.result import BuildResult, Returned, RunResult
    from buildr_jupyter.model.sweep import RunGroup, SweepResult

__all__ = [
    "Archive",
    "BaseRequest",
    "BuildRequest",
    "BuildResult",
    "BuildWarning",
    "Candidate",
    "Capabilities",
    "CustomDockerfile",
    "EngineLoad",
    "FileEntry",
    "FileNote",
    "ImagePlan",
    "ImageRef",
    "ImportUse",
    "Input",
    "Interface",
    "Layout",
    "Mount",
    "NameNote",
    "Output",
    "PortBinding",
    "Proof",
    "Push",
    "Requirement",
    "ResolvedBase",
    "Return",
    "Returned",
    "RunGroup",
    "RunResult",
    "RunSpec",
    "Secret",
    "StepUpdate",
    "SweepResult",
    "Unsupported",
]

# Imported when asked for (PEP 562): a package that imports its own modules makes two threads wait for each other's
# import lock, and Python then gives one of them a module that is half there.
_MODULES = {
    "Archive": "buildr_jupyter.model.request",
    "BaseRequest": "buildr_jupyter.model.capabilities",
    "BuildRequest": "buildr_jupyter.model.request",
    "BuildResult": "buildr_jupyter.model.result",
    "BuildWarning": "buildr_jupyter.model.progress",
    "Candidate": "buildr_jupyter.model.interface",
    "Capabilities": "buildr_jupyter.model.capabilities",
    "CustomDockerfile": "buildr_jupyter.model.plan",
    "EngineLoad": "buildr_jupyter.model.request",
    "FileEntry": "buildr_jupyter.model.plan",
    "FileNote": "buildr_jupyter.model.plan",
    "ImagePlan": "buildr_jupyter.model.plan",
    "ImageRef": "buildr_jupyter.model.image_ref",
    "ImportUse": "buildr_jupyter.model.plan",
    "Input": "buildr_jupyter.model.interface",
    "Interface": "buildr_jupyter.model.interface",
    "Layout": "buildr_jupyter.model.request",
    "Mount": "buildr_jupyter.model.request",
    "NameNote": "buildr_jupyter.model.plan",
    "Output": "buildr_jupyter.model.request",
    "PortBinding": "buildr_jupyter.model.request",
    "Proof": "buildr_jupyter.model.proof",
    "Push": "buildr_jupyter.model.request",
    "Requirement": "buildr_jupyter.model.plan",
    "ResolvedBase": "buildr_jupyter.model.capabilities",
    "Return": "buildr_jupyter.model.interface",
    "Returned": "buildr_jupyter.model.result",
    "RunGroup": "buildr_jupyter.model.sweep",
    "RunResult": "buildr_jupyter.model.result",
    "RunSpec": "buildr_jupyter.model.request",
    "Secret": "buildr_jupyter.model.request",
    "StepUpdate": "buildr_jupyter.model.progress",
    "SweepResult": "buildr_jupyter.model.sweep",
    "Unsupported": "buildr_jupyter.model.request",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
