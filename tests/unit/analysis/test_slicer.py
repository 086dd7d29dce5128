from __future__ import annotations

import ast
import re

import pytest

from buildr_jupyter.analysis.slicer import Slice, Statement, analyze, slice_back
from buildr_jupyter.analysis.statements import Flow


def sliced(*cells: str, supplied: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> Slice:
    flow, statements = Flow(), list[Statement]()
    for number, cell in enumerate(cells):
        last = number == len(cells) - 1
        statements += analyze(flow, ast.parse(cell).body, number, may_fail=not last)
    return slice_back(flow, statements, len(cells) - 1, supplied=frozenset(supplied), extra=extra)


def kept(*cells: str, supplied: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> list[str]:
    return [ast.unparse(one.node) for one in sliced(*cells, supplied=supplied, extra=extra).kept]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("a = 1\nb = 2", "print(a)"), ["a = 1", "print(a)"]),
        (("a = 1\na = 2", "print(a)"), ["a = 2", "print(a)"]),
        (("a = 1\nb = a\na = 2", "print(b)"), ["a = 1", "b = a", "print(b)"]),
        (("a = []\nb = a\nb.append(1)", "print(a)"), ["a = []", "b = a", "b.append(1)", "print(a)"]),
        (("a = []\nb = []\nb.append(1)", "print(a)"), ["a = []", "print(a)"]),
        (("n = 1\ndef f():\n    return n", "f()"), ["n = 1", "def f():\n    return n", "f()"]),
        (("import json\nimport csv", "json.dumps(1)"), ["import json", "json.dumps(1)"]),
        (("x = 1\ndel x\ny = 2", "print(y)"), ["y = 2", "print(y)"]),
    ],
)
def test_what_the_cell_needs_is_kept_in_order(cells: tuple[str, ...], expected: list[str]) -> None:
    assert kept(*cells) == expected


def test_each_kept_statement_says_what_for() -> None:
    found = sliced("a = 1\nb = a", "print(b)")
    whys = [[(need.name, need.by.line) for need in found.why[one.number]] for one in found.kept[:-1]]
    assert whys == [[("a", 2)], [("b", 1)]]


def test_a_supplied_name_brings_nothing_that_made_it() -> None:
    found = sliced("a = [1]\nb = [a]", "print(b)", supplied=("b",))
    assert [ast.unparse(one.node) for one in found.kept] == ["print(b)"]
    assert [one.line for one in found.supplied_by["b"]] == [2]
    assert found.conflicts == []


def test_reading_a_supplied_name_before_it_changed_is_a_conflict() -> None:
    found = sliced("a = [1]", "n = len(a)", "a.append(2)", "print(a, n)", supplied=("a",))
    assert [(need.name, need.by.run) for need in found.conflicts] == [("a", 1)]


def test_names_that_nothing_gives_are_unresolved() -> None:
    found = sliced("x = 1", "print(gone, len)")
    assert list(found.unresolved) == ["gone"]
    assert found.unresolved["gone"].by.run == 1


def test_extra_names_are_needed_beside_the_cells_own() -> None:
    assert kept("a = 1\nb = 2", "print(a)", extra=("b",)) == ["a = 1", "b = 2", "print(a)"]


def test_a_cell_that_may_read_any_name_keeps_all() -> None:
    found = sliced("a = 1\nb = 2", "eval(input())")
    assert [ast.unparse(one.node) for one in found.kept] == ["a = 1", "b = 2", "eval(input())"]
    assert found.everything is not None


def test_the_line_of_a_statement_is_that_of_its_first_decorator() -> None:
    (node,) = ast.parse("\n@deco\ndef f(): ...").body
    assert Statement(node, 0).line == 2


STACK = """class Stack:
    count = 0
    def __init__(self):
        self._items = []
        Stack.count += 1
    def push(self, x):
        self._items.append(x)
        return self
    def pop(self):
        return self._items.pop()
    def __len__(self):
        return len(self._items)
    def __repr__(self):
        return "Stack(%r)" % self._items
"""


