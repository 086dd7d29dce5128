"""Capabilities of builders and runners, and what is asked of them about a base. All frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BaseRequest", "Capabilities", "ResolvedBase", "RunnerCapabilities"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a builder does by itself, so that nobody has to ask what it is."""

    in_engine: bool = True
    """A built image is in the engine that runs it; else it goes where the request's outputs say, and nowhere else."""
    pushes_while_building: bool = False
    """A ``Push`` among the outputs is carried out by the build itself."""
    engine: Callable[[], Any] | None = field(default=None, compare=False, repr=False)
    """Gives the connection (an ``EngineClient``) to the engine that has its images; None: the machine's usual one."""


@dataclass(frozen=True, slots=True)
class RunnerCapabilities:
    """What a runner takes, so that nobody has to ask what it is."""

    in_engine: bool = True
    """It runs what an engine of this machine has; else it takes the image from a registry, by its digest."""


@dataclass(frozen=True, slots=True)
class BaseRequest:
    """A base image that is looked for."""

    name: str
    platform: str | None = None
    """``linux/arm64``; None: the builder's own."""
    pull: bool = False
    """Ask the registry for a newer one, even where there is one."""
    named: bool = True
    """The user named it; where nobody did, a builder may take one that does as well."""


@dataclass(frozen=True, slots=True)
class ResolvedBase:
    """The base that a build takes."""

    name: str
    digest: str | None = None
    """Of its manifest, or the image id of one that only the engine has; None where neither is known."""
