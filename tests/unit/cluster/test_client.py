"""The kinds of objects, and that the fake has the seam of the real client."""

from __future__ import annotations

import inspect

import pytest

from buildr_jupyter.cluster.client import KINDS, ClusterClient
from buildr_jupyter.cluster.kube_client import KubeClient
from tests.fakes.cluster import FakeCluster

MEMBERS = [name for name in vars(ClusterClient) if not name.startswith("_")]


def test_where_the_api_has_a_kind() -> None:
    assert (KINDS["Job"].root, KINDS["Job"].api) == ("/apis/batch/v1", "batch/v1")
    assert (KINDS["Secret"].root, KINDS["Secret"].api) == ("/api/v1", "v1")


@pytest.mark.parametrize("kind", [KubeClient, FakeCluster])
def test_each_client_has_the_seam(kind: type) -> None:
    methods = [name for name in MEMBERS if inspect.isfunction(vars(ClusterClient)[name])]
    assert len(methods) > 8
    for name in methods:
        wanted = inspect.signature(getattr(ClusterClient, name))
        assert inspect.signature(getattr(kind, name)) == wanted, name
