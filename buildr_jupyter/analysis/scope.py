"""Names: which belong to a function, which to the notebook; what an import binds and what it asks for."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator

from buildr_jupyter.model.plan import ImportUse

__all__ = [
    "BUILTINS",
    "KERNEL_NAMES",
    "SHADOWED_BY_STARS",
    "bound_names",
    "called_name",
    "constant_text",
    "import_uses",
    "local_names",
    "parameters",
    "stored_names",
]

BUILTINS = frozenset(dir(builtins)) | {"__name__", "__doc__", "__builtins__", "__annotations__", "__file__"}
KERNEL_NAMES = frozenset(
    ("get_ipython", "display", "In", "Out", "exit", "quit", "_", "__", "___", "_i", "_ii", "_iii", "_oh", "_dh", "_ih")
)
"""What IPython puts beside the builtins."""
SHADOWED_BY_STARS = frozenset(
    ("sum", "min", "max", "abs", "round", "any", "all", "pow", "open", "sorted", "range", "divmod", "hash")
)
"""Builtins that well-known modules also define, and so hide when all of them is imported."""

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_LEAVES = frozenset((ast.Name, ast.Constant, ast.alias, ast.Pass, ast.Global, ast.Nonlocal))
_SIGNS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


def _walk_scope(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield the nodes that belong to one scope: bodies of inner functions and classes are left out."""
    todo = list(nodes)
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo.extend(node.decorator_list)
            todo.extend(node.args.defaults)
            todo.extend(default for default in node.args.kw_defaults if default is not None)
        elif isinstance(node, ast.ClassDef):
            todo.extend((*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)))
        elif isinstance(node, ast.Lambda):
            todo.extend(node.args.defaults)
            todo.extend(default for default in node.args.kw_defaults if default is not None)
        elif isinstance(node, _COMPREHENSIONS):
            todo.append(node.generators[0].iter)
            # A walrus inside binds in the scope around it.
            todo.extend(inner for inner in _walk(node) if isinstance(inner, ast.NamedExpr))
        else:
            todo.extend(_children(node))


def _children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes right inside, without contexts and operators: half as many, at a third of ast's own price."""
    if node.__class__ in _LEAVES:
        return []
    found: list[ast.AST] = []
    for name in node._fields:
        value = getattr(node, name, None)
        if value.__class__ is list:
            found.extend(one for one in value if isinstance(one, ast.AST))
        elif isinstance(value, ast.AST) and not isinstance(value, _SIGNS):
            found.append(value)
    return found


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    todo = [node]
    while todo:
        yield (current := todo.pop())
        todo.extend(_children(current))


def bound_names(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str], set[str]]:
    """Return the names that a scope with these statements binds, declares ``global``, and declares ``nonlocal``."""
    return _names(_walk_scope(nodes))


def _names(nodes: Iterable[ast.AST]) -> tuple[set[str], set[str], set[str]]:
    bound: set[str] = set()
    global_names: set[str] = set()
    nonlocal_names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name):
            if not isinstance(node.ctx, ast.Load):
                bound.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.Global):
            global_names.update(node.names)
        elif isinstance(node, ast.Nonlocal):
            nonlocal_names.update(node.names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update((alias.asname or alias.name.partition(".")[0]) for alias in node.names if alias.name != "*")
        elif (isinstance(node, ast.ExceptHandler) and node.name) or (
            isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name
        ):
            bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            bound.add(node.rest)
    return bound - global_names - nonlocal_names, global_names, nonlocal_names


def parameters(arguments: ast.arguments) -> list[str]:
    """Return the names of all parameters, in the order in which a call fills them; ``*`` and ``**`` last."""
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = [argument.arg for argument in plain]
    names.extend(argument.arg for argument in (arguments.vararg, arguments.kwarg) if argument is not None)
    return names


def local_names(node: FunctionNode | ast.GeneratorExp) -> tuple[frozenset[str], bool]:
    """Return the names that belong to a function, parameters among them; and whether a call gives a generator."""
    if isinstance(node, ast.GeneratorExp):
        return frozenset(name for generator in node.generators for name in stored_names(generator.target)), True
    nodes = list(_walk_scope([node.body] if isinstance(node, ast.Lambda) else node.body))
    bound, _, _ = _names(nodes)
    generator = any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in nodes)
    return frozenset(bound.union(parameters(node.args))), generator


def stored_names(target: ast.AST) -> list[str]:
    """Return the plain names that an assignment's target binds, left to right."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Tuple, ast.List)):
        return [name for element in target.elts for name in stored_names(element)]
    if isinstance(target, ast.Starred):
        return stored_names(target.value)
    return []


def import_uses(tree: ast.AST, origin: str, line_offset: int = 0) -> list[ImportUse]:
    """Return what one statement imports, in functions and branches too, in the order of the text.

    ``origin`` is the cell; the line is added to it. Guarded imports are optional. ``importlib.import_module`` and
    ``__import__`` with a literal count.
    """
    found: list[ImportUse] = []

    def visit(node: ast.AST, optional: bool) -> None:
        where = f"{origin}, line {getattr(node, 'lineno', 1) + line_offset}"
        if isinstance(node, ast.Import):
            found.extend(ImportUse(alias.name, (), where, optional) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            found.append(ImportUse(source, tuple(alias.name for alias in node.names), where, optional))
        elif isinstance(node, (ast.Try, ast.TryStar)):
            guarded = any(_catches_import_error(handler) for handler in node.handlers)
            for inner in node.body:
                visit(inner, optional or guarded)
            for handler in node.handlers:
                for inner in handler.body:
                    visit(inner, optional or guarded)
            for inner in (*node.orelse, *node.finalbody):
                visit(inner, optional)
        elif isinstance(node, ast.With) and any(_suppresses(item.context_expr) for item in node.items):
            for inner in node.body:
                visit(inner, True)
        elif isinstance(node, ast.Match):
            visit(node.subject, optional)
            for case in node.cases:
                for inner in case.body:
                    visit(inner, True)
        elif isinstance(node, (ast.BoolOp, ast.IfExp)):
            first, *others = node.values if isinstance(node, ast.BoolOp) else (node.test, node.body, node.orelse)
            visit(first, optional)
            for other in others:
                visit(other, True)
        elif isinstance(node, ast.If):
            # Whether a branch runs is known only when it runs: on Colab, on Windows, where the module is.
            for inner in (*node.body, *node.orelse):
                visit(inner, True)
            visit(node.test, optional)
        else:
            if isinstance(node, ast.Call) and (module := _imported_by_name(node)):
                found.append(ImportUse(module, (), where, optional))
            for child in ast.iter_child_nodes(node):
                visit(child, optional)

    visit(tree, False)
    return found


def _catches_import_error(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
    return bool(names & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def _suppresses(manager: ast.expr) -> bool:
    """Tell whether a ``with`` goes on after an import that fails: ``contextlib.suppress(ImportError)``."""
    if not isinstance(manager, ast.Call):
        return False
    name = manager.func.attr if isinstance(manager.func, ast.Attribute) else getattr(manager.func, "id", "")
    kinds = ast.ExceptHandler(ast.Tuple(manager.args), None, [])
    return name == "suppress" and _catches_import_error(kinds)


def _imported_by_name(node: ast.Call) -> str | None:
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name in ("import_module", "__import__", "importorskip") and node.args:
        first = node.args[0]
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and not first.value.startswith("."):
            return first.value
    return None


def called_name(node: ast.Call) -> str:
    """Return the last part of the name of what is called, ``read`` of ``a.b.read()``; empty where it has none."""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def constant_text(node: ast.expr) -> str | None:
    """Return the text that stands there; None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