@pytest.mark.parametrize("count", [2, 6])
def test_objects_that_may_hold_each_other_are_followed_once(count: int) -> None:
    # Each method may use each object: followed in every order, two objects took minutes.
    flow, cell = Flow(), STACK
    cell += "".join(f"s{n} = Stack()\ns{n}.push({n})\n" for n in range(count)) + "other = 1\n"
    cell += f"stacks = {{{', '.join(f'{n}: s{n}' for n in range(count))}}}\n"
    cell += "for name, one in stacks.items():\n    one.push(name)\n"
    statements, calls = list[Statement](), list[int]()
    for number, text in enumerate((cell, "print(s0)")):
        for statement in analyze(flow, ast.parse(text).body, number, may_fail=False):
            statements.append(statement)
            calls.append(flow.calls)
    lines = [ast.unparse(one.node) for one in slice_back(flow, statements, 1).kept]
    assert "other = 1" not in lines
    assert sum("push" in line for line in lines) == 2 + count - 1 + 1
    assert max(calls) < 4000


@pytest.mark.parametrize(
    "cells",
    [
        ("import io, numpy as np\ns = io.StringIO('1')", "a = np.genfromtxt(s)", "print(s.read())"),
        ("import io, pandas as pd\ns = io.StringIO('1')", "a = pd.read_csv(s)", "print(s.tell())"),
        ("import numpy as np", "m = np.memmap('m', mode='w+', shape=4)\nm[:] = 1", "print(np.fromfile('m'))"),
        ("import zipfile", "z = zipfile.ZipFile('z', 'w')\nz.close()", "print(zipfile.ZipFile('z').namelist())"),
    ],
)
def test_a_stream_moves_on_and_a_file_is_written_by_who_is_told_to(cells: tuple[str, ...]) -> None:
    assert kept(*cells) == [line for cell in cells for line in map(ast.unparse, ast.parse(cell).body)]


def test_a_text_in_the_place_of_a_mode_opens_no_file() -> None:
    cells = "import re\nt = 'b'", "u = re.sub('a', 'x', t)", "print(open('a').read())"
    assert kept(*cells) == ["print(open('a').read())"]


@pytest.mark.parametrize(
    "cells",
    [
        ("from collections import defaultdict\nd = defaultdict(int)", "d['missing']", "print(d)"),
        ("import collections\nd = collections.defaultdict(list)\ndef f(m):\n    m[0]", "f(d)", "print(d)"),
        (
            "import collections\nmade = []\ndef new():\n    made.append(1)\nd = collections.defaultdict(new)",
            "x = d[3]",
            "print(made)",
        ),
    ],
)
def test_an_item_that_is_missing_is_made_when_it_is_read(cells: tuple[str, ...]) -> None:
    assert kept(*cells) == [ast.unparse(one) for cell in cells for one in ast.parse(cell).body]


@pytest.mark.parametrize("draw", ["stats.norm(loc=1).rvs(2)", "stats.gaussian_kde([1, 2, 4]).resample(2)"])
def test_a_distribution_draws_from_the_global_generator(draw: str) -> None:
    made, method = draw.rsplit(".", 1)
    cells = "import numpy as np\nfrom scipy import stats\nnp.random.seed(1)", f"d = {made}", f"d.{method}"
    assert kept(*cells, "print(np.random.rand())")[-2:] == [f"d.{method}", "print(np.random.rand())"]
    assert f"d.{method[:-1]}, random_state=1)" not in kept(
        *cells[:2], f"d.{method[:-1]}, random_state=1)", "print(np.random.rand())"
    )


