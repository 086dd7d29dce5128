"""Ways to change an object in another cell, by the object: each is seen to change it.

Each was thought of as a person would write it; where one is missing, the image prints what the notebook does not.
"""

from __future__ import annotations

import ast

import pytest

from tests.unit.analysis.test_slicer import kept

LIST = "g = [[1], [2]]", "print(g)"
LIST_WAYS = [
    "del g[0]",
    "g += [1]",
    "g[0] = 1",
    "g[:] = []",
    "g.__setitem__(0, 1)",
    "list.append(g, 1)",
    "type(g).append(g, 1)",
    "g.__iadd__([1])",
    "import operator\noperator.iadd(g, [1])",
    "import operator\noperator.setitem(g, 0, 1)",
    "import operator\noperator.delitem(g, 0)",
    "import bisect\nbisect.insort(g, [1])",
    "import heapq\nheapq.heappush(g, [0])",
    "import heapq\nheapq.heapify(g)",
    "import random\nrandom.shuffle(g)",
    "(h := g).append(1)",
    "a, b = g, 1\na.append(1)",
    "for row in g:\n    row.append(1)",
    "[g.append(i) for i in range(2)]",
    "h = g if 1 else []\nh.append(1)",
    "h = g or []\nh.append(1)",
    "def f(x, acc=g):\n    acc.append(x)\nf(1)",
    "def f():\n    g.append(1)\nf()",
    "def f(*a):\n    a[0].append(1)\nf(g)",
    "def f(**k):\n    k['x'].append(1)\nf(x=g)",
    "def f(**k):\n    k['x'].append(1)\nf(**{'x': g})",
    "def f(x):\n    x.append(1)\nf(*[g])",
    "import copy\ncopy.copy(g)[0].append(1)",
    "h = dict.fromkeys('ab', g)\nh['a'].append(1)",
    "for a, b in zip(g, g):\n    a.append(1)",
    "g[0].append(1)",
    "next(iter(g)).append(1)",
    "max(g, key=len).append(1)",
    "[*g][0].append(1)",
    "g.copy()[0].append(1)",
    "sorted(g)[0].append(1)",
    "list(reversed(g))[0].append(1)",
    "for i, r in enumerate(g):\n    r.append(i)",
    "import itertools\nfor r in itertools.chain(g):\n    r.append(1)",
    "for r in filter(None, g):\n    r.append(1)",
    "g[:1][0].append(1)",
    "h = [g]\nh[0].append(1)",
    "h = {'k': g}\nh['k'].append(1)",
    "h = (g,)\nh[0].append(1)",
    "import functools\nfunctools.reduce(lambda a, b: a.append(b) or a, [1], g)",
    "exec('g.append(1)')",
    "globals()['g'].append(1)",
    "eval('g').append(1)",
    "import __main__\n__main__.g.append(1)",
    "a, *rest = g\nrest[0].append(1)",
    "match g:\n    case [x, *_]:\n        x.append(1)",
    "(lambda: g.append(1))()",
    "f = lambda x=g: x.append(1)\nf()",
    "def gen():\n    yield g\nfor x in gen():\n    x.append(1)",
    "def gen():\n    yield g\nnext(gen()).append(1)",
    "x = [r for r in g]\nx[0].append(1)",
    "x = {i: r for i, r in enumerate(g)}\nx[0].append(1)",
    "while g:\n    g.pop()\n    break",
    "try:\n    g.append(1)\nfinally:\n    pass",
    "with open('/dev/null') as f:\n    g.append(1)",
    "if True:\n    g.append(1)",
    "assert g.append(1) is None",
    "import contextlib\n@contextlib.contextmanager\ndef cm():\n    yield g\nwith cm() as x:\n    x.append(1)",
    "def deco(f):\n    g.append(f.__name__)\n    return f\n@deco\ndef h():\n    pass",
    "class B:\n    g.append(1)",
    "class M(type):\n    def __new__(m, *a):\n        g.append(1)\n        return super().__new__(m, *a)\nclass B(metaclass=M):\n    pass",
    "class B:\n    def __init_subclass__(c):\n        g.append(1)\nclass Cc(B):\n    pass",
    "import functools\n@functools.singledispatch\ndef f(x):\n    x.append(1)\nf(g)",
    "x = y = g\ny.append(1)",
    "for g[0] in [5]:\n    pass",
    "[0 for g[0] in [5]]",
    "g[0], g[1] = 1, 2",
    "import threading\nthreading.Thread(target=lambda: g.append(1)).start()",
    "print(g.append(1))",
    "f'{g.append(1)}'",
    "x = [1, g.append(1)]",
    "x = 1 if g.append(1) else 2",
    "def f():\n    def k():\n        g.append(1)\n    return k\nf()()",
    "class B:\n    def __enter__(s):\n        return g\n    def __exit__(s, *a):\n        pass\nwith B() as x:\n    x.append(1)",
    "class B:\n    @property\n    def p(s):\n        return g\nB().p.append(1)",
    "class B:\n    @property\n    def p(s):\n        g.append(1)\nB().p",
    "class B:\n    @staticmethod\n    def p():\n        g.append(1)\nB.p()",
    "class B:\n    def __getitem__(s, k):\n        g.append(k)\nB()[1]",
    "class B:\n    def __len__(s):\n        g.append(1)\n        return 1\nlen(B())",
    "class B:\n    def __bool__(s):\n        g.append(1)\n        return True\nif B():\n    pass",
    "class B:\n    def __add__(s, o):\n        g.append(1)\nB() + 1",
    "class B:\n    def __iter__(s):\n        g.append(1)\n        return iter([])\nlist(B())",
    "class B:\n    def __repr__(s):\n        g.append(1)\n        return ''\nprint(B())",
    "class B:\n    def __str__(s):\n        g.append(1)\n        return ''\nstr(B())",
    "class B:\n    def __eq__(s, o):\n        g.append(1)\n        return True\nB() == 1",
    "class B:\n    def __call__(s):\n        g.append(1)\nB()()",
    "class B:\n    def __contains__(s, x):\n        g.append(1)\n        return True\n1 in B()",
    "class B:\n    def __setattr__(s, k, v):\n        g.append(1)\nB().x = 1",
    "class B:\n    def __getattr__(s, k):\n        g.append(1)\nB().x",
    "class B:\n    def __hash__(s):\n        g.append(1)\n        return 1\n{B(): 1}",
    "class B:\n    def __lt__(s, o):\n        g.append(1)\n        return True\nsorted([B(), B()])",
    "class B:\n    def __format__(s, spec):\n        g.append(1)\n        return ''\nf'{B()}'",
    "class B:\n    def __neg__(s):\n        g.append(1)\n-B()",
    "class B:\n    def __delitem__(s, k):\n        g.append(1)\nb = B()\ndel b[0]",
    "class B:\n    def __set_name__(s, o, n):\n        g.append(1)\nclass Cc:\n    x = B()",
    "import asyncio\nasync def f():\n    g.append(1)\nawait f()",
    "import weakref\nweakref.finalize(g, print)",
    "import types\nns = types.SimpleNamespace(v=g)\nns.v.append(1)",
    "from dataclasses import dataclass, field\n@dataclass\nclass Q:\n    v: list\nQ(g).v.append(1)",
    "from typing import NamedTuple\nclass Q(NamedTuple):\n    v: list\nQ(g).v.append(1)",
    "from collections import namedtuple\nQ = namedtuple('Q', 'v')\nQ(g).v.append(1)",
    "import collections\ncollections.deque(g)[0].append(1)",
    "import collections\ncollections.UserList(g)[0].append(1)",
    "import itertools\na, b = itertools.tee(g)\nnext(a).append(1)",
    "import itertools\nfor k, grp in itertools.groupby(g):\n    k.append(1)",
    "iter(g).__next__().append(1)",
    "import operator\noperator.itemgetter(0)(g).append(1)",
    "import operator\noperator.methodcaller('append', 1)(g)",
    "import operator\noperator.getitem(g, 0).append(1)",
    "import contextlib\nwith contextlib.nullcontext(g) as x:\n    x.append(1)",
    "import pprint\npprint.pprint(g.append(1))",
    "exec('x.append(1)', {'x': g})",
    "eval('x', {'x': g}).append(1)",
    "text = 'g.append(1)'\nexec(text, {'g': g})",
    "import warnings\nwarnings.showwarning = lambda *a, **k: g.append(1)\nwarnings.warn('x')",
    "import warnings\nwarnings.showwarning = g.append\nwarnings.warn('x')",
    "import sys\nsys.setprofile(lambda *a: g.append(1))\nsys.getprofile()",
    "import sqlalchemy\ne = sqlalchemy.create_engine('sqlite://')\n@sqlalchemy.event.listens_for(e, 'x')\ndef f(*a):\n    g.append(1)\ne.connect()",
]

