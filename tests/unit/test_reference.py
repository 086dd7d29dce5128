"""The reference of the documentation: everything that the code has is in it."""

from __future__ import annotations

import importlib.util
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from buildr_jupyter import cli, errors
from buildr_jupyter.config.options import OPTIONS, SETTINGS
from buildr_jupyter.config.timeouts import Limits
from buildr_jupyter.events import event
from buildr_jupyter.model.result import BuildResult

EXTENSION = Path(__file__).parents[2] / "docs" / "_ext" / "reference.py"


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", EXTENSION)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_is_listed(reference: ModuleType) -> None:
    options = "\n".join(reference.options())
    assert [one.name for one in OPTIONS if f"| `--{one.name}" not in options] == []
    settings = "\n".join(reference.settings())
    assert [one.field for one in SETTINGS if f"`BUILDR_{one.field.upper()}`" not in settings] == []
    assert all(f"| {one.default:g} |" in "\n".join(reference.waiting()) for one in fields(Limits))
    tree = "\n".join(reference.errors())
    assert [name for name in errors.__all__ if f"`{name}`" not in tree] == []
    kinds = [name for name in event.__all__ if isinstance(getattr(event, name), type)]
    assert [name for name in kinds if f"## {name}" not in "\n".join(reference.events())] == []
    assert [one.name for one in fields(BuildResult) if f"| `{one.name}` |" not in "\n".join(reference.results())] == []


def test_each_command_has_its_help(reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = "\n".join(reference.commands())
    assert [name for name in cli._COMMANDS if f"## buildr {name}" not in shown] == []


def test_a_cell_of_a_table_stays_one_cell(reference: ModuleType) -> None:
    for made in (reference.options, reference.settings, reference.events, reference.results, reference.plan):
        for row in made():
            if row.startswith("|"):
                assert "\n" not in row
                assert row.replace("\\|", "").count("|") in (4, 5)
