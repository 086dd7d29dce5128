"""What an expression may be: with whom its value shares objects, and what it does on the way."""

from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue
from buildr_jupyter.analysis.expressions import gives_values, part_of_module
from tests.unit.analysis.executed import check_changes, check_shares, evaluated, followed, last_effects

LISTS = "a = [[1], [2]]\nb = [3]\nd = {'k': b}\nt = (a, 1)"


@pytest.mark.parametrize(
    ("expression", "shared"),
    [
        ("1", ""),
        ("'text'", ""),
        ("a", "a"),
        ("[a, 1]", "a"),
        ("(a, b)", "a b"),
        ("{'x': b}", "b"),
        ("{**d}", "b"),
        ("[*t]", "a"),
        ("a or b", "a b"),
        ("a and b", "a b"),
        ("a if b else d", "a b d"),
        ("not a", ""),
        ("a == b", ""),
        ("a is b", ""),
        ("1 in b", ""),
        ("t[0]", "a"),
        ("t[:1]", "a"),
        ("d['k']", "b"),
        ("b + [1]", ""),
        ("[a] + [b]", "a b"),
        ("[b] * 2", "b"),
        ("f'{a}{b!r:>9}'", ""),
        ("'%s' % (b,)", ""),
        ("(x := a)", "a"),
        ("[y for y in t]", "a"),
        ("{z: y for z, y in d.items()}", "b"),
        ("(y for y in [a])", "a"),
        ("[b for _ in range(2)]", "b"),
        ("(lambda: a)()", "a"),
        ("(lambda x=b: x)()", "b"),
        ("(lambda *xs: xs)(a, b)", "a b"),
        ("[len(x) for x in a]", ""),
    ],
)
def test_a_value_shares_what_it_really_shares(expression: str, shared: str) -> None:
    check_shares(LISTS, expression, shared)


ITERATORS = "a = [1, 2]\nb = iter([1, 2])\nc = (x for x in [1, 2])"


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("[*b]", "b"),
        ("1 in b", "b"),
        ("1 in a", ""),
        ("[x for x in c]", "c"),
        ("[x for x in a]", ""),
        ("[0 for a[0] in [5]]", "a"),
        ("b is None", ""),
        ("a == [1]", ""),
        ("[a.append(3) for _ in range(2)]", "a"),
        ("(a.append(3), 1)", "a"),
        ("{1: a.append(3)}", "a"),
        ("a[a.pop()] if False else 0", "a"),
        ("a[len(a) - 1:b.__next__()]", "b"),
        ("f'{a.pop()}'", "a"),
        ("(a := 5)", "a"),
        ("lambda: a.pop()", ""),
        ("[a.append][0](3)", "a"),
        ("(lambda put: put(3))(a.append)", "a"),
    ],
)
def test_an_expression_changes_what_it_really_changes(statement: str, changed: str) -> None:
    check_changes(ITERATORS, statement, changed)


SPECIAL = "log = []\nclass C:\n    {method}\nc = C()"


@pytest.mark.parametrize(
    ("method", "expression"),
    [
        ("def __add__(s, o): log.append(1)", "c + 1"),
        ("def __radd__(s, o): log.append(1)", "1 + c"),
        ("def __neg__(s): log.append(1)", "-c"),
        ("def __lt__(s, o): log.append(1)", "c < 1"),
        ("def __bool__(s): return log.append(1) is None", "not c"),
        ("def __format__(s, spec): return str(log.append(1))", "f'{c}'"),
        ("def __getitem__(s, k): log.append(1)", "c[0]"),
        ("def __getattr__(s, k): log.append(1)", "c.anything"),
        ("@property\n    def p(s): log.append(1)", "c.p"),
        ("def __contains__(s, o): log.append(1)", "1 in c"),
    ],
)
def test_an_operator_runs_the_methods_of_the_notebooks_classes(method: str, expression: str) -> None:
    check_changes(SPECIAL.format(method=method), expression, "log")


def test_what_is_known_of_a_text() -> None:
    said = {text: evaluated("n = 'day'", text)[1] for text in ("'a'", "n + 'x'", "f'{n}.csv'", "f'{1}.csv'", "1")}
    assert {text: (one.const, one.typ) for text, one in said.items()} == {
        "'a'": ("a", "str"),
        "n + 'x'": ("dayx", "str"),
        "f'{n}.csv'": ("day.csv", "str"),
        "f'{1}.csv'": (None, "str"),
        "1": (None, None),
    }
    assert said["f'{1}.csv'"].text == "\0.csv"


def test_a_part_of_a_module_is_named_by_its_path() -> None:
    flow, value = evaluated("import os.path\nimport numpy as np", "np.random.default_rng")
    assert value.path == "numpy.random.default_rng"
    assert value.objs == frozenset((flow.module("numpy"),))
    assert evaluated("", "len")[1] == AbstractValue(path="len")


def test_what_leads_to_randomness_is_known_where_its_path_is_lost() -> None:
    flow, value = evaluated("import numpy as np", "np.random.rand")
    (part,) = [one for one in value.objs if part_of_module(one) is not None]
    found = part_of_module(part)
    assert found is not None
    assert found.path == "numpy.random.rand"
    assert evaluated("import numpy as np", "np.random.rand")[1].path == value.path
    assert not any(part_of_module(one) for one in evaluated("import numpy as np", "np.sqrt")[1].objs)
    assert flow.callable_anywhere(value).objs == value.objs, "one object stands for each part"


