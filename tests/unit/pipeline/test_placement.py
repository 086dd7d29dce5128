"""What a cluster is told of an image, and what is refused before anything is built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.config.options import make_options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import OptionError, RunError
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.request import ImageProgram
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline import driver
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.placement import check, program_of, spec_for_cluster
from buildr_jupyter.pipeline.planner import CellSource
from buildr_jupyter.runner import kubernetes_runner
from tests.fakes.cluster import FakeCluster, FakeImage
from tests.unit.pipeline.test_stages import Recorder, Watcher
from tests.unit.pipeline.test_stages import job as cell_job

DIGEST = f"sha256:{'d' * 64}"


def job(folder: Path, **values: object) -> ExportRequest:
    run = CellRun(source="print(1)", transformed="print(1)")
    options = make_options({"name": "app", **values}, base_folder=folder)
    return ExportRequest(CellSource((run,), run, folder), options, Interpreter.current(), {})


def test_on_implies_a_run(tmp_path: Path) -> None:
    assert job(tmp_path, on="kubernetes=here/team").options.run
    assert job(tmp_path, on="kubernetes").order().runs_on == "kubernetes"
    assert job(tmp_path).order().runs_on == "docker"


def test_what_a_cluster_cannot_have_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="this one is not pushed") as caught:
        check(job(tmp_path, on="kubernetes").order())
    assert "--publish" in str(caught.value.hint)
    with pytest.raises(OptionError, match="does not see a file or folder"):
        check(
            job(tmp_path, on="kubernetes", publish=True, repository="r.example/me", mount=[f"{tmp_path}:/data"]).order()
        )
    check(job(tmp_path, on="docker").order())
    check(job(tmp_path, on="kubernetes", publish=True, repository="r.example/me").order())


def test_the_image_is_named_by_its_digest_and_as_the_cluster_knows_it(tmp_path: Path) -> None:
    made = job(
        tmp_path, on="kubernetes", publish=True, registry_alias=["127.0.0.1:5000=registry.kube:80"], memory="1g"
    ).order()  # fmt: skip
    result = BuildResult("127.0.0.1:5000/me/app:1", digest=DIGEST, pushed=("x",), content_digest=DIGEST)
    spec = spec_for_cluster(made, result, "run")
    assert (spec.image, spec.memory_bytes) == (f"registry.kube:80/me/app@{DIGEST}", 1 << 30)
    assert spec.labels == (("io.buildr.content-digest", DIGEST),)
    assert spec.program is None
    assert spec_for_cluster(made, replace(result, image="app:1"), "run").image == f"docker.io/library/app@{DIGEST}"
    with pytest.raises(OptionError, match="is in no registry"):
        spec_for_cluster(made, replace(result, pushed=()), "run")


def test_the_program_of_an_image_of_ours() -> None:
    plan = ImagePlan(python="3.12", base="python:3.12-slim", environment=(("A", "1"), ("B", "x\ny")))
    assert program_of(plan) == ImageProgram(("python", "main.py"), "/app", "/app/output", (("B", "x\ny"),))


# -- the whole way: a cell, its Job in the fake cluster, its values here


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    made = FakeCluster(tmp_path / "pods")
    made.images[f"reg.example/app@{DIGEST}"] = FakeImage((), tmp_path / "context" / "app")
    monkeypatch.setattr(kubernetes_runner, "connect", lambda *_: made)
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "data"))
    return made


def asked(folder: Path, text: str, **options: object) -> ExportRequest:
    return cell_job(
        folder, Recorder(), text, name="reg.example/app", publish=True, run=True, on="kubernetes", **options
    )


def test_a_cell_runs_in_the_cluster_and_gives_its_values_back(tmp_path: Path, cluster: FakeCluster) -> None:
    window = Watcher()
    text = "import os\nx = 6 * 7\nopen('output/f.txt', 'w').write('f')\nprint('hello', os.environ['TOKEN'])"
    made = asked(tmp_path, text, returns=("x",), run_environment=(("TOKEN", "t"),))
    result = driver.drive(made, [window])
    assert result.run is not None
    assert (result.run.exit_code, result.run.values) == (0, {"x": 42})
    assert result.run.stdout_tail == "hello t\n"
    assert [path.name for path in result.run.outputs] == ["f.txt"]
    assert not cluster.objects


def test_a_cell_that_fails_there_shows_its_last_lines(tmp_path: Path, cluster: FakeCluster) -> None:
    with pytest.raises(RunError, match="ended with status 1") as caught:
        driver.drive(asked(tmp_path, "print('so far')\n1 / 0"), [])
    assert caught.value.exit_code == 1
    assert "ZeroDivisionError: division by zero" in caught.value.log_tail
    assert not cluster.objects


def test_a_grid_runs_in_the_cluster(tmp_path: Path, cluster: FakeCluster) -> None:
    text = "n = 1\ny = n * n\nif n == 3:\n    raise SystemExit(4)"
    options = {"returns": ("y",), "params": (("n", None),), "maps": (("n", "1..4"),), "jobs": 3}
    result = driver.drive(asked(tmp_path, text, **options), [])
    assert [run.state for run in result.sweep or ()] == ["done", "done", "failed", "done"]
    assert [run.values.get("y") for run in result.sweep or ()] == [1, 4, None, 16]
    assert not cluster.objects
    again = driver.drive(asked(tmp_path, text, **options), [])
    assert [run.reused for run in again.sweep or ()] == [True, True, False, True]
