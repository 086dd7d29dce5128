from __future__ import annotations

import ast
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from buildr_jupyter.errors import FileRefused
from buildr_jupyter.export.data_files import Carriage, PathUse, WorkingFolder, carry_files, literal_paths
from buildr_jupyter.export.ipython_syntax import translate
from buildr_jupyter.export.known_texts import evaluate


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("open('a.csv')", ["a.csv"]),
        ("open('a.csv', 'w')", []),
        ("open('a.csv', mode='r+')", ["a.csv"]),
        ("pd.read_csv('b.csv'); Path('c')", ["b.csv", "c"]),
        ("pd.read_csv('https://x/b.csv')", []),
        ("open(name)", []),
        ("open('')", []),
        ("print('a.csv')", []),
        ("json.loads('" + "x" * 5000 + "')", []),
    ],
)
def test_literal_paths_of_what_is_read(source: str, paths: list[str]) -> None:
    found = list(literal_paths(ast.parse(source), "cell 1"))
    assert sorted(use.path for use in found) == paths
    assert {use.origin for use in found} <= {"cell 1, line 1"}


@pytest.mark.parametrize(
    ("source", "place", "after"),
    [
        ("os.chdir('data')", "", "data"),
        ("os.chdir('..')", "a/b", "a"),
        ("os.chdir(where)", "a", "a"),
        ("print('data')", "", ""),
    ],
)
def test_the_working_folder_after_a_statement(source: str, place: str, after: str) -> None:
    here = WorkingFolder(place)
    here.follow(ast.parse(source))
    assert here.place == after


def test_the_folder_that_popd_goes_back_to() -> None:
    here = WorkingFolder()
    places = []
    for line in ("%pushd a", "%cd b", "%pushd ../c", "%popd", "%popd", "%popd"):
        here.follow(ast.parse(translate(TransformerManager().transform_cell(line), lambda _: None).source))
        places.append(here.place)
    assert places == ["a", "a/b", "a/c", "a/b", "", ""]


def test_a_folder_that_is_put_together_of_texts_that_are_known() -> None:
    cells = ["base = 'data'", "os.chdir(os.path.join(base, 'in'))", "os.chdir(unknown)", "os.chdir('..')"]
    places = []
    here = WorkingFolder()
    for tree, _, values in evaluate((ast.parse(cell).body[0], "") for cell in cells):
        here.follow(tree, values)
        places.append(here.place)
    assert places == ["", "data/in", "data/in", "data"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "project" / "nb"
    (made / "data").mkdir(parents=True)
    (made / "a.csv").write_text("1234567890")
    (made / "data" / "b.csv").write_text("b")
    (made.parent / "shared.csv").write_text("s")
    (tmp_path / "far.csv").write_text("f")
    return made


def carry(folder: Path, *paths: str, **how: object) -> Carriage:
    uses = [PathUse(path, "cell 1, line 1", ast.Constant(path)) for path in paths]
    return carry_files(uses, folder, **{"limit_bytes": 1000, **how})  # type: ignore[arg-type]


def carried(folder: Path, *paths: str, **how: object) -> list[str]:
    return [entry.path for entry in carry(folder, *paths, **how).entries]


def test_files_below_the_folder_are_carried_once_and_sorted(folder: Path) -> None:
    assert carried(folder, "data/b.csv", "./a.csv", "a.csv", "gone.csv", "data") == ["app/a.csv", "app/data/b.csv"]


def test_a_file_of_the_project_brings_the_projects_tree(folder: Path) -> None:
    found = carry(folder, "a.csv", "../shared.csv", root=folder.parent)
    assert [entry.path for entry in found.entries] == ["app/nb/a.csv", "app/shared.csv"]
    assert found.tree.inside == "nb"
    with pytest.raises(FileRefused, match="for a notebook that is read from a file nothing there is carried unasked"):
        carry(folder, "../shared.csv", root=folder.parent, unasked=False)


def test_an_absolute_path_is_written_relative(folder: Path) -> None:
    found = carry(folder, str(folder / "data" / "b.csv"))
    assert list(found.rewritten.values()) == ["data/b.csv"]
    assert [entry.path for entry in found.entries] == ["app/data/b.csv"]


def test_what_lies_outside_is_refused_unless_it_is_named_or_mounted(folder: Path) -> None:
    far = str(folder.parent.parent / "far.csv")
    with pytest.raises(FileRefused, match="lies outside of the notebook's folder") as caught:
        carry(folder, far)
    assert f"--include {far}" in (caught.value.hint or "")
    assert list(carry(folder, far, include=(far,)).rewritten.values()) == ["far.csv"]
    assert carried(folder, far, mounts=(str(folder.parent.parent),)) == []


def test_a_large_file_and_a_link_out_are_refused(folder: Path) -> None:
    with pytest.raises(FileRefused, match="has 10 bytes, more than 5"):
        carry(folder, "a.csv", limit_bytes=5)
    assert carried(folder, "a.csv", limit_bytes=5, include=("a.csv",)) == ["app/a.csv"]
    (folder / "link.csv").symlink_to(folder.parent.parent / "far.csv")
    with pytest.raises(FileRefused, match="is a link out of the notebook's folder"):
        carry(folder, "link.csv")
