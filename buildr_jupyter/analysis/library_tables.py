"""What is known of libraries: who changes what, put together from their tables in ``libraries``.

A name that is in no table is taken to change what it is given, where that cannot be ruled out.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from buildr_jupyter.analysis.libraries import matplotlib, numpy, others, pandas, python, scipy, sklearn, statsmodels
from buildr_jupyter.analysis.libraries.names import Methods
from buildr_jupyter.analysis.libraries.packages import LIBRARIES_OF_VALUES, LIBRARIES_WITHOUT_STATE, QUIET_MODULES

__all__ = [
    "ATOMIC_BUILTINS",
    "CALLED_KEYWORDS",
    "CALLING_FUNCTIONS",
    "CHANGES_BY_TYPE",
    "CONSUMING_BUILTINS",
    "CONTAINERS",
    "DRAWING",
    "FILE_HANDLES",
    "FILE_READERS",
    "FILE_WRITERS",
    "FILE_WRITER_METHODS",
    "FRESH_METHODS",
    "HARMLESS_CALLS",
    "IMPORTS_THAT_CHANGE",
    "ITERATOR_FUNCTIONS",
    "ITERATOR_METHODS",
    "LEFT_BY_QUESTIONS",
    "LIBRARIES_OF_VALUES",
    "LIBRARIES_WITHOUT_STATE",
    "METHODS",
    "METHOD_NAMES",
    "MUTATING_FUNCTIONS",
    "MUTATING_METHODS_OF_ARGUMENTS",
    "OUT_POSITIONS",
    "QUESTIONS",
    "QUIET_MODULES",
    "RNG_CONSTRUCTORS",
    "SHALLOW_METHODS",
    "STORING_METHODS",
    "VIEW_FUNCTIONS",
    "is_fresh",
    "is_quiet",
]

ATOMIC_BUILTINS, CONSUMING_BUILTINS = python.ATOMIC_BUILTINS, python.CONSUMING_BUILTINS
CONTAINERS, SHALLOW_METHODS, STORING_METHODS = python.CONTAINERS, python.SHALLOW_METHODS, python.STORING_METHODS
MUTATING_METHODS_OF_ARGUMENTS, CALLED_KEYWORDS = python.MUTATING_METHODS_OF_ARGUMENTS, python.CALLED_KEYWORDS
HARMLESS_CALLS = python.HARMLESS_CALLS
VIEW_FUNCTIONS, OUT_POSITIONS, CHANGES_BY_TYPE = numpy.VIEW_FUNCTIONS, numpy.OUT_POSITIONS, numpy.CHANGES_BY_TYPE
DRAWING = matplotlib.DRAWING
LEFT_BY_QUESTIONS = statsmodels.LEFT_BY_QUESTIONS
QUESTIONS = {"statsmodels": statsmodels.QUESTIONS}
"""Package to the methods that only ask its objects."""

ITERATOR_FUNCTIONS = python.ITERATOR_FUNCTIONS | numpy.ITERATOR_FUNCTIONS
ITERATOR_METHODS = python.ITERATOR_METHODS | pandas.ITERATOR_METHODS
MUTATING_FUNCTIONS = python.MUTATING_FUNCTIONS | numpy.MUTATING_FUNCTIONS | matplotlib.MUTATING_FUNCTIONS
RNG_CONSTRUCTORS = python.RNG_CONSTRUCTORS | numpy.RNG_CONSTRUCTORS
CALLING_FUNCTIONS = python.CALLING_FUNCTIONS | numpy.CALLING_FUNCTIONS | pandas.CALLING_FUNCTIONS

FILE_READERS = {
    **python.FILE_READERS, **numpy.FILE_READERS, **pandas.FILE_READERS, **matplotlib.FILE_READERS,
    **scipy.FILE_READERS, **others.FILE_READERS,
}  # fmt: skip
"""Dotted function to the position of the path that it reads (``open`` by its mode)."""
FILE_WRITERS = {
    **python.FILE_WRITERS, **numpy.FILE_WRITERS, **pandas.FILE_WRITERS, **matplotlib.FILE_WRITERS,
    **scipy.FILE_WRITERS, **others.FILE_WRITERS,
}  # fmt: skip
"""Dotted function to the position of the path that it writes."""
FILE_HANDLES = python.FILE_HANDLES | pandas.FILE_HANDLES
"""Functions whose result writes to the file that they are given."""
FILE_WRITER_METHODS = python.FILE_WRITER_METHODS.union(
    *(library.FILE_WRITER_METHODS for library in (numpy, pandas, matplotlib, others))
)
"""Names of methods that write the file that they are given, or that their object stands for."""
IMPORTS_THAT_CHANGE = {
    **sklearn.IMPORTS_THAT_CHANGE, **matplotlib.IMPORTS_THAT_CHANGE, **others.IMPORTS_THAT_CHANGE,
}  # fmt: skip
"""Modules that change another package by being imported: prefix of the module to that package."""

METHODS: dict[str, Methods] = {
    **python.METHODS,
    "numpy": numpy.METHODS,
    "pandas": pandas.METHODS,
    "scipy": scipy.METHODS,
    "sklearn": sklearn.METHODS,
}
"""Library to what is known of the methods of its objects; Python's own types are those of ``builtins``."""
METHOD_NAMES = SHALLOW_METHODS.union(*(one.quiet | one.changing for one in METHODS.values()))
"""Names that are methods of a library's object, whichever it is."""
FRESH_METHODS = frozenset[str]().union(*(one.fresh for one in METHODS.values()))
"""Names of methods whose result shares nothing with the object, of whichever library it is."""

_LIBRARY_OF = {
    **dict.fromkeys(("list", "dict", "set", "tuple", "frozenset", "str", "bytes"), "builtins"),
    **dict.fromkeys(("DataFrame", "Series"), "pandas"),
    "ndarray": "numpy",
}
"""Type of an abstract value to the library that has it."""


@functools.cache
def _first_said(library: str) -> dict[str, tuple[bool, bool]]:
    """Return each name with whether it is quiet, and whether it is fresh, for what may be any of a library's objects.

    What the library's own objects are known to do counts; else all that it gives must agree.
    """
    own = METHODS[library]
    said: dict[str, tuple[bool, bool]] = {}
    for given in own.gives:
        for name, (quiet, fresh) in _first_said(given).items():
            before = said.get(name, (True, True))
            said[name] = (before[0] and quiet, before[1] and fresh)
    said.update((name, (True, name in own.fresh)) for name in own.quiet)
    said.update((name, (False, False)) for name in own.changing)
    return said


def _said(name: str, typ: str | None, libraries: Iterable[object]) -> list[tuple[bool, bool]]:
    known = (_LIBRARY_OF[typ],) if typ in _LIBRARY_OF else tuple(libraries) or ("builtins",)
    return [said for one in known if one in METHODS and (said := _first_said(str(one)).get(name)) is not None]


def is_quiet(name: str, typ: str | None, libraries: Iterable[object]) -> bool:
    """Tell whether a method leaves its object alone: one of a type that is known, or of one of these libraries.

    Without either it is one of Python's own types.
    """
    said = _said(name, typ, libraries)
    return bool(said) and all(quiet for quiet, _ in said)


def is_fresh(name: str, typ: str | None, libraries: Iterable[object]) -> bool:
    """Tell whether what a method gives shares nothing with its object."""
    said = _said(name, typ, libraries)
    return bool(said) and all(fresh for _, fresh in said)
