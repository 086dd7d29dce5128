"""A grid in the real cluster: one Indexed Job, each point with its own inputs, end and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.in_image.parameters import ALL
from buildr_jupyter.model.request import ImageProgram, RunSpec
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from buildr_jupyter.runner.protocol import PointEnd
from tests.engines.kubernetes import Cluster
from tests.integration.cluster.bare import Bare

CODE = (
    "import json, os, sys\n"
    "n = json.loads(os.environ['BUILDR_PARAMS'])['n']\n"
    "open('output/square', 'w').write(str(n * n) + os.environ['SHARED'])\n"
    "print('point', n); sys.exit(4 if n == 20 else 0)"
)


def test_each_point_has_its_inputs_its_end_and_its_files(
    program_image: str, bare: Bare, kubernetes_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes_cluster.kubeconfig))
    runner = KubernetesRunner(f"kubernetes=/{bare.namespace}")
    specs = [
        RunSpec(
            program_image, "buildr-grid", (CODE,), environment=(("SHARED", "!"), (ALL, json.dumps({"n": n}))),
            program=ImageProgram(("python", "main.py"), "/app", "/app/output"),
        )
        for n in (10, 20, 30)
    ]  # fmt: skip
    keys = ["a" * 64, "b" * 64, "c" * 64]
    group = drain(runner.start_grid(specs, keys, 2, CancelToken()))
    other = KubernetesRunner(f"kubernetes=/{bare.namespace}")
    ((found, known),) = other.list_grids()
    assert (found, known) == (group, tuple(keys))
    ended = {
        told.index: told
        for told in other.follow_grid(found, 3, CancelToken())
        if isinstance(told, PointEnd) and told.result is not None
    }
    assert {index: told.phase for index, told in ended.items()} == {0: "done", 1: "failed", 2: "done"}
    assert (ended[1].result and ended[1].result.exit_code, ended[1].reason) == (4, "the program ended with status 4")
    assert ended[1].result is not None
    assert ended[1].result.log_tail == ("point 20",)
    for index, text in ((0, "100!"), (2, "900!")):
        drain(other.collect_point(found, index, tmp_path / str(index), CancelToken()))
        assert (tmp_path / str(index) / "square").read_text() == text
    other.remove(found)
    assert other.list() == []
    assert bare.pods() == []
