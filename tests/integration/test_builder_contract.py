"""What every builder owes: the same tests, run on each row of ``builders.HARNESSES``.

A new builder adds its row there (its docstring says how) and nothing here. A cell of test and builder that is
missing or that would be left out fails ``test_every_cell_is_there``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from buildr_jupyter import builder
from buildr_jupyter.commands.images import inspect
from buildr_jupyter.errors import BuildError, Cancelled, RegistryUnauthorized
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, LogLine
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.plan import FileEntry, image_labels
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.client import Registry as RegistryClient
from tests.engines import Engines, EngineStartError
from tests.engines.fixtures import _or_skip
from tests.engines.registry import Registry
from tests.integration.builders import HARNESSES, REPOSITORY, Harness, World

WITHOUT_A_ROW = {"auto"}
"""It is one of the others."""
CELLS = (
    "test_build",
    "test_log",
    "test_failing_step",
    "test_cached_where_nothing_changed",
    "test_changed_code",
    "test_private_base_with_a_login",
    "test_publish_with_a_login",
    "test_cancel_in_the_middle",
    "test_two_at_once",
    "test_unicode_and_quoting",
    "test_result",
    "test_inspect",
    "test_here_documents",
)
FACTS = """
import json, os, sys
from pathlib import Path
names = ("HOME", "PYTHONUNBUFFERED", "BUILDR_IN_CONTAINER", "BUILDR_OUTPUT_DIR")
tree = sorted((path.as_posix(), oct(path.stat().st_mode)[-4:]) for path in Path().rglob("*"))
(Path(os.environ["BUILDR_OUTPUT_DIR"]) / "written").write_text("1")
print(json.dumps([os.getcwd(), os.getuid(), os.getgid(), {n: os.environ.get(n) for n in names}, tree, sys.argv[1:]]))
"""


@pytest.fixture(scope="session")
def world(engines: Engines) -> Iterator[World]:
    """The engine that runs images, and registries with the base in them."""
    docker = _or_skip("docker", engines.docker)
    opened, private = _or_skip("registry", engines.registry_http), _or_skip("registry", engines.registry_tls)
    base = engines.small_base()
    with contextlib.closing(APIClient(docker.host, version="auto", timeout=120)) as client:
        made = World(engines, client, opened, private)
        made.offer(base)
        yield made


@pytest.fixture(params=HARNESSES)
def harness(
    request: pytest.FixtureRequest, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Harness]:
    """One row; what it left in the engine is removed afterwards."""
    made = HARNESSES[request.param](world, tmp_path)
    environment = _or_skip(request.param, made.prepare)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with made.ends:
        yield made
    for image in world.client.images():
        for tag in image.get("RepoTags") or ():
            if re.search(rf"/{REPOSITORY}:(?!base$)", tag):
                world.client.remove_image(tag, force=True)


@pytest.fixture
def subject(harness: Harness) -> builder.Builder:
    return harness.builder()


def build(subject: builder.Builder, request: BuildRequest) -> tuple[list[Event], BuildResult]:
    return collect(subject.stream_build(request, CancelToken()))


def collect(stream: Generator[Event, None, Any]) -> tuple[list[Event], Any]:
    events: list[Event] = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return events, end.value


def wait_until(holds: Callable[[], object], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextlib.contextmanager
def logged_in(registry: Registry) -> Iterator[None]:
    assert registry.user
    assert registry.password
    keychain.login(registry.host, registry.user, registry.password)
    try:
        yield
    finally:
        keychain.logout(registry.host)


@pytest.fixture
def trusted(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    """The registry with a login, its authority believed by our own client as docker's certs.d says it."""
    assert world.private.ca
    target = tmp_path / "config" / "docker" / "certs.d" / world.private.host / "ca.crt"
    target.parent.mkdir(parents=True)
    target.write_bytes(world.private.ca.read_bytes())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return world.private


def test_build(harness: Harness, subject: builder.Builder, world: World) -> None:
    """The images of all builders do the same when run, and want to be run alike."""
    extra = [FileEntry.from_bytes("app/data/in.csv", b"1\n"), FileEntry.from_bytes("app/go.sh", b"", mode=0o755)]
    request = harness.program(
        FACTS, extra=extra, ports=("8080/tcp",), labels=(("mine", "yes"),), environment=(("A", "b"),)
    )
    _, result = build(subject, request)
    tree = [
        ["data", "0755"], ["data/in.csv", "0644"], ["go.sh", "0755"], ["main.py", "0644"], ["output", "0775"],
    ]  # fmt: skip
    variables = {
        "HOME": "/home/app", "PYTHONUNBUFFERED": "1", "BUILDR_IN_CONTAINER": "1", "BUILDR_OUTPUT_DIR": "/app/output"
    }  # fmt: skip
    assert json.loads(world.run(result.image, "x", "y z")) == ["/app", 1000, 0, variables, tree, ["x", "y z"]]
    config = world.config(result.image)
    assert request.plan
    assert {**config["Labels"], **dict(image_labels(request.plan))} == config["Labels"]
    assert (config["User"], config["WorkingDir"]) == ("1000:0", "/app")
    assert config["Entrypoint"] == ["python", "main.py"]
    assert list(config["ExposedPorts"]) == ["8080/tcp"]
    assert "A=b" in config["Env"]


