"""The automatic choice: the first builder that is there and can build what is asked."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder import auto_builder
from buildr_jupyter.builder.auto_builder import AutoBuilder
from buildr_jupyter.errors import EnginePermission, EngineUnavailable
from buildr_jupyter.events import CancelToken, Event
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.request import Archive, BuildRequest, EngineLoad, Unsupported


class Candidate:
    """A builder that is there or not, and refuses what it was made to refuse."""

    def __init__(self, name: str, *, cannot: str = "", there: bool = True) -> None:
        self.name, self.cannot, self.there = name, cannot, there
        self.docker_client: Any = None

    def probe(self) -> str:
        if not self.there:
            raise EngineUnavailable(f"no {self.name}")
        return "there"

    def capabilities(self) -> Capabilities:
        return Capabilities(in_engine=self.name == "docker")

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        yield from ()
        return ResolvedBase(request.name)

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        wants = {
            "archive": any(isinstance(o, Archive) for o in request.outputs),
            "apt": bool(request.plan.system_packages),
        }  # type: ignore[union-attr]
        return [Unsupported(what, "because") for what, asked in wants.items() if asked and what in self.cannot]


def chosen(
    monkeypatch: pytest.MonkeyPatch, *, engine: bool, archive: bool = False, apt: bool = False, there: str = "buildah"
) -> tuple[str, list[str]]:
    made = {
        "docker": Candidate("docker", cannot="archive"),
        "oci": Candidate("oci", cannot="apt"),
        "buildkit": Candidate("buildkit", there="buildkit" in there),
        "podman": Candidate("podman", cannot="archive", there="podman" in there),
        "buildah": Candidate("buildah", there="buildah" in there),
    }
    monkeypatch.setattr(auto_builder, "select", made.__getitem__)

    def connect() -> object:
        if not engine:
            raise EngineUnavailable("none")
        return object()

    def request(_builder: object) -> BuildRequest:
        outputs = (Archive(Path("x.tar")),) if archive else (EngineLoad(),)
        plan = ImagePlan(base="python", python="3.11", system_packages=("git",) if apt else ())
        return BuildRequest(Path(), (ImageRef.parse("x"),), plan, outputs=outputs)

    auto = AutoBuilder(open_engine=connect)
    auto.suit(request)
    said = auto.resolve_base(BaseRequest("python"), CancelToken())
    return auto.name, [step.title for step in said]  # type: ignore[union-attr]


def test_an_engine_that_can_is_taken_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, engine=True) == ("docker", [])
    assert chosen(monkeypatch, engine=True, apt=True) == ("docker", [])


def test_without_an_engine_the_builder_that_needs_none_is_taken_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, engine=False) == ("oci", ["builder: oci, as no engine answers"])


def test_what_the_first_choice_cannot_build_goes_to_one_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, engine=True, archive=True) == ("oci", ["builder: oci, as docker cannot build archive"])
    assert chosen(monkeypatch, engine=False, apt=True)[0] == "buildah"
    assert chosen(monkeypatch, engine=False, apt=True, there="podman buildah")[0] == "podman"
    assert chosen(monkeypatch, engine=True, apt=True, archive=True)[0] == "buildah"


def test_where_nobody_can_the_first_choice_stays_and_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, engine=False, apt=True, there="")[0] == "oci"
    assert chosen(monkeypatch, engine=True, apt=True, archive=True, there="podman")[0] == "docker"


def test_an_engine_that_refuses_this_user_is_no_reason_to_take_another() -> None:
    def connect() -> object:
        raise EnginePermission("not you")

    with pytest.raises(EnginePermission):
        AutoBuilder(open_engine=connect).suit(lambda _builder: BuildRequest(Path(), ()))
