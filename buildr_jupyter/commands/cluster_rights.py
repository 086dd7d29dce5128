"""Rights in a cluster: which of those that a run needs this user has, and which are missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from buildr_jupyter.cluster.client import KINDS, ClusterClient, Kind
from buildr_jupyter.errors import BuildrError

__all__ = ["NEEDED", "Right", "iter_rights"]

NEEDED: tuple[tuple[Kind, str, tuple[str, ...]], ...] = (
    ("Job", "", ("create", "get", "list", "patch", "delete")),
    ("Secret", "", ("create", "patch")),
    ("Pod", "", ("list", "watch")),
    ("Pod", "log", ("get",)),
)
"""What a run uses: kind, subresource, verbs. A Secret is needed by runs with variables only."""


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
    except BuildrError as error:
        yield Right("cluster", False, str(error), error.hint)
