"""What doctor says of a cluster: who this is there, and which rights are missing."""

from __future__ import annotations

import json
from pathlib import Path

from buildr_jupyter import cli
from buildr_jupyter.builder.in_cluster import place
from buildr_jupyter.commands.cluster_rights import iter_rights
from buildr_jupyter.runner import kubernetes_runner
from tests.fakes.cluster import FakeCluster


def test_missing_rights_are_named(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    found = {one.name: one for one in iter_rights(cluster)}
    assert all(one.ok for one in found.values())
    assert found["cluster"].found == "namespace 'default' of fake, as tester"
    cluster.faults.denied = {("get", "pods/log"), ("patch", "jobs"), ("delete", "jobs")}
    missing = {one.name: one.advice for one in iter_rights(cluster) if not one.ok}
    assert missing == {
        "jobs": "ask for a Role that allows patch, delete on jobs there",
        "pods/log": "ask for a Role that allows get on pods/log there",
    }


def test_what_stays_needs_rights_that_runs_do_not(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    cluster.faults.denied = {("create", "statefulsets"), ("delete", "services")}
    found = {one.name: (one.ok, one.found) for one in iter_rights(cluster)}
    assert found["--shards"] == (True, "you may not create statefulsets and delete services")
    assert found["--replicas"] == (True, "you may not delete services")
    assert found["--schedule"] == (True, "you may")


def test_a_cluster_that_does_not_answer_is_a_finding(capsys, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    cli.main(["doctor", "--on", "kubernetes", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    (found,) = [one for one in checks if one["name"] == "cluster"]
    assert not found["ok"]
    assert "KUBECONFIG" in found["advice"]


def test_the_builders_in_the_cluster_are_listed(capsys, tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    cluster = FakeCluster(tmp_path)
    cluster.faults.denied = {("create", "pods/attach")}
    monkeypatch.setattr(kubernetes_runner, "connect", lambda *_: cluster)
    monkeypatch.setattr(place, "connect", lambda *_: cluster)
    (tmp_path / "buildctl").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    cli.main(["doctor", "--on", "kubernetes", "--json"])
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    kaniko, buildkit = checks["kaniko=kubernetes"], checks["buildkit=kubernetes"]
    assert not kaniko["ok"]
    assert "create pods/attach in namespace 'default'" in kaniko["found"]
    assert buildkit["ok"]
    assert "rootless, in a pod of namespace 'default' of fake" in buildkit["found"]
    cluster.faults.denied = set()
    cluster.labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    cli.main(["doctor", "--on", "kubernetes", "--json"])
    checks = {one["name"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["kaniko=kubernetes"]["ok"]
    assert not checks["buildkit=kubernetes"]["ok"]
    assert "Pod Security 'baseline' of namespace 'default'" in checks["buildkit=kubernetes"]["found"]
