"""Displays in the image: without the variable the text byte for byte, with it frames around the same text."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.lib.pretty import pretty

from buildr_jupyter.in_image import displays
from buildr_jupyter.runner.frames import Frames

PROGRAM = """
import os, runpy, sys
stdout = os.dup(1)
display = runpy.run_path({path!r})["install"](stdout)
class Table:
    def __repr__(self): return "a table"
    def _repr_html_(self): return "<table></table>"
print("before")
display(Table(), 3)
sys.displayhook(Table())
sys.displayhook(None)
sys.stdout.flush()
os.dup2(2, 1)
display(Table())
"""
TEXT = "before\na table\n3\na table\n"


@pytest.mark.parametrize("wanted", [False, True])
def test_frames_stand_only_where_they_are_asked_for(wanted: bool) -> None:
    environment = {**os.environ, displays.VARIABLE: "1" if wanted else ""}
    code = PROGRAM.format(path=displays.__file__)
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert ended.stderr == "a table\n"  # what is not the chosen cell's own has no frame
    if not wanted:
        assert ended.stdout == TEXT
        return
    frames = Frames()
    found = [*frames.feed(ended.stdout), *frames.finish()]
    assert "".join(one.text for one in found) == TEXT
    shown = [(one.text, json.loads(one.shown)) for one in found if one.shown]
    assert shown == [("a table\n", {"text/html": "<table></table>"})] * 2


def test_a_long_frame_has_short_lines() -> None:
    code = (
        f"import os, runpy, sys\nrunpy.run_path({displays.__file__!r})['install'](os.dup(1))\n"
        "class Wide:\n    def __repr__(self): return 'wide'\n    def _repr_html_(self): return 'x' * 50000\n"
        "sys.displayhook(Wide())"
    )
    environment = {**os.environ, displays.VARIABLE: "1"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert max(map(len, ended.stdout.splitlines())) < 16384
    frames = Frames()
    found = [*frames.feed(ended.stdout), *frames.finish()]
    assert [(one.text, json.loads(one.shown)) for one in found] == [("wide\n", {"text/html": "x" * 50000})]


class Rich:
    def _repr_mimebundle_(self) -> object:
        return {"text/plain": "x", "image/png": b"png", "application/x": object(), "text/markdown": "**b**"}, {}

    def _repr_html_(self) -> object:
        raise ValueError("no")

    def _repr_latex_(self) -> object:
        return None


def test_a_bundle_is_what_a_kernel_would_show(capsys: pytest.CaptureFixture[str]) -> None:
    png = base64.b64encode(b"png").decode()
    assert displays.bundle(Rich()) == {"image/png": png, "text/markdown": "**b**"}
    assert capsys.readouterr().err == "buildr: _repr_html_ of Rich failed: no\n"
    assert displays.bundle(3) == displays.bundle("x") == displays.bundle(Rich) == {}


def test_a_display_that_is_too_large_is_its_text(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(displays.VARIABLE, "1")
    monkeypatch.setattr(displays, "_LIMIT", 10)
    monkeypatch.setattr(sys, "displayhook", sys.displayhook)
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    display = displays.install(1)
    display(Rich())
    sys.stdout.flush()
    out, err = capfd.readouterr()
    assert "Rich object" in out
    assert displays.BEGIN not in out
    assert "a display of 0 MB is shown as its text" in err


@pytest.mark.parametrize("shell", [False, True])
def test_frames_are_cut_to_no_terminal_but_written_as_in_a_kernel(shell: bool) -> None:
    """A kernel shows up to 20 columns, on several lines; in a terminal pandas leaves out those that do not fit."""
    pytest.importorskip("pandas")
    code = (
        f"import os, runpy, sys; runpy.run_path({displays.__file__!r})['install'](1);"
        f"runpy.run_path({displays.__file__!r})['install'](1)\n"
        f"if {shell}: __builtins__.get_ipython = lambda: 'a shell'\n"
        "import pandas\n"
        "frame = pandas.DataFrame({f'a long name of a column {n}': [n] for n in range(20)})\n"
        "print(frame, pandas.get_option('display.max_columns'), [one for one in sys.meta_path if hasattr(one, 'buildr')])\n"
        "print(get_ipython() if hasattr(__builtins__, 'get_ipython') else 'none')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *text, shown = ended.stdout.splitlines()
    assert all(f"a long name of a column {number}" in ended.stdout for number in range(20))
    assert "..." not in ended.stdout
    assert text[-1].endswith(" 20 []")
    assert shown == ("a shell" if shell else "none")


def test_a_categorical_is_written_as_in_a_kernel() -> None:
    """In a terminal pandas cuts the line of the categories to its width, whenever it writes one."""
    pytest.importorskip("pandas")
    code = (
        f"import runpy; runpy.run_path({displays.__file__!r})['install'](1)\n"
        "import pandas, sys; values = [f'a long name of a category {n}' for n in range(5)]\n"
        "print(repr(pandas.Categorical(values)), [one for one in sys.meta_path if hasattr(one, 'buildr')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *_, line = ended.stdout.splitlines()
    assert line.startswith("Categories (5, ")
    assert line.endswith(f"{', '.join(repr(f'a long name of a category {n}') for n in range(5))}] []")


class Written:
    """An object that is written by a printer, with groups and breaks, and with what it holds."""

    def __init__(self, held: object, name: str) -> None:
        self.held, self.name = held, name

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        if cycle:
            printer.text(f"{self.name}(...)")
            return
        with printer.group(len(self.name) + 1, f"{self.name}(", ")"):
            printer.text("held=")
            printer.pretty(self.held)
            printer.text(",")
            printer.breakable()
            printer.text(repr(self.name))
            if len(self.name) > 3:
                with printer.indent(2):
                    printer.break_()
                    printer.text("last")


HELD = st.recursive(
    st.one_of(st.integers(), st.none(), st.text("ab\n ", max_size=30), st.floats(allow_nan=False)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.tuples(inner),
        st.tuples(inner, inner),
        st.dictionaries(st.text("abc", max_size=9), inner, max_size=5),
        st.sets(st.integers(), max_size=30),
        st.frozensets(st.text("abc", max_size=5), max_size=4),
        st.builds(Written, inner, st.text("ab", min_size=1, max_size=6)),
    ),
    max_leaves=20,
)


@given(HELD, st.text("xyz", min_size=1, max_size=20))
@settings(max_examples=300, deadline=None)
def test_what_an_object_writes_itself_is_broken_into_lines_as_in_a_kernel(held: object, name: str) -> None:
    value = Written(held, name)
    assert displays.text_of(value) == pretty(value)


def test_an_object_that_holds_itself_is_written() -> None:
    value = Written(None, "a")
    value.held = [value, [1] * 1001]
    assert displays.text_of(value) == pretty(value)


def test_the_value_of_a_cell_is_written_by_its_own_method() -> None:
    code = (
        f"import os, runpy, sys; runpy.run_path({displays.__file__!r})['install'](1)\n"
        "class Own:\n    def __repr__(self): return 'plain'\n"
        "    def _repr_pretty_(self, p, cycle): p.text('own') if not hasattr(self, 'bad') else 1 / 0\n"
        "sys.displayhook(Own()); sys.displayhook(Own); sys.displayhook(None); sys.displayhook(3)\n"
        "one = Own(); one.bad = True; sys.displayhook(one)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["own", "<class '__main__.Own'>", "3", "plain"]
    assert "_repr_pretty_ of Own failed: division by zero" in ended.stderr


def test_the_encoding_of_standard_output_is_named_as_in_a_kernel() -> None:
    """Pandas has that name as the default of an option, which its description shows."""
    code = f"import runpy, sys; runpy.run_path({displays.__file__!r})['install'](1)\nprint(sys.stdout.encoding, 'ä')"
    for asked, named in (("utf-8", "UTF-8"), ("iso8859-1", "iso8859-1")):
        environment = {**os.environ, "PYTHONIOENCODING": asked}
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
        assert ended.stdout.decode(asked).split() == [named, "ä"]


def test_ipython_s_display_shows_each_object_by_itself_and_as_a_kernel_writes_it() -> None:
    code = (
        f"import os, runpy, sys\nrunpy.run_path({displays.__file__!r})['install'](os.dup(1), True)\n"
        "from IPython.display import display\ndisplay('text', {'a': 1})"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "'text'\n{'a': 1}\n"


def test_what_a_container_holds_finds_the_printer_of_a_kernel() -> None:
    code = """
import os, runpy, sys
runpy.run_path({path!r})["install"](os.dup(1))
class Design:
    def _repr_pretty_(self, p, cycle):
        p.text("a design")
    def __repr__(self):
        if "IPython" not in sys.modules:
            return "plain"
        from IPython.lib.pretty import pretty
        return pretty(self)
sys.displayhook({{"d": Design()}})
sys.displayhook([1, (Design(),)])
print(Design(), [name for name in sys.modules if name.startswith("IPython")])
"""
    command = [sys.executable, "-c", code.format(path=displays.__file__)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "{'d': a design}\n[1, (a design,)]\nplain []\n"
