from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.builder.docker.unsupported import docker_unsupported
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, ImagePlan
from buildr_jupyter.model.request import Archive, BuildRequest, EngineLoad, Layout, Push

PLAN = ImagePlan("python:3.11-slim", "3.11")
REF = ImageRef.parse("r.example/app:1")
HEREDOC = ImagePlan("", "", dockerfile=CustomDockerfile("FROM x\nRUN <<END\ntrue\nEND\n"))


def never() -> bool:
    raise AssertionError("the engine is not asked")


def of(request: BuildRequest, *, buildkit: bool = False) -> list[tuple[str, tuple[str, ...]]]:
    found = docker_unsupported(request, speaks_buildkit=lambda: buildkit, lacks_heredocs=lambda: None)
    return [(one.what, one.builders) for one in found]


def test_a_plain_build_asks_the_engine_nothing(tmp_path: Path) -> None:
    request = BuildRequest(tmp_path, (REF,), PLAN, outputs=(EngineLoad(), Push(REF)))
    assert docker_unsupported(request, speaks_buildkit=never, lacks_heredocs=lambda: str(never())) == []


@pytest.mark.parametrize(
    ("change", "what", "who"),
    [
        ({"platforms": ("linux/amd64", "linux/arm64")}, "several platforms", ("buildkit", "oci")),
        ({"plan": replace(PLAN, base="kernel")}, "--base kernel", ("oci",)),
        ({"cache_to": ("type=inline",)}, "--cache-to", ("buildkit",)),
        ({"outputs": (Archive(Path("a.tar")),)}, "an archive", ("buildkit", "oci")),
        ({"outputs": (Layout(Path("layout")),)}, "an image layout", ("buildkit", "oci")),
        ({"ssh": (("default", None),)}, "ssh agents", ("buildkit",)),
    ],
)
def test_what_the_engine_cannot_do_says_who_can(
    tmp_path: Path, change: dict[str, object], what: str, who: tuple[str, ...]
) -> None:
    request = replace(BuildRequest(tmp_path, (REF,), PLAN), **change)  # type: ignore[arg-type]
    assert of(request) == [(what, who)]


def test_platforms_of_the_plan_count_too(tmp_path: Path) -> None:
    request = BuildRequest(tmp_path, (REF,), replace(PLAN, platforms=("linux/amd64", "linux/arm64")))
    assert of(request) == [("several platforms", ("buildkit", "oci"))]
    assert of(replace(request, platforms=("linux/amd64",))) == []


def test_here_documents_are_refused_with_what_the_engine_lacks(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM x\nRUN <<END\ntrue\nEND\n")
    request = BuildRequest(tmp_path, (REF,), HEREDOC)
    found = docker_unsupported(request, speaks_buildkit=never, lacks_heredocs=lambda: "it is too old")
    assert [(one.what, one.why) for one in found] == [("here-documents", "it is too old")]
    assert of(request) == []
