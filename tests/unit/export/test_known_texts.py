"""What texts of a program may be, held against Python itself; and what is not known is not guessed."""

from __future__ import annotations

import ast
import string
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildr_jupyter.export.known_texts import evaluate


def texts_of(code: str) -> list[tuple[str, ...]]:
    """Return what the values of the assignments to ``found`` may be."""
    program = evaluate((node, "cell 0") for node in ast.parse(code).body)
    return [
        values[id(tree.value)]
        for tree, _, values in program
        if isinstance(tree, ast.Assign) and getattr(tree.targets[0], "id", "") == "found"
    ]


NAMES = ("a", "b", "c")
PLAIN = st.text(string.ascii_letters + "._-%{}", max_size=6)


def expressions() -> st.SearchStrategy[str]:
    """Draw expressions that put texts together in the ways that are followed."""
    leaf = st.one_of(PLAIN.map(repr), st.sampled_from(NAMES))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("({0[0]} + {0[1]})".format),
            st.tuples(inner, inner).map("({0[0]} % {0[1]})".format),
            st.tuples(inner, inner).map("({0[0]} % ({0[1]},))".format),
            st.tuples(inner, inner).map("{0[0]}.format({0[1]})".format),
            st.tuples(inner, inner).map("{0[0]}.join([{0[1]}, {0[0]}])".format),
            st.tuples(inner, inner).map("{0[0]}.replace({0[1]}, 'x')".format),
            st.tuples(inner, st.sampled_from(("upper", "lower", "strip", "title"))).map("{0[0]}.{0[1]}()".format),
            inner.map("str({})".format),
            st.sampled_from(NAMES).map("f'<{{{}}}>'".format),
        ),
        max_leaves=6,
    )


@given(st.dictionaries(st.sampled_from(NAMES), PLAIN, min_size=3), expressions())
@settings(max_examples=300, deadline=None)
def test_a_text_that_is_known_is_the_one_that_python_gives(held: dict[str, str], expression: str) -> None:
    code = "\n".join(f"{name} = {text!r}" for name, text in held.items()) + f"\nfound = {expression}"
    scope: dict[str, Any] = {}
    try:
        exec(code, scope)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        texts_of(code)  # raises nothing
        return
    (found,) = texts_of(code)
    numbers = any(text.isdecimal() for text in held.values())
    assert found == (scope["found"],) or (numbers and scope["found"] in found) or not found


@pytest.mark.parametrize(
    "code",
    [
        "found = read()",
        "found = a + 'x'",
        "a = 1\nfound = f'{a}'",
        "a = 'x'\na = read()\nfound = a + 'y'",
        "found = '{0.x}'.format('a')",
        "found = '{0[1]}'.format('a')",
        "found = '%(k)s' % 'a'",
        "found = 'x'.join(names)",
        "def f(p):\n    return p\nfound = p + 'x'",
    ],
)
def test_what_is_not_known_is_not_guessed(code: str) -> None:
    assert texts_of(code)[-1] == ()


@pytest.mark.parametrize(
    "code",
    [
        "a = 'x' * 1\nb = 'xxxxxxxx'\n" + "b = b + b\n" * 60 + "found = b",
        "found = '{:99999999}'.format('a')",
        "found = '%99999999s' % 'a'",
        "a = 'x'\nfound = f'{a:99999999}'",
        "for a in range(10 ** 12):\n    pass\nfound = a",
        "for a in 'abcdefgh':\n    for b in 'abcdefgh':\n        pass\nfound = " + " + ".join(["a", "b"] * 40),
        "found = 'abc'.zfill(" + repr("9" * 9) + ")",
    ],
)
def test_texts_stay_small(code: str) -> None:
    tracemalloc.start()
    try:
        assert all(len(text) < 1024 for found in texts_of(code) for text in found)
        assert tracemalloc.get_traced_memory()[1] < 20 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("code", "known"),
    [
        ("found = tempfile.mkdtemp(prefix='a')", True),
        ("found = tempfile.NamedTemporaryFile('w', suffix='.txt').name", True),
        ("d = TemporaryDirectory()\np = Path(d.name)\nfound = p / 'a.csv'", True),
        ("with tempfile.TemporaryDirectory() as d:\n    pass\nfound = os.path.join(d, 'a.csv')", True),
        ("handle, name = tempfile.mkstemp()\nfound = name", True),
        ("found = image.name", False),
        ("with connect() as d:\n    pass\nfound = d", False),
    ],
)
def test_a_temporary_path_is_none_of_the_folder(code: str, known: bool) -> None:
    ((*texts,),) = texts_of(code)
    assert bool(texts) is known
    assert all(text.startswith("/") for text in texts)
