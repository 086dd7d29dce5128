"""Images made without an engine and brought into one: what needs no command run is there sooner."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import TypeVar

from buildr_jupyter.builder.protocol import Builder, SeedMethods
from buildr_jupyter.errors import BuildError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import BuildRequest, Unsupported
from buildr_jupyter.model.result import BuildResult

__all__ = ["IntoEngine"]

_Answer = TypeVar("_Answer")


class IntoEngine(SeedMethods):
    """Has ``maker`` make the image and bring it into the engine; where that fails, the engine builds it after all.

    What an engine can and ``maker`` cannot is found on the way at the latest: a package without a wheel, an index that
    only pip reaches. So a build fails as the engine's does.
    """

    def __init__(self, maker: Builder, engine: Builder) -> None:
        self._maker, self._engine = maker, engine
        self._use(maker)

    def _use(self, builder: Builder) -> None:
        self._used = builder
        self.name = builder.name

    def capabilities(self) -> Capabilities:
        """Return what it does by itself: the image is in the engine."""
        return replace(self._engine.capabilities(), pushes_while_building=False)

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        """Return what both cannot do."""
        return self._engine.unsupported(request) if self._maker.unsupported(request) else []

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        """Find the base as ``maker`` does, else as the engine."""
        return (yield from self._by_either(lambda builder: builder.resolve_base(request, cancel)))

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Make and load it, else say why not and have the engine build it. Raises as the engine's builder does."""
        return (yield from self._by_either(lambda builder: builder.stream_build(request, cancel)))

    def _by_either(self, ask: Callable[[Builder], Generator[Event, None, _Answer]]) -> Generator[Event, None, _Answer]:
        try:
            return (yield from ask(self._used))
        except BuildError as error:
            yield self._give_way(error)
        return (yield from ask(self._engine))

    def _give_way(self, error: BuildError) -> StepUpdate:
        """Take the engine from now on, and return what says so; raise the error again where it was the engine's."""
        if self._used is self._engine:
            raise error
        self._use(self._engine)
        reason = str(error).removeprefix("Image build failed: ")
        title = f"builder: {self._engine.name}, as {self._maker.name} cannot: {reason}"
        return StepUpdate("builder", title, status="done")

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push as the one that made the last image does."""
        return (yield from self._used.stream_push(ref, cancel))
