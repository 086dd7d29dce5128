"""Names that the kernel has and no known run gives; bodies of other containerized cells."""

from __future__ import annotations

import collections
import fractions
import json
import math
from pathlib import Path

import pytest

from buildr_jupyter.errors import UnboundName, ValueRefused
from buildr_jupyter.export.program import explain
from buildr_jupyter.export.value_capture import importable

from .test_program import make, run


def test_what_can_be_imported_is_imported(tmp_path: Path) -> None:
    namespace = {"js": json, "Fraction": fractions.Fraction, "Od": collections.OrderedDict, "sqrt": math.sqrt}
    program = make(["x = 4", "print(js.dumps([Fraction(1, 2) == sqrt(0.25)]), Od(a=x))"], namespace=namespace)
    assert run(program, tmp_path).stdout == f"[true] {collections.OrderedDict(a=4)}\n"
    assert {use.module for use in program.imports} == {"json", "fractions", "collections", "math"}
    assert ("js", "import") in [row[:2] for row in explain(program)]


def test_a_small_value_is_a_literal(tmp_path: Path) -> None:
    program = make(["def f():\n    return limit * 2", "f()"], namespace={"limit": 4})
    assert run(program, tmp_path).stdout == "8\n"
    assert ("limit", "literal") in [row[:2] for row in explain(program)]


def _own() -> None: ...


_own.__module__ = "__main__"


@pytest.mark.parametrize("value", [[1], _own, lambda: 0, object()])
def test_another_value_is_refused_with_the_way_out(value: object) -> None:
    with pytest.raises(ValueRefused, match=r"cell 1, line 1: thing \(") as caught:
        make(["x = 1", "thing"], namespace={"thing": value})
    assert "--snapshot thing" in (caught.value.hint or "")


def test_a_snapshot_of_it_is_taken(tmp_path: Path) -> None:
    program = make(["x = 1", "thing"], namespace={"thing": [1]}, snapshots=("thing",))
    assert run(program, tmp_path).stdout == "[1]\n"


def test_a_name_that_the_kernel_does_not_have_either_is_unbound() -> None:
    with pytest.raises(UnboundName, match="'gone'"):
        make(["x = 1", "gone"], namespace={"x": 1})


def test_importable_refuses_what_moved() -> None:
    assert importable("d", json.JSONDecoder) == (
        "from json.decoder import JSONDecoder as d",
        "json.decoder",
        ("JSONDecoder",),
    )
    assert importable("m", json.JSONDecoder.decode) is None
    assert importable("x", 3) is None


def test_other_containerized_cells_supply_nothing_unless_they_ran_here(tmp_path: Path) -> None:
    with pytest.raises(UnboundName, match="'a'"):
        make(["%%containerize\na = 1", "%%containerize\na"])
    assert run(make(["%%containerize --here -t x\na = 1", "%%containerize\na"]), tmp_path).stdout == "1\n"
    assert run(make(["a = 0", "%%containerize\na = 1", "%%containerize\na"]), tmp_path).stdout == "0\n"
