"""Folders that a program adds to its search path, and the modules that come from them."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from buildr_jupyter import cli
from buildr_jupyter.export.import_folders import ImportFolder, find_import_folders, may_change_path


def folders_of(code: str, folder: Path, root: Path | None = None) -> list[tuple[str, bool]]:
    found = find_import_folders(ast.parse(code).body, folder, root or folder)
    return [(os.path.relpath(one.path, folder), one.first) for one in found]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a notebook's folder, and modules in two places."""
    for name in ("notebooks/lib", "src/deep", "other"):
        (tmp_path / "project" / name).mkdir(parents=True)
    root = tmp_path / "project"
    (root / "pyproject.toml").write_text("")
    (root / "src" / "shop.py").write_text("PRICE = 7\n")
    (root / "src" / "deep" / "er.py").write_text("VALUE = 'deeper'\n")
    (root / "notebooks" / "lib" / "near.py").write_text("import math\nmath.near = 3\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "foreign.py").write_text("SECRET = 1\n")
    return root


ABOVE = [
    "import sys\nsys.path.append('../src')",
    "import sys as s\ns.path.append('../src')",
    "import sys, os\nsys.path.append(os.path.join('..', 'src'))",
    "import sys, os\nsys.path.append(os.path.abspath('../src'))",
    "import sys, os\nsys.path.append(os.path.join(os.getcwd(), '..', 'src'))",
    "import sys, os\nsys.path.append(os.path.join(os.path.dirname(os.getcwd()), 'src'))",
    "import sys, os\nsys.path.append(os.path.join(os.path.dirname(os.path.abspath('')), '../src'))",
    "import sys\nfrom pathlib import Path\nsys.path.append(str(Path.cwd().parent / 'src'))",
    "import sys\nfrom pathlib import Path\nROOT = Path().resolve().parents[0]\nsys.path.append(str(ROOT / 'src'))",
    "import sys\nfrom pathlib import Path\nsys.path.append(f'{Path.cwd().parent}/src')",
    "import sys\nSRC = '../src'\nif SRC not in sys.path:\n    sys.path.append(SRC)",
    "import sys\nfor one in ['../none', '../src']:\n    sys.path.append(one)",
    "import sys\nsys.path += ['../src']",
    "import sys\nsys.path.extend(['../none', '../src'])",
    "import sys\nsys.path = [*sys.path, '../src']",
    "import sys\nsys.path = sys.path + ['../src']",
    "from sys import path\npath.append('../src')",
    "from sys import path as places\nplaces.append('../src')",
    "import site\nsite.addsitedir('../src')",
    "import os\nos.chdir('../src')",
    "import os, sys\nos.chdir('..')\nsys.path.append('src')",
]


@pytest.mark.parametrize("code", ABOVE)
def test_a_folder_is_found_however_it_is_added(code: str, project: Path) -> None:
    assert may_change_path(code)
    assert "../src" in [path for path, _ in folders_of(code, project / "notebooks", project)]


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("import sys\nsys.path.append('lib')", False),
        ("import sys\nsys.path.insert(0, 'lib')", True),
        ("import sys\nsys.path[0:0] = ['lib']", True),
        ("import os\nos.chdir('lib')", True),
    ],
)
def test_it_comes_before_or_behind_what_is_installed(code: str, first: bool, project: Path) -> None:
    assert folders_of(code, project / "notebooks") == [("lib", first)]


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.path.append('.')",
        "import sys\nsys.path.append('../../outside')",
        "import sys\nsys.path.append('link')",
        "import sys\nsys.path.append('/')",
        "import sys\nsys.path.append('missing')",
        "names = []\nnames.append('lib')",
        "print('sys.path.append(lib)')",
    ],
)
def test_what_is_outside_of_the_project_or_no_search_path_is_left_out(code: str, project: Path) -> None:
    (project / "notebooks" / "link").symlink_to(project.parent / "outside")
    assert folders_of(code, project / "notebooks", project) == []


def test_a_folder_has_modules_and_packages(project: Path) -> None:
    folder = ImportFolder(project / "src")
    assert [folder.has(name) for name in ("shop", "deep.er", "numpy", "shop.py")] == [True, True, False, True]


def exported(project: Path, *cells: str) -> tuple[int, Path]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    path = project / "notebooks" / "nb.ipynb"
    nbformat.write(notebook, path)
    out = project.parent / "out"
    return cli.main(["export", str(path), "--cell", str(len(cells) - 1), "--out", str(out)]), out / "app"


def printed(app: Path) -> str:
    done = subprocess.run([sys.executable, "main.py"], cwd=app, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize("code", [ABOVE[0], ABOVE[5], ABOVE[7], ABOVE[19]])
def test_modules_keep_their_place_in_the_project(code: str, project: Path) -> None:
    status, app = exported(project, code, "import shop", "print(shop.PRICE)")
    assert status == 0
    assert printed(app) == "7"
    assert (app / "src" / "shop.py").is_file()


def test_packages_without_an_init_and_effects_of_an_import(project: Path) -> None:
    cells = ("import sys\nsys.path += ['lib', '../src']", "import near", "import math", "from deep.er import VALUE")
    status, app = exported(project, *cells, "print(math.near, VALUE)")
    assert status == 0
    assert printed(app) == "3 deeper"


def test_nothing_is_carried_from_outside_of_the_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, app = exported(project, "import sys\nsys.path.append('../../outside')", "import foreign")
    assert status == 1
    assert not app.exists()
    assert "module 'foreign' is not installed" in capsys.readouterr().err
