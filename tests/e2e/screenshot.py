"""``python -m tests.e2e.screenshot``: the README's pictures, from notebooks in a real JupyterLab before a real engine."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.e2e.lab import opened, run_cell, running_browser, running_lab, start_cell, wait_cell
from tests.engines import Engines

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PICTURES = NOTEBOOKS / "images"


def main() -> int:
    """Make the pictures; an engine that answers is used, else one is started."""
    with tempfile.TemporaryDirectory(prefix="buildr-e2e-") as name:
        scratch = Path(name)
        work = scratch / "work"
        work.mkdir()
        for file in ("01-quickstart.ipynb", "07-pane.ipynb", "sales.py"):
            shutil.copy(NOTEBOOKS / file, work)
        sweep = (NOTEBOOKS / "09-sweep.ipynb").read_text(encoding="utf-8")
        (work / "09-sweep.ipynb").write_text(sweep.replace(" --ui text", ""), encoding="utf-8")
        with Engines(scratch / "engines") as engines:
            host = os.environ.get("DOCKER_HOST") or engines.docker().host
            environment = {"DOCKER_HOST": host, "XDG_CACHE_HOME": str(scratch / "cache")}
            with running_lab(work, scratch, environment) as address, running_browser() as browser:
                PICTURES.mkdir(parents=True, exist_ok=True)
                for picture in take(browser, address, PICTURES):
                    print(picture)
    return 0


def take(browser: Any, address: str, folder: Path) -> list[Path]:
    """Run the notebooks and write the pictures: the quickstart, a build that runs, one that failed, and a sweep."""
    quickstart, running, failed, sweep = (
        folder / f"{name}.png" for name in ("quickstart", "running", "failure", "sweep")
    )
    with opened(browser, address, "01-quickstart.ipynb", height=1040) as page:
        for index in range(4):
            cell = run_cell(page, index)
        cell.get_by_role("region").first.get_by_text("exit code 0").wait_for()
        cell.scroll_into_view_if_needed()
        page.locator(".jp-Notebook").screenshot(path=str(quickstart))
    with opened(browser, address, "07-pane.ipynb", height=1500) as page:
        for index in range(3):  # the extension, a build that runs, one that fails
            cell = start_cell(page, index)
            pane = cell.get_by_role("region").first
            if "slow-steps" in cell.inner_text():
                pane.get_by_role("log").get_by_text("line 12").wait_for(timeout=60_000)
                pane.screenshot(path=str(running))
            wait_cell(page, cell)
            if "fails-early" in cell.inner_text():
                pane.get_by_role("alert").wait_for()
                pane.screenshot(path=str(failed))
                break
    take_sweep(browser, address, sweep)
    return [quickstart, running, failed, sweep]


def take_sweep(browser: Any, address: str, picture: Path) -> None:
    """Run the first sweep of its notebook and write the picture of its pane."""
    with opened(browser, address, "09-sweep.ipynb", height=1300) as page:
        for index in range(3):
            cell = run_cell(page, index)
        pane = cell.get_by_role("region").first
        pane.get_by_text("6 runs: 6 done").wait_for(timeout=120_000)
        pane.screenshot(path=str(picture))


if __name__ == "__main__":
    sys.exit(main())
