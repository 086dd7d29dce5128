"""Compiles Python files in a process of its own, the same bytes each time: ``python _compile_worker.py TARGET``.

The jobs come on standard input: [[source, name in the image], …]. Their pycs are written to TARGET one after another,
their sizes to standard output, null for what does not compile. A pyc is of the kind "unchecked hash" (PEP 552), which
an interpreter takes without looking at the source. ``marshal`` marks an object as one to refer back to if anybody holds
it, which depends on what else the process has seen; so everything reachable is held while it writes.
A set of constants is one object or two by whether its strings were interned before, and each import interns some: with
another list of imports here, three of ten thousand files get other bytes, so that ``bytecode.key`` must change too.
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
    sizes: list[int | None] = []
    with Path(sys.argv[1]).open("wb") as out:
        for source, name in json.load(sys.stdin):
            text = Path(source).read_bytes()
            try:
                code = compile(text, name, "exec", dont_inherit=True, optimize=0)
            except (SyntaxError, ValueError, RecursionError):
                sizes.append(None)
                continue
            held: list[object] = []
            hold(code, held)
            head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(text)
            sizes.append(out.write(head + marshal.dumps(code)))
    json.dump(sizes, sys.stdout)


if __name__ == "__main__":
    main()
