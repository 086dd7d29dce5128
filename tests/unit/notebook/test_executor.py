"""The notebook that a command executes, by the command and by the real papermill's and nbconvert's way of starting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from buildr_jupyter.notebook.executor import _named, executed_notebook


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/python /opt/bin/papermill work/in.ipynb out/in-1.ipynb -p n 4", "in.ipynb"),
        ("/usr/bin/python /opt/bin/jupyter-nbconvert --to html --execute a.ipynb", "a.ipynb"),
        ("python -m nbconvert --execute a.ipynb", "a.ipynb"),
        ("python -m jupyter nbconvert --execute a.ipynb --output b", "a.ipynb"),
        ("python /opt/bin/jupyter execute a.ipynb", "a.ipynb"),
        ("python /opt/bin/jupyter-nbconvert --execute a.ipynb b.ipynb", None),
        ("python /opt/bin/papermill - -", None),
        ("python /opt/bin/jupyter-lab a.ipynb", None),
        ("python train.py papermill a.ipynb", None),
        ("", None),
    ],
)
def test_a_command_names_its_notebook(command: str, name: str | None) -> None:
    assert _named(command.split()) == name


def test_what_papermill_tells_the_notebook_is_taken() -> None:
    assert executed_notebook({"PAPERMILL_INPUT_PATH": "s3://bucket/a/in.ipynb"}, {}) == "in.ipynb"
    assert executed_notebook({"PAPERMILL_INPUT_PATH": 3}, {}) is None


def test_another_parent_names_nothing() -> None:
    for parent in ("", "x", "-1", "99999999", str(os.getpid())):
        assert executed_notebook({}, {"JPY_PARENT_PID": parent}) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_a_kernel_of_nbconvert_knows_its_notebook(tmp_path: Path) -> None:
    code = (
        "import os\nfrom buildr_jupyter.notebook.executor import executed_notebook\nexecuted_notebook({}, os.environ)"
    )
    notebook = new_notebook(
        cells=[new_code_cell(code)], metadata={"kernelspec": {"name": "python3", "display_name": "P"}}
    )
    nbformat.write(notebook, tmp_path / "My Report.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--stdout", "My Report.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300)
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["outputs"][0]["data"]["text/plain"] == ["'My Report.ipynb'"]
