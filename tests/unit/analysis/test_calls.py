"""What a call does and gives, compared with what it really does."""

from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue, Effects
from buildr_jupyter.analysis.library_calls import BOUND_CALLS, CALLS, COPIES, DEPTH, WORK
from tests.unit.analysis.executed import check_changes, check_shares, evaluated, followed, last_effects
from tests.unit.analysis.test_slicer import kept

DATA = "a = [3, 1]\nb = [2]\nlog = []\n"


@pytest.mark.parametrize(
    ("function", "call", "changed"),
    [
        ("def f(x, y):\n    x.append(1)", "f(a, b)", "a"),
        ("def f(x, y):\n    x.append(1)", "f(y=a, x=b)", "b"),
        ("def f(x, y=None):\n    y.append(1)", "f(a, b)", "b"),
        ("def f(*xs):\n    xs[1].append(1)", "f(a, b)", "a b"),  # its elements are not told apart
        ("def f(x, *xs):\n    xs[0].append(1)", "f(a, b)", "b"),
        ("def f(**named):\n    named['x'].append(1)", "f(x=a)", "a"),
        ("def f(x, y):\n    y.append(1)", "f(a, **{'y': b})", "b"),
        ("def f(x, y):\n    y.append(1)", "f(*[a, b])", "a b"),
        ("def f(x):\n    x[0].append(1)", "f([a])", "a"),
        ("def f(x):\n    return x", "f(a).append(1)", "a"),
        ("def f(x):\n    return [x]", "f(a).append(1)", ""),
        ("def f(x):\n    return [x]", "f(a)[0].append(1)", "a"),
        ("def f(x):\n    x = []\n    x.append(1)", "f(a)", "a"),  # that x is another list by then is not seen
        ("def f(x):\n    log.append(x)", "f(1)", "log"),
        ("def f(x):\n    global b\n    b = x", "f(1)", "b"),
        ("def f(x):\n    def g():\n        x.append(1)\n    return g", "f(a)()", "a"),
        ("def f(x):\n    def g():\n        x.append(1)\n    return g", "f(a)", ""),
        ("def f(g):\n    g(a)", "f(lambda x: x.append(1))", "a"),
        ("def f(g):\n    g(1)", "f(b.append)", "b"),
        ("def f(x):\n    return x.append", "f(a)(1)", "a"),
        ("def f(x):\n    yield x.append(1)", "f(a)", "a"),  # what a generator does is done by its call
        ("def f(x):\n    yield x.append(1)", "list(f(a))", "a"),
        ("def f(n):\n    return n and (log.append(n) or f(n - 1))", "f(2)", "log"),
        ("def f(n):\n    return n and g(n - 1)\ndef g(n):\n    log.append(n)\n    return f(n)", "f(2)", "log"),
        ("def f(x, y):\n    x.append(y)", "f(a, b)", "a"),
        ("import functools\n@functools.singledispatch\ndef f(x): pass\n@f.register(list)\ndef _(x): x.append(1)",
         "f(a)", "a"),
        ("import functools\nf = functools.partial(lambda x, y: y.append(x), 1)", "f(a)", "a"),
        ("def f(x):\n    put = x.append\n    put(1)", "f(a)", "a"),
        ("class B:\n    kept = []\nclass D(B): pass\nd = D()\ndef f(x):\n    x.kept.append(1)", "f(d)", "B D d"),
        ("def f(x, y, z):\n    z.append(1)", "f(*[1], a, b)", "a b"),
        ("def f(x, y, z):\n    x.append(1)", "f(a, *[b, 1])", "a"),
    ],
)  # fmt: skip
def test_a_call_of_a_function_changes_what_it_really_changes(function: str, call: str, changed: str) -> None:
    check_changes(DATA + function, call, changed)


CLASSES = (
    DATA
    + """
class Base:
    kept = []
    def put(self, x): x.append(1)
    def hold(self, x): self.x = x
    def kept_apart(self): self.kept.append(1)
class C(Base):
    def put(self, x):
        super().put(x)
    def __enter__(self): return a
    def __exit__(self, *e): pass
    def __call__(self, x): x.append(1)
    @classmethod
    def note(cls): cls.kept.append(1)
    @staticmethod
    def apart(x): x.append(1)
    @property
    def first(self): return a
c = C()
"""
)


