"""Model: frozen values, without input or output."""

from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, FileEntry, FileNote, ImagePlan, ImportUse, NameNote, Requirement
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
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
    "Push",
    "Requirement",
    "ResolvedBase",
    "RunResult",
    "RunSpec",
    "Secret",
    "StepUpdate",
    "Unsupported",
]
