"""What builtins and functions of modules do and give: each row is compared with what really happens."""

from __future__ import annotations

import pytest

from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue, Effects, Obj
from buildr_jupyter.analysis.expressions import gives_values
from buildr_jupyter.analysis.library_calls import DEPTH, GIVEN, is_foreign, moves_on, objs_of, opaque, root_of
from tests.unit.analysis.executed import check_changes, check_shares, evaluated, followed, last_effects

VALUES = "import collections, copy, functools, heapq, itertools, operator, random\na = [[1], [2]]\nb = {'k': a}\nn = 3"


@pytest.mark.parametrize(
    ("expression", "shared"),
    [
        ("len(a)", ""),
        ("str(a)", ""),
        ("sum(a, [])", ""),
        ("sum([a], [])", "a"),
        ("list(b.items())", "a"),
        ("list(b.values())", "a"),
        ("tuple([a])", "a"),
        ("dict(b)", "a"),
        ("dict(x=a)", "a"),
        ("dict([('x', a)])", "a"),
        ("set(b)", "a"),  # that keys alone are iterated is not told apart
        ("sorted([a])", "a"),
        ("next(iter([a]))", "a"),
        ("min([a], default=0)", "a"),
        ("list(zip([a], [n]))", "a"),
        ("list(enumerate([a]))", "a"),
        ("list(map(lambda x: x, [a]))", "a"),
        ("list(map(lambda x: a, [n]))", "a"),
        ("list(filter(None, [a]))", "a"),
        ("list(reversed([a]))", "a"),
        ("getattr(a, 'copy')", "a"),
        ("memoryview(b'x')", ""),
        ("ValueError(a)", "a"),
        ("copy.copy([a])", "a"),
        ("copy.deepcopy(a)", "a"),  # an object may say itself how it is copied
        ("collections.deque([a])", "a"),
        ("collections.OrderedDict(x=a)", "a"),
        ("functools.partial(max, a)", "a"),
        ("functools.reduce(lambda x, y: y, [a])", "a"),
        ("operator.itemgetter(0)([a])", "a"),
        ("random.choice([a])", "a"),
        ("heapq.heappop([a])", "a"),
        ("list(itertools.chain([a], [n]))", "a"),
        ("isinstance(a, list)", ""),
    ],
)
def test_a_result_shares_what_it_really_shares(expression: str, shared: str) -> None:
    check_shares(VALUES, expression, shared)


CHANGES = (
    "import bisect, copy, functools, heapq, io, itertools, json, operator, random, re\n"
    "a = [3, 1, 2]\nb = iter([1, 2])\nr = random.Random(1)\nlog = []\ns = io.StringIO()\n"
)


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("sorted(a)", ""),
        ("max(a)", ""),
        ("list(b)", "b"),
        ("next(b)", "b"),
        ("sum(b)", "b"),
        ("zip(a, b)", "b"),  # taken to be used at once
        ("print(b)", ""),
        ("isinstance(b, list)", ""),
        ("type(b)", ""),
        ("delattr(print, 'no') if False else 0", ""),
        ("heapq.heapify(a)", "a"),
        ("bisect.insort(a, 9)", "a"),
        ("operator.setitem(a, 0, 9)", "a"),
        ("random.shuffle(a)", "a"),
        ("random.sample(a, 1)", ""),
        ("r.random()", "r"),
        ("r.shuffle(a)", "r a"),
        ("list(itertools.islice(b, 1))", "b"),
        ("json.dumps(a)", ""),
        ("json.dump(a, s)", "s"),
        ("print(1, file=s)", "s"),
        ("functools.reduce(lambda x, y: log.append(y), a)", "log"),
        ("list(map(log.append, a))", "log"),
        ("sorted(a, key=lambda x: log.append(x) or x)", "log"),
        ("re.sub('x', lambda m: log.append(1) or '', 'x')", "log"),
        ("functools.partial(log.append, 1)()", "log"),
        ("operator.methodcaller('sort')(a)", "a"),
        ("list.sort(a)", "a"),
        ("getattr(a, 'sort')()", "a"),
        ("eval('a.sort()')", "a"),
        ("exec('a.sort()')", "a"),
    ],
)
def test_a_call_changes_what_it_really_changes(statement: str, changed: str) -> None:
    check_changes(CHANGES, statement, changed)


