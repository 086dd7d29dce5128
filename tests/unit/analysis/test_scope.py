"""Which names belong to a function: judged by the compiler's own tables, over every function of the odd cells."""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator

import pytest

from buildr_jupyter.analysis.scope import bound_names, called_name, import_uses, local_names
from buildr_jupyter.notebook.cells import transform
from tests.unit.export.test_exporter import cases

MORE = [
    "def f(a, /, b, *c, d=1, **e):\n    x = [y := i for i in a]\n    def g():\n        nonlocal x\n        global z\n        x = z = 1\n    return g",
    "def f(v):\n    match v:\n        case {'k': k, **rest}: pass\n        case [h, *t] | (h, *t): pass\n        case str() as s: pass",
    "async def f(q):\n    async with q as w:\n        async for i in w: yield i\n    try: pass\n    except E as e: del e",
    "def f():\n    import a.b, c as d\n    from m import n as o\n    class K:\n        inner = 1\n    for i, (j, *k) in []: l: int = 1",
    "h = lambda a, *b: (c := a) and [d for d in b if (e := d)]",
    "def f(it):\n    return {k: (last := v) for k, v in it if (seen := k)}",
    "def f():\n    with a as (b, c), d as e.g, h as i[j]: k += 1",
]


def sources() -> list[str]:
    found = dict.fromkeys(cell for case in cases() for cell in case.values[0])
    return [text for cell in (*found, *MORE) if (text := transform(cell))]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node


def tables(table: symtable.SymbolTable) -> Iterator[symtable.Function]:
    for child in table.get_children():
        comprehension = child.get_name() in ("listcomp", "setcomp", "dictcomp", "genexpr")
        if isinstance(child, symtable.Function) and not comprehension:
            yield child
        yield from tables(child)


def key(name: str, names: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    return name, tuple(sorted(names))


@pytest.mark.parametrize("source", sources())
def test_names_of_functions(source: str) -> None:
    try:
        others = symtable.symtable(source, "cell", "exec")
    except SyntaxError:
        pytest.fail("the cell parses, so the compiler's tables know it") if not awaits(source) else None
        return
    wanted = [
        key(table.get_name(), frozenset(s.get_name() for s in table.get_symbols() if s.is_local()))
        for table in tables(others)
    ]
    mine = [key(getattr(node, "name", "lambda"), local_names(node)[0]) for node in functions(ast.parse(source))]
    assert sorted(mine) == sorted(wanted)


def awaits(source: str) -> bool:
    return "await " in source or "async " in source or "global " in source


@pytest.mark.parametrize("source", sources())
def test_names_of_the_notebook(source: str) -> None:
    try:
        others = symtable.symtable(source, "cell", "exec")
    except SyntaxError:
        return
    wanted = {symbol.get_name() for symbol in others.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    wanted |= {symbol.get_name() for symbol in others.get_symbols() if symbol.is_namespace()}
    bound, declared, _ = bound_names(ast.parse(source).body)
    assert bound | declared >= {name for name in wanted if not name.startswith(".")}
    assert bound <= {symbol.get_name() for symbol in others.get_symbols()}


@pytest.mark.parametrize(
    ("manager", "optional"),
    [
        ("contextlib.suppress(ImportError)", True),
        ("suppress(KeyError, ModuleNotFoundError)", True),
        ("suppress(KeyError)", False),
        ("open('x')", False),
        ("lock", False),
    ],
)
def test_an_import_that_may_fail_in_a_with_is_optional(manager: str, optional: bool) -> None:
    (use,) = import_uses(ast.parse(f"with {manager}:\n    import fast"), "cell")
    assert (use.module, use.optional) == ("fast", optional)


@pytest.mark.parametrize(
    ("source", "optional"),
    [
        ("match platform:\n    case 'win32':\n        import fast", True),
        ("x = found and __import__('fast')", True),
        ("x = __import__('fast') if found else None", True),
        ("x = __import__('fast') and found", False),
    ],
)
def test_an_import_in_what_may_not_run_is_optional(source: str, optional: bool) -> None:
    (use,) = import_uses(ast.parse(source), "cell")
    assert (use.module, use.optional) == ("fast", optional)


@pytest.mark.parametrize(
    ("call", "name"), [("f(1)", "f"), ("a.b.read(1)", "read"), ("f()()", ""), ("a[0]()", ""), ("f().g()", "g")]
)
def test_the_name_of_what_is_called(call: str, name: str) -> None:
    node = ast.parse(call, mode="eval").body
    assert isinstance(node, ast.Call)
    assert called_name(node) == name
