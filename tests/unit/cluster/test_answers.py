"""Which error an API server's refusal is, and what it tells a person to do."""

from __future__ import annotations

import json

import pytest

from buildr_jupyter.cluster.answers import Request, error_of, is_for_the_moment, retry_after_s
from buildr_jupyter.errors import (
    ClusterForbidden,
    ClusterNotFound,
    ClusterQuota,
    ClusterRefused,
    ClusterUnauthorized,
    ClusterUnavailable,
)

POD_LOG = Request("get", "Pod", "team", "p", "log")


@pytest.mark.parametrize(
    ("status", "message", "kind", "text", "hint"),
    [
        (401, "Unauthorized", ClusterUnauthorized, "does not accept the login", "token has expired"),
        (403, "pods is forbidden", ClusterForbidden, "you may not get pods/log in namespace 'team'", "verb get on pods/log"),
        (403, "exceeded quota: small, requested: cpu=2", ClusterQuota, "quota small is used up", "--memory"),
        (403, 'violates PodSecurity "restricted:latest"', ClusterRefused, "Pod Security", "--pod-template"),
        (403, 'admission webhook "x" denied the request: no', ClusterRefused, "admission refuses it", None),
        (404, 'namespaces "team" not found', ClusterNotFound, "no namespace 'team'", "--on kubernetes=CONTEXT/NAMESPACE"),
        (404, 'pods "p" not found', ClusterNotFound, "pods/log 'p'", None),
        (422, "spec.x: Invalid value", ClusterRefused, "status 422: spec.x", None),
        (503, "apiserver is shutting down", ClusterUnavailable, "status 503", "later"),
    ],
)  # fmt: skip
def test_refusals(status: int, message: str, kind: type[Exception], text: str, hint: str | None) -> None:
    error = error_of(status, json.dumps({"kind": "Status", "message": message}).encode(), POD_LOG, "here")
    assert type(error) is kind
    assert text in str(error)
    assert (error.hint is None) == (hint is None)
    assert hint is None or hint in str(error.hint)


def test_an_answer_that_is_no_status_is_shown() -> None:
    assert "<html>bad gateway" in str(error_of(400, b"<html>bad gateway", POD_LOG, "here"))


def test_what_is_repeated() -> None:
    assert [status for status in (200, 400, 403, 409, 429, 500, 503) if is_for_the_moment(status)] == [429, 500, 503]
    assert (retry_after_s("3", 1), retry_after_s(None, 1), retry_after_s("soon", 1)) == (3, 1, 1)
    assert retry_after_s("9999", 1) == 60
