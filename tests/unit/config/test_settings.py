from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from buildr_jupyter.config.settings import gather, misread, read_project, read_site, trusted_owners, why_untrusted
from buildr_jupyter.errors import SettingError

DIGEST = "python@sha256:" + "a" * 64
STRANGER = 4711


def write(path: Path, text: str, *, mode: int = 0o644, owner: int | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    if owner is not None:
        os.chown(path, owner, owner)
    return path


def test_the_nearest_source_wins_and_says_so(tmp_path: Path) -> None:
    project = write(
        tmp_path / "pyproject.toml",
        f'[tool.buildr]\nbase = "{DIGEST}"\nplatform = "linux/amd64"\npython = "3.1"\napt = ["git"]\n',
    )
    site = write(tmp_path / "buildr.toml", 'base = "s"\nui = "text"\nallow-base = ["python"]\n')
    found = gather(
        line={"base": "l", "builder": None},
        config={"repository": "c/r"},
        environ={"BUILDR_BUILDER": "e", "BUILDR_REPOSITORY": "e/r", "BUILDR_ALLOW_BASE": "a/b c"},
        ipython={"python": "3.2"},
        project=read_project(tmp_path),
        site=(read_site(site),),
    )
    assert {name: (s.value, s.origin) for name, s in found.items()} == {
        "base": ("l", "the line"),
        "repository": ("c/r", "%config"),
        "builder": ("e", "BUILDR_BUILDER"),
        "allow_base": (["a/b", "c"], "BUILDR_ALLOW_BASE"),
        "python": ("3.2", "IPython config"),
        "platform": ("linux/amd64", str(project)),
        "apt": (["git"], str(project)),
        "ui": ("text", str(site)),
        "publish": (False, "default"),
    }


@pytest.mark.parametrize(
    "line",
    [
        "publish = true",
        'include = ["../x"]',
        'allow-secret = ["x"]',
        "nonsense = 1",
        'builder = "buildah=./evil"',
        'repository = "evil.example/x"',
        'base = "python:3.11"',
        'allow-base = ["evil"]',
        'trusted-owners = ["evil"]',
        "python = 3.11",
        'apt = "git"',
        "name = [1]",
    ],
)
def test_a_project_may_set_only_what_describes_the_image(tmp_path: Path, line: str) -> None:
    write(tmp_path / "pyproject.toml", f"[tool.buildr]\n{line}\n")
    with pytest.raises(SettingError, match=line.split()[0]) as caught:
        read_project(tmp_path)
    assert caught.value.hint


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool]\nbuildr = 1\n")
    with pytest.raises(SettingError, match="is not a table"):
        read_project(tmp_path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "buildr.toml"
    assert read_site(path).values == {}
    write(path, "base = ")
    with pytest.raises(SettingError, match=r"buildr\.toml"):
        read_site(path)
    write(path, "color = 1\n")
    with pytest.raises(SettingError, match="color is not a setting"):
        read_site(path)
    write(path, "trusted-owners = 5\n")
    with pytest.raises(SettingError, match="trusted-owners"):
        read_site(path)


def test_the_pyproject_above_the_notebook_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    write(tmp_path / "a" / "pyproject.toml", "[project]\n")
    assert read_project(deep).path is None
    write(tmp_path / "pyproject.toml", "[tool.buildr]\n")
    assert read_project(deep).path == tmp_path / "pyproject.toml"


def test_a_file_that_others_may_write_does_not_count_and_is_told(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.buildr]\nname = "mine"\n')
    write(tmp_path / "a" / "pyproject.toml", '[tool.buildr]\nname = "evil"\n', mode=0o666)
    found = read_project(tmp_path / "a")
    assert (found.path, found.values) == (tmp_path / "pyproject.toml", {"name": "mine"})
    assert [str(tmp_path / "a" / "pyproject.toml") in warning.text for warning in found.warnings] == [True]
    site = write(tmp_path / "buildr.toml", 'builder = "evil"\n', mode=0o646)
    assert read_site(site).values == {}
    assert "everybody may write" in read_site(site).warnings[0].text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_counts_where_the_site_trusts_that_user(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.buildr]\nname = "foreign"\n', owner=STRANGER)
    found = read_project(tmp_path)
    assert (found.values, len(found.warnings)) == ({}, 1)
    assert str(STRANGER) in found.warnings[0].text
    site = read_site(write(tmp_path / "buildr.toml", f'trusted-owners = [{STRANGER}, "no-such-user"]\n'))
    assert read_project(tmp_path, owners=trusted_owners([site])).values == {"name": "foreign"}
    foreign_site = write(tmp_path / "b.toml", f"trusted-owners = [{STRANGER}]\n", owner=STRANGER)
    assert read_site(foreign_site).owners == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_broken_file_of_another_user_is_a_warning_and_an_own_one_an_error(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", "[tool.buildr", owner=STRANGER)
    assert read_project(tmp_path).values == {}
    assert "does not parse" in read_project(tmp_path, owners={STRANGER}).warnings[0].text
    write(tmp_path / "pyproject.toml", "[tool.buildr", owner=os.getuid())
    with pytest.raises(SettingError, match=r"pyproject\.toml"):
        read_project(tmp_path)


def test_who_owns_a_file_decides(tmp_path: Path) -> None:
    status = write(tmp_path / "f", "").stat()
    other = os.stat_result((0o100644, 0, 0, 1, STRANGER, 0, 0, 0, 0, 0))
    root = os.stat_result((0o100644, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    wide = os.stat_result((0o100646, 0, 0, 1, os.getuid(), 0, 0, 0, 0, 0))
    assert [bool(why_untrusted(one)) for one in (status, other, root, wide)] == [False, True, False, True]
    assert why_untrusted(other, {STRANGER}) is None


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("BUILDR_BASSE", "write BUILDR_BASE if you meant that"),
        ("BUILDR_REPOSTORY", "write BUILDR_REPOSITORY if you meant that"),
        ("BUILDR_base", "write BUILDR_BASE if you meant that"),
        ("BUILDR_TAG", "write --tag on the line"),
        ("BUILDR_RUN_ENV", "write --run-env on the line"),
    ],
)
def test_a_variable_that_is_meant_as_a_setting_and_is_none(variable: str, hint: str) -> None:
    assert [one.hint for one in misread({variable: "x", "BUILDR_BASE": "y", "PATH": "/bin"})] == [hint]


def test_no_variable_that_is_read_elsewhere_is_taken_for_a_mistyped_setting() -> None:
    package = Path(__file__).parents[3] / "buildr_jupyter"
    named = {
        name
        for path in package.rglob("*.py")
        for name in re.findall(r"\bBUILDR_[A-Z_]*[A-Z]\b", path.read_text("utf-8"))
    }
    assert len(named) > 15
    assert misread(dict.fromkeys(named, "x")) == ()


def test_a_mistyped_name_in_a_projects_file_is_told_the_nearest(tmp_path: Path) -> None:
    write(tmp_path / "pyproject.toml", '[tool.buildr]\nplatfrom = "linux/amd64"\n')
    with pytest.raises(SettingError) as caught:
        read_project(tmp_path)
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("write platform if you meant that; a project may set")
