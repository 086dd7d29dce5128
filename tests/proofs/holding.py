"""Ways to hold an object, times ways to change it: programs from a grammar, and a plain run of them as the oracle.

A program makes an object in one cell, puts it somewhere in another, changes it in a third, by its own name or by what
holds it, and prints it in the last one by the other way. What the slice of the last cell prints has to be what all the
cells print when they run in order.

``python -m tests.proofs.holding COUNT [FIRST]`` prints the programs of these seeds that print something else.
"""

from __future__ import annotations

import ast
import contextlib
import contextvars
import gc
import io
import random
import sys
import warnings
from collections.abc import Callable
from typing import NamedTuple

from buildr_jupyter.analysis.slicer import Statement, analyze, slice_back
from buildr_jupyter.analysis.statements import Flow

__all__ = ["HOLDS", "KINDS", "Hold", "Program", "outcome", "printed", "sliced", "write_program"]


class Kind(NamedTuple):
    """A kind of object: how it is made, what shows it, and how it changes."""

    made: str
    shown: str
    changes: tuple[str, ...]
    hashable: bool = False


class Hold(NamedTuple):
    """A way to hold an object: what is there before, what puts the object ``{x}`` into ``{h}``, and what gives it."""

    before: str
    put: str
    got: str
    wants: str = ""
    """``hash`` where only what has a hash can be put there, a kind's name where only that, ``object`` for instances."""

    @property
    def by_holder(self) -> bool:
        """Whether nothing but the holder itself is needed to get the object: then another one may hold the holder."""
        return self.got.count("{h}") == 1 and "{h}" in self.put and "{h}_" not in self.got


LIST_CHANGES = (
    "{x}.append(9)",
    "{x}[0] = 9",
    "{x}.extend([7, 8])",
    "{x}.insert(0, 5)",
    "{x}[:] = [4]",
    "del {x}[0]",
    "{x}.clear()",
    "list.append({x}, 9)",
    "type({x}).append({x}, 9)",
    "getattr({x}, 'append')(9)",
    "{x}.__setitem__(0, 9)",
    "def change(v):\n    v.append(9)\nchange({x})",
    "def change(*vs):\n    for v in vs:\n        v.append(9)\nchange({x})",
    "def change(**vs):\n    vs['v'].append(9)\nchange(v={x})",
    "(lambda v: v.append(9))({x})",
    "import threading\nt = threading.Thread(target={x}.append, args=(9,))\nt.start()\nt.join()",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as pool:\n    list(pool.map({x}.append, [7, 8]))",
    "list(map({x}.append, [7, 8]))",
    "import operator\noperator.iadd({x}, [9])",
    "import operator\noperator.methodcaller('append', 9)({x})",
    "import functools\nfunctools.partial({x}.append, 9)()",
    "same = {x}\nsame.append(9)",
    "for same in [{x}]:\n    same.append(9)",
    "(same := {x}).append(9)",
    "add = {x}.append\nadd(9)",
    "same, _ = {x}, 1\nsame += [9]",
    "match {x}:\n    case [*_]:\n        {x}.append(9)",
    "import heapq\nheapq.heappush({x}, 0)",
    "import bisect\nbisect.insort({x}, 9)",
    "exec('v.append(9)', {{'v': {x}}})",
    "[{x}.append(i) for i in range(2)]",
    "if {x}:\n    {x}.append(9)",
    "try:\n    {x}.append(9)\nfinally:\n    pass",
    "import collections\ncollections.deque(map({x}.append, [9]))",
    "class Changer:\n    def __init__(self, v):\n        self.v = v\n    def go(self):\n        self.v.append(9)\nChanger({x}).go()",
    "def later(v):\n    yield v.append(9)\nlist(later({x}))",
    "any({x}.append(9) for _ in range(2))",
    "sorted([2, 1], key={x}.append)",
    "import random\nrandom.seed(3)\n{x}.extend([1, 2, 3, 4])\nrandom.shuffle({x})",
    "{x}.sort(reverse=True)\n{x}.append(3)",
)
DICT_CHANGES = (
    "{x}['z'] = 9",
    "{x}.update(z=9)",
    "{x}.setdefault('z', 9)",
    "{x}.pop('k')",
    "del {x}['k']",
    "{x}.clear()",
    "dict.update({x}, z=9)",
    "{x} |= {{'z': 9}}",
    "def change(v):\n    v['z'] = 9\nchange({x})",
    "import operator\noperator.setitem({x}, 'z', 9)",
    "import operator\noperator.delitem({x}, 'k')",
    "for n in range(2):\n    {x}[n] = n",
    "import threading\nt = threading.Thread(target={x}.update, kwargs={{'z': 9}})\nt.start()\nt.join()",
    "same = {x}\nsame['z'] = 9",
    "for {x}['z'] in [9]:\n    pass",
    "exec('z = 9', {{}}, {x})",
    "getattr({x}, 'update')(z=9)",
    "import functools\nfunctools.partial({x}.update, z=9)()",
    "({x})['z'], other = 9, 1",
    "with open('/dev/null') as {x}['z']:\n    {x}['z'] = 9",
)
SET_CHANGES = (
    "{x}.add(9)",
    "{x}.discard(1)",
    "{x}.update([8])",
    "{x} |= {{7}}",
    "set.add({x}, 9)",
    "def change(v):\n    v.add(9)\nchange({x})",
    "list(map({x}.add, [9]))",
    "{x}.difference_update([1])",
    "same = {x}\nsame.add(9)",
)
ITEM_CHANGES = (
    "{x}.v = 9",
    "{x}.put(9)",
    "setattr({x}, 'v', 9)",
    "{x}.__dict__['v'] = 9",
    "vars({x})['v'] = 9",
    "Item.put({x}, 9)",
    "{x}.__dict__.update(v=9)",
    "def change(o):\n    o.v = 9\nchange({x})",
    "def change(o):\n    o.put(9)\nchange({x})",
    "import operator\noperator.methodcaller('put', 9)({x})",
    "object.__setattr__({x}, 'v', 9)",
    "import threading\nt = threading.Thread(target={x}.put, args=(9,))\nt.start()\nt.join()",
    "{x}(9)",
    "{x}[0] = 9",
    "{x} << 9",
    "for {x}.v in [9]:\n    pass",
    "same = {x}\nsame.v = 9",
    "list(map({x}.put, [9]))",
    "with {x} as o:\n    o.v = 9",
    "getattr({x}, 'put')(9)",
    "type({x}).put({x}, 9)",
    "{x}.v, other = 9, 1",
    "[0 for {x}.v in [9]]",
    "with open('/dev/null') as {x}.v:\n    {x}.v = 9",
)
ARRAY_CHANGES = (
    "{x}[0] = 9",
    "{x} += 1",
    "{x}.fill(3)",
    "{x}.sort()\n{x}[0] = 7",
    "np.add({x}, 1, out={x})",
    "np.copyto({x}, 5)",
    "{x}[:] = 2",
    "np.put({x}, 0, 9)",
    "def change(v):\n    v[0] = 9\nchange({x})",
    "view = {x}[:1]\nview[0] = 9",
    "np.add.at({x}, 0, 5)",
    "{x}.put(0, 9)",
    "{x}.flat[0] = 9",
    "same = {x}\nsame *= 3",
    "{x}.itemset(0, 9) if hasattr({x}, 'itemset') else {x}.fill(9)",
    "np.place({x}, {x} > 0, [4])",
    "np.fill_diagonal({x}.reshape(1, -1), 8)",
)
FRAME_CHANGES = (
    "{x}['b'] = 1",
    "{x}.loc[0, 'a'] = 9",
    "{x}.iloc[0, 0] = 9",
    "{x}.at[0, 'a'] = 9",
    "{x}.insert(0, 'z', 1)",
    "{x}.drop(columns='a', inplace=True)",
    "{x}.rename(columns={{'a': 'q'}}, inplace=True)",
    "{x}.columns = ['q']",
    "{x}.index = [5, 6]",
    "def change(v):\n    v['b'] = 2\nchange({x})",
    "{x}.pop('a')",
    "del {x}['a']",
    "same = {x}\nsame['b'] = 3",
    "{x}.sort_values('a', ascending=False, inplace=True)",
    "{x}.index.name = 'n'",
    "{x}.eval('c = a + 1', inplace=True)",
)
KINDS = {
    "list": Kind("[3, 1]", "{x}", LIST_CHANGES),
    "dict": Kind("{'k': 1}", "{x}", DICT_CHANGES),
    "set": Kind("{1, 2}", "sorted({x})", SET_CHANGES),
    "item": Kind("Item(1)", "{x}.v", ITEM_CHANGES, hashable=True),
    "array": Kind("np.array([3, 1])", "{x}", ARRAY_CHANGES),
    "frame": Kind("pd.DataFrame({'a': [3, 1]})", "{x}", FRAME_CHANGES),
}
ITEM = """\
import numpy as np
import pandas as pd
class Item:
    def __init__(self, v):
        self.v = v
    def put(self, v):
        self.v = v
    def __call__(self, v):
        self.v = v
    def __setitem__(self, key, v):
        self.v = v
    def __lshift__(self, v):
        self.v = v
    def __enter__(self):
        return self
    def __exit__(self, *exc):
        pass"""