@pytest.mark.parametrize(
    ("call", "changed"),
    [
        ("c.put(b)", "b"),
        ("(lambda x: [x.kept_apart][0]())(c)", "Base C c"),
        ("C.put(c, b)", "b"),
        ("c(b)", "b"),
        ("c.apart(b)", "b"),
        ("C.apart(b)", "b"),
        ("C.note()", "Base C c"),
        ("C.kept.append(1)", "Base C c"),
        ("c.kept.append(1)", "Base C c"),
        ("c.hold(b)", "c"),
        ("c.first.append(1)", "Base C a c"),
        ("with c as x:\n    x.append(1)", "Base C a c"),
        ("C()", ""),
        ("c.__class__.put(c, b)", "Base C b c"),
    ],
)
def test_a_call_of_a_method_changes_what_it_really_changes(call: str, changed: str) -> None:
    check_changes(CLASSES, call, changed)


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("a.append(1)", "a"),
        ("a.sort(key=lambda x: log.append(x) or x)", "a log"),
        ("a.copy().append(1)", ""),
        ("a.index(3)", ""),
        ("d.update(x=1)", "d"),
        ("d.get('b').append(1)", "b d"),
        ("d.items()", ""),
        ("list(d.values())[0].append(1)", "b d"),
        ("d.setdefault('z', b)", "d"),
        ("a.extend(i)", "a i"),
        ("'-'.join(i)", "i"),
        ("'x'.split()", ""),
        ("type(a).append(a, 1)", "a"),
        ("q.popleft()", "q"),
        ("k.update('x')", "k"),
    ],
)
def test_methods_of_pythons_own_objects(statement: str, changed: str) -> None:
    setup = (
        DATA + "import array, collections\nd = {'b': b}\ni = iter(['x'])\nq = collections.deque([1])\n"
        "k = collections.Counter()\n"
    )
    check_changes(setup, statement, changed)


@pytest.mark.parametrize(
    ("expression", "shared"),
    [
        ("a.copy()", ""),
        ("[b].copy()", "b"),
        ("d.items()", "b d"),
        ("d.keys()", "b d"),
        ("d.get('b')", "b"),
        ("d.get('z', a)", "a b"),
        ("d.setdefault('b', [])", "b"),
        ("a.append", "a"),
        ("iter(d.values())", "b d"),
        ("'a b'.split()", ""),
        ("a.count(1)", ""),
    ],
)
def test_a_methods_result_shares_what_it_really_shares(expression: str, shared: str) -> None:
    check_shares(DATA + "d = {'b': b}", expression, shared)


@pytest.mark.parametrize("store", ["x.append(y)", "x[-1] = y", "x[-1:] = [y]", "x += [y]"])
def test_what_a_call_stores_is_held_from_then_on(store: str) -> None:
    setup = f"{DATA}def f(x, y):\n    {store}\nf(a, b)\n"
    check_changes(setup, "a[-1].append(9)", "a b")
    check_changes(setup.replace("\nf(a, b)", ""), "a[-1:].append(9)", "")


def test_each_call_makes_objects_of_its_own() -> None:
    setup = "def make():\n    return []\na = make()\nb = make()\n"
    check_changes(setup, "a.append(1)", "a")
    check_changes("import functools\n@functools.cache\ndef make():\n    return []\na = make()\nb = make()\n",
                  "a.append(1)", "a b make")  # fmt: skip


def test_a_functions_own_reads_count_when_it_is_called() -> None:
    program = "n = 1\nm = 2\ndef f():\n    return n\ndef g():\n    return f()\ng()"
    _, facts = last_effects(program)
    assert facts.reads == {"n", "f", "g"}
    assert facts.direct == {"g": 7}
    _, defined = last_effects(program.removesuffix("\ng()"))
    assert defined.reads == set(), "a definition reads nothing of what its body names"


