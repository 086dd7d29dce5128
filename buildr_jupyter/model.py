"""The values that travel through the house: references, plans, requests, results. All frozen, none does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.plan import (
    CustomDockerfile,
    FileEntry,
    FileNote,
    ImagePlan,
    ImportUse,
    NameNote,
    Requirement,
    canonical_json,
)
from buildr_jupyter.reference import ImageRef

if TYPE_CHECKING:
    from buildr_jupyter.events import StepUpdate, Warned

__all__ = [
    "Archive",
    "BuildRequest",
    "BuildResult",
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
    "Refusal",
    "Requirement",
    "RunResult",
    "RunSpec",
    "Secret",
    "canonical_json",
]


@dataclass(frozen=True, slots=True)
class Push:
    """Push under this reference."""

    ref: ImageRef


@dataclass(frozen=True, slots=True)
class Archive:
    """Write one tar that ``docker load``, ``podman load`` and skopeo take."""

    path: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Write an OCI image layout."""

    path: Path


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Leave the image in the engine's own store."""


Output = Push | Archive | Layout | EngineLoad


@dataclass(frozen=True, slots=True)
class Secret:
    """Something that a step may read while it runs, under /run/secrets; it is in no plan, image, record or log."""

    id: str
    """As in ``RUN --mount=type=secret,id=…``."""
    source: Path | None = None
    """The file that holds it, else None."""
    variable: str | None = None
    """The environment variable that holds it, else None."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What a builder is asked for."""

    context: Path
    """Folder with the Dockerfile and what it copies."""
    refs: tuple[ImageRef, ...]
    """Names that the image gets, the main one first; tags are written out."""
    plan: ImagePlan | None = None
    """None for a folder that is not ours: a custom Dockerfile."""
    outputs: tuple[Output, ...] = (EngineLoad(),)
    dockerfile: str = "Dockerfile"
    """Relative to the context."""
    no_cache: bool = False
    pull: bool = False
    """Ask the registry for a newer base even if the engine has one."""
    platforms: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    """Visible in the history, except those that builders know as proxy settings."""
    network: str | None = None
    target: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[tuple[str, str | None], ...] = ()
    """Names in ``RUN --mount=type=ssh,id=…`` and the agents' sockets; None: that of SSH_AUTH_SOCK."""
    cache_from: tuple[str, ...] = ()
    """Where steps made elsewhere are looked for: ``IMAGE`` or BuildKit's ``type=registry,ref=IMAGE``."""
    cache_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that a builder cannot do, and who can."""

    what: str
    """``several platforms``, ``build secrets`` …"""
    why: str
    builders: tuple[str, ...] = ()
    """Names of builders that can."""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


INTERPRETER_BASE = "kernel"
"""The base that is made from this very interpreter."""
INTERPRETER_BASE_REFUSAL = Refusal(
    f"--base {INTERPRETER_BASE}", "this builder takes bases from registries and stores only", ("oci",)
)


@dataclass(frozen=True, slots=True)
class PortBinding:
    """A port of the container opened on this machine."""

    container: int
    host: int | None = None
    """None: a free one is chosen."""
    address: str = "127.0.0.1"
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of this machine seen in the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class RunSpec:
    """How a container is run; nothing of it is in the image or in any record."""

    image: str
    name: str
    args: tuple[str, ...] = ()
    """Given to the entrypoint: parameters of the program."""
    environment: tuple[tuple[str, str], ...] = ()
    ports: tuple[PortBinding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    memory_bytes: int | None = None
    cpus: float | None = None
    gpus: str | None = None
    """``all`` or a count, as ``docker run --gpus``."""
    output_dir: Path | None = None
    """Where the files of the container's output folder are copied to afterwards."""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunResult:
    """How the container ended."""

    exit_code: int
    stdout_tail: str = ""
    """The last 64 KiB of standard output."""
    duration_s: float = 0.0
    ports: tuple[PortBinding, ...] = ()
    """With the host ports that were chosen."""
    outputs: tuple[Path, ...] = ()
    """Files copied back, sorted."""
    log_tail: tuple[str, ...] = ()
    """The last lines of standard output and standard error, as they came, oldest first."""


@dataclass(frozen=True, slots=True, repr=False)
class BuildResult:
    """What came of a build; the value of a ``%%containerize`` cell."""

    image: str
    """The reference that was asked for, with its tag."""
    image_id: str | None = None
    """``sha256:`` and 64 hex digits of the image's config."""
    digest: str | None = None
    """``sha256:`` and 64 hex digits of the manifest (or index); None until pushed or archived."""
    size_bytes: int | None = None
    """Compressed layers and config; None until they are compressed somewhere."""
    unpacked_bytes: int | None = None
    duration_s: float = 0.0
    cached: bool = False
    """True where the same content was there already and nothing was built."""
    builder: str = ""
    content_digest: str | None = None
    context: Path | None = None
    tags: tuple[str, ...] = ()
    """All references that the image has here."""
    pushed: tuple[str, ...] = ()
    archive: Path | None = None
    steps: tuple[StepUpdate, ...] = ()
    images: tuple[BuildResult, ...] = ()
    """One for each platform, where several were built."""
    run: RunResult | None = None
    requirements: tuple[Requirement, ...] = ()
    names: tuple[NameNote, ...] = ()
    files: tuple[FileNote, ...] = ()
    warnings: tuple[Warned, ...] = ()

    def __repr__(self) -> str:
        shown = [f"image={self.image!r}"]
        names = ("image_id", "digest", "cached", "pushed", "archive")
        shown += [f"{name}={value!r}" for name in names if (value := getattr(self, name))]
        return f"BuildResult({', '.join(shown)}, duration_s={self.duration_s:.2f})"
