"""Results: what came of a build and of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.model.plan import (
    FileNote,
    NameNote,
    Requirement,
)

if TYPE_CHECKING:
    from buildr_jupyter.model.progress import BuildWarning, StepUpdate
    from buildr_jupyter.model.proof import Proof
from buildr_jupyter.model.request import PortBinding

__all__ = ["BuildResult", "RunResult"]


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
    warnings: tuple[BuildWarning, ...] = ()
    proof: Proof | None = None
    """What a run of the program here showed; None where nobody asked for one."""

    def __repr__(self) -> str:
        shown = [f"image={self.image!r}"]
        names = ("image_id", "digest", "cached", "pushed", "archive")
        shown += [f"{name}={value!r}" for name in names if (value := getattr(self, name))]
        if self.proof is not None:
            shown.append(f"proof={str(self.proof)!r}")
        return f"BuildResult({', '.join(shown)}, duration_s={self.duration_s:.2f})"
