"""Builder protocol: the seam between an image's description and what can make it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, runtime_checkable

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.request import BuildRequest, Unsupported
from buildr_jupyter.model.result import BuildResult

__all__ = ["Builder", "drain"]


@runtime_checkable
class Builder(Protocol):
    """Makes an image from a context folder; raises BuildError, PublishError or EngineError, never returns a failure."""

    def refusals(self, request: BuildRequest) -> list[Unsupported]:
        """Return what it cannot do of the request, said before anything starts."""
        ...

    def stream_base(
        self, base: str, *, platform: str | None, pull: bool, cancel: CancelToken
    ) -> Generator[Event, None, str | None]:
        """Make the base image known; return its digest (or its image id, where only the engine has it)."""
        ...

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build, yielding what happens; return the image."""
        ...

    def stream_publish(self, img: str, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push ``img`` and nothing else; return its digest and compressed size."""
        ...

    def build(self, img: str, path: str = ".") -> BuildResult:
        """Build the folder ``path`` under the name ``img``."""
        ...

    def publish(self, img: str) -> BuildResult:
        """Push ``img``."""
        ...


def drain(stream: Generator[Event, None, BuildResult]) -> BuildResult:
    """Run a stream to its end, its events unseen, and return what it returns: what ``build`` and ``publish`` do."""
    while True:
        try:
            next(stream)
        except StopIteration as end:
            result: BuildResult = end.value
            return result
