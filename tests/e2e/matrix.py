"""``make matrix``: the pane in the last releases of ipykernel, JupyterLab 4 and Notebook 7, in throw-away environments.

For each pair a fresh environment is made with uv, and the scenarios that hang on what these two do are run in it:
success, cancel by the button while the cell runs, interrupt, a reload in mid-build, the record the next day; and
papermill, which executes without a page. A table is printed; the exit status is 1 where a scenario failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
IPYKERNEL = ("7.4.0", "7.3.0", "7.2.0")
"""The newest and the two releases before."""
JUPYTERLAB = ("4.6.6", "4.5.11", "4.4.10")
"""The newest of each of the last three lines of JupyterLab 4."""
NOTEBOOK = "7.6.5"
"""The newest; it brings the JupyterLab that it is made from."""
SCENARIOS = {
    "success": "test_pane.py::test_success_failure_and_publish",
    "cancel": "test_pane.py::test_cancel_interrupt_detach_and_reload",
    "reload": "test_reload.py::test_a_reload_in_mid_build_shows_the_present_and_then_the_end",
    "back": "test_reload.py::test_a_browser_that_was_closed_and_comes_back_in_mid_build",
    "next day": "test_pane.py::test_opened_again_the_next_day_the_record_is_there_once",
    "nbclient": "test_panes.py::test_a_notebook_that_nbclient_ran_reads_well_in_a_page",
}
_PAPERMILL = """
import sys, nbformat, papermill
from nbformat.v4 import new_code_cell, new_notebook
cells = ["%load_ext buildr_jupyter", "%%containerize mill:1 --builder oci --base kernel\\nprint('milled')"]
notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
nbformat.write(notebook, "in.ipynb")
done = papermill.execute_notebook("in.ipynb", "out.ipynb", kernel_name="python3", progress_bar=False)
outputs = done.cells[1].outputs
assert outputs[0].output_type == "stream" and "buildr: mill:1" in outputs[0].text, outputs
assert "docker run --rm mill:1" in outputs[-1].data["text/plain"], outputs
assert "widgets" not in done.metadata
"""


@dataclass(frozen=True)
class Pair:
    """One environment: versions of ipykernel, and of JupyterLab or Notebook."""

    ipykernel: str
    version: str
    app: str = "jupyterlab"

    @property
    def name(self) -> str:
        return f"ipykernel {self.ipykernel}, {'Notebook' if self.app == 'notebook' else 'JupyterLab'} {self.version}"


def pairs() -> list[Pair]:
    """Return each ipykernel with the newest JupyterLab, and each other page with the newest ipykernel."""
    kernels = [Pair(version, JUPYTERLAB[0]) for version in IPYKERNEL]
    labs = [Pair(IPYKERNEL[0], version) for version in JUPYTERLAB[1:]]
    return [*kernels, *labs, Pair(IPYKERNEL[0], NOTEBOOK, "notebook")]


def make(pair: Pair, folder: Path) -> Path:
    """Make the environment and return its Python."""
    uv = Path(sys.executable).with_name("uv")
    python = folder / "bin" / "python"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
    wanted = [f"ipykernel=={pair.ipykernel}", f"{pair.app}=={pair.version}", "papermill"]
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--python", python, "-e", ROOT, "--group", "test", *wanted],
        check=True,
        cwd=ROOT,
    )
    return python


def run(pair: Pair, python: Path, scratch: Path, chosen: list[str]) -> dict[str, str]:
    """Run the scenarios; return what became of each."""
    report = scratch / "report.xml"
    tests = [f"tests/e2e/{SCENARIOS[name]}" for name in chosen if name in SCENARIOS]
    command = [python, "-m", "pytest", "-q", *tests, f"--junitxml={report}", f"--basetemp={scratch / 'tests'}"]
    env = {**os.environ, "BUILDR_REQUIRE_ENGINES": "all", "BUILDR_E2E_APP": pair.app}
    with (scratch / "log").open("wb") as log:
        if tests:
            subprocess.run(command, cwd=ROOT, env=env, stdout=log, stderr=log, check=False)
        came: dict[str, str] = {}
        if report.exists():
            for case in ET.parse(report).iter("testcase"):
                bad = next((kind for kind in ("failure", "error", "skipped") if case.find(kind) is not None), "ok")
                came[str(case.get("name"))] = bad
        found = {
            name: came.get(test.partition("::")[2], "not run") for name, test in SCENARIOS.items() if name in chosen
        }
        if "papermill" in chosen:
            env = {
                **env,
                "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
                "BUILDR_STORE": str(scratch / "store"),
            }
            env.pop("JPY_SESSION_NAME", None)
            milled = subprocess.run(
                [python, "-c", _PAPERMILL], cwd=scratch, env=env, stdout=log, stderr=log, timeout=300, check=False
            )
            found["papermill"] = "failure" if milled.returncode else "ok"
    return found


def main() -> int:
    """Run the pairs one after another and print a row for each."""
    everything = [*SCENARIOS, "papermill"]
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.matrix", description=__doc__)
    parser.add_argument("--ipykernel", help="only pairs with this release")
    parser.add_argument("--jupyterlab", help="only pairs with this release")
    parser.add_argument("--notebook", help="only pairs with this release")
    parser.add_argument("--scenario", action="append", choices=everything, help="only this one; may be repeated")
    options = parser.parse_args()
    chosen = options.scenario or everything
    print(f"{'':<40}{''.join(f'{name:<11}' for name in chosen)}", flush=True)
    broken = 0
    for pair in pairs():
        page = {"jupyterlab": options.jupyterlab, "notebook": options.notebook}
        if options.ipykernel not in (None, pair.ipykernel) or (any(page.values()) and page[pair.app] != pair.version):
            continue
        with tempfile.TemporaryDirectory(prefix="buildr-matrix-") as name:
            scratch = Path(name)
            found = run(pair, make(pair, scratch / "venv"), scratch, chosen)
            print(f"{pair.name:<40}{''.join(f'{found[each]:<11}' for each in chosen)}", flush=True)
            if any(state != "ok" for state in found.values()):
                broken += 1
                print((scratch / "log").read_text(errors="replace")[-6000:], file=sys.stderr)
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
