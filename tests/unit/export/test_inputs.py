"""Inputs of programs: types, choices, descriptions, candidates, tags; and the program that takes them."""

from __future__ import annotations

import ast
import datetime as dt
import enum
import json
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import OptionError, UnboundName
from buildr_jupyter.export.inputs import check_options, describe, enums_of, is_plain, make_input, plain_value
from buildr_jupyter.export.options import ExportOptions
from buildr_jupyter.export.program import export
from buildr_jupyter.model.interface import Input
from buildr_jupyter.notebook.cells import CellRun, transform
from tests.unit.export.test_program import make, run


def input_of(code: str, default: str | None = None, **namespace: object) -> Input:
    *before, node = ast.parse(code).body
    assigned = (getattr(node, "annotation", None), node.value)
    return make_input("x", assigned, default, enums=enums_of(before), namespace=namespace or None)[0]


@pytest.mark.parametrize(
    ("code", "kind", "default"),
    [
        ("x = 3", "int", 3), ("x: int = 3", "int", 3), ("x = True", "bool", True), ("x = -1.5", "float", -1.5),
        ("x = 'a'", "str", "a"), ("x = [1]", "list", [1]), ("x: list[int] = [1]", "list[int]", [1]),
        ("x: 'List[str]' = ['a']", "list[str]", ["a"]), ("x: Optional[int] = None", "int | None", None),
        ("x: Union[int, str] = 'a'", "int | str", "a"), ("x: float | None = 1", "float | None", 1),
        ("x: Dict[str, float] = {}", "dict[str, float]", {}), ("x: dict[int, int] = {}", "dict", {}),
        ("x: typing.Final[int] = 1", "int", 1), ("x: Annotated[int, 'y'] = 1", "int", 1), ("x = None", "Any", None),
        ("x: int = 1.5", "float", 1.5), ("x: np.ndarray = [1]", "list", [1]),
        ("x: date = date(2024, 1, 2)", "date", "2024-01-02"),
        ("x = datetime.date.fromisoformat('2024-01-02')", "date", "2024-01-02"),
        ("x = datetime(2024, 1, 2, 3)", "datetime", "2024-01-02T03:00:00"), ("x = Path('a')", "Path", "a"),
        ("x: Path = 'a'", "Path", "a"), ("x = 1e999", "float", "inf"),
    ],
)  # fmt: skip
def test_types_from_annotations_and_values(code: str, kind: str, default: Any) -> None:
    found = input_of(code)
    assert (found.type, found.default, type(found.default)) == (kind, default, type(default))


def test_choices_from_literals_and_enums() -> None:
    found = input_of("x: Literal['a', 'b'] = 'b'")
    assert (found.type, found.choices, found.default) == ("Literal", ("a", "b"), "b")
    colors = "class Color(enum.Enum):\n    RED = 1\n    BLUE = 2\n    _hidden = 3\n"
    for line in ("x: Color = Color.BLUE", "x = Color.BLUE", "x = Color['BLUE']"):
        found = input_of(colors + line)
        assert (found.type, found.choices, found.default) == ("Enum", ("RED", "BLUE"), "BLUE"), line
    kinds = enum.Enum("Kind", "A B")
    found = input_of("x: Kind = pick()", Kind=kinds, x=kinds.B)
    assert (found.type, found.choices, found.default) == ("Enum", ("A", "B"), "B")


def test_a_default_from_the_line_is_of_the_type() -> None:
    assert input_of("x: float = 1.5", "2").default == 2.0
    assert input_of("x: Literal['a', 'b'] = 'a'", "b").default == "b"
    assert input_of("x = 3", "[1]").type == "list"
    with pytest.raises(OptionError, match="'c' is none of a, b"):
        input_of("x: Literal['a', 'b'] = 'a'", "c")


def test_values_that_no_input_can_have() -> None:
    assert plain_value("x", dt.date(2024, 1, 2)) == ("2024-01-02", "date")
    for value in (object(), (1, 2), {1: 2}, {1}, b""):
        with pytest.raises(OptionError, match="cannot have the value"):
            plain_value("x", value)
    with pytest.raises(OptionError, match="computed"):
        input_of("x = f()")


def test_what_is_plain() -> None:
    assert [is_plain(ast.parse(one, mode="eval").body) for one in ("3", "[1]", "(1,)", "f()", "b''", "a")] == [
        True, True, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 3  # how many", "how many"), ("# how\n# many\nx = 3", "how many"), ("# far\n\nx = 3", ""),
        ("y = 1  # not this\nx = 3", ""), ("x = '# no'", ""), ("#: beside\nx = (1,\n 2)  # it", "it"),
    ],
)  # fmt: skip
def test_descriptions(source: str, said: str) -> None:
    assert describe(source, ast.parse(source).body[-1]) == said


def test_two_inputs_of_one_option_and_a_taken_one() -> None:
    for names in (("n_x", "N_X"), ("help",), ("params_file",)):
        with pytest.raises(OptionError, match="belongs to"):
            check_options(names)


# -- programs