ARRAYS = "import numpy as np\na = np.zeros(3)\no = np.zeros(3)\ni = [0]\n"


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        ("np.add(a, 1)", ""),
        ("np.add(a, 1, out=o)", "o"),
        ("np.add(a, 1, o)", "o"),
        ("np.copyto(o, a + 1)", "o"),
        ("np.add.at(a, i, 1)", "a"),
        ("np.ndarray.fill(a, 1)", "a"),
        ("np.asarray(a)[0:1].fill(1)", "a"),
        ("np.nan_to_num(a, copy=False)", "a"),
        ("np.sqrt(a)[0:1].fill(1)", ""),
        ("np.zeros(3).fill(1)", ""),
    ],
)
def test_what_numpy_changes_and_what_is_a_view(statement: str, changed: str) -> None:
    check_changes(ARRAYS, statement, changed)


@pytest.mark.parametrize(
    ("program", "reads", "writes"),
    [
        ("open('a.txt')", {"@file:a.txt"}, set()),
        ("open('a.txt', 'w')", set(), {"@file:a.txt", "@file:any"}),
        ("open('a.txt', 'r+')", {"@file:a.txt"}, {"@file:a.txt", "@file:any"}),
        ("import tarfile\ntarfile.open('a.tar', 'w:gz')", {"@file:a.tar"}, {"@file:a.tar", "@file:any"}),
        ("import gzip\ngzip.open('a.gz', mode='wb')", set(), {"@file:a.gz", "@file:any"}),
        ("import sqlite3\nsqlite3.connect('a.db')", set(), {"@file:a.db", "@file:any"}),
        ("import sqlite3\nsqlite3.connect(':memory:')", set(), set()),
    ],
)
def test_which_files_a_call_opens(program: str, reads: set[str], writes: set[str]) -> None:
    _, facts = last_effects(program)
    assert {one.info for one in facts.mutates if str(one.info).startswith("@file")} >= writes
    if writes == set() and "memory" not in program:
        assert not any(str(one.info).startswith("@file") for one in facts.mutates)
    assert {one for one in facts.reads if one.startswith("@file")} >= reads


def test_a_library_that_no_table_knows_may_change_and_keep_what_it_is_given() -> None:
    setup = "from types import SimpleNamespace\na = [[1]]\nb = [2]"
    flow = followed(setup + "\nimport engine\nengine.take(a, b)")
    flow, facts = last_effects(setup + "\nimport engine\nengine.take(a, b)")
    assert facts.mutates >= flow.env["a"].objs | flow.env["b"].objs
    flow, facts = last_effects(setup + "\nimport math\nmath.fsum(a)")
    assert facts.mutates.isdisjoint(flow.env["a"].objs)
    flow, value = evaluated(setup + "\nimport engine", "engine.connect(a)")
    assert all(is_foreign(one) for one in value.objs if one.kind == "data")
    (inner,) = flow.env["a"].objs
    assert not value.objs.isdisjoint(inner.edges), "what was made of it may be in it from then on"


def test_a_function_that_is_given_to_a_library_may_be_called() -> None:
    program = "import engine\nlog = []\ndef f(x):\n    log.append(x)\nengine.every(f)"
    flow, facts = last_effects(program)
    assert facts.mutates >= flow.env["log"].objs
    flow, facts = last_effects(program.replace("engine.every(f)", "engine.every(1)"))
    assert facts.mutates.isdisjoint(flow.env["log"].objs)


def test_all_methods_of_an_object_may_be_called_by_a_library_and_none_by_a_builtin() -> None:
    program = "import engine\nlog = []\nclass C:\n    def m(self):\n        log.append(1)\nc = C()\nengine.use(c)"
    flow, facts = last_effects(program)
    assert facts.mutates >= flow.env["log"].objs
    flow, facts = last_effects(program.replace("engine.use(c)", "print(c)"))
    assert facts.mutates.isdisjoint(flow.env["log"].objs)


