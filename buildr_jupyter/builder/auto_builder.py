"""Automatic choice of a builder: the engine where one answers, else the one that needs none; another where that one
cannot build what is asked and the other can.

What needs no command run is made without the engine and brought into it, which is sooner there: where the base is at
hand, and the engine is on this machine and takes layers one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from buildr_jupyter.builder.oci.into_engine import IntoEngine
from buildr_jupyter.builder.protocol import Builder, Probed, Ready
from buildr_jupyter.builder.selection import select
from buildr_jupyter.engine.client import EngineClient, OnEngine, OpenEngine
from buildr_jupyter.engine.connection import address_of, connect, describe
from buildr_jupyter.errors import BuildrError, EnginePermission, EngineUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import BuildRequest, Unsupported
from buildr_jupyter.model.result import BuildResult

__all__ = ["AutoBuilder", "suited"]

_OTHERS = ("oci", "buildkit", "podman", "buildah")
"""In this order they are asked where the first choice cannot do it."""


class AutoBuilder:
    """Chooses when it is first used, once. An engine that is there but not for this user is an error, not a reason."""

    def __init__(self, *, open_engine: OpenEngine = connect) -> None:
        self._open_engine = open_engine
        self._chosen: Builder | None = None
        self._client: EngineClient | None = None
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
                self.name, self._client = "docker", client
                self._chosen = select("docker")
                if isinstance(self._chosen, OnEngine):
                    self._chosen.docker_client = client
        assert self._chosen is not None
        return self._chosen

    def suit(self, request_for: Callable[[Builder], BuildRequest]) -> None:
        """Choose another builder where the first choice cannot build the request and another here can.

        ``request_for`` gives the request as one builder would get it. An engine that answers is never passed over for
        what it can do. Raises as ``chosen``.
        """
        if not (lacks := self.chosen.unsupported(request_for(self.chosen))):
            self._take_short_way(request_for)
            return
        for name in _OTHERS:
            other = select(name)
            try:
                if isinstance(other, Probed):
                    other.probe()
                able = name != self.name and not other.unsupported(request_for(other))
            except BuildrError:
                continue
            if able:
                self._why = f"{self.name} cannot build {', '.join(one.what for one in lacks)}"
                self.name, self._chosen = name, other
                return

    def _take_short_way(self, request_for: Callable[[Builder], BuildRequest]) -> None:
        """Let the image be made without the engine and brought into it, where all that needs is at hand."""
        if self._client is None or self.name != "docker" or not takes_layers(self._client):
            return
        maker = select("oci")
        into_engine = IntoEngine(maker, self.chosen)
        if isinstance(maker, Ready) and maker.ready_for(request_for(into_engine), self._client):
            self._why = "it needs no command run, and goes into the engine"
            self.name, self._chosen = maker.name, into_engine

    def capabilities(self) -> Capabilities:
        """Return what the chosen one does by itself."""
        return self.chosen.capabilities()

    def probe(self) -> str:
        """Return which one it takes here. Raises as ``chosen``."""
        _ = self.chosen
        return f"takes {self.name}"

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        """Return what the chosen one cannot do."""
        return self.chosen.unsupported(request)

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        """Find the base, after saying which builder was chosen where that is not the engine's."""
        if self.chosen and self._why:
            yield StepUpdate("builder", f"builder: {self.name}, as {self._why}", status="done")
        return (yield from self.chosen.resolve_base(request, cancel))

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build with the chosen one."""
        result = yield from self.chosen.stream_build(request, cancel)
        self.name = self.chosen.name
        return result

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push with the chosen one."""
        return (yield from self.chosen.stream_push(ref, cancel))

    def build(self, img: str, path: str = ".") -> BuildResult:
        """Build with the chosen one."""
        return self.chosen.build(img, path)

    def publish(self, img: str) -> BuildResult:
        """Push with the chosen one."""
        return self.chosen.publish(img)


def suited(builder: Builder, request_for: Callable[[Builder], BuildRequest]) -> Builder:
    """Return the builder; one that was to be chosen automatically has been chosen for this request."""
    if isinstance(builder, AutoBuilder):
        builder.suit(request_for)
    return builder


def takes_layers(client: EngineClient) -> bool:
    """Tell whether an engine is on this machine and loads an image without the layers that it has."""
    address = address_of(client)
    if address is None or not address.url.startswith(("unix://", "npipe://")):
        return False
    try:
        info = describe(client)
    except BuildrError:
        return False
    return not info.podman and not info.by_containerd
