"""What gives names: binding, imports, magics, functions, classes and their decorators."""

from __future__ import annotations

import ast

import pytest

from buildr_jupyter.analysis.abstract_values import ATOM, ClassInfo, Effects, Fails
from buildr_jupyter.analysis.definitions import Definitions, re_enum
from buildr_jupyter.analysis.statements import Flow
from tests.unit.analysis.executed import check_changes, followed, last_effects


def statement(flow: Flow, source: str, *, may_fail: bool = False) -> Effects:
    (node,) = ast.parse(source).body
    return flow.statement(node, cell=3, may_fail=may_fail)


# -- binding


def test_a_strong_value_takes_the_place_of_the_old_and_a_weak_one_stands_beside_it() -> None:
    flow = followed("a = [1]")
    old = flow.env["a"].objs
    facts = statement(flow, "if 1:\n    a = [2]")
    assert (facts.binds, facts.maybe) == (set(), {"a"})
    assert old < flow.env["a"].objs
    facts = statement(flow, "a = [3]")
    assert (facts.binds, facts.maybe) == ({"a"}, set())
    assert not old & flow.env["a"].objs
    assert [number for number, _ in flow.history["a"]] == [0, 1, 2]
    assert flow.before("a", 1) == flow.history["a"][0][1]


def test_the_history_has_one_entry_a_statement() -> None:
    flow = followed("a = b = 1")
    statement(flow, "a, a = [1], [2]")
    assert [number for number, _ in flow.history["a"]] == [0, 1]


@pytest.mark.parametrize(
    ("function", "call", "changed"),
    [
        ("def f():\n    global a\n    a = 5", "f()", "a"),
        ("def f():\n    a = 5", "f()", ""),
        ("def f(n=[0]):\n    n.append(1)", "f()", "f"),
        (
            "def make():\n    n = []\n    def f():\n        nonlocal n\n        n = [*n, 1]\n    return f\nf = make()",
            "f()",
            "f",
        ),
    ],
)
def test_where_a_name_of_a_function_belongs(function: str, call: str, changed: str) -> None:
    check_changes("a = [1]\n" + function, call, changed)


# -- imports


@pytest.mark.parametrize(
    ("source", "name", "path"),
    [
        ("import os", "os", "os"),
        ("import os.path", "os", "os"),
        ("import os.path as p", "p", "os.path"),
        ("from os import path", "path", "os.path"),
        ("from os.path import join as j", "j", "os.path.join"),
        ("from . import near", "near", "..near"),
    ],
)
def test_what_an_import_binds(source: str, name: str, path: str) -> None:
    flow, facts = last_effects(source)
    assert facts.binds == {name}
    assert flow.env[name].path == path


def test_two_imports_of_a_package_give_the_same_module() -> None:
    flow = followed("import os\nimport os.path as p\nfrom os import sep")
    assert flow.env["os"].objs == flow.env["p"].objs == flow.env["sep"].objs == {flow.module("os")}


def test_a_submodule_is_noted_so_that_its_import_is_kept() -> None:
    _, facts = last_effects("import xml.dom.minidom")
    assert {one.info for one in facts.mutates} == {"@submodule:xml.dom", "@submodule:xml.dom.minidom"}
    assert facts.reads == {"@module:xml"}


def test_a_star_import_may_give_any_name() -> None:
    flow, facts = last_effects("from numpy import *")
    assert facts.binds == {"*numpy"}
    assert flow.star_imports == [(0, "numpy")]
    assert flow.read("zeros", 1).path == "numpy.zeros"


def test_an_import_of_main_gives_the_notebooks_own_name() -> None:
    flow, facts = last_effects("a = [1]\nfrom __main__ import a as b")
    assert flow.env["b"] == flow.env["a"]
    assert "a" in facts.reads


def test_future_annotations_hold_for_all_later_cells() -> None:
    flow, facts = last_effects("from __future__ import annotations")
    assert flow.annotations_are_texts
    assert "@always" in {one.info for one in facts.mutates}
    flow, facts = last_effects("from __future__ import division")
    assert not flow.annotations_are_texts


def test_an_import_that_nothing_reads_was_for_its_effect() -> None:
    flow = followed("import unknown_one\nimport unknown_two as t\nimport numpy\nfrom unknown_three import x\nt")
    assert flow.unread_imports == {"unknown_one": 0, "x": 3}


