"""Builds and pushes with podman, over its Docker-compatible socket; its stream is read by the same reader."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping

from buildr_jupyter.builder.docker.classic_stream import DockerStream
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.podman.service import find, leased, own
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import connect, describe
from buildr_jupyter.engine.orphans import sweep_containers
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.capabilities import Capabilities
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.registry import keychain

__all__ = ["PodmanBuilder"]

_HEREDOCS = (4, 8)
"""The podman whose buildah (1.33) knows here-documents."""


class PodmanBuilder(DockerBuilder):
    """Builds with podman: at ``address``, else at the socket that is there, else with a service that it starts."""

    name = "podman"

    def __init__(
        self,
        address: str | None = None,
        *,
        find_login: Callable[[str], keychain.Login | None] = keychain.find,
        clock: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        super().__init__("classic", find_login=find_login, clock=clock)
        self.address = address
        self._environ = environ
        self._own = False

    @classmethod
    def of(cls, argument: str) -> PodmanBuilder:
        """Return the builder for ``podman=ADDRESS``: ``unix:///run/podman/podman.sock``, ``tcp://host:port``."""
        return cls(argument)

    def _lacks_heredocs(self, request: BuildRequest) -> str | None:
        said = str(self._client().version().get("Version", ""))
        version = tuple(int(part) for part in said.split("-")[0].split(".")[:2] if part.isdigit())
        return None if version >= _HEREDOCS else f"podman {said} does not know them"

    def _client(self) -> EngineClient:
        if self.docker_client is None:
            address = self.address or find(self._environ)
            self._own = address is None
            given = connect({"DOCKER_HOST": address}, owner=self) if address else None
            self.docker_client = given or own(self._environ).client()
            sweep_containers(self.docker_client)
        return self.docker_client

    def probe(self) -> str:
        """Return what answers; the socket of a service that goes with this process is nothing to tell."""
        info = describe(self._client())
        place = "whose service is started for the build" if self._own else f"at {info.address}"
        return f"{info.name} {info.version}{',' if self._own else ''} {place}"

    def capabilities(self) -> Capabilities:
        """Return what it does by itself: podman runs what it built."""
        return Capabilities(engine=self._client)

    def _stream_context(
        self, client: EngineClient, state: DockerStream, request: BuildRequest, cancel: CancelToken
    ) -> Generator[Event, None, None]:
        """Build; where the service is ours, with one for this build alone: its end is then the end of the work.

        A service that was there before finishes the step that runs before it takes notice of a cancelled build.
        """
        if not self._own:
            yield from super()._stream_context(client, state, request, cancel)
            return
        with leased(self._environ) as service:
            undo = cancel.on_cancel(service.kill_work)
            try:
                yield from super()._stream_context(service.client(), state, request, cancel)
            finally:
                undo()
