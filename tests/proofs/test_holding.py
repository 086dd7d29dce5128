"""Ways to hold an object times ways to change it: of a hundred programs none prints something else without a word."""

from __future__ import annotations

import pytest

from tests.proofs.holding import Program, outcome, write_program


@pytest.mark.parametrize("seed", range(100))
def test_the_slice_prints_what_the_cells_print(seed: int) -> None:
    program = write_program(seed)
    assert outcome(program).partition(":")[0] in ("same", "void"), program


def test_most_programs_run_at_all() -> None:
    found = [outcome(write_program(seed)).partition(":")[0] for seed in range(40)]
    assert found.count("same") >= 30


def test_a_difference_is_told() -> None:
    cells = (
        "import random",
        "x = [1]",
        "random.kept = lambda: x",
        "getattr(random, 'ke' + 'pt')()[:] = [2]",
        "print(x)",
    )
    assert outcome(Program(("x = 1", "print(x)"))) == "same"
    assert outcome(Program(("print(nothing)",))).startswith("void: NameError")
    assert outcome(Program(cells)) != "void"
