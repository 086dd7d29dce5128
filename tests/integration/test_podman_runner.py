"""DockerRunner on podman's service: it keeps the contract of all runners."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildr_jupyter.builder.podman.service import own
from buildr_jupyter.builder.podman_builder import PodmanBuilder
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.runner.docker_runner import DockerRunner
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