HOLDS = [
    Hold(*one)
    for one in (
        # displays and containers
        ("", "{h} = [{x}]", "{h}[0]"),
        ("{h} = []", "{h}.append({x})", "{h}[0]"),
        ("{h} = [0]", "{h}[0] = {x}", "{h}[-1]"),
        ("{h} = []", "{h} += [{x}]", "{h}[0]"),
        ("{h} = []", "{h}.insert(0, {x})", "{h}[0]"),
        ("{h} = []", "{h}[:] = [{x}]", "{h}[0]"),
        ("{h} = []", "{h}.extend([{x}])", "{h}.pop()"),
        ("", "{h} = [[{x}]]", "{h}[0][0]"),
        ("", "{h} = [{x}] * 2", "{h}[1]"),
        ("", "{h} = [{x}] + []", "{h}[0]"),
        ("", "{h} = [*[{x}]]", "{h}[0]"),
        ("", "{h} = [v for v in [{x}]]", "{h}[0]"),
        ("", "{h} = [{x} for _ in range(2)]", "{h}[1]"),
        ("", "{h} = {{'k': {x}}}", "{h}['k']"),
        ("{h} = {{}}", "{h}['k'] = {x}", "{h}['k']"),
        ("{h} = {{}}", "{h}.setdefault('k', {x})", "{h}['k']"),
        ("{h} = {{}}", "{h}.update(k={x})", "{h}.get('k')"),
        ("{h} = {{}}", "{h}.update({{'k': {x}}})", "{h}.get('k')"),
        ("{h} = {{}}", "{h} |= {{'k': {x}}}", "{h}['k']"),
        ("", "{h} = dict(k={x})", "{h}['k']"),
        ("", "{h} = dict([('k', {x})])", "{h}['k']"),
        ("", "{h} = dict.fromkeys('ab', {x})", "{h}['a']"),
        ("", "{h} = dict(zip('a', [{x}]))", "{h}['a']"),
        ("", "{h} = {{**{{'k': {x}}}}}", "{h}['k']"),
        ("", "{h} = {{i: v for i, v in enumerate([{x}])}}", "{h}[0]"),
        ("", "{h} = ({x},)", "{h}[0]"),
        ("", "{h} = (1, ({x}, 2))", "{h}[1][0]"),
        ("", "{h} = tuple([{x}])", "{h}[0]"),
        ("", "{h} = 1, {x}", "{h}[1]"),
        ("", "{h} = {{{x}}}", "next(iter({h}))", "hash"),
        ("{h} = set()", "{h}.add({x})", "list({h})[0]", "hash"),
        ("", "{h} = frozenset([{x}])", "list({h})[0]", "hash"),
        ("", "{h} = {{{x}: 1}}", "list({h})[0]", "hash"),
        ("{h} = {{}}", "{h}[{x}] = 1", "next(iter({h}.keys()))", "hash"),
        ("import collections", "{h} = collections.deque([{x}])", "{h}[0]"),
        ("import collections\n{h} = collections.deque()", "{h}.appendleft({x})", "{h}[0]"),
        ("import collections", "{h} = collections.defaultdict(lambda: {x})", "{h}['k']"),
        ("import collections\n{h} = collections.defaultdict(list)", "{h}['k'].append({x})", "{h}['k'][0]"),
        ("import collections", "{h} = collections.ChainMap({{'k': {x}}})", "{h}['k']"),
        ("import collections", "{h} = collections.ChainMap({{}}, {{'k': {x}}})", "{h}.maps[1]['k']"),
        ("import collections", "{h} = collections.ChainMap({x})", "{h}.maps[0]", "dict"),
        ("import collections", "{h} = collections.OrderedDict(k={x})", "{h}['k']"),
        ("import collections", "{h} = collections.UserDict(k={x})", "{h}.data['k']"),
        ("import collections", "{h} = collections.UserList([{x}])", "{h}[0]"),
        ("import collections\n{h}_T = collections.namedtuple('T', 'a b')", "{h} = {h}_T({x}, 1)", "{h}.a"),
        (
            "import collections\n{h}_T = collections.namedtuple('T', 'a b')",
            "{h} = {h}_T(1, 2)._replace(b={x})",
            "{h}[1]",
        ),
        ("import typing\nclass {h}_T(typing.NamedTuple):\n    a: object", "{h} = {h}_T({x})", "{h}.a"),
        ("import types", "{h} = types.MappingProxyType({{'k': {x}}})", "{h}['k']"),
        ("import types", "{h} = types.SimpleNamespace(a={x})", "{h}.a"),
        ("import types\n{h} = types.SimpleNamespace()", "{h}.a = {x}", "{h}.a"),
        ("import types", "{h} = types.SimpleNamespace(**{{'a': {x}}})", "vars({h})['a']"),
        ("import queue\n{h} = queue.Queue()", "{h}.put({x})", "{h}.queue[0]"),
        ("import queue\n{h} = queue.SimpleQueue()", "{h}.put({x})", "{h}.get_nowait()"),
        ("import heapq\n{h} = []", "heapq.heappush({h}, (1, {x}))", "{h}[0][1]"),
        # attributes
        ("class {h}_C:\n    pass\n{h} = {h}_C()", "{h}.a = {x}", "{h}.a"),
        ("class {h}_C:\n    pass\n{h} = {h}_C()", "setattr({h}, 'a', {x})", "{h}.a"),
        ("class {h}_C:\n    pass\n{h} = {h}_C()", "{h}.__dict__['a'] = {x}", "{h}.a"),
        ("class {h}_C:\n    pass\n{h} = {h}_C()", "vars({h}).update(a={x})", "getattr({h}, 'a')"),
        ("class {h}_C:\n    __slots__ = ('a',)\n{h} = {h}_C()", "{h}.a = {x}", "{h}.a"),
        ("class {h}_C:\n    def __init__(self, a):\n        self.a = a", "{h} = {h}_C({x})", "{h}.a"),
        ("class {h}_C:\n    def __init__(self, **k):\n        self.__dict__.update(k)", "{h} = {h}_C(a={x})", "{h}.a"),
        (
            "class {h}_C:\n    def __init__(self, **k):\n        for n, v in k.items():\n            setattr(self, n, v)",
            "{h} = {h}_C(a={x})",
            "{h}.a",
        ),
        ("class {h}_C:\n    def __init__(self, *a):\n        self.a = a", "{h} = {h}_C({x})", "{h}.a[0]"),
        (
            "class {h}_B:\n    def __init__(self, a):\n        self.a = a\nclass {h}_C({h}_B):\n    def __init__(self, a):\n        super().__init__(a)",
            "{h} = {h}_C({x})",
            "{h}.a",
        ),
        (
            "class {h}_C:\n    def put(self, a):\n        self.a = a\n        return self",
            "{h} = {h}_C().put({x})",
            "{h}.a",
        ),
        (
            "class {h}_C:\n    def __init__(self):\n        self.all = []\n    def add(self, a):\n        self.all.append(a)\n{h} = {h}_C()",
            "{h}.add({x})",
            "{h}.all[0]",
        ),
        ("class {h}_C:\n    a = None", "{h}_C.a = {x}", "{h}_C.a"),
        ("class {h}_C:\n    a = None", "{h}_C.a = {x}", "{h}_C().a"),
        ("class {h}_C:\n    all = []", "{h}_C.all.append({x})", "{h}_C.all[0]"),
        ("", "class {h}_C:\n    a = {x}", "{h}_C.a"),
        ("", "class {h}_C:\n    a = [{x}]", "{h}_C().a[0]"),
        ("class {h}_B:\n    pass\nclass {h}_C({h}_B):\n    pass", "{h}_B.a = {x}", "{h}_C.a"),
        ("class {h}_C:\n    def keep(self, x):\n        type(self).last = x", "{h}_C().keep({x})", "{h}_C.last"),
        ("class {h}_C:\n    def keep(self, x):\n        self.__class__.last = x", "{h}_C().keep({x})", "{h}_C.last"),
        ("class {h}_C:\n    def __init__(self, x):\n        type(self).last = x", "{h}_C({x})", "{h}_C.last"),
        (
            "class {h}_C:\n    @classmethod\n    def keep(cls, x):\n        cls.last = x",
            "{h}_C.keep({x})",
            "{h}_C.last",
        ),
        (
            "class {h}_C:\n    all = []\n    def __init__(self, x):\n        self.all.append(x)",
            "{h}_C({x})",
            "{h}_C.all[0]",
        ),
        (
            "class {h}_C:\n    all = {{}}\n    def __init__(self, x):\n        type(self).all['k'] = x",
            "{h}_C({x})",
            "{h}_C.all['k']",
        ),
        ("class {h}_C:\n    def keep(self, x):\n        {h}_C.last = x", "{h}_C().keep({x})", "{h}_C().last"),
        (
            "class {h}_B:\n    def keep(self, x):\n        type(self).last = x\nclass {h}_C({h}_B):\n    pass",
            "{h}_C().keep({x})",
            "{h}_C.last",
        ),
        ("class {h}_C:\n    @staticmethod\n    def keep(x):\n        {h}_C.last = x", "{h}_C.keep({x})", "{h}_C.last"),
        (
            "class {h}_C:\n    def keep(self, x):\n        setattr(type(self), 'last', x)",
            "{h}_C().keep({x})",
            "{h}_C.last",
        ),
        (
            "class {h}_C:\n    def keep(self, x):\n        cls = type(self)\n        cls.last = x",
            "{h}_C().keep({x})",
            "{h}_C.last",
        ),
        ("def {h}_f():\n    pass", "{h}_f.a = {x}", "{h}_f.a"),
        ("def {h}_f(x):\n    {h}_f.last = x", "{h}_f({x})", "{h}_f.last"),
        ("import dataclasses\n@dataclasses.dataclass\nclass {h}_C:\n    a: object", "{h} = {h}_C({x})", "{h}.a"),
        (
            "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass {h}_C:\n    a: object = None",
            "{h} = {h}_C(a={x})",
            "{h}.a",
        ),
        (
            "import dataclasses",
            "@dataclasses.dataclass\nclass {h}_C:\n    a: object = dataclasses.field(default_factory=lambda: {x})",
            "{h}_C().a",
        ),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass {h}_C:\n    a: object",
            "{h} = dataclasses.replace({h}_C(1), a={x})",
            "{h}.a",
        ),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass {h}_C:\n    all: list = dataclasses.field(default_factory=list)\n{h} = {h}_C()",
            "{h}.all.append({x})",
            "{h}.all[0]",
        ),
        (
            "import dataclasses\n@dataclasses.dataclass\nclass {h}_C:\n    a: object\n    def __post_init__(self):\n        self.b = [self.a]",
            "{h} = {h}_C({x})",
            "{h}.b[0]",
        ),
        (
            "class {h}_C:\n    def __init__(self, x):\n        self._x = x\n    @property\n    def a(self):\n        return self._x",
            "{h} = {h}_C({x})",
            "{h}.a",
        ),
        (
            "class {h}_C:\n    @property\n    def a(self):\n        return self._x\n    @a.setter\n    def a(self, x):\n        self._x = x\n{h} = {h}_C()",
            "{h}.a = {x}",
            "{h}.a",
        ),
        (
            "class {h}_D:\n    def __get__(self, obj, cls=None):\n        return self.x\n    def __set__(self, obj, x):\n        self.x = x\nclass {h}_C:\n    a = {h}_D()\n{h} = {h}_C()",
            "{h}.a = {x}",
            "{h}.a",
        ),
        (
            "class {h}_C:\n    def __init__(self, x):\n        self.x = x\n    def __getattr__(self, name):\n        return self.x",
            "{h} = {h}_C({x})",
            "{h}.whatever",
        ),
        (
            "class {h}_C:\n    def __init__(self, x):\n        self.x = x\n    def __getitem__(self, key):\n        return self.x",
            "{h} = {h}_C({x})",
            "{h}[1]",
        ),
        (
            "class {h}_C:\n    def __init__(self, x):\n        self.x = x\n    def __call__(self):\n        return self.x",
            "{h} = {h}_C({x})",
            "{h}()",
        ),
        (
            "class {h}_C:\n    def __init__(self, x):\n        self.x = x\n    def __iter__(self):\n        yield self.x",
            "{h} = {h}_C({x})",
            "list({h})[0]",
        ),
        ("class {h}_C(list):\n    pass\n{h} = {h}_C()", "{h}.append({x})", "{h}[0]"),
        ("class {h}_C(dict):\n    pass\n{h} = {h}_C()", "{h}['k'] = {x}", "{h}['k']"),
        (
            "class {h}_C(dict):\n    __getattr__ = dict.__getitem__\n    __setattr__ = dict.__setitem__\n{h} = {h}_C()",
            "{h}.k = {x}",
            "{h}.k",
        ),
        (
            "class {h}_C:\n    def __setattr__(self, n, v):\n        object.__setattr__(self, n, [v])\n{h} = {h}_C()",
            "{h}.a = {x}",
            "{h}.a[0]",
        ),
        (
            "class {h}_C:\n    def __new__(cls, x):\n        self = super().__new__(cls)\n        self.x = x\n        return self",
            "{h} = {h}_C({x})",
            "{h}.x",
        ),
        (
            "class {h}_C:\n    one = None\n    def __new__(cls, *a):\n        if cls.one is None:\n            cls.one = super().__new__(cls)\n        return cls.one\n{h}_C()",
            "{h}_C().a = {x}",
            "{h}_C().a",
        ),
        (
            "class {h}_C:\n    def __set_name__(self, owner, name):\n        owner.kept = self.v\n    def __init__(self, v):\n        self.v = v",
            "class {h}_D:\n    a = {h}_C({x})",
            "{h}_D.kept",
        ),
        (
            "class {h}_C:\n    def __class_getitem__(cls, x):\n        cls.last = x\n        return cls",
            "{h}_C[{x}]",
            "{h}_C.last",
        ),
        ("import enum", "class {h}_E(enum.Enum):\n    A = [{x}]", "{h}_E.A.value[0]"),
        (
            "import abc\nclass {h}_B(abc.ABC):\n    @abc.abstractmethod\n    def get(self): ...\nclass {h}_C({h}_B):\n    def __init__(self, x):\n        self.x = x\n    def get(self):\n        return self.x",
            "{h} = {h}_C({x})",
            "{h}.get()",
        ),
        (
            "import functools\nclass {h}_C:\n    def __init__(self, x):\n        self.x = x\n    @functools.cached_property\n    def a(self):\n        return [self.x]",
            "{h} = {h}_C({x})",
            "{h}.a[0]",
        ),
        # classes that are told
        (
            "class {h}_B:\n    def __init_subclass__(cls, x=None, **k):\n        cls.kept = x",
            "class {h}_C({h}_B, x={x}):\n    pass",
            "{h}_C.kept",
        ),
        (
            "class {h}_B:\n    all = []\n    def __init_subclass__(cls, x=None, **k):\n        {h}_B.all.append(x)",
            "class {h}_C({h}_B, x={x}):\n    pass",
            "{h}_B.all[0]",
        ),
        (
            "class {h}_B:\n    all = []\n    def __init_subclass__(cls):\n        {h}_B.all.append(cls.a)",
            "class {h}_C({h}_B):\n    a = {x}",
            "{h}_B.all[0]",
        ),
        (
            "{h}_all = []\nclass {h}_B:\n    def __init_subclass__(cls, **k):\n        {h}_all.append(k)",
            "class {h}_C({h}_B, x={x}):\n    pass",
            "{h}_all[0]['x']",
        ),
        (
            "class {h}_M(type):\n    made = []\n    def __call__(cls, *a):\n        one = super().__call__(*a)\n        {h}_M.made.append(one)\n        return one\nclass {h}_C(metaclass={h}_M):\n    def __init__(self, x):\n        self.x = x",
            "{h} = {h}_C({x})",
            "{h}_M.made[0].x",
        ),
        (
            "class {h}_M(type):\n    def __call__(cls, *a):\n        one = super().__call__(*a)\n        cls.made = one\n        return one\nclass {h}_C(metaclass={h}_M):\n    def __init__(self, x):\n        self.x = x",
            "{h}_C({x})",
            "{h}_C.made.x",
        ),
        (
            "{h}_made = []\nclass {h}_M(type):\n    def __call__(cls, *a):\n        {h}_made.append(a)\n        return super().__call__(*a)\nclass {h}_C(metaclass={h}_M):\n    def __init__(self, x):\n        self.x = x",
            "{h} = {h}_C({x})",
            "{h}_made[0][0]",
        ),
        (
            "class {h}_M(type):\n    ones = {{}}\n    def __call__(cls, *a):\n        if cls not in cls.ones:\n            cls.ones[cls] = super().__call__(*a)\n        return cls.ones[cls]\nclass {h}_C(metaclass={h}_M):\n    def __init__(self, x=None):\n        self.x = x",
            "{h}_C({x})",
            "{h}_C().x",
        ),
        (
            "class {h}_M(type):\n    def __new__(m, name, bases, space, **k):\n        cls = super().__new__(m, name, bases, space)\n        cls.kept = k.get('x')\n        return cls\n    def __init__(cls, name, bases, space, **k):\n        super().__init__(name, bases, space)",
            "class {h}_C(metaclass={h}_M, x={x}):\n    pass",
            "{h}_C.kept",
        ),
        (
            "{h}_all = {{}}\nclass {h}_M(type):\n    def __new__(m, name, bases, space):\n        {h}_all[name] = space\n        return super().__new__(m, name, bases, space)",
            "class {h}_C(metaclass={h}_M):\n    a = {x}",
            "{h}_all['{h}_C']['a']",
        ),
        (
            "class {h}_M(type):\n    def __setattr__(cls, n, v):\n        super().__setattr__(n, [v])\nclass {h}_C(metaclass={h}_M):\n    pass",
            "{h}_C.a = {x}",
            "{h}_C.a[0]",
        ),
        (
            "class {h}_M(type):\n    def __getitem__(cls, v):\n        cls.got = v\n        return cls\nclass {h}_C(metaclass={h}_M):\n    pass",
            "{h}_C[{x}]",
            "{h}_C.got",
        ),
        ("", "{h} = type('T', (), {{'a': {x}}})", "{h}.a"),
        ("", "{h} = type('T', (), dict(a={x}))()", "{h}.a"),
        ("import types", "{h} = types.new_class('T', (), {{}}, lambda ns: ns.update(a={x}))", "{h}.a"),
        # functions
        ("def {h}_make(v):\n    def get():\n        return v\n    return get", "{h} = {h}_make({x})", "{h}()"),
        ("", "{h} = lambda v={x}: v", "{h}()"),
        ("", "def {h}_f(v={x}):\n    return v", "{h}_f()"),
        ("", "def {h}_f(*, v={x}):\n    return v", "{h}_f()"),
        ("", "def {h}_f(v={x}):\n    return v", "{h}_f.__defaults__[0]"),
        (
            "def {h}_make():\n    kept = None\n    def put(v):\n        nonlocal kept\n        kept = v\n    def get():\n        return kept\n    return put, get\n{h}_put, {h}_get = {h}_make()",
            "{h}_put({x})",
            "{h}_get()",
        ),
        (
            "def {h}_make():\n    kept = []\n    def put(v):\n        kept.append(v)\n    put.kept = kept\n    return put\n{h}_put = {h}_make()",
            "{h}_put({x})",
            "{h}_put.kept[0]",
        ),
        (
            "def {h}_make(v):\n    def get():\n        return v\n    return get",
            "{h} = {h}_make({x})",
            "{h}.__closure__[0].cell_contents",
        ),
        ("{h}_all = []\ndef {h}_reg(o):\n    {h}_all.append(o)\n    return o", "{h}_reg({x})", "{h}_all[-1]"),
        ("{h}_all = {{}}\ndef {h}_reg(name, o):\n    {h}_all[name] = o", "{h}_reg('k', {x})", "{h}_all['k']"),
        ("{h}_last = None\ndef {h}_reg(o):\n    global {h}_last\n    {h}_last = o", "{h}_reg({x})", "{h}_last"),
        ("def {h}_f(v, kept=[]):\n    kept.append(v)\n    return kept", "{h}_f({x})", "{h}_f(0)[0]"),
        ("{h}_all = {{}}\ndef {h}_reg(**k):\n    {h}_all.update(k)", "{h}_reg(a={x})", "{h}_all['a']"),
        ("def {h}_id(v):\n    return v", "{h} = {h}_id({x})", "{h}"),
        ("def {h}_pair(v):\n    return v, [v]", "_, {h} = {h}_pair({x})", "{h}[0]"),
        ("import functools", "{h} = functools.partial(lambda v: v, {x})", "{h}()"),
        ("import functools", "{h} = functools.partial(lambda v, w=0: v, v={x})", "{h}()"),
        ("import functools", "{h} = functools.partial(print, {x})", "{h}.args[0]"),
        ("import functools", "{h} = functools.partial(dict, k={x})", "{h}()['k']"),
        ("import functools", "{h} = functools.partial(dict, k={x})", "{h}.keywords['k']"),
        ("import functools", "@functools.cache\ndef {h}_f():\n    return {x}\n{h}_f()", "{h}_f()"),
        (
            "import functools\n@functools.lru_cache\ndef {h}_f(v):\n    return [v]",
            "{h} = {h}_f({x})",
            "{h}_f({h}[0])[0]",
            "hash",
        ),
        ("import functools", "{h} = functools.reduce(lambda a, b: a + [b], [{x}], [])", "{h}[0]"),
        (
            "import functools\nclass {h}_C:\n    def get(self, v):\n        return v",
            "{h}_C.m = functools.partialmethod({h}_C.get, {x})",
            "{h}_C().m()",
        ),
        (
            "def {h}_deco(v):\n    def outer(f):\n        f.kept = v\n        return f\n    return outer",
            "@{h}_deco({x})\ndef {h}_f():\n    pass",
            "{h}_f.kept",
        ),
        (
            "{h}_all = []\ndef {h}_deco(v):\n    def outer(f):\n        {h}_all.append(v)\n        return f\n    return outer",
            "@{h}_deco({x})\ndef {h}_f():\n    pass",
            "{h}_all[0]",
        ),
        (
            "import functools\ndef {h}_deco(f):\n    @functools.wraps(f)\n    def w(*a):\n        w.last = a\n        return f(*a)\n    return w\n@{h}_deco\ndef {h}_f(v):\n    pass",
            "{h}_f({x})",
            "{h}_f.last[0]",
        ),
        ("import operator", "{h} = operator.itemgetter(0)([{x}])", "{h}"),
        ("", "{h} = {x}.append", "{h}.__self__", "list"),
        ("", "{h} = [{x}].pop", "{h}()"),
        ("", "{h} = {{'k': {x}}}.get", "{h}('k')"),
        ("", "{h} = [{x}].__getitem__", "{h}(0)"),
        ("", "{h} = {{'k': {x}}}.__getitem__", "{h}('k')"),
        # generators and iterators
        ("def {h}_g(v):\n    while True:\n        yield v", "{h} = {h}_g({x})", "next({h})"),
        (
            "def {h}_g():\n    kept = None\n    while True:\n        new = yield kept\n        kept = new if new is not None else kept\n{h} = {h}_g()\nnext({h})",
            "{h}.send({x})",
            "next({h})",
        ),
        ("", "{h} = iter([{x}, {x}])", "next({h})"),
        ("", "{h} = (v for v in [{x}])", "next({h})"),
        ("import itertools", "{h} = itertools.repeat({x})", "next({h})"),
        ("import itertools", "{h} = itertools.cycle([{x}])", "next({h})"),
        ("import itertools", "{h} = itertools.chain([{x}], [1])", "next({h})"),
        ("", "{h} = zip([{x}], [1])", "next({h})[0]"),
        ("", "{h} = list(zip([{x}], [1]))", "{h}[0][0]"),
        ("", "{h} = map(lambda v: v, [{x}])", "next({h})"),
        ("", "{h} = list(map(lambda v: [v], [{x}]))", "{h}[0][0]"),
        ("", "{h} = filter(None.__ne__, [{x}])", "next({h})"),
        ("", "{h} = enumerate([{x}])", "next({h})[1]"),
        ("", "{h} = sorted([{x}], key=id)", "{h}[0]"),
        ("", "{h} = reversed([{x}])", "next({h})"),
        ("", "{h} = max([{x}], key=id)", "{h}"),
        ("{h}_d = {{}}\n{h} = {h}_d.values()", "{h}_d['k'] = {x}", "list({h})[0]"),
        ("", "{h} = {{'k': {x}}}.values()", "list({h})[0]"),
        ("", "{h} = {{'k': {x}}}.items()", "list({h})[0][1]"),
        ("", "{h} = dict(k={x}).popitem()", "{h}[1]"),
        ("import itertools", "{h}, {h}_b = itertools.tee([{x}])", "next({h})"),
        ("import itertools", "{h} = [list(g) for _, g in itertools.groupby([{x}], key=id)]", "{h}[0][0]"),
        ("import itertools", "{h} = list(itertools.product([{x}], [1]))", "{h}[0][0]"),
        ("", "{h} = iter(lambda: {x}, 0)", "next({h})"),
        ("import itertools", "{h} = list(itertools.starmap(lambda a: a, [({x},)]))", "{h}[0]"),
        ("import itertools", "{h} = list(itertools.accumulate([{x}]))", "{h}[0]"),
        ("import itertools", "{h} = list(itertools.islice([{x}], 1))", "{h}[0]"),
        # names
        ("", "{h} = {x}", "{h}"),
        ("", "({h} := {x})", "{h}"),
        ("", "{h}, _ = {x}, 1", "{h}"),
        ("", "_, *{h} = 0, {x}", "{h}[0]"),
        ("", "[{h}] = [{x}]", "{h}"),
        ("", "for {h} in [{x}]:\n    pass", "{h}"),
        ("", "for _, {h} in enumerate([{x}]):\n    pass", "{h}"),
        ("", "match [{x}]:\n    case [{h}]:\n        pass", "{h}"),
        ("", "match {{'k': {x}}}:\n    case {{'k': {h}}}:\n        pass", "{h}"),
        ("", "match {{'k': {x}}}:\n    case {{**{h}}}:\n        pass", "{h}['k']"),
        ("", "match [1, {x}]:\n    case [1, *{h}]:\n        pass", "{h}[0]"),
        (
            "class {h}_C:\n    __match_args__ = ('a',)\n    def __init__(self, a):\n        self.a = a",
            "match {h}_C({x}):\n    case {h}_C({h}):\n        pass",
            "{h}",
        ),
        ("", "match {x}:\n    case {h}:\n        pass", "{h}"),
        ("", "globals()['{h}'] = {x}", "{h}"),
        ("", "exec('{h} = v', {{}}, {h}_d := dict(v={x}))", "{h}_d['{h}']"),
        ("", "{h} = eval('[v]', dict(v={x}))", "{h}[0]"),
        ("import contextlib", "with contextlib.nullcontext({x}) as {h}:\n    pass", "{h}"),
        (
            "import contextlib\n@contextlib.contextmanager\ndef {h}_cm(v):\n    yield [v]",
            "with {h}_cm({x}) as {h}:\n    pass",
            "{h}[0]",
        ),
        ("", "try:\n    raise ValueError({x})\nexcept ValueError as e:\n    {h} = e", "{h}.args[0]"),
        ("", "{h} = ValueError({x})", "{h}.args[0]"),
        (
            "class {h}_E(Exception):\n    def __init__(self, v):\n        self.v = v",
            "try:\n    raise {h}_E({x})\nexcept {h}_E as e:\n    {h} = e",
            "{h}.v",
        ),
        ("", "{h} = {x} or 1", "{h}", "list"),
        ("", "{h} = {x} if 1 else 2", "{h}"),
        ("", "{h} = ({x}, 1)[0]", "{h}"),
        ("", "{h} = getattr([{x}], '__getitem__')(0)", "{h}"),
        ("", "{h} = (lambda *a: a)({x})", "{h}[0]"),
        ("", "{h} = (lambda **k: k)(a={x})", "{h}['a']"),
        ("", "{h} = (lambda: {x})()", "{h}"),
        ("", "{h} = vars().setdefault('{h}_z', {x})", "{h}"),
        # libraries
        ("import copy", "{h} = copy.copy([{x}])", "{h}[0]"),
        ("import copy\nclass {h}_C:\n    pass\n{h}_o = {h}_C()", "{h}_o.a = {x}\n{h} = copy.copy({h}_o)", "{h}.a"),
        ("import weakref", "{h} = weakref.ref({x})", "{h}()", "hash"),
        ("import weakref\n{h} = weakref.WeakValueDictionary()", "{h}['k'] = {x}", "{h}['k']", "hash"),
        ("import weakref\n{h} = weakref.WeakSet()", "{h}.add({x})", "list({h})[0]", "hash"),
        ("import weakref", "{h} = weakref.proxy({x})", "{h}", "object"),
        ("import contextvars\n{h} = contextvars.ContextVar('{h}')", "{h}.set({x})", "{h}.get()"),
        ("import contextvars", "{h} = contextvars.ContextVar('{h}', default={x})", "{h}.get()"),
        ("import threading\n{h} = threading.local()", "{h}.a = {x}", "{h}.a"),
        ("import concurrent.futures\n{h} = concurrent.futures.Future()", "{h}.set_result({x})", "{h}.result()"),
        (
            "import concurrent.futures",
            "with concurrent.futures.ThreadPoolExecutor() as pool:\n    {h} = pool.submit(lambda: {x})",
            "{h}.result()",
        ),
        (
            "import threading\n{h} = []",
            "t = threading.Thread(target={h}.append, args=({x},))\nt.start()\nt.join()",
            "{h}[0]",
        ),
        (
            "import threading\n{h} = {{}}\ndef {h}_work(v):\n    {h}['k'] = v",
            "t = threading.Thread(target={h}_work, args=({x},))\nt.start()\nt.join()",
            "{h}['k']",
        ),
        (
            "import concurrent.futures\n{h} = []",
            "with concurrent.futures.ThreadPoolExecutor() as pool:\n    list(pool.map({h}.append, [{x}]))",
            "{h}[0]",
        ),
        ("import types\n{h} = types.ModuleType('{h}')", "{h}.a = {x}", "{h}.a"),
        (
            "import sys, types\n{h} = types.ModuleType('{h}')\nsys.modules['{h}'] = {h}",
            "{h}.a = {x}",
            "__import__('{h}').a",
        ),
        ("import string", "string.{h} = {x}", "string.{h}"),
        ("import sys", "sys.modules['string'].{h} = {x}", "__import__('string').{h}"),
        ("import builtins", "builtins.{h} = {x}", "{h}"),
        (
            "import contextlib\n{h} = contextlib.ExitStack()",
            "{h}_v = {h}.enter_context(contextlib.nullcontext({x}))",
            "{h}_v",
        ),
        (
            "import asyncio\nasync def {h}_f(v):\n    return [v]",
            "{h} = asyncio.run({h}_f({x}))",
            "{h}[0]",
        ),
        ("import argparse", "{h} = argparse.Namespace(a={x})", "{h}.a"),
        ("import unittest.mock", "{h} = unittest.mock.Mock(return_value={x})", "{h}()"),
        ("import unittest.mock\n{h} = unittest.mock.Mock()", "{h}.a.b = {x}", "{h}.a.b"),
        ("import unittest.mock\n{h} = unittest.mock.Mock()", "{h}({x})", "{h}.call_args[0][0]"),
        ("import logging\n{h} = logging.getLogger('{h}')", "{h}.kept = {x}", "{h}.kept"),
        ("import logging\n{h} = logging.makeLogRecord({{}})", "{h}.args = ({x},)", "{h}.args[0]"),
        ("import re\n{h} = []", "re.sub('a', lambda m: {h}.append({x}) or '', 'a')", "{h}[0]"),
        ("import graphlib\n{h} = graphlib.TopologicalSorter()", "{h}.add({x})", "list({h}.static_order())[0]", "hash"),
        # pandas and numpy
        ("{h} = pd.DataFrame({{'a': [1]}})", "{h}.attrs['k'] = {x}", "{h}.attrs['k']"),
        ("{h} = pd.Series([1])", "{h}.attrs.update(k={x})", "{h}.attrs['k']"),
        ("{h} = pd.DataFrame({{'a': [1]}})", "{h}.attrs = {{'k': {x}}}", "{h}.attrs['k']"),
        ("{h}_d = pd.DataFrame({{'a': [1]}})", "{h}_d.attrs['k'] = [{x}]", "{h}_d.attrs['k'][0]"),
        ("", "{h} = pd.Series([{x}])", "{h}[0]", "cell"),
        ("", "{h} = pd.Series({{'k': {x}}})", "{h}['k']", "cell"),
        ("", "{h} = pd.Series([{x}], index=['k'])", "{h}.loc['k']", "cell"),
        ("", "{h} = pd.Series([{x}])", "{h}.iloc[0]", "cell"),
        ("", "{h} = pd.Series([{x}])", "{h}.values[0]", "cell"),
        ("", "{h} = pd.Series([{x}])", "{h}.tolist()[0]", "cell"),
        ("", "{h} = pd.Series([{x}]).map(lambda v: v)", "{h}[0]", "cell"),
        ("", "{h} = pd.Series([{x}]).head(1)", "{h}[0]", "cell"),
        ("", "{h} = pd.Series([{x}]).copy()", "{h}[0]", "cell"),
        ("{h} = pd.Series([None, 1], dtype=object)", "{h}[0] = {x}", "{h}[0]", "item"),
        ("{h} = pd.Series([None, 1], dtype=object)", "{h}.at[0] = {x}", "{h}.at[0]", "cell"),
        ("{h} = pd.Series([None, 1], dtype=object)", "{h}.iat[0] = {x}", "{h}.iat[0]", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}})", "{h}['c'][0]", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}], 'd': [1]}})", "{h}.loc[0, 'c']", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}})", "{h}.iloc[0, 0]", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}})", "{h}.at[0, 'c']", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}})", "{h}.values[0][0]", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}})", "{h}.c[0]", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}})", "{h}.to_dict('list')['c'][0]", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}})", "next({h}.itertuples()).c", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}})", "[r for _, r in {h}.iterrows()][0]['c']", "cell"),
        ("", "{h} = pd.DataFrame([{{'c': {x}}}])", "{h}['c'].iloc[0]", "cell"),
        ("", "{h} = pd.DataFrame([[{x}, 1]], columns=['c', 'd'])", "{h}['c'].iloc[0]", "cell"),
        ("{h} = pd.DataFrame({{'d': [1]}})", "{h}['c'] = [{x}]", "{h}['c'][0]", "cell"),
        ("{h} = pd.DataFrame({{'d': [1]}})", "{h}['c'] = pd.Series([{x}])", "{h}['c'][0]", "cell"),
        ("{h} = pd.DataFrame({{'c': [None, 1]}}, dtype=object)", "{h}.at[0, 'c'] = {x}", "{h}.at[0, 'c']", "cell"),
        ("{h} = pd.DataFrame({{'d': [1]}})", "{h} = {h}.assign(c=[{x}])", "{h}['c'][0]", "cell"),
        ("{h} = pd.DataFrame({{'d': [1]}})", "{h} = {h}.assign(c=lambda d: [{x}])", "{h}['c'][0]", "cell"),
        ("{h} = pd.DataFrame({{'d': [1]}})", "{h}['c'] = {h}['d'].map(lambda v: {x})", "{h}['c'][0]", "cell"),
        ("{h} = pd.DataFrame({{'d': [1]}})", "{h}['c'] = {h}['d'].apply(lambda v: [{x}])", "{h}['c'][0][0]", "cell"),
        (
            "{h} = pd.DataFrame({{'d': [1]}})",
            "{h} = {h}.merge(pd.DataFrame({{'d': [1], 'c': [{x}]}}))",
            "{h}['c'][0]",
            "cell",
        ),
        (
            "{h} = pd.DataFrame({{'d': [1]}})",
            "{h} = pd.concat([{h}, pd.DataFrame({{'c': [{x}]}})])",
            "{h}['c'].iloc[1]",
            "cell",
        ),
        ("{h} = pd.DataFrame({{'d': [1]}})", "{h}.insert(0, 'c', [{x}])", "{h}['c'][0]", "cell"),
        ("{h} = pd.DataFrame({{'d': [1]}})", "{h}.kept = {x}", "{h}.kept", "item"),
        ("", "{h} = pd.DataFrame({{'c': [{x}]}}).query('index == 0')", "{h}['c'][0]", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}], 'd': [1]}}).set_index('d')", "{h}['c'].loc[1]", "cell"),
        ("", "{h} = pd.DataFrame({{'c': [{x}], 'd': [1]}}).reset_index(drop=True)", "{h}['c'][0]", "cell"),
        ("", "{h} = pd.Index([{x}], dtype=object)", "{h}[0]", "item"),
        ("", "{h} = np.array([{x}, None], dtype=object)", "{h}[0]", "cell"),
        ("{h} = np.empty(1, dtype=object)", "{h}[0] = {x}", "{h}[0]"),
        ("{h} = np.empty(1, dtype=object)", "{h}[0] = {x}", "{h}.copy()[0]"),
        ("{h} = np.empty(1, dtype=object)", "{h}[0] = {x}", "{h}.tolist()[0]"),
        ("{h} = np.empty(1, dtype=object)", "{h}[0] = {x}", "{h}.item()"),
        ("{h} = np.full(2, None)", "{h}[1] = {x}", "{h}[-1]"),
        ("", "{h} = np.array([None, {x}], dtype=object)[1:]", "{h}[0]", "cell"),
        ("{h} = np.full(1, None)", "{h}[0] = {x}\n{h} = np.concatenate([{h}, {h}])", "{h}[0]"),
        ("", "{h} = np.frompyfunc(lambda i: {x}, 1, 1)(np.arange(2))", "{h}[0]", "cell"),
        ("", "{h} = np.vectorize(lambda i: {x}, otypes=[object])(np.arange(2))", "{h}[0]", "cell"),
        ("", "{h} = {x}[:]", "{h}", "array"),
        ("", "{h} = np.asarray({x})", "{h}", "array"),
        ("", "{h} = {x}.view()", "{h}", "array"),
        ("", "{h} = {x}.T", "{h}", "array"),
        ("", "{h} = np.atleast_1d({x})", "{h}", "array"),
        ("", "{h} = memoryview({x})", "np.asarray({h})", "array"),
        ("", "{h} = pd.DataFrame({x})", "{h}.values.base is {x} or {x}", "array"),
        ("", "{h} = {{'k': {x}}}.copy()", "{h}['k']"),
        ("", "{h} = list({x} for _ in 'a')", "{h}[0]"),
        # other packages
        (
            "from sklearn.preprocessing import FunctionTransformer",
            "{h} = FunctionTransformer(kw_args={{'v': {x}}})",
            "{h}.kw_args['v']",
        ),
        (
            "from sklearn.preprocessing import FunctionTransformer\n{h} = FunctionTransformer()",
            "{h}.set_params(kw_args={{'v': {x}}})",
            "{h}.get_params()['kw_args']['v']",
        ),
        ("import matplotlib.pyplot as plt\n{h} = plt.figure()", "{h}.kept = {x}", "{h}.kept"),
        ("import matplotlib.lines\n{h} = matplotlib.lines.Line2D([], [])", "{h}.set_gid({x})", "{h}.get_gid()"),
        ("import networkx as nx\n{h} = nx.Graph()", "{h}.add_node(1, a={x})", "{h}.nodes[1]['a']"),
        ("import networkx as nx\n{h} = nx.Graph()", "{h}.graph['a'] = {x}", "{h}.graph['a']"),
        ("import networkx as nx\n{h} = nx.Graph()", "{h}.add_edge(1, 2, a={x})", "{h}[1][2]['a']"),
        ("import pydantic\nclass {h}_C(pydantic.BaseModel):\n    a: object", "{h} = {h}_C(a={x})", "{h}.a"),
        ("import attr\n@attr.s\nclass {h}_C:\n    a = attr.ib()", "{h} = {h}_C({x})", "{h}.a"),
    )
]


