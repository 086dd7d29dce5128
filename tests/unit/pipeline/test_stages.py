from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.config.options import Options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import BuildBusy, BuildError, BuildRefused, Cancelled, UnboundName
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, Finished, LogLine, StageUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model import ImageRef
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.request import BuildRequest, Unsupported
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline import driver
from buildr_jupyter.pipeline import job as pipeline_job
from buildr_jupyter.pipeline.planner import CellSource


class Recorder:
    """A builder that implements the seam and does what the test says in mid-build."""

    def __init__(self, during: Callable[[CancelToken], Generator[Event, None, None]] | None = None) -> None:
        self.during = during
        self.requests: list[BuildRequest] = []
        self.published: list[str] = []
        self.refused: list[Unsupported] = []

    name = "scripted"

    def capabilities(self) -> Capabilities:
        return Capabilities()

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        return self.refused

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        yield LogLine(0, f"base {request.name}")
        return ResolvedBase(request.name, "sha256:" + "b" * 64)

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        self.requests.append(request)
        if self.during:
            yield from self.during(cancel)
        if cancel.is_set():
            raise Cancelled("cancelled")
        return BuildResult(str(request.refs[0]), image_id="sha256:" + "1" * 64, tags=tuple(map(str, request.refs)))

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        self.published.append(str(ref))
        yield LogLine(0, "pushed")
        return BuildResult(str(ref), digest="sha256:" + "d" * 64, size_bytes=7)

    def build(self, img: str, path: str = ".") -> BuildResult:
        raise AssertionError("the pipeline uses the streams")

    publish = build


