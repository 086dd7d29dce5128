"""Compiles Python files in a process of its own, the same bytes each time: ``python _compile.py < jobs.json``.

The jobs are [[source, name in the image, target], …]. A pyc is of the kind "unchecked hash" (PEP 552), which an
interpreter takes without looking at the source. ``marshal`` marks an object as one to refer back to if anybody holds
it, which depends on what else the process has seen; so everything reachable is held while it writes.
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import sys
import types
import warnings
from collections.abc import Iterable
from pathlib import Path


def hold(code: types.CodeType, held: list[object]) -> None:
    """Collect all that the code object can be asked for, inner code objects included."""
    for name in (
        "co_code", "co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_filename", "co_name",
        "co_qualname", "co_linetable", "co_exceptiontable",
    ):  # fmt: skip
        value = getattr(code, name, None)
        held.append(value)
        if name == "co_consts":
            hold_constants(code.co_consts, held)
        elif isinstance(value, tuple):
            held.extend(value)


def hold_constants(values: Iterable[object], held: list[object]) -> None:
    """Collect constants, those in tuples and sets too."""
    for value in values:
        held.append(value)
        if isinstance(value, types.CodeType):
            hold(value, held)
        elif isinstance(value, (tuple, frozenset)):
            hold_constants(value, held)


def main() -> None:
    """Do the jobs of standard input; a file that does not compile gets no pyc."""
    warnings.simplefilter("ignore")
    for source, name, target in json.load(sys.stdin):
        text = Path(source).read_bytes()
        try:
            code = compile(text, name, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError):
            continue
        held: list[object] = []
        hold(code, held)
        head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(text)
        Path(target).write_bytes(head + marshal.dumps(code))


if __name__ == "__main__":
    main()