class Program(NamedTuple):
    """The cells of a notebook, the last one prints."""

    cells: tuple[str, ...]

    def __str__(self) -> str:
        return "\n# --\n".join(self.cells)


def _fits(hold: Hold, kind: str, *, outer: bool) -> bool:
    if outer:
        return hold.wants == ""
    wants = hold.wants
    hashable = KINDS[kind].hashable
    return (
        not wants
        or wants == kind
        or (wants in ("hash", "object") and hashable)
        or (wants == "cell" and kind in ("list", "dict", "set", "item"))
    )


def write_program(seed: int, holds: list[Hold] = HOLDS) -> Program:
    """Return the program of a seed."""
    draw = random.Random(seed)
    kind_name = draw.choices(list(KINDS), [8, 3, 1, 4, 2, 1])[0]
    kind = KINDS[kind_name]
    hold = draw.choice([one for one in holds if _fits(one, kind_name, outer=False)])
    cells = [ITEM, f"x = {kind.made}"]
    levels = [("h", hold)]
    if hold.by_holder and draw.random() < 0.35:
        levels.append(("k", draw.choice([one for one in holds if _fits(one, kind_name, outer=True)])))
    got, inner = "", "x"
    for name, one in levels:
        if one.before:
            cells.append(one.before.format(h=name, x=inner))
        cells.append(one.put.format(h=name, x=inner))
        inner = name
    name, one = levels[-1]
    got = one.got.format(h=name, x="x")
    for _, below in reversed(levels[:-1]):
        got = below.got.format(h=f"({got})", x="x")
    changed, shown = ("x", got) if draw.random() < 0.6 else (got, "x")
    change = draw.choice(
        [one for one in kind.changes if not (changed != "x" and "{x} " in one and "=" in one.split("{x} ")[1][:3])]
    )
    text = change.format(x=changed)
    if draw.random() < 0.2 and "\n" not in text and ":=" not in text:
        text = f"def work():\n    {text}\nwork()" if not text.startswith("x ") else text
    cells.append(text)
    cells.append(f"print({kind.shown.format(x=shown)})")
    return Program(tuple(cells))


