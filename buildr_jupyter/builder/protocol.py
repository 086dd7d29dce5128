"""Builder protocol: the seam between an image's description and what can make it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Protocol, runtime_checkable

from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest, EngineLoad, Output, Unsupported
from buildr_jupyter.model.result import BuildResult

__all__ = ["Builder", "Probed", "Ready", "SeedMethods", "drain"]


@runtime_checkable
class Builder(Protocol):
    """Makes an image from a context folder; raises BuildError, PublishError or EngineError, never returns a failure."""

    name: str
    """As in ``--builder NAME``."""

    def capabilities(self) -> Capabilities:
        """Return what it does by itself, here."""
        ...

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        """Return what it cannot do of the request, said before anything starts."""
        ...

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        """Make the base image known; return its name and digest."""
        ...

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build, yielding what happens; return the image."""
        ...

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push ``ref`` and nothing else; return its digest and compressed size."""
        ...

    def build(self, img: str, path: str = ".") -> BuildResult:
        """Build the folder ``path`` under the name ``img``."""
        ...

    def publish(self, img: str) -> BuildResult:
        """Push ``img``."""
        ...


@runtime_checkable
class Probed(Protocol):
    """A builder that can tell whether it works here; those of this package can."""

    def probe(self) -> str:
        """Return what builds, in words. Raises BuildrError where nothing would."""
        ...


@runtime_checkable
class Ready(Protocol):
    """A builder that knows whether it has at hand what an image in this engine needs."""

    def ready_for(self, request: BuildRequest, client: EngineClient) -> bool:
        """Tell whether the image can be made and brought into the engine without anything that it or we lack."""
        ...


class _Seeded(Builder, Protocol):
    seed_outputs: tuple[Output, ...]


class SeedMethods:
    """``build`` and ``publish`` as the seed has them, over the streams of the class that inherits them."""

    seed_outputs: tuple[Output, ...] = (EngineLoad(),)
    """Where ``build`` puts the image; empty where the builder keeps images in a store of its own."""

    def build(self: _Seeded, img: str, path: str = ".") -> BuildResult:
        """Build the folder ``path`` under the name ``img`` (tag ``latest`` where it has none)."""
        request = BuildRequest(Path(path), (ImageRef.parse(img).tagged(),), outputs=self.seed_outputs)
        return drain(self.stream_build(request, CancelToken()))

    def publish(self: Builder, img: str) -> BuildResult:
        """Push ``img``, and of its tags only the named one, else ``latest``."""
        return drain(self.stream_push(ImageRef.parse(img), CancelToken()))
