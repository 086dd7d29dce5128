"""Model: frozen values, without input or output."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
    from buildr_jupyter.model.image_ref import ImageRef
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
    from buildr_jupyter.model.result import BuildResult, RunResult

__all__ = [
    "Archive",
    "BaseRequest",
    "BuildRequest",
    "BuildResult",
    "BuildWarning",
    "Capabilities",
    "CustomDockerfile",
    "EngineLoad",
    "FileEntry",
    "FileNote",
    "ImagePlan",
    "ImageRef",
    "ImportUse",
    "Layout",
    "Mount",
    "NameNote",
    "Output",
    "PortBinding",
    "Proof",
    "Push",
    "Requirement",
    "ResolvedBase",
    "RunResult",
    "RunSpec",
    "Secret",
    "StepUpdate",
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
    "Capabilities": "buildr_jupyter.model.capabilities",
    "CustomDockerfile": "buildr_jupyter.model.plan",
    "EngineLoad": "buildr_jupyter.model.request",
    "FileEntry": "buildr_jupyter.model.plan",
    "FileNote": "buildr_jupyter.model.plan",
    "ImagePlan": "buildr_jupyter.model.plan",
    "ImageRef": "buildr_jupyter.model.image_ref",
    "ImportUse": "buildr_jupyter.model.plan",
    "Layout": "buildr_jupyter.model.request",
    "Mount": "buildr_jupyter.model.request",
    "NameNote": "buildr_jupyter.model.plan",
    "Output": "buildr_jupyter.model.request",
    "PortBinding": "buildr_jupyter.model.request",
    "Proof": "buildr_jupyter.model.proof",
    "Push": "buildr_jupyter.model.request",
    "Requirement": "buildr_jupyter.model.plan",
    "ResolvedBase": "buildr_jupyter.model.capabilities",
    "RunResult": "buildr_jupyter.model.result",
    "RunSpec": "buildr_jupyter.model.request",
    "Secret": "buildr_jupyter.model.request",
    "StepUpdate": "buildr_jupyter.model.progress",
    "Unsupported": "buildr_jupyter.model.request",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
