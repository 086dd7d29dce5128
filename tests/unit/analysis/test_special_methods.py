"""Special methods, descriptors, weak references and builtins: what runs without a call is seen to change things."""

from __future__ import annotations

import ast

import pytest

from tests.unit.analysis.test_slicer import kept

CELLS = [
    ("import builtins\nbuiltins.print2 = print", "print2(1)"),
    ("__builtins__.foo = 5", "print(foo)"),
    ("setattr(__builtins__, 'foo', 5)", "print(foo)"),
    ("import builtins\nsetattr(builtins, 'foo', 5)", "print(foo)"),
    ("import builtins\nbuiltins.__dict__['foo'] = 5", "print(foo)"),
    ("import builtins\nvars(builtins)['foo'] = 5", "print(foo)"),
    ("import builtins as b\nb.foo = 5", "print(foo)"),
    ("import builtins\nbuiltins.len = lambda x: 42", "print(len([]))"),
    ("__builtins__.len = lambda x: 42", "print(len([]))"),
    ("import builtins\ndef f(): builtins.foo = 5", "f()", "print(foo)"),
    ("def f(): __builtins__.foo = 5", "f()", "print(foo)"),
    ("import builtins\nold = builtins.print\ndef p(*a): old('x', *a)", "builtins.print = p", "print(1)"),
    ("__builtins__.__dict__['foo'] = 5", "print(foo)"),
    ("import sys\nsys.modules['builtins'].foo = 5", "print(foo)"),
    ("__import__('builtins').foo = 5", "print(foo)"),
    ("log = []\nclass A:\n    def __del__(s): log.append(1)\na = A()", "del a", "print(log)"),
    ("log = []\nclass A:\n    def __del__(s): log.append(1)\na = A()", "a = None", "print(log)"),
    ("log = []\nclass A:\n    def __del__(s): log.append(1)", "A()", "print(log)"),
    ("log = []\nclass A:\n    def __del__(s): log.append(1)\nd = {'a': A()}", "del d['a']", "print(log)"),
    ("log = []\nclass A:\n    def __del__(s): log.append(1)\nd = {'a': A()}", "d.clear()", "print(log)"),
    ("log = []\nclass A:\n    def __del__(s): log.append(1)\nd = [A()]", "d.pop()", "print(log)"),
    ("log = []\nclass A:\n    def __del__(s): log.append(1)\ndef f():\n    x = A()", "f()", "print(log)"),
    ("log = []\nclass A:\n    def __del__(s): log.append(1)\na = A()\nb = a", "del a", "del b", "print(log)"),
    (
        "import weakref\nlog = []\nclass A: pass\na = A()\nr = weakref.ref(a, lambda r: log.append(1))",
        "del a",
        "print(log)",
    ),
    ("import weakref\nclass A: pass\na = A()\nr = weakref.ref(a)", "del a", "print(r())"),
    ("import weakref\nclass A: pass\na = A()\nr = weakref.ref(a)", "a = 1", "print(r())"),
    ("import weakref\nclass A: pass\na = A()\nw = weakref.WeakValueDictionary(a=a)", "del a", "print(len(w))"),
    ("import weakref\nlog=[]\nclass A: pass\na = A()\nweakref.finalize(a, log.append, 1)", "del a", "print(log)"),
    ("import weakref\nclass A: pass\na = A()\nw = weakref.WeakSet([a])", "del a", "print(len(w))"),
    ("import weakref\nclass A: pass\na = A()\np = weakref.proxy(a)", "a.x = 1", "print(p.x)"),
    (
        "import gc\nlog = []\nclass A:\n    def __del__(s): log.append(1)\na = A()\na.me = a",
        "del a",
        "gc.collect()",
        "print(log)",
    ),
    ("log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0", "[1][A()]", "print(log)"),
    (
        "log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0",
        "x = [1,2][A():]",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0",
        "x = range(A())",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0",
        "x = hex(A())",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0",
        "x = {}\nx[A()] = 1",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0",
        "x = [0]\nx[A()] = 1",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0",
        "x = [0]\ndel x[A()]",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0",
        "x = 'abc'[A()]",
        "print(log)",
    ),
    ("log = []\nclass A:\n    def __index__(s):\n        log.append(1)\n        return 0", "x = [0]*A()", "print(log)"),
    ("log = []\nclass A:\n    def __hash__(s):\n        log.append(1)\n        return 0", "x = {A(): 1}", "print(log)"),
    ("log = []\nclass A:\n    def __hash__(s):\n        log.append(1)\n        return 0", "x = {A()}", "print(log)"),
    (
        "log = []\nclass A:\n    def __hash__(s):\n        log.append(1)\n        return 0\nx = {}",
        "x[A()] = 1",
        "print(log)",
    ),
    ("log = []\nclass A:\n    def __int__(s):\n        log.append(1)\n        return 0", "int(A())", "print(log)"),
    ("log = []\nclass A:\n    def __float__(s):\n        log.append(1)\n        return 0.", "float(A())", "print(log)"),
    ("log = []\nclass A:\n    def __round__(s, n=None):\n        log.append(1)", "round(A())", "print(log)"),
    ("log = []\nclass A:\n    def __abs__(s):\n        log.append(1)", "abs(A())", "print(log)"),
    (
        "log = []\nclass A:\n    def __fspath__(s):\n        log.append(1)\n        return 'x'",
        "import os\nos.fspath(A())",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __instancecheck__(s, o):\n        log.append(1)\n        return True\na = A()",
        "isinstance(1, a)",
        "print(log)",
    ),
    (
        "log = []\nclass M(type):\n    def __instancecheck__(s, o):\n        log.append(1)\n        return True\nclass A(metaclass=M): pass",
        "isinstance(1, A)",
        "print(log)",
    ),
    (
        "log = []\nclass M(type):\n    def __getattr__(s, o):\n        log.append(1)\n        return True\nclass A(metaclass=M): pass",
        "A.q",
        "print(log)",
    ),
    (
        "log = []\nclass M(type):\n    def __call__(s, *o):\n        log.append(1)\n        return True\nclass A(metaclass=M): pass",
        "A()",
        "print(log)",
    ),
    (
        "log = []\nclass M(type):\n    def __iter__(s):\n        log.append(1)\n        return iter([])\nclass A(metaclass=M): pass",
        "list(A)",
        "print(log)",
    ),
    (
        "log = []\nclass M(type):\n    def __setattr__(s, k, v):\n        log.append(1)\nclass A(metaclass=M): pass",
        "A.x = 1",
        "print(log)",
    ),
    (
        "log = []\nclass M(type):\n    def __len__(s):\n        log.append(1)\n        return 0\nclass A(metaclass=M): pass",
        "len(A)",
        "print(log)",
    ),
    ("log = []\nclass A:\n    def __class_getitem__(s, k):\n        log.append(1)", "A[int]", "print(log)"),
    (
        "log = []\nclass A:\n    def __mro_entries__(s, b):\n        log.append(1)\n        return ()\na = A()",
        "class B(a): pass",
        "print(log)",
    ),
    ("log = []\nclass A:\n    def __getattribute__(s, k):\n        log.append(k)", "A().zz", "print(log)"),
    ("log = []\nclass A:\n    def __dir__(s):\n        log.append(1)\n        return []", "dir(A())", "print(log)"),
    (
        "log = []\nclass A:\n    def __reduce__(s):\n        log.append(1)\n        return (A, ())",
        "import copy\ncopy.copy(A())",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __copy__(s):\n        log.append(1)\n        return s",
        "import copy\ncopy.copy(A())",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __deepcopy__(s, m):\n        log.append(1)\n        return s",
        "import copy\ncopy.deepcopy([A()])",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __getstate__(s):\n        log.append(1)\n        return {}",
        "import pickle\npickle.dumps(A())",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __array__(s, *a, **k):\n        log.append(1)\n        import numpy\n        return numpy.zeros(1)",
        "import numpy as np\nnp.asarray(A())",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __length_hint__(s):\n        log.append(1)\n        return 1\n    def __iter__(s): return iter([])",
        "list(A())",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __reversed__(s):\n        log.append(1)\n        return iter([])",
        "reversed(A())",
        "print(log)",
    ),
    ("log = []\nclass A:\n    def __matmul__(s, o):\n        log.append(1)", "A() @ 1", "print(log)"),
    ("log = []\nclass A:\n    def __rsub__(s, o):\n        log.append(1)", "1 - A()", "print(log)"),
    (
        "log = []\nclass A:\n    def __imul__(s, o):\n        log.append(1)\n        return s\na = A()",
        "a *= 2",
        "print(log)",
    ),
    ("log = []\nclass A:\n    def __next__(s):\n        log.append(1)\na = A()", "next(a)", "print(log)"),
    (
        "log = []\nclass A:\n    def __await__(s):\n        log.append(1)\n        return iter([])\na = A()",
        "await a",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    async def __aenter__(s):\n        log.append(1)\n    async def __aexit__(s, *a): pass\na = A()",
        "async with a: pass",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __aiter__(s):\n        log.append(1)\n        return s\n    async def __anext__(s): raise StopAsyncIteration\na = A()",
        "async for x in a: pass",
        "print(log)",
    ),
    (
        "log = []\nclass A:\n    def __exit__(s, *a): log.append(1)\n    def __enter__(s): pass\na = A()",
        "with a: pass",
        "print(log)",
    ),
    (
        "log = []\nclass E(Exception):\n    def __str__(s):\n        log.append(1)\n        return ''",
        "try:\n    raise E\nexcept E as e:\n    str(e)",
        "print(log)",
    ),
    (
        "log = []\nclass E(Exception):\n    def __init__(s):\n        log.append(1)",
        "try:\n    raise E\nexcept E as e:\n    pass",
        "print(log)",
    ),
    (
        "log = []\nclass E(Exception):\n    def __init__(s):\n        log.append(1)\ndef f(): raise E()",
        "try:\n    f()\nexcept E as e:\n    pass",
        "print(log)",
    ),
    ("log = []\nclass D:\n    def __set__(s, i, v): log.append(v)\nclass C:\n    x = D()", "C().x = 1", "print(log)"),
    ("log = []\nclass D:\n    def __get__(s, i, o): log.append(1)\nclass C:\n    x = D()", "C().x", "print(log)"),
    ("log = []\nclass D:\n    def __get__(s, i, o): log.append(1)\nclass C:\n    x = D()", "y = C.x", "print(log)"),
    (
        "log = []\nclass D:\n    def __delete__(s, i): log.append(1)\nclass C:\n    x = D()\nc = C()",
        "del c.x",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __set__(s, i, v): log.append(v)\nclass C:\n    x = D()\nclass E(C): pass",
        "E().x = 1",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __set__(s, i, v): log.append(v)\nclass C:\n    x = D()",
        "setattr(C(), 'x', 1)",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __set__(s, i, v): log.append(v)\nclass C:\n    x = D()\n    def __init__(s):\n        s.x = 5",
        "C()",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __set__(s, i, v): log.append(v)\nclass C:\n    x = D()\ndef f(c):\n    c.x = 1",
        "f(C())",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __set__(s, i, v): log.append(v)\nclass C:\n    x = D()\nc = C()",
        "for c.x in [1]: pass",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __set__(s, i, v): log.append(v)\nclass C:\n    x = D()\nc = C()",
        "c.x += 1",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __set__(s, i, v): log.append(v)\nclass C: pass\nC.x = D()\nc = C()",
        "c.x = 1",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __get__(s, i, o): log.append(1)\nclass C: pass\nC.x = D()\nc = C()",
        "c.x",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __get__(s, i, o): log.append(1)\nclass C:\n    x = D()\ndef f(c):\n    return c.x",
        "f(C())",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __get__(s, i, o): log.append(1)\nclass C:\n    x = D()",
        "getattr(C(), 'x')",
        "print(log)",
    ),
    (
        "log = []\nclass D:\n    def __get__(s, i, o): log.append(1)\nclass C:\n    x = D()",
        "hasattr(C(), 'x')",
        "print(log)",
    ),
    ("log = []\nclass C:\n    @property\n    def x(s): log.append(1)", "hasattr(C(), 'x')", "print(log)"),
    ("log = []\nclass C:\n    @property\n    def x(s): log.append(1)", "getattr(C(), 'x')", "print(log)"),
    ("log = []\nclass C:\n    def g(s): log.append(1)\n    x = property(g)", "C().x", "print(log)"),
    ("log = []\nclass C:\n    def g(s, v): log.append(1)\n    x = property(None, g)", "C().x = 1", "print(log)"),
    (
        "log = []\nclass C:\n    @property\n    def x(s): pass\n    @x.setter\n    def x(s, v): log.append(v)",
        "C().x = 1",
        "print(log)",
    ),
    (
        "log = []\nclass C:\n    @property\n    def x(s): pass\n    @x.deleter\n    def x(s): log.append(1)\nc = C()",
        "del c.x",
        "print(log)",
    ),
    (
        "import functools\nlog = []\nclass C:\n    @functools.cached_property\n    def x(s): log.append(1)\nc = C()",
        "c.x",
        "print(log)",
    ),
    ("log = []\nclass D:\n    def __set_name__(s, o, n): log.append(n)", "class C:\n    x = D()", "print(log)"),
    (
        "import operator\nlog = []\nclass C:\n    @property\n    def x(s): log.append(1)",
        "operator.attrgetter('x')(C())",
        "print(log)",
    ),
    ("log = []\nclass C:\n    @property\n    def x(s): log.append(1)", "[c.x for c in [C()]]", "print(log)"),
    ("log = []\nclass C:\n    @property\n    def x(s): log.append(1)", "list(map(lambda c: c.x, [C()]))", "print(log)"),
    (
        "log = []\nclass C:\n    @property\n    def x(s): log.append(1)",
        "match C():\n    case C(x=1): pass",
        "print(log)",
    ),
    ("log = []\nclass C:\n    @property\n    def x(s): log.append(1)", "f'{C().x}'", "print(log)"),
    ("log = []\nclass C:\n    @property\n    def x(s): log.append(1)", "'{0.x}'.format(C())", "print(log)"),
    ("log = []\nclass C:\n    def __getattr__(s, k): log.append(k)", "C().foo", "print(log)"),
    ("log = []\nclass C:\n    def __getattr__(s, k): log.append(k)", "getattr(C(), 'foo', None)", "print(log)"),
    ("log = []\nclass C:\n    def __getattr__(s, k): log.append(k)", "hasattr(C(), 'foo')", "print(log)"),
    (
        "log = []\nclass C:\n    def __getattr__(s, k):\n        log.append(k)\n        return lambda: 1",
        "C().foo()",
        "print(log)",
    ),
    ("log = []\nclass C:\n    def __delattr__(s, k): log.append(k)", "del C().foo", "print(log)"),
    ("log = []\nclass C:\n    def __setitem__(s, k, v): log.append(k)", "C()[1] = 2", "print(log)"),
]


@pytest.mark.parametrize("cells", CELLS)
def test_what_runs_without_a_call_is_kept(cells: tuple[str, ...]) -> None:
    needed = [ast.unparse(ast.parse(cell).body[-1]) for cell in cells]
    assert [one for one in needed if one not in kept(*cells)] == []


def test_a_name_that_nothing_looks_at_is_taken_away_without_a_trace() -> None:
    assert kept("class A:\n    pass\na = A()\nn = 1", "del a", "print(n)") == ["n = 1", "print(n)"]


def test_a_setter_of_one_class_says_nothing_of_another() -> None:
    hook = "log = []\nclass C:\n    def __setattr__(self, k, v):\n        log.append(k)\nclass D:\n    pass\nd = D()"
    assert kept(hook, "d.x = 1", "print(log)") == ["log = []", "print(log)"]
