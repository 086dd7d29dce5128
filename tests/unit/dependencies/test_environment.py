from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from buildr_jupyter.dependencies.environment import Distribution, Installed, Interpreter
from buildr_jupyter.errors import RequirementError


@pytest.fixture
def site(tmp_path: Path) -> Path:
    made = tmp_path / "site-packages"
    for path, text in {
        "own/__init__.py": "", "own/part.py": "", "space/inner/mod.py": "", "single.py": "", "shadow.py": "",
        "own_dist-1.2.dist-info/RECORD": "own/__init__.py,,\nown/part.py,,\nsingle.py,,\n",
        "own_dist-1.2.dist-info/METADATA": "Name: own-dist\nVersion: 1.2\nRequires-Dist: rich>=13\n",
    }.items():  # fmt: skip
        (made / path).parent.mkdir(parents=True, exist_ok=True)
        (made / path).write_text(text)
    return made


def installed(site: Path, *first: Path) -> Installed:
    return Installed(replace(Interpreter.current(), paths=(str(site),)), first=first)


@pytest.mark.parametrize(
    ("module", "path"),
    [
        ("own", "own/__init__.py"),
        ("own.part", "own/part.py"),
        ("space.inner.mod", "space/inner/mod.py"),
        ("single", "single.py"),
    ],
)
def test_a_module_is_found_as_the_import_system_finds_it(site: Path, module: str, path: str) -> None:
    found = installed(site).locate(module)
    assert found is not None
    assert (found.path, found.root) == (site / path, site)


def test_a_namespace_package_has_no_file_and_what_is_not_there_none(site: Path) -> None:
    found = installed(site).locate("space")
    assert found is not None
    assert (found.path, found.locations) == (None, (site / "space",))
    for module in ("gone", "own.gone", "single.part"):
        assert installed(site).locate(module) is None


def test_the_notebooks_folder_comes_first(site: Path, tmp_path: Path) -> None:
    (tmp_path / "nb").mkdir()
    (tmp_path / "nb" / "single.py").write_text("")
    (tmp_path / "nb" / "json.py").write_text("")
    found = installed(site, tmp_path / "nb").locate("single")
    assert found is not None
    assert found.path == tmp_path / "nb" / "single.py"
    assert installed(site).is_stdlib("json.decoder")
    assert not installed(site, tmp_path / "nb").is_stdlib("json"), "it is shadowed"
    assert not installed(site).is_stdlib("own")


def test_a_distribution_knows_its_files_and_is_found_as_their_owner(site: Path) -> None:
    found = installed(site)
    assert list(found.distributions) == ["own-dist"]
    distribution = found.distributions["own-dist"]
    assert (distribution.version, distribution.site) == ("1.2", site)
    assert distribution.owns("own/part.py")
    assert not distribution.owns("part.py")
    assert [str(one) for one in distribution.requires] == ["rich>=13"]
    located = found.locate("own.part")
    assert located is not None
    assert found.owners(located) == [distribution]


def test_a_distribution_without_metadata_says_nothing(tmp_path: Path) -> None:
    empty = Distribution("x", "1", tmp_path / "x-1.dist-info")
    assert (empty.read("METADATA"), empty.files, empty.key) == ("", [], "x")


def test_an_interpreter_says_of_itself_what_this_one_is() -> None:
    here, asked = Interpreter.current(), Interpreter.ask([sys.executable])
    assert (asked.version, asked.implementation, asked.machine) == (here.version, here.implementation, here.machine)
    assert asked.stdlib_names == here.stdlib_names
    assert here.minor == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert str(here) == f"{here.implementation} {here.version}"


@pytest.mark.parametrize("command", [["/no/such/python"], [sys.executable, "-c", "print('no json')", "--"]])
def test_one_that_does_not_answer_is_an_error_with_a_way_out(command: list[str]) -> None:
    with pytest.raises(RequirementError, match="the notebook's interpreter .* does not answer") as caught:
        Interpreter.ask(command)
    assert "--kernel" in (caught.value.hint or "")
