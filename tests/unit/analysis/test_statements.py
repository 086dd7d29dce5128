from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.abstract_values import Effects, Fails
from buildr_jupyter.analysis.slicer import analyze
from buildr_jupyter.analysis.statements import Flow
from tests.unit.analysis.test_slicer import kept


def facts(source: str) -> Effects:
    """Return what the last statement of a source does."""
    flow = Flow()
    found = [flow.statement(node, cell=0) for node in ast.parse(source).body]
    return found[-1]


@pytest.mark.parametrize(
    ("source", "reads", "binds"),
    [
        ("a = b", {"b"}, {"a"}),
        ("a, (b, *c) = d", {"d"}, {"a", "b", "c"}),
        ("a: int = b", {"b", "int"}, {"a"}),
        ("import os.path, json as j", set(), {"os", "j"}),
        ("from json import loads as l, dumps", set(), {"l", "dumps"}),
        ("def f(x=d): return x + later", {"d"}, {"f"}),
        ("class C(Base): y = z", {"Base", "z"}, {"C"}),
        ("with open(p) as f: x = f", {"open", "p"}, {"f", "x"}),
        ("[i for i in n if m]", {"n", "m"}, set()),
        ("g = lambda x: x + y", set(), {"g"}),
        ("(w := v)", {"v"}, {"w"}),
    ],
)
def test_names_that_a_statement_reads_and_binds(source: str, reads: set[str], binds: set[str]) -> None:
    found = facts(source)
    assert {name for name in found.reads if not name.startswith("@")} == reads
    assert found.binds == binds


def test_a_branch_may_bind_and_a_deletion_takes_away() -> None:
    branch = facts("if t:\n    a = 1\n    b = 1\nelse:\n    a = 2")
    assert ("a" in branch.binds, "b" in branch.maybe, "b" in branch.binds) == (True, True, False)
    assert facts("a = 1\ndel a").deletes == {"a"}


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a = []\na.append(1)", True),
        ("a = []\nb = a\nb.append(1)", True),
        ("a = []\nlen(a)", False),
        ("a = []\nb = list(a)\nb.append(1)", False),
        ("a = []\ndef f(x): x.append(1)\nf(a)", True),
        ("a = []\ndef f(x): return x + [1]\nf(a)", False),
        ("a = {}\na['k'] = 1", True),
    ],
)
def test_what_a_statement_changes(source: str, changes: bool) -> None:
    flow = Flow()
    *before, last = ast.parse(source).body
    for node in before:
        flow.statement(node, cell=0)
    held = flow.env["a"].objs
    assert held
    assert bool(held & flow.statement(last, cell=0).mutates) is changes


def test_a_function_that_is_called_reads_what_it_reads() -> None:
    assert "n" in facts("n = 1\ndef f(): return n\nf()").reads
    assert "n" not in facts("n = 1\ndef f(): return n\ng = f").direct


def test_what_may_read_any_name_has_its_line() -> None:
    assert facts("eval(text)").everything == 1
    assert facts("print(text)").everything == 0


def test_a_raise_ends_a_cell_that_may_have_failed() -> None:
    node = ast.parse("raise ValueError").body[0]
    with pytest.raises(Fails):
        Flow().statement(node, cell=0, may_fail=True)


def test_the_value_before_a_statement_is_that_of_the_last_binding() -> None:
    flow = Flow()
    for node in ast.parse("a = 'one'\na = 'two'\nb = a").body:
        flow.statement(node, cell=0)
    consts = [(value.const if (value := flow.before("a", number)) else None) for number in range(3)]
    assert consts == [None, "one", "two"]


MANAGER = "class M:\n    def __enter__(self):\n        return self\n    def __exit__(self, *e):\n        return True"


def test_what_fails_within_a_manager_need_not_fail_outside() -> None:
    body = "with M() as m:\n    m.x = 1\n    raise ValueError\ny = m"
    assert len(list(analyze(Flow(), ast.parse(f"{MANAGER}\n{body}").body, 0, may_fail=True))) == 3
    failing = "with open('a.txt') as f:\n    raise ValueError\ny = f"
    assert not list(analyze(Flow(), ast.parse(failing).body, 0, may_fail=True))


def test_what_is_done_with_a_descriptor_is_kept() -> None:
    cells = (
        "import os\nr, w = os.pipe()\nn = 3",
        "os.write(w, b'abc')\nos.close(w)\nos.getpid()",
        "print(os.read(r, 9))",
    )
    assert {"os.write(w, b'abc')", "os.close(w)"} <= set(kept(*cells))
    assert "os.getpid()" not in kept(*cells)
