"""Nodes of a cluster as their labels describe them, and the CUDA of pinned packages."""

from __future__ import annotations

from typing import Any

import pytest

from buildr_jupyter.model.plan import Requirement
from buildr_jupyter.model.request import ClusterPlacement
from buildr_jupyter.runner.nodes import NodeFacts, cuda_of, read_nodes


def node(architecture: str, *, unschedulable: bool = False, **labels: str) -> dict[str, Any]:
    own = {"kubernetes.io/arch": architecture, "kubernetes.io/os": "linux", **labels}
    return {"metadata": {"labels": own}, "spec": {"unschedulable": True} if unschedulable else {}}


def test_only_nodes_that_may_take_the_run_count() -> None:
    nodes = [
        node("amd64", pool="a", **{"nvidia.com/cuda.runtime.major": "12"}),
        node("arm64", pool="b", **{"nvidia.com/cuda.runtime-version.major": "13"}),
        node("s390x", unschedulable=True), {"metadata": {}},
    ]  # fmt: skip
    assert read_nodes(nodes, ClusterPlacement()) == NodeFacts(frozenset(("linux/amd64", "linux/arm64")), 13)
    chosen = ClusterPlacement(node_selector=(("pool", "a"),))
    assert read_nodes(nodes, chosen) == NodeFacts(frozenset(("linux/amd64",)), 12)
    assert read_nodes([], chosen) == NodeFacts(frozenset(), None)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("pandas==2.2.3", "curl-cffi==1.0"), None),
        (("torch==2.5.1+cu124", "pandas==2.2.3"), (12, "torch==2.5.1+cu124")),
        (("nvidia-cuda-runtime-cu12==12.4.127", "nvidia-nccl-cu11==2.1"), (12, "nvidia-cuda-runtime-cu12==12.4.127")),
        (("nvidia-cuda-runtime==13.0.48",), (13, "nvidia-cuda-runtime==13.0.48")),
    ],
)
def test_the_cuda_of_pinned_packages(texts: tuple[str, ...], expected: object) -> None:
    assert cuda_of([Requirement(text) for text in texts]) == expected
