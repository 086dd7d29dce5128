"""State of the flow analysis: names that are read, objects that are used, consumed and changed."""

from __future__ import annotations

import ast
from collections.abc import Callable

import pytest

from buildr_jupyter.analysis.abstract_values import ATOM, AbstractValue, ClassInfo, Effects, Fails, FunctionInfo, Obj
from buildr_jupyter.analysis.state import ROUNDS, Frame
from buildr_jupyter.analysis.statements import Flow
from tests.unit.analysis.executed import check_changes, evaluated, followed


def of(*objs: Obj, typ: str | None = None) -> AbstractValue:
    return AbstractValue(frozenset(objs), typ=typ)


def test_fresh_objects_are_told_apart_and_hold_what_they_are_given() -> None:
    state = Flow()
    inner = state.new()
    first, second = state.fresh(edges=(inner,), typ="list"), state.fresh(opaque=True)
    (one,), (other,) = first.objs, second.objs
    assert (one.edges, one.typ, first.typ, one.opaque) == ({inner}, "list", "list", False)
    assert (other.edges, other.typ, other.opaque) == (set(), None, True)
    assert [inner.serial, one.serial, other.serial] == [1, 2, 3]
    assert state.new("func", typ="x").kind == "func"


# -- reading names


def test_a_name_is_read_once_from_before_and_not_once_it_is_bound() -> None:
    flow = followed("a = [1]")
    flow.facts, flow.bound = Effects(), set()
    value = flow.read("a", 7)
    flow.read("a", 9)
    assert value is flow.env["a"]
    assert (flow.facts.reads, flow.facts.direct) == ({"a"}, {"a": 7}), "the line of the first look"
    flow.facts, flow.bound = Effects(), {"a"}
    assert flow.read("a", 1) is value
    assert (flow.facts.reads, flow.facts.direct) == (set(), {})


def test_a_read_inside_a_function_or_a_try_is_not_the_statements_own() -> None:
    flow = followed("a = [1]")
    flow.facts, flow.bound, flow.guarded = Effects(), set(), 1
    flow.read("a", 7)
    assert (flow.facts.reads, flow.facts.direct) == ({"a"}, {})
    flow.guarded = 0
    flow.frames.append(Frame(frozenset(), None))
    flow.read("a", 8)
    assert flow.facts.direct == {}


def test_a_builtin_is_its_path_unless_a_star_import_may_hide_it() -> None:
    flow = followed("import math")
    assert flow.read("sum", 1) == AbstractValue(path="sum")
    flow.star_import("numpy", frozenset((flow.module("numpy"),)))
    assert flow.read("sum", 1).path == "numpy.sum"
    assert flow.read("len", 1).path == "len", "no well-known module has one"
    assert flow.read("zeros", 1) == AbstractValue(frozenset((flow.module("numpy"),)), "numpy.zeros")


def test_what_a_function_reads_is_what_its_summary_rests_on() -> None:
    flow = followed("a = [1]")
    info = FunctionInfo(ast.parse("lambda: a", mode="eval").body, frozenset())  # type: ignore[arg-type]
    flow.building.append(info)
    flow.read("a", 1)
    flow.read("later", 1)
    assert info.rests_on == {"a": flow.env["a"], "later": None}


def test_reading_a_name_tells_that_its_import_was_not_for_effect_alone() -> None:
    flow = followed("import unknown_package")
    assert flow.unread_imports == {"unknown_package": 0}
    flow.read("unknown_package", 1)
    assert flow.unread_imports == {}


# -- failing


def enter(attribute: str) -> Callable[[Flow], None]:
    return lambda flow: setattr(flow, attribute, 1)


@pytest.mark.parametrize(
    "around",
    [enter("guarded"), enter("weak"), enter("unsure"), lambda flow: flow.frames.append(Frame(frozenset(), None))],
)
def test_a_statement_fails_only_where_it_surely_does(around: Callable[[Flow], None]) -> None:
    flow = followed("a = 1")
    flow.fail()  # how the run ended is known
    flow.may_fail = True
    with pytest.raises(Fails):
        flow.fail()
    around(flow)
    flow.fail()


@pytest.mark.parametrize(("name", "fails"), [("gone", True), ("len", False), ("display", False), ("a", False)])
def test_a_name_that_nothing_gives_fails(name: str, fails: bool) -> None:
    flow, _ = evaluated("a = 1", "0")
    flow.may_fail = True
    if fails:
        with pytest.raises(Fails):
            flow.read(name, 1)
    else:
        flow.read(name, 1)
    flow.may_fail = False
    assert flow.facts.reads >= {name}


# -- values


def test_an_element_is_what_is_held_and_may_be_an_opaque_object_itself() -> None:
    state = Flow()
    inner, plain, opaque = state.new(), state.new(), state.new(opaque=True)
    plain.edges.add(inner)
    assert state.element(of(plain, typ="list")) == of(inner)
    assert state.element(of(opaque, typ="DataFrame")) == of(opaque, typ="DataFrame")
    assert state.element(AbstractValue(const="text", typ="str")) == ATOM


def test_a_join_may_be_any_of_its_values_and_knows_what_all_know() -> None:
    state = Flow()
    one, two = state.new(), state.new()
    assert state.join([of(one, typ="list"), of(two, typ="list")]) == of(one, two, typ="list")
    assert state.join([of(one, typ="list"), of(two, typ="dict")]) == of(one, two)
    text = AbstractValue(const="a", typ="str")
    assert state.join([text, text]) is text
    assert state.join([text, AbstractValue(const="b", typ="str")]) == AbstractValue(typ="str"), "it is either text"
    path = AbstractValue(frozenset((one,)), "numpy.sqrt")
    assert state.join([path, of(two)]).path == "numpy.sqrt"
    assert state.join([of(two), path]).path is None