DICT = "g = {'a': [1]}", "print(g)"
DICT_WAYS = [
    "g['b'] = 1",
    "del g['a']",
    "g.setdefault('c', []).append(1)",
    "g |= {'b': 1}",
    "g.update(b=1)",
    "dict(g)['a'].append(1)",
    "list(g.values())[0].append(1)",
    "for k, v in g.items():\n    v.append(1)",
    "{**g}['a'].append(1)",
    "g.get('a').append(1)",
    "g.pop('a')",
    "x = g.popitem()",
    "(g | {})['a'].append(1)",
    "def f(a):\n    a.append(1)\nf(**g)",
    "import collections\ncollections.ChainMap({}, g)['a'].append(1)",
    "import collections\ncollections.OrderedDict(g)['a'].append(1)",
    "for v in g.values():\n    v += [1]",
    "import types\ntypes.MappingProxyType(g)['a'].append(1)",
    "vals = list(map(lambda v: v.append(1), g.values()))",
    "g['a'][0] += 1",
    "import operator\noperator.itemgetter('a')(g).append(1)",
    "match g:\n    case {'a': x}:\n        x.append(1)",
]

ARRAY = "import numpy as np\ng = np.zeros((2,2))", "print(g)"
ARRAY_WAYS = [
    "g[0] = 1",
    "g[...] = 1",
    "g[g == 0] = 5",
    "g.T[0] = 1",
    "g.ravel()[0] = 1",
    "np.asarray(g)[0] = 1",
    "g.flat[0] = 1",
    "np.add(g, 1, out=g)",
    "g += 1",
    "g.fill(1)",
    "g.sort()",
    "np.put(g, 0, 1)",
    "np.copyto(g, 1)",
    "np.random.shuffle(g)",
    "np.ndarray.fill(g, 1)",
    "memoryview(g)[0, 0] = 1",
    "v = g[0]\nv[0] = 1",
    "v = g.reshape(-1)\nv[0] = 1",
    "v = g.view()\nv[0] = 1",
    "for r in g:\n    r[0] = 1",
    "a, b = g\na[0] = 1",
    "np.fill_diagonal(g, 1)",
    "np.place(g, g == 0, 1)",
    "np.putmask(g, g == 0, 1)",
    "g.shape = (4,)",
    "g.resize((4,), refcheck=False)",
    "g.itemset(0, 1)",
    "h = {'k': g}\nh['k'][0] = 1",
    "import pandas as pd\npd.Series(g[0], copy=False).values[0] = 1",
    "np.nan_to_num(g, copy=False)",
    "g.real[0] = 1",
    "np.atleast_2d(g)[0] = 1",
    "np.squeeze(g)[0] = 1",
    "np.split(g, 2)[0][0] = 1",
    "np.swapaxes(g, 0, 1)[0] = 1",
    "np.diagonal(g).setflags(write=True)",
    "g.setflags(write=False)",
    "np.exp(g, g)",
    "np.clip(g, 0, 1, g)",
    "np.cumsum(g, out=g)",
    "np.lib.stride_tricks.as_strided(g)[0] = 1",
    "np.frombuffer(g.data)[0] = 1",
    "with np.nditer(g, op_flags=['readwrite']) as it:\n    for x in it:\n        x[...] = 1",
    "np.take(g, [0], out=g[0, :1])",
    "np.partition(g, 1)\ng.partition(1)",
    "np.vectorize(lambda i: g.fill(i))([1])",
    "np.apply_along_axis(lambda r: r.fill(1), 0, g)",
    "np.random.default_rng(0).shuffle(g)",
    "np.random.default_rng(0).random(out=g)",
    "np.random.Generator(np.random.PCG64()).standard_normal(out=g)",
    "np.dot(g, g, out=g)",
    "np.multiply.at(g, 0, 2)",
    "np.add.reduce(g, out=g[0])",
    "g.dtype = 'int64'",
    "g.byteswap(inplace=True)",
    "g.data[0, 0] = 1",
    "g.__setitem__(0, 1)",
    "g.__iadd__(1)",
]

