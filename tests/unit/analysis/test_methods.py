"""Methods that are taken from their objects and called by other code: what they change is seen to change."""

from __future__ import annotations

import ast

import pytest

from tests.unit.analysis.executed import check_changes
from tests.unit.analysis.test_slicer import kept

OWNERS = {
    "list": ("g = []", "append"),
    "set": ("g = set()", "add"),
    "dict": ("g = {}", "update"),
    "deque": ("import collections\ng = collections.deque()", "append"),
    "Counter": ("from collections import Counter\ng = Counter()", "update"),
    "graph": ("import networkx as nx\ng = nx.Graph()", "add_node"),
    "connection": ("import sqlite3\ng = sqlite3.connect(':memory:')", "execute"),
    "tree": ("import bs4\ng = bs4.BeautifulSoup('<p>')", "append"),
    "unknown": ("import some_library\ng = some_library.Thing()", "put_in"),
    "own class": (
        "class A:\n    def __init__(s):\n        s.x = []\n    def add(s, v):\n        s.x.append(v)\ng = A()",
        "add",
    ),
}
USES = [
    "list(map(M, [1, 2]))", "for _ in map(M, [1]):\n    pass", "any(map(M, [1]))", "[*map(M, [1])]", "next(map(M, [1]))",
    "''.join(map(M, ['a']))", "dict(map(M, [1]))", "a, b = map(M, [1, 2])", "list(filter(M, [1]))",
    "sorted([1, 2], key=M)", "max([1], key=M)", "x = [1].copy()\nx.sort(key=M)",
    "m = M\nm(1)", "m = M\nfor i in [1, 2]:\n    m(i)", "[f(1) for f in [M]]", "d = {'a': M}\nd['a'](1)",
    "from functools import partial\np = partial(M, 1)\np()", "import functools\nfunctools.reduce(M, [1, 2])",
    "import itertools\nlist(itertools.starmap(M, [(1,)]))", "from itertools import groupby\nfor k, v in groupby([1], M):\n    pass",
    "import collections as c\nc.deque(map(M, [1]), maxlen=0)", "import heapq\nheapq.nlargest(1, [1], key=M)",
    "import re\nre.sub('a', M, 'a')", "import threading\nt = threading.Thread(target=M, args=(1,))\nt.start(); t.join()",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as p:\n    list(p.map(M, [1]))",
    "import pandas as pd\npd.Series([1]).apply(M)", "import numpy as np\nnp.vectorize(M)([1])",
    "def h(f):\n    f(1)\nh(M)", "(lambda f: f(1))(M)", "x = list(map(lambda v: M(v), [1]))", "getattr(g, 'N')(1)",
    "import atexit\natexit.register(M, 1)", "class B:\n    pass\nb = B()\nb.f = M\nb.f(1)",
]  # fmt: skip


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("use", USES, ids=range(len(USES)))
def test_what_calls_a_method_elsewhere_is_kept(owner: str, use: str) -> None:
    made, name = OWNERS[owner]
    text = use.replace("M", f"g.{name}").replace("N", name)
    found = kept(made, text, "print(g)")
    assert ast.unparse(ast.parse(text).body[-1]) in found


@pytest.mark.parametrize(
    ("made", "use", "printed"),
    [
        ("import pandas as pd\ng = pd.DataFrame({'a': [1]})", "g.groupby(g.a).sum()", "g"),
        ("import pandas as pd\ng = pd.DataFrame({'a': [1]})", "list(map(str, g.a))", "g"),
        ("import pandas as pd\ng = pd.DataFrame({'a': [1]})", "sorted(g.columns, key=str.lower)", "g"),
        ("import pandas as pd\ng = pd.DataFrame({'a': [1]})", "g.a.map(lambda v: v + 1)", "g"),
        ("import numpy as np\ng = np.zeros(3)", "np.apply_along_axis(np.sum, 0, g)", "g"),
        ("from sklearn.linear_model import Ridge\ng = Ridge().fit([[1]], [1])", "print(g.coef_)", "g"),
        ("import collections\ng = collections.Counter('abc')", "sorted(g, key=g.get)", "g"),
        ("import collections\ng = collections.Counter('abc')", "print(g.most_common(2))", "g"),
        ("import collections\nP = collections.namedtuple('P', 'x y')\ng = P(1, 2)", "print(sum([g.x, g.y]))", "g"),
        ("g = {'a': 1}", "max(g, key=g.get)", "g"),
        ("import networkx as nx\ng = nx.path_graph(3)", "list(g.nodes)", "g"),
        ("class A:\n    x = 1\n    def get(s, v):\n        return v\ng = A()", "sorted([1], key=g.get)", "g.x"),
    ],
)
def test_what_changes_nothing_is_left_out(made: str, use: str, printed: str) -> None:
    assert ast.unparse(ast.parse(use)) not in kept(made, use, f"print({printed})")


