"""The seam of runners: that each one has the protocol's methods as they are, and what a point's end holds."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module

import pytest

from buildr_jupyter.model.result import RunResult
from buildr_jupyter.runner.docker_runner import DockerRunner
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from buildr_jupyter.runner.protocol import GridRunner, PointEnd, Runner
from buildr_jupyter.runner.selection import RUNNERS


def methods(protocol: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(one)
        for name, one in vars(protocol).items()
        if inspect.isfunction(one) and name[0] != "_"
    }


def lacking(kind: type, protocol: type) -> list[str]:
    """Return the methods of the protocol that a class lacks, or has with other parameters."""
    found = []
    for name, wanted in methods(protocol).items():
        own = getattr(kind, name, None)
        if own is None:
            found.append(name)
            continue
        given = inspect.signature(own)
        shown = [(one.name, one.kind, one.default is inspect.Parameter.empty) for one in given.parameters.values()]
        asked = [(one.name, one.kind, one.default is inspect.Parameter.empty) for one in wanted.parameters.values()]
        generates = inspect.isgeneratorfunction(own) == str(wanted.return_annotation).startswith("Generator")
        if shown[: len(asked)] != asked or not generates or any(needed for *_, needed in shown[len(asked) :]):
            found.append(name)
    return found


def test_the_protocols_say_what_runners_do() -> None:
    assert set(methods(Runner)) == {
        "capabilities", "stream_run", "start", "deploy", "follow", "collect", "stop", "list", "remove",
    }  # fmt: skip
    assert set(methods(GridRunner)) == {"start_grid", "list_grids", "follow_grid", "collect_point", "nodes", "remove"}
    for protocol in (Runner, GridRunner):
        for name in methods(protocol):
            assert inspect.getdoc(getattr(protocol, name)), f"{name} does not say what it gives"


@pytest.mark.parametrize("where", [*RUNNERS.values(), "tests.fakes.runner:FakeRunner"])
def test_each_runner_has_the_methods_of_the_protocol(where: str) -> None:
    module, _, name = where.partition(":")
    assert lacking(getattr(import_module(module), name), Runner) == []


def test_the_clusters_runner_runs_grids() -> None:
    assert lacking(KubernetesRunner, GridRunner) == []
    assert "start_grid" in lacking(DockerRunner, GridRunner)


def test_a_method_that_differs_is_seen() -> None:
    class Other(DockerRunner):
        def stop(self) -> None:  # type: ignore[override]
            pass

        def collect(self, run, into, cancel, wanted=None):  # type: ignore[no-untyped-def, override]
            return ()

        def list(self, more):  # type: ignore[no-untyped-def, override]
            return []

    assert sorted(lacking(Other, Runner)) == ["collect", "list", "stop"]


def test_a_point_has_no_result_until_it_ended() -> None:
    running = PointEnd(3, "running")
    assert (running.index, running.phase, running.result, running.reason) == (3, "running", None, "")
    ended = dataclasses.replace(running, phase="done", result=RunResult(0))
    assert ended != running
    assert ended == PointEnd(3, "done", RunResult(0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        running.index = 4  # type: ignore[misc]