FRAME = "import pandas as pd\ng = pd.DataFrame({'a': [1, 2]})", "print(g)"
FRAME_WAYS = [
    "g['b'] = 1",
    "g.b = 1",
    "g.loc[0, 'a'] = 5",
    "g.iloc[0, 0] = 5",
    "g.at[0, 'a'] = 5",
    "g.iat[0, 0] = 5",
    "g.columns = ['z']",
    "g.index.name = 'i'",
    "g.index = [5, 6]",
    "g.insert(0, 'q', 1)",
    "g.a.values[0] = 5",
    "g.drop(columns='a', inplace=True)",
    "g.eval('b = a', inplace=True)",
    "del g['a']",
    "g.pop('a')",
    "g.update(pd.DataFrame({'a': [9]}))",
    "g.sort_values('a', inplace=True)",
    "g.rename(columns={'a': 'z'}, inplace=True)",
    "g.fillna(0, inplace=True)",
    "g['a'][0] = 5",
    "g.a.iloc[0] = 5",
    "g[['a']] = 3",
    "g.loc[g.a > 1, 'a'] = 0",
    "g.attrs['x'] = 1",
    "g.columns.name = 'c'",
    "s = g['a']\ns[0] = 5",
    "v = g.to_numpy()\nv[0] = 5",
    "g.set_index('a', inplace=True)",
    "g += 1",
    "g.a += 1",
    "pd.DataFrame.insert(g, 0, 'q', 1)",
    "for c in g:\n    g[c] = 0",
    "h = {'k': g}\nh['k']['b'] = 1",
    "def f(d):\n    d['b'] = 1\nf(g)",
    "g.pipe(lambda d: d.insert(0, 'q', 1))",
    "g.apply(lambda r: g.insert(0, 'q', 1))",
    "g.loc[:, 'b'] = g.a",
    "g.loc[5] = [1]",
    "g.reset_index(inplace=True)",
    "g.mask(g > 1, 0, inplace=True)",
    "g.where(g > 1, 0, inplace=True)",
    "g.clip(0, 1, inplace=True)",
    "g.replace(1, 2, inplace=True)",
    "g.a.replace(1, 2, inplace=True)",
    "g.flags.allows_duplicate_labels = False",
    "g.interpolate(inplace=True)",
    "g.query('a > 1', inplace=True)",
    "g.a.update(pd.Series([9]))",
    "g.index.rename('x', inplace=True)",
    "g.columns.set_names('x', inplace=True)",
    "g['a'].values.sort()",
    "import numpy as np\nnp.random.shuffle(g.values)",
    "import numpy as np\nnp.asarray(g)[0] = 5",
    "g.__setitem__('b', 1)",
    "setattr(g, 'a', [3, 4])",
    "g.dropna(inplace=True)",
    "g.ffill(inplace=True)",
    "g.drop_duplicates(inplace=True)",
]