@pytest.mark.parametrize("source", ["import gone", "import gone.inner", "from gone.inner import x"])
def test_a_module_that_is_not_there_fails_the_cell(source: str) -> None:
    flow = followed("a = 1")
    flow.absent = frozenset({"gone"})
    with pytest.raises(Fails):
        statement(flow, source, may_fail=True)
    assert list(flow.missed) == [3]
    assert flow.missed[3].partition(".")[0] == "gone"


def test_a_module_that_is_not_there_may_be_asked_for_in_a_try() -> None:
    flow = followed("a = 1")
    flow.absent = frozenset({"gone"})
    statement(flow, "try:\n    import gone\nexcept ImportError:\n    gone = None", may_fail=True)
    statement(flow, "import gone_too", may_fail=True)
    assert flow.missed == {}


@pytest.mark.parametrize(
    ("module", "always"),
    [
        ("X = 1\ndef f(): pass\n", False),
        ("print('hello')\n", True),
        ("import helper2\n", True),
        ("import helper\n", False),
    ],
)
def test_a_module_beside_the_notebook_that_does_more_than_define_is_kept(module: str, always: bool) -> None:
    flow = Flow()
    flow.local_source = {"helper": module, "helper2": "open('x', 'w')\n"}.get
    facts = statement(flow, "import helper")
    assert ("@always" in {one.info for one in facts.mutates}) is always


def test_a_module_that_the_notebook_wrote_is_read_by_its_import() -> None:
    _, facts = last_effects("open('helper.py', 'w').write('x = 1')\nimport helper")
    assert "@file:helper.py" in facts.reads


def test_an_import_that_changes_another_package() -> None:
    flow, facts = last_effects("import sklearn\nfrom sklearn.experimental import enable_iterative_imputer")
    assert flow.module("sklearn") in facts.mutates


# -- magics


def test_a_timed_line_is_run() -> None:
    flow, facts = last_effects("a = [1]\nget_ipython().run_line_magic('timeit', '-n 2 -r1 a.append(2)')")
    assert facts.mutates >= flow.env["a"].objs
    assert "get_ipython" in facts.reads
    assert "@magics" in facts.reads


def test_a_file_that_is_run_is_read_from_its_text() -> None:
    flow = followed("a = [1]\nb = [2]")
    flow.local_code = {"script.py": ["a.append(1)", "made = 1"]}.get
    facts = statement(flow, "get_ipython().run_line_magic('run', '-i script.py')")
    assert facts.mutates >= flow.env["a"].objs
    assert not facts.mutates & flow.env["b"].objs
    assert "made" in facts.maybe
    assert facts.everything == 0
    facts = statement(flow, "get_ipython().run_line_magic('run', 'gone.py')")
    assert facts.everything
    assert facts.binds == {"*%run gone.py"}


def test_a_script_binds_the_names_that_it_is_told() -> None:
    _, facts = last_effects("get_ipython().run_cell_magic('bash', '--out said --err=wrong', 'ls')")
    assert facts.binds == {"said", "wrong"}
    assert {"@file:*", "@file:any"} <= {one.info for one in facts.mutates}


def test_an_extension_adds_magics_and_an_unknown_magic_may_bind_any_name() -> None:
    _, facts = last_effects("get_ipython().run_line_magic('load_ext', 'autoreload')")
    assert "@magics" in {one.info for one in facts.mutates}
    flow, facts = last_effects("get_ipython().run_line_magic('cd', '-')")
    assert flow.world_object("@always") in facts.mutates
    _, facts = last_effects("get_ipython().run_line_magic('sql', 'select 1')")
    assert facts.binds == {"*%sql"}


def test_code_that_is_none_may_bind_any_name() -> None:
    flow = followed("a = 1")
    facts = statement(flow, "get_ipython().run_cell_magic('time', '', 'no python')")
    assert facts.binds | facts.maybe == {"*%run"}


# -- functions, classes, decorators


