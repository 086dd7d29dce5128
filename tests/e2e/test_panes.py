"""Panes beside each other, in the dark, by the keyboard; and records that no page was there to see."""

from __future__ import annotations

import secrets
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.e2e.conftest import Lab
from tests.e2e.lab import run_cell, save
from tests.e2e.test_pane import Shots, check_geometry, dockerfile, pane_of, record_of

_CONTRASTS = """pane => {
    const luminance = colour => {
        const scale = colour.startsWith('color(') ? 255 : 1, parts = colour.match(/[\\d.]+/g).map(v => v * scale);
        const [r, g, b] = parts.slice(0, 3).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = node => {
        for (let at = node; at; at = at.parentElement) {
            const parts = getComputedStyle(at).backgroundColor.match(/[\\d.]+/g).map(Number);
            if (parts.length === 3 || parts[3] > 0.9) return getComputedStyle(at).backgroundColor;
        }
        return getComputedStyle(pane).backgroundColor;
    };
    const low = [];
    for (const node of pane.querySelectorAll('.title, [role=status], .time, .t, .d, button, .log, .log span, code, .warn')) {
        if (!node.checkVisibility()) continue;
        const [a, b] = [luminance(getComputedStyle(node).color), luminance(behind(node))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) low.push(`${node.className || node.tagName}: ${ratio.toFixed(2)} ${node.textContent.slice(0, 30)}`);
    }
    return low;
}"""
_FOCUSED = """() => {
    let node = document.activeElement;
    while (node && node.shadowRoot && node.shadowRoot.activeElement) node = node.shadowRoot.activeElement;
    return node ? (node.ariaLabel || node.textContent || node.tagName).trim().slice(0, 40) : "";
}"""


def slow(base: str, name: str, token: str) -> str:
    loop = f"RUN for i in $(seq 150); do echo {name} $i {token}; sleep 0.1; done"
    return f"%%containerize {name}:1 --detach --dockerfile -\n{dockerfile(base, loop)}"


def test_two_builds_at_once_in_the_dark_and_one_pane_twice(lab: Lab, base_image: str, shots: Shots) -> None:
    token = secrets.token_hex(4)
    names = ("one", "two")
    name = lab.write("two.ipynb", [*(slow(base_image, each, token) for each in names), "%containerize --status"])
    with lab.open(name, height=1900) as page:
        run_cell(page, 0)
        panes = [pane_of(run_cell(page, index)) for index in (1, 2)]
        again = pane_of(run_cell(page, 3))
        for pane, each in zip(panes, names, strict=True):
            pane.get_by_role("log").get_by_text(f"{each} 5 {token}").wait_for(timeout=60_000)
            assert pane.get_by_role("status").inner_text() == "building"
        assert page.get_by_role("region", name="Build of two:1").count() == 2
        assert again.get_by_role("status").inner_text() == "building"
        for theme in ("JupyterLab Dark", "JupyterLab Light"):
            was = panes[0].evaluate("node => getComputedStyle(node).backgroundColor")
            page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
            page.wait_for_function(
                "([node, was]) => getComputedStyle(node).backgroundColor !== was", arg=[panes[0].element_handle(), was]
            )
            page.wait_for_timeout(300)
            page.screenshot(path=shots(f"two-{theme[11:].lower()}"))
            for pane in (*panes, again):
                assert pane.get_by_role("status").inner_text() == "building"
                assert pane.evaluate(_CONTRASTS) == []
                check_geometry(pane)
        for pane, each in zip((*panes, again), (*names, "two"), strict=True):
            pane.get_by_role("status").get_by_text("done").wait_for(timeout=60_000)
            pane.locator("details.body > summary").click()
            log = pane.get_by_role("log", name="Build log")
            assert log.text_content().splitlines() == [f"{each} {i} {token}" for i in range(1, 151)]
        page.wait_for_timeout(800)
        save(page)
    _, page_html = record_of(lab, name)
    assert [page_html.count(f"docker run --rm {each}:1") for each in names] == [1, 2]


