"""Project tree: files outside of the notebook's folder keep their place, and the program finds them and its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.config.options import make_options
from buildr_jupyter.context.folder import read_folder, write_folder
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import FileRefused, OptionError
from buildr_jupyter.export.project import find_root
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.notebook.cells import CellRun, transform
from buildr_jupyter.oci.image import _environment
from buildr_jupyter.pipeline.planner import CellSource, assemble


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A notebook's folder in a project with data beside it."""
    project = tmp_path / "home" / "project"
    (project / "notebooks" / "daily").mkdir(parents=True)
    (project / "data").mkdir()
    (project / "data" / "a.csv").write_text("a,b")
    (project / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (project.parent / "beside.csv").write_text("beside")
    return project / "notebooks" / "daily"


def plan(folder: Path, *cells: str, kernel: bool = True, **options: object) -> ImagePlan:
    runs = tuple(CellRun(one, transform(one), index=index) for index, one in enumerate(cells))
    values = {"snap": {"k": [1]}} if kernel else None
    source = CellSource(runs, runs[-1], folder, "nb.ipynb", values)
    return assemble(source, make_options(options, base_folder=folder), Interpreter.current(), {}).plan


def paths(made: ImagePlan) -> list[str]:
    return [entry.path for entry in made.all_files]


def ran(made: ImagePlan, place: Path) -> str:
    """Return what the program prints in a folder of its own."""
    app = write_folder(made, place / "context") / "app"
    done = subprocess.run([sys.executable, "main.py"], cwd=app, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_of_the_project_keeps_its_place_and_all_else_its_own(folder: Path, tmp_path: Path) -> None:
    (folder / "near.py").write_text("import os\nplace = os.path.basename(os.getcwd())\n")
    (folder / "own.txt").write_text("own")
    code = (
        "import os, near\nprint(open('../../data/a.csv').read(), open('own.txt').read(), near.place, snap)\n"
        "os.makedirs('output', exist_ok=True)\nprint(os.path.relpath('output', '../..'))"
    )
    made = plan(folder, code, snapshot=["snap"])
    assert [path for path in paths(made) if not path.startswith("app/_buildr/")] == [
        "app/data/a.csv", "app/main.py", "app/notebooks/daily/near.py", "app/notebooks/daily/own.txt",
        "app/state/snapshot.pickle",
    ]  # fmt: skip
    assert ran(made, tmp_path) == "a,b own daily {'k': [1]}\nnotebooks/daily/output\n"
    assert made.folder == "notebooks/daily"


def test_the_output_folder_of_the_image_is_the_notebooks_own(folder: Path, tmp_path: Path) -> None:
    made = plan(folder, "open('../../data/a.csv').read()")
    context = write_folder(made, tmp_path / "context")
    text = (context / "Dockerfile").read_text()
    assert 'BUILDR_OUTPUT_DIR="/app/notebooks/daily/output"' in text
    assert 'RUN ["install", "-d", "-m", "0775", "/app/notebooks/daily", "/app/notebooks/daily/output"]' in text
    assert "BUILDR_OUTPUT_DIR=/app/notebooks/daily/output" in _environment(made, ())
    assert read_folder(context).folder == "notebooks/daily"
    assert made.content_digest != replace(made, folder="").content_digest


def test_an_absolute_path_of_the_project_is_written_as_a_relative_one(folder: Path, tmp_path: Path) -> None:
    made = plan(folder, f"print(open({str(folder.parents[1] / 'data' / 'a.csv')!r}).read())")
    assert str(tmp_path).encode() not in made.files[1].open().read()
    assert ran(made, tmp_path) == "a,b\n"


def test_while_nothing_else_is_carried_the_notebooks_folder_is_all(folder: Path, tmp_path: Path) -> None:
    (folder / "own.txt").write_text("own")
    made = plan(folder, "print(open('own.txt').read())")
    assert (paths(made), made.folder) == (["app/main.py", "app/own.txt"], "")
    assert ran(made, tmp_path) == "own\n"


def test_from_a_file_the_users_word_is_needed(folder: Path, tmp_path: Path) -> None:
    code = "print(open('../../data/a.csv').read())"
    with pytest.raises(FileRefused, match="read from a file"):
        plan(folder, code, kernel=False)
    for include in ("../../data/a.csv", "../../data", "../../data/*.csv"):
        made = plan(folder, code, kernel=False, include=[include])
        assert "app/data/a.csv" in paths(made)
        assert ran(made, tmp_path / include.replace("/", "-").replace("*", "x")) == "a,b\n"


@pytest.mark.parametrize("kernel", [True, False])
def test_what_lies_outside_of_the_project_comes_beside_the_program(folder: Path, tmp_path: Path, kernel: bool) -> None:
    for number, name in enumerate(("../../../beside.csv", str(tmp_path / "home" / "beside.csv"))):
        code = f"print(open({name!r}).read())"
        with pytest.raises(FileRefused, match="and its project"):
            plan(folder, code, kernel=kernel)
        made = plan(folder, code, kernel=kernel, include=[name])
        assert ran(made, tmp_path / str(number)) == "beside\n"
        assert str(tmp_path).encode() not in made.files[1].open().read()


def test_a_whole_folder_of_the_project_needs_a_word_in_a_kernel_too(folder: Path, tmp_path: Path) -> None:
    code = "from pathlib import Path\nprint((Path('../../data') / 'a.csv').read_text())"
    with pytest.raises(FileRefused, match="a whole folder"):
        plan(folder, code)
    assert ran(plan(folder, code, include=["../../data"]), tmp_path) == "a,b\n"


def test_exclude_counts_from_the_notebooks_folder(folder: Path) -> None:
    (folder / "own.txt").write_text("own")
    made = plan(folder, "1", include=["../../data", "own.txt"], exclude=["../../data/a.csv", "own.*"])
    assert paths(made) == ["app/main.py"]


def test_a_link_out_of_the_project_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder.parents[1] / "data" / "b.csv").symlink_to(tmp_path / "home" / "beside.csv")
    with pytest.raises(FileRefused, match="link out"):
        plan(folder, "open('../../data/b.csv').read()")


def test_a_mount_counts_where_the_program_looks(folder: Path, tmp_path: Path) -> None:
    name = str(tmp_path / "home" / "beside.csv")
    assert paths(plan(folder, f"open({name!r})", mount=[f"{tmp_path}/home:{tmp_path}/home"])) == ["app/main.py"]
    with pytest.raises(FileRefused):
        plan(folder, f"open({name!r})", mount=[f"{tmp_path}/home:/elsewhere"])


def test_the_root_is_the_nearest_folder_with_a_mark_and_never_the_home_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    deep = home / "a" / "b" / "c"
    deep.mkdir(parents=True)
    assert find_root(deep, home=home) == deep
    (home / ".git").mkdir()
    (tmp_path / "pyproject.toml").write_text("")
    assert find_root(deep, home=home) == deep, "neither the home folder nor one above it"
    (home / "a" / ".git").write_text("gitdir: elsewhere")
    assert find_root(deep, home=home) == home / "a"
    (home / "a" / "b" / "pyproject.toml").write_text("")
    assert find_root(deep, home=home) == home / "a" / "b"
    assert find_root(deep, "../..", home=home) == home / "a"


def test_a_named_root_holds_the_notebook_and_not_the_home_folder(tmp_path: Path) -> None:
    (tmp_path / "home" / "a").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for named, says in (("../../other", "does not lie in it"), ("..", "home folder"), ("/", "home folder")):
        with pytest.raises(OptionError, match=says):
            find_root(tmp_path / "home" / "a", named, home=tmp_path / "home")
    (tmp_path / "alias").symlink_to(tmp_path)
    with pytest.raises(OptionError, match="home folder"):
        find_root(tmp_path / "alias" / "home" / "a", "..", home=tmp_path / "home")