@pytest.mark.parametrize(
    ("setup", "statement", "changed"),
    [
        ("def deco(f):\n    log.append(f.__name__)\n    return f", "@deco\ndef g(): pass", "log"),
        ("def deco(n):\n    return lambda f: log.append(n) or f", "@deco(1)\ndef g(): pass", "log"),
        ("def deco(f):\n    return f", "@deco\ndef g():\n    log.append(1)", ""),
        ("class B:\n    def __init_subclass__(cls): log.append(1)", "class D(B): pass", "log"),
        ("class M(type):\n    def __init__(cls, *a): log.append(1)", "class D(metaclass=M): pass", "log"),
        ("class M(type):\n    def __new__(m, *a):\n        log.append(1)\n        return type.__new__(m, *a)",
         "class D(metaclass=M): pass", "M log"),
        ("class P:\n    def __set_name__(self, owner, name): log.append(name)", "class D:\n    p = P()", "log"),
        ("def deco(cls):\n    log.append(1)\n    return cls", "@deco\nclass D: pass", "log"),
        ("def f(x: log.append(1)): pass", "def g(x: log.append(1)): pass", "log"),
        ("n = 1", "class D:\n    log.append(n)", "log"),
        ("n = 1", "class D:\n    n = 2\n    def m(self): log.append(1)", ""),
        ("n = 1", "def g(x=log.append(1)): pass", "log"),
    ],
)  # fmt: skip
def test_what_a_definition_really_changes(setup: str, statement: str, changed: str) -> None:
    check_changes("log = []\n" + setup, statement, changed)


def info_of(source: str, name: str = "C") -> ClassInfo:
    (cls,) = [one for one in followed(source).env[name].objs if one.kind == "class"]
    assert isinstance(cls.info, ClassInfo)
    return cls.info


def test_a_class_knows_its_methods_and_bases() -> None:
    info = info_of("class B:\n    def m(self): pass\nclass C(B):\n    def n(self): pass")
    assert list(info.methods) == ["n"]
    assert [one.info.name for one in info.bases if isinstance(one.info, ClassInfo)] == ["B"]
    assert len(info.find("m")) == 1
    assert info.find("gone") == []


@pytest.mark.parametrize(
    ("source", "foreign", "mutable"),
    [
        ("class C: pass", False, False),
        ("class C:\n    n = 1", False, False),
        ("class C:\n    n = []", False, True),
        ("import enum\nclass C(enum.Enum):\n    A = 1", False, False),
        ("class C(ValueError): pass", False, False),
        ("class C(dict): pass", True, False),
        ("import threading\nclass C(threading.Thread): pass", True, False),
        ("class C(object): pass", False, False),
    ],
)
def test_what_is_known_of_a_class(source: str, foreign: bool, mutable: bool) -> None:
    info = info_of(source)
    assert (info.foreign, info.mutable) == (foreign, mutable)


def test_a_method_replaces_another_by_assignment() -> None:
    info = info_of("class C:\n    m = lambda self: 1\n    def m2(self): pass")
    assert {"m", "m2"} <= set(info.methods)


def test_annotations_that_are_texts_are_for_those_who_ask_for_the_types() -> None:
    info = info_of("class C:\n    x: 'Later'\n    y: int")
    assert info.forward == {"Later"}
    assert info_of("from __future__ import annotations\nclass C:\n    x: Later\n    y: int").forward >= {"Later"}


def test_a_function_that_is_registered_is_called_by_the_one_it_is_registered_with() -> None:
    setup = "import functools\nlog = []\n@functools.singledispatch\ndef show(x): pass"
    check_changes(setup + "\n@show.register(int)\ndef _(x): log.append(x)", "show(1)", "log")
    check_changes(setup + "\n@show.register(int)\ndef _(x): pass", "show(1)", "")


def test_a_librarys_decorator_may_put_a_method_into_the_class_of_the_annotation() -> None:
    program = (
        "import fastcore\nlog = []\nclass C: pass\n@fastcore.patch\ndef put(self: C): log.append(1)\nc = C()\nc.put()"
    )
    flow, facts = last_effects(program)
    assert facts.mutates >= flow.env["log"].objs


def test_a_weak_global_of_a_call_stands_beside_the_old() -> None:
    flow = followed("a = [1]")
    flow.set_global("b", ATOM, weak=True)
    assert flow.env["b"] == ATOM
    assert "b" in flow.facts.maybe


def test_bases_whose_behaviour_is_known() -> None:
    assert [re_enum(path) for path in ("enum.Enum", "KeyError", "abc.ABC", "Exception", "UserWarning", "dict")] == [
        True, True, True, True, True, False,
    ]  # fmt: skip
    assert issubclass(Flow, Definitions)
