"""Evidence: what runs were seen to do decides about what their text only may do, and about what it does not tell."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import pytest

from buildr_jupyter.analysis.evidence import Evidence
from buildr_jupyter.analysis.slicer import Slice, analyze, slice_back
from buildr_jupyter.analysis.statements import Flow
from buildr_jupyter.notebook.observed import Observed


def look(
    cells: Sequence[tuple[str, Observed | None]], *, failed: bool = False, unmade: tuple[str, ...] | None = None
) -> tuple[Evidence, list[str]]:
    """Return the evidence of the cells and the statements that the last one needs, as text."""
    flow = Flow()
    evidence = Evidence(flow)
    statements = []
    for run, (source, observed) in enumerate(cells):
        first = len(statements)
        for statement in analyze(flow, ast.parse(source).body, run, may_fail=False):
            statements.append(statement)
            evidence.note(statement)
        if run < len(cells) - 1:
            evidence.weigh(statements[first:], run, observed, failed=failed, unmade=unmade)
    sliced: Slice = slice_back(flow, statements, len(cells) - 1, unchanged=evidence.unchanged)
    return evidence, [ast.unparse(one.node) for one in sliced.kept if one.run != len(cells) - 1]


def seen(**sets: str) -> Observed:
    return Observed(**{name: frozenset(text.split()) for name, text in sets.items()})


START = ("import tools\nx = [1]\ny = [x]", seen(bound="tools x y"))


def test_what_a_statement_may_have_done_and_did_not() -> None:
    maybe = "r = tools.push(x)"
    assert maybe in look([START, (maybe, None), ("print(x)", None)])[1]
    assert maybe in look([START, (maybe, seen()), ("print(x)", None)])[1]  # not looked at
    assert maybe not in look([START, (maybe, seen(unchanged="x y")), ("print(x)", None)])[1]
    # What hangs on both names, of which only one was looked at as a whole:
    assert maybe in look([START, (maybe, seen(unchanged="x")), ("print(x, y)", None)])[1]


def test_names_that_the_run_bound_are_no_evidence() -> None:
    cell = "x = [2]\ntools.push(x)"
    assert look([START, (cell, seen(unchanged="x")), ("print(x)", None)])[1] == ["import tools", *cell.split("\n")]


def test_what_a_run_undid_is_kept_whole_where_a_statement_of_it_saw_it() -> None:
    cell = "r = tools.push(x)\nn = len(x)\nx.pop()"
    kept = look([START, (cell, seen(bound="n r", unchanged="x y")), ("print(n, x)", None)])[1]
    assert kept[-3:] == cell.split("\n")
    kept = look([START, (cell, seen(bound="n r", unchanged="x y")), ("print(x)", None)])[1]
    assert kept == ["x = [1]"]


def test_a_change_that_no_statement_was_read_to_make_keeps_the_run() -> None:
    cell = "n = 1\nm = 2"
    evidence, kept = look([START, (cell, seen(bound="n m", changed="x y")), ("print(x)", None)])
    assert kept == ["import tools", "x = [1]", "n = 1", "m = 2"]
    assert evidence.whole == {1: frozenset({"x", "y"})}
    assert look([START, (cell, seen(bound="n m", changed="x y")), ("print(n)", None)])[1] == ["import tools", "n = 1"]
    evidence, kept = look([START, ("x.append(2)", seen(changed="x y")), ("print(y)", None)])
    assert not evidence.whole
    assert kept == ["import tools", "x = [1]", "y = [x]", "x.append(2)"]


def test_an_object_that_keeps_what_it_was_asked_for_keeps_the_run_and_that_is_not_told() -> None:
    made = ("import tools\nm = tools.fit()", seen(bound="tools m"))
    evidence, kept = look([made, ("k = 2\nm.params", seen(bound="k", changed="m")), ("print(m)", None)])
    assert kept[-2:] == ["k = 2", "m.params"]
    assert not evidence.whole
    evidence, kept = look([made, ("k = 2", seen(bound="k", changed="m")), ("print(m)", None)])
    assert kept[-1] == "k = 2"
    assert evidence.whole == {1: frozenset({"m"})}


def test_of_a_failed_run_only_what_it_left_alone_counts() -> None:
    evidence, _ = look([START, ("n = 1", seen(changed="x", bound="z")), ("print(x)", None)], failed=True)
    assert not evidence.whole
    assert "z" not in evidence.given_unseen


def test_names_that_no_text_binds() -> None:
    cells = [("tools.inject()", seen(bound="a")), ("a", None)]
    assert look(cells)[0].given_unseen == {"a": 0}
    assert not look([*cells[:1], ("a = 2", seen(bound="a")), ("a", None)])[0].given_unseen
    assert not look([*cells[:1], ("a = 2", None), ("a", None)])[0].given_unseen


RANDOM = ("import random, tools", seen(bound="random tools"))
SEED = ("random.seed(1)", seen(generators="random"))


def test_draws_that_come_again_and_that_do_not() -> None:
    draw = ("x = random.random()", seen(bound="x", generators="random"))
    assert look([RANDOM, draw, ("x", None)])[0].unrepeatable == {1: {"random"}}
    assert look([RANDOM, SEED, draw, ("x", None)])[0].unrepeatable == {}
    for text in ("random.seed()", "random.seed(None)", "random.seed(a=None)"):
        again = (text, seen(generators="random"))
        assert look([RANDOM, SEED, again, draw, ("x", None)])[0].unrepeatable == {3: {"random"}}
    assert look([RANDOM, ("x = random.random()", None), ("x", None)])[0].unrepeatable == {1: {"random"}}
    quiet = ("x = random.random() if 0 else 1", seen(bound="x"))
    assert look([RANDOM, quiet, ("x", None)])[0].unrepeatable == {1: set()}


@pytest.mark.parametrize("seed", ["", "\nnp.random.seed(1)"])
def test_what_only_may_draw_makes_no_value_a_random_one(seed: str) -> None:
    """A package that no table knows may draw; only of a generator that the notebook set is more made of that."""
    start = (f"import sqlite3, numpy as np{seed}\ndef f():\n    return sqlite3.connect(':memory:')", None)
    assert look([start, ("c = f()", None), ("d = sqlite3.connect(':memory:')", None)])[0].unrepeatable == {}


def test_an_earlier_run_of_the_chosen_cell_tells_that_it_draws() -> None:
    flow = Flow()
    evidence = Evidence(flow)
    cells = [ast.parse(one).body for one in ("import random, math\nrandom.seed(1)", "print(math.floor(1.5))")]
    statements = []
    for run, body in enumerate(cells):
        statements += analyze(flow, body, run, may_fail=False)
    assert len(slice_back(flow, statements, 1).kept) == 2
    evidence.weigh_chosen(statements[2:], seen(generators="random"))
    kept = [ast.unparse(one.node) for one in slice_back(flow, statements, 1).kept]
    assert kept == ["import random, math", "random.seed(1)", "print(math.floor(1.5))"]


def test_draws_that_no_text_tells_of() -> None:
    draw = ("x = tools.noise()", seen(bound="x", generators="random"))
    assert look([RANDOM, draw, ("x", None)])[0].unrepeatable == {1: {"random"}}
    evidence, kept = look([RANDOM, SEED, draw, ("print(random.random())", None)])
    assert not any(evidence.unrepeatable.values())
    assert kept == ["import random, tools", "random.seed(1)", "x = tools.noise()"]
    # A library that seeds: who draws later needs it.
    evidence, kept = look([RANDOM, ("tools.prepare(3)", seen(generators="random")), ("print(random.random())", None)])
    assert kept == ["import random, tools", "tools.prepare(3)"]
    assert evidence.whole == {1: frozenset({"the state of random"})}


def test_what_a_statement_that_was_left_out_did_is_no_other_statement_s_doing() -> None:
    cells = [START, ("z = 3", seen(bound="z", changed="x")), ("print(x, z)", None)]
    evidence, kept = look(cells)
    assert (evidence.whole, evidence.given_unseen) == ({1: frozenset({"x"})}, {})
    assert "z = 3" in kept
    evidence, kept = look(cells, unmade=())
    assert (evidence.whole, evidence.given_unseen) == ({}, {"x": 1})


def test_draws_of_a_statement_that_was_left_out() -> None:
    seeded = ("import random\nrandom.seed(1)", seen(bound="random", generators="random"))
    drawn = ("None", seen(generators="random"))
    evidence = look([seeded, drawn, ("random.random()", None)], unmade=())[0]
    assert evidence.draws_after == {3: {"random": 1}}
    assert evidence.unrepeatable == {3: {"random"}}
    again = ("random.seed(2)", seen(generators="random"))
    assert look([seeded, drawn, again, ("random.random()", None)], unmade=())[0].draws_after == {}


def test_draws_of_imports() -> None:
    load = "from tools import make\nmade = [1]\nclass Add(make): pass"
    by_imports = seen(bound="tools make made Add", drawn_by_imports="random")
    evidence, kept = look([("import random", seen()), (load, by_imports), ("print(made)", None)])
    assert (evidence.whole, evidence.unrepeatable) == ({}, {})
    assert kept == ["made = [1]"]
    seeded = ("import random\nrandom.seed(1)", seen(bound="random", generators="random"))
    evidence, kept = look([seeded, (load, by_imports), ("print(random.random())", None)])
    assert (evidence.whole, evidence.unrepeatable) == ({}, {})
    assert kept == ["import random", "random.seed(1)", "from tools import make"]


def test_draws_of_imports_after_a_seed_in_the_same_cell() -> None:
    cell = "import random\nrandom.seed(1)\nfrom tools import make\nx = random.random()"
    by_both = seen(bound="random make x", generators="random", drawn_by_imports="random")
    assert look([(cell, by_both), ("print(x)", None)])[1] == cell.split("\n")


def test_what_a_module_keeps_to_itself_is_not_looked_at() -> None:
    cells = [
        ("from tools.shapes import Shape\nimport tools", seen(bound="Shape tools")),
        ("tools.set_up(1)", seen(unchanged="Shape tools")),
    ]
    assert "tools.set_up(1)" in look([*cells, ("print(Shape())", None)])[1]
