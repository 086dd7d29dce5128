"""Computed imports: which modules a program gets at by names that are not written out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from buildr_jupyter.export.computed_imports import find_computed, may_compute
from buildr_jupyter.model.plan import ImportUse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path, text in {
        "steps/__init__.py": "",
        "steps/one.py": "",
        "steps/two.py": "",
        "steps/deep/__init__.py": "",
        "steps/deep/three.py": "",
        "steps/not-a-module.py": "",
        "own/__init__.py": "import pkgutil\nfound = [m.name for m in pkgutil.iter_modules(__path__)]\n",
        "own/inner.py": "",
        "near/__init__.py": "from importlib import import_module\ndef get(n): return import_module('.' + n, __name__)\n",
        "near/far.py": "",
        "chosen.py": "import importlib\nfor n in ('json', 'near'):\n    importlib.import_module(n)\n",
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


ALL_STEPS = ["steps", "steps.deep", "steps.deep.three", "steps.one", "steps.two"]


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("for n in ('one', 'two'):\n    importlib.import_module(f'steps.{n}')", ["steps.one", "steps.two"]),
        ("[importlib.import_module('steps.' + n) for n in names()]", ALL_STEPS),
        ("importlib.import_module(f'steps.{name()}')", ALL_STEPS),
        ("__import__(name())", []),
        ("import pkgutil, steps\npkgutil.iter_modules(steps.__path__)", ALL_STEPS),
        ("import steps.deep as d\nlist(d.__path__)", ["steps.deep", "steps.deep.three"]),
        ("import importlib.util as u\n{m: u.find_spec(m) for m in ('numpy', 'gone')}", ["numpy", "gone"]),
        ("from importlib.metadata import version\nversion('scikit-learn')", ["sklearn"]),
        ("from importlib import metadata\n[metadata.version(p) for p in ('numpy', 'pytest-cov')]",
         ["numpy", "pytest_cov"]),
        ("from importlib import metadata\nmetadata.files('numpy')", []),
        ("version('numpy')", []),
        ("import own", ["own", "own.inner"]),
        ("import near", ["near", "near.far"]),
        ("import chosen", ["json", "near", "near", "near.far"]),
    ],
)  # fmt: skip
def test_modules_that_are_not_written_out(folder: Path, source: str, modules: list[str]) -> None:
    tree = ast.parse(f"import importlib\n{source}")
    imported = [ImportUse(alias.name) for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    found = find_computed([(node, "nb.ipynb, cell 0") for node in tree.body], imported, [folder])
    assert [use.module for use in found] == modules
    assert all(use.optional for use in found)
    assert all("line" in use.origin for use in found)


def test_a_text_that_computes_nothing_is_not_looked_into() -> None:
    assert may_compute("importlib.import_module(x)")
    assert not may_compute("import numpy as np\nx = np.zeros(3)")