def test_a_summary_is_kept_until_a_name_that_it_rests_on_changes() -> None:
    flow = followed("n = [1]\nother = [2]\ndef f():\n    return n")
    (function,) = flow.env["f"].objs
    info = function.info
    first = flow.summary(info)  # type: ignore[arg-type]
    assert flow.summary(info) is first  # type: ignore[arg-type]
    flow.set_global("other", ATOM, weak=False)
    assert flow.summary(info) is first  # type: ignore[arg-type]
    flow.set_global("n", flow.fresh(), weak=False)
    again = flow.summary(info)  # type: ignore[arg-type]
    assert again is not first
    assert again is not None
    assert again.returns == set(flow.env["n"].objs)


@pytest.mark.parametrize(
    ("attribute", "most", "changed"),
    [("depth", DEPTH, "a"), ("work", WORK + 1, "a b log"), ("calls", CALLS + 1, "a b log")],
)
def test_what_is_too_much_to_follow_keeps_everything(attribute: str, most: int, changed: str) -> None:
    flow = followed(DATA + "def f(x):\n    pass")
    flow.facts = Effects()
    setattr(flow, attribute, most)
    flow.invoke(flow.env["f"], [flow.env["a"]])
    assert flow.facts.everything == 1
    assert {name for name in ("a", "b", "log") if flow.env[name].objs & flow.facts.mutates} == set(changed.split())


def test_methods_that_are_given_each_other_end() -> None:
    flow = followed(DATA + "s = b.append")
    flow.facts = Effects()
    (method,) = [one for one in flow.env["s"].objs if one.kind == "bound"]
    flow.bound_calls = [method] * BOUND_CALLS
    flow.call_bound(method, [flow.env["a"]])
    assert flow.facts.mutates >= flow.env["a"].objs | flow.env["b"].objs
    flow.facts, flow.bound_calls = Effects(), []
    flow.call_bound(method, [flow.env["a"]])
    assert flow.facts.mutates == flow.env["b"].objs
    assert flow.bound_calls == []


def test_of_a_call_that_makes_very_much_what_has_the_same_form_is_one() -> None:
    many = ", ".join("[[]]" for _ in range(3 * COPIES))
    _, value = evaluated(f"def f():\n    return [{many}]", "f()")
    (made,) = value.objs
    assert 0 < len(made.edges) < 2 * COPIES
    _, value = evaluated("def f():\n    return [[1], [2]]", "f()")
    (made,) = value.objs
    assert len(made.edges) == 2


def test_get_ipython_is_ipythons_unless_the_notebook_has_one_of_that_name() -> None:
    node = ast.parse("get_ipython()", mode="eval").body
    assert followed("a = 1").asks_kernel(node)
    assert not followed("def get_ipython(): pass").asks_kernel(node)
    assert not followed("a = 1").asks_kernel(ast.parse("other()", mode="eval").body)


def test_an_unknown_callee_may_change_what_it_is_given_and_gives_what_holds_it() -> None:
    setup = DATA + "import engine\nconnection = engine.connect()"
    flow, facts = last_effects(setup + "\nconnection.send(a)")
    assert facts.mutates >= flow.env["a"].objs | flow.env["connection"].objs
    flow, value = evaluated(setup, "connection.send(a)")
    assert value.objs >= flow.env["a"].objs
    flow, value = evaluated(setup, "connection(a)")
    (made,) = value.objs
    assert made.opaque
    assert made.edges >= flow.env["a"].objs
    flow, value = evaluated(setup, "nobody_gave_this(a)")
    assert any(flow.env["a"].objs <= one.edges | {one} for one in value.objs)


def test_a_method_that_a_call_is_given_is_called_where_the_callee_calls() -> None:
    setup = DATA + "import engine\nimport pandas as pd\nframe = pd.DataFrame({})"
    flow, facts = last_effects(setup + "\nframe.apply(log.append)")
    assert facts.mutates >= flow.env["log"].objs
    flow, facts = last_effects(DATA + "class C:\n    def m(self, *x):\n        log.append(1)\nc = C()\nprint(c.m)")
    assert flow.env["log"].objs <= facts.mutates
    assert not flow.env["b"].objs & facts.mutates


