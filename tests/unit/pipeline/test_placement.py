"""What a cluster is told of an image, and what is refused before anything is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.config.options import make_options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import Cancelled, ClusterUnavailable, OptionError, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.request import ImageProgram, Standing
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline import driver
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.placement import check, program_of, spec_for_cluster, spec_of
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


def test_an_image_for_one_platform_goes_to_its_nodes(tmp_path: Path) -> None:
    result = BuildResult("r.example/me/app:1", digest=DIGEST, pushed=("r.example/me/app:1",))

    def chosen(**values: object) -> object:
        return spec_for_cluster(job(tmp_path, on="kubernetes", **values).order(), result, "n").placement.node_selector

    assert chosen(platform="linux/arm64") == (("kubernetes.io/arch", "arm64"),)
    assert chosen(platform="linux/arm64,linux/amd64") == chosen() == ()
    own = ["kubernetes.io/arch=other"]
    assert chosen(platform="linux/arm64", node_selector=own) == (("kubernetes.io/arch", "other"),)


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
    there = {"on": "kubernetes", "publish": True, "repository": "r.example/me"}
    for more in ({"collect": ["*.csv"]}, {"no_collect": True}):
        check(job(tmp_path, **there, **more).order())
    check(job(tmp_path, on="docker").order())
    check(job(tmp_path, **there, mount=["pvc:data:/data"]).order())
    check(job(tmp_path, **there, collect=["registry", "*.csv"]).order())
    with pytest.raises(OptionError, match="an engine gives files back by itself"):
        check(job(tmp_path, on="docker", collect=["registry"]).order())
    with pytest.raises(OptionError, match="an engine has no volumes of a cluster"):
        check(job(tmp_path, on="docker", mount=["pvc:data:/data"]).order())
    for more in ({"queue": "q"}, {"node_selector": ["a=b"]}, {"service_account": "s"}):
        with pytest.raises(OptionError, match="an engine has no such places"):
            check(job(tmp_path, run=True, **more).order())
        check(job(tmp_path, **there, **more).order())
    check(job(tmp_path, on="kubernetes", publish=True, repository="r.example/me").order())


def test_where_the_job_runs_decides_by_what_name_the_image_is_run(tmp_path: Path) -> None:
    result = BuildResult("app:1", tags=("app:1", "app:c-0123456789ab"), digest=DIGEST, pushed=("x",))
    here = job(tmp_path).order()
    assert [spec_of(here, result, "run", lasting=one).image for one in (False, True)] == ["app:1", "app:c-0123456789ab"]
    assert spec_of(here, replace(result, tags=()), "run", lasting=True).image == "app:1"
    there = job(tmp_path, on="kubernetes", publish=True, repository="r.example/me").order()
    assert spec_of(there, result, "run", lasting=True).image.endswith(f"app@{DIGEST}")


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
    assert program_of(plan) == ImageProgram(
        ("python", "main.py"), "/app", "/app/output", (("B", "x\ny"),), gives_values=False
    )


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


@pytest.mark.parametrize("option", ["sets", "maps"])
def test_a_file_of_this_machine_as_an_input_is_refused_before_a_build(
    tmp_path: Path, cluster: FakeCluster, option: str
) -> None:
    (tmp_path / "rows.csv").write_text("1")
    text = "from pathlib import Path\ndata = Path('rows.csv')\nprint(data.name)"
    given = {"params": (("data", None),), "include": ("rows.csv",)}
    made = asked(tmp_path, text, **given, **{option: (("data", "rows.csv"),)})
    with pytest.raises(OptionError, match=r"input 'data' is .*rows\.csv, and a cluster does not see") as caught:
        driver.drive(made, [])
    assert (caught.value.stage, "--include" in str(caught.value.hint)) == ("export", True)
    assert isinstance(made.builder, Recorder)
    assert made.builder.requests == []
    result = driver.drive(asked(tmp_path, text, **given), [])
    assert result.run is not None
    assert result.run.stdout_tail == "rows.csv\n"


GRID = "n = 1\ny = n * n\nopen({marks!r} + f'/{{n}}', 'a').write('x')\n{more}"


def grid_of(folder: Path, more: str = "", **options: object) -> ExportRequest:
    (folder / "marks").mkdir(exist_ok=True)
    text = GRID.format(marks=str(folder / "marks"), more=more)
    known = {"returns": ("y",), "params": (("n", None),), "maps": (("n", "1..4"),), "jobs": 2, **options}
    return asked(folder, text, **known)


def marks(folder: Path) -> dict[str, int]:
    """Return how often the program ran for each input."""
    return {path.name: len(path.read_text()) for path in sorted((folder / "marks").iterdir())}


def test_a_grid_is_one_job_and_one_watch(tmp_path: Path, cluster: FakeCluster) -> None:
    result = driver.drive(grid_of(tmp_path, run_environment=(("TOKEN", "t"),)), [])
    assert [run.values["y"] for run in result.sweep or ()] == [1, 4, 9, 16]
    assert cluster.requests.count("watch pods") == 1
    assert cluster.requests.count("patch jobs") == 2  # made, and resumed
    assert not cluster.objects
    assert marks(tmp_path) == {"1": 1, "2": 1, "3": 1, "4": 1}


def test_a_point_that_fails_is_tried_again_by_us(tmp_path: Path, cluster: FakeCluster) -> None:
    marker = str(tmp_path / "once")
    more = (
        f"import os\nif n == 2 and not os.path.exists({marker!r}):\n    open({marker!r}, 'w')\n    raise SystemExit(5)"
    )
    result = driver.drive(grid_of(tmp_path, more, retries=1), [])
    assert [run.state for run in result.sweep or ()] == ["done"] * 4
    assert marks(tmp_path) == {"1": 1, "2": 2, "3": 1, "4": 1}


def test_fail_fast_ends_the_job(tmp_path: Path, cluster: FakeCluster) -> None:
    more = "import time\nif n == 1:\n    raise SystemExit(5)\ntime.sleep(600)"
    result = driver.drive(grid_of(tmp_path, more, fail_fast=True), [])
    assert [run.state for run in result.sweep or ()] == ["failed", "cancelled", "cancelled", "cancelled"]
    assert not cluster.objects


def test_a_grid_that_was_left_is_found_again(
    tmp_path: Path, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> Iterator[object]:
        raise ClusterUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(kubernetes_runner.KubernetesRunner, "follow_grid", away)
        with pytest.raises(ClusterUnavailable):
            driver.drive(grid_of(tmp_path), [])
    assert [kind for kind, _ in cluster.objects].count("Job") == 1
    result = driver.drive(grid_of(tmp_path, maps=(("n", "1..5"),)), [])
    assert [run.values["y"] for run in result.sweep or ()] == [1, 4, 9, 16, 25]
    assert marks(tmp_path) == {"1": 1, "2": 1, "3": 1, "4": 1, "5": 1}
    assert not cluster.objects


def test_a_grid_that_is_cancelled_leaves_nothing(tmp_path: Path, cluster: FakeCluster) -> None:
    cancel = CancelToken()

    class Stopper(Watcher):
        def draw(self, state: BuildState, events: list[Event]) -> None:
            if any(isinstance(event, RunUpdate) and event.phase == "running" for event in events):
                cancel.set()

    with pytest.raises(Cancelled):
        driver.drive(grid_of(tmp_path, "import time\ntime.sleep(600)"), [Stopper()], cancel=cancel)
    assert not cluster.objects


def test_points_whose_pods_go_are_told_apart(tmp_path: Path, cluster: FakeCluster) -> None:
    class Evictor(Watcher):
        done = False

        def draw(self, state: BuildState, events: list[Event]) -> None:
            said = [event for event in events if isinstance(event, RunUpdate) and event.number == 0]
            if not self.done and any(event.phase == "running" for event in said):
                self.done = True
                cluster.evict(next(name for name in cluster.pods() if name.endswith("-0")))

    more = "import time\nif n == 1:\n    time.sleep(600)"
    result = driver.drive(grid_of(tmp_path, more), [Evictor()])
    assert [run.state for run in result.sweep or ()] == ["failed", "done", "done", "done"]
    assert "Evicted" in (result.sweep or ())[0].reason


@pytest.mark.parametrize("executor", ["kubernetes", "metaparticle"])
def test_the_executor_of_the_decorator(executor: str, tmp_path: Path, cluster: FakeCluster) -> None:
    made = cell_job(tmp_path, Recorder(), "print('hello')", name="reg.example/app", publish=True, run=True)
    result = driver.drive(replace(made, executor=executor), [])
    assert result.run is not None
    assert result.run.stdout_tail == "hello\n"


def test_what_stays_is_left_in_the_cluster(tmp_path: Path, cluster: FakeCluster) -> None:
    made = asked(tmp_path, "print('hello')", standing=Standing(schedule="@daily"))
    assert driver.drive(made, []).run is None
    assert list(cluster.objects) == [("CronJob", "buildr-app")]
    with pytest.raises(OptionError, match="an engine keeps no service"):
        check(replace(made, options=replace(made.options, on="docker")).order())
