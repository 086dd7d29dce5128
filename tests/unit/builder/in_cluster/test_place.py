"""Where a builder's pods are, and whose they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildr_jupyter.builder.in_cluster.place import Place, names_place
from buildr_jupyter.cluster.answers import Request, error_of
from buildr_jupyter.cluster.labels import MANAGED, OWNER, owner_of
from buildr_jupyter.errors import (
    BuildRefused,
    ClusterError,
    ClusterForbidden,
    ClusterNotFound,
    ClusterQuota,
    OptionError,
)
from tests.fakes.cluster import FakeCluster


@pytest.mark.parametrize(
    ("spec", "context", "namespace"),
    [
        ("kubernetes", None, None), ("kubernetes/team", None, "team"), ("kubernetes=prod", "prod", None),
        ("kubernetes=arn:aws:eks/prod/team", "arn:aws:eks/prod", "team"),
    ],
)  # fmt: skip
def test_context_and_namespace(spec: str, context: str | None, namespace: str | None) -> None:
    assert names_place(spec)
    made = Place(spec)
    assert (made._context, made._namespace) == (context, namespace)


@pytest.mark.parametrize("spec", ["kubernetes/", "kubernetes/Team", "kubernetes="])
def test_what_names_no_cluster(spec: str) -> None:
    with pytest.raises(OptionError, match="names no cluster"):
        Place(spec)


def test_an_image_is_no_place() -> None:
    assert not any(map(names_place, ("kubernetes-kaniko:1", "docker.io/kubernetes/x", "/kubernetes")))


def test_the_labels_are_those_of_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "ann")
    about = Place("kubernetes", client=FakeCluster(tmp_path)).about("n", "build x/y:1", "image")
    assert isinstance(about["labels"], dict)
    assert about["labels"][MANAGED] == "buildr"
    assert about["labels"][OWNER] == owner_of("tester ann")


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    place = Place("kubernetes", client=cluster)
    needed = (("Pod", "attach", ("create", "get")), ("Secret", "", ("create",)))
    place.check(needed)  # type: ignore[arg-type]
    cluster.faults.denied = {("create", "pods/attach"), ("create", "secrets")}
    with pytest.raises(ClusterForbidden, match="create pods/attach; create secrets in namespace 'default'"):
        place.check(needed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "message", "kind", "hint"),
    [
        (403, "exceeded quota: small, requested: count/jobs.batch=1", ClusterQuota, "buildr runs list --on kubernetes"),
        (404, 'namespaces "team" not found', ClusterNotFound, "name another namespace: --builder NAME=kubernetes/"),
    ],
)
def test_what_the_cluster_refuses_is_told_with_the_options_of_a_builder(
    tmp_path: Path, status: int, message: str, kind: type[ClusterError], hint: str
) -> None:
    place = Place("kubernetes", client=FakeCluster(tmp_path))
    answer = error_of(status, json.dumps({"message": message}).encode(), Request("patch", "Job", "team"), "here")
    with pytest.raises(kind) as caught, place.asked(()):
        raise answer
    assert str(caught.value) == str(answer)
    assert hint in str(caught.value.hint)
    assert "--on kubernetes=" not in str(caught.value.hint)


def test_a_right_that_is_missing_is_told_with_all_that_are(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    cluster.faults.denied = {("create", "secrets"), ("create", "jobs")}
    place = Place("kubernetes", client=cluster)
    with pytest.raises(ClusterForbidden, match="create jobs; create secrets in namespace"):
        with place.asked((("Job", "", ("create",)), ("Secret", "", ("create",)))):
            raise ClusterForbidden("you may not create jobs")
    cluster.faults.denied = set()
    with pytest.raises(ClusterForbidden, match="^as it came$"), place.asked(()):
        raise ClusterForbidden("as it came")


def test_a_level_of_pod_security_that_refuses_the_pod_is_told_where_it_can_be_read(tmp_path: Path) -> None:
    cluster = FakeCluster(tmp_path)
    place = Place("kubernetes", client=cluster)
    place.check_level(("baseline",), "let it")  # without a label it is the cluster's own level, which nobody may read
    cluster.labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    with pytest.raises(BuildRefused, match="Pod Security 'restricted' of namespace 'default' of fake") as caught:
        place.check_level(("baseline", "privileged"), "let it")
    assert caught.value.hint == "let it; or build without an engine and without rights: --builder oci"
    place.check_level(("baseline", "restricted"), "let it")
    cluster.faults.denied = {("get", "namespaces")}
    place.check_level(("baseline",), "let it")
