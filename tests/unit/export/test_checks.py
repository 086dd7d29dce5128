from __future__ import annotations

import pytest

from buildr_jupyter.errors import DialectError, OptionError, UnboundName
from buildr_jupyter.export.checks import check_names, display_blocks, shell_use
from buildr_jupyter.export.exporter import make_program
from buildr_jupyter.export.given import Given
from buildr_jupyter.export.input_choice import InputChoice
from buildr_jupyter.export.parameters import DISPLAYS_PATH
from buildr_jupyter.export.value_capture import Values
from buildr_jupyter.model.plan import ImportUse

from .parts import given_of, sliced_of


def check(given: Given) -> list[str]:
    """Check the names of an export and return what is warned of."""
    reading, sliced = sliced_of(given)
    check_names(given, reading, sliced, Values(given, reading), InputChoice(given, reading, sliced))
    return [warning.text for warning in given.warnings]


def test_a_name_that_the_cell_surely_reads_must_be_given() -> None:
    with pytest.raises(UnboundName, match=r"nb.ipynb, cell 1, line 2: nothing supplies the name 'gone'"):
        check(given_of("x = 1", "print(x)\nprint(gone)"))
    assert check(given_of("x = 1", "print(x, gone)", params=(("gone", "1"),))) == []


def test_a_name_that_may_be_read_is_warned_of() -> None:
    said = check(given_of("def f():\n    return gone", "f()"))
    assert said == ["nb.ipynb, cell 1, line 1: nothing supplies the name 'gone'"]


def test_what_only_a_kernel_has_is_refused_with_a_way_out() -> None:
    with pytest.raises(DialectError, match="'In' is there only in a running kernel") as caught:
        check(given_of("print(In[1])"))
    assert caught.value.hint


def test_what_is_returned_must_be_given_by_the_program() -> None:
    with pytest.raises(OptionError, match="--return b: nothing in the program gives b a value"):
        check(given_of("a = 1", returns=("b",)))
    with pytest.raises(OptionError) as caught:
        check(given_of("slope = 1", returns=("slpoe",)))
    assert str(caught.value.hint).startswith("write slope if you meant that; ")


def test_a_name_that_nothing_supplies_is_told_the_nearest() -> None:
    with pytest.raises(UnboundName) as caught:
        check(given_of("prices = [1]", "print(prcies)"))
    assert str(caught.value.hint).startswith("write prices if you meant that; run the cell that does")


def test_a_cell_that_may_read_any_name_takes_all_with_it_and_that_is_said() -> None:
    assert check(given_of("x = 1", "eval(input_text)", params=(("input_text", "'x'"),))) == [
        "nb.ipynb, cell 1, line 1: may read any name, so every earlier statement is carried"
    ]


def test_display_is_defined_where_the_kernels_own_is_read() -> None:
    def titles(*cells: str) -> list[str]:
        blocks, files = display_blocks(*sliced_of(given_of(*cells)), [], None)
        assert not files, "Python's own objects have no other form"
        return [title for title, _, _ in blocks]

    assert titles("x = 1", "display(x)") == ["display"]
    assert titles("display = print", "display(1)") == []
    assert titles("print(1)") == []


def test_objects_that_look_like_something_in_a_notebook_are_framed() -> None:
    pandas = [ImportUse("pandas", "cell 1, line 1")]
    for cells, imports, framed in (
        (["frame = made()", "frame"], pandas, True), (["frame = made()", "frame;"], pandas, True),
        (["class A:\n    def _repr_html_(self): return 'x'", "A()"], [], True), (["1"], [], False),
        (["%%capture\nmade()"], pandas, False), (["display(1)"], pandas, True),
        (["print(made());"], pandas, True), (["print(made());"], [ImportUse("numpy", "cell 1, line 1")], False),
    ):  # fmt: skip
        blocks, files = display_blocks(*sliced_of(given_of(*cells)), imports, None)
        assert (bool(blocks), [file.path for file in files]) == (framed, [DISPLAYS_PATH] if framed else []), cells


def test_a_line_of_ipythons_own_brings_its_shell_once() -> None:
    given = given_of("a = 1", "%matplotlib_own a\n%other_own a")
    use, blocks = shell_use(given, *sliced_of(given), ())
    assert use is not None
    assert (use.module, use.origin) == ("IPython", "nb.ipynb, cell 1, line 1")
    assert [title for title, _, _ in blocks] == ["IPython"]
    assert len(given.warnings) == 1
    plain = given_of("print(1)")
    assert shell_use(plain, *sliced_of(plain), ()) == (None, [])


def test_input_has_nobody_to_ask_in_the_chosen_cell() -> None:
    given = given_of("n = input()\nprint(n)")
    reading, sliced = sliced_of(given)
    with pytest.raises(DialectError, match=r"cell 0, line 1: input\(\) has nobody to ask in an image"):
        shell_use(given, reading, sliced, ())
    assert shell_use(given, reading, sliced, sliced.kept[:1]) == (None, [])
    own = given_of("def input():\n    return 1", "input()")
    assert shell_use(own, *sliced_of(own), ()) == (None, [])


def test_what_a_callback_reads_may_be_given_after_it() -> None:
    first = "import signal\nold = signal.signal(signal.SIGUSR1, lambda *_: hits.append(1))"
    assert check(given_of(f"{first}\nhits = []", "signal.raise_signal(signal.SIGUSR1)\nprint(hits)")) == []
    (said,) = check(given_of(first, "signal.raise_signal(signal.SIGUSR1)"))
    assert "nothing supplies the name 'hits'" in said


def test_in_a_kernel_what_a_callback_reads_is_not_asked_of_it() -> None:
    first = "import signal\nold = signal.signal(signal.SIGUSR1, lambda *_: hits.append(1))\nhits = []"
    program = make_program(given_of(first, "signal.raise_signal(signal.SIGUSR1)\nprint(hits)", namespace={"hits": []}))
    assert program.warnings == ()
    assert [(one.name, one.kind) for one in program.names if one.name == "hits"] == [("hits", "code")]
