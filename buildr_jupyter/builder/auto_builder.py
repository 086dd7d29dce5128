"""Automatic choice of a builder: the engine where one answers, else the one that needs none; another where that one
cannot build what is asked and the other can."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from buildr_jupyter.builder.protocol import Builder
from buildr_jupyter.builder.selection import select
from buildr_jupyter.engine.connection import connect
from buildr_jupyter.errors import BuildrError, EnginePermission, EngineUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import BuildRequest, Unsupported
from buildr_jupyter.model.result import BuildResult

__all__ = ["AutoBuilder"]

_OTHERS = ("oci", "buildkit", "podman", "buildah")
"""In this order they are asked where the first choice cannot do it."""


class AutoBuilder:
    """Chooses when it is first used, once. An engine that is there but not for this user is an error, not a reason."""

    def __init__(self, *, open_engine: Callable[[], Any] = connect) -> None:
        self._open_engine = open_engine
        self._chosen: Builder | None = None
        self._why = ""
        self.name = "auto"

    @property
    def chosen(self) -> Builder:
        """The builder that does the work. Raises EnginePermission and EngineVersion."""
        if self._chosen is None:
            try:
                client = self._open_engine()
            except EnginePermission:
                raise
            except EngineUnavailable:
                self.name, self._why = "oci", "no engine answers"
                self._chosen = select("oci")
            else:
                self.name = "docker"
                docker: Any = select("docker")
                docker.docker_client = client
                self._chosen = docker
        assert self._chosen is not None
        return self._chosen

    def suit(self, request_for: Callable[[Builder], BuildRequest]) -> None:
        """Choose another builder where the first choice cannot build the request and another here can.

        ``request_for`` gives the request as one builder would get it. An engine that answers is never passed over for
        what it can do. Raises as ``chosen``.
        """
        if not (refusals := self.chosen.refusals(request_for(self.chosen))):
            return
        for name in _OTHERS:
            other: Any = select(name)
            try:
                other.probe()
                able = name != self.name and not other.refusals(request_for(other))
            except BuildrError:
                continue
            if able:
                self._why = f"{self.name} cannot build {', '.join(refusal.what for refusal in refusals)}"
                self.name, self._chosen = name, other
                return

    @property
    def keeps_images(self) -> bool:
        """Whether images stay in a store of ours: then outputs are what is asked for, and nothing else."""
        return bool(getattr(self.chosen, "keeps_images", False))

    @property
    def pushes_while_building(self) -> bool:
        """Whether the chosen one pushes while it builds."""
        return bool(getattr(self.chosen, "pushes_while_building", False))

    @property
    def engine_with_images(self) -> Any:
        """What gives the engine that has the chosen one's images, None where it is the usual one."""
        return getattr(self.chosen, "engine_with_images", None)

    def probe(self) -> str:
        """Return which one it takes here. Raises as ``chosen``."""
        _ = self.chosen
        return f"takes {self.name}"

    def refusals(self, request: BuildRequest) -> list[Unsupported]:
        """Return what the chosen one cannot do."""
        return self.chosen.refusals(request)

    def stream_base(
        self, base: str, *, platform: str | None, pull: bool, cancel: CancelToken
    ) -> Generator[Event, None, str | None]:
        """Find the base, after saying who was chosen where that is not the engine."""
        yield from self._say()
        return (yield from self.chosen.stream_base(base, platform=platform, pull=pull, cancel=cancel))

    def stream_auto_base(
        self, base: str, *, platform: str | None, pull: bool, cancel: CancelToken
    ) -> Generator[Event, None, tuple[str, str | None]]:
        """Find the base that nobody asked for by name; return its name and digest."""
        find: Any = getattr(self.chosen, "stream_auto_base", None)
        if find is None:
            return base, (yield from self.stream_base(base, platform=platform, pull=pull, cancel=cancel))
        yield from self._say()
        found: tuple[str, str | None] = yield from find(base, platform=platform, pull=pull, cancel=cancel)
        return found

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build with the chosen one."""
        return (yield from self.chosen.stream_build(request, cancel))

    def stream_publish(self, img: str, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push with the chosen one."""
        return (yield from self.chosen.stream_publish(img, cancel))

    def build(self, img: str, path: str = ".") -> BuildResult:
        """Build with the chosen one."""
        return self.chosen.build(img, path)

    def publish(self, img: str) -> BuildResult:
        """Push with the chosen one."""
        return self.chosen.publish(img)

    def _say(self) -> Generator[Event, None, None]:
        if self.chosen and self._why:
            yield StepUpdate("builder", f"builder: {self.name}, as {self._why}", status="done")
