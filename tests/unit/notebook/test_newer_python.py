"""Cells that only a newer Python can read: here a stand-in for it, as it says what a newer one says."""

from __future__ import annotations

import ast
import json
import stat
import sys
from pathlib import Path

from buildr_jupyter.notebook.cells import CellRun, transform
from buildr_jupyter.notebook.newer_python import read_newer
from buildr_jupyter.notebook.parse_cache import parsed

NEWER = "y = = 1"


def name(text: str, ctx: str = "Load") -> dict[str, object]:
    return {
        "node": "Name",
        "fields": {"id": text, "ctx": {"node": ctx, "fields": {}, "at": [None] * 4}},
        "at": [1, 0, 1, 1],
    }


def python_that_says(folder: Path, *statements: object) -> str:
    """Return a program that gives a module of these statements for each text that this Python cannot read."""
    module = {"node": "Module", "fields": {"body": list(statements), "type_ignores": []}, "at": [None] * 4}
    command = folder / "python"
    answers = f"[json.loads({json.dumps(json.dumps(module))}) for _ in json.load(sys.stdin)]"
    command.write_text(f"#!{sys.executable}\nimport json, sys\nprint(json.dumps({answers}))\n")
    command.chmod(command.stat().st_mode | stat.S_IEXEC)
    return str(command)


def run_of(source: str) -> CellRun:
    return CellRun(source=source, transformed=transform(source))


def test_an_alias_of_a_type_binds_its_name(tmp_path: Path) -> None:
    alias = {
        "node": "TypeAlias",
        "fields": {"name": name("X", "Store"), "type_params": [], "value": name("int")},
        "at": [1, 0, 1, 7],
    }
    plain = run_of("x = 1")
    first, second = read_newer([plain, run_of(NEWER)], python_that_says(tmp_path, alias))
    assert first is plain
    assert second.transformed == NEWER
    assert ast.unparse(parsed(NEWER)) == "X = int"


def test_type_parameters_are_no_names_of_the_notebook(tmp_path: Path) -> None:
    arguments = {"posonlyargs": [], "args": [], "kwonlyargs": [], "kw_defaults": [], "defaults": []}
    function = {
        "node": "FunctionDef",
        "fields": {
            "name": "f",
            "args": {"node": "arguments", "fields": arguments, "at": [None] * 4},
            "body": [{"node": "Return", "fields": {"value": name("T")}, "at": [2, 4, 2, 9]}],
            "decorator_list": [],
            "returns": name("list"),
            "type_params": [{"node": "TypeVar", "fields": {"name": "T", "bound": None}, "at": [1, 6, 1, 7]}],
        },
        "at": [1, 0, 2, 9],
    }
    text = "def f[T]() -> list: return = T"
    (found,) = read_newer([run_of(text)], python_that_says(tmp_path, function))
    assert found.transformed == text
    assert ast.unparse(parsed(text)) == "def f() -> list:\n    return None"


def test_constants_come_as_they_were(tmp_path: Path) -> None:
    shown = [
        {
            "node": "Expr",
            "fields": {"value": {"node": "Constant", "fields": {"value": value}, "at": [1, 0, 1, 1]}},
            "at": [1, 0, 1, 1],
        }
        for value in (
            {"constant": "b'a'"},
            {"constant": "Ellipsis"},
            {"constant": "inf"},
            {"constant": "2j"},
            "t",
            3,
            None,
        )
    ]
    text = "1 = = 2"
    read_newer([run_of(text)], python_that_says(tmp_path, *shown))
    values = [
        one.value.value
        for one in parsed(text).body
        if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
    ]
    assert values == [b"a", ..., float("inf"), 2j, "t", 3, None]


def test_a_child_gives_the_tree_that_the_parser_gives() -> None:
    text = Path(json.decoder.__file__).read_text(encoding="utf-8") + "x = [1, 2.5, b'a', 1j, ..., f'{x!r:>{3}}']\n"
    (found,) = read_newer([CellRun(source=text, transformed=None)], sys.executable)
    assert found.transformed == text
    read, made = ast.dump(parsed(text), include_attributes=True), ast.dump(ast.parse(text), include_attributes=True)
    assert read == made


def test_a_node_that_nobody_knows_and_a_python_that_does_not_answer_leave_the_cell_unread(tmp_path: Path) -> None:
    run = run_of("z = = 1")
    strange = python_that_says(tmp_path, {"node": "Teleport", "fields": {}, "at": [1, 0, 1, 1]})
    assert read_newer([run], strange) == (run,)
    assert read_newer([run], str(tmp_path / "no-python")) == (run,)


def test_this_python_cannot_read_it_either(tmp_path: Path) -> None:
    run = run_of("w = = 1")
    assert read_newer([run], sys.executable) == (run,)