_BUS = """
class Bus:
    def __init__(self):
        self.h = {}
    def on(self, name, function):
        KEEP
    def emit(self, name, *args):
        CALL
bus = Bus()
bus.on('x', M)
"""
_KEEP = (
    "self.h.setdefault(name, []).append(function)",
    "self.h[name] = [function]",
    "self.h.update({name: [function]})",
)
_CALL = (
    "for one in self.h.get(name, []):\n            one(*args)",
    "[one(*args) for one in self.h[name]]",
    "list(self.h.values())[0][0](*args)",
    "self.h.get(name)[0](*args)",
)


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("use", ["def f(x):\n    return x.N\nm = f(g)\nm(1)", "f = lambda x: x.N\nm = f(g)\nm(1)"])
def test_a_method_that_a_function_gave_changes_its_owner(owner: str, use: str) -> None:
    made, name = OWNERS[owner]
    text = use.replace("N", name)
    assert "m(1)" in kept(made, text, "print(g)")


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("keep", _KEEP, ids=range(len(_KEEP)))
@pytest.mark.parametrize("call", _CALL, ids=range(len(_CALL)))
def test_a_method_that_an_object_was_given_to_call_later(owner: str, keep: str, call: str) -> None:
    made, name = OWNERS[owner]
    text = _BUS.replace("M", f"g.{name}").replace("KEEP", keep).replace("CALL", call)
    assert "bus.emit('x', 1)" in kept(made, f"{text}bus.emit('x', 1)", "print(g)")


DATA = "a = [3, 1]\nb = [2]\nlog = []\n"
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


COUNTED = """
def counted(cls):
    cls.made = []
    old = cls.__init__
    def init(self, *a):
        old(self, *a)
        cls.made.append(self)
    cls.__init__ = init
    return cls
@counted
class T:
    def __init__(self, n):
        self.n = n
"""
KEEPS = """
from functools import cached_property
class Box:
    def __init__(self):
        self.xs = [1]
    @cached_property
    def total(self):
        return sum(self.xs)
    @cached_property
    def kept(self):
        return []
def ask(b):
    return b.total
b = Box()
"""
GENERIC = """
from typing import Generic, TypeVar
V = TypeVar('V')
class Stack(Generic[V]):
    def __init__(self):
        self.xs = []
    def push(self, x):
        self.xs.append(x)
s = Stack[int]()
"""


@pytest.mark.parametrize(
    ("first", "changes", "last"),
    [
        (COUNTED, ("T(1)",), "print(len(T.made))"),
        (COUNTED, ("t = T(1)",), "print(len(T.made))"),
        (KEEPS, ("b.total", "b.xs.append(2)"), "print(b.total)"),
        (KEEPS, ("ask(b)", "b.xs.append(2)"), "print(ask(b))"),
        (KEEPS, ("k = b.kept", "k.append(2)"), "print(b.kept)"),
        (GENERIC, ("s.push(1)",), "print(s.xs)"),
        (GENERIC, ("Stack[int].push(s, 1)",), "print(s.xs)"),
        (
            "class B:\n    s = {}\n    def __init__(self):\n        self.__dict__ = self.s\nb = B()",
            ("B().x = 5",),
            "print(b.x)",
        ),
        (
            "import asyncio, operator\nasync def f(v):\n    return [v]\nx = [1]\nh = asyncio.run(f(x))",
            ("operator.iadd(h[0], [9])",),
            "print(x)",
        ),
        ("class B: pass\nd = {}\na = B()", ("a.__dict__ = d", "a.x = [5]"), "print(d)"),
        ("import string\nx = []\nstring.h = x", ("string.h.append(1)",), "print(x)"),
        ("import string\nx = []\nstring.h = x", ("x.append(1)",), "print(__import__('string').h)"),
        ("import sys\nx = []\nsys.modules['string'].h = x", ("x.append(1)",), "print(__import__('string').h)"),
        (
            "import sys, types\nm = types.ModuleType('m')\nsys.modules['m'] = m",
            ("m.x = [1]",),
            "print(__import__('m').x)",
        ),
    ],
)
def test_a_change_by_a_way_around_is_kept(first: str, changes: tuple[str, ...], last: str) -> None:
    assert set(changes) <= set(kept(first, *changes, last))
