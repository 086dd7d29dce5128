"""Jobs of a cluster: who owns them, which Secrets go with them, and when they and their pods are gone."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from buildr_jupyter.cluster.client import ClusterClient, Kind
from buildr_jupyter.cluster.labels import job_selector
from buildr_jupyter.errors import BuildrError, ClusterNotFound
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.process.locks import this_user

__all__ = ["await_gone", "created_at", "make_owned_secret", "owner_name"]

_GONE_S, _LOOK_S = 60.0, 0.1


def owner_name(client: ClusterClient, user: str | None) -> str:
    """Return who the cluster says that this is, the same on each machine; of a hub, with the hub's ``user``."""
    name = client.whoami() or this_user()
    return f"{name} {user}" if user else name


def created_at(found: JsonObject) -> float:
    """Return when an object was made, in seconds since the epoch by the cluster's clock; 0 where it does not say."""
    try:
        return datetime.fromisoformat(str(found["metadata"].get("creationTimestamp"))).timestamp()
    except ValueError:
        return 0.0


def make_owned_secret(
    name: str, job: JsonObject, kind: str, data: Mapping[str, str], labels: Mapping[str, str]
) -> JsonObject:
    """Return a Secret of the type ``kind`` that goes with ``job``, an object of the cluster; ``data`` is in base64."""
    about = job["metadata"]
    owner = {"apiVersion": job["apiVersion"], "kind": job["kind"], "name": about["name"], "uid": about["uid"]}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": dict(labels), "ownerReferences": [owner]},
        "type": kind,
        "data": dict(data),
    }


def await_gone(
    client: ClusterClient,
    objects: Iterable[tuple[Kind, str]],
    error: type[BuildrError],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Wait until objects that were deleted are gone, and the pods of Jobs with them.

    Raises ``error`` where one is still there after a minute, ClusterError.
    """
    deadline = clock() + _GONE_S
    for kind, name in objects:
        while _is_there(client, kind, name):
            if clock() > deadline:
                raise error(
                    f"{name} is not gone after {_GONE_S:.0f} s: its node does not say that the pod has ended",
                    hint="see what holds it: kubectl describe job",
                )
            time.sleep(_LOOK_S)


def _is_there(client: ClusterClient, kind: Kind, name: str) -> bool:
    with contextlib.suppress(ClusterNotFound):
        client.get(kind, name)
        return True
    return kind == "Job" and bool(client.list("Pod", job_selector(name)).items)