def test_the_class_of_an_instance_and_of_a_class() -> None:
    state = Flow()
    info = ClassInfo("C")
    cls = state.new("class", info=info)
    assert state.class_of(state.new("inst", info=cls)) is info
    assert state.class_of(cls) is info
    assert state.class_of(state.new(info="file")) is None
    life = state.new("mod", info="numpy")
    assert state.lives(of(state.new(life=(life,))), ATOM) == {life}


# -- what is done to a value

USES = "log = []\nclass C:\n    def __len__(self):\n        log.append(1)\n        return 1\n    def named(self):\n        log.clear()\n"


def test_using_an_object_runs_its_special_methods_and_no_others() -> None:
    check_changes(USES + "c = C()", "bool(c)", "log")
    flow = followed(USES + "c = [C()]")
    flow.facts = Effects()
    flow.use(flow.env["c"])
    assert flow.facts.mutates >= flow.env["log"].objs, "one that is held, too"
    flow.user_code = False
    flow.facts = Effects()
    flow.use(flow.env["c"])
    assert flow.facts.mutates == set()


@pytest.mark.parametrize(
    ("setup", "statement", "changed"),
    [
        ("import collections\na = collections.defaultdict(list)", "a['x']", "a"),
        ("a = {'x': 1}", "a['x']", ""),
        ("import collections\nlog = []\na = collections.defaultdict(lambda: log.append(1))", "a['x']", "log a"),
        ("a = iter([1, 2])\nb = map(str, a)", "list(b)", "a b"),
        ("a = iter([1, 2])\nb = [1, 2]", "list(b)", ""),
        ("log = []\na = map(log.append, [1])", "list(a)", "log a"),
        ("log = []\na = filter(lambda x: log.append(x), [1])", "list(a)", "log a"),
    ],
)
def test_what_is_changed_by_being_looked_at(setup: str, statement: str, changed: str) -> None:
    check_changes(setup, statement, changed)


def test_a_parameter_is_iterated_when_the_function_is_called() -> None:
    state = Flow()
    param = state.new("param", opaque=True)
    state.consume(of(param))
    assert list(state.facts.calls) == [(param, "__iter__", ())]
    assert state.facts.mutates == set()


def test_effects_rise_only_with_what_is_new() -> None:
    state = Flow()
    param = state.new("param")
    state.call_later(param, "pop", [ATOM])
    risen = state.effects
    state.call_later(param, "pop", [ATOM])
    assert state.effects == risen == 1
    state.call_later(param, "pop", [of(state.new())])
    assert state.effects == 2
    one = state.new()
    state.change([one])
    assert (state.effects, state.facts.mutates) == (3, {one})


def test_the_same_is_followed_once_and_again_when_its_objects_grow() -> None:
    state = Flow()
    one, other = state.new(), state.new()
    seen: list[int] = []

    def follow() -> None:
        seen.append(len(one.edges))
        one.edges.add(other)

    state.once("key", (one,), follow)
    assert seen == [0, 1], "it made a link, so all is looked at once more"
    state.once("key", (one,), follow)
    assert seen == [0, 1]
    one.edges.add(state.new())
    state.once("key", (one,), follow)
    assert seen == [0, 1, 2]
    state.facts = Effects()
    state.once("key", (one,), follow)
    assert seen == [0, 1, 2, 2], "what another statement does is its own"
    assert state.facts.everything == 0


def test_what_uses_each_other_is_followed_once_each() -> None:
    state = Flow()
    objs = [state.new() for _ in range(30)]
    count = 0

    def follow(number: int) -> Callable[[], None]:
        def run() -> None:
            nonlocal count
            count += 1
            for other in range(len(objs)):
                state.once(other, (objs[other],), follow(other))

        return run

    state.once(0, (objs[0],), follow(0))
    assert count == len(objs)
    assert state.following is None


def test_what_grows_without_end_keeps_everything() -> None:
    state = Flow()
    one = state.new()
    rounds = 0

    def follow() -> None:
        nonlocal rounds
        rounds += 1
        one.edges.add(state.new())

    state.once("key", (one,), follow)
    assert rounds == ROUNDS
    assert state.facts.everything == 1


def test_merging_takes_all_that_another_does() -> None:
    state = Flow()
    one, param = state.new(), state.new("param")
    other = Effects(reads={"a", "b"}, maybe={"m"}, binds={"x"}, mutates={one}, origins={"clock"}, everything=4)
    other.call_later(param, "pop", [])
    state.bound = {"b"}
    state.merge(other, certain=False)
    mine = state.facts
    assert (mine.reads, mine.maybe, mine.binds) == ({"a"}, {"m", "x"}, set()), "b was bound before"
    assert (mine.mutates, mine.origins, mine.everything) == ({one}, {"clock"}, 4)
    assert list(mine.calls) == [(param, "pop", ())]
    state.merge(Effects(binds={"y"}, everything=9), certain=True)
    assert (mine.binds, mine.everything) == ({"y"}, 4)


def test_a_new_frame_is_empty() -> None:
    frame = Frame(frozenset("x"), None, is_class=True)
    assert (frame.names, frame.is_class) == ({"x"}, True)
    assert (frame.owner, frame.function, frame.vals, frame.globals) == (None, None, {}, set())
