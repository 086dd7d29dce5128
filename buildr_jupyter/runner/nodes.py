"""Nodes of a cluster: for which platforms they are, and which CUDA their drivers have. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import Requirement
from buildr_jupyter.model.request import ClusterPlacement

__all__ = ["ARCHITECTURE", "NodeFacts", "cuda_of", "read_nodes"]

ARCHITECTURE, _SYSTEM = "kubernetes.io/arch", "kubernetes.io/os"
_MAJOR = ("nvidia.com/cuda.runtime-version.major", "nvidia.com/cuda.runtime.major")
"""Labels of NVIDIA's GPU feature discovery: the newest CUDA that a node's driver has, by its new and its old name."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the nodes that a run may be on say of themselves."""

    platforms: frozenset[str]
    """``linux/amd64``; empty where no node says."""
    cuda: int | None = None
    """The newest major version that any of them has; None where none says."""


def read_nodes(nodes: Iterable[JsonObject], placement: ClusterPlacement) -> NodeFacts:
    """Return what is known of the nodes that the placement's labels select and that take new pods."""
    platforms, cuda = set(), set()
    for node in nodes:
        labels = (node.get("metadata") or {}).get("labels") or {}
        if (node.get("spec") or {}).get("unschedulable"):
            continue
        if any(labels.get(key) != value for key, value in placement.node_selector):
            continue
        if architecture := labels.get(ARCHITECTURE):
            platforms.add(f"{labels.get(_SYSTEM, 'linux')}/{architecture}")
        cuda |= {int(labels[name]) for name in _MAJOR if str(labels.get(name, "")).isdigit()}
    return NodeFacts(frozenset(platforms), max(cuda, default=None))


def cuda_of(requirements: Sequence[Requirement]) -> tuple[int, str] | None:
    """Return the newest CUDA, by its major version, that the pinned packages bring, and the package; None for none.

    A wheel says it by its name (``nvidia-cuda-runtime-cu12``) or its local version (``torch==2.5.1+cu124``).
    """
    found = []
    for one in requirements:
        text = one.text
        if said := re.search(r"(?:-cu(\d\d)\b|\+cu(\d\d)\d*\b)", text) or re.match(
            r"nvidia-cuda-runtime==(\d\d)()\.", text
        ):
            found.append((int(said[1] or said[2]), text))
    return max(found, default=None)
