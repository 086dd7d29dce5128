"""Watching goes on from where it was, and begins anew where that is too old."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from buildr_jupyter.cluster.answers import WatchExpired
from buildr_jupyter.cluster.client import Change, Listed
from buildr_jupyter.cluster.watching import PATIENCE_S, iter_changes
from buildr_jupyter.errors import ClusterUnavailable
from buildr_jupyter.events.cancel import CancelToken


def pod(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": version}}


class Script:
    """A client that lists and watches what a test says."""

    context = "here"

    def __init__(self, lists: list[Listed], watches: list[list[Change | Exception]]) -> None:
        self.lists, self.watches, self.versions = lists, watches, []  # type: ignore[var-annotated]

    def list(self, kind: str, selector: str = "", fields: str = "") -> Listed:
        return self.lists.pop(0)

    def watch(self, kind: str, selector: str, version: str, cancel: CancelToken) -> Iterator[Change]:
        self.versions.append(version)
        for one in self.watches.pop(0) if self.watches else ():
            if isinstance(one, Exception):
                raise one
            yield one
        if not self.watches:
            cancel.set()


def told(script: Script) -> list[tuple[str, str]]:
    changes = iter_changes(script, "Pod", "", CancelToken())  # type: ignore[arg-type]
    return [(one.type, one.object["metadata"]["name"]) for one in changes]


def test_a_watch_that_breaks_goes_on_from_its_last_version() -> None:
    script = Script(
        [Listed((pod("a", "1"),), "3")],
        [
            [Change("MODIFIED", pod("a", "4")), ConnectionError("cut")],
            [Change("BOOKMARK", pod("", "9"))],
            [Change("DELETED", pod("a", "10"))],
        ],
    )
    assert told(script) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert script.versions == ["3", "4", "9"]


def test_a_version_that_is_gone_is_listed_anew() -> None:
    lists = [Listed((pod("a", "1"), pod("b", "2")), "3"), Listed((pod("b", "2"),), "8")]
    script = Script(lists, [[WatchExpired("old")], []])
    assert told(script) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a"), ("ADDED", "b")]
    assert script.versions == ["3", "8"]


def test_a_cluster_that_stays_away_is_given_up() -> None:
    script = Script([Listed((), "1")], [[ClusterUnavailable("away")]] * 5)
    times = itertools.count(0.0, PATIENCE_S / 2)
    with pytest.raises(ClusterUnavailable, match="has not answered for 300 s"):
        list(iter_changes(script, "Pod", "", CancelToken(), clock=lambda: next(times)))  # type: ignore[arg-type]
