"""Rights in a cluster: which of those that a run needs this user has, and which are missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from buildr_jupyter.cluster.client import KINDS, ClusterClient, Kind
from buildr_jupyter.errors import BuildrError

__all__ = ["NEEDED", "STANDING", "Right", "iter_rights"]

NEEDED: tuple[tuple[Kind, str, tuple[str, ...]], ...] = (
    ("Job", "", ("create", "get", "list", "patch", "delete")),
    ("Secret", "", ("create", "patch")),
    ("ConfigMap", "", ("create", "get", "patch")),
    ("Pod", "", ("list", "watch")),
    ("Pod", "log", ("get",)),
)
"""What runs use: kind, subresource, verbs. Secrets are for those with variables, and ConfigMaps for grids."""

STANDING: tuple[tuple[str, tuple[Kind, ...]], ...] = (
    ("--replicas", ("Deployment", "Service")),
    ("--shards", ("StatefulSet", "Service")),
    ("--schedule", ("CronJob",)),
)
"""What stays in a cluster, and of which kinds it is; who has no right to make those needs none for runs."""
_MADE = ("create", "get", "list", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Right:
    """What was found out about one thing."""

    name: str
    ok: bool
    found: str
    advice: str | None = None


def iter_rights(client: ClusterClient) -> Iterator[Right]:
    """Yield whether the cluster answers, then what this user may do with each kind of object."""
    where = f"namespace {client.namespace!r} of {client.context}"
    try:
        who = client.whoami()
        yield Right("cluster", True, f"{where}, as {who or 'a user whom it does not name'}")
        for kind, subresource, verbs in NEEDED:
            resource = KINDS[kind].plural + (f"/{subresource}" if subresource else "")
            missing = [verb for verb in verbs if not client.allowed(verb, kind, subresource)]
            advice = f"ask for a Role that allows {', '.join(missing)} on {resource} there" if missing else None
            found = f"you may not {', '.join(missing)}" if missing else f"you may {', '.join(verbs)}"
            yield Right(resource, not missing, found, advice)
        for option, kinds in STANDING:
            lacks = [
                f"{', '.join(missing)} {KINDS[kind].plural}"
                for kind in kinds
                if (missing := [verb for verb in _MADE if not client.allowed(verb, kind)])
            ]
            yield Right(option, True, f"you may not {' and '.join(lacks)}" if lacks else "you may")
    except BuildrError as error:
        yield Right("cluster", False, str(error), error.hint)
