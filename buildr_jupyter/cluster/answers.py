"""Answers of an API server that refuses: each as one error with one hint."""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildr_jupyter.cluster.client import KINDS, Kind
from buildr_jupyter.errors import (
    ClusterError,
    ClusterForbidden,
    ClusterNotFound,
    ClusterQuota,
    ClusterRefused,
    ClusterUnauthorized,
    ClusterUnavailable,
)
from buildr_jupyter.model.json_object import parse_object

__all__ = ["LogNotReady", "Request", "WatchExpired", "error_of", "is_for_the_moment", "retry_after_s"]

_SHOWN = 400
_QUOTA = re.compile(r"exceeded quota: ([\w.-]+)")


class WatchExpired(ClusterError):
    """The version that a watch was to go on from is too old (410): list again."""


class LogNotReady(ClusterError):
    """The container has no log yet."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    verb: str
    """As RBAC has it: get, list, watch, create, patch, delete."""
    kind: Kind | None
    namespace: str
    name: str = ""
    subresource: str = ""

    @property
    def resource(self) -> str:
        """As RBAC has it: ``pods/log``."""
        plural = KINDS[self.kind].plural if self.kind else "selfsubjectreviews"
        return f"{plural}/{self.subresource}" if self.subresource else plural


def is_for_the_moment(status: int) -> bool:
    """Tell whether the same request may be answered soon."""
    return status == 429 or status in (500, 502, 503, 504)


def retry_after_s(header: str | None, default: float) -> float:
    """Return the seconds of a Retry-After header, ``default`` for none and for what is no number; at most 60."""
    try:
        return min(60.0, max(0.0, float(header))) if header else default
    except ValueError:
        return default


def error_of(status: int, body: bytes, request: Request, context: str) -> ClusterError:
    """Return the error that an answer is, with what the server said."""
    said = _message(body)
    where = f"namespace {request.namespace!r} of {context}"
    if status == 401:
        return ClusterUnauthorized(
            f"cluster {context}: it does not accept the login: {said}",
            hint="log in to the cluster again, as kubectl needs it too: the token has expired or was withdrawn",
        )
    if status == 403 and (quota := _QUOTA.search(said)):
        return ClusterQuota(
            f"{request.resource} in {where}: quota {quota[1]} is used up: {said}",
            hint="ask for less with --memory and --cpus, or end other runs of the namespace",
        )
    if status == 403 and "violates PodSecurity" in said:
        return ClusterRefused(
            f"{request.resource} in {where}: Pod Security refuses it: {said}",
            hint="take out of --pod-template what the namespace's Pod Security level forbids",
        )
    if status == 403 and ("is being terminated" in said or "admission webhook" in said or "denied the request" in said):
        return ClusterRefused(f"{request.resource} in {where}: admission refuses it: {said}")
    if status == 403:
        return ClusterForbidden(
            f"cluster {context}: you may not {request.verb} {request.resource} in namespace {request.namespace!r}",
            hint=f"ask for a Role that allows verb {request.verb} on {request.resource} there, or name a namespace "
            "where you have it: --on kubernetes=CONTEXT/NAMESPACE",
        )
    if status == 404 and re.search(r'namespaces "[^"]*" not found', said):
        return ClusterNotFound(
            f"cluster {context}: there is no namespace {request.namespace!r}",
            hint="name one that exists: --on kubernetes=CONTEXT/NAMESPACE",
        )
    if status == 404:
        return ClusterNotFound(f"{request.resource} {request.name!r} in {where}: {said or 'it does not exist'}")
    if is_for_the_moment(status):
        return ClusterUnavailable(f"cluster {context}: status {status}: {said}", hint="try again later")
    return ClusterRefused(f"{request.resource} {request.name!r} in {where}: status {status}: {said}")


def _message(body: bytes) -> str:
    """Return what a ``Status`` object says, else the beginning of the text."""
    found = parse_object(body)
    text = found.get("message") if found is not None else None
    return str(text if isinstance(text, str) else body.decode("utf-8", "replace")).strip()[:_SHOWN]