class Watcher:
    """A window that keeps what it was told, and in which thread."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.events: list[Event] = []
        self.threads: set[int] = set()
        self.state: BuildState | None = None

    def open(self, state: BuildState, title: str) -> None:
        self.calls.append(f"open {title}")

    def draw(self, state: BuildState, events: list[Event]) -> None:
        self.events += events
        self.threads.add(threading.get_ident())

    def close(self, state: BuildState) -> None:
        self.calls.append(f"close {state.status}")
        self.state = state


def job(tmp_path: Path, builder: Any, text: str = "print(1)", **options: Any) -> pipeline_job.ExportRequest:
    run = CellRun(source=text, transformed=text, index=0)
    source = CellSource((run,), run, tmp_path, "nb.ipynb")
    options = {"name": "app", "context": tmp_path / "context", **options}
    return pipeline_job.ExportRequest(
        source, Options(**options), Interpreter.current(), {"PIP_CONFIG_FILE": "/dev/null"}, builder=builder
    )


def test_the_whole_way_with_one_finish(tmp_path: Path) -> None:
    builder, window = Recorder(), Watcher()
    made = job(tmp_path, builder, name="reg.example/app", tags=("v1", "v2"), publish=True)
    result = driver.drive(made, [window])
    plan = builder.requests[0].plan
    assert plan
    assert plan.base_digest == "sha256:" + "b" * 64
    assert [str(ref) for ref in builder.requests[0].refs] == [
        "reg.example/app:v1", "reg.example/app:v2", f"reg.example/app:{plan.content_tag}",
    ]  # fmt: skip
    assert builder.published == ["reg.example/app:v1", "reg.example/app:v2", f"reg.example/app:{plan.content_tag}"]
    assert (result.digest, result.size_bytes, result.pushed) == ("sha256:" + "d" * 64, 7, tuple(builder.published))
    assert [type(event) for event in window.events].count(Finished) == 1
    assert isinstance(window.events[-1], Finished)
    stages = [(event.stage, event.status) for event in window.events if isinstance(event, StageUpdate)]
    assert stages == [
        ("export", "running"), ("export", "done"), ("guard", "done"), ("build", "running"), ("build", "done"),
        ("publish", "running"), ("publish", "done"),
    ]  # fmt: skip
    assert window.threads == {threading.get_ident()}, "windows are drawn from the caller's thread"
    assert window.calls == ["open reg.example/app:v1", "close done"]


def test_a_failure_is_raised_with_its_stage_and_shown(tmp_path: Path) -> None:
    def fail(cancel: CancelToken) -> Generator[Event, None, None]:
        yield LogLine(0, "about to fail")
        raise BuildError("Image build failed: no")

    window = Watcher()
    with pytest.raises(BuildError) as raised:
        driver.drive(job(tmp_path, Recorder(fail)), [window])
    assert raised.value.stage == "build"
    assert window.state
    assert (window.state.status, window.state.stages["build"], window.state.error) == ("failed", "failed", raised.value)
    with pytest.raises(UnboundName) as unbound:
        driver.drive(job(tmp_path, Recorder(), "print(nowhere)"), [])
    assert unbound.value.stage == "export"


def test_what_a_builder_refuses_is_said_with_those_that_can(tmp_path: Path) -> None:
    builder = Recorder()
    builder.refused = [Unsupported("several platforms", "one at a time", ("oci", "buildkit"))]
    with pytest.raises(BuildRefused, match="several platforms") as raised:
        driver.drive(job(tmp_path, builder), [])
    assert raised.value.hint == "take a builder that can: buildkit, oci"
    assert builder.requests == []


def test_a_token_set_from_another_thread_cancels(tmp_path: Path) -> None:
    token, window = CancelToken(), Watcher()

    def wait(cancel: CancelToken) -> Generator[Event, None, None]:
        yield LogLine(0, "waiting")
        threading.Thread(target=cancel.set).start()
        assert cancel.wait(5)

    with pytest.raises(Cancelled):
        driver.drive(job(tmp_path, Recorder(wait)), [window], cancel=token)
    assert window.calls[-1] == "close cancelled"


def test_an_interrupt_cancels_the_work_and_goes_on_as_an_interrupt(tmp_path: Path) -> None:
    ended = threading.Event()

    class Interrupted(Watcher):
        def draw(self, state: BuildState, events: list[Event]) -> None:
            if state.log_total > 1:
                raise KeyboardInterrupt

    def work(cancel: CancelToken) -> Generator[Event, None, None]:
        yield LogLine(1, "begun")
        assert cancel.wait(5)
        ended.set()

    window = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        driver.drive(job(tmp_path, Recorder(work)), [window])
    assert ended.is_set()
    assert window.calls[-1] == "close cancelled"


def test_a_reference_that_is_being_built_is_refused_with_its_handle(tmp_path: Path) -> None:
    inner: list[BaseException] = []

    def again(cancel: CancelToken) -> Generator[Event, None, None]:
        yield LogLine(0, "first")
        try:
            driver.drive(job(tmp_path, Recorder()), [])
        except BuildBusy as error:
            inner.append(error)

    driver.drive(job(tmp_path, Recorder(again)), [])
    assert isinstance(inner[0], BuildBusy)
    assert isinstance(inner[0].handle, BuildState)
    assert driver.drive(job(tmp_path, Recorder()), []).image == "app:latest"


def test_a_flood_waits_for_the_windows_and_loses_nothing(tmp_path: Path) -> None:
    def flood(cancel: CancelToken) -> Generator[Event, None, None]:
        for number in range(50_000):
            yield LogLine(number, "x")

    window = Watcher()
    driver.drive(job(tmp_path, Recorder(flood)), [window])
    lines = [event.seq for event in window.events if isinstance(event, LogLine) and event.text == "x"]
    assert lines == list(range(50_000))
    assert not [thread for thread in threading.enumerate() if thread.name == "buildr-build"]


def test_an_index_on_loopback_gets_the_hosts_network(tmp_path: Path) -> None:
    builder = Recorder()
    made = job(tmp_path, builder, requirements=("six",))
    local = pipeline_job.ExportRequest(
        made.source,
        made.options,
        made.interpreter,
        {**made.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/simple"},
        builder,
    )
    driver.drive(local, [])
    assert builder.requests[0].network == "host"
    assert set(builder.requests[0].build_args) == {"FTP_PROXY"}
