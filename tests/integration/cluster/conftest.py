"""What the tests on the real cluster share. One test process runs all of this folder, so that one cluster is started."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import pytest
from kubernetes import client, config

from tests.engines.kubernetes import Cluster
from tests.integration.cluster.bare import Bare


@pytest.fixture(scope="session")
def administrator(kubernetes_cluster: Cluster) -> Iterator[client.ApiClient]:
    """The official client with the administrator's rights."""
    settings = client.Configuration()
    config.load_kube_config(str(kubernetes_cluster.kubeconfig), client_configuration=settings, persist_config=False)
    with client.ApiClient(settings) as made:
        yield made


@pytest.fixture
def bare(administrator: client.ApiClient) -> Iterator[Bare]:
    """The official client in a new namespace, which is gone afterwards."""
    with namespace(administrator) as made:
        yield made


@contextlib.contextmanager
def namespace(administrator: client.ApiClient, **labels: str) -> Iterator[Bare]:
    """Make a namespace; at the end its removal is asked for and not awaited."""
    made = Bare(administrator, f"t-{secrets.token_hex(5)}")
    made.core.create_namespace({"metadata": {"name": made.namespace, "labels": labels}})
    try:
        made.until(made.has_default_account)
        yield made
    finally:
        made.core.delete_namespace(made.namespace)
