"""Place of a builder in a cluster: ``kubernetes``, ``kubernetes/NAMESPACE`` or ``kubernetes=CONTEXT/NAMESPACE``."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from buildr_jupyter.cluster.client import KINDS, ClusterClient, Kind
from buildr_jupyter.cluster.connection import connect
from buildr_jupyter.cluster.jobs import await_gone, owner_name
from buildr_jupyter.cluster.labels import GROUP, MANAGED, OWNER, owner_of, safe_label
from buildr_jupyter.errors import (
    BuildRefused,
    ClusterError,
    ClusterForbidden,
    ClusterNotFound,
    ClusterQuota,
    EngineError,
    OptionError,
)

__all__ = ["BUILDER", "COMPONENT", "Place", "Right", "admission_hint", "names_place"]

Right = tuple[Kind, str, tuple[str, ...]]
"""Kind, subresource, verbs."""
COMPONENT = "app.kubernetes.io/component"
BUILDER = "builder"
"""Component of what builders make."""
_LEVEL = "pod-security.kubernetes.io/enforce"
"""Label of a namespace."""
_ANOTHER = "name another namespace: --builder NAME=kubernetes/NAMESPACE"
_SPEC = re.compile(r"kubernetes(?:=(?P<context>.+?))?(?:/(?P<namespace>[a-z0-9](?:[a-z0-9-]*[a-z0-9])?))?")


def names_place(argument: str) -> bool:
    """Tell whether what follows ``--builder NAME=`` says that the builder is in a cluster."""
    return re.match(r"kubernetes(?:$|[=/])", argument) is not None


def admission_hint(needs: str) -> str:
    """Return the way out where Pod Security does not admit a builder's pod; ``needs`` says in words what it needs."""
    return f"{needs}; or build without an engine and without rights: --builder oci"


class Place:
    """A namespace of a cluster; nothing is asked before it is needed.

    Raises OptionError for a text that names none.
    """

    def __init__(
        self,
        spec: str,
        *,
        client: ClusterClient | None = None,
        owner: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        found = _SPEC.fullmatch(spec)
        if found is None:
            raise OptionError(
                f"--builder: {spec!r} names no cluster",
                hint="write kubernetes/NAMESPACE, or kubernetes=CONTEXT/NAMESPACE",
            )
        self._context, self._namespace = found["context"], found["namespace"]
        self._known, self._owner, self._clock = client, owner, clock

    @property
    def client(self) -> ClusterClient:
        """The client of the namespace. Raises as ``cluster.connection.connect``."""
        if self._known is None:
            self._known = connect(self._context, self._namespace)
        return self._known

    @property
    def title(self) -> str:
        """The namespace and its cluster, in words."""
        return f"namespace {self.client.namespace!r} of {self.client.context}"

    @property
    def owner(self) -> str:
        """Who the cluster says that this is, and of a hub its user: as the labels of runs have it."""
        if self._owner is None:
            self._owner = owner_name(self.client, os.environ.get("JUPYTERHUB_USER"))
        return self._owner

    def about(self, name: str, group: str, image: str) -> dict[str, object]:
        """Return the metadata of an object: found with the runs of this user, and told from them by its component."""
        labels = {
            "app.kubernetes.io/name": "buildr", "app.kubernetes.io/instance": name, COMPONENT: BUILDER,
            MANAGED: "buildr", GROUP: safe_label(group), OWNER: owner_of(self.owner),
        }  # fmt: skip
        notes = {OWNER: self.owner, GROUP: group, "io.buildr.image": image}
        return {"name": name, "labels": labels, "annotations": notes}

    def check(self, needed: Sequence[Right]) -> None:
        """Raise ClusterForbidden that names each right that is missing and the namespace."""
        lacking = []
        for kind, subresource, verbs in needed:
            resource = KINDS[kind].plural + (f"/{subresource}" if subresource else "")
            if missing := [verb for verb in verbs if not self.client.allowed(verb, kind, subresource)]:
                lacking.append(f"{', '.join(missing)} {resource}")
        if lacking:
            where = f"namespace {self.client.namespace!r}"
            raise ClusterForbidden(
                f"cluster {self.client.context}: you may not {'; '.join(lacking)} in {where}",
                hint="ask for a Role that allows it there, or name a namespace where you have it: "
                "--builder NAME=kubernetes/NAMESPACE",
            )

    @contextlib.contextmanager
    def asked(self, needed: Sequence[Right]) -> Iterator[None]:
        """Say what the cluster refuses meanwhile as a builder is told it, whose options are not those of a run.

        Raises ClusterForbidden that names each right of ``needed`` that is missing, ClusterQuota, ClusterNotFound for
        the namespace.
        """
        try:
            yield
        except ClusterForbidden:
            self.check(needed)
            raise
        except ClusterQuota as error:
            ended = "end what is not needed there (buildr runs list --on kubernetes shows yours)"
            raise ClusterQuota(str(error), hint=f"{ended}, or {_ANOTHER}") from error
        except ClusterNotFound as error:
            raise ClusterNotFound(str(error), hint=_ANOTHER) from error

    def check_level(self, admits: Collection[str], needs: str) -> None:
        """Raise BuildRefused where Pod Security enforces another level there than those that admit the builder's pod.

        ``needs`` says in words what it needs. Nothing is raised where the namespace may not be read: a build is told.
        """
        level = None
        with contextlib.suppress(ClusterError):
            level = self.client.namespace_labels().get(_LEVEL)
        if level is not None and level not in admits:
            raise BuildRefused(
                f"Pod Security {level!r} of {self.title} does not admit the builder's pod",
                hint=admission_hint(needs),
            )

    def remove(self, job: str) -> None:
        """Delete a Job with all that it owns, and wait until its pod is gone.

        Raises EngineError where the pod does not end, ClusterError.
        """
        self.client.delete("Job", job)
        await_gone(self.client, [("Job", job)], EngineError, clock=self._clock)
