"""Export from the live kernel: the same folder as from a file, and no engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from buildr_jupyter import cli
from buildr_jupyter.commands.export import export_folder, iter_lines
from buildr_jupyter.errors import ContextError, ExportError
from buildr_jupyter.process import confine
from tests.unit.pipeline.test_verify import job
from tests.unit.test_magics import run, shell  # noqa: F401 - the fixture

CELLS = ["import math\nunused = 1", "def area(r):\n    return math.pi * r * r", "print(area(2))\narea(3)"]


def files_of(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_is_that_of_a_file(shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    for number, cell in enumerate(book.cells):
        cell.id = f"cell-{number}"
    nbformat.write(book, tmp_path / "nb.ipynb")
    for text in CELLS:
        run(shell, text)
    assert run(shell, f"%%containerize --notebook nb.ipynb --check-time 300 --export out\n{CELLS[-1]}") is None
    said = capsys.readouterr().out
    assert cli.main(["export", "nb.ipynb", "--cell", "2", "--out", "other"]) == 0
    live, file = files_of(tmp_path / "out"), files_of(tmp_path / "other")
    assert (
        live.keys() == file.keys() == {"Dockerfile", ".dockerignore", "buildr.json", "app/main.py", "requirements.txt"}
    )

    def program(text: str) -> str:
        """Return the blocks without what names a cell: in a kernel its place in the file is not known."""
        return re.sub(r"nb\.ipynb, .*, line \d+", "CELL", text.partition("\n# %% ")[2])

    assert "area(3)" in program(live["app/main.py"])
    assert program(live["app/main.py"]) == program(file["app/main.py"])
    assert live["Dockerfile"].splitlines()[1] == file["Dockerfile"].splitlines()[1]
    if confine.missing() is None:
        assert said.splitlines()[-2] == "proof: proven"
    assert said.splitlines()[-1] == f"exported to {tmp_path / 'out'}"


def test_the_record_has_the_proof(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    run(shell, "print(1)")
    capsys.readouterr()
    run(shell, "%%containerize --export out --check-time 300 --ui json\nprint(1)")
    record = json.loads(capsys.readouterr().out)
    assert record["context"].endswith("/out")
    wanted = "proven" if confine.missing() is None else "not proven"
    assert record["proof"]["status"] == wanted
    run(shell, "%%containerize --export out --ui json --no-check\nprint(1)")
    assert json.loads(capsys.readouterr().out)["proof"] is None


def test_check_insists_and_writes_nothing(shell: Any, tmp_path: Path) -> None:  # noqa: F811
    run(shell, "import random")
    run(shell, "print(random.random())")
    with pytest.raises(ExportError, match="--check: the program is not proven"):
        run(shell, "%%containerize --export out --check\nprint(random.random())")
    assert not (tmp_path / "out").exists()
    run(shell, "%%containerize --export out\nprint(random.random())")
    assert (tmp_path / "out" / "app" / "main.py").is_file()


def test_a_folder_that_is_not_ours_is_left(shell: Any, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").touch()
    with pytest.raises(ContextError, match="not empty"):
        run(shell, "%%containerize --export out --no-check\nprint(1)")


def test_lines_for_a_person(tmp_path: Path) -> None:
    made = job(tmp_path, "print(1)", no_check=True)
    done = export_folder(made, tmp_path / "out")
    assert list(iter_lines(made, done)) == [f"exported to {tmp_path / 'out'}"]
