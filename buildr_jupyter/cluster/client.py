"""ClusterClient: what is used of a Kubernetes API server, typed; the official client and the tests' fake have it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject

__all__ = ["FIELD_MANAGER", "KINDS", "Change", "ClusterClient", "Kind", "Listed", "Resource"]

FIELD_MANAGER = "buildr"
"""Owner of the fields that are applied."""

Kind = Literal["Job", "CronJob", "ConfigMap", "Secret", "Pod", "Service", "Deployment", "StatefulSet", "Event"]


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the API has the objects of a kind."""

    group: str
    """``batch``; empty for the core API."""
    version: str
    plural: str

    @property
    def api(self) -> str:
        """The objects' ``apiVersion``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self) -> str:
        """The beginning of the URL's path."""
        return f"/apis/{self.api}" if self.group else f"/api/{self.api}"


KINDS: Mapping[Kind, Resource] = {
    "Job": Resource("batch", "v1", "jobs"),
    "CronJob": Resource("batch", "v1", "cronjobs"),
    "ConfigMap": Resource("", "v1", "configmaps"),
    "Secret": Resource("", "v1", "secrets"),
    "Pod": Resource("", "v1", "pods"),
    "Service": Resource("", "v1", "services"),
    "Deployment": Resource("apps", "v1", "deployments"),
    "StatefulSet": Resource("apps", "v1", "statefulsets"),
    "Event": Resource("", "v1", "events"),
}


@dataclass(frozen=True, slots=True)
class Listed:
    """Objects as they were at one version of the cluster."""

    items: tuple[JsonObject, ...]
    version: str
    """What a watch goes on from."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a watch saw."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: JsonObject


class ClusterClient(Protocol):
    """Asks the API server; all objects are those of one namespace.

    Each method raises ClusterUnavailable where nothing answers, ClusterUnauthorized, ClusterForbidden, ClusterRefused
    and ClusterNotFound as their docstrings say. A request that was refused for the moment (429, 5xx) is repeated for
    some seconds. A client may be used by several threads.
    """

    @property
    def context(self) -> str:
        """What the cluster is called here: the kubeconfig's context, or ``in-cluster``."""
        ...

    @property
    def namespace(self) -> str:
        """The namespace."""
        ...

    def whoami(self) -> str:
        """Return the name that the cluster knows this user by, empty where it does not tell."""
        ...

    def allowed(self, verb: str, kind: Kind, subresource: str = "") -> bool:
        """Tell whether this user may do that in the namespace."""
        ...

    def apply(self, manifest: JsonObject) -> JsonObject:
        """Make or change an object as the manifest says (server-side apply) and return it whole."""
        ...

    def patch(self, kind: Kind, name: str, change: JsonObject) -> JsonObject:
        """Merge the change into an object and return it whole."""
        ...

    def get(self, kind: Kind, name: str) -> JsonObject:
        """Return an object."""
        ...

    def list(self, kind: Kind, selector: str = "", fields: str = "") -> Listed:
        """Return the objects whose labels and fields the selectors select."""
        ...

    def nodes(self, most: int) -> tuple[JsonObject, ...] | None:
        """Return the cluster's nodes; None where there are more than ``most``.

        Raises ClusterForbidden for who may not list them, as most who have a namespace alone.
        """
        ...

    def namespace_labels(self) -> Mapping[str, str]:
        """Return the labels of the namespace, where Pod Security has its level.

        Raises ClusterForbidden for who may not read it, as many who may make everything in it.
        """
        ...

    def watch(self, kind: Kind, selector: str, version: str, cancel: CancelToken) -> Iterator[Change]:
        """Yield what changes after ``version`` until the server or the token ends it, which is no error.

        Raises WatchExpired where the version is too old, and ConnectionError where the connection broke.
        """
        ...

    def delete(self, kind: Kind, name: str, *, propagation: str = "Foreground", grace_s: int | None = None) -> None:
        """Ask for the end of an object and of what it owns; one that is gone is no error."""
        ...

    def read_log(
        self, pod: str, container: str, cancel: CancelToken, *, follow: bool = False, tail: int | None = None
    ) -> Iterator[bytes]:
        """Yield what a container's log has from its beginning, each line behind its time, as it comes.

        Raises LogNotReady where there is none yet, ConnectionError where the connection broke.
        """
        ...

    def send(self, pod: str, container: str, pieces: Iterable[bytes], cancel: CancelToken) -> None:
        """Send the pieces as the standard input of a container, end it, and return when it was taken.

        Raises ConnectionError where the connection broke, and what ``pieces`` raises.
        """
        ...

    def execute(
        self, pod: str, container: str, command: Sequence[str], cancel: CancelToken, *, say: Callable[[bytes], object]
    ) -> Iterator[bytes]:
        """Run a command in a container that runs, and yield its standard output as it comes; ``say`` has its errors.

        Raises ConnectionError where the connection broke, and where the command failed.
        """
        ...

    def forward(self, pod: str, port: int) -> socket.socket:
        """Return a socket whose other end is a port of the pod's own loopback.

        Raises ConnectionError where the connection broke.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
