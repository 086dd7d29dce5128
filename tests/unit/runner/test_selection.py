"""The choice of a runner: by name, with a place behind it, and names that are none."""

from __future__ import annotations

from typing import Any

import pytest

from buildr_jupyter.errors import UnknownSpec
from buildr_jupyter.runner.docker_runner import DockerRunner
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from buildr_jupyter.runner.selection import RUNNERS, select, select_grid


def test_each_name_gives_a_new_runner_that_has_connected_to_nothing() -> None:
    found = {name: type(select(name)) for name in RUNNERS}
    assert found == {"docker": DockerRunner, "kubernetes": KubernetesRunner}
    first, second = select("docker"), select("docker")
    assert first is not second
    assert isinstance(first, DockerRunner)
    assert first.docker_client is None


def test_an_engine_s_runner_takes_a_connection_that_is_there() -> None:
    connection: Any = object()
    runner = select("docker", engine=lambda: connection)
    assert isinstance(runner, DockerRunner)
    assert runner.docker_client is connection
    opened: list[str] = []
    assert isinstance(select("kubernetes", engine=lambda: opened.append("opened")), KubernetesRunner)  # type: ignore[arg-type, func-returns-value]
    assert opened == []


@pytest.mark.parametrize("spec", ["kubernetes", "kubernetes=here", "kubernetes=here/team", "metaparticle=here"])
def test_a_cluster_may_be_named(spec: str) -> None:
    assert isinstance(select(spec), KubernetesRunner)


@pytest.mark.parametrize("spec", ["steam", "", "docker=", "docker=here", "Kubernetes", "os:system"])
def test_another_name_is_refused_with_those_that_there_are(spec: str) -> None:
    with pytest.raises(UnknownSpec, match=f"^Unknown spec {spec}$") as refused:
        select(spec)
    assert str(refused.value.hint).endswith("choose one that is here: docker, kubernetes")


@pytest.mark.parametrize(
    ("spec", "meant"), [("kubernetez", "kubernetes"), ("Kubernetes", "kubernetes"), ("dokcer", "docker")]
)
def test_a_mistyped_runner_is_told_the_nearest(spec: str, meant: str) -> None:
    with pytest.raises(UnknownSpec) as refused:
        select(spec)
    assert f"write {meant} if you meant that" in str(refused.value.hint)


def test_only_a_cluster_runs_a_grid_as_one_group() -> None:
    assert select_grid("docker") is None
    assert isinstance(select_grid("kubernetes"), KubernetesRunner)
