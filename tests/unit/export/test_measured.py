"""Measured statements: what they may have changed is told, or comes as a value; what they left alone is not."""

from __future__ import annotations

import ast

import pytest

from buildr_jupyter.export.exporter import make_program
from buildr_jupyter.export.measured import measured_nodes
from buildr_jupyter.notebook.observed import Observed

from .parts import cell, given_of

LIST, SEED = "acc = []\nn = 1", "import random\nrandom.seed(0)\nxs = [1]"
DRAW = "%timeit -n 3 random.random()"


@pytest.mark.parametrize(
    ("line", "body", "text"),
    [
        ("f(x)", None, "(f(x),)"),
        ("-n 3 -r2 -q f(x); g()", None, "(f(x), g())"),
        ("-x", None, "(-x,)"),
        ("-n1 -c -p 4 n", None, "(n,)"),
        ("-n 2", "f()\n", "(f(),)"),
        ("x += 1", None, "def %timeit():\n    x += 1\n(%timeit(),)"),
        ("-r 1 y = 2", "y\nf(y)", "def %timeit():\n    y = 2\n    y\n    f(y)\n(%timeit(),)"),
        ("-n 3", None, ""),
        ("f(", None, ""),
        ("", "%matplotlib", ""),
    ],
)
def test_what_is_read(line: str, body: str | None, text: str) -> None:
    nodes = measured_nodes(line, body, 7)
    assert "\n".join(map(ast.unparse, nodes)) == text
    assert {inner.lineno for node in nodes for inner in ast.walk(node) if isinstance(inner, ast.expr)} <= {7}


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ((LIST, "%timeit acc.append(1)", "acc"), "cell 1, line 1: %timeit runs what may change acc,"),
        ((LIST, "%timeit acc.append(1)", "n"), None),
        ((LIST, "%timeit acc.append(1)", "acc = []", "acc"), None),
        ((LIST, "%timeit sum(acc)\n%timeit [x for x in acc]\n%timeit acc + acc", "acc"), None),
        ((LIST, "%%timeit\nfor x in range(3):\n    acc.append(x)", "acc"), "may change acc,"),
        ((LIST, "%%timeit x = []\nx.append(acc)", "acc"), None),
        ((LIST, "%timeit n = 2", "n"), None),
        (("def f(xs): return [2 * x for x in xs]\nacc = [1]", "%timeit f(acc)", "f(acc)"), None),
        (("def f(xs): xs.sort()\nacc = [1]", "%timeit f(acc)", "acc"), "may change acc,"),
        (("acc = []\nif acc == []:\n    %timeit acc.append(1)\nn = acc", "n"), "line 3: %timeit runs"),
        ((LIST, "%timeit acc.append(1)\nacc"), "cell 1, line 1: %timeit runs what may change acc,"),
        ((LIST, "print(acc)\n%timeit acc.append(1)"), None),
        ((SEED, DRAW, "random.random()"), "may change the state of random,"),
        ((SEED, DRAW, "xs"), None),
        ((SEED, DRAW, "random.seed(1)\nrandom.random()"), None),
        ((SEED, f"%{DRAW[:12]}\nrandom.random()", "random.random()"), "may change the state of random,"),
    ],
)
def test_what_is_told(cells: tuple[str, ...], told: str | None) -> None:
    warnings = [one.text for one in make_program(given_of(*cells)).warnings]
    assert [told in text for text in warnings] == [True] if told else warnings == [], warnings


def test_what_a_kernel_saw_is_not_told_but_taken() -> None:
    seen = Observed(changed=frozenset({"acc"}))
    program = make_program(
        given_of(LIST, cell("%timeit acc.append(1)", 1, observed=seen), "print(acc)", namespace={"acc": [1, 1]})
    )
    assert program.warnings == ()
    assert [(one.name, one.kind) for one in program.names] == [("acc", "snapshot")]


def test_what_the_measured_statement_s_own_cell_made() -> None:
    seen = Observed(bound=frozenset({"acc", "n"}))
    first = "acc = []\nn = []\n%timeit acc.append(n)\nn = [2]"
    program = make_program(
        given_of(cell(first, 0, observed=seen), "print(acc, n)", namespace={"acc": [[], []], "n": [2]})
    )
    assert program.warnings == ()
    assert [(one.name, one.kind) for one in program.names] == [("acc", "snapshot"), ("n", "code")]


def test_its_program_has_none_of_it() -> None:
    program = make_program(given_of(LIST, "import json\n%timeit json.dumps(acc)\n%timeit -n 2 x = acc", "acc"))
    assert "json" not in program.text
    assert "%timeit" not in program.text
