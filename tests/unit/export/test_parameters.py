from __future__ import annotations

import ast
import math

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.export import parameters
from buildr_jupyter.model.interface import Input, Interface, Return


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.5", 0.5),
        ("true", True),
        ("True", True),
        ("null", None),
        ("None", None),
        ("[1, 2]", [1, 2]),
        ("{'a': 1}", {"a": 1}),
        ("'quoted'", "quoted"),
        ("plain text", "plain text"),
        ("", ""),
        ("1 +", "1 +"),
    ],
)
def test_a_default_is_a_literal_or_a_text(text: str, value: object) -> None:
    found = parameters.parse_default("n", text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("value", [{1}, (1,), {1: 2}, [object()], [math.nan], b"x", 1j])
def test_what_json_cannot_hold_is_no_parameter(value: object) -> None:
    with pytest.raises(OptionError, match="--param n: a parameter cannot have the value"):
        parameters.check_parameter("n", value)


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x", [1, ["y"]], {"a": {"b": None}}])
def test_what_json_holds_is_one(value: object) -> None:
    assert parameters.check_parameter("n", value) is value


def test_the_blocks_are_python_and_name_their_files() -> None:
    block = parameters.parameter_block(Interface((Input("n", "int", 1),)), "nb.ipynb, cell 1", "../_buildr/x.py")
    ast.parse(block)
    assert block.count("'../_buildr/x.py'") == 2
    assert "nb.ipynb, cell 1" in block
    returns = parameters.returns_block("_buildr/returns.py")
    ast.parse(returns)
    assert "BUILDR_OUTPUT_DIR" in returns


@pytest.mark.parametrize(
    ("interface", "how", "files"),
    [
        (Interface(), {"function": True}, []),
        (Interface((Input("n", "int", 1),)), {}, [parameters.READER_PATH]),
        (Interface((), (Return("x"),)), {"function": True}, [parameters.WRITER_PATH]),
        (Interface((), (Return("x"),)), {"script": True}, [parameters.FUNCTION_PATH, parameters.WRITER_PATH]),
        (
            Interface((Input("n", "int", 1),), (Return("x"),)), {"function": True},
            [parameters.READER_PATH, parameters.FUNCTION_PATH, parameters.WRITER_PATH],
        ),
    ],
)  # fmt: skip
def test_an_image_gets_the_modules_that_its_interface_needs(
    interface: Interface, how: dict[str, bool], files: list[str]
) -> None:
    entries = parameters.own_files(interface, **how)
    assert [entry.path for entry in entries] == files
    for entry in entries:
        with entry.open() as stream:
            ast.parse(stream.read())


def test_a_function_s_block_and_a_script_s_program_are_python() -> None:
    interface, spec = Interface((Input("n", "int", 1),)), {"name": "work", "title": "It's", "baked": [], "makers": {}}
    block = parameters.function_block(interface, spec, "../_buildr/function.py")
    ast.parse(block)
    assert block.count("'../_buildr/function.py'") == 2
    text = parameters.script_text(interface, spec, "it's.py")
    assert ast.parse(text)
    assert "_buildr/function.py" in text
