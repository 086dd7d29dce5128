"""Which rows the fault matrix has, stages by builders by faults, and why others cannot be.

A cluster is among the builders as what runs the image that ``oci`` has made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tests.faults.world import CASES, IN_CLUSTER

__all__ = ["FAULTS", "STAGES", "TOLD", "Row", "every_row", "impossible"]

STAGES = ("export", "build", "publish", "run")
FAULTS = {
    "kernel killed": "SIGKILL to our own process",
    "engine killed": "SIGKILL to what builds, or runs; of a cluster, to its API server",
    "registry killed": "SIGKILL to the registry",
    "child killed": "SIGKILL to the command that builds or pushes, the step, or the program",
    "reset": "the connection is broken off (RST)",
    "silence": "the connection says nothing any more",
    "trickle": "the connection gives 2 KB a second for three seconds",
    "disk full": "no room where temporary files, the cache and the notebook are",
    "denied": "a file or socket that may not be used, a registry that refuses",
    "clock": "the clock jumps by 400 days",
    "interrupt": "SIGINT",
    "engine restarted": "the engine is stopped and started",
    "node killed": "SIGKILL to the kubelet and the container runtime of a cluster's node",
}
TOLD = {
    *((stage, "denied") for stage in STAGES), ("build", "disk full"), ("run", "disk full"),
    ("build", "child killed"), ("run", "child killed"), ("build", "engine killed"), ("publish", "registry killed"),
}  # fmt: skip
"""What nobody can get over, so that success would be a lie; a cluster's API server comes again by itself."""


@dataclass(frozen=True)
class Row:
    """One fault in one stage of one builder."""

    stage: str
    builder: str
    fault: str

    def __str__(self) -> str:
        return f"{self.stage} · {self.builder} · {self.fault}"


def impossible(row: Row) -> str | None:
    """Return why a row cannot be, None where it is run."""
    stage, builder, fault = row.stage, row.builder, row.fault
    if builder == "kubernetes" and stage != "run":
        return "the image is made and pushed as with oci"
    if builder in IN_CLUSTER and builder != "kubernetes" and stage in ("export", "run"):
        return "the cluster only builds: it is as with the same builder on this machine"
    if builder in IN_CLUSTER and stage == "publish":
        return "the pod pushes, past the valve that would tell when"
    if fault == "node killed":
        return None if builder in IN_CLUSTER else "no node of a cluster is at work"
    if fault in ("engine killed", "engine restarted") and builder in IN_CLUSTER:
        return None
    ours = builder in ("buildah", "oci")
    if stage == "export":
        if fault in ("kernel killed", "denied", "clock", "interrupt"):
            return None
        if fault == "disk full":
            return "the program is found without a write to the disk; the context is written in the stage build"
        return "nobody but our own process is at work"
    if stage == "run" and fault == "registry killed":
        return "no registry is asked while a container runs"
    if fault in ("engine killed", "engine restarted") and ours and stage != "run":
        return "it has no engine"
    if fault == "engine restarted" and builder == "podman" and stage == "build":
        return None
    if fault in ("reset", "silence", "trickle") and ours and stage == "build" and builder == "buildah":
        return "a step runs without a connection"
    if fault == "child killed" and stage == "publish" and builder in ("docker", "docker-buildkit", "oci", "podman"):
        return "no child pushes: the engine does, or our own process"
    if fault == "child killed" and stage == "build" and builder == "oci":
        return "our own process builds (uv, which fetches wheels, has its own tests)"
    return None


def every_row() -> Iterator[Row]:
    """Yield the whole product, by builder."""
    for builder, stage, fault in product(CASES, STAGES, FAULTS):
        yield Row(stage, builder, fault)
