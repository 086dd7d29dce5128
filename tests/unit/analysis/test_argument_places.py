"""Arguments of a call: which parameter of a function takes which."""

from __future__ import annotations

import pytest

from buildr_jupyter.analysis.abstract_values import AbstractValue, FunctionInfo
from buildr_jupyter.analysis.argument_places import places_of, star_names
from buildr_jupyter.analysis.summaries import summary
from tests.unit.analysis.executed import followed


@pytest.mark.parametrize(
    ("parameters", "given", "named", "taken"),
    [
        ("x, y", "a b", "", "x:a y:b"),
        ("x, y", "a", "y=b", "x:a y:b"),
        ("x, /, *, y", "a", "y=b", "x:a y:b"),
        ("x, *rest", "a b c", "", "x:a rest:b,c"),
        ("x, **rest", "a", "y=b z=c", "x:a rest:b,c"),
        ("x, y", "a", "**=b", "x:a y:held"),  # what a dict holds may be for any that nothing else gives
        ("x, y=c", "a", "", "x:a y:c"),
    ],
)
def test_a_parameter_takes_what_python_gives_it(parameters: str, given: str, named: str, taken: str) -> None:
    program = f"held = [0]\na = [1]\nb = [held]\nc = [3]\ndef f({parameters}):\n    pass"
    flow = followed(program)
    (function,) = [obj for obj in flow.env["f"].objs if obj.kind == "func"]
    info = function.info
    assert isinstance(info, FunctionInfo)
    summary(flow, info)
    keywords = dict(one.split("=") for one in named.split())
    places = places_of(
        info, [flow.env[name] for name in given.split()], {key: flow.env[name] for key, name in keywords.items()}
    )
    names = {obj: name for name in ("held", "a", "b", "c") for obj in flow.env[name].objs}
    found = {
        name: ",".join(sorted(names[obj] for obj in places[param]))
        for param, name in zip(info.params, info.names, strict=True)
    }
    assert found == dict(one.split(":") for one in taken.split())


def test_what_an_argument_holds_is_what_the_inside_of_its_parameter_stands_for() -> None:
    flow = followed("held = [0]\na = [held]\ndef f(x, *rest):\n    pass")
    (function,) = [obj for obj in flow.env["f"].objs if obj.kind == "func"]
    info = function.info
    assert isinstance(info, FunctionInfo)
    assert star_names(info) == ["rest"]
    summary(flow, info)
    places = places_of(info, [flow.env["a"], flow.env["a"]], {"y": AbstractValue()})
    inside = [places[param.info] for param in info.params]  # type: ignore[index]
    assert inside == [flow.env["held"].objs, flow.env["held"].objs | flow.env["a"].objs]