INSTANCE = (
    "class A:\n    n = 0\n    def __init__(self):\n        self.x = []\n    def add(self, v):\n        self.x.append(v)\ng = A()",
    "print(g.x, g.n)",
)
INSTANCE_WAYS = [
    "g.x = 1",
    "setattr(g, 'x', 1)",
    "g.__dict__['x'] = 1",
    "vars(g)['x'] = 1",
    "A.add(g, 1)",
    "type(g).add(g, 1)",
    "A.n = 5",
    "setattr(A, 'n', 5)",
    "g.__class__.n = 5",
    "type(g).n = 5",
    "g.x.append(1)",
    "del g.x",
    "g.__dict__.update(x=1)",
    "object.__setattr__(g, 'x', 1)",
    "g.__setattr__('x', 1)",
    "h = g\nh.n = 5",
    "for o in [g]:\n    o.n = 5",
    "getattr(g, 'x').append(1)",
    "import operator\noperator.attrgetter('x')(g).append(1)",
    "import operator\noperator.methodcaller('add', 1)(g)",
    "m = A.add\nm(g, 1)",
    "f = A.__dict__['add']\nf(g, 1)",
    "g.x, y = 1, 2",
    "with open('/dev/null') as g.x:\n    pass",
    "for g.x in [1]:\n    pass",
    "import copy\ncopy.copy(g).x.append(1)",
    "g.x += [1]",
    "A.__init__(g)",
    "g.__init__()",
    "g.__class__ = type('Z', (A,), {'n': 7})",
    "[setattr(g, 'x', i) for i in [1]]",
    "def f(o):\n    o.x = 1\nf(g)",
    "list(map(lambda o: setattr(o, 'n', 5), [g]))",
    "import functools\nfunctools.partial(setattr, g, 'x')(1)",
    "class B(A):\n    def __init__(self, o):\n        o.n = 5\nB(g)",
    "import types\ng.add = types.MethodType(lambda s, v: s.x.append(0), g)\ng.add(1)",
    "g.__getattribute__('x').append(1)",
    "delattr(g, 'x')",
    "vars(g).clear()",
    "import unittest.mock as m\nm.patch.object(A, 'n', 5).start()",
    "A.add.__defaults__ = (1,)\ng.add()",
]