@pytest.mark.parametrize("show", ["print(df.shape)", "x = df.shape\nprint(x)", "print(sorted(df.shape))"])
def test_methods_that_hold_each_other_come_to_an_end(show: str) -> None:
    """What an unknown object gives, and what is put into it, may call each other without end."""
    cells = "import tools", "df = tools.make()", "df.columns = df.columns.map(len)", show
    assert kept(*cells) == [line for cell in cells for line in map(ast.unparse, ast.parse(cell).body)]
    cells = (
        "import tools",
        "log = []",
        "df = tools.make(log)",
        "df.columns = df.columns.map(log)",
        "df.go()",
        "print(log)",
    )
    assert kept(*cells) == list(cells)


FITTING = "import numpy as np, copy, sklearn, scipy\nfrom sklearn.ensemble import RandomForestClassifier\nX = y = 0\n"


@pytest.mark.parametrize(
    "draw",
    [
        "RandomForestClassifier().fit(X, y)",
        "m = RandomForestClassifier(random_state=None)\nm.fit(X, y)",
        "sklearn.pipeline.make_pipeline(RandomForestClassifier()).fit(X, y)",
        "sklearn.pipeline.Pipeline([('a', RandomForestClassifier())]).fit(X, y)",
        "sklearn.model_selection.GridSearchCV(RandomForestClassifier(), {}).fit(X, y)",
        "sklearn.model_selection.cross_val_score(RandomForestClassifier(), X, y)",
        "sklearn.model_selection.cross_val_score(1, X, y, cv=sklearn.model_selection.KFold(shuffle=True))",
        "sklearn.base.clone(RandomForestClassifier()).fit(X, y)",
        "copy.deepcopy(RandomForestClassifier()).fit(X, y)",
        "copy.copy(RandomForestClassifier()).fit(X, y)",
        "def go(model):\n    model.fit(X, y)\ngo(RandomForestClassifier())",
        "def go(model):\n    sklearn.model_selection.cross_val_score(model, X, y)\ngo(RandomForestClassifier())",
        "for m in [RandomForestClassifier()]:\n    m.fit(X, y)",
        "models = {'a': RandomForestClassifier()}\nmodels['a'].fit(X, y)",
        "next(sklearn.model_selection.ShuffleSplit().split(X))",
        "sklearn.svm.SVR().fit(X, y)",
        "sklearn.newer.Unknown().fit(X, y)",
        "sklearn.neighbors.KernelDensity().fit(X).sample(2)",
        "sklearn.linear_model.LogisticRegression(solver='saga').fit(X, y)",
        "scipy.optimize.differential_evolution(len, [(0, 1)])",
        "for d in [scipy.stats.norm, scipy.stats.expon]:\n    d.rvs(3)",
        "for n in ['norm']:\n    getattr(scipy.stats, n).rvs(3)",
        "def f(d):\n    return d.rvs(3)\nx = f(scipy.stats.norm)",
        "D = {'a': scipy.stats.norm}\nD['a'].rvs(3)",
        "list(map(scipy.stats.norm.rvs, [1, 2]))",
        "D = [scipy.stats.norm.rvs]\nD[0](3)",
        "class M(scipy.stats.rv_continuous):\n    pass\nM().rvs(3)",
        "sklearn.utils.check_random_state(None).rand(3)",
        "list(map(sklearn.utils.shuffle, [X]))",
    ],
)
def test_what_is_fitted_draws_from_the_seeded_generator(draw: str) -> None:
    found = kept(FITTING, "np.random.seed(1)", draw, "print(np.random.rand())")
    assert "np.random.seed(1)" in found
    assert ast.unparse(ast.parse(draw).body[-1]) in found
    assert "np.random.seed(1)" in kept(FITTING, "np.random.seed(1)", draw), "the cell that draws needs the seed"


