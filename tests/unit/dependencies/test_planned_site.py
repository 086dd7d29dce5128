"""Planned site: what is planned can be imported, and nothing beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.dependencies.environment import Installed, Interpreter
from buildr_jupyter.dependencies.planned_site import find_planned, interpreter_paths, site_folder, write_environment
from buildr_jupyter.model.plan import Requirement

CURRENT = Interpreter.current()


def install(site: Path, name: str, files: dict[str, str], version: str = "1.0") -> None:
    """Install a distribution as pip leaves it."""
    info = f"{name}-{version}.dist-info"
    for path, text in {**files, f"{info}/METADATA": f"Name: {name}\nVersion: {version}\n"}.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/METADATA", f"{info}/RECORD"))
    (site / info / "RECORD").write_text(record)


def planned(site: Path, *texts: str) -> tuple[Installed, list[tuple[str, str]], tuple[str, ...]]:
    installed = Installed(replace(CURRENT, paths=(str(site),)))
    found = find_planned([Requirement(text) for text in texts], installed)
    return installed, [(name, source.relative_to(site).as_posix()) for name, source in found.links], found.absent


def test_a_folder_of_its_own_is_one_link_and_a_shared_one_is_made_anew(tmp_path: Path) -> None:
    install(tmp_path, "alpha", {"alpha/__init__.py": "", "alpha/data.txt": "", "acme/one.py": ""})
    install(tmp_path, "beta", {"beta.py": "", "acme/two.py": ""})
    install(tmp_path, "gamma", {"acme/three.py": "", "gamma/__init__.py": ""})
    links = [
        "acme/one.py", "acme/three.py", "alpha", "alpha-1.0.dist-info", "gamma", "gamma-1.0.dist-info",
    ]  # fmt: skip
    assert planned(tmp_path, "alpha==1.0", "gamma==1.0")[1] == [(name, name) for name in links]
    together = [name for name, _ in planned(tmp_path, "alpha==1.0", "beta==1.0", "gamma==1.0")[1]]
    assert together == ["acme", "alpha", "alpha-1.0.dist-info", "beta-1.0.dist-info", "beta.py", *links[-2:]]


def test_what_is_not_here_as_it_is_planned_is_said(tmp_path: Path) -> None:
    install(tmp_path, "alpha", {"alpha.py": ""})
    install(tmp_path, "local_tool", {"local_tool.py": ""})
    _, links, absent = planned(
        tmp_path, "alpha==2.0", "nowhere==1", "--extra-index-url https://x", "./wheels/local_tool-1.0-py3-none-any.whl"
    )
    assert absent == ("alpha==2.0 is planned, and 1.0 is installed here", "nowhere is not installed here")
    assert [name for name, _ in links] == ["local_tool-1.0.dist-info", "local_tool.py"]


def test_the_environment_has_the_planned_and_no_others(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(site, "alpha", {"alpha/__init__.py": "name = 'alpha'", "acme/one.py": "", "alpha.pth": "import alpha\n"})
    install(site, "beta", {"beta.py": "", "acme/two.py": ""})
    installed = Installed(replace(CURRENT, paths=(str(site),)))
    executable = Path(os.path.realpath(sys.executable))
    found = find_planned([Requirement("alpha==1.0")], installed)
    python = write_environment(found, tmp_path / "venv", CURRENT, executable)
    code = """
import sys, importlib.metadata
print("alpha" in sys.modules, importlib.metadata.version("alpha"))
import alpha, acme.one
for name in ("beta", "acme.two", "pytest", "buildr_jupyter"):
    try: __import__(name)
    except ImportError: print("no", name)
print(sys.prefix)
"""
    said = subprocess.run(
        [python, "-c", code], capture_output=True, text=True, check=True, env={}, cwd=tmp_path
    ).stdout.split("\n")
    assert said[:5] == ["True 1.0", "no beta", "no acme.two", "no pytest", "no buildr_jupyter"]
    assert said[5] == str(tmp_path / "venv")
    assert (site_folder(tmp_path / "venv", CURRENT) / "alpha").is_symlink()


def test_the_interpreter_is_itself_and_not_its_packages() -> None:
    found = interpreter_paths(CURRENT, Path(os.path.realpath(sys.executable)))
    assert Path(os.path.realpath(sys.executable)) in found
    assert any(path.name == "json" for path in found)
    assert not any(path.name in ("site-packages", "dist-packages") for path in found)