def test_a_program_takes_typed_inputs(tmp_path: Path) -> None:
    cells = [
        (
            "import enum, datetime\nfrom pathlib import Path\nfrom typing import Literal\nclass Color(enum.Enum):\n"
            "    RED = 1\n    BLUE = 2"
        ),
        (
            "# the color\ncolor = Color.RED\nday: datetime.date = datetime.date(2024, 1, 2)\nwhere = Path('a')\n"
            "mode: Literal['x', 'y'] = 'x'\nsizes: list[int] = [1, 2]"
        ),
        "print(color, repr(day), where / 'b', mode, sizes)",
    ]
    names = ("color", "day", "where", "mode", "sizes")
    program = make(cells, params=tuple((name, None) for name in names))
    assert run(program, tmp_path).stdout == "Color.RED datetime.date(2024, 1, 2) a/b x [1, 2]\n"
    given = ["--color", "BLUE", "--day", "2025-01-01", "--where", "z", "--mode", "y", "--sizes", "[3]"]
    assert run(program, tmp_path, *given).stdout == "Color.BLUE datetime.date(2025, 1, 1) z/b y [3]\n"
    for wrong in (("--color", "PINK"), ("--day", "x"), ("--mode", "z"), ("--sizes", '["a"]'), ("--other", "1")):
        done = run(program, tmp_path, *wrong)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), wrong
    assert "  --color {RED,BLUE}\n      the color; default" in run(program, tmp_path, "--help").stdout
    (tmp_path / "p.json").write_text(json.dumps({"mode": "y", "color": "BLUE"}))
    assert run(program, tmp_path, "--params-file", "p.json").stdout.startswith("Color.BLUE")


def test_the_default_run_is_the_notebook_s_own(tmp_path: Path) -> None:
    program = make(["rate: float = 1\nwide = 1e999", "print(rate, wide)"], params=(("rate", None), ("wide", None)))
    assert run(program, tmp_path).stdout == "1 inf\n"
    assert run(program, tmp_path, "--rate", "2").stdout == "2.0 inf\n"


def test_candidates_and_auto(tmp_path: Path) -> None:
    cells = [
        "n = 3\nm = n * 2\nunread = 9\n_own = 1\nrows = []\nrows.append(_own)",
        "k = 'a'\nt = 1\nt = 2\nprint(n, m, k, t, rows)",
    ]
    program = make(cells)
    assert [str(one) for one in program.candidates] == [
        "n = 3, nb.ipynb, cell 0, line 1: --param n",
        "k = 'a', nb.ipynb, cell 1, line 1: --param k",
    ]
    assert not program.interface
    auto = make(cells, params=(("auto", None),))
    assert [(one.name, one.type) for one in auto.interface.inputs] == [("k", "str"), ("n", "int")]
    assert auto.candidates == ()
    assert run(auto, tmp_path, "--n", "5", "--k", "b").stdout == "5 10 b 2 [1]\n"
    none = make(["print(1)"], params=(("auto", None),))
    assert [one.text for one in none.warnings] == [
        "nb.ipynb, cell 0: --param auto found no plain value that could be an input"
    ]


def test_a_cell_tagged_parameters_makes_inputs_of_its_candidates() -> None:
    runs = [
        CellRun(source, transform(source), index=index, tags=("parameters",) if index == 0 else ())
        for index, source in enumerate(["a = 1\nb = 2", "c = 3", "print(a + b + c)"])
    ]
    program = export(runs, runs[-1], ExportOptions(), folder=None, notebook="nb.ipynb")
    assert [one.name for one in program.interface.inputs] == ["a", "b"]
    assert [one.name for one in program.candidates] == ["c"]


def test_an_assignment_in_the_cell_itself(tmp_path: Path) -> None:
    program = make(["n = 3\nn * 2"], params=(("n", None),))
    assert run(program, tmp_path, "--n", "5").stdout == "10\n"
    assert run(program, tmp_path).stdout == "6\n"
    with pytest.raises(OptionError, match="cell 0, line 1: the cell itself gives n its value"):
        make(["n = 3\nn = n * 2\nn"], params=(("n", "4"),))


def test_an_unbound_name_may_become_an_input(tmp_path: Path) -> None:
    with pytest.raises(UnboundName) as raised:
        make(["print(n)"])
    assert raised.value.hint == "run the cell that does, or make it an input of the image: --param n"
    program = make(["print(n)"], params=(("n", None),))
    assert [(one.type, one.required) for one in program.interface.inputs] == [("Any", True)]
    done = run(program, tmp_path)
    assert (done.returncode, done.stderr) == (2, "main.py: --n: a value is missing; --help lists the inputs\n")
    assert run(program, tmp_path, "--n", "[1]").stdout == "[1]\n"


def test_a_path_into_the_project_is_the_default_as_it_is_in_the_image(tmp_path: Path) -> None:
    folder = tmp_path / "nb"
    folder.mkdir()
    (folder / "in.txt").write_text("hey")
    code = f"from pathlib import Path\np = Path({str(folder / 'in.txt')!r})"
    program = make([code, "print(p.read_text())"], params=(("p", None),), folder=folder)
    assert program.interface.inputs[0].default == "in.txt"
    assert run(program, tmp_path / "app").stdout == "hey\n"
