"""The documents' code blocks: each runs as it stands, against a registry of the tests in the place of ghcr.io.

A block of ``python`` is a cell, a script where it uses the decorator, or the builder that ``test_own_builder`` tries; one of ``console`` holds commands after ``$`` and
lines that they must print. What cannot run here is a block of ``text``, ``toml``, ``yaml`` or without a language.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.engines.registry import Registry
from tests.integration.kernels import client_in, run_cell

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts),
]
LANGUAGES = {"python", "console", "text", "toml", "yaml", ""}
"""Of a block; a directive has braces."""


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def cells(path: Path) -> list[str]:
    return [block for block in blocks(path, "python") if not re.search(r"^class |^@", block, re.MULTILINE)]


def having(language: str) -> list[Path]:
    return [path for path in DOCUMENTS if (cells(path) if language == "python" else blocks(path, language))]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Builds without an engine, on the interpreter that runs this."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BUILDR_BUILDER": "oci",
        "BUILDR_BASE": "kernel",
        "BUILDR_STORE": str(tmp_path / "store"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """The tutorial's own cells, saved as ``nb.ipynb`` in a folder of their own; returns the folder."""
    sources = [block for block in cells(ROOT / "docs" / "tutorial.md") if "--" not in block and "_\n" not in block]
    folder = tmp_path / "work"
    folder.mkdir()
    nbformat.write(new_notebook(cells=[new_code_cell(source.rstrip()) for source in sources]), folder / "nb.ipynb")
    return folder


def test_each_block_has_a_language_that_says_what_is_done_with_it() -> None:
    for path in DOCUMENTS:
        fences = re.findall(r"^```([^`\n]*)$", path.read_text("utf-8"), re.MULTILINE)
        assert {fence for fence in fences if not fence.startswith("{")} <= LANGUAGES, path.name
    assert len(having("python")) >= 3
    assert len(having("console")) >= 4


@pytest.mark.parametrize("path", having("console"), ids=lambda path: path.name)
def test_commands_end_well_and_print_what_is_shown(
    path: Path, notebook: Path, environment: dict[str, str], request: pytest.FixtureRequest
) -> None:
    for block in blocks(path, "console"):
        for command, shown in commands(block):
            if "ghcr.io" in command:
                registry: Registry = request.getfixturevalue("registry_http")
                command = command.replace("ghcr.io", registry.host)
            done = subprocess.run(
                ["bash", "-ec", command], cwd=notebook, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            assert shown == [line for line in done.stdout.splitlines() if line in shown], done.stdout


def commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each command of a block with the lines below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        yield command, shown


@pytest.mark.parametrize("path", having("python"), ids=lambda path: path.name)
def test_cells_run_in_a_kernel(path: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    with client_in(tmp_path, environment) as client:
        for cell in cells(path):
            run_cell(client, cell.rstrip())


def test_the_decorator_builds_publishes_and_runs(
    docker_host: str, base_image: str, registry_http: Registry, tmp_path: Path, environment: dict[str, str]
) -> None:
    [block] = [block for block in blocks(ROOT / "README.md", "python") if "@Containerize" in block]
    script = tmp_path / "demo.py"
    script.write_text(block.replace("ghcr.io", registry_http.host))
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        env={**environment, "BUILDR_BUILDER": "docker", "BUILDR_BASE": base_image, "DOCKER_HOST": docker_host},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hello from the image" in done.stdout + done.stderr