def sliced(program: Program) -> list[str]:
    """Return the statements that the last cell needs, its own last."""
    flow, statements = Flow(), list[Statement]()
    last = len(program.cells) - 1
    for number, cell in enumerate(program.cells):
        statements += analyze(flow, ast.parse(cell).body, number, may_fail=number != last)
    return [ast.unparse(one.node) for one in slice_back(flow, statements, last).kept]


def printed(texts: list[str] | tuple[str, ...]) -> str:
    """Return what texts print that run one after the other."""
    space: dict[str, object] = {"__name__": "__main__"}
    told = io.StringIO()
    before = set(sys.modules["builtins"].__dict__)

    def run() -> None:
        for text in texts:
            exec(compile(text, "cell", "exec"), space)

    with contextlib.redirect_stdout(told), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        contextvars.copy_context().run(run)
    for name in set(sys.modules["builtins"].__dict__) - before:
        del sys.modules["builtins"].__dict__[name]
    return told.getvalue()


def outcome(program: Program) -> str:
    """Return ``same``, ``void`` where the notebook itself fails, or what the slice prints instead, and how it fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = _outcome(program)
        gc.collect()  # a coroutine of a program that failed warns when it is collected: here, and in no other test
    return found


def _outcome(program: Program) -> str:
    try:
        right = printed(program.cells)
    except Exception as error:  # noqa: BLE001  what the grammar joins need not fit
        return f"void: {error!r}"
    try:
        found = printed(sliced(program))
    except Exception as error:  # noqa: BLE001  it says so
        return f"failed: {error!r}"
    return "same" if found == right else f"silent: {found!r} for {right!r}"


def main(arguments: list[str], tell: Callable[[str], object] = print) -> int:
    """Print the programs that print something else, and how many there are of each outcome."""
    count, first = int(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0
    counts: dict[str, int] = {}
    for seed in range(first, first + count):
        program = write_program(seed)
        found = outcome(program)
        word = found.partition(":")[0]
        counts[word] = counts.get(word, 0) + 1
        if word in ("silent", "failed"):
            tell(f"=== {seed}: {found}\n" + "\n# --\n".join(program.cells[1:]))
    tell(f"{counts}")
    return counts.get("silent", 0) + counts.get("failed", 0)


if __name__ == "__main__":
    raise SystemExit(bool(main(sys.argv[1:])))
