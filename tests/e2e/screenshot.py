"""``python -m tests.e2e.screenshot``: the README's picture, from the quickstart in a real JupyterLab."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.e2e.lab import opened, run_cell, running_lab
from tests.engines import Engines

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PICTURE = NOTEBOOKS / "images" / "quickstart.png"


def main() -> int:
    """Make the picture; an engine that answers is used, else one is started."""
    with tempfile.TemporaryDirectory(prefix="buildr-e2e-") as name:
        scratch = Path(name)
        work = scratch / "work"
        work.mkdir()
        for file in ("01-quickstart.ipynb", "sales.py"):
            shutil.copy(NOTEBOOKS / file, work)
        with Engines(scratch / "engines") as engines:
            host = os.environ.get("DOCKER_HOST") or engines.docker().host
            take(work, scratch, host, PICTURE)
    print(PICTURE)
    return 0


def take(work: Path, scratch: Path, docker_host: str, picture: Path) -> str:
    """Run the quickstart in JupyterLab, write the picture, and return the text of the containerize cell's outputs."""
    with (
        running_lab(work, scratch, {"DOCKER_HOST": docker_host}) as address,
        opened(address, "01-quickstart.ipynb", height=1500) as page,
    ):
        for index in range(4):
            cell = run_cell(page, index)
        page.locator(".jp-Notebook .jp-CodeCell").nth(3).locator("text=exit code").first.wait_for(timeout=10_000)
        text: str = cell.locator(".jp-OutputArea").inner_text()
        cell.scroll_into_view_if_needed()
        picture.parent.mkdir(parents=True, exist_ok=True)
        page.locator(".jp-Notebook").screenshot(path=str(picture))
    return text


if __name__ == "__main__":
    sys.exit(main())
