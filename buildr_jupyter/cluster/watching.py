"""Watching: what objects of a kind become, from a list and a watch that goes on from it, however often it breaks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from buildr_jupyter.cluster.answers import WatchExpired
from buildr_jupyter.cluster.client import Change, ClusterClient, Kind
from buildr_jupyter.errors import ClusterUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.json_object import JsonObject

__all__ = ["PATIENCE_S", "iter_changes"]

PATIENCE_S = 300.0
"""So long a cluster may be away before a run in it is given up here; the run itself goes on."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 10.0


def iter_changes(
    client: ClusterClient,
    kind: Kind,
    selector: str,
    cancel: CancelToken,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Change]:
    """Yield each object that there is, and then what changes, until the token is set.

    An object that went while nobody watched is yielded as DELETED. The order is the server's, and a state may be
    yielded twice. Raises ClusterUnavailable where the cluster was away for ``PATIENCE_S``.
    """
    known: dict[str, JsonObject] = {}
    version, pause, last = "", _PAUSE_S, clock()
    while not cancel.is_set():
        try:
            if not version:
                listed = client.list(kind, selector)
                last, version = clock(), listed.version
                there = {_uid(one): _name_of(one) for one in listed.items}
                yield from (Change("DELETED", known.pop(uid)) for uid in [uid for uid in known if uid not in there])
                known |= there
                yield from (Change("ADDED", one) for one in listed.items)
                del listed, there  # thousands of pods, each with its whole specification
            for change in client.watch(kind, selector, version, cancel):
                last, pause = clock(), _PAUSE_S
                version = str((change.object.get("metadata") or {}).get("resourceVersion") or version)
                if change.type == "BOOKMARK":
                    continue
                known[_uid(change.object)] = _name_of(change.object)
                if change.type == "DELETED":
                    known.pop(_uid(change.object))
                yield change
            last = clock()
        except WatchExpired:
            version = ""
            last = clock()
        except (ConnectionError, ClusterUnavailable):
            if clock() - last > PATIENCE_S:
                raise ClusterUnavailable(
                    f"cluster {client.context}: it has not answered for {PATIENCE_S:.0f} s",
                    hint="find it again with buildr runs list --on kubernetes: what runs there goes on",
                ) from None
            cancel.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)


def _name_of(found: JsonObject) -> JsonObject:
    """Return of an object what tells which it was, once it is gone."""
    about = found.get("metadata") or {}
    return {"metadata": {key: about[key] for key in ("name", "uid", "labels") if key in about}}


def _uid(found: JsonObject) -> str:
    about = found.get("metadata") or {}
    return str(about.get("uid") or about.get("name"))