@pytest.mark.parametrize(
    "quiet",
    [
        "RandomForestClassifier(random_state=1).fit(X, y)",
        "RandomForestClassifier().predict(X)",
        "sklearn.linear_model.LinearRegression().fit(X, y)",
        "sklearn.linear_model.LogisticRegression().fit(X, y)",
        "sklearn.preprocessing.StandardScaler().fit_transform(X)",
        "sklearn.pipeline.make_pipeline(sklearn.linear_model.LinearRegression()).fit(X, y)",
        "sklearn.model_selection.cross_val_score(sklearn.linear_model.LinearRegression(), X, y)",
        "sklearn.metrics.accuracy_score(X, RandomForestClassifier().predict(X))",
        "next(sklearn.model_selection.KFold().split(X))",
        "sklearn.model_selection.train_test_split(X, y, random_state=0)",
        "scipy.optimize.minimize(len, 1)",
    ],
)
def test_what_draws_nothing_is_left_out(quiet: str) -> None:
    found = kept(FITTING, "np.random.seed(1)", quiet, "print(np.random.rand())")
    assert "np.random.seed(1)" in found
    assert ast.unparse(ast.parse(quiet).body[-1]) not in found


FRAME = "import io, sqlite3, pandas as pd\ndf = pd.DataFrame({'a': [1]})\n"


@pytest.mark.parametrize(
    "cells",
    [
        ("con = sqlite3.connect(':memory:')", "df.to_sql('t', con)", "print(pd.read_sql('select * from t', con))"),
        ("con = sqlite3.connect(':memory:')", "df.to_sql('t', con=con)", "print(pd.read_sql('select * from t', con))"),
        ("con = sqlite3.connect(':memory:')", "w = df.to_sql\nw('t', con)", "print(pd.read_sql('select 1', con))"),
        ("con = sqlite3.connect('a.db')", "df.to_sql('t', con)", "print(open('a.db', 'rb').read())"),
        ("b = io.BytesIO()", "df.to_parquet(path=b)", "print(b.getvalue())"),
    ],
)
def test_a_handle_given_to_what_writes_is_written_to(cells: tuple[str, ...]) -> None:
    cells = (FRAME + cells[0], *cells[1:])
    assert kept(*cells) == [ast.unparse(node) for cell in cells for node in ast.parse(cell).body]