AXES = (
    "import pandas as pd\nimport matplotlib.pyplot as plt\nd = pd.DataFrame({'x': [1]})\n_, g = plt.subplots()",
    "print(g)",
)
AXES_WAYS = [
    "d.plot(ax=g)",
    "d.plot.scatter('x', 'x', ax=g)",
    "d.hist(ax=[g])",
    "d.x.plot.bar(ax=g)",
    "d.boxplot('x', ax=g)",
    "d.groupby('x').plot(ax=g)",
]

NAMESPACE = "g = {'a': 1}\ntext = 'a = 2'", "print(g)"
NAMESPACE_WAYS = ["exec(text, g)", "exec(text, {}, g)", "exec(text, globals(), g)", "exec('b = 1', g)"]

MODULE = "import time", "print(time.time())"
MODULE_WAYS = [
    "import sys\nsys.set_int_max_str_digits(700)",
    "from unittest import mock\np = mock.patch('time.time', return_value=4)\np.start()",
    "from unittest import mock\np = mock.patch.object(time, 'time')\np.start()",
    "time.time = lambda: 4",
    "setattr(time, 'time', lambda: 4)",
]

OPTIONS = (
    "import csv, pandas as pd, contextlib, asyncio",
    "print(csv.reader([]), pd.DataFrame(), asyncio.get_event_loop())",
)
OPTIONS_WAYS = [
    "csv.field_size_limit(5)",
    "c = pd.option_context('display.precision', 2)\nc.__enter__()",
    "s = contextlib.ExitStack()\ns.enter_context(pd.option_context('display.precision', 2))",
    "asyncio.get_event_loop().set_debug(True)",
    "asyncio.get_event_loop().set_exception_handler(lambda loop, context: print(context))",
]

WAYS = [
    (owner, way)
    for owner, ways in (
        (LIST, LIST_WAYS), (DICT, DICT_WAYS), (ARRAY, ARRAY_WAYS), (FRAME, FRAME_WAYS), (INSTANCE, INSTANCE_WAYS),
        (AXES, AXES_WAYS), (NAMESPACE, NAMESPACE_WAYS), (MODULE, MODULE_WAYS), (OPTIONS, OPTIONS_WAYS),
    )
    for way in ways
]  # fmt: skip


@pytest.mark.parametrize(("owner", "way"), WAYS, ids=range(len(WAYS)))
def test_a_way_to_change_it_is_kept(owner: tuple[str, str], way: str) -> None:
    made, printed = owner
    assert ast.unparse(ast.parse(way).body[-1]) in kept(made, way, printed)


COROUTINES = """\
g = []
async def f():
    g.append(1)
    return g
async def give(x):
    x.append(1)
async def look(x):
    return len(x)
"""


@pytest.mark.parametrize(
    "way",
    [
        "await f()",
        "h = f()\nawait h",
        "h = give(g)\nawait h",
        "await give(g)",
        "x = await f()\nx.append(2)",
        "import asyncio\nt = asyncio.create_task(f())\nawait t",
        "import asyncio\nts = [asyncio.create_task(f()) for i in range(2)]\nfor t in ts:\n    await t",
        "import asyncio\nt = asyncio.get_event_loop().create_task(give(g))\nawait t",
        "import asyncio\ncs = [f(), f()]\nawait asyncio.gather(*cs)",
        "import asyncio\nasync with asyncio.TaskGroup() as tg:\n    tg.create_task(f())",
        "async def z():\n    h = f()\n    await h\nawait z()",
        "async def z(c):\n    await c\nawait z(f())",
        "class A:\n    async def m(self):\n        g.append(1)\nawait A().m()",
        "class A:\n    async def __aenter__(s):\n        return g\n    async def __aexit__(s, *a):\n        pass\nasync with A() as y:\n    y.append(1)",
        "async def ag():\n    yield g\nasync for y in ag():\n    y.append(1)",
    ],
)
def test_a_coroutine_does_its_work_where_it_is_awaited(way: str) -> None:
    assert ast.unparse(ast.parse(way).body[-1]) in kept(COROUTINES, way, "print(g)")


