"""Calls that are too much to follow: objects of a library that hold each other, and statements that are given up."""

from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis import calls
from buildr_jupyter.analysis.slicer import Statement, analyze, slice_back
from buildr_jupyter.analysis.statements import Flow
from tests.proofs.planted import write_cells


def sliced(cells: list[str]) -> tuple[Flow, list[str]]:
    """Return the flow of all cells, and the statements that the last cell needs."""
    flow = Flow()
    statements: list[Statement] = []
    for number, cell in enumerate(cells):
        statements += analyze(flow, ast.parse(cell).body, number, may_fail=False)
    return flow, [ast.unparse(one.node) for one in slice_back(flow, statements, len(cells) - 1).kept]


def test_instances_of_a_librarys_class_that_hold_each_other_are_called_once_each() -> None:
    names = [f"op{number}" for number in range(6)]
    held = "\n".join(f"{name}.others = [{', '.join(names)}]" for name in names)
    source = (
        "class Node(Op):\n"
        "    def perform(self, x):\n        seen.append(x)\n        return [other(x) for other in self.others]\n"
        "    def __call__(self, *given):\n        return self.perform(*given)\n"
    )
    nodes = "\n".join(f"{name} = Node()" for name in names)
    cells = [
        "from graphs import Op\nseen = []",
        source,
        nodes,
        held,
        "made = op0(1)",
        "made2 = op3.perform(2)",
        "print(seen)",
    ]
    flow, kept = sliced(cells)
    assert "made = op0(1)" in kept
    assert "made2 = op3.perform(2)" in kept
    assert {f"{name} = Node()" for name in names} <= set(kept)
    assert flow.calls < calls.CALLS


def test_what_a_callable_of_a_library_holds_may_change_when_it_is_called() -> None:
    source = "from graphs import Op\nclass Node(Op):\n    def __init__(self, log):\n        self.log = log"
    inner = "class Inner(Op):\n    def __call__(self, x):\n        x.append(1)"
    made = "log = []\ninner = Inner()\nouter = Node(log)\nouter.inner = inner"
    cells = [source, inner, made, "outer()", "print(log)"]
    _, kept = sliced(cells)
    assert "outer()" in kept
    assert "outer.inner = inner" in kept


@pytest.mark.parametrize("seed", range(25))
def test_who_gives_up_keeps_no_less(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = write_cells(seed)
    _, kept = sliced(cells)
    monkeypatch.setattr(calls, "WORK", 3)
    _, wide = sliced(cells)
    assert set(kept) <= set(wide)


def test_who_gives_up_may_have_changed_a_global_and_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "def work(items):\n    log.append(1)\n    box.put(items)\n    items.append(2)"
    cells = ["log, other, n = [], [], 1", source, "class Box:\n    def put(self, x):\n        x.append(3)\nbox = Box()"]
    monkeypatch.setattr(calls, "WORK", 0)
    for name in ("log", "other"):
        _, kept = sliced([*cells, "work(other)", f"print({name})"])
        assert "work(other)" in kept
        assert source in kept


def work_of(parts: int) -> tuple[Flow, int]:
    """Return the flow, and the most work of a statement, of a notebook whose table holds so many methods of its own."""
    head = "import frames\ntable = frames.load()[['a']].groupby('b').agg(['mean'])\n"
    shorten = "def shorten(text):\n    return '_'.join(map(str, text))\n"
    stored = "".join(f"table.part{number} = table.part{number}.map(shorten)\n" for number in range(parts))
    flow, most = Flow(), 0
    for statement in ast.parse(f"{head}{shorten}{stored}table.reset_index(inplace=True)\nprint(table.shape)").body:
        flow.statement(statement, cell=0)
        most = max(most, flow.work)
    return flow, most


def test_methods_that_an_object_holds_are_called_once_each() -> None:
    (_, few), (flow, many) = work_of(4), work_of(8)
    assert many < few * 2**3.5, "the work grows as a power of what is held, and not with each order of the calls"
    assert not flow.facts.everything
    assert flow.calls < 50


def test_little_is_looked_at_once_a_statement_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "WORK", 2_000)
    flow, most = work_of(8)
    assert flow.facts.everything
    assert most < 8_000, "the look that goes over the budget is finished, and no other is begun"


def test_statements_of_much_work_share_what_a_notebook_may_take() -> None:
    """Each handler that a callable router is given may be called by it, with all others: each takes its whole budget."""
    router = (
        "class Router:\n    def __init__(self):\n        self.known = []\n"
        "    def route(self, path):\n"
        "        def keep(function):\n            self.known.append((path, function))\n            return function\n"
        "        return keep\n"
        "    def __call__(self, path):\n        return next(f() for p, f in self.known if p == path)\n"
    )
    pages = "def page(text):\n    return TEMPLATE + text\nTEMPLATE = '<>'\n"
    handlers = "".join(f"@app.route('/{n}')\ndef handler{n}():\n    return page('{n}')\n" for n in range(24))
    flow = Flow()
    for statement in ast.parse(f"{router}app = Router()\n{pages}{handlers}app('/1')").body:
        flow.statement(statement, cell=0)
    assert calls.ALL_WORK < flow.spent < 4 * calls.ALL_WORK, "24 handlers by themselves would take eight times that"
    _, kept = sliced([router, "app = Router()", pages, handlers, "app('/1')"])
    assert sum("def handler" in one for one in kept) == 24
