from __future__ import annotations

import ast

import pytest

from buildr_jupyter.export.exporter import make_program
from buildr_jupyter.export.half_done import find_half_done
from buildr_jupyter.notebook.observed import Observed

from .parts import cell, given_of

LOOP = "for i in range(5):\n    xs.append(i)\n    1 / (2 - i)"


@pytest.mark.parametrize(
    ("text", "line", "names"),
    [
        (LOOP, 3, {"xs", "i"}),
        (LOOP, 1, None),
        ("xs.append(1)", 1, None),
        ("def f():\n    xs.append(1)", 2, None),
        ("while True:\n    a.b[0].c = 1\n    del d['x']\n    fail()", 4, {"a", "d"}),
        ("with open(p) as f:\n    note(rows[0], of=all)\n    fail()", 3, {"f", "rows", "all"}),
        ("if x:\n    print(y)\n    fail()", 3, None),
        ("try:\n    z += 1\n    fail()\nfinally:\n    pass", 3, {"z"}),
    ],
)
def test_what_a_statement_may_have_done_before_it_failed(text: str, line: int, names: set[str] | None) -> None:
    found = find_half_done(ast.parse(text).body[0], line)
    assert (None if found is None else set(found.names)) == names


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (("xs = []", LOOP, "print(xs)"), True),
        (("xs = []", LOOP, "xs = []", "print(xs)"), False),
        (("xs = []\nn = 1", LOOP, "print(n)"), False),
        (("class xs:\n    append = print", LOOP, "print(xs)"), False),
    ],
)
def test_it_is_told_where_the_program_reads_that(cells: tuple[str, ...], told: bool) -> None:
    runs = [
        cell(text, n, **{"status": "error", "failed_line": 3} if text == LOOP else {}) for n, text in enumerate(cells)
    ]
    warnings = [warning.text for warning in make_program(given_of(*runs)).warnings]
    assert warnings == (
        ["nb.ipynb, cell 1 failed within the statement of line 1: what that had done to xs until then is left out"]
        if told
        else []
    )


def test_what_a_kernel_saw_it_do_comes_as_a_value() -> None:
    xs = [0, 1, 2]
    failed = cell(LOOP, 1, status="error", failed_line=3, observed=Observed(changed=frozenset({"xs"})))
    program = make_program(given_of("xs = []", failed, "print(xs)", namespace={"xs": xs, "i": 2}))
    assert program.warnings == ()
    assert [(note.name, note.kind) for note in program.names] == [("xs", "snapshot")]