def test_a_coroutine_that_looks_at_an_object_changes_nothing() -> None:
    assert kept(COROUTINES, "x = await look(g)", "print(g)") == ["g = []", "print(g)"]


@pytest.mark.parametrize(
    ("made", "way", "printed"),
    [
        ("g = iter([1, 2, 3])", "x = []\nx[0:0] = g", "print(list(g))"),
        ("import io\ng = io.StringIO('a')", "for line in g:\n    break", "print(g.read())"),
    ],
)
def test_what_moves_on_by_being_read(made: str, way: str, printed: str) -> None:
    assert ast.unparse(ast.parse(way).body[-1]) in kept(made, way, printed)


def test_a_call_that_is_thrown_away_is_kept_for_its_own_module_only() -> None:
    call = "import csv\ncsv.field_size_limit(5)"
    assert kept(call, "import csv\nprint(csv)") == [*call.splitlines(), "import csv", "print(csv)"]
    assert kept(call, "print(1)") == ["print(1)"]
    assert kept("import random", "random.seed(1)", "random.seed(2)", "random.random()") == [
        "import random", "random.seed(2)", "random.random()",
    ]  # fmt: skip
    assert kept("import os", "os.listdir('.')", "print(os.sep)") == ["import os", "print(os.sep)"]


@pytest.mark.parametrize(
    "cells",
    [
        (
            (
                "class Config:\n    one = None\n    def __new__(cls):\n        if cls.one is None:\n"
                "            cls.one = super().__new__(cls)\n            cls.one.vals = {}\n        return cls.one"
            ),
            "Config().vals['b'] = 2",
            "print(Config().vals)",
        ),
        (
            "from toolz import memoize\ncache = {}\n@memoize(cache=cache)\ndef f(x):\n    return x",
            "f(3)",
            "print(cache)",
        ),
        (
            (
                "import heapq\nclass Sim:\n    def __init__(self):\n        self.q = []\n    def at(self, f):\n"
                "        heapq.heappush(self.q, (0, f))\n    def run(self):\n        _, f = heapq.heappop(self.q)\n        f(self)\n"
                "def ping(s):\n    s.at(pong)\ndef pong(s):\n    pass\nsim = Sim()"
            ),
            "sim.at(ping)\nsim.run()",
            "print(sim)",
        ),
        (
            (
                "class P:\n    def __init__(self):\n        self.steps = []\n    def __or__(self, f):\n"
                "        self.steps.append(f)\n        return self\n    def go(self, x):\n        for s in self.steps:\n            s(x)\n"
                "p = P()"
            ),
            "def add(x):\n    return x + offset\noffset = 3",
            "p | add",
            "p.go(1)",
        ),
        (
            (
                "class N:\n    named = {}\n    def __init__(self, k):\n        self.named[k] = self\n    def __getattr__(self, k):\n"
                "        return self.named[k]\nroot = N('root')"
            ),
            "leaf = N('leaf')",
            "print(root.leaf)",
        ),
        (
            "import pandas as pd\nspec = {'v': ['sum', lambda s: s.max() - off]}\noff = 1\ndf = pd.DataFrame({'g': [1], 'v': [1]})",
            "print(df.groupby('g').agg(spec))",
        ),
        (
            (
                "class Shape:\n    def draw(self):\n        return getattr(self, 'draw_' + self.kind)()\n"
                "    def draw_round(self):\n        return pi\n    kind = 'round'\npi = 3\ns = Shape()"
            ),
            "print(s.draw())",
        ),
        (
            (
                "class V:\n    def visit(self, n):\n        getattr(self, 'visit_' + n.kind)(n)\n    def visit_x(self, n):\n"
                "        n.seen = 1\nclass N:\n    kind = 'x'\nn = N()\nv = V()"
            ),
            "v.visit(n)",
            "print(n.seen)",
        ),
        (
            "def gen():\n    while True:\n        state[0] += yield 1\nstate = [0]\ng = gen()\nnext(g)",
            "g.send(5)",
            "print(state)",
        ),
        (
            (
                "class Cell:\n    def __init__(self):\n        self.seen = []\n    def watch(self, f):\n        self.seen.append(f)\n"
                "        return f\n    def set(self, v):\n        for one in self.seen:\n            one(v)\ncell = Cell()\nlog = []"
            ),
            "@cell.watch\ndef note(v):\n    log.append(v)",
            "cell.set(4)",
            "print(log)",
        ),
        (
            "import ipywidgets as w\ns = w.IntSlider()\nout = []",
            "s.observe(lambda ch: out.append(ch), 'value')",
            "s.value = 7",
            "print(out)",
        ),
        (
            "import param\nclass P(param.Parameterized):\n    seen = []\n    def note(self):\n        self.seen.append(self.x)\np = P()",
            "p.x = 5",
            "print(P.seen)",
        ),
        ("import __main__", "__main__.limit = 5", "print(limit)"),
        (
            "from unittest.mock import patch\np = patch('random.random', lambda: 0.5)",
            "p.start()",
            "import random\nrandom.random()",
        ),
    ],
)
def test_each_of_these_statements_is_needed(cells: tuple[str, ...]) -> None:
    assert kept(*cells) == [ast.unparse(node) for cell in cells for node in ast.parse(cell).body]


