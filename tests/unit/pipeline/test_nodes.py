"""What is said of a cluster's nodes before anything is built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.config.options import make_options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.plan import ImagePlan, Requirement
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.oci.image import default_platform
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.nodes import stream_check
from buildr_jupyter.pipeline.planner import CellSource
from buildr_jupyter.runner import kubernetes_runner
from tests.fakes.cluster import FakeCluster
from tests.unit.runner.test_nodes import node

PLAN = ImagePlan(base="b", python="3.12")
HERE = default_platform().partition("/")[2]
OTHER = "arm64" if HERE != "arm64" else "amd64"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster(tmp_path)
    monkeypatch.setattr(kubernetes_runner, "connect", lambda *_: made)
    return made


def said(folder: Path, plan: ImagePlan = PLAN, **values: Any) -> list[BuildWarning]:
    run = CellRun(source="print(1)", transformed="print(1)")
    options = make_options({"name": "app", "on": "kubernetes", **values}, base_folder=folder)
    job = ExportRequest(CellSource((run,), run, folder), options, Interpreter.current(), {}).order()
    return [one for one in stream_check(replace(job, builder=OciBuilder()), plan) if isinstance(one, BuildWarning)]


def test_an_image_that_no_node_runs_is_refused(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.known_nodes = [node(OTHER)]
    with pytest.raises(OptionError, match=rf"its nodes are linux/{OTHER}, and .* for linux/{HERE}") as caught:
        said(tmp_path)
    assert caught.value.hint == f"build it for them: --platform linux/{OTHER}"
    assert said(tmp_path, platform=f"linux/{OTHER}") == []


def test_nodes_of_several_kinds(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.known_nodes = [node(OTHER), node(HERE)]
    (warning,) = said(tmp_path)
    assert warning.hint == f"keep the run on those nodes: --platform linux/{HERE}"
    assert said(tmp_path, platform=f"linux/{HERE}") == []
    assert said(tmp_path, node_selector=[f"kubernetes.io/arch={HERE}"]) == []


def test_the_drivers_of_the_nodes(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.known_nodes = [node(HERE, **{"nvidia.com/cuda.runtime.major": "12"})]
    plan = replace(PLAN, requirements=(Requirement("nvidia-cuda-runtime==13.0.48"),))
    (warning,) = said(tmp_path, plan, gpus="1")
    assert warning.text == "nvidia-cuda-runtime==13.0.48 is for CUDA 13, and the drivers of the cluster's nodes have 12"
    assert said(tmp_path, plan) == []
    assert said(tmp_path, PLAN, gpus="1") == []


def test_who_may_not_see_the_nodes_is_told_nothing(cluster: FakeCluster, tmp_path: Path) -> None:
    cluster.known_nodes = [node(OTHER)] * 201
    assert said(tmp_path) == []
    cluster.known_nodes = [node(OTHER)]
    cluster.faults.denied = {("list", "nodes")}
    assert said(tmp_path) == []
