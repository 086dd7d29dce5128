"""The pane in a real JupyterLab, before a real engine: what it says, where it stands, and what it leaves behind."""

from __future__ import annotations

import html
import json
import re
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from nbconvert import HTMLExporter

from tests.e2e.conftest import Lab
from tests.e2e.lab import NARROW, run_cell, save, start_cell, wait_cell, wait_idle
from tests.engines.registry import Registry

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
Shots = Callable[[str], str]
HOSTILE = (
    '<script>fired.push("script")</script><img src=x onerror=fired.push("img")>'
    "\\033]8;;http://evil\\007link\\033]8;;\\007\\033[31mred\\033[0m\\033]0;title\\007\\342\\200\\256flip\\000\\033[2J"
)
_GEOMETRY = """pane => {
    const box = pane.getBoundingClientRect(), bad = [];
    const seen = node => node.getClientRects().length && getComputedStyle(node).visibility !== 'hidden';
    const inside = node => {
        const r = node.getBoundingClientRect();
        if (r.left < box.left - 1 || r.right > box.right + 1) bad.push('outside: ' + node.outerHTML.slice(0, 80));
    };
    const all = [...pane.querySelectorAll('*')].filter(seen);
    all.filter(node => !node.closest('.bar') || node.matches('.bar')).forEach(inside);
    for (const group of [...pane.querySelectorAll('.head, .btns, .tools'), pane]) {
        const kids = [...group.children].filter(seen).map(node => [node, node.getBoundingClientRect()]);
        for (const [i, [a, p]] of kids.entries()) for (const [b, q] of kids.slice(i + 1)) {
            const over = Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1
                && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 1;
            if (over) bad.push('overlap: ' + a.className + ' ' + b.className);
        }
    }
    for (const node of pane.querySelectorAll('button, .title, .err, code')) {
        if (seen(node) && node.scrollWidth > node.clientWidth + 2 && node.clientWidth) bad.push('cut: ' + node.textContent);
    }
    if (pane.scrollWidth > pane.clientWidth + 1) bad.push('the pane is too narrow for what it holds');
    return bad;
}"""


def dockerfile(base: str, *lines: str) -> str:
    return "\n".join([f"FROM {base}", *lines])


def pane_of(cell: Any) -> Any:
    return cell.get_by_role("region").first


def check_geometry(pane: Any) -> None:
    assert pane.evaluate(_GEOMETRY) == []


def record_of(lab: Lab, name: str) -> tuple[str, str]:
    """Return the saved notebook as JSON and as nbconvert's HTML, which is made with no network.

    The record in it has no script and takes nothing from elsewhere.
    """
    notebook = nbformat.read(lab.work / name, 4)
    exporter = HTMLExporter(require_js_url="", mathjax_url="", jquery_url="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", _no_network)
        page_html: str = exporter.from_notebook_node(notebook)[0]
    records = [
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "buildr-record" in output.get("data", {}).get("text/html", "")
    ]
    assert records
    for record in records:
        assert _words(record) in _words(page_html)
        record = re.sub(r'<img src="data:image/png;base64,[\w+/=]+">', "", record)  # what a run drew, below it
        assert not re.search(r"<(script|link|iframe|img|style)\b|<[^>]*(\b(src|href|srcset)=|url\()", record)
    assert "widgets" not in notebook.metadata
    return json.dumps(notebook), page_html