KEEPS = "class Keeper:\n    items = {}\n    def add(self, k, x):\n        self.items[k] = x\n"
REGISTERED = "class Node:\n    known = {{}}\n    def __init__(self, k):\n        self.tag = []\n        {}\n"


@pytest.mark.parametrize(
    ("before", "given", "use"),
    [
        ("kept = {}\ndef add(k, x):\n    kept[k] = x", "add('a', leaf)", "print(kept)"),
        ("kept = {}\ndef add(k, x):\n    kept[k] = {'v': (x, 1)}", "add('a', leaf)", "print(kept)"),
        ("kept = {'a': []}\ndef add(k, x):\n    kept[k].append(x)", "add('a', leaf)", "print(kept)"),
        ("kept = []\ndef add(x):\n    kept.append(x)\ndef add2(x):\n    add([x])", "add2(leaf)", "print(kept)"),
        ("class Box: pass\nbox = Box()\ndef add(x):\n    box.x = x", "add(leaf)", "print(box.x)"),
        ("def add(x):\n    global last\n    last = x", "add(leaf)", "print(last)"),
        ("kept = []\ndef outer(x):\n    def inner():\n        kept.append(x)\n    inner()", "outer(leaf)", "print(kept)"),
        ("kept = {}\ndef add(k, x, n=3):\n    kept[k] = x\n    n and add(k, x, n - 1)", "add('a', leaf)", "print(kept)"),
        ("import collections\nkept = collections.defaultdict(list)\ndef add(x):\n    kept['a'].append(x)", "add(leaf)", "print(kept)"),
        (f"{KEEPS}keeper = Keeper()", "keeper.add('a', leaf)", "print(Keeper.items)"),
        (f"{KEEPS}keeper, other = Keeper(), Keeper()", "keeper.add('a', leaf)", "print(other.items)"),
        (
            (
                "def make():\n    kept = None\n    def put(x):\n        nonlocal kept\n        kept = x\n"
                "    def get():\n        return kept\n    return put, get\nput, get = make()"
            ),
            "put(leaf)", "print(get())",
        ),
        ("import weakref\nkept = weakref.WeakValueDictionary()\ndef add(x):\n    kept[1] = x", "add(leaf)", "print(dict(kept))"),
    ],
)  # fmt: skip
def test_what_was_given_to_a_function_is_held_by_what_it_stored_it_in(before: str, given: str, use: str) -> None:
    """A registry holds the object itself: what changes that later by its own name changes what the registry shows."""
    assert "leaf.append(1)" in kept(before, "leaf = []", given, "leaf.append(1)", use)


@pytest.mark.parametrize(
    "use", ["Node.known['leaf'].tag", "root.known['leaf'].tag", "[n.tag for n in Node.known.values()]"]
)
@pytest.mark.parametrize(
    "store",
    [
        "self.known[k] = self", "Node.known[k] = self", "type(self).known[k] = self", "self.__class__.known[k] = self",
        "self.known.update({k: self})", "self.known.setdefault(k, self)",
    ],
)  # fmt: skip
def test_an_instance_that_registers_itself_is_what_the_registry_has(store: str, use: str) -> None:
    cells = (
        REGISTERED.format(store),
        "root = Node('root')",
        "leaf = Node('leaf')",
        "leaf.tag.append(1)",
        f"print({use})",
    )
    assert "leaf.tag.append(1)" in kept(*cells)


