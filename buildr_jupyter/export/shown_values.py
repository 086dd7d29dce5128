"""Values that cells showed, by the names that IPython gives them: ``_``, ``__``, ``_3``, ``Out[3]`` and ``_oh[3]``.

The last expression of a cell gets the name ``_3`` where a later cell asks for it, and who asks for ``_`` reads the
newest of these that is not None, as IPython's own ``_`` leaves None out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from buildr_jupyter.analysis.scope import bound_names
from buildr_jupyter.export.ipython_syntax import edited
from buildr_jupyter.notebook.parse_cache import parsed

__all__ = ["Shown", "asks_for_shown", "name_values"]

_ASKS = re.compile(r"_(?<![\w.]_)(?:_{0,2}|\d+)(?!\w)")
_LATEST = ("_", "__", "___")
_DICTS = ("Out", "_oh")
"""IPython's names for the dict of all shown values."""
_NUMBERED = re.compile(r"_(\d+)")
_NEVER_NONE = (
    ast.BinOp, ast.Compare, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.SetComp,
    ast.DictComp, ast.GeneratorExp, ast.Lambda,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """One run, as far as it shows a value."""

    source: str
    """Plain Python."""
    count: int
    """The number under which IPython keeps what it showed."""
    ended: bool = True
    """Its last expression was not left out by an error."""


def asks_for_shown(source: str) -> bool:
    """Tell whether a text may have one of the names in it."""
    return any(f"{name}[" in source for name in _DICTS) or _ASKS.search(source) is not None


def name_values(runs: Sequence[Shown], gave: Collection[int] | None = None) -> dict[int, str]:
    """Return the sources of runs that are written otherwise, by their position.

    ``gave`` are the numbers under which the kernel has a value; without a kernel, any last expression may have given
    one. What cannot be told is left as it is: names that the notebook binds itself, numbers of no run.
    """
    edits: dict[int, list[tuple[ast.expr, str]]] = {}
    named: set[int] = set()
    own: set[str] = set()
    shows: list[int] = []  # positions of the runs so far that may have shown a value
    for place, run in enumerate(runs):
        body = parsed(run.source).body
        binds = own | _stores(body)
        for node, wanted in _asked(body, binds):
            if isinstance(wanted, int):
                found = _at(runs, shows, wanted)
            else:
                earlier = _gave_before(gave, None if place == len(runs) - 1 else run.count)
                found = _latest(runs, shows, len(wanted), earlier)
            if found is None:
                continue
            named.update(found)
            edits.setdefault(place, []).append((node, _reading([f"_{runs[one].count}" for one in found], wanted)))
        own |= bound_names(body)[0]
        shown = _last_value(run) if run.ended and (gave is None or run.count in gave) else None
        if shown is not None and not _is_none(shown, own):
            shows.append(place)
    written = {place: edited(runs[place].source, found) for place, found in edits.items()}
    for place in named:  # what asks in a cell that is asked for itself has its name by now
        source = written.get(place, runs[place].source)
        last = parsed(source).body[-1]  # the statement, for an expression is without the parentheses around it
        text = f"_{runs[place].count} = ({ast.get_source_segment(source, last)})"
        written[place] = edited(source, [(last, text)])
    return written


def _stores(body: Sequence[ast.stmt]) -> set[str]:
    return {
        node.id
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
    }


def _asked(body: Sequence[ast.stmt], bound: set[str]) -> Iterator[tuple[ast.expr, str | int]]:
    """Yield the expressions that ask for a shown value, with ``_`` and its kin, or the number that is asked for."""
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in bound:
                if node.id in _LATEST and bound.isdisjoint(_LATEST):
                    yield node, node.id
                elif match := _NUMBERED.fullmatch(node.id):
                    yield node, int(match[1])
            elif (
                isinstance(node, ast.Subscript)
                and isinstance(node.value, ast.Name)
                and node.value.id in _DICTS
                and node.value.id not in bound
                and isinstance(node.slice, ast.Constant)
                and isinstance(node.slice.value, int)
            ):
                yield node, node.slice.value


def _gave_before(gave: Collection[int] | None, count: int | None) -> Collection[int] | None:
    """Return the numbers of the values that were there when the run with this number began."""
    return gave if gave is None or count is None else [one for one in gave if one < count]


def _latest(runs: Sequence[Shown], shows: Sequence[int], depth: int, gave: Collection[int] | None) -> list[int] | None:
    """Return the positions among which the value is that many back, newest first; None where it is in none of them."""
    if gave is not None:
        newest = sorted((count for count in gave), reverse=True)[:depth]
        known = {runs[place].count: place for place in shows}
        return [known[newest[-1]]] if len(newest) == depth and newest[-1] in known else None
    found: list[int] = []
    certain = 0
    for place in reversed(shows):
        found.append(place)
        value = _last_value(runs[place])
        certain += isinstance(value, _NEVER_NONE) or (isinstance(value, ast.Constant) and value.value is not None)
        if certain == depth:
            return found
    return found if len(found) >= depth else None


def _at(runs: Sequence[Shown], shows: Sequence[int], count: int) -> list[int] | None:
    return next(([place] for place in reversed(shows) if runs[place].count == count), None)


def _reading(names: list[str], wanted: str | int) -> str:
    """Return the expression that reads a value: one name, or the first of several that is not None."""
    if len(names) == 1:
        return names[0]
    return f"[one for one in ({', '.join(names)}) if one is not None][{len(str(wanted)) - 1}]"


def _is_none(value: ast.expr, own: set[str]) -> bool:
    """Tell whether an expression gives None for certain, as ``print`` does where it is no name of the notebook's."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return value.func.id == "print" and value.func.id not in own
    return isinstance(value, ast.Constant) and value.value is None


def _last_value(run: Shown) -> ast.expr | None:
    """Return the expression whose value a cell shows; None for a cell that shows none."""
    body = parsed(run.source).body
    if not body or not isinstance(body[-1], ast.Expr):
        return None
    tail = run.source.splitlines()[(body[-1].end_lineno or 1) - 1].encode()[body[-1].end_col_offset or 0 :]
    return None if tail.lstrip().startswith(b";") else body[-1].value
