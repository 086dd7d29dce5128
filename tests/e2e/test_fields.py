"""Fields beside the Run button in a real JupyterLab: another value by the same image, and one that is refused."""

from __future__ import annotations

import contextlib
import time
import urllib.request
from collections.abc import Callable

from tests.e2e.conftest import Lab
from tests.e2e.lab import run_cell, start_cell, wait_cell
from tests.e2e.test_pane import check_geometry, pane_of

LONG = "share_of_the_rows_that_are_held_back_for_the_test"
"""A name that is wider than a narrow pane."""
Shots = Callable[[str], str]


def test_another_value_by_the_same_image(lab: Lab, base_image: str, shots: Shots) -> None:
    image = f"%%containerize fields:1 --base {base_image} --param n --param fast --param title --param {LONG}"
    cells = [
        f"n: int = 3  # how many\nfast = False\ntitle = 'a'\n{LONG} = 1.5",
        f"{image}\nprint(title, n * 2, fast, {LONG})",
    ]
    name = lab.write("fields.ipynb", cells)
    with lab.open(name, height=1200) as page:
        for index in (0, 1):
            run_cell(page, index)
        pane = pane_of(run_cell(page, 2))
        pane.get_by_text("run it:").wait_for()
        number = pane.get_by_role("textbox", name="n", exact=True)
        assert (number.get_attribute("placeholder"), number.get_attribute("title")) == ("3", "int: how many")
        number.press_sequentially("21")  # by keys, which a page may want for itself
        pane.get_by_role("combobox", name="fast").select_option("true")
        number.press("Enter")
        pane.get_by_text("exit code 0").wait_for(timeout=60_000)
        log = pane.get_by_role("log", name="Build log")
        log.get_by_text("a 42 True 1.5").wait_for()
        number.fill("many")
        pane.get_by_role("button", name="Run", exact=True).click()
        alert = pane.get_by_role("alert")
        alert.get_by_text("many").wait_for(timeout=60_000)
        assert number.input_value() == "many"  # it stays, to be corrected
        pane.screenshot(path=shots("fields-refused"))
        number.fill("")
        pane.get_by_role("button", name="Run", exact=True).click()
        log.get_by_text("a 6 True 1.5").wait_for(timeout=60_000)
        alert.wait_for(state="hidden")
        check_geometry(pane)
        pane.screenshot(path=shots("fields"))
        page.set_viewport_size({"width": 700, "height": 1200})  # with Lab's side bar, the pane is below 400 px
        page.wait_for_function("pane => pane.getBoundingClientRect().width < 400", arg=pane.element_handle())
        check_geometry(pane)
        within = pane.bounding_box()
        for role, label in (("textbox", "n"), ("textbox", LONG), ("combobox", "fast")):
            field = pane.get_by_role(role, name=label, exact=True)
            place = field.bounding_box()
            assert within["x"] <= place["x"]
            assert place["x"] + place["width"] <= within["x"] + within["width"], label
            assert place["width"] >= 60, "wide enough to read a value in"
        number.fill("5")
        pane.get_by_role("button", name="Run", exact=True).click()
        log.get_by_text("a 10 True 1.5").wait_for(timeout=60_000)
        pane.screenshot(path=shots("fields-narrow"))


def test_an_open_port_is_a_link_that_leads_to_the_program(lab: Lab, base_image: str) -> None:
    served = (
        f"%%containerize served:1 --base {base_image} --run --port 8080\nimport http.server\nanswered = []\n"
        "class Once(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        self.send_response(200)\n"
        "        self.end_headers()\n        self.wfile.write(b'from the cell')\n        answered.append(1)\n"
        "server = http.server.HTTPServer(('', 8080), Once)\n"
        "while not answered:\n    server.handle_request()"  # a question that came too early may have left already
    )
    with lab.open(lab.write("served.ipynb", [served]), height=1200) as page:
        run_cell(page, 0)
        cell = start_cell(page, 1)
        pane = pane_of(cell)
        link = pane.get_by_role("link", name="http://127.0.0.1:").first
        link.wait_for(timeout=60_000)
        assert (link.get_attribute("target"), link.get_attribute("rel")) == ("_blank", "noopener")
        address = link.get_attribute("href")
        assert address
        answer = None
        for _ in range(300):  # the port is open before the program listens
            with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=60) as opened:
                answer = opened.read()
                break
            time.sleep(0.1)
        assert answer == b"from the cell"
        wait_cell(page, cell)
        pane.get_by_text("exit code 0").wait_for()
