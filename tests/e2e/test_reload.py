"""A page that is loaded in mid-build: it shows the present state, is heard while the cell runs, and keeps the end."""

from __future__ import annotations

import secrets
from typing import Any

from tests.e2e.conftest import Lab
from tests.e2e.lab import run_cell, save, start_cell, wait_idle
from tests.e2e.test_pane import Shots, check_geometry, dockerfile, pane_of, record_of


def slow(base: str, name: str, token: str, tenths: int) -> str:
    loop = f"RUN for i in $(seq {tenths}); do echo {name} $i {token}; sleep 0.1; done"
    return f"%%containerize {name}:1 --dockerfile -\n{dockerfile(base, loop)}"


def wait_log(page: Any, pane: Any, first: str) -> None:
    log = pane.get_by_role("log", name="Build log").element_handle()
    page.wait_for_function(
        "([log, first]) => log.textContent.startsWith(first + '\\n')", arg=[log, first], timeout=15_000
    )


def test_a_reload_in_mid_build_shows_the_present_and_then_the_end(lab: Lab, base_image: str, shots: Shots) -> None:
    token = secrets.token_hex(4)
    name = lab.write("reload.ipynb", [slow(base_image, "reload", token, 300)])
    with lab.open(name, height=1000) as page:
        run_cell(page, 0)
        cell = start_cell(page, 1)
        pane_of(cell).get_by_role("log").get_by_text(f"reload 20 {token}").wait_for(timeout=30_000)
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
        pane_of(cell).get_by_role("log").get_by_text(f"back 3 {token}").wait_for(timeout=30_000)
    with lab.open(name, idle=False) as page:  # its output was never saved
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(1)
        pane = pane_of(cell)
        pane.wait_for(timeout=25_000)
        wait_log(page, pane, f"back 1 {token}")
        assert pane.get_by_role("status").inner_text() == "building"
        page.screenshot(path=shots("back"))
        pane.get_by_role("button", name="Cancel").click()
        pane.get_by_role("status").get_by_text("cancelled").wait_for(timeout=10_000)
        wait_idle(page)
        page.wait_for_timeout(1000)
        save(page)
    text, page_html = record_of(lab, name)
    assert "back:1 · cancelled" in page_html
    assert "when this was saved" not in text