def test_a_parameter_that_is_given_to_a_library_is_given_at_the_call() -> None:
    flow = followed("import random\ndef f(g):\n    print(g)\nr = random.Random(1)")
    flow.facts = Effects()
    param = flow.new("param", opaque=True)
    flow.give([param])
    assert list(flow.facts.calls) == [(param, GIVEN, ())]
    assert flow.facts.mutates == set()
    flow.give(flow.env["r"].objs)
    assert flow.facts.mutates >= flow.env["r"].objs


def test_a_deep_change_reaches_what_is_held_but_no_function_and_no_module() -> None:
    flow = followed("import math\na = [1]\ndef f(): pass\nb = [a, f, math]")
    flow.facts = Effects()
    flow.change_deep(flow.env["b"].objs)
    assert flow.facts.mutates == flow.env["a"].objs | flow.env["b"].objs


def test_calls_are_followed_to_a_depth() -> None:
    flow = followed("a = [1]\ndef f(x):\n    return x")
    (function,) = flow.env["f"].objs
    assert flow.called([function], [flow.env["a"]]) == flow.env["a"].objs
    flow.depth = DEPTH
    assert flow.called([function], [flow.env["a"]]) == frozenset()


def test_a_submodule_is_there_because_a_statement_imported_it() -> None:
    flow, facts = last_effects("import os\nimport xml\nimport xml.dom.minidom\nxml.dom.minidom.Node")
    assert "@submodule:xml.dom" in facts.reads
    assert "@submodule:xml.dom.minidom" in facts.reads
    assert flow is not None


@pytest.mark.parametrize(
    ("program", "everything"),
    [("exec(input())", True), ("globals()", True), ("eval('1 + 1')", False), ("dir(1)", False), ("vars(print)", False)],
)
def test_what_may_read_any_name(program: str, everything: bool) -> None:
    assert bool(last_effects(program)[1].everything) is everything


def test_what_is_put_into_the_main_module_is_a_name_of_the_notebook() -> None:
    _, facts = last_effects("import sys\nsetattr(sys.modules['__main__'], 'z', 1)")
    assert "z" in facts.maybe
    _, facts = last_effects("import sys\nprint(vars(sys.modules['__main__']))")
    assert facts.everything


def test_which_objects_move_on_and_which_are_foreign() -> None:
    stream = Obj("data", 2, life=[Obj("mod", 1, info="io")])
    array = Obj("data", 4, life=[Obj("mod", 3, info="numpy")])
    engine = Obj("data", 6, life=[Obj("mod", 5, info="engine")])
    file = Obj("iter", 7, info="file")
    assert [moves_on(one) for one in (stream, array, Obj("data", 8, typ="rng"))] == [True, False, True]
    assert [is_foreign(one) for one in (stream, array, engine, file)] == [False, False, True, True]
    assert [gives_values(path) for path in ("numpy.sqrt", "len", "str.upper", "engine.f")] == [True, True, True, False]


def test_small_questions() -> None:
    one, other = Obj("data", 1, opaque=True), Obj("data", 2)
    assert objs_of([AbstractValue(frozenset((one,))), ATOM, AbstractValue(frozenset((other,)))]) == {one, other}
    assert objs_of([]) == frozenset()
    assert (opaque([other]), opaque([other, one])) == (False, True)
    assert root_of("numpy.random.rand") == "numpy"


@pytest.mark.parametrize(
    ("setup", "expression", "typ"),
    [
        ("", "str(1)", "str"),
        ("", "repr([1])", "str"),
        ("", "len([1])", "len"),
        ("", "sorted([1])", "list"),
        ("", "dict(a=1)", "dict"),
        ("import os", "os.path.join('a', 'b')", "str"),
        ("import math", "math.sqrt(2)", None),
        ("import numpy as np", "np.zeros(3)", "ndarray"),
        ("import numpy as np", "np.random.default_rng(1)", "rng"),
        ("import random", "random.Random(1)", "rng"),
        ("import pandas as pd", "pd.DataFrame({})", "DataFrame"),
        ("import pandas as pd", "pd.read_csv('x')", "DataFrame"),
        ("import pandas as pd", "pd.Series([1])", "Series"),
        ("import pathlib", "pathlib.Path('a.txt')", "str"),
    ],
)
def test_the_type_of_a_result(setup: str, expression: str, typ: str | None) -> None:
    assert evaluated(setup, expression)[1].typ == typ