@pytest.mark.parametrize(
    "cells",
    [
        (
            "import numpy as np\nfrom functools import partial\nnp.random.seed(1)\njitter = partial(np.random.uniform, -1, 1)",
            "a = [jitter() for _ in range(3)]",
            "print(np.random.rand())",
        ),
        (
            "import numpy as np\nfrom functools import partial\nnp.random.seed(1)\njitter = partial(np.random.uniform, -1, 1)",
            "a = jitter()",
            "print(jitter())",
        ),
        (
            "import numpy as np\nnp.random.seed(1)",
            "a = np.random.multivariate_normal([0],[[1]])",
            "print(np.random.rand())",
        ),
        (
            "import numpy as np\nrng = np.random.default_rng(1)",
            "a = rng.multivariate_normal([0],[[1]])",
            "print(rng.random())",
        ),
        (
            "import numpy as np\nrng = np.random.default_rng(1)",
            "d = rng.multivariate_normal\na = d([0],[[1]])",
            "print(rng.random())",
        ),
        (
            "import numpy as np\nfrom functools import partial\nrng = np.random.default_rng(1)",
            "d = partial(rng.normal, 0)",
            "a = d(1)",
            "print(rng.random())",
        ),
        ("import random\nrandom.seed(1)\nr = random.random", "a = r()", "print(random.random())"),
        ("import random\nrandom.seed(1)\ndef f(r=random.random):\n    return r()", "a = f()", "print(random.random())"),
        ("import random\nrandom.seed(1)\n", "a = list(map(random.randrange, [1,2]))", "print(random.random())"),
        ("import random\nrandom.seed(1)\ndef f(r):\n    return r()", "a = f(random.random)", "print(random.random())"),
        ("import random\nrandom.seed(1)\nD = {'a': random.random}", "a = D['a']()", "print(random.random())"),
        ("import random\nrandom.seed(1)\nD = [random.random]", "a = [d() for d in D]", "print(random.random())"),
        (
            "import random\nrandom.seed(1)\nclass A:\n    def __init__(self, r=random.random):\n        self.r = r\n    def go(self):\n        return self.r()\no = A()",
            "a = o.go()",
            "print(random.random())",
        ),
        (
            "import random, numpy as np\nrng = np.random.default_rng(1)\n",
            "a = list(map(rng.normal, [1,2]))",
            "print(rng.random())",
        ),
        (
            "import random, numpy as np\nrng = np.random.default_rng(1)\ndef f(r=rng.normal):\n    return r()",
            "a = f()",
            "print(rng.random())",
        ),
        (
            "import random, numpy as np\nrng = np.random.default_rng(1)\ng = lambda n: rng.multivariate_normal([0],[[1]], n)",
            "a = g(3)",
            "print(rng.random())",
        ),
        (
            "import numpy as np\nfrom functools import partial\nnp.random.seed(1)\njitter = partial(np.random.uniform, -1, 1)",
            "a = [p + jitter() for p in range(3)]",
            "b = [p + jitter() for p in range(3)]\nprint(b)",
        ),
        (
            "import random, pandas as pd\nrandom.seed(1)\ns=pd.Series([1])",
            "a = s.apply(random.gauss)",
            "print(random.random())",
        ),
        (
            "import random, pandas as pd, numpy as np\nnp.random.seed(1)\ns=pd.Series([1])",
            "a = s.apply(np.random.normal)",
            "print(np.random.rand())",
        ),
        (
            "import numpy as np\nnp.random.seed(1)\nf = np.vectorize(np.random.normal)",
            "a = f([1])",
            "print(np.random.rand())",
        ),
        ("import random\nrandom.seed(1)\nR = random", "a = R.random()", "print(random.random())"),
        ("import random\nrandom.seed(1)", "a = getattr(random, 'gauss')(0, 1)", "print(random.random())"),
        ("import random\nrandom.seed(1)\nname = input()", "a = getattr(random, name)(0, 1)", "print(random.random())"),
        ("import random\nrandom.seed(1)\nr, q = random.random, random.gauss", "a = r()", "print(random.random())"),
    ],
)
def test_draws_are_kept_however_what_draws_is_called(cells: tuple[str, ...]) -> None:
    assert kept(*cells) == [ast.unparse(node) for cell in cells for node in ast.parse(cell).body]


@pytest.mark.parametrize(
    "cells",
    [
        (
            "names = []\nclass D:\n    def __set_name__(self, o, n):\n        names.append(n)",
            "class A:\n    x = D()",
            "print(names)",
        ),
        (
            "names = []\nclass D:\n    def __set_name__(self, o, n):\n        names.append(n)\nclass E(D):\n    pass",
            "class A:\n    x = E()",
            "print(names)",
        ),
        (
            "names = []\nclass D:\n    def __set_name__(self, o, n):\n        names.append(n)\nd = D()",
            "class A:\n    x = d",
            "print(names)",
        ),
        (
            "class D:\n    def __set_name__(self, o, n):\n        self.name = n\nd = D()",
            "class A:\n    x = d",
            "print(d.name)",
        ),
        (
            "scale = 2\ndef scaled(h):\n    return h / scale",
            "import statsmodels.formula.api as smf",
            "print(smf.ols('w ~ scaled(h)', data={}))",
        ),
        (
            "scale = 2\ndef scaled(h):\n    return h / scale",
            "import statsmodels.formula.api as smf\nf = 'w ~ scaled(h)'",
            "m = smf.ols(f, data={})",
        ),
        (
            "scale = 2\ndef inner(h):\n    return h / scale\ndef scaled(h):\n    return inner(h)",
            "import statsmodels.formula.api as smf\nf = 'w ~ scaled(h)'",
            "m = smf.ols(formula=f, data={})",
        ),
    ],
)
def test_what_python_or_a_formula_calls_is_looked_into(cells: tuple[str, ...]) -> None:
    assert kept(*cells) == [ast.unparse(node) for cell in cells for node in ast.parse(cell).body]


