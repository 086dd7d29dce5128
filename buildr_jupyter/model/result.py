"""Results: what came of a build and of a run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from buildr_jupyter.model.plan import (
    FileNote,
    NameNote,
    Requirement,
)

if TYPE_CHECKING:
    from buildr_jupyter.model.progress import BuildWarning, StepUpdate
    from buildr_jupyter.model.proof import Proof
from buildr_jupyter.model.request import PortBinding

__all__ = ["BuildResult", "Returned", "RunResult"]


@dataclass(frozen=True, slots=True)
class Returned:
    """A value that a run gave back, as a file whose size and digest were checked."""

    name: str
    format: str
    """json, npy, png or pickle."""
    type: str
    """Full name of its class in the image: ``pandas.core.frame.DataFrame``."""
    size_bytes: int
    sha256: str
    path: Path


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
    """Files copied back, sorted: what the program made or changed."""
    folder: Path | None = None
    """The folder that they are in, which no other run has; None where none came back."""
    log_tail: tuple[str, ...] = ()
    """The last lines of standard output and standard error, as they came, oldest first."""
    returned: tuple[Returned, ...] = ()
    """What it gave back, as files, in the order of ``--return``."""
    values: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)
    """The same by name, as values; a pickle of an image that is not trusted is not among them."""
    inputs: Mapping[str, object] = field(default_factory=dict, compare=False)
    """Of a sweep's run: the plain values of all its inputs."""
    state: Literal["done", "failed", "cancelled", "lost"] = "done"
    """How a sweep's run ended."""
    key: str = ""
    """Of a sweep's run: what it is known by, 64 hex digits."""
    reason: str = ""
    """Why a sweep's run is not done, in one sentence."""
    reused: bool = False
    """A sweep's run that had been done before."""


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
    interface: str | None = None
    """What the image takes and gives back, as canonical JSON; None where it does neither."""
    context: Path | None = None
    tags: tuple[str, ...] = ()
    """All references that the image has here."""
    pushed: tuple[str, ...] = ()
    archive: Path | None = None
    steps: tuple[StepUpdate, ...] = ()
    images: tuple[BuildResult, ...] = ()
    """One for each platform, where several were built."""
    run: RunResult | None = None
    sweep: Sequence[RunResult] | None = None
    """A SweepResult, where the image was run for each point of a grid."""
    requirements: tuple[Requirement, ...] = ()
    names: tuple[NameNote, ...] = ()
    files: tuple[FileNote, ...] = ()
    warnings: tuple[BuildWarning, ...] = ()
    proof: Proof | None = None
    """What a run of the program here showed; None where nobody asked for one."""

    @property
    def load_command(self) -> str:
        """The command that brings the archive into a Docker Engine, which loads no OCI layout; empty without one."""
        if self.archive is None:
            return ""
        place = shlex.quote(str(self.archive))
        if self.archive.suffix == ".tar":
            return f"docker load -i {place}"
        tag = self.image.rpartition("/")[2].partition(":")[2] or "latest"
        return f"skopeo copy oci:{place}:{tag} docker-daemon:{self.image}"

    def __repr__(self) -> str:
        shown = [f"image={self.image!r}"]
        names = ("image_id", "digest", "cached", "pushed", "archive")
        shown += [f"{name}={value!r}" for name in names if (value := getattr(self, name))]
        if self.proof is not None:
            shown.append(f"proof={str(self.proof)!r}")
        return f"BuildResult({', '.join(shown)}, duration_s={self.duration_s:.2f})"