def _words(markup: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def _no_network(*address: object) -> None:
    raise OSError("no network here")


def test_success_failure_and_publish(lab: Lab, base_image: str, registry_http: Registry, shots: Shots) -> None:
    token = secrets.token_hex(4)
    image, published = f"{registry_http.host}/pane/{token}:1", f"{registry_http.host}/pane/{token}-push:1"
    layers = [f"RUN head -c 20000000 /dev/urandom > /blob{i}-{token}" for i in range(2)]
    name = lab.write(
        "ends.ipynb",
        [
            f"%%containerize {image} --dockerfile -\n{dockerfile(base_image, f'RUN echo {token}', 'CMD echo from the image')}",
            f"%%containerize bad:1 --dockerfile -\n{dockerfile(base_image, f'RUN echo before {token} && exit 3')}",
            f"%%containerize {published} --publish --dockerfile -\n{dockerfile(base_image, *layers)}",
        ],
    )
    with lab.open(name, height=1400) as page:
        run_cell(page, 0)
        cell = run_cell(page, 1)
        pane = pane_of(cell)
        pane.get_by_text("run it:").wait_for()
        assert pane.get_attribute("aria-label") == f"Build of {image}"
        assert pane.get_by_role("status").inner_text() == "done"
        assert pane.get_by_role("progressbar").get_attribute("aria-valuenow") == "100"
        assert f"docker run --rm {image}" in pane.inner_text()
        assert not pane.get_by_role("log").is_visible()
        assert "0 of 2 steps cached" not in pane.inner_text(), "what was not there is not said"
        assert not cell.locator(".jp-OutputArea-executeResult").count()  # the pane has shown the result
        check_geometry(pane)
        pane.screenshot(path=shots("success"))
        pane.locator("details.body > summary").click()
        pane.get_by_text(f"RUN echo {token}").click()
        assert token in pane.locator("pre:visible").inner_text()
        pane.get_by_role("button", name="Run").click()
        pane.get_by_text("exit code 0").wait_for(timeout=60_000)
        assert "from the image" in pane.get_by_role("log", name="Build log").text_content()
        pane.get_by_role("button", name="Publish").click()
        pane.get_by_text(f"pushed: {image}").wait_for(timeout=60_000)
        assert pane.get_by_role("button", name="Publish").count() == 0

        pane = pane_of(run_cell(page, 2))
        alert = pane.get_by_role("alert")
        alert.wait_for()
        assert "Image build failed" in alert.inner_text()
        assert f"RUN echo before {token}" in alert.inner_text()
        assert f"before {token}" in pane.locator(".s-failed pre").inner_text()
        assert pane.get_by_role("status").inner_text() == "failed"
        check_geometry(pane)
        pane.screenshot(path=shots("failure"))
        assert not pane.get_by_role("log").is_visible(), "its lines stand under the failing step, and once"
        pane.get_by_text("The whole log").click()
        pane.get_by_role("log", name="Build log").get_by_text(f"before {token}").wait_for(timeout=60_000)

        cell = start_cell(page, 3)
        pane = pane_of(cell)
        layers = pane.locator(".moves > summary", has_text="push")
        layers.wait_for(state="attached", timeout=90_000)
        assert re.search(r"push: \d+ of \d+ layers", layers.text_content())
        wait_cell(page, cell)
        pane.get_by_text(f"pushed: {published}").wait_for()
        check_geometry(pane)
        pane.screenshot(path=shots("publish"))
        save(page)
    text, page_html = record_of(lab, name)
    assert "widget-view" not in text
    for fact in (f"docker run --rm {image}", "Image build failed", f"before {token}", f"{published}"):
        assert fact in page_html


def test_cancel_interrupt_detach_and_reload(lab: Lab, base_image: str, shots: Shots) -> None:
    token = secrets.token_hex(4)

    def slow(name: str, options: str = "", seconds: int = 60) -> str:
        loop = f"RUN for i in $(seq {seconds}0); do echo {name} $i {token}; sleep 0.1; done"
        return f"%%containerize {name}:1 --dockerfile - {options}\n{dockerfile(base_image, loop)}"

    cells = [
        slow("button"),
        slow("stopped"),
        slow("away", "--detach", 6),
        "1 + 1",
        "%containerize --status",
        slow("lost"),
    ]
    name = lab.write("cancel.ipynb", cells)
    with lab.open(name, height=1400) as page:
        run_cell(page, 0)
        cell = start_cell(page, 1)
        pane = pane_of(cell)
        pane.get_by_role("log").get_by_text(f"button 5 {token}").wait_for(timeout=60_000)
        assert pane.get_by_role("status").inner_text() == "building"
        check_geometry(pane)
        pane.screenshot(path=shots("running"))
        pane.get_by_role("button", name="Pause").focus()
        page.keyboard.press("Space")
        assert pane.get_by_role("button", name="Follow").get_attribute("aria-pressed") == "true"
        began = time.monotonic()
        pane.get_by_role("button", name="Cancel").click()
        wait_cell(page, cell, timeout_s=40)
        assert time.monotonic() - began < 10
        assert pane.get_by_role("status").inner_text() == "cancelled"
        assert not pane.get_by_role("button", name="Follow").is_visible()
        assert "Cancelled" in cell.locator(".jp-OutputArea").inner_text()
        check_geometry(pane)
        pane.screenshot(path=shots("cancelled"))

        cell = start_cell(page, 2)
        pane = pane_of(cell)
        pane.get_by_role("log").get_by_text(f"stopped 3 {token}").wait_for(timeout=60_000)
        page.evaluate("window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
        wait_cell(page, cell, timeout_s=40)
        assert pane.get_by_role("status").inner_text() == "cancelled"
        assert "KeyboardInterrupt: the build was cancelled" in cell.locator(".jp-OutputArea").inner_text()
        assert "Traceback" not in cell.locator(".jp-OutputArea").inner_text()
        pane.screenshot(path=shots("interrupted"))

        pane = pane_of(run_cell(page, 3))  # detached: the prompt is back
        run_cell(page, 4)
        assert pane.get_by_role("status").inner_text() in ("building", "starting", "finding the program")
        pane.screenshot(path=shots("detached"))
        cell = run_cell(page, 5)
        assert "cancelled" in cell.locator(".jp-OutputArea").inner_text()
        again = pane_of(cell)
        for theme in ("JupyterLab Dark", "JupyterLab Light"):
            colour = pane.evaluate("node => getComputedStyle(node).backgroundColor")
            page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
            page.wait_for_function(
                "([node, was]) => getComputedStyle(node).backgroundColor !== was", arg=[pane.element_handle(), colour]
            )
            page.screenshot(path=shots(theme))
            check_geometry(pane)
        save(page)
        page.reload()
        wait_idle(page)
        pane = pane_of(page.locator(".jp-Notebook .jp-CodeCell").nth(3))
        pane.wait_for(timeout=60_000)
        pane.get_by_role("status").get_by_text("done").wait_for(timeout=60_000)
        pane.locator("details.body > summary").click()
        log = pane.get_by_role("log", name="Build log")
        log.get_by_text(f"away 60 {token}").wait_for(timeout=60_000)  # a page that came late: the state comes first
        assert log.text_content().splitlines() == [f"away {i} {token}" for i in range(1, 61)]
        again = pane_of(page.locator(".jp-Notebook .jp-CodeCell").nth(5))
        assert again.get_by_role("status").inner_text() == "done"
        page.set_viewport_size({"width": NARROW, "height": 1400})
        page.wait_for_timeout(500)
        assert pane.bounding_box()["width"] < 400
        check_geometry(pane)
        pane.screenshot(path=shots("narrow"))
        cell = start_cell(page, 6)
        pane_of(cell).get_by_role("log").get_by_text(f"lost 3 {token}").wait_for(timeout=60_000)
        page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        cell.get_by_text("when this was saved").first.wait_for(timeout=60_000)  # the record stands there again
        page.screenshot(path=shots("restarted"))
        save(page)
    _, page_html = record_of(lab, name)
    for fact in ("button:1 · cancelled", "stopped:1 · cancelled", "docker run --rm away:1", "when this was saved"):
        assert fact in page_html


def test_a_failure_without_a_log_has_nothing_to_search(lab: Lab, shots: Shots) -> None:
    name = lab.write("missing.ipynb", ["%%containerize missing\nimport no_such_module_at_all"])
    with lab.open(name) as page:
        run_cell(page, 0)
        pane = pane_of(run_cell(page, 1))
        pane.get_by_text("RequirementError").wait_for()
        for control in ("Search the log", "Pause", "Copy log", "Download"):
            assert not pane.get_by_text(control).is_visible()
        assert not pane.get_by_placeholder("Search the log").is_visible()
        assert not pane.get_by_role("log").is_visible()
        assert pane.bounding_box()["height"] < 140
        pane.screenshot(path=shots("nothing-to-search"))


def test_a_hostile_log_does_nothing(lab: Lab, base_image: str, shots: Shots) -> None:
    lines = dockerfile(
        base_image, f"RUN printf '{HOSTILE}\\n' # {secrets.token_hex(4)}\nRUN printf '{HOSTILE}\\n' && exit 1"
    )
    name = lab.write("hostile.ipynb", [f"%%containerize hostile:1 --dockerfile -\n{lines}"])
    with lab.open(name) as page:
        page.evaluate("window.fired = []")
        title = page.title()
        run_cell(page, 0)
        pane = pane_of(run_cell(page, 1))
        pane.get_by_role("alert").wait_for()
        pane.get_by_text("The whole log").click()
        log = pane.get_by_role("log", name="Build log")
        log.get_by_text("redflip").first.wait_for()
        shown = log.text_content()
        assert '<script>fired.push("script")</script><img src=x onerror=fired.push("img")>linkredflip' in shown
        assert not any(char in pane.inner_text() for char in "\x1b\u202e\x00\x07")
        assert pane.locator("img, script, a").count() == 0
        assert page.locator(".jp-OutputArea-output img, .jp-OutputArea-output script").count() == 0
        assert page.title().lstrip("*● ") == title.lstrip("*● ")
        assert page.evaluate("window.fired") == []
        pane.screenshot(path=shots("hostile"))
        save(page)
        page.evaluate(
            "text => { const d = document.createElement('div'); d.innerHTML = text; document.body.append(d); }", shown
        )
        page.wait_for_function("window.fired.includes('img')")  # the same text as markup does fire
    _, page_html = record_of(lab, name)
    assert "onerror=fired.push" not in page_html.replace("&lt;img src=x onerror=fired.push", "")


def test_a_flood_is_folded_and_downloaded_whole(lab: Lab, base_image: str, shots: Shots) -> None:
    word = "x" * 41 + secrets.token_hex(4)
    program = f'awk "BEGIN {{ for (i = 0; i < 100000; i++) printf \\"%010d {word}\\\\n\\", i }}"'
    name = lab.write(
        "flood.ipynb",
        [f"%%containerize flood:1 --builder docker=classic --dockerfile -\n{dockerfile(base_image, f'RUN {program}')}"],
    )
    with lab.open(name) as page:
        run_cell(page, 0)
        pane = pane_of(run_cell(page, 1))
        pane.get_by_text("run it:").wait_for()
        pane.locator("details.body > summary").click()
        pane.get_by_text("80,000 lines above are folded").wait_for(timeout=60_000)
        page.wait_for_function(
            "node => node.textContent.split('\\n').length === 20001",
            arg=pane.get_by_role("log", name="Build log").element_handle(),
        )
        shown = pane.get_by_role("log", name="Build log").text_content().splitlines()
        assert (shown[0], shown[-1]) == (f"{80_000:010d} {word}", f"{99_999:010d} {word}")
        pane.get_by_role("searchbox").fill("0000099998")
        found = pane.get_by_role("log", name="Lines found").inner_text()
        assert found.startswith("1 line\n")
        with page.expect_download() as download:
            pane.get_by_role("button", name="Download").click()
        path = download.value.path()
        assert path.read_bytes() == b"".join(b"%010d %s\n" % (i, word.encode()) for i in range(100_000))
        check_geometry(pane)
        pane.screenshot(path=shots("flood"))
        save(page)
    _, page_html = record_of(lab, name)
    assert "docker run --rm flood:1" in page_html


def test_opened_again_the_next_day_the_record_is_there_once(lab: Lab, base_image: str, shots: Shots) -> None:
    program = f"import base64, os\nprint('drawn in the container')\nwith open(os.environ.get('BUILDR_OUTPUT_DIR', '.') + '/dot.png', 'wb') as f:\n    f.write(base64.b64decode('{DOT}'))"
    cells = [f"%%containerize later:1 --run\n{program}", f"%%containerize away:2 --run --detach\n{program}"]
    name = lab.write("later.ipynb", cells)
    with lab.open(name) as page:
        run_cell(page, 0)
        for index in (1, 2):
            cell = run_cell(page, index)
            pane_of(cell).get_by_text("exit code 0").wait_for(timeout=60_000)
            said = cell.get_by_text("drawn in the container", exact=True).locator("visible=true")
            said.first.wait_for(timeout=60_000)  # under the cell, or in the log of a pane that no cell waits for
            cell.locator("img").wait_for(timeout=60_000)
            assert cell.locator("img").evaluate("node => node.naturalWidth") == 1
        save(page)
        page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        page.wait_for_timeout(500)
    text, page_html = record_of(lab, name)
    assert "widget-view" not in text
    assert page_html.count("docker run --rm later:1") == 1
    with lab.open(name) as page:
        output = page.locator(".jp-Notebook .jp-CodeCell").nth(1).locator(".jp-OutputArea")
        shown = output.inner_text()
        assert shown.count("docker run --rm later:1") == 1
        assert "later:1 · sha256:" in shown
        assert "model not found" not in shown
        assert "Loading widget" not in shown
        assert page.get_by_role("region", name="Build of later:1").count() == 0
        page.screenshot(path=shots("reopened"))


@pytest.mark.parametrize("width", [1100])
def test_the_quickstart(lab: Lab, width: int, shots: Shots) -> None:
    with lab.open("01-quickstart.ipynb", width=width) as page:
        for index in range(4):
            cell = run_cell(page, index)
        pane = pane_of(cell)
        pane.get_by_text("exit code 0").wait_for()
        assert "quickstart:latest" in pane.inner_text()
        output = cell.locator(".jp-OutputArea").inner_text()
        assert "best month: 2026-03" in output
        went = pane.locator("details.went")
        assert re.match(r"What went in: \d+ names; \d+ packages?; \d+ files, ", went.locator("summary").inner_text())
        went.locator("summary").click()
        assert "pandas==" in went.inner_text()
        assert "sales.py" in went.inner_text()
        pane.screenshot(path=shots("went-in"))
        assert "Traceback" not in output
        page.screenshot(path=shots("quickstart"))
