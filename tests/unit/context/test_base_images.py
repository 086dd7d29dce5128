"""What a request's Dockerfile would pull, and where from."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.context.base_images import (
    base_images,
    base_locations,
    base_names,
    has_heredoc,
    read_dockerfile,
)
from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.plan import CustomDockerfile, ImagePlan
from buildr_jupyter.model.request import BuildRequest

TEXT = """\
ARG BASE=python:3.12
FROM ghcr.io/team/tool AS tool
FROM ${BASE} AS first
COPY --from=tool /x /x
COPY --from=ghcr.io/other/files:1 /y /y
FROM first
"""


def request(folder: Path, text: str = TEXT, **options: object) -> BuildRequest:
    (folder / "Dockerfile").write_text(text)
    return BuildRequest(folder, (), **options)  # type: ignore[arg-type]


def test_images_in_order_each_once_and_no_stage(tmp_path: Path) -> None:
    asked = request(tmp_path)
    assert base_names(asked) == ("ghcr.io/team/tool", "python:3.12", "ghcr.io/other/files:1")
    assert [str(ref) for ref in base_images(asked)] == [
        "ghcr.io/team/tool:latest",
        "python:3.12",
        "ghcr.io/other/files:1",
    ]


def test_arguments_of_plan_and_request_count_the_requests_first(tmp_path: Path) -> None:
    plan = ImagePlan(base="", python="", dockerfile=CustomDockerfile(TEXT, build_args=(("BASE", "alpine:3"),)))
    assert "alpine:3" in base_names(request(tmp_path, plan=plan))
    assert "debian:12" in base_names(request(tmp_path, plan=plan, build_args={"BASE": "debian:12"}))


def test_of_each_registry_the_first_repository_is_asked_for(tmp_path: Path) -> None:
    assert base_locations(request(tmp_path)) == {
        "ghcr.io": "ghcr.io/team/tool",
        "docker.io": "docker.io/library/python",
    }


def test_what_is_no_reference_is_left_out(tmp_path: Path) -> None:
    asked = request(tmp_path, "FROM Not/A/Name\nFROM scratch\n")
    assert base_names(asked) == ("Not/A/Name",)
    assert base_images(asked) == []


@pytest.mark.parametrize(
    ("text", "found"), [("FROM a\nRUN <<EOF\nx\nEOF\n", True), (TEXT, False), ("FROM a\nRUN echo '<<EOF'\n", False)]
)
def test_here_documents(tmp_path: Path, text: str, found: bool) -> None:
    assert has_heredoc(request(tmp_path, text)) is found


def test_a_dockerfile_that_is_not_there(tmp_path: Path) -> None:
    asked = BuildRequest(tmp_path, ())
    assert has_heredoc(asked) is False
    with pytest.raises(ContextError, match="Dockerfile cannot be read: No such file or directory"):
        read_dockerfile(asked)
