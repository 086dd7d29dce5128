"""One JupyterLab and one browser for all of these tests, with a real engine and a registry behind them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.e2e.lab import opened, running_browser, running_lab
from tests.engines.dockerd import Dockerd

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@dataclass
class Lab:
    """A running JupyterLab with a browser."""

    work: Path
    address: str
    browser: Any

    def write(self, name: str, cells: list[str]) -> str:
        """Write a notebook of code cells; its first one loads the extension."""
        notebook = new_notebook(
            cells=[new_code_cell(source) for source in ["%load_ext buildr_jupyter", *cells]],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, self.work / name)
        return name

    def open(self, name: str, **how: int) -> AbstractContextManager[Any]:
        """Open a notebook in a page of its own."""
        return opened(self.browser, self.address, name, **how)


@pytest.fixture(scope="session")
def lab(docker_engine: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    scratch = tmp_path_factory.mktemp("lab")
    work = scratch / "work"
    work.mkdir()
    for file in ("01-quickstart.ipynb", "sales.py"):
        shutil.copy(NOTEBOOKS / file, work)
    environment = {"DOCKER_HOST": docker_engine.host, "XDG_CACHE_HOME": str(scratch / "cache")}
    with running_lab(work, scratch, environment) as address, running_browser() as browser:
        yield Lab(work, address, browser)


@pytest.fixture(scope="session")
def shots(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Where screenshots go, by name."""
    folder = tmp_path_factory.mktemp("shots")
    return lambda name: str(folder / f"{name}.png")
