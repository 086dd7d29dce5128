"""Engine client: the part of docker-py's ``APIClient`` that is used here, as a type; docker-py itself has none.

An answer is a JSON object as the engine sent it. Source: docker-py 7, ``docker/api``; Docker Engine API 1.41 and later.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from buildr_jupyter.model.json_object import JsonObject

if TYPE_CHECKING:
    import requests

__all__ = ["EngineClient", "OnEngine", "OpenEngine"]


class EngineClient(Protocol):
    """A connection to an engine: docker-py's ``APIClient``, or anything else that has these members.

    What its methods raise is docker-py's and requests' own; ``connection.translate`` makes errors of this package.
    One that ``connection.connect`` made has an address, see ``connection.address_of``.
    """

    timeout: float
    """How long an answer may take (seconds)."""
    base_url: str
    """Where requests go, ``http+docker://localhost`` for a unix socket."""
    _auth_configs: object
    """docker-py's ``AuthConfig``, from which the classic build takes the logins it sends."""

    @property
    def api_version(self) -> str:
        """The version of the API that is spoken: ``1.44``."""
        ...

    # -- the engine

    def ping(self) -> object:
        """Ask whether it is there."""
        ...

    def version(self) -> JsonObject:
        """Return versions of the engine and its parts."""
        ...

    def info(self) -> JsonObject:
        """Return what the engine says of itself and its machine."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...

    # -- images

    def images(self, name: str | None = None, *, filters: Mapping[str, object] | None = None) -> list[JsonObject]:
        """Return a summary of each image: ``Id``, ``RepoTags``, ``Size``, ``Labels``."""
        ...

    def inspect_image(self, image: str) -> JsonObject:
        """Return all about an image."""
        ...

    def remove_image(self, image: str) -> object:
        """Take a name of an image away; the last one takes the image with it."""
        ...

    def get_image(self, image: str, chunk_size: int) -> Iterable[bytes]:
        """Return the image as a tar in pieces, as ``docker save`` writes it."""
        ...

    def load_image(self, data: IO[bytes] | Iterable[bytes]) -> Iterable[object]:
        """Send a tar as ``docker load`` does; return the engine's documents on it."""
        ...

    def tag(self, image: str, repository: str, tag: str | None = None) -> object:
        """Give an image one more name."""
        ...

    def build(
        self,
        *,
        fileobj: object,
        custom_context: bool,
        dockerfile: str,
        rm: bool,
        forcerm: bool,
        nocache: bool,
        pull: bool,
        buildargs: Mapping[str, str],
        labels: Mapping[str, str],
        target: str | None,
        network_mode: str | None,
        platform: str | None,
    ) -> Iterable[bytes]:
        """Send a context, and return the stream of its build by the classic builder."""
        ...

    def pull(
        self, repository: str, *, tag: str | None, stream: bool, platform: str | None, auth_config: Mapping[str, str]
    ) -> Iterable[bytes]:
        """Return the stream of a pull."""
        ...

    def push(
        self, repository: str, *, tag: str | None, stream: bool, auth_config: Mapping[str, str]
    ) -> Iterable[bytes]:
        """Return the stream of a push."""
        ...

    # -- containers

    def containers(self, *, all: bool, filters: Mapping[str, object]) -> list[JsonObject]:  # noqa: A002 - docker-py's
        """Return a summary of each container: ``Id``, ``Labels``, ``State``."""
        ...

    def create_host_config(self, **options: object) -> object:
        """Return docker-py's form of what of a container concerns its machine: ports, mounts, limits."""
        ...

    def create_container(
        self,
        image: str,
        *,
        command: Sequence[str] | None = None,
        name: str | None = None,
        environment: Mapping[str, str] | list[str] | None = None,
        ports: Sequence[tuple[int, str]] | None = None,
        labels: Mapping[str, str] | None = None,
        working_dir: str | None = None,
        host_config: object = None,
    ) -> JsonObject:
        """Make a container; return its ``Id`` and ``Warnings``."""
        ...

    def inspect_container(self, container: str) -> JsonObject:
        """Return all about a container: ``State``, ``Config``, ``NetworkSettings``."""
        ...

    def attach(self, container: str, *, stream: bool, demux: bool) -> Iterable[tuple[bytes | None, bytes | None]]:
        """Return what a container writes from now on, in pieces of (standard output, standard error)."""
        ...

    def logs(self, container: str, *, stream: bool, follow: bool, tail: int | str = "all") -> Iterable[bytes]:
        """Return what a container wrote, its last ``tail`` lines, and with ``follow`` what it writes; in pieces."""
        ...

    def start(self, container: str) -> object:
        """Start it."""
        ...

    def stop(self, container: str, timeout: int | None = None) -> object:
        """Ask it to end, and kill it after ``timeout`` seconds."""
        ...

    def kill(self, container: str) -> object:
        """Kill it."""
        ...

    def wait(self, container: str, timeout: float | None = None) -> JsonObject:
        """Return its ``StatusCode`` as soon as it has ended."""
        ...

    def remove_container(self, container: str, v: bool = False, *, force: bool = False) -> object:
        """Remove it, with ``v`` its nameless volumes too."""
        ...

    def put_archive(self, container: str, path: str, data: bytes | Iterable[bytes]) -> object:
        """Unpack a tar in a folder of the container."""
        ...

    def diff(self, container: str) -> list[JsonObject] | None:
        """Return what a container changed of its image: ``Path`` and ``Kind`` (0 changed, 1 made, 2 deleted)."""
        ...

    def get_archive(self, container: str, path: str) -> tuple[Generator[bytes, None, None], JsonObject]:
        """Return a folder or file of the container as a tar in pieces, and its ``stat``. Close the pieces."""
        ...

    # -- requests that docker-py has no method for; these names are its own

    def _url(self, pathfmt: str) -> str: ...

    def _get(self, url: str) -> requests.Response: ...

    def _post(
        self,
        url: str,
        *,
        data: Iterable[bytes],
        params: Mapping[str, str],
        headers: Mapping[str, str],
        stream: bool,
        timeout: float | None,
    ) -> requests.Response: ...

    def _stream_helper(self, response: requests.Response, decode: bool) -> Iterator[bytes]: ...


OpenEngine: TypeAlias = Callable[[], EngineClient]
"""Connects when it is called; raises as ``connection.connect``."""


@runtime_checkable
class OnEngine(Protocol):
    """A builder or runner that works over a connection, and takes one that is there already."""

    docker_client: EngineClient | None
    """None until it is first needed."""
