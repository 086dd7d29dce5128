"""Folders that a program adds to its search path, and the modules that come from them."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from buildr_jupyter.export.import_folders import ImportFolder, find_import_folders, may_change_path
from buildr_jupyter.export.project import Tree
from tests.unit.export.parts import exported, printed


def folders_of(code: str, folder: Path, root: Path | None = None) -> list[tuple[str, bool]]:
    found = find_import_folders(ast.parse(code).body, Tree.of(folder, root))
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


@pytest.mark.parametrize("code", [ABOVE[0], ABOVE[5], ABOVE[7], ABOVE[19]])
def test_modules_keep_their_place_in_the_project(code: str, project: Path) -> None:
    out = project.parent / "out"
    assert exported(project / "notebooks", out, code, "import shop", "print(shop.PRICE)") == 0
    assert printed(out) == "7\n"
    assert (out / "app" / "src" / "shop.py").is_file()


def test_packages_without_an_init_and_effects_of_an_import(project: Path) -> None:
    cells = ("import sys\nsys.path += ['lib', '../src']", "import near", "import math", "from deep.er import VALUE")
    out = project.parent / "out"
    assert exported(project / "notebooks", out, *cells, "print(math.near, VALUE)") == 0
    assert printed(out) == "3 deeper\n"


def test_nothing_is_carried_from_outside_of_the_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = project.parent / "out"
    assert exported(project / "notebooks", out, "import sys\nsys.path.append('../../outside')", "import foreign") == 1
    assert not out.exists()
    assert "module 'foreign' is not installed" in capsys.readouterr().err
