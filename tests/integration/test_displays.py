"""A real kernel that runs an image: objects look as if the cell had run here, and its files come back."""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.engines.dockerd import Dockerd

LOADS = "%load_ext buildr_jupyter"
CLASSES = """
class Table:
    def __repr__(self): return "a table"
    def _repr_html_(self): return "<table><tr><td>a</td></tr></table>"
class Chart:
    def __repr__(self): return "a chart"
    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": "<script>draw()</script>", "image/png": b"png"}
"""
CELL = """%%containerize shows --run
import sys
print("first")
display(Chart())
print("wrong", file=sys.stderr)
for name in ("report.xlsx", "output/report.txt"):
    with open(name, "w") as file: print(name, file=file)
Table()"""


@pytest.fixture
def outputs(
    docker_engine: Dockerd, base_image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[dict[str, Any]]:
    """What stands under the cell that ran the image, streams joined."""
    names = {"DOCKER_HOST": docker_engine.host, "XDG_CACHE_HOME": str(tmp_path / "cache"), "BUILDR_BASE": base_image}
    for name, value in {**names, "IPYTHONDIR": str(tmp_path / "ipython"), "BUILDR_DATA": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    made = nbformat.v4.new_notebook(  # type: ignore[no-untyped-call]
        cells=[nbformat.v4.new_code_cell(text) for text in (LOADS, CLASSES, CELL)]  # type: ignore[no-untyped-call]
    )
    made.metadata.kernelspec = {"name": "python3", "display_name": "", "language": "python"}
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    client = NotebookClient(made, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    found: list[dict[str, Any]] = made.cells[-1].outputs
    return found


def test_a_run_shows_objects_and_brings_files(outputs: list[dict[str, Any]], tmp_path: Path) -> None:
    shown = [one for one in outputs if one["output_type"] == "display_data"]
    chart, table = (one["data"] for one in shown)
    assert chart["text/plain"] == "a chart"
    assert chart["text/html"] == "<script>draw()</script>"
    assert base64.b64decode(chart["image/png"]) == b"png"
    assert shown[0]["metadata"] == {"text/html": {"isolated": True}}
    assert table == {"text/plain": "a table", "text/html": "<table><tr><td>a</td></tr></table>"}
    assert shown[1]["metadata"] == {}
    said = {one["name"]: "" for one in outputs if one["output_type"] == "stream"}
    for one in outputs:
        if one["output_type"] == "stream":
            said[one["name"]] += one["text"]
    assert "first\n" in said["stdout"]
    assert "a table" not in said["stdout"]
    assert "wrong\n" in said["stderr"]
    folder = tmp_path / "output" / "shows" / "1"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "report.xlsx": "report.xlsx\n", "report.txt": "output/report.txt\n",
    }  # fmt: skip
    (result,) = (one for one in outputs if one["output_type"] == "execute_result")
    assert "report.txt (18 bytes), report.xlsx (12 bytes)" in result["data"]["text/plain"]
