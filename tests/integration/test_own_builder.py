"""The builder that the documentation shows as a template: installed by an entry point, chosen by its name, and it builds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docker import APIClient

from buildr_jupyter import builder, cli
from buildr_jupyter.errors import BuildError
from tests.integration.test_docker_pipeline import client, notebook

__all__ = ["client"]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "own-builder.md"
DOCKER = "/usr/bin/docker"
"""Debian's own, which needs no plugin to build."""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The template as a distribution on the path, with Docker's command in the place of nerdctl."""
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "Nerdctl" in code]
    site = tmp_path / "site"
    info = site / "own-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "own_builder.py").write_text(
        block.replace('name = command = "nerdctl"', f'name, command = "nerdctl", "{DOCKER}"')
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[buildr_jupyter.builders]\nnerdctl = own_builder:Nerdctl\n")
    monkeypatch.syspath_prepend(site)


def test_it_is_a_builder_like_the_others(
    installed: None, docker_host: str, client: APIClient, base_image: str, tmp_path: Path
) -> None:
    assert "nerdctl" in builder.names()
    assert isinstance(builder.select("nerdctl"), builder.Builder)
    path = notebook(tmp_path, "%%containerize by-template\nprint(40 + 2)")
    assert cli.main(["build", str(path), "--builder", "nerdctl", "--base", base_image]) == 0
    container = client.create_container("by-template:latest")["Id"]
    try:
        client.start(container)
        client.wait(container)
        assert client.logs(container) == b"42\n"
    finally:
        client.remove_container(container, force=True)


def test_its_failure_is_an_error_of_the_tree(installed: None, docker_host: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM nothing-like-it:1\n")
    with pytest.raises(BuildError, match=r"Image build failed: .* ended with status 1"):
        builder.select("nerdctl").build("x:1", str(tmp_path))