def test_log(harness: Harness, subject: builder.Builder, caplog: pytest.LogCaptureFixture) -> None:
    """What a step says arrives as lines of that step, and as the seed's ``Build output: …`` in the log."""
    saying = harness.saying()
    with caplog.at_level(logging.DEBUG, logger=harness.logger):
        events, _ = build(subject, saying.request)
    lines = [event for event in events if isinstance(event, LogLine)]
    steps = {event.step: event for event in events if isinstance(event, StepUpdate)}
    (line,) = [line for line in lines if saying.says in line.text]
    assert line.step in steps
    assert [one.seq for one in lines] == list(range(len(lines)))
    logged = [record.getMessage() for record in caplog.records if record.name == harness.logger]
    assert [text for text in logged if text.startswith("Build output: ") and saying.says in text]
    for step in steps.values():
        assert [text for text in logged if text.startswith("Build output: ") and step.title in text], step.title


def test_failing_step(harness: Harness, subject: builder.Builder) -> None:
    failing = harness.failing()
    state = BuildState()
    with pytest.raises(BuildError) as caught:
        state.apply_all(subject.stream_build(failing.request, CancelToken()))
    error = caught.value
    assert str(error).startswith("Image build failed: ")
    assert (error.step, error.exit_code) == (failing.step, failing.exit_code)
    for text in failing.says:
        assert [line for line in error.log_tail if text in line], error.log_tail
    state.fail(error)
    assert [step.title for step in state.steps.values() if step.status == "failed"] == [failing.step]
    ref = failing.request.refs[0]
    with contextlib.closing(RegistryClient(harness.world.open.host)) as asked:
        assert asked.digest(ref.registry_path, str(ref.tag)) is None


def test_cached_where_nothing_changed(harness: Harness, subject: builder.Builder) -> None:
    request = harness.program(f"print({time.time()!r})")
    _, first = build(subject, request)
    assert not first.cached
    _, second = build(subject, request)
    assert (second.image_id, second.digest) == (first.image_id, first.digest)
    assert second.cached or [step.status for step in second.steps if step.status != "cached"] == []


def test_changed_code(harness: Harness, subject: builder.Builder, world: World) -> None:
    first = build(subject, harness.program("print('first')", tag="code"))[1]
    second = build(subject, harness.program("print('second')", tag="code"))[1]
    assert second.image == first.image
    assert second.image_id != first.image_id
    assert world.run(second.image) == "second\n"


def test_private_base_with_a_login(harness: Harness, subject: builder.Builder, world: World, trusted: Registry) -> None:
    def as_the_pipeline_does(text: str) -> BuildResult:
        stream = subject.resolve_base(BaseRequest(world.private_base, None, True), CancelToken())
        digest = collect(stream)[1].digest
        request = harness.program(text, base=world.private_base, base_digest=digest)
        return build(subject, replace(request, pull=True))[1]

    with logged_in(trusted):
        result = as_the_pipeline_does("print('on a private base')")
    assert world.run(result.image) == "on a private base\n"
    with pytest.raises(BuildError) as caught:
        as_the_pipeline_does("print('never')")
    assert f"buildr login {trusted.host}" in str(caught.value.hint)


def test_publish_with_a_login(harness: Harness, subject: builder.Builder, world: World, trusted: Registry) -> None:
    """The seed's two functions, build and publish."""
    img = f"{trusted.host}/{REPOSITORY}:{harness.folder.name[-20:]}"
    folder = harness.program("print('published')").context
    subject.build(img, str(folder))
    with pytest.raises(RegistryUnauthorized, match=r"^Image push failed: ") as caught:
        subject.publish(img)
    assert f"buildr login {trusted.host}" in str(caught.value.hint)
    with logged_in(trusted):
        result = subject.publish(img)
        login = keychain.find(trusted.host)
    with contextlib.closing(RegistryClient(trusted.host, login, ca=trusted.ca)) as asked:
        manifest = asked.manifest(REPOSITORY, img.rpartition(":")[2])
    assert (manifest.digest, manifest.config_digest) == (result.digest, result.image_id)
    assert (result.size_bytes, result.pushed) == (manifest.size_bytes, (img,))


def test_cancel_in_the_middle(harness: Harness, subject: builder.Builder) -> None:
    """Proven from outside: the work is there before, and not 5 s after; the next build succeeds."""
    halting = harness.halting()
    cancel = CancelToken()
    stream = subject.stream_build(halting.request, cancel)
    seen = threading.Event()

    def cancel_when_at_work() -> None:
        wait_until(halting.works, 60)
        seen.set()
        cancel.set()

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(cancel_when_at_work)
        with pytest.raises(Cancelled):
            list(stream)
        waiting.result()
    assert seen.is_set()
    wait_until(lambda: not halting.works(), 5)
    ref = halting.request.refs[0]
    with contextlib.closing(RegistryClient(harness.world.open.host)) as asked:
        assert asked.digest(ref.registry_path, str(ref.tag)) is None
    assert build(subject, harness.program(f"print({time.time()!r})"))[1].image_id


