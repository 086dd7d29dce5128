"""Runs in a cluster, found and ended from another process than the one that started them."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from buildr_jupyter import cli
from buildr_jupyter.builder.buildkit.daemon import reached, stream_daemon
from buildr_jupyter.builder.buildkit.daemon_job import DaemonWish
from buildr_jupyter.builder.in_cluster.place import Place
from buildr_jupyter.builder.kaniko.pod import make_job
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.runner import kubernetes_runner
from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner
from buildr_jupyter.runner.sweep import KEY_LABEL
from tests.fakes.cluster import FakeCluster, FakeImage, until

IMAGE = f"registry.example/app@sha256:{'a' * 64}"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster(tmp_path / "pods")
    made.images[IMAGE] = FakeImage()
    monkeypatch.setattr(kubernetes_runner, "connect", lambda *_: made)
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))
    return made


def start(code: str, name: str) -> str:
    spec = RunSpec(IMAGE, name, (code,), labels=((KEY_LABEL, "ab" * 32),))
    return str(drain(KubernetesRunner().start(spec, CancelToken())).runs[0])


def runs(*words: str) -> int:
    return cli.main(["runs", *words, "--on", "kubernetes"])


def test_what_there_is(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs() == 0
    assert capsys.readouterr().out == "no runs in this namespace\n"
    job = start("print('hello')", "one")
    until(lambda: (cluster.get("Job", job).get("status") or {}).get("conditions"))
    assert runs("list") == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == ["RUN", "STATE", "STARTED", "IMAGE", "KEY"]
    assert row.split() == [job, "done", "just", "now", IMAGE, "ab" * 6]
    assert runs("show", "abab", "--json") == 0
    assert json.loads(capsys.readouterr().out)["run"] == job
    assert runs("logs", "one-") == 0
    assert capsys.readouterr().out == "hello\n"
    assert runs("prune") == 0
    assert capsys.readouterr().out == "removed 1 run from the cluster\n"
    assert not cluster.objects


def test_files_come_back_later(cluster: FakeCluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    start("import os; open(os.environ['BUILDR_OUTPUT_DIR'] + '/x', 'w').write('7')", "two")
    assert runs("values", "two") == 0
    assert Path(capsys.readouterr().out.strip()).read_text() == "7"
    assert runs("cancel", "two") == 0
    bad = start("raise SystemExit(3)", "three")
    assert runs("values", "three") == 2
    assert f"{bad} ended with status 3" in capsys.readouterr().err
    assert runs("cancel", "three") == 0
    assert not cluster.objects


def test_one_that_runs_is_cancelled(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    job = start("import time; time.sleep(600)", "long")
    assert runs("cancel", "long") == 0
    assert capsys.readouterr().out == f"cancelled {job}\n"
    assert not cluster.objects
    assert runs("cancel", "long") == 2
    assert "no run in the cluster begins with 'long'" in capsys.readouterr().err


def test_a_buildkitd_that_nobody_uses_is_pruned(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place("kubernetes", client=cluster)
    wish = DaemonWish(IMAGE, files={"buildkitd.toml": ""})
    cluster.images[IMAGE] = FakeImage((sys.executable, "-c", "import time; time.sleep(600)"))
    job, pod = drain(stream_daemon(place, wish, CancelToken()))
    with reached(place, job, pod):
        assert runs("prune") == 0
        assert capsys.readouterr().out == "removed 0 runs from the cluster\n"
        assert runs("list") == 0
        assert job in capsys.readouterr().out
    assert runs("prune") == 0
    assert capsys.readouterr().out == "removed 0 runs from the cluster, and 1 buildkitd\n"
    assert not cluster.objects


def test_a_build_that_never_began_is_pruned(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    place = Place("kubernetes", client=cluster)
    for name, age in (("old", timedelta(hours=1)), ("new", timedelta())):
        cluster.faults.skew = -age
        cluster.apply(make_job(place.about(name, f"build {name}", "kaniko"), "kaniko", [], [], []))
    assert runs("prune") == 0
    assert capsys.readouterr().out == "removed 1 run from the cluster\n"
    assert [*cluster.objects] == [("Job", "new")]
