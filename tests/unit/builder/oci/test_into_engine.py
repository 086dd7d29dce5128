"""Images that are made without an engine and brought into one, or built by it after all."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.auto_builder import takes_layers
from buildr_jupyter.builder.oci.into_engine import IntoEngine
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.builder.protocol import SeedMethods, drain
from buildr_jupyter.engine.connection import Address
from buildr_jupyter.errors import BuildError, PublishError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import BuildRequest, EngineLoad, Unsupported
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.oci import bytecode
from buildr_jupyter.oci.store import Store
from tests.fakes import bases
from tests.fakes.registry import FakeRegistry

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
REF = ImageRef.parse("x:1")
REQUEST = BuildRequest(Path(), (REF,), outputs=(EngineLoad(),))


class Made(SeedMethods):
    """A builder that works, or fails where it was told to."""

    def __init__(self, name: str, fails: str = "", *, error: Exception | None = None) -> None:
        self.name, self.fails, self.error = name, fails, error or BuildError("Image build failed: no wheel")

    def _do(self, what: str) -> Generator[Event, None, None]:
        yield StepUpdate(what, f"{self.name} {what}", status="done")
        if what == self.fails:
            raise self.error

    def capabilities(self) -> Capabilities:
        return Capabilities(in_engine=self.name == "docker")

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        return [Unsupported(self.name, "because")] if self.fails == "unsupported" else []

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        yield from self._do("base")
        return ResolvedBase(request.name, self.name)

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        yield from self._do("build")
        return BuildResult(image="x:1", builder=self.name)

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        yield from self._do("push")
        return BuildResult(image="x:1", builder=self.name)


def followed(subject: IntoEngine) -> list[str]:
    """Return the titles of a base, a build and a push."""
    titles: list[str] = []
    for stream in (
        lambda: subject.resolve_base(BaseRequest("b"), CancelToken()),
        lambda: subject.stream_build(REQUEST, CancelToken()),
        lambda: subject.stream_push(REF, CancelToken()),
    ):
        titles += [event.title for event in stream() if isinstance(event, StepUpdate)]
    return titles


def test_what_can_be_made_is_and_pushed_from_there() -> None:
    subject = IntoEngine(Made("oci"), Made("docker"))
    assert followed(subject) == ["oci base", "oci build", "oci push"]
    assert (subject.name, subject.capabilities().in_engine) == ("oci", True)


@pytest.mark.parametrize(
    ("fails", "titles"),
    [
        ("base", ["oci base", "{}", "docker base", "docker build", "docker push"]),
        ("build", ["oci base", "oci build", "{}", "docker build", "docker push"]),
    ],
)
def test_what_cannot_is_the_engines_and_said_once(fails: str, titles: list[str]) -> None:
    subject = IntoEngine(Made("oci", fails), Made("docker"))
    assert followed(subject) == [title.format("builder: docker, as oci cannot: no wheel") for title in titles]
    assert subject.name == "docker"


def test_an_error_of_the_engine_is_raised() -> None:
    mine, its_own = BuildError("mine"), BuildError("its own")
    subject = IntoEngine(Made("oci", "build", error=mine), Made("docker", "build", error=its_own))
    for _ in range(2):
        with pytest.raises(BuildError) as caught:
            drain(subject.stream_build(REQUEST, CancelToken()))
        assert caught.value is its_own


def test_another_error_is_no_reason_for_the_engine() -> None:
    subject = IntoEngine(Made("oci", "build", error=PublishError("refused")), Made("docker"))
    with pytest.raises(PublishError, match="refused"):
        drain(subject.stream_build(REQUEST, CancelToken()))


def test_unsupported_is_what_both_lack() -> None:
    assert IntoEngine(Made("oci", "unsupported"), Made("docker")).unsupported(REQUEST) == []
    (lacks,) = IntoEngine(Made("oci", "unsupported"), Made("docker", "unsupported")).unsupported(REQUEST)
    assert lacks.what == "docker"


class Engine:
    """What is asked of an engine before a choice."""

    def __init__(self, url: str = "unix:///s", layers: list[str] | None = None, **info: object) -> None:
        self.buildr_address = Address(url, "test")
        self._layers, self._info = layers, info

    def version(self) -> dict[str, Any]:
        return {"Components": [{"Name": self._info.get("name", "Engine")}], "ApiVersion": "1.44", "Os": "linux"}

    def info(self) -> dict[str, Any]:
        return {"DriverStatus": self._info.get("status")}

    def inspect_image(self, name: str) -> dict[str, Any]:
        from docker.errors import ImageNotFound

        if self._layers is None:
            raise ImageNotFound(name)
        return {"RootFS": {"Layers": self._layers}}


@pytest.mark.parametrize(
    ("engine", "takes"),
    [
        (Engine(), True),
        (Engine("npipe:////./pipe/docker_engine"), True),
        (Engine("tcp://far:2376"), False),
        (Engine(name="Podman Engine"), False),
        (Engine(status=[["driver-type", "io.containerd.snapshotter.v1"]]), False),
        (object(), False),
    ],
    ids=["socket", "pipe", "far", "podman", "containerd", "no address"],
)
def test_which_engines_take_layers(engine: Any, *, takes: bool) -> None:
    assert takes_layers(engine) is takes


def plan(base: str, **changes: Any) -> BuildRequest:
    return BuildRequest(Path(), (REF,), ImagePlan(base=base, python=PYTHON, **changes))


@pytest.mark.skipif(not bytecode.key(PYTHON), reason="bytecode is made by CPython alone")
def test_when_the_base_is_at_hand(tmp_path: Path) -> None:
    """In a registry that answers, and the engine has none of the name or the same one; a silent one is asked once."""
    subject = OciBuilder(store=Store(tmp_path / "store"), retries=1)
    engine: Any = Engine()
    with FakeRegistry() as fake:
        base, layers = f"{fake.host}/base/x:1", bases.put(fake)
        assert subject.ready_for(plan(base), engine)
        assert subject.ready_for(plan(base), Engine(layers=layers))  # type: ignore[arg-type]
        assert not subject.ready_for(plan(base), Engine(layers=["sha256:other"]))  # type: ignore[arg-type]
        assert not subject.ready_for(plan(f"{fake.host}/base/none:1"), engine)
        assert not subject.ready_for(plan(base, system_packages=("git",)), engine)
        assert not subject.ready_for(plan("kernel"), engine)
        host = fake.host
    assert subject.ready_for(plan(base), engine), "known from before: nobody is asked"
    asked: list[str] = []
    again = OciBuilder(store=Store(tmp_path / "store"), retries=1, find_login=asked.append)
    assert not again.ready_for(plan(f"{host}/base/new:1"), engine)
    assert not again.ready_for(plan(f"{host}/base/new:1"), engine)
    assert len(asked) == 1
