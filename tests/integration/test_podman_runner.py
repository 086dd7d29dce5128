"""DockerRunner on podman's service: it keeps the contract of all runners."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildr_jupyter.builder.podman.service import own
from buildr_jupyter.builder.podman_builder import PodmanBuilder
from buildr_jupyter.commands import runs
from buildr_jupyter.errors import OptionError, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.watchdog import descendants
from buildr_jupyter.runner.docker_runner import DockerRunner
from buildr_jupyter.runner.sweep import KEY_LABEL
from tests.engines import Engines, containers
from tests.engines.fixtures import _or_skip
from tests.engines.registry import Registry
from tests.integration.builders import World
from tests.integration.test_builder_contract import world
from tests.runner_contract import RunnerContract, Subject

__all__ = ["world"]


@pytest.fixture(scope="module")
def made(
    world: World, engines: Engines, registry_http: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Callable[[], DockerRunner]]]:
    """An image whose entrypoint runs the Python text that it is given, and what makes runners for it."""
    store = _or_skip("podman", engines.containers)
    folder = tmp_path_factory.mktemp("runner")
    (folder / "Dockerfile").write_text(
        f"FROM {world.base}\nWORKDIR /app\nRUN mkdir -m 775 output\n"
        'ENV BUILDR_OUTPUT_DIR=/app/output\nENTRYPOINT ["python", "-u", "-c"]\n'
    )
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as opened:
        registries = containers.registries(folder / "registries.conf", insecure=[registry_http.host])
        settings = {"CONTAINERS_REGISTRIES_CONF": str(registries), "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
        for name, value in {**store.environment, **settings, "DOCKER_HOST": "unix:///not/there.sock"}.items():
            patch.setenv(name, value)
        PodmanBuilder().build("podman-runner-test:1", str(folder))

        def make() -> DockerRunner:
            runner = DockerRunner()
            runner.docker_client = opened.enter_context(contextlib.closing(own().client()))
            return runner

        yield "podman-runner-test:1", make


@pytest.fixture
def subject(made: tuple[str, Callable[[], DockerRunner]]) -> Iterator[Subject]:
    image, make = made
    yield Subject(make, image)
    assert make().list() == []


class TestContract(RunnerContract):
    """podman's service keeps it."""


def test_out_of_memory(subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    events, ended = subject.run("print('up', flush=True); x = bytearray(1 << 30)", memory_bytes=64 << 20)
    assert ended.exit_code == 137
    assert [event.hint for event in events if isinstance(event, BuildWarning)] == ["give it more with --memory"]
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_and_never_started_is_lost_and_has_no_status(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:  # between the two calls
        killed.setattr(DockerRunner, "_begin", lambda *_: None)
        drain(subject.make().start(subject.spec("print(1)"), CancelToken()))
    later = subject.make()
    (group,) = later.list()
    with pytest.raises(RunLost, match="was made, and never started"):
        drain(later.follow(group, CancelToken()))
    later.remove(group)


@pytest.mark.parametrize("asked", ["follow", "stop"])
def test_what_was_killed_with_what_watched_it_is_lost_and_can_be_removed(subject: Subject, asked: str) -> None:
    """podman learns from a process of the container's how its program ended, and a kill can take both."""
    drain(subject.make().start(subject.spec("import time; time.sleep(600)"), CancelToken()))
    later = subject.make()
    (group,) = later.list()
    for pid in watching(group.runs[0]):
        for one in (pid, *descendants(pid)):
            os.kill(one, signal.SIGKILL)
    if asked == "stop":
        later.stop(group)
    with pytest.raises(RunLost, match="nothing tells how it ended" if asked == "follow" else "has no exit status"):
        drain(later.follow(group, CancelToken()))
    later.remove(group)
    assert later.list() == []


def watching(container: str) -> list[int]:
    """Return the processes that watch a container's for podman."""
    found = []
    for words in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            named = words.read_bytes().split(b"\0")
            if Path(os.fsdecode(named[0])).name == "conmon" and container.encode() in named:
                found.append(int(words.parent.name))
    return found


def test_a_run_of_podman_is_cancelled_by_its_key(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path))
    key, said = "ab" * 32, []
    drain(subject.make().start(subject.spec("import time; time.sleep(600)", labels=((KEY_LABEL, key),)), CancelToken()))
    with pytest.raises(OptionError, match="nothing runs under 'cd'"):
        runs.cancel("cd", said.append)
    runs.cancel(key[:6], said.append)
    assert said == [f"cancelled {key[:12]}\n"]
    assert subject.make().list() == []
