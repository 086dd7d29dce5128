"""Carried scripts: what lies beside them comes, and what they import of packages is required."""

from __future__ import annotations

from pathlib import Path

from buildr_jupyter.export.carried_scripts import script_needs
from buildr_jupyter.export.project import Tree
from buildr_jupyter.process.confined import file_entry

FILES = {
    "scripts/job.py": "import sys, helper, numpy as np\nfrom pack import inner\nimport gone\n",
    "scripts/helper.py": "import pandas\nfrom . import nothing\n",
    "scripts/pack/__init__.py": "",
    "scripts/pack/inner.py": "import yaml\n",
    "scripts/unused.py": "import unused\n",
    "broken.py": "def f(:\n",
    "data.csv": "import no_script\n",
}


def written(folder: Path) -> Path:
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def test_what_a_script_imports_from_beside_it_and_of_packages(tmp_path: Path) -> None:
    folder = written(tmp_path)
    files = [file_entry(f"app/{path}", folder / path, folder) for path in ("scripts/job.py", "broken.py", "data.csv")]
    entries, uses = script_needs(files, Tree.of(folder, None))
    paths = ["app/scripts/helper.py", "app/scripts/pack/__init__.py", "app/scripts/pack/inner.py"]
    assert sorted(entry.path for entry in entries) == paths
    assert {entry.why for entry in entries} == {"imported by scripts/job.py"}
    assert {use.module for use in uses} == {"sys", "numpy", "gone", "pandas", "yaml"}
    assert all(use.optional for use in uses)


def test_what_is_there_already_comes_once(tmp_path: Path) -> None:
    folder = written(tmp_path)
    paths = [path for path in FILES if path.startswith("scripts/")]
    assert (
        script_needs([file_entry(f"app/{one}", folder / one, folder) for one in paths], Tree.of(folder, None))[0] == []
    )


def test_a_script_in_the_tree_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    written(tmp_path)
    tree = Tree(tmp_path / "notebooks", tmp_path, whole=True)
    files = [file_entry("app/scripts/job.py", tmp_path / "scripts/job.py", tmp_path)]
    assert "app/scripts/helper.py" in [entry.path for entry in script_needs(files, tree)[0]]
