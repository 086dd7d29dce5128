"""What is suggested for a mistyped word: the nearest known one, and none where none is near."""

from __future__ import annotations

import difflib

import pytest

from buildr_jupyter import builder, cli
from buildr_jupyter.config.options import GROUPS, OPTIONS, make_line_parser
from buildr_jupyter.config.suggestions import nearest, nearest_hint
from buildr_jupyter.errors import OptionError, UnknownSpec


def test_the_nearest_word_is_named_and_the_rest_stays() -> None:
    assert nearest_hint("bulid", ["build", "images"], "see them all") == "write build if you meant that; see them all"
    assert nearest_hint("xyz", ["build", "images"], "see them all") == "see them all"
    assert nearest_hint("", [], "see them all") == "see them all"
    assert nearest_hint("--list", ["--set", "--run"], "see them all") == "see them all", "dashes are alike"
    assert nearest_hint("--lst", ["--set", "--list"], "see them all").startswith("write --list if")


def test_the_nearest_is_that_of_difflib_and_capitals_count_for_nothing() -> None:
    known = [option.name for option in OPTIONS]
    for word in [*(name[1:] for name in known), *(name[::-1] for name in known), "", "zzz"]:
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.66)
        assert nearest(word, known) == (near[0] if near else None), word
    assert nearest("BUILDR_base", ["BUILDR_BASE", "BUILDR_JOBS"], shared="BUILDR_") == "BUILDR_BASE"
    assert nearest("BUILDR_STORE", ["BUILDR_BASE"], shared="BUILDR_") is None


@pytest.mark.parametrize("option", [option.name for option in OPTIONS if len(option.name) > 4])
def test_each_option_with_a_letter_too_few_is_found(option: str) -> None:
    with pytest.raises(OptionError) as caught:
        make_line_parser().parse_args([f"--{option[:-1]}"])
    assert caught.value.hint is not None
    others = [other.name for other in OPTIONS if other.name == option[:-1]]
    assert others or f"write --{option} if you meant that" in caught.value.hint


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["buld", "nb.ipynb"], "build"),
        (["build", "nb.ipynb", "--buildr", "docker"], "--builder"),
        (["build", "nb.ipynb", "--ui", "txt"], "text"),
        (["cache", "prun"], "prune"),
    ],
)
def test_commands_options_and_choices(words: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert f"write {meant} if you meant that" in capsys.readouterr().err


def test_a_builder() -> None:
    with pytest.raises(UnknownSpec) as caught:
        builder.select("dokcer")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("write docker if you meant that; ")


def test_a_builder_of_three_letters() -> None:
    with pytest.raises(UnknownSpec) as caught:
        builder.select("ocy")
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("write oci if you meant that; ")


def test_each_option_stands_under_one_heading() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(option.name for option in OPTIONS)
    shown = make_line_parser().format_help()
    assert all(f"\n{heading}:\n" in shown for heading in GROUPS)
    assert "\nexamples:\n" in shown


def test_the_bare_command_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "positional arguments" in capsys.readouterr().out