def test_by_keyboard_and_with_a_screen_reader(lab: Lab, base_image: str, shots: Shots) -> None:
    token = secrets.token_hex(4)
    colours = "'" + "".join(f"\\033[{code}mcolour {code}\\033[0m\\n" for code in range(31, 38)) + "'"
    name = lab.write(
        "keys.ipynb",
        [
            f"%%containerize keys:1 --dockerfile -\n{dockerfile(base_image, f'RUN echo {token}')}",
            f"%%containerize bad:1 --dockerfile -\n{dockerfile(base_image, f'RUN printf {colours} {token} && exit 3')}",
        ],
    )
    with lab.open(name, height=1300) as page:
        run_cell(page, 0)
        pane = pane_of(run_cell(page, 1))
        pane.get_by_text("run it:").wait_for()
        assert pane.get_by_role("status").get_attribute("aria-live") == "polite"
        order = []
        pane.get_by_role("button", name="Run", exact=True).focus()
        for _ in range(5):
            order.append(page.evaluate(_FOCUSED))
            page.keyboard.press("Tab")
        assert order[:3] == ["Run", "Copy reference", "Copy command"]
        assert order[3].startswith("What went in: ")
        assert order[4].endswith(" steps and the log")
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Enter")  # the steps and the log open
        pane.get_by_role("list", name="Steps").wait_for()
        log = pane.get_by_role("log", name="Build log")
        log.wait_for()
        assert log.get_attribute("aria-live") == "off"
        pane.get_by_role("searchbox", name="Search the log").focus()
        order = []
        for _ in range(4):
            order.append(page.evaluate(_FOCUSED))
            page.keyboard.press("Tab")
        assert order == ["Search the log", "Copy log", "Download", "Build log"], "nothing comes: there is no Pause"
        pane.get_by_text(f"RUN echo {token}").locator("xpath=ancestor::summary").focus()
        page.keyboard.press("Enter")
        assert token in pane.locator("pre:visible").inner_text()
        pane.screenshot(path=shots("keyboard"))
        bar = pane.get_by_role("progressbar", name="Progress of the whole")
        assert [bar.get_attribute(f"aria-value{name}") for name in ("min", "max", "now", "text")] == [
            "0", "100", "100", "100 percent",
        ]  # fmt: skip
        pane = pane_of(run_cell(page, 2))
        pane.get_by_role("alert").wait_for()
        assert pane.get_attribute("aria-label") == "Build of bad:1"
        assert pane.locator(".log span").all_text_contents() == [f"colour {code}" for code in range(31, 38)]
        assert pane.evaluate(_CONTRASTS) == []
        page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
        page.wait_for_timeout(1500)
        assert pane.evaluate(_CONTRASTS) == []
        page.screenshot(path=shots("failure-dark"))
        page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
        page.wait_for_timeout(500)
        save(page)
    _, page_html = record_of(lab, name)
    assert "docker run --rm keys:1" in page_html
    assert "Image build failed" in page_html


def test_a_notebook_that_nbclient_ran_reads_well_in_a_page(
    lab: Lab, base_image: str, docker_engine: Any, shots: Shots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    body = dockerfile(base_image, f"RUN echo {secrets.token_hex(4)}")
    name = lab.write(
        "client.ipynb",
        [
            f"%%containerize plain:1 --dockerfile -\n{body}",
            f"%%containerize forced:1 --ui widget --dockerfile -\n{body}",
        ],
    )
    notebook = nbformat.read(lab.work / name, 4)
    came: list[str] = []
    client = NotebookClient(
        notebook, timeout=120, on_cell_executed=lambda **said: came.append(str(said["cell"].outputs))
    )
    client.execute()
    assert "buildr: plain:1\\n" in came[1]
    assert notebook.cells[1].outputs[0].output_type == "stream"
    assert "docker run --rm plain:1" in str(notebook.cells[1].outputs[-1].data["text/plain"])
    assert set(notebook.cells[2].outputs[0].data) == {"text/plain", "text/html"}
    nbformat.write(notebook, lab.work / name)
    with lab.open(name) as page:
        page.wait_for_timeout(3000)  # what the notebook holds of a widget is loaded by now
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(2)
        assert cell.get_by_role("region").count() == 0
        shown = page.locator(".jp-Notebook").inner_text()
        assert shown.count("docker run --rm forced:1") == shown.count("docker run --rm plain:1") == 1
        assert not any(bad in shown for bad in ("model not found", "Loading widget", "starting"))
        page.screenshot(path=shots("client"))
