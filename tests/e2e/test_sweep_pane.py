"""The table of a sweep in a real JupyterLab: it fills, sorts, a failure opens, the saved notebook has it; Cancel stops the rest."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import docker

from buildr_jupyter.runner.sweep import KEY_LABEL
from tests.e2e.conftest import Lab
from tests.e2e.lab import run_cell, save, start_cell, wait_cell
from tests.e2e.test_pane import check_geometry, pane_of, record_of
from tests.engines.dockerd import Dockerd

Shots = Callable[[str], str]


def test_the_table_fills_sorts_and_stays(lab: Lab, docker_engine: Dockerd, base_image: str, shots: Shots) -> None:
    body = "import time\ntime.sleep(1)\nif n == 2: raise SystemExit('<b>broken</b>')\nscore = 10 - n"
    cell = f"%%containerize grid:1 --base {base_image} --map n=1..4 --return score --jobs 1\n{body}"
    slow = cell.replace("n=1..4", "n=11..60")
    name = lab.write("sweep.ipynb", ["n = 1", cell, slow])
    with lab.open(name, height=1200) as page:
        for number in (0, 1):
            run_cell(page, number)
        running = start_cell(page, 2)
        pane = pane_of(running)
        rows = pane.locator(".runs tbody tr")
        rows.nth(3).wait_for(timeout=120_000)
        pane.get_by_text(re.compile(r"[12] of 4 runs ended")).wait_for(timeout=60_000)
        page.screenshot(path=shots("sweep-runs"))
        wait_cell(page, running)
        assert [row.split("\t")[0] for row in rows.all_inner_texts()] == ["1", "2", "3", "4"]
        assert pane.locator(".runs .dim").inner_text() == "4 runs: 3 done, 1 failed"
        score = pane.get_by_role("button", name="score", exact=True)
        score.click()
        assert [row.split("\t")[0] for row in rows.all_inner_texts()] == ["4", "3", "1", "2"]
        assert pane.locator("th[aria-sort=ascending]").inner_text().startswith("score")
        failed = pane.locator("tr.r-failed")
        failed.locator("summary").click()
        assert failed.locator("pre").inner_text() == "<b>broken</b>"
        check_geometry(pane)
        page.screenshot(path=shots("sweep-done"))

        running = start_cell(page, 3)
        pane = pane_of(running)
        pane.get_by_text(re.compile(r"[1-9] of 50 runs ended")).wait_for(timeout=60_000)
        pane.get_by_role("button", name="Cancel").click()
        wait_cell(page, running, timeout_s=30)
        summary = pane.locator(".runs .dim").inner_text()
        done, left = (int(count) for count in re.findall(r"(\d+) (?:done|cancelled)", summary))
        assert 1 <= done < 10
        assert done + left == 50
        save(page)
    with contextlib.closing(docker.APIClient(docker_engine.host)) as client:
        assert not client.containers(all=True, filters={"label": KEY_LABEL})
    notebook, exported = record_of(lab, name)
    assert "4 runs: 3 done, 1 failed" in exported
    assert "n=2" in notebook
