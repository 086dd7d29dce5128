from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.errors import SettingError
from buildr_jupyter.settings import find_pyproject, gather, read_pyproject, read_site


def test_the_nearest_source_wins_and_says_so(tmp_path: Path) -> None:
    project, site = tmp_path / "pyproject.toml", tmp_path / "buildr.toml"
    project.write_text(
        '[tool.buildr]\nbase = "p"\nplatform = "linux/amd64"\nrepository = "p/r"\nbuilder = "p"\npython = "3.1"\n'
    )
    site.write_text('base = "s"\nui = "text"\n')
    found = gather(
        line={"base": "l", "builder": None},
        config={"repository": "c/r"},
        environ={"BUILDR_BUILDER": "e", "BUILDR_REPOSITORY": "e/r"},
        ipython={"python": "3.2"},
        pyproject=project,
        site=(site,),
    )
    assert {name: (s.value, s.origin) for name, s in found.items()} == {
        "base": ("l", "the line"),
        "repository": ("c/r", "%config"),
        "builder": ("e", "BUILDR_BUILDER"),
        "python": ("3.2", "IPython config"),
        "platform": ("linux/amd64", str(project)),
        "ui": ("text", str(site)),
        "publish": (False, "default"),
    }


@pytest.mark.parametrize("line", ["publish = true", 'include = ["../x"]', 'allow-secret = ["x"]', "nonsense = 1"])
def test_a_project_may_not_send_anything_out(tmp_path: Path, line: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(f"[tool.buildr]\n{line}\n")
    with pytest.raises(SettingError, match=line.split()[0]):
        read_pyproject(path)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "buildr.toml"
    assert read_site(path) == {}
    path.write_text("base = ")
    with pytest.raises(SettingError, match=r"buildr\.toml"):
        read_site(path)
    path.write_text("color = 1\n")
    with pytest.raises(SettingError, match="color is not a setting"):
        read_site(path)


def test_the_pyproject_above_the_notebook_is_found(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\n")
    assert find_pyproject(deep) is None
    (tmp_path / "pyproject.toml").write_text("[tool.buildr]\n")
    assert find_pyproject(deep) == tmp_path / "pyproject.toml"