def test_functions_of_modules_that_only_give_values_are_not_kept() -> None:
    cells = "import random, numpy as np\nrandom.seed(1)", "f = {'s': np.sum}\na = f['s']([1])", "print(random.random())"
    assert "a = f['s']([1])" not in kept(*cells)


_DRAWS = {
    "np": "{}.random.rand()",
    "np.random": "{}.rand()",
    "np.random.rand": "{}()",
    "random": "{}.random()",
    "random.random": "{}()",
    "stats": "{}.norm.rvs()",
    "stats.norm": "{}.rvs()",
    "stats.norm.rvs": "{}()",
    "shuffle": "{}([1, 2])",
    "sample_without_replacement": "{}(10, 3)",
    "DummyClassifier(strategy='uniform').fit([[1], [2]], [0, 1])": "{}.predict([[1]])",
}
"""What draws, and how a number is drawn from it."""
_PLACES = [
    ("class A:\n    def __init__(self):\n        self.d = {}\n    def go(self):\n        self.d!\na = A()", "a.go()"),
    (
        "class A:\n    def __init__(self, d):\n        self.d = d\n    def go(self):\n        self.d!\na = A({})",
        "a.go()",
    ),
    ("class A:\n    d = {}\n    def go(self):\n        self.d!\na = A()", "a.go()"),
    (
        "class B:\n    def go(self):\n        self.d!\nclass A(B):\n    def __init__(self):\n        self.d = {}",
        "A().go()",
    ),
    ("@dataclass\nclass A:\n    d: object\n    def go(self):\n        self.d!\na = A({})", "a.go()"),
    ("class A:\n    pass\na = A()\na.d = {}", "a.d!"),
    ("class A:\n    pass\na = A()\na.d = {}", "getattr(a, 'd')!"),
    ("a = SimpleNamespace(d={})", "a.d!"),
    ("x = [{}]", "x[0]!"),
    ("x = [{}]", "for d in x:\n    d!"),
    ("x = dict(a={})", "x['a']!"),
    ("x, y = {}, 1", "x!"),
    ("def f(d):\n    d!\nx = {}", "f(x)"),
    ("def f(d):\n    [one! for one in d]\nx = {}", "f([x])"),
    ("def f(d={}):\n    d!", "f()"),
    ("def f():\n    return {}", "f()!"),
    ("def make():\n    d = {}\n    def g():\n        d!\n    return g\ng = make()", "g()"),
    ("def f(d):\n    d!\ng = partial(f, {})", "g()"),
    ("f = lambda d: d!\nx = {}", "list(map(f, [x]))"),
]
"""Where a part of a module may be kept, with ``!`` where a number is drawn from it."""


@pytest.mark.parametrize("thing", _DRAWS)
@pytest.mark.parametrize("place", _PLACES)
def test_a_draw_is_seen_wherever_what_draws_is_kept(place: tuple[str, str], thing: str) -> None:
    head = (
        "import random, numpy as np\nfrom scipy import stats\nfrom sklearn.utils import shuffle\n"
        "from sklearn.utils.random import sample_without_replacement\nfrom sklearn.dummy import DummyClassifier\n"
        "from dataclasses import dataclass\nfrom types import SimpleNamespace\nfrom functools import partial"
    )
    cells = [
        re.sub(r"([\w.]+(?:\[[^]]*\]|\([^)]*\))?)!", lambda found: _DRAWS[thing].format(found[1]), cell)
        for cell in place
    ]
    given, drawn = (cell.replace("{}", thing) for cell in cells)
    found = kept(head, "np.random.seed(1); random.seed(1)", given, drawn, "print(np.random.rand(), random.random())")
    assert ast.unparse(ast.parse(drawn)) in found