def test_a_draw_through_a_list_moves_the_generator() -> None:
    program = "import numpy as np\nnp.random.seed(1)\nmakers = [np.random.rand]\nmakers[0](3)"
    flow, facts = last_effects(program)
    assert not facts.mutates.isdisjoint(flow.env["@rng:numpy"].objs)
    flow, facts = last_effects(program.replace("makers[0](3)", "len(makers)"))
    assert facts.mutates.isdisjoint(flow.env["@rng:numpy"].objs)


def test_a_name_is_that_of_the_nearest_scope() -> None:
    _, facts = last_effects("x = [1]\ndef f(x):\n    return [x for x in x]\ny = [2]\nf(y)")
    assert "x" not in facts.reads
    assert facts.reads == {"f", "y"}
    _, facts = last_effects("x = [1]\nclass C:\n    x = [2]\n    def m(self):\n        x.append(3)\nC().m()")
    assert "x" in facts.reads, "a method does not see its class's names"


@pytest.mark.parametrize("owner", ["B", "D", "d"])
def test_what_a_class_holds_is_shown_by_its_subclasses_and_objects(owner: str) -> None:
    setup = "held = []\nclass B: kept = held\nclass D(B): pass\nd = D()\n"
    check_shares(setup, f"{owner}.kept", {"B": "held B", "D": "held B D", "d": "held B D"}[owner])


def test_which_functions_keep_nothing() -> None:
    assert [gives_values(path) for path in ("numpy.sqrt", "len", "str.upper", "engine.f")] == [True, True, True, False]


def test_a_captured_name_is_shared_by_the_closure() -> None:
    check_changes(
        "def make(v):\n    def put():\n        v.append(1)\n    return put\na = []\nf = make(a)", "f()", "a f"
    )
    check_changes("def make(v):\n    def put():\n        return len(v)\n    return put\na = []\nf = make(a)", "f()", "")


def test_a_generator_reads_its_names_when_it_is_used() -> None:
    _, facts = last_effects("n = 1\ng = (n for _ in [1])\nlist(g)")
    assert "n" in facts.reads
    assert evaluated("a = [1]", "(x for x in a)")[0].facts.mutates == set(), "a list is not changed by its iteration"


def test_caller_of_gives_a_function_that_calls_the_method() -> None:
    flow = followed("a = [3, 1]")
    (function,) = flow.caller_of("sort").objs
    assert function.kind == "func"
    flow.invoke(AbstractValue(frozenset((function,))), [flow.env["a"]])
    assert flow.env["a"].objs <= flow.facts.mutates
    assert flow.caller_of("no name") == ATOM == flow.caller_of("class")


def test_a_long_sum_needs_no_deep_stack() -> None:
    tree: ast.expr = ast.Name("a", ast.Load(), lineno=1)
    for _ in range(5000):
        tree = ast.BinOp(tree, ast.Add(), ast.Name("a", ast.Load(), lineno=1))
    flow, _ = evaluated("a = 1", "0")
    assert flow.eval(tree) == ATOM
    assert flow.facts.reads == {"a"}


def test_an_expression_of_an_unknown_kind_is_looked_into() -> None:
    class Odd(ast.expr):
        _fields = ("inner",)

    flow = followed("a = [1]")
    odd = Odd(inner=ast.parse("a.pop()", mode="eval").body)  # type: ignore[call-arg]
    assert flow.eval(odd) == ATOM
    assert flow.env["a"].objs <= flow.facts.mutates


@pytest.mark.parametrize(
    ("setup", "expression", "typ"),
    [
        ("", "[1]", "list"),
        ("", "{1}", "set"),
        ("", "{}", "dict"),
        ("", "(1,)", "tuple"),
        ("a = [1]", "a[:1]", "list"),
        ("", "[x for x in 'ab']", "list"),
        ("", "{x: 1 for x in 'ab'}", "dict"),
        ("import numpy as np\na = np.zeros(3)", "a + 1", "ndarray"),
        ("import numpy as np\na = np.zeros(3)", "a[a > 1]", "ndarray"),
        ("import numpy as np\na = np.zeros(3)", "-a", "ndarray"),
        ("import numpy as np\na = np.zeros(3)", "a > 1", "ndarray"),
        ("import numpy as np\na = np.zeros(3)", "a.shape", None),
    ],
)
def test_the_type_of_a_value(setup: str, expression: str, typ: str | None) -> None:
    assert evaluated(setup, expression)[1].typ == typ


def test_a_selection_by_a_mask_is_a_copy_and_one_by_a_slice_a_view() -> None:
    setup = "import numpy as np\na = np.zeros(3)\nm = a > 1\n"
    check_changes(setup + "s = a[:2]", "s[0] = 1", "s a")
    check_changes(setup + "s = a[a > 0]", "s[0:0] = 1", "s")


def test_awaiting_a_task_does_what_it_was_made_for() -> None:
    program = "log = []\nasync def f():\n    log.append(1)\nwork = f()\nawait work"
    flow, facts = last_effects(program)
    assert flow.env["log"].objs <= facts.mutates
    assert flow.env["work"].objs <= facts.mutates, "it can be awaited once"