def test_a_method_of_an_array_that_a_function_takes_changes_the_array() -> None:
    setup = "import numpy as np\na = np.ones(3)\ndef f(x):\n    fill = x.fill\n    fill(0)"
    check_changes(setup, "f(a)", "a")
    check_changes(setup.replace("fill", "sum"), "f(a)", "")


@pytest.mark.parametrize(
    ("keyword", "changes"),
    [("inplace=True", True), ("inplace=False", False), ("inplace=flag", True), ("axis=0", False)],
)
def test_a_keyword_that_says_nothing_is_none(keyword: str, changes: bool) -> None:
    setup = "import pandas as pd\nflag = 1\nframe = pd.DataFrame({'x': [1]})"
    flow, facts = last_effects(f"{setup}\nframe.dropna({keyword})")
    assert (not flow.env["frame"].objs.isdisjoint(facts.mutates)) is changes


def test_a_draw_of_a_frame_or_an_estimator_moves_the_global_generator() -> None:
    setup = "import numpy as np\nimport pandas as pd\nnp.random.seed(1)\nframe = pd.DataFrame({'x': [1]})\n"

    def draws(statement: str) -> bool:
        flow, facts = last_effects(setup + statement)
        return not flow.env["@rng:numpy"].objs.isdisjoint(facts.mutates)

    assert draws("frame.sample(1)")
    assert not draws("frame.sample(1, random_state=1)")
    assert draws("frame.sample(1, random_state=None)")
    assert not draws("frame.head()")
    assert draws("from scipy import stats\nstats.norm.rvs(1)")
    assert not draws("from scipy import stats\nstats.norm.rvs(1, random_state=1)")


def test_a_subclass_list_is_what_classes_made_it() -> None:
    program = "class B: pass\nclass D(B): pass\nB.__subclasses__()"
    _, facts = last_effects(program)
    assert [one for one in facts.reads if one.startswith("@subclasses")] != []


def test_the_value_of_a_call_of_nothing_known() -> None:
    flow = followed("a = [1]")
    flow.facts = Effects()
    value = flow.invoke(AbstractValue(), [flow.env["a"]])
    (made,) = value.objs
    assert made.opaque
    assert made.edges == set(flow.env["a"].objs)


_HANDED_ON = [
    "fs = [pkg.f]\nfs[0](g)", "d = {'a': pkg.f}\nd['a'](g)", "d = {}\nd.update(a=pkg.f)\nd['a'](g)",
    "for h in [pkg.f]:\n    h(g)", "for h, n in zip([pkg.f], [1]):\n    h(g)", "fs = sorted([pkg.f], key=str)\nfs[0](g)",
    "def w(h):\n    h(g)\nw(pkg.f)", "def get():\n    return pkg.f\nget()(g)", "def gen():\n    yield pkg.f\nfor h in gen():\n    h(g)",
    "def deco(h):\n    def w(*a):\n        return h(*a)\n    return w\nk = deco(pkg.f)\nk(g)",
    "from functools import partial\np = partial(pkg.f)\np(g)", "import operator\noperator.attrgetter('f')(pkg)(g)",
    "import operator\noperator.methodcaller('__call__', g)(pkg.f)", "import sys\nsys.modules['pkg'].f(g)",
    "vars(pkg)['f'](g)", "mods = [pkg]\nmods[0].f(g)", "with pkg.ctx() as h:\n    h(g)", "match pkg.f:\n    case h:\n        h(g)",
    "from collections import namedtuple\nN = namedtuple('N', 'h')\nn = N(pkg.f)\nn.h(g)",
    "class B:\n    def __init__(self, h):\n        self.h = h\n    def go(self, x):\n        self.h(x)\nB(pkg.f).go(g)",
    "import functools\nclass B:\n    h = functools.partialmethod(pkg.f, g)\nB().h()",
    "import numpy as np\nnp.array([pkg.f], dtype=object)[0](g)", "import pandas as pd\npd.Series([pkg.f])[0](g)",
]  # fmt: skip