@pytest.mark.parametrize(
    "made",
    [
        "def f(xs, k):\n    xs.append(k)\ng = partial(f, data)",
        "def f(k, xs):\n    xs.append(k)\ng = partial(f, xs=data)",
        "def f(call, k):\n    call(k)\ng = partial(f, data.append)",
        "def f(xs, k):\n    xs['a'].append(k)\ng = partial(partial(f, {'a': data}))",
    ],
)
def test_a_partial_gives_its_function_what_it_holds(made: str) -> None:
    assert "g(3)" in kept("from functools import partial\ndata = []", made, "g(3)", "print(data)")


_METHODS = [
    ("[]", "list(map({}.append, [1]))"),
    ("[]", "threading.Thread(target={}.append, args=(1,)).run()"),
    ("Q()", "minimize({}.f, [1.0])"),
    ("np.random.default_rng(1)", "list(map({}.normal, [1]))"),
    ("np.random.default_rng(1)", "stats.norm.rvs(random_state={})"),
    ("io.StringIO()", "np.savetxt({}, [1])"),
]
"""What changes when a library is given it, or a method of it."""


@pytest.mark.parametrize(("thing", "change"), _METHODS)
@pytest.mark.parametrize(
    ("given", "call"),
    [
        ("class A:\n    def __init__(self):\n        self.d = x\n    def go(self):\n        {}\na = A()", "a.go()"),
        ("class A:\n    d = x\n    def go(self):\n        {}\na = A()", "a.go()"),
        ("@dataclass\nclass A:\n    d: object\n    def go(self):\n        {}\na = A(x)", "a.go()"),
        ("class Me:\n    pass\nself = Me()\nself.d = x", "{}"),
        ("class Me:\n    pass\nme = Me()\nme.d = x\ndef go(self):\n    {}", "go(me)"),
    ],
)
def test_what_a_function_gives_to_a_library_may_change(thing: str, change: str, given: str, call: str) -> None:
    head = (
        "import io, threading, numpy as np\nfrom scipy import stats\nfrom scipy.optimize import minimize\n"
        "from dataclasses import dataclass\nclass Q:\n    n = 0\n    def f(self, p):\n        self.n += 1"
    )
    given, call = (text.replace("{}", change.format("self.d")) for text in (given, call))
    assert ast.unparse(ast.parse(call)) in kept(head, f"x = {thing}", given, call, "print(x)")


def test_a_value_that_is_given_to_a_call_is_not_changed_by_that() -> None:
    made = "class A:\n    def __init__(self):\n        self.d = [1]\n    def go(self):\n        print(self.d)\na = A()"
    assert "a.go()" not in kept(made, "a.go()", "print(a.d)")


def test_what_is_only_taken_to_be_in_a_module_is_not_drawn_from() -> None:
    cells = "import random, numpy as np\nrandom.seed(1)", "x = [np]\na = x[0].sum([1])", "print(random.random())"
    assert "a = x[0].sum([1])" not in kept(*cells)


def test_a_function_that_a_text_may_call_takes_no_name_away() -> None:
    cells = "n = 1\ndef f(h):\n    global n\n    n = 2", "import patsy\npatsy.dmatrix('f(h)')", "print(n)"
    assert {"n = 1", "patsy.dmatrix('f(h)')"} <= set(kept(*cells))


@pytest.mark.parametrize(
    ("cell", "missing"),
    [
        ("for i in [1, 2]:\n    if i:\n        x = i\n    print(x)", False),
        ("for i in [1, 2]:\n    if i:\n        x = i\n    else:\n        x\n    (lambda: x)()", False),
        ("while True:\n    try:\n        x = 1\n    except ValueError:\n        pass\n    print(x)", False),
        ("for i in [1, 2]:\n    print(x)\n    x = i", True),
        ("for i in [1, 2]:\n    (lambda: x)()\n    x = i", True),
        ("if a:\n    print(x)", True),
    ],
)
def test_a_branch_supplies_what_is_read_after_it(cell: str, missing: bool) -> None:
    assert ("x" in sliced("a = 1", cell).unresolved) is missing
