"""Inputs of decorated functions: what each kind of parameter becomes, and what a call and a source say of it."""

from __future__ import annotations

import datetime as dt
import enum
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NoReturn

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.export.function_inputs import gives_value, read_function
from buildr_jupyter.export.program import Program
from buildr_jupyter.model.interface import Input
from tests.unit.export.test_program import make, run


class Color(enum.Enum):
    RED = 1
    BLUE = 2


MANY = 4


def typed(
    n: int,  # how many
    /,
    # the color
    # of it
    color: Color = Color.RED,
    *rest: int,
    rate: float = 1,
    mode: Literal["a", "b"] = "a",
    sizes: list[int] | None = None,
    day: dt.date = dt.date(2024, 1, 2),
    where: Path = Path("x"),
    deep=MANY,
    **more: int,
) -> None:
    """Does this
    and that.

    Not this.

    Args:
        rate (float): how fast
        n: not this, for the comment is nearer
    """


def test_each_kind_of_parameter() -> None:
    found = read_function(typed)
    assert found.inputs == (
        Input("n", "int", required=True, description="how many"),
        Input("color", "Enum", "RED", choices=("RED", "BLUE"), description="the color of it"),
        Input("rate", "float", 1, description="how fast"),
        Input("mode", "Literal", "a", choices=("a", "b")),
        Input("sizes", "list[int] | None"),
        Input("day", "date", "2024-01-02"),
        Input("where", "Path", "x"),
        Input("deep", "int", 4),
    )
    assert (found.name, found.title) == ("typed", "Does this and that.")
    assert found.makers == (("color", "Color[value]"),)
    assert found.warnings == ()


def test_the_arguments_of_a_call_are_defaults() -> None:
    found = read_function(typed, (3, Color.BLUE), {"deep": 9, "day": dt.date(2025, 1, 1)})
    said = {one.name: one.default for one in found.inputs}
    assert (said["n"], said["color"], said["deep"], said["day"]) == (3, "BLUE", 9, "2025-01-01")
    assert not any(one.required for one in found.inputs)
    assert {"n", "color", "deep", "day"} <= set(found.baked)
    assert "rate" not in found.baked, "the function's own default is not made anew"
    with pytest.raises(TypeError, match="too many positional arguments"):
        read_function(lambda a: a, (1, 2))


@pytest.mark.parametrize(
    ("func", "args", "said"),
    [
        (typed, (3, Color.RED, 5), r"typed\(\): \*rest takes what no input"),
        (typed, (object(),), r"typed\(n\): a parameter cannot have the value"),
    ],
)
def test_arguments_that_no_input_can_give(func: Callable[..., object], args: tuple[object, ...], said: str) -> None:
    with pytest.raises(OptionError, match=said) as raised:
        read_function(func, args)
    assert raised.value.hint


def test_a_default_that_cannot_be_carried_stays_and_is_said() -> None:
    def work(call=print, table: subprocess.Popen[str] | None = None, pair=(1, 2), n=3):
        pass

    found = read_function(work)
    assert [one.name for one in found.inputs] == ["n"]
    assert [str(one.text).partition(" keeps its default and is no input of the image: ")[0] for one in found.warnings] == [
        f"{work.__qualname__}(): {name}" for name in ("call", "table", "pair")
    ]  # fmt: skip


def test_a_required_parameter_of_a_type_that_no_input_can_have_is_refused() -> None:
    def work(table: subprocess.Popen[str]):
        pass

    with pytest.raises(OptionError, match=r"no input can have its type, subprocess.Popen\[str\]") as raised:
        read_function(work)
    assert raised.value.hint == "take a Path to a file of it, or give it a default"

    def free(table: Any, other):
        pass

    assert [(one.type, one.required) for one in read_function(free).inputs] == [("Any", True)] * 2


def test_without_a_source_the_values_and_annotations_say_it() -> None:
    names: dict[str, Any] = {"Color": Color}
    exec("def work(a: int, b=2, c: 'list[str]' = None, d: Color = Color.BLUE): pass", names)
    found = read_function(names["work"]).inputs
    assert [(one.name, one.type, one.default) for one in found] == [
        ("a", "int", None), ("b", "int", 2), ("c", "list[str] | None", None), ("d", "Enum", "BLUE"),
    ]  # fmt: skip
    assert read_function(type).inputs == (), "of which Python knows no signature"


def test_two_parameters_of_one_option_are_refused() -> None:
    def work(n_x=1, N_X=2):  # noqa: N803 - the case
        pass

    with pytest.raises(OptionError, match="--n-x belongs to input 'n_x'"):
        read_function(work)


def test_who_gives_a_value() -> None:
    def value() -> dict[str, int]: ...  # type: ignore[empty-body]
    def nothing() -> None: ...
    def never() -> NoReturn: ...  # type: ignore[misc]
    def unsaid(): ...
    async def later() -> int: ...  # type: ignore[empty-body]

    assert [gives_value(one) for one in (value, nothing, never, unsaid, later)] == [True, False, False, False, False]


# -- in a notebook's program


CELLS = [
    "import enum\nfrom buildr_jupyter import Containerize\nn = 100\nclass Color(enum.Enum):\n    RED = 1\n    BLUE = 2",
    (
        "@Containerize(package={'name': 'x'})\ndef work(n, color=Color.RED, *, k: int = 3):\n    '''Works.'''\n"
        "    return n, color, k, total()\ndef total():\n    return n"
    ),
    "work()",
]


def program(**call: object) -> Program:
    names: dict[str, Any] = {"__name__": "__main__"}
    code = "\n".join(CELLS[:2]).replace("from buildr_jupyter import Containerize", "").replace(
        "@Containerize(package={'name': 'x'})\n", ""
    )  # fmt: skip
    exec(code, names)
    return make(CELLS, function=read_function(names["work"], (), call), returns=("_",))


def test_a_notebooks_function_takes_the_inputs_and_its_globals_stay(tmp_path: Path) -> None:
    shim = Path(__file__).parents[3] / "buildr_jupyter" / "in_image" / "decorator_shim.py"
    (tmp_path / "buildr_jupyter").mkdir()
    (tmp_path / "buildr_jupyter" / "__init__.py").write_text(shim.read_text())
    made = program(n=5)
    assert [one.name for one in made.interface.inputs] == ["n", "color", "k"]
    assert run(made, tmp_path).stdout == "(5, <Color.RED: 1>, 3, 100)\n"
    done = run(made, tmp_path, "--n", "1", "--color", "BLUE", "--k", "2")
    assert done.stdout == "(1, <Color.BLUE: 2>, 2, 100)\n"
    assert b"Color" in (tmp_path / "output/.buildr/returns/_.pickle").read_bytes()
    assert "\nWorks.\n" in run(made, tmp_path, "--help").stdout
    done = run(program(), tmp_path)
    assert (done.returncode, done.stderr) == (2, "main.py: --n: a value is missing; --help lists the inputs\n")
    assert made.candidates == ()
