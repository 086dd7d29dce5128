"""Computed paths that lead out of the notebook's folder are told, with an option that brings what is there."""

from __future__ import annotations

import ast
import shlex
from pathlib import Path

import pytest

from buildr_jupyter.export.known_texts import evaluate
from buildr_jupyter.export.named_files import carry_named
from buildr_jupyter.export.outside_paths import OutsidePaths
from buildr_jupyter.export.project import Tree

IMPORTS = "import os\nfrom pathlib import Path\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the notebook's folder, with data beside it."""
    for path in ("project/data/f.csv", "project/nb/here.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("a,b\n")
    return tmp_path / "project" / "nb"


def told(
    code: str,
    folder: Path,
    *,
    root: Path | None = None,
    whole: bool = False,
    include: tuple[str, ...] = (),
    mounts: tuple[str, ...] = (),
    searched: tuple[Path, ...] = (),
) -> tuple[list[str], list[tuple[str, str | None]]]:
    """Return the paths that are carried, and the texts and hints of the warnings."""
    tree = Tree(folder, root or folder, whole)
    outside = OutsidePaths(tree, include, mounts, searched)
    program = list(evaluate((node, "cell 0") for node in ast.parse(IMPORTS + code).body))
    entries, warnings = carry_named(program, tree, known=(), written=(), limit_bytes=1 << 20, outside=outside)
    carried = [entry.path for entry in entries]
    return carried, [(one.text, one.hint) for one in (*warnings, *outside.warnings(carried))]


@pytest.mark.parametrize(
    "code",
    [
        "base = os.path.dirname(os.path.dirname(os.path.realpath('x.ipynb')))\nopen(os.path.join(base, 'data', 'f.csv'))",
        "base = os.path.dirname(os.path.abspath(''))\nopen(os.path.join(os.path.dirname(base), 'data', 'f.csv'))",
        "open(os.path.dirname(os.getcwd()) + '/data/f.csv')",
        "DATA = Path().resolve().parent / 'data'\nopen(DATA / 'f.csv')",
        "DATA = Path('').absolute().parent / 'data'\nopen(DATA / 'f.csv')",
        "open(Path.cwd().parent / 'data' / 'f.csv')",
        "open(Path.cwd().parents[0] / 'data' / 'f.csv')",
        "open(os.path.join(os.getcwd(), '..', 'data', 'f.csv'))",
        "open(os.path.abspath(os.path.join(os.pardir, 'data', 'f.csv')))",
        "open(os.sep.join([os.pardir, 'data', 'f.csv']))",
        "open(os.path.join(os.path.split(os.getcwd())[0], 'data', 'f.csv'))",
        "name = '../data/f.csv'\nopen(name)",
        "for name in ['f']:\n    open(f'../data/{name}.csv')",
    ],
)
def test_a_path_that_leads_out_is_told(project: Path, code: str) -> None:
    carried, [(text, hint)] = told(code, project)
    assert carried == []
    assert text.startswith("cell 0, line ")
    assert text.endswith(": '../data/f.csv' lies outside of the notebook's folder and is not carried")
    assert hint == "carry it with --root .. --include ../data/f.csv"


@pytest.mark.parametrize(
    "code",
    [
        "open(os.path.dirname(os.path.realpath('x.ipynb')) + '/here.csv')",
        "open(os.path.abspath('') + '/here.csv')",
        "open(Path('') / 'here.csv')",
        "open(os.path.join(os.path.dirname('x.ipynb'), 'here.csv'))",
        "open(os.path.join('made', os.pardir, 'here.csv'))",
    ],
)
def test_a_path_that_stays_is_carried(project: Path, code: str) -> None:
    assert told(code, project) == (["app/here.csv"], [])


def test_a_folder_of_files_that_no_text_names_is_told_and_a_part_of_a_path_is_not(project: Path) -> None:
    _, warnings = told("DATA = Path.cwd().parent / 'data'\nfor path in DATA.iterdir(): open(path)", project)
    assert [text.partition(": ")[2].split(" lies")[0] for text, _ in warnings] == ["'../data'"]
    assert told("DATA = Path.cwd().parent\nopen('../none.csv')", project) == ([], [])


def test_a_pattern_is_told_where_it_finds_a_file(project: Path) -> None:
    _, [(text, hint)] = told("import glob\nglob.glob('../data/*.csv')", project, root=project.parent)
    assert "'../data/*.csv' lies outside" in text
    assert hint == "carry it with --include '../data/*.csv'"
    assert told("import glob\nglob.glob('../data/*.txt')", project) == ([], [])


def test_what_an_option_brings_is_not_told(project: Path) -> None:
    code, above = "name = '../data/f.csv'\nopen(name)", project.parent
    for include in ("../data/f.csv", "../data", "../data/*.csv"):
        assert told(code, project, root=above, whole=True, include=(include,)) == ([], [])
    assert told(code, project, mounts=("/data",)) == ([], [])
    assert told("folder = '../data'", project, searched=(above / "data",)) == ([], [])


def test_what_is_included_beside_the_program_is_told_for_a_computed_path_does_not_lead_there(project: Path) -> None:
    _, [(_, hint)] = told("name = '../data/f.csv'\nopen(name)", project, include=("../data/f.csv",))
    assert hint == "carry it with --root .. --include ../data/f.csv"


def test_a_path_that_no_project_can_hold_is_to_be_mounted(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "f.csv").write_text("")
    _, [(_, hint)] = told("name = '../../f.csv'\nopen(name)", project)
    assert hint is not None
    assert hint.startswith("give it at run time with ")
    option, value = shlex.split(hint.partition(" with ")[2])
    assert (option, value.partition(":")[0]) == ("--mount", "../../f.csv")


def test_a_path_out_and_back_is_carried_and_told(project: Path) -> None:
    carried, [(text, hint)] = told("name = '../nb/here.csv'\nopen(name)", project)
    assert carried == ["app/here.csv"]
    assert "leads out of the notebook's folder and back to 'here.csv'" in text
    assert hint == "write it as 'here.csv'"
    whole = told("name = '../nb/here.csv'\nopen(name)", project, root=project.parent, whole=True)
    assert whole == (["app/nb/here.csv"], [])