@pytest.mark.parametrize("head", ["g = []", "g = pkg.Obj()", "from pkg import g", "class A: pass\ng = A()"])
@pytest.mark.parametrize("use", _HANDED_ON)
def test_a_function_that_no_table_knows_may_change_what_it_is_given_wherever_it_lay(head: str, use: str) -> None:
    assert ast.unparse(ast.parse(use).body[-1]) in kept(f"import pkg\n{head}", use, "print(g)")


def test_a_constant_of_a_package_is_no_reason_to_keep_what_it_is_given_to() -> None:
    assert kept("import pkg\ng = [1]", "n = round(2.5, pkg.DIGITS)", "print(g)") == ["g = [1]", "print(g)"]


def changes(program: str, name: str) -> bool:
    """Tell whether the last statement of a program may change what a name stands for."""
    flow, facts = last_effects(program)
    return not flow.env[name].objs.isdisjoint(facts.mutates)


@pytest.mark.parametrize(
    ("statement", "name", "changed"),
    [
        ("plt.plot(found)", "found", False),
        ("ax.plot(found)", "found", False),
        ("ax.plot(found)", "ax", True),
        ("ax.fill_between(found, found, ax)", "ax", True),
        ("ax.plot(found)\nax.set_title('t')", "found", False),
        ("line = ax.plot(found)\nline[0].get_data().sort()", "found", True),  # what it gives may show what it was given
        ("ax.fill_betweenx(rows, 1)", "rows", True),
        ("ax.plot(other)", "other", True),  # it may be read by being drawn
        ("plt.plot([1, other])", "other", True),
        ("ax.legend(found)", "found", True),
        ("ax.plot(1, data=found)", "found", True),
        ("other.plot(found)", "found", True),  # it is no axes: of a package that no table knows
        ("plt.setp(found)", "found", True),
    ],
)
def test_what_is_drawn_does_not_change(statement: str, name: str, changed: bool) -> None:
    setup = (
        "import matplotlib.pyplot as plt\nimport statsmodels.api as sm\nimport tools\nfig, ax = plt.subplots()\n"
        "found = sm.load()\nother = tools.make()\nrows = iter([1, 2])\n"
    )
    assert changes(setup + statement, name) is changed


@pytest.mark.parametrize(
    ("statement", "name", "changed"),
    [
        ("print(res.summary())", "res", False),
        ("print(res.summary())", "@rng:numpy", False),
        ("res.fit()", "res", True),
        ("res.fit()", "@rng:numpy", True),
        ("table.sort_values('a', inplace=True)", "table", True),
        ("table.head()", "table", False),
        ("shown = table.head()\nshown.insert(0, 1, 2)", "table", True),  # it may be the table itself
        ("other.summary()", "other", True),  # of a package that no table knows
        ("res.conf_int(rows)", "rows", True),
        ("own = sm.OLS(1, work).fit()\nown.summary()", "log", True),  # what it holds may be called
    ],
)
def test_what_is_asked_of_results_changes_nothing(statement: str, name: str, changed: bool) -> None:
    setup = (
        "import statsmodels.api as sm\nimport numpy as np\nimport tools\nnp.random.seed(1)\nres = sm.OLS(1, 2).fit()\n"
        "table = sm.load().data\nother = tools.make()\nrows = iter([1, 2])\nlog = []\ndef work():\n    log.append(1)\n"
    )
    assert changes(setup + statement, name) is changed


def test_who_reads_what_a_question_left_needs_the_question() -> None:
    cells = ["import statsmodels.api as sm", "res = sm.OLS(1, 2).fit()", "res.summary()"]
    assert "res.summary()" in kept(*cells, "print(res.diagn)")
    assert "res.summary()" in kept(*cells, "def f(x):\n    return x.diagn", "print(f(res))")
    assert "res.summary()" not in kept(*cells, "print(res.params)")
