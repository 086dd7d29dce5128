from __future__ import annotations

import builtins
import importlib
from collections.abc import Collection

import pytest

from buildr_jupyter.analysis import library_tables as tables


def names_of(table: Collection[object]) -> list[str]:
    return [one for one in table if isinstance(one, str)]


@pytest.mark.parametrize("name", [name for name in sorted(tables.__all__) if name.isupper()])
def test_a_table_holds_names_without_spaces(name: str) -> None:
    found = names_of(getattr(tables, name))
    assert found
    assert [one for one in found if not one or one != one.strip() or " " in one] == []


@pytest.mark.parametrize("name", ["ATOMIC_BUILTINS", "CONSUMING_BUILTINS"])
def test_what_is_called_a_builtin_is_one(name: str) -> None:
    assert [one for one in names_of(getattr(tables, name)) if not hasattr(builtins, one)] == []


def test_functions_of_the_standard_library_exist() -> None:
    missing = []
    for path in sorted(tables.ITERATOR_FUNCTIONS):
        module, _, attribute = path.partition(".")
        if module in ("csv", "re", "glob", "os", "itertools", "heapq"):
            found = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part, None)  # type: ignore[assignment]
            if found is None and path != "itertools.batched":  # from Python 3.12
                missing.append(path)
    assert missing == []


def test_no_function_both_iterates_and_gives_a_view() -> None:
    assert tables.ITERATOR_FUNCTIONS.isdisjoint(tables.VIEW_FUNCTIONS)
