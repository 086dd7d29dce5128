"""Fields beside the Run button in a real JupyterLab: another value by the same image, and one that is refused."""

from __future__ import annotations

from collections.abc import Callable

from tests.e2e.conftest import Lab
from tests.e2e.lab import run_cell
from tests.e2e.test_pane import check_geometry, pane_of

Shots = Callable[[str], str]


def test_another_value_by_the_same_image(lab: Lab, base_image: str, shots: Shots) -> None:
    image = f"%%containerize fields:1 --base {base_image} --param n --param fast --param title"
    name = lab.write(
        "fields.ipynb", ["n: int = 3  # how many\nfast = False\ntitle = 'a'", f"{image}\nprint(title, n * 2, fast)"]
    )
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
        log.get_by_text("a 42 True").wait_for()
        number.fill("many")
        pane.get_by_role("button", name="Run", exact=True).click()
        alert = pane.get_by_role("alert")
        alert.get_by_text("many").wait_for(timeout=60_000)
        assert number.input_value() == "many"  # it stays, to be corrected
        pane.screenshot(path=shots("fields-refused"))
        number.fill("")
        pane.get_by_role("button", name="Run", exact=True).click()
        log.get_by_text("a 6 True").wait_for(timeout=60_000)
        alert.wait_for(state="hidden")
        check_geometry(pane)
        pane.screenshot(path=shots("fields"))
