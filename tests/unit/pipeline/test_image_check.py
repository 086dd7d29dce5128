"""--check=image: the built image is run without a network before it is pushed, and what it prints is compared."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.config.options import Options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import BuildrError, Cancelled, ExportError, OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.capabilities import Capabilities
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline import driver, verify
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.planner import CellSource, assemble
from tests.fakes.containers import Containers, Reply
from tests.fakes.engine import FakeEngine
from tests.unit.pipeline.test_stages import Recorder

Start = Callable[..., Containers]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an engine whose containers do as they are told."""
    engines = []

    def made(**told: Any) -> Containers:
        containers = Containers(**{"image": {"WorkingDir": "/app", "Env": []}, **told})
        engine = FakeEngine(containers=containers)
        engine.__enter__()
        engines.append(engine)
        monkeypatch.setenv("DOCKER_HOST", engine.host)
        return containers

    yield made
    for engine in engines:
        engine.__exit__()


def job(tmp_path: Path, builder: Recorder, printed: str | None = "1\n", **options: Any) -> ExportRequest:
    run = CellRun(source="print(1)", transformed="print(1)", index=0, stdout=printed)
    given = {"name": "reg.example/app", "publish": True, "context": tmp_path / "context", "check": "image", **options}
    return ExportRequest(
        CellSource((run,), run, tmp_path, "nb.ipynb"), Options(**given), Interpreter.current(),
        {"PIP_CONFIG_FILE": "/dev/null"}, builder=builder,
    )  # fmt: skip


def failing(made: ExportRequest) -> BuildrError:
    with pytest.raises(ExportError) as caught:
        driver.drive(made, [])
    assert caught.value.stage == "proof"
    assert isinstance(caught.value.result, BuildResult)
    assert caught.value.result.image_id, "the image stays"
    return caught.value


def test_an_image_that_prints_the_same_is_proven_and_then_pushed(start: Start, tmp_path: Path) -> None:
    containers, builder = start(output=[("stderr", b"a warning\n"), ("stdout", b"1\n")]), Recorder()
    result = driver.drive(job(tmp_path, builder, memory_bytes=64 << 20), [])
    assert result.proof is not None
    assert (result.proof.status, result.proof.barrier) == ("proven", "a container without a network")
    assert builder.published
    host = containers.made[0].given["HostConfig"]
    assert (host["NetworkMode"], host["Memory"]) == ("none", 64 << 20)
    assert not containers.all, "the container is removed"


def test_one_that_prints_something_else_is_not_pushed(start: Start, tmp_path: Path) -> None:
    start(output=[("stdout", b"2\n")])
    builder = Recorder()
    error = failing(job(tmp_path, builder))
    assert "was built, and its program differs: line 1 is '2' and was '1'" in str(error)
    assert builder.published == []


def test_nothing_to_compare_is_no_failure(start: Start, tmp_path: Path) -> None:
    start(output=[("stdout", b"2\n")])
    result = driver.drive(job(tmp_path, Recorder(), printed=None), [])
    assert result.proof is not None
    assert (result.proof.status, result.pushed != ()) == ("ran, not compared", True)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"output": [("stderr", b"KeyError: 'x'\n")], "exit_code": 1}, "differs: it ended with status 1: KeyError"),
        (
            {"output": [("stderr", b"OSError: [Errno 101] Network is unreachable\n")], "exit_code": 1},
            "is not proven: it reached outside: the network (Network is unreachable)",
        ),
        ({"refuses": {"/start": Reply(500, {"message": "exec format error"})}}, "is not proven: the image cannot be"),
    ],
)
def test_one_that_fails_says_why(start: Start, tmp_path: Path, told: dict[str, Any], says: str) -> None:
    start(**told)
    assert says in str(failing(job(tmp_path, Recorder())))


def test_the_time_of_a_run_is_limited(start: Start, tmp_path: Path) -> None:
    containers = start(runs_on=True)
    error = failing(job(tmp_path, Recorder(), check_time_s=0.3))
    assert "is not proven: it took longer than 0.3 s (--check-time)" in str(error)
    assert not containers.all


def test_random_output_is_told_as_such(start: Start, tmp_path: Path) -> None:
    containers = start(output=[("stdout", b"2\n")])
    counted = iter("23")
    frames = containers.frames
    containers.frames = lambda one: frames(one).replace(b"2", next(counted).encode())  # type: ignore[method-assign]
    assert f"is not proven: {verify.RANDOM}" in str(failing(job(tmp_path, Recorder())))


def test_a_cancel_ends_it(start: Start, tmp_path: Path) -> None:
    containers, token = start(runs_on=True), CancelToken()

    def cancel() -> None:
        while not (containers.made and containers.made[0].began.wait(0.01)):
            pass
        token.set()

    threading.Thread(target=cancel).start()
    with pytest.raises(Cancelled):
        driver.drive(job(tmp_path, Recorder()), [], cancel=token)
    assert not containers.all


def test_where_no_engine_answers_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(Recorder):
        def capabilities(self) -> Capabilities:
            return Capabilities(in_engine=False)

    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    builder = Elsewhere()
    with pytest.raises(OptionError, match="--check=image: no engine answers here to run the image") as caught:
        driver.drive(job(tmp_path, builder), [])
    assert "or say --check" in str(caught.value.hint)
    assert builder.requests == []


def test_what_builds_nothing_has_no_image_to_check(tmp_path: Path) -> None:
    made = job(tmp_path, Recorder())
    assembly = assemble(made.source, made.options, made.interpreter, made.environ)
    with pytest.raises(OptionError, match="--check=image: no image is built here"):
        verify.checked(made, assembly)
    kept = replace(made, options=replace(made.options, check="program"))
    assert verify.checked(kept, assembly).proof.holds
