"""The builders whose pods are in a cluster, as rows of the builders' contract, each in a namespace of its own.

What pods call a registry is not what it is called here, so that each request has its aliases. The images are run in
the Docker Engine, as those of all other builders are.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.commands import cluster_runs
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from tests.engines.gotools import tool
from tests.engines.kubernetes import NODE_IP
from tests.engines.registry import Registry
from tests.integration.builders import Harness, World
from tests.integration.cluster.bare import Bare

__all__ = ["HARNESSES", "InCluster", "inside", "left_in", "prune"]


def inside(registry: Registry) -> str:
    """Return what pods call a registry."""
    return f"{NODE_IP}:{registry.host.rpartition(':')[2]}"


def prune(bare: Bare) -> str:
    """Do what ``buildr runs prune`` does in a namespace; return what it says."""
    said: list[str] = []
    cluster_runs.prune(KubernetesRunner(f"kubernetes=tests/{bare.namespace}"), said.append)
    return "".join(said)


def left_in(bare: Bare) -> list[str]:
    """Return the names of what builds made in a namespace."""
    made = [*bare.list(bare.batch.list_namespaced_job), *bare.pods(), *bare.list(bare.core.list_namespaced_secret)]
    return [one["metadata"]["name"] for one in made]


class InCluster(Harness):
    """A builder whose pod is in the room's namespace."""

    title = ""
    """Its name in front of ``=kubernetes``."""
    bare: Bare
    """The administrator's client of its namespace; these three are set before ``prepare``."""
    kubeconfig: Path
    image: str
    """Of the builder's pod, which the nodes can pull."""

    def prepare(self) -> dict[str, str]:
        self.spec = f"{self.title}=kubernetes=tests/{self.bare.namespace}"
        return {
            **super().prepare(),
            "KUBECONFIG": str(self.kubeconfig),
            f"BUILDR_{self.title.upper()}_IMAGE": self.image,
            "PATH": f"{tool('buildctl').parent}:{os.environ['PATH']}",
        }

    def _request(self, plan: ImagePlan, tag: str | None) -> BuildRequest:
        world: World = self.world
        aliases = tuple((one.host, inside(one)) for one in (world.open, world.private))
        return replace(super()._request(plan, tag), registry_aliases=aliases)


class KanikoInCluster(InCluster):
    """The executor in a pod of each build."""

    title = "kaniko"
    logger = "buildr_jupyter.builder.kaniko_builder"


class BuildkitInCluster(InCluster):
    """A daemon in a pod of the namespace, through buildctl."""

    title = "buildkit"
    logger = "buildr_jupyter.builder.buildkit_builder"


HARNESSES: dict[str, type[InCluster]] = {"kaniko": KanikoInCluster, "buildkit": BuildkitInCluster}
"""Row to class; the row's name is the test's id."""
