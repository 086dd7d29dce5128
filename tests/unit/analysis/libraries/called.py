"""Methods called on real objects, which are compared before and after: how a table's entry is tried."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import pickle
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["check_methods", "look_of"]

ENOUGH = 2
"""How many calls that end well are made of each quiet method of each object."""


def look_of(one: Any, depth: int = 0) -> object:
    """Return what can be seen of an object and of what it holds: its values, not what it keeps to be faster."""
    if isinstance(one, pd.DataFrame):
        labels = [repr([*one.index]), repr([*one.columns]), repr(one.index.names), repr(one.columns.names)]
        return [
            "frame",
            *labels,
            repr([[*row] for row in one.itertuples(name=None)]),
            [str(dtype) for dtype in one.dtypes],
        ]
    if isinstance(one, (pd.Series, pd.Index)):
        return [type(one).__name__, repr([*one]), str(one.dtype), repr(one.name), look_of(getattr(one, "index", None))]
    if isinstance(one, np.ndarray) and one.dtype != object:
        mask = np.ma.getmaskarray(one).tobytes() if isinstance(one, np.ma.MaskedArray) else b""
        return ["array", one.tobytes(), one.shape, str(one.dtype), one.flags.writeable, mask]
    if hasattr(one, "tocoo"):
        return ["matrix", one.shape, one.toarray().tolist()]
    if isinstance(one, (list, tuple, dict)):
        items = one.items() if isinstance(one, dict) else one
        return [type(one).__name__, *(look_of(inner, depth + 1) for inner in items)]
    if type(one).__module__.partition(".")[0] in ("pandas", "scipy", "sklearn") and hasattr(one, "__dict__"):
        held = {name: value for name, value in vars(one).items() if not name.startswith("_cache")}
        return [type(one).__name__, look_of(held, depth + 1) if depth < 6 else ""]
    try:
        return pickle.dumps(one)
    except Exception:  # noqa: BLE001 - by what a library raises that cannot be pickled
        return repr(one)


def _tries(make: Callable[[], Any], calls: Iterable[Callable[[Any], Any]], enough: int) -> list[bool]:
    """Call a method of an object; return for the first calls that end well whether they changed it."""
    changed: list[bool] = []
    owner = make()
    before = look_of(owner)
    for call in calls:
        if len(changed) == enough:
            break
        try:
            with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = call(owner)
                if hasattr(made, "__next__"):
                    list(made)
        except Exception:  # noqa: BLE001 - by whatever says that it takes other arguments
            continue
        changed.append((after := look_of(owner)) != before)
        before = after
    return changed


def _calls(name: str, arguments: Sequence[tuple[Any, ...]]) -> list[Callable[[Any], Any]]:
    """Return calls with each of these, but for what writes: it would take a text for a path, a number for an open file."""
    given = ((),) if name.startswith("to_") else arguments
    return [partial(_call, name, one) for one in given]


def _call(name: str, given: tuple[Any, ...], owner: Any) -> Any:
    return getattr(owner, name)(*copy.deepcopy(given))


def check_methods(
    quiet: Iterable[str],
    changing: Iterable[str],
    samples: Sequence[Callable[[], Any]],
    arguments: Sequence[tuple[Any, ...]],
    special: Mapping[str, Callable[[Any], Any]],
) -> None:
    """Check that each quiet method was called and changed none of the samples, and that each changing one does.

    ``special`` calls those methods that take other arguments. No call writes a file into the working folder.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        wrong = _find_wrong(quiet, changing, samples, arguments, special)
        assert os.listdir(folder) == []
    assert wrong == {}, "\n".join(f"{name} {what}" for name, what in wrong.items())


def _find_wrong(
    quiet: Iterable[str],
    changing: Iterable[str],
    samples: Sequence[Callable[[], Any]],
    arguments: Sequence[tuple[Any, ...]],
    special: Mapping[str, Callable[[Any], Any]],
) -> dict[str, str]:
    """Return the methods of which the table is wrong, with what they do."""
    owners = [(make, make()) for make in samples]
    wrong: dict[str, str] = {}
    for expected, names in ((False, sorted(quiet)), (True, sorted(changing))):
        for name in names:
            tried = [
                one
                for make, owner in owners
                if callable(getattr(owner, name, None))
                for one in _tries(
                    make,
                    [special[name]] if name in special else _calls(name, arguments),
                    len(arguments) if expected else ENOUGH,
                )
            ]
            if not tried:
                wrong[name] = "was never called"
            elif any(tried) != expected:
                wrong[name] = "changes its object" if any(tried) else "changes nothing"
    return wrong
