"""A page that is loaded in mid-build: it shows the present state, is heard while the cell runs, and keeps the end."""

from __future__ import annotations

import contextlib
import secrets
import time
from pathlib import Path
from typing import Any

from docker import APIClient

from tests.e2e.conftest import Lab
from tests.e2e.lab import run_cell, save, start_cell, wait_idle
from tests.e2e.test_pane import Shots, check_geometry, dockerfile, pane_of, record_of
from tests.engines.dockerd import Dockerd


def slow(base: str, name: str, token: str, tenths: int) -> str:
    loop = f"RUN for i in $(seq {tenths}); do echo {name} $i {token}; sleep 0.1; done"
    return f"%%containerize {name}:1 --dockerfile -\n{dockerfile(base, loop)}"


def wait_log(page: Any, pane: Any, first: str) -> None:
    log = pane.get_by_role("log", name="Build log").element_handle()
    page.wait_for_function(
        "([log, first]) => log.textContent.startsWith(first + '\\n')", arg=[log, first], timeout=60_000
    )


def test_a_reload_in_mid_build_shows_the_present_and_then_the_end(lab: Lab, base_image: str, shots: Shots) -> None:
    token = secrets.token_hex(4)
    name = lab.write("reload.ipynb", [slow(base_image, "reload", token, 300)])
    with lab.open(name, height=1000) as page:
        run_cell(page, 0)
        cell = start_cell(page, 1)
        pane_of(cell).get_by_role("log").get_by_text(f"reload 20 {token}").wait_for(timeout=60_000)
        save(page)
        page.reload()
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(1)
        pane = pane_of(cell)
        pane.wait_for(timeout=25_000)
        assert pane.get_by_role("status").inner_text() == "building"
        assert pane.get_by_role("button", name="Cancel").is_visible()
        log = pane.get_by_role("log", name="Build log")
        wait_log(page, pane, f"reload 1 {token}")  # what it missed was asked for, and came
        check_geometry(pane)
        page.screenshot(path=shots("reload"))
        pane.get_by_role("status").get_by_text("done").wait_for(timeout=40_000)
        for _ in range(20):  # the record that comes at the end may fold them once more
            if log.is_visible():
                break
            pane.locator("details.body > summary").click()
            page.wait_for_timeout(500)
        assert log.text_content().splitlines() == [f"reload {i} {token}" for i in range(1, 301)]
        assert cell.get_by_role("region").count() == 1
        wait_idle(page)
        page.wait_for_timeout(1000)
        save(page)
    text, page_html = record_of(lab, name)
    assert "when this was saved" not in text
    assert page_html.count("docker run --rm reload:1") == 1


def test_a_browser_that_was_closed_and_comes_back_in_mid_build(lab: Lab, base_image: str, shots: Shots) -> None:
    token = secrets.token_hex(4)
    name = lab.write("back.ipynb", [slow(base_image, "back", token, 1200)])
    with lab.open(name) as page:
        run_cell(page, 0)
        save(page)
        cell = start_cell(page, 1)
        pane_of(cell).get_by_role("log").get_by_text(f"back 3 {token}").wait_for(timeout=60_000)
    with lab.open(name, idle=False) as page:  # its output was never saved
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(1)
        pane = pane_of(cell)
        pane.wait_for(timeout=25_000)
        wait_log(page, pane, f"back 1 {token}")
        assert pane.get_by_role("status").inner_text() == "building"
        page.screenshot(path=shots("back"))
        pane.get_by_role("button", name="Cancel").click()
        pane.get_by_role("status").get_by_text("cancelled").wait_for(timeout=60_000)
        wait_idle(page)
        page.wait_for_timeout(1000)
        save(page)
    text, page_html = record_of(lab, name)
    assert "back:1 · cancelled" in page_html
    assert "when this was saved" not in text


def test_a_detached_run_that_ends_while_the_browser_is_closed(
    lab: Lab, docker_engine: Dockerd, base_image: str, tmp_path: Path, shots: Shots
) -> None:
    """What it printed is in the pane, in --status and in the saved notebook; Run adds to it."""
    gate = tmp_path / "gate"
    gate.mkdir(mode=0o755)
    waits = "import os, time\nprint('epoch 0')\nwhile not os.path.exists('/gate/go'): time.sleep(0.1)\nprint('epoch 1')"
    cells = [f"%%containerize train:1 --run --detach --mount {gate}:/gate:ro\n{waits}", "%containerize --status"]
    name = lab.write("train.ipynb", cells)
    with lab.open(name) as page:
        run_cell(page, 0)
        pane = pane_of(run_cell(page, 1))
        pane.get_by_role("log").get_by_text("epoch 0").wait_for(timeout=120_000)
        save(page)
    (gate / "go").touch()
    deadline = time.monotonic() + 120
    with contextlib.closing(APIClient(docker_engine.host, version="auto")) as client:
        while client.containers(all=True, filters={"name": "buildr-train"}) and time.monotonic() < deadline:
            time.sleep(0.1)
    with lab.open(name) as page:
        pane = pane_of(page.locator(".jp-Notebook .jp-CodeCell").nth(1))
        pane.get_by_text("exit code 0").wait_for(timeout=60_000)
        log = pane.get_by_role("log", name="Build log")
        log.get_by_text("epoch 1").wait_for(timeout=60_000)
        page.screenshot(path=shots("detached-ended"))
        steps = pane.get_by_role("list", name="Steps").get_by_role("listitem").count()
        pane.get_by_role("button", name="Run").click()
        page.wait_for_function(
            "log => log.textContent.split('epoch 1').length === 3", arg=log.element_handle(), timeout=60_000
        )
        pane.get_by_role("status").get_by_text("done").wait_for(timeout=60_000)
        assert pane.get_by_role("list", name="Steps").get_by_role("listitem").count() == steps
        status = run_cell(page, 2)
        assert "train:1  done" in status.locator(".jp-OutputArea").first.inner_text()
        save(page)
    text, page_html = record_of(lab, name)
    assert page_html.count("epoch 0\nepoch 1\nepoch 0\nepoch 1") >= 1
    assert "when this was saved" not in text
