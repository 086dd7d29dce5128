"""Names in texts: what a query, a formula, an SQL statement or an annotation says of the notebook's names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from buildr_jupyter.analysis import library_tables as known
from buildr_jupyter.analysis.abstract_values import AbstractValue, ClassInfo, FunctionInfo, Obj
from buildr_jupyter.analysis.state import FlowState

__all__ = [
    "BINDERS",
    "GAP",
    "LOADERS",
    "LOOKS_AT_MAIN",
    "NAMESPACES",
    "RUNNERS",
    "TEXT_BLIND",
    "annotation_names",
    "join_texts",
    "name_pattern",
    "read_all",
    "read_examples",
    "read_forward",
    "read_named",
    "read_query",
]

GAP = "\0"
"""Stands in a text for a part that is not known."""
NAMESPACES = frozenset(("globals", "locals", "vars"))
"""Builtins that give the notebook's names when they are called at top level."""
RUNNERS = frozenset((
    "cProfile.run", "profile.run", "pdb.run", "pdb.runeval", "timeit.timeit", "timeit.repeat", "timeit.Timer",
    "cProfile.runctx", "profile.runctx",
))  # fmt: skip
"""Functions that run the text they are given in ``__main__``."""
LOOKS_AT_MAIN = frozenset((
    "unittest.main", "doctest.testmod", "doctest.run_docstring_examples", "pytest.main", "ipytest.run",
    "inspect.getmembers", "unittest.TestProgram",
))  # fmt: skip
"""Functions that look at the functions and classes of ``__main__``."""
BINDERS = frozenset(("sympy.var",))
"""Functions that give names of ``__main__`` values, as a text lists them."""
LOADERS = frozenset((
    "pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load", "dill.load", "dill.loads", "cloudpickle.load",
    "cloudpickle.loads", "shelve.open", "pandas.read_pickle", "torch.load",
))  # fmt: skip
"""Functions that look for classes by the names that a file holds."""
TEXT_BLIND = (known.LIBRARIES_OF_VALUES | known.QUIET_MODULES) - {"statsmodels", "timeit", "doctest"}
"""Packages that look up no name of their caller in a text that they are given."""
_MAX_CHARS = 20_000
_NAME = re.compile(r"[^\W\d]\w*")
_CALLED = re.compile(r"([^\W\d]\w*)\s*(?:\.\s*\w+\s*)*\(")
_EXAMPLE = re.compile(r"\s*(>>>|\.\.\.)")
_AT_NAME = re.compile(r"@\s*([^\W\d]\w*)")


def join_texts(parts: Iterable[AbstractValue]) -> AbstractValue:
    """Return the text that parts make together, as far as they are known."""
    texts = [GAP if (text := part.const if part.const is not None else part.text) is None else text for part in parts]
    text = "".join(texts)
    if len(text) > _MAX_CHARS:
        return AbstractValue(typ="str")
    return AbstractValue(const=None if GAP in text else text, typ="str", text=text if text.strip(GAP) else None)


def name_pattern(value: AbstractValue) -> re.Pattern[str]:
    """Return the pattern of the names that a text may be."""
    text = value.const if value.const is not None else value.text
    return re.compile(".*" if text is None else ".*".join(map(re.escape, text.split(GAP))))


def annotation_names(annotations: Iterable[ast.expr | None], *, all_are_texts: bool) -> Iterator[str]:
    """Yield the names in annotations that are texts, or have texts in them."""
    for annotation in annotations:
        for node in ast.walk(annotation) if annotation is not None else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from _NAME.findall(node.value[:_MAX_CHARS])
            elif all_are_texts and isinstance(node, ast.Name):
                yield node.id


def _read(state: FlowState, names: Iterable[str]) -> None:
    """Note that names are read where the notebook has them by now."""
    for name in names:
        value = state.env.get(name)
        for info in state.building:
            info.rests_on.setdefault(name, value)
        if value is None:
            continue
        if name not in state.bound:
            state.facts.reads.add(name)
        state.unread_imports.pop(name, None)


def read_named(state: FlowState, values: Iterable[AbstractValue]) -> None:
    """Note the names that texts mention: a formula, an SQL statement over frames."""
    for value in values:
        if text := value.const or value.text:
            _read(state, sorted(set(_NAME.findall(text[:_MAX_CHARS]))))
            _call(state, sorted(set(_CALLED.findall(text[:_MAX_CHARS]))))


def _call(state: FlowState, names: Iterable[str]) -> None:
    """Note that functions of the notebook may be called by a text, as those in a formula are."""
    state.weak += 1
    state.unsure += 1
    for name in names:
        for obj in state.env[name].objs if name in state.env else ():
            if obj.kind in ("func", "class", "inst"):
                state.methods_called(obj)
    state.weak -= 1
    state.unsure -= 1


def read_forward(state: FlowState, objs: Iterable[Obj]) -> None:
    """Note the names in text annotations of functions and classes that may be resolved later."""
    for obj in objs:
        info = obj.info.info if isinstance(obj.info, Obj) else obj.info
        if names := getattr(info, "forward", None):
            _read(state, sorted(names))


def read_examples(state: FlowState, objs: Iterable[Obj]) -> None:
    """Note the names that the examples of docstrings work with, as doctest runs them, and what these call."""
    infos = [obj.info for obj in objs]
    nodes = [info.node for info in infos if isinstance(info, (FunctionInfo, ClassInfo)) and info.node is not None]
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                text = ast.get_docstring(inner, clean=False) or ""
                lines = [line for line in text.splitlines() if _EXAMPLE.match(line)]
                read_named(state, [AbstractValue(const="\n".join(lines))])


def read_query(state: FlowState, value: AbstractValue) -> None:
    """Note the ``@names`` of a frame's query; all of them where its text is not known."""
    text = value.const if value.const is not None else value.text
    if text is None or text == GAP:
        state.facts.everything = state.facts.everything or 1
    else:
        _read(state, sorted(set(_AT_NAME.findall(text))))


def read_all(state: FlowState, kinds: Iterable[str]) -> list[Obj]:
    """Note a look at all names that stand for objects of these kinds; return the objects."""
    wanted = frozenset(kinds)
    found: list[Obj] = []
    for name, value in list(state.env.items()):
        if name.startswith(("@", "*")) or not any(obj.kind in wanted for obj in value.objs):
            continue
        _read(state, (name,))
        found.extend(obj for obj in value.objs if obj.kind in wanted)
    return found
