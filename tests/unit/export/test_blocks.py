from __future__ import annotations

import ast

import pytest

from buildr_jupyter.export.blocks import awaits, choose_mark, hide, is_quiet, join, own_block, statement_text


def first(source: str) -> ast.stmt:
    return ast.parse(source, feature_version=None).body[0]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("a = 1; b = 2\n", "a = 1\n"),
        ("@deco\ndef f():\n    return 1\n\nx", "@deco\ndef f():\n    return 1\n"),
        ("s = '''ü\n'''; t", "s = '''ü\n'''\n"),
        ("x = 1  # why", "x = 1\n"),
    ],
)
def test_a_statement_is_as_it_was_written(source: str, text: str) -> None:
    assert statement_text(source, first(source)) == text


def test_a_statement_behind_another_begins_where_it_begins() -> None:
    source = "é = 1; b = 2"
    assert statement_text(source, ast.parse(source).body[1]) == "b = 2\n"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("await x", True),
        ("[i async for i in x]", True),
        ("async def f():\n    await x", False),
        ("f(lambda: (await x))", False),
        ("print(1)", False),
    ],
)
def test_awaiting_outside_of_functions(source: str, found: bool) -> None:
    tree = compile(source, "cell", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert awaits(tree) is found


@pytest.mark.parametrize(
    ("body", "quiet"),
    [("x;", True), ("x;  # shown?", True), ("x", False), ("x = ';'", False), ("f('a;')\n", False), ("(x;", False)],
)
def test_a_semicolon_at_the_end_keeps_the_value_from_being_shown(body: str, quiet: bool) -> None:
    assert is_quiet(body) is quiet


def test_a_block_has_no_empty_lines_around_it() -> None:
    assert own_block("cell 1", "\n\nx = 1\n\ny\n\n", 4) == ("cell 1", 6, "x = 1\n\ny\n")


def test_no_line_of_a_block_begins_with_the_mark() -> None:
    assert choose_mark([("c", 1, "x = 1\n")]) == "# %% "
    taken = [("c", 1, "# %% mine\n"), ("d", 1, "x\n# %%% too\n")]
    mark = choose_mark(taken)
    assert not any(line.startswith(mark) for _, _, text in taken for line in text.splitlines())


def test_what_no_file_may_hold_is_written_as_a_comment() -> None:
    plain, late = ("c", 1, "x = 1\n"), ("d", 1, "from __future__ import annotations\ny = 1\n")
    assert hide([plain]) == ([plain], False)
    blocks, hidden = hide([plain, late, ("e", 1, "global x\n")])
    assert hidden
    assert blocks == [
        plain, ("d", 1, "#: from __future__ import annotations\n#: y = 1\n"), ("e", 1, "#: global x\n"),
    ]  # fmt: skip


def test_each_line_of_the_program_has_its_origin() -> None:
    text, origins = join("head\n", [("cell 1", 3, "a\nb\n"), ("cell 2", 1, "c\n")], "# %% ")
    assert text == "head\n\n# %% cell 1, line 3\na\nb\n\n# %% cell 2, line 1\nc\n"
    lines = text.splitlines()
    assert len(origins) == len(lines)
    assert {lines[n]: one for n, one in enumerate(origins) if one} == {
        "a": "cell 1, line 3", "b": "cell 1, line 4", "c": "cell 2, line 1",
    }  # fmt: skip
