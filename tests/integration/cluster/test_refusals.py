"""What a real cluster refuses before anything runs: each is one error that says what and where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildr_jupyter.errors import ClusterNotFound, ClusterRefused, ClusterUnauthorized
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.engines.kubernetes import Cluster
from tests.integration.cluster.bare import Bare

IMAGE = f"registry.example/app@sha256:{'a' * 64}"


def refused(spec: str) -> None:
    """Start a run, which must not begin."""
    drain(KubernetesRunner(spec, owner="me").start(RunSpec(IMAGE, "refused"), CancelToken()))


def test_a_login_that_is_not_accepted_any_more(
    kubernetes_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads(kubernetes_cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "eyJhbGciOiJSUzI1NiJ9.e30.expired"}
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(ClusterUnauthorized, match="does not accept the login") as raised:
        refused("kubernetes")
    assert "log in to the cluster again" in str(raised.value.hint)


def test_a_namespace_that_does_not_exist(kubernetes_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_cluster.kubeconfig))
    with pytest.raises(ClusterNotFound, match="there is no namespace 'absent'"):
        refused("kubernetes=tests/absent")


def test_a_namespace_that_is_at_its_quota(
    bare: Bare, kubernetes_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_cluster.kubeconfig))
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    bare.core.create_namespaced_resource_quota(bare.namespace, quota)
    bare.until(lambda: bare.list(bare.core.list_namespaced_resource_quota)[0].get("status", {}).get("hard"))
    with pytest.raises(ClusterRefused, match="quota small is used up") as raised:
        refused(f"kubernetes=tests/{bare.namespace}")
    assert bare.namespace in str(raised.value)
    assert "end other runs" in str(raised.value.hint)
