"""What two values differ in, type for type: for a value that a program gave back, and the one that a kernel has."""

from __future__ import annotations

import copyreg
import math
import struct
import types
from collections.abc import Iterator
from typing import Any

_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)


def difference(one: Any, other: Any) -> str:
    """Return where two values first differ, and in what; empty where they are the same."""
    return next(_differences(one, other, "", {}), "")


def _differences(one: Any, other: Any, where: str, met: dict[tuple[int, int], Any]) -> Iterator[str]:
    if one is other or (id(one), id(other)) in met:
        return
    if type(one) is not type(other):
        yield f"{where or 'it'}: {type(one)} and {type(other)}"
        return
    met[id(one), id(other)] = one, other  # which keeps both, so that no id is given to another
    if isinstance(one, _NAMED):
        yield f"{where or 'it'}: {one} and another {other}"
    elif isinstance(one, float):
        if struct.pack("d", one) != struct.pack("d", other) and not (math.isnan(one) and math.isnan(other)):
            yield f"{where or 'it'}: {one!r} and {other!r}"
    elif type(one) is int:
        if one != other:
            yield f"{where or 'it'}: {hex(one):.80} and {hex(other):.80}"  # a text of digits has a limit
    elif type(one) in (bool, str, bytes, bytearray, type(None), complex, range, slice):
        if repr(one) != repr(other):
            yield f"{where or 'it'}: {one!r:.80} and {other!r:.80}"
    elif type(one) in (set, frozenset):
        yield from _differences(sorted(one, key=_order), sorted(other, key=_order), where, met)
    elif (module := type(one).__module__.partition(".")[0]) == "numpy":
        yield from _of_numpy(one, other, where, met)
    elif module == "pandas":
        yield from _of_pandas(one, other, where, met)
    else:
        yield from _of_parts(one, other, where, met)


def _order(one: Any) -> tuple[str, str]:
    return type(one).__qualname__, repr(one)


def _of_parts(one: Any, other: Any, where: str, met: dict[tuple[int, int], Any]) -> Iterator[str]:
    """Compare what containers hold, and what pickle would keep of any other object."""
    if isinstance(one, (list, tuple)):
        if len(one) != len(other):
            yield f"{where or 'it'}: {len(one)} and {len(other)} elements"
        for place, pair in enumerate(zip(one, other, strict=False)):
            yield from _differences(*pair, f"{where}[{place}]", met)
    elif isinstance(one, dict):
        yield from _differences(list(one), list(other), f"{where}.keys", met)
        for place, pair in enumerate(zip(list(one.values()), list(other.values()), strict=False)):
            yield from _differences(*pair, f"{where}[{list(one)[place]!r:.20}]", met)
    if type(one) not in (list, tuple, dict):
        yield from _differences(_kept(one), _kept(other), f"{where}<{type(one).__qualname__}>", met)


def _kept(one: Any) -> Any:
    """Return what pickle keeps of an object, as plain containers."""
    registered = copyreg.dispatch_table.get(type(one))
    made = registered(one) if registered is not None else one.__reduce_ex__(5)
    if isinstance(made, str):
        return made
    return [list(part) if place in (3, 4) and part is not None else part for place, part in enumerate(made[:5])]


def _of_numpy(one: Any, other: Any, where: str, met: dict[tuple[int, int], Any]) -> Iterator[str]:
    import numpy as np

    if not isinstance(one, (np.ndarray, np.generic)):
        yield from _of_parts(one, other, where, met)
        return
    about = [(value.dtype, value.shape, str(value.dtype.metadata)) for value in (one, other)]
    if about[0] != about[1]:
        yield f"{where or 'it'}: {about[0]} and {about[1]}"
    elif one.dtype.hasobject:
        yield from _differences(one.tolist(), other.tolist(), where, met)
    elif one.tobytes() != other.tobytes():
        yield f"{where or 'it'}: {one!r:.80} and {other!r:.80}"
    if type(one) is not np.ndarray and isinstance(one, np.ndarray):
        yield from _differences(vars(one) if hasattr(one, "__dict__") else {}, vars(other), where, met)


def _of_pandas(one: Any, other: Any, where: str, met: dict[tuple[int, int], Any]) -> Iterator[str]:
    import pandas as pd

    if isinstance(one, pd.DataFrame):
        yield from _differences(one.index, other.index, f"{where}.index", met)
        yield from _differences(one.columns, other.columns, f"{where}.columns", met)
        for place in range(len(one.columns)):
            yield from _values(one.iloc[:, place], other.iloc[:, place], f"{where}.iloc[:, {place}]", met)
    elif isinstance(one, pd.MultiIndex):
        yield from _differences(list(one.names), list(other.names), f"{where}.names", met)
        for place in range(one.nlevels):
            yield from _differences(one.levels[place], other.levels[place], f"{where}.levels[{place}]", met)
            yield from _differences(one.codes[place], other.codes[place], f"{where}.codes[{place}]", met)
    elif isinstance(one, (pd.Series, pd.Index)):
        yield from _values(one, other, where, met)
    else:
        yield from _of_parts(one, other, where, met)
        return
    for name in ("attrs", "freq"):
        if hasattr(type(one), name):
            yield from _differences(getattr(one, name), getattr(other, name), f"{where}.{name}", met)


def _values(one: Any, other: Any, where: str, met: dict[tuple[int, int], Any]) -> Iterator[str]:
    yield from _differences(one.name, other.name, f"{where}.name", met)
    if one.dtype != other.dtype:
        yield f"{where or 'it'}: {one.dtype} and {other.dtype}"
    elif hasattr(one, "index"):
        yield from _differences(one.index, other.index, f"{where}.index", met)
    yield from _differences(one.tolist(), other.tolist(), where, met)