def test_two_at_once(harness: Harness, subject: builder.Builder, world: World) -> None:
    requests = [harness.program(f"print('number {number}')") for number in (1, 2)]
    with ThreadPoolExecutor(2) as both:
        results = [result for _, result in both.map(lambda one: build(subject, one), requests)]
    assert [world.run(result.image) for result in results] == ["number 1\n", "number 2\n"]


def test_unicode_and_quoting(harness: Harness, subject: builder.Builder, world: World) -> None:
    value = "a b \"c\" $d ${e} 'f' \\ \\\\ ü 日本 #g"
    lines = "two\nlines"
    code = "import os, sys; from pathlib import Path; print(os.environ['V'], os.environ['L'], Path('dä ta/x \"y\".txt').read_text(), sys.argv[1])"
    request = harness.program(
        code,
        environment=(("V", value), ("L", lines)),
        labels=(("mine", value), ("lines", lines)),
        extra=[FileEntry.from_bytes('app/dä ta/x "y".txt', "ünd".encode())],
    )
    _, result = build(subject, request)
    assert world.run(result.image, value) == f"{value} {lines} ünd {value}\n"
    labels = world.config(result.image)["Labels"]
    assert (labels["mine"], labels["lines"]) == (value, "two lines")


def test_result(harness: Harness, subject: builder.Builder, world: World) -> None:
    request = harness.program(f"print({time.time()!r})")
    events, result = build(subject, request)
    ref = request.refs[0]
    manifest = world.manifest(ref)
    assert request.plan
    assert (result.image, result.tags, result.pushed) == (str(ref), (str(ref),), (str(ref),))
    assert (result.image_id, result.digest) == (manifest.config_digest, manifest.digest)
    assert result.size_bytes == manifest.size_bytes
    assert result.unpacked_bytes is None or result.unpacked_bytes > manifest.size_bytes
    assert (result.builder, result.content_digest) == (harness.spec.partition("=")[0], request.plan.content_digest)
    assert (result.context, result.cached, result.archive) == (request.context, False, None)
    assert result.duration_s > 0
    last = {event.step: event for event in events if isinstance(event, StepUpdate)}
    assert last
    for step in last.values():
        assert step.title
        assert step.status in ("done", "cached")
        assert step.duration_s is None or step.duration_s <= result.duration_s


def test_inspect(harness: Harness, subject: builder.Builder, world: World) -> None:
    """``buildr inspect`` says the same of all builders' images, out of the registry and out of the engine."""
    extra = [FileEntry.from_bytes("app/data.txt", b"1\n")]
    plan = {"notebook": "nb.ipynb", "cell": "cell 3", "environment": (("A", "b"),), "labels": (("mine", "yes"),)}
    request = harness.program("print('seen')", extra=extra, **plan)
    _, result = build(subject, request)
    assert request.plan
    rows = []
    for _ in range(2):
        rows += inspect(result.image)
        world.client.pull(result.image)
    for row in rows:
        assert row["source"] == "nb.ipynb cell 3"
        assert (row["user"], row["entrypoint"]) == ("1000:0", ["python", "main.py"])
        assert {"A=b", "HOME=/home/app", "PYTHONUNBUFFERED=1"} <= set(row["environment"])
        assert row["labels"].items() >= dict(image_labels(request.plan)).items()
        assert row["image_id"] == result.image_id
    assert rows[0]["layers"] == rows[1]["layers"]


def test_here_documents(harness: Harness, subject: builder.Builder, world: World) -> None:
    """A Dockerfile with here-documents builds, or is refused before the build with who knows them."""
    lines = ("RUN <<EOF", "echo one > /said", "echo two >> /said", "EOF", 'CMD ["cat", "/said"]')
    request = harness.steps(*lines)
    if refusals := subject.unsupported(request):
        assert {name for refusal in refusals for name in refusal.builders} >= {"buildkit"}
        assert all(refusal.why for refusal in refusals)
    else:
        assert world.run(build(subject, request)[1].image) == "one\ntwo\n"


def test_every_cell_is_there() -> None:
    """Each of ``CELLS`` runs on each row, none is left out by a mark, and each builder has a row."""
    assert {row.spec.partition("=")[0] for row in HARNESSES.values()} == set(builder.BUILDERS) - WITHOUT_A_ROW
    listed = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", __file__],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    found = set(re.findall(r"::(test_\w+\[[\w-]+\])$", listed.stdout, re.MULTILINE))
    assert found == {f"{test}[{row}]" for test in CELLS for row in HARNESSES}, listed.stdout


def test_a_row_without_its_engine_fails_where_engines_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise EngineStartError("not here")

    monkeypatch.setattr("tests.engines.fixtures.REQUIRED_ENGINES", "all")
    for row in HARNESSES:
        with pytest.raises(pytest.fail.Exception, match=f"engine {row}: not here"):
            _or_skip(row, missing)
