from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.context.dockerfile_parse import parse_dockerfile, parse_instruction


def images(text: str, **arguments: str) -> tuple[str, ...]:
    return parse_dockerfile(text).images(arguments)


def test_instructions_have_keyword_flags_value_and_line() -> None:
    found = parse_dockerfile(
        "# syntax=docker/dockerfile:1\n\n# a comment\nfrom --platform=linux/amd64 python:3 as Base\n"
        'RUN --mount=type=cache,target=/c --mount=type=bind,from=x \\\n  # inside\n\n  make \\\n  all\nENTRYPOINT ["a"]\n'
    )
    assert found.syntax == "docker/dockerfile:1"
    assert [(one.keyword, one.value, one.line) for one in found.instructions] == [
        ("FROM", "python:3 as Base", 4),
        ("RUN", "make   all", 5),
        ("ENTRYPOINT", '["a"]', 10),
    ]
    assert found.instructions[1].flags == (("mount", "type=cache,target=/c"), ("mount", "type=bind,from=x"))
    assert [(stage.base, stage.name) for stage in found.stages] == [("python:3", "base")]


def test_here_documents_hide_what_is_in_them() -> None:
    text = 'FROM a\nRUN <<EOF cat <<-"B C" && true\nFROM no\nEOF\nFROM no\n\tB C\nCOPY <<A <<-B /x/\nFROM no\nA\n\tFROM no\n\tB\nFROM b\n'
    found = parse_dockerfile(text)
    assert found.has_heredoc
    assert [stage.base for stage in found.stages] == ["a", "b"]
    assert [one.heredocs for one in found.instructions] == [(), ("EOF", "B C"), ("A", "B"), ()]


@pytest.mark.parametrize(
    "text",
    ['FROM a\nRUN ["sh", "<<EOF"]\n', "FROM a\nRUN echo $((1<<2))\n", "FROM a\nENV X=<<EOF\n", "FROM a\nRUN a<<b\n"],
)
def test_what_only_looks_like_a_here_document_is_none(text: str) -> None:
    assert not parse_dockerfile(text).has_heredoc


def test_the_escape_directive_changes_the_continuation() -> None:
    found = parse_dockerfile("# escape=`\nFROM a\nRUN dir c:\\\nRUN one `\n  two\n")
    assert [one.value for one in found.instructions] == ["a", "dir c:\\", "one   two"]


def test_directives_are_above_everything_else() -> None:
    assert parse_dockerfile("# comment\n# syntax=x\nFROM a\n").syntax is None
    assert parse_dockerfile("# Syntax = x\n# check=skip=all\nFROM a\n").syntax == "x"


def test_the_images_that_a_build_would_pull_are_named_in_order() -> None:
    text = (
        '# syntax=front:1\nARG V=3.12\nARG IMG="py:${V}" OTHER=o\nFROM ${IMG} AS one\nFROM one\nFROM scratch\n'
        "FROM $OTHER\nFROM ${GIVEN:-fall}:1\nFROM ${V:+plus}\nFROM $NOWHERE\nCOPY --from=one a b\nCOPY --from=0 a b\n"
        "COPY --from=tool:1 a b\nRUN --mount=type=bind,from=mnt:1,target=/x true\nCOPY --from=$X a b\nFROM ${IMG}\n"
    )
    assert images(text) == ("front:1", "py:3.12", "o", "fall:1", "plus", "tool:1", "mnt:1")
    assert images(text, V="3.13", GIVEN="g")[1:5] == ("py:3.13", "o", "g:1", "plus")


def test_a_name_that_cannot_be_known_is_left_out() -> None:
    for text in ("FROM $X", "FROM ${X}", "FROM a:${X%-slim}", "ARG X\nFROM $X", "FROM", "FROM a-$TARGETARCH"):
        assert images(text) == ()
    assert images("ARG X\nFROM $X", X="x") == ("x",)
    assert images("FROM a\nARG X=b\nFROM $X") == ("a",), "an ARG inside of a stage is no FROM's"


def test_a_single_line_is_an_instruction() -> None:
    found = parse_instruction("FROM docker.io/library/python:3.11-slim@sha256:ab AS x")
    assert found is not None
    assert (found.keyword, found.value.split()[0]) == ("FROM", "docker.io/library/python:3.11-slim@sha256:ab")
    assert parse_instruction("  ") is None


WORDS = st.text("abcxyz019.-_/=:", min_size=1, max_size=8).filter(lambda word: not word.startswith("--"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["FROM", "run", "COPY", "Env", "CMD"]),
            st.lists(st.tuples(st.sampled_from(["from", "mount", "chown"]), WORDS), max_size=2),
            st.lists(WORDS, min_size=1, max_size=4),
            st.sampled_from([" ", "  ", " \\\n  ", "\t\\\n# note\n\n "]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_written_is_read_again(parts: list[tuple[str, list[tuple[str, str]], list[str], str]]) -> None:
    text = "".join(
        separator.join([keyword, *(f"--{name}={value}" for name, value in flags), *words]) + "\n# between\n"
        for keyword, flags, words, separator in parts
    )
    found = parse_dockerfile(text).instructions
    assert [(one.keyword, list(one.flags), one.value.split()) for one in found] == [
        (keyword.upper(), flags, words) for keyword, flags, words, _ in parts
    ]


@given(st.text())
def test_every_text_has_parts(text: str) -> None:
    found = parse_dockerfile(text)
    assert all(one.keyword == one.keyword.upper() for one in found.instructions)
    assert len(set(found.images({}))) == len(found.images({}))


def test_defaults_that_double_stay_small() -> None:
    lines = "\n".join(f"ARG A{number + 1}=$A{number}$A{number}" for number in range(60))
    text = f"ARG A0=xy\n{lines}\nFROM $A2\nFROM $A60\n"
    assert parse_dockerfile(text).images({}) == ("xyxyxyxy",)