@pytest.mark.parametrize(
    "cells",
    [
        ("def f(*a):\n    return a", "h = f(leaf, 1)", "h[0].append(1)"),
        ("def f(*a):\n    return [a]", "h = f(leaf)", "h[0][0].append(1)"),
        ("def f(**a):\n    return a", "h = f(x=leaf)", "h['x'].append(1)"),
        ("def g(*a):\n    return a\ndef f(*a):\n    return g(*a)", "h = f(leaf)", "h[0].append(1)"),
        ("import itertools", "h = list(itertools.chain([leaf], []))", "h[0].append(1)"),
        ("import itertools", "h = [*itertools.islice([leaf, 2], 1)]", "h[0].append(1)"),
        ("pass", "h = tuple(reversed([leaf]))", "h[0].append(1)"),
        ("pass", "h = list(filter(len, [leaf]))", "h[0].append(1)"),
        ("pass", "h = list(zip([leaf], 'a'))", "h[0][0].append(1)"),
    ],
)
def test_what_is_taken_out_of_what_was_made_of_an_object_is_the_object(cells: tuple[str, str, str]) -> None:
    before, made, change = cells
    assert change in kept(before, "leaf = [0]", made, change, "print(leaf)")


def test_what_a_function_does_not_store_is_not_held() -> None:
    assert kept("kept = []\ndef add(x):\n    kept.append(len(x))", "leaf = []", "add(leaf)", "leaf.append(1)", "print(kept)") == [
        "kept = []", "def add(x):\n    kept.append(len(x))", "leaf = []", "add(leaf)", "print(kept)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "change", "use"),
    [
        ("import pandas as pd\ndf = pd.DataFrame({'v': [1.5]})\nst = df.style", "st.format('{:.1f}')", "print(st.to_html())"),
        ("import pandas as pd\ndf = pd.DataFrame({'v': [1.5]})\nst = df.style.hide()", "st.apply(lambda s: s)", "print(st.to_html())"),
        ("import pandas as pd\ndf = pd.DataFrame({'v': [1.5]})\nst = df.style", "df.loc[0, 'v'] = 2", "print(st.to_html())"),
        ("import numpy as np\nnp.save('x', [1, 2])", "m = np.load('x.npy', mmap_mode='r+')\nm[0] = 9", "print(np.load('x.npy'))"),
        (
            (
                "import numpy as np\nclass Unit(np.ndarray):\n    log = []\n"
                "    def __array_ufunc__(self, ufunc, method, *a, **k):\n        Unit.log.append(ufunc)\n        return a\n"
                "u = np.arange(3).view(Unit)"
            ),
            "y = np.sqrt(u)", "print(Unit.log)",
        ),
        ("import typing", "@typing.overload\ndef f(x: int):\n    ...\n\ndef f(x):\n    return x", "print(typing.get_overloads(f))"),
    ],
)  # fmt: skip
def test_what_a_library_made_is_changed_in_its_own_way(before: str, change: str, use: str) -> None:
    found = "\n".join(kept(before, change, use))
    assert change in found.replace("\n\n", "\n").replace("...\n", "...\n\n")


def test_a_style_that_nobody_keeps_changes_no_table() -> None:
    made = "import pandas as pd\ndf = pd.DataFrame({'v': [1.5]})"
    assert kept(made, "df.style.format('{:.1f}').hide()", "print(df)") == [*made.splitlines(), "print(df)"]


@pytest.mark.parametrize("made", ["x ** 2 + 1", "1 + 2 * x", "-x", "(x + 1) * (x - 1)", "x > 1"])
@pytest.mark.parametrize(
    ("make", "change", "held"),
    [
        ("import uncertainties\nx = uncertainties.ufloat(2, 0.1)", "x.std_dev = 0", True),
        ("import numpy\nx = numpy.zeros(3)", "x[0] = 0", False),
    ],
)
def test_what_an_operator_of_a_library_gives_may_hold_its_operands(
    made: str, make: str, change: str, held: bool
) -> None:
    assert (change in kept(make, f"y = {made}", change, "print(y)")) is held
