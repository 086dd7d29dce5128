"""Names in texts: what is known of a text, and which names it says."""

from __future__ import annotations

import ast
import importlib.util
import pydoc

import pytest

from buildr_jupyter.analysis import names_in_text
from buildr_jupyter.analysis.abstract_values import AbstractValue
from buildr_jupyter.analysis.names_in_text import GAP, annotation_names, join_texts, name_pattern
from tests.unit.analysis.test_slicer import kept, sliced


def test_parts_that_are_known_make_a_text() -> None:
    assert join_texts([AbstractValue(const="df_"), AbstractValue(const="a")]).const == "df_a"
    joined = join_texts([AbstractValue(const="df_"), AbstractValue()])
    assert (joined.const, joined.text) == (None, f"df_{GAP}")


def test_a_text_that_doubles_from_line_to_line_is_let_go() -> None:
    value = AbstractValue(const="ab" * 1000)
    for _ in range(20):
        value = join_texts([value, value])
    assert (value.const, value.text) == (None, None)


def test_the_names_that_a_text_may_be() -> None:
    pattern = name_pattern(join_texts([AbstractValue(const="df_"), AbstractValue()]))
    assert [bool(pattern.fullmatch(name)) for name in ("df_a", "df_", "other")] == [True, True, False]


def test_annotations_that_are_texts_name_what_they_hold() -> None:
    written = [ast.parse(text, mode="eval").body for text in ("'Item'", "list['Line']", "int")]
    assert list(annotation_names(written, all_are_texts=False)) == ["Item", "Line"]
    assert sorted(annotation_names(written, all_are_texts=True)) == ["Item", "Line", "int", "list"]


@pytest.mark.parametrize(
    "path", sorted(names_in_text.RUNNERS | names_in_text.LOOKS_AT_MAIN | names_in_text.LOADERS | names_in_text.BINDERS)
)
def test_each_function_of_the_tables_is_there(path: str) -> None:
    """A misspelled entry would stand for nothing; of packages that are not installed nothing is known here."""
    if importlib.util.find_spec(path.partition(".")[0]) is None:
        assert path.partition(".")[0] in {"dill", "cloudpickle", "joblib", "torch", "ipytest", "sympy"}
        return
    assert callable(pydoc.locate(path))


@pytest.mark.parametrize(
    "made",
    [
        'def f(x):\n    """\n    >>> f(base)\n    1\n    """',
        'class A:\n    def f(x):\n        """\n        >>> base.m()\n        1\n        """',
        'class A:\n    """\n    >>> if 1:\n    ...     base\n    """',
    ],
)
def test_the_examples_of_docstrings_read_what_they_name(made: str) -> None:
    assert "base = 1" in kept(made, "base = 1", "import doctest\ndoctest.testmod()")
    assert "base = 1" not in kept(made, "base = 1", "print(1)")


def test_what_is_timed_reads_what_its_setup_gives() -> None:
    for call in ("timeit.repeat('f(d)', 'd = g()')", "timeit.timeit('f(d)', setup='d = g()')"):
        cells = "import timeit\ndef f(x): pass\ndef g(): pass", call
        assert kept(*cells) == ["import timeit", "def f(x):\n    pass", "def g():\n    pass", call]
        assert "d" not in sliced(*cells).unresolved


@pytest.mark.parametrize("text", ["'x y'", "'x, y'", "'x:3'", "['x', 'y']"])
def test_names_that_a_text_lists_get_values(text: str) -> None:
    found = sliced(f"import sympy as sp\nsp.var({text})", "print(x)")
    assert [ast.unparse(one.node) for one in found.kept] == ["import sympy as sp", f"sp.var({text})", "print(x)"]
    assert ("x" in found.unresolved) == (text in ("'x:3'", "['x', 'y']"))  # then a star may have given it
