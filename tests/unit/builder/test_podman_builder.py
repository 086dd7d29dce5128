"""PodmanBuilder: which podman it speaks to, and that a build has a service of its own where one was started for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder import podman_builder as module
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.podman_builder import PodmanBuilder
from buildr_jupyter.engine.connection import connect
from buildr_jupyter.errors import BuildError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest
from tests.fakes.engine import IMAGE_ID, FakeEngine, lines_of
from tests.runner_contract import collected

BUILT = lines_of(
    [
        {"stream": "STEP 1/1: FROM base:1\n"},
        {"aux": {"ID": IMAGE_ID}},
        {"stream": f"Successfully built {IMAGE_ID[7:19]}\n"},
    ]
)
FAILED = lines_of([{"errorDetail": {"message": "exit status 3"}, "error": "exit status 3"}])


class Leased:
    """The service that is started where no podman serves: how often it was given, and what of it was killed."""

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.given = self.killed = 0
        self.inside = False

    def client(self) -> Any:
        return connect({"DOCKER_HOST": self.engine.host})

    def kill_work(self) -> None:
        self.killed += 1

    @contextlib.contextmanager
    def leased(self, _: Any) -> Iterator[Leased]:
        self.given += 1
        self.inside = True
        try:
            yield self
        finally:
            self.inside = False


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM base:1\n")
    return tmp_path


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeEngine], Leased]:
    """Let no podman serve, and let the one that is started be the given engine."""

    def use(engine: FakeEngine) -> Leased:
        service = Leased(engine)
        monkeypatch.setattr(module, "find", lambda _: None)
        monkeypatch.setattr(module, "own", lambda _: service)
        monkeypatch.setattr(module, "leased", service.leased)
        return service

    return use


def request(context: Path, dockerfile: str = "Dockerfile") -> BuildRequest:
    return BuildRequest(context, (ImageRef.parse("me/x:1"),), dockerfile=dockerfile)


def podman(**more: Any) -> PodmanBuilder:
    return PodmanBuilder(**{"find_login": lambda _: None, "environ": {}, **more})


def test_it_speaks_to_the_podman_of_its_address(context: Path) -> None:
    with FakeEngine(build=BUILT) as engine, FakeEngine(build=BUILT) as other:
        subject = podman(address=engine.host, environ={"CONTAINER_HOST": other.host})
        result = collected(subject.stream_build(request(context), CancelToken()))[1]
        assert (result.image_id, result.tags) == (IMAGE_ID, ("me/x:1",))
        assert (len(engine.asked("/build")), other.requests) == (1, [])
    assert (PodmanBuilder.of("tcp://x:1").address, PodmanBuilder.of("tcp://x:1").name) == ("tcp://x:1", "podman")


def test_it_speaks_to_the_podman_of_the_environment_and_leases_nothing(
    context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: Any) -> Any:
        raise AssertionError("a service was leased, where one is there")

    monkeypatch.setattr(module, "leased", never)
    with FakeEngine(build=BUILT) as engine:
        subject = podman(environ={"CONTAINER_HOST": engine.host})
        collected(subject.stream_build(request(context), CancelToken()))
        assert len(engine.asked("/build")) == 1


def test_a_build_has_a_service_of_its_own(context: Path, own: Callable[[FakeEngine], Leased]) -> None:
    with FakeEngine(build=BUILT) as engine:
        service, subject = own(engine), podman()
        assert collected(subject.stream_build(request(context), CancelToken()))[1].image_id == IMAGE_ID
        assert (service.given, service.inside, service.killed) == (1, False, 0)
        collected(subject.stream_build(request(context), CancelToken()))
        assert service.given == 2, "each build has one for itself"


def test_what_a_cancelled_build_runs_is_killed_and_nothing_later(
    context: Path, own: Callable[[FakeEngine], Leased]
) -> None:
    with FakeEngine(build=lines_of([{"stream": "STEP 1/1: FROM base:1\n"}]), hang=True) as engine:
        service, subject, cancel = own(engine), podman(), CancelToken()
        with pytest.raises(Exception, match="cancelled"):
            for _ in subject.stream_build(request(context), cancel):
                cancel.set()
        assert (service.killed, service.inside) == (1, False)
    with FakeEngine(build=BUILT) as engine:
        service, cancel = own(engine), CancelToken()
        collected(podman().stream_build(request(context), cancel))
        cancel.set()
        assert service.killed == 0, "the build is over"


def test_a_failing_build_gives_the_service_back(context: Path, own: Callable[[FakeEngine], Leased]) -> None:
    with FakeEngine(build=FAILED) as engine:
        service = own(engine)
        with pytest.raises(BuildError, match="exit status 3"):
            collected(podman().stream_build(request(context), CancelToken()))
        assert (service.given, service.inside) == (1, False)


class Version:
    """A client that tells only its version."""

    def __init__(self, said: str) -> None:
        self.said = said

    def version(self) -> dict[str, str]:
        return {"Version": self.said}


@pytest.mark.parametrize(
    ("version", "knows"),
    [("4.3.1", False), ("4.8.0", True), ("4.10.0-dev", True), ("5.0.0-rc1", True), ("3.4.4", False), ("", False)],
)
def test_which_podman_knows_here_documents(context: Path, version: str, knows: bool) -> None:
    (context / "Heredoc").write_text("FROM base:1\nRUN <<EOF\necho hello\nEOF\n")
    subject = podman()
    subject.docker_client = Version(version)  # type: ignore[assignment]
    found = subject.unsupported(request(context, "Heredoc"))
    assert [one.what for one in found] == ([] if knows else ["here-documents"])
    assert all(f"podman {version}" in one.why for one in found)
    assert subject.unsupported(request(context)) == []


def test_its_images_are_in_the_podman_that_it_speaks_to() -> None:
    subject = podman()
    subject.docker_client = client = Version("4.3.1")  # type: ignore[assignment]
    able = subject.capabilities()
    assert able.in_engine
    assert able.engine is not None
    assert able.engine() is client
    assert isinstance(subject, DockerBuilder)
