"""Widening: what to carry beside, in the order in which it is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.export.options import Widening
from buildr_jupyter.export.verify import Trial
from buildr_jupyter.pipeline.widening import Surroundings, next_widenings


@pytest.fixture
def place(tmp_path: Path) -> Surroundings:
    folder = tmp_path / "project" / "notebooks"
    (folder / "data").mkdir(parents=True)
    for name in ("data/a.csv", "data/b.csv", ".env", "../shared.csv", "../../outside.csv"):
        (folder / name).write_text("1")
    (folder / "large.bin").write_bytes(b"x" * 101)
    (folder / "empty").mkdir()
    (folder / "link.csv").symlink_to(tmp_path / "outside.csv")
    return Surroundings(folder, folder, folder.parent, 100, lambda module: module in ("pyarrow", "lxml"))


NONE = Widening()


def steps(trial: Trial, place: Surroundings, so_far: Widening = NONE) -> list[tuple[object, ...]]:
    return [
        (wider.names, wider.modules, wider.files, wider.everything)
        for wider in next_widenings(trial, "said", so_far, place)
    ]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("NameError: name 'x' is not defined", ("x",)),
        ("pandas.errors.UndefinedVariableError: name 'limit' is not defined", ("limit",)),
        ("AttributeError: Can't get attribute 'Point' on <module '__main__' from 'main.py'>", ("Point",)),
        ("AttributeError: module '__main__' has no attribute 'total'", ("total",)),
    ],
)
def test_a_name_that_the_error_tells(place: Surroundings, words: str, names: tuple[str, ...]) -> None:
    trial = Trial(1, "", words)
    assert steps(trial, place) == [(names, (), (), False), ((), (), (), True)]
    assert steps(trial, place, Widening(names=names)) == [(names, (), (), True)], "it did not help"


@pytest.mark.parametrize(
    "words",
    [
        "ModuleNotFoundError: No module named 'pyarrow'",
        "ImportError: Missing optional dependency 'pyarrow'. Use pip or conda to install pyarrow.",
        "ImportError: `Import pyarrow` failed.",
    ],
)
def test_a_module_that_is_installed_here(place: Surroundings, words: str) -> None:
    assert steps(Trial(1, "", words), place)[0] == ((), ("pyarrow",), (), False)
    assert steps(Trial(1, "", words.replace("pyarrow", "nowhere")), place) == [((), (), (), True)]


def test_what_was_looked_for_in_vain_counts_only_where_it_failed(place: Surroundings) -> None:
    assert steps(Trial(1, "", "ValueError: no engine", module=("lxml", "nowhere")), place)[0] == (
        (),
        ("lxml",),
        (),
        False,
    )
    assert steps(Trial(0, "", "", module=("lxml",)), place) == [((), (), (), True)]


@pytest.mark.parametrize(
    ("asked", "carried"),
    [
        ("data/a.csv", "data/a.csv"),
        ("data", "data"),
        ("../shared.csv", "../shared.csv"),
        ("../../outside.csv", None),
        ("link.csv", None),
        (".env", None),
        ("large.bin", None),
        ("empty", None),
        ("nowhere.csv", None),
        ("..", None),
    ],
)
def test_a_file_of_the_project_that_was_asked_for(place: Surroundings, asked: str, carried: str | None) -> None:
    wanted = [((), (), (carried,), False)] if carried else []
    assert steps(Trial(0, "", "", missing=(asked,)), place) == [*wanted, ((), (), (), True)]


def test_it_says_why(place: Surroundings) -> None:
    trial = Trial(1, "", "NameError: name 'x' is not defined")
    first, last = next_widenings(trial, "it ended with status 1", Widening(why=("before",)), place)
    assert first.why == ("before", "x: it ended with status 1")
    assert last.why == ("before", "everything that ran before: it ended with status 1")
    assert list(next_widenings(trial, "", Widening(everything=True), place)) == []
