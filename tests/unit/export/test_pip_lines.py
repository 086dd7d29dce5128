from __future__ import annotations

import re
import subprocess
import sys

import pytest

from buildr_jupyter.export import pip_lines
from buildr_jupyter.export.pip_lines import PipLine, read_magic, read_shell


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("pip install simplejson", "simplejson"),
        ("pip3.11 install -q simplejson", "simplejson"),
        ("pip -q install simplejson", "simplejson"),
        ("pip --proxy http://h install simplejson", "simplejson"),
        ("pip install -q simplejson --progress-bar off", "simplejson"),
        ("pip install --target=x a -t y b", "a b"),
        ("{sys.executable} -m pip install --quiet simplejson", "simplejson"),
        ("{ sys.executable } -m pip install a", "a"),
        ("$sys.executable -m pip install a", "a"),
        ("python3 -m pip install a", "a"),
        ("/usr/bin/python -m pip install a", "a"),
        ("sudo -H pip install a", "a"),
        ("PIP_NO_INPUT=1 pip install a", "a"),
        ("uv pip install a --index-strategy unsafe-best-match b", "a b"),
        ("uv pip install -p 3.11 a", "a"),
        ("pip install simplejson &> /dev/null", "simplejson"),
        ("pip install simplejson >/dev/null 2>&1", "simplejson"),
        ("pip install simplejson 2> err.txt", "simplejson"),
        ("pip install 'a>=1,<2' \"b[c]==2\"", "a>=1,<2 b[c]==2"),
        ("pip install a # comment", "a"),
        ("pip install a && pip install b", "a b"),
        ("pip install -U pip a; pip install b", "pip a b"),
        ("pip install -- a", "a"),
        ("pip install 'a ; python_version<\"4\"'", 'a ; python_version<"4"'),
    ],
)
def test_requirements_by_name_are_read(command: str, names: str) -> None:
    found = read_shell(command)
    assert found is not None
    assert " ".join(found.requirements) == names
    assert found.passed_over == ()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("pip install -r needs.txt", ("-r needs.txt",)),
        ("pip install -q --requirement needs.txt", ("--requirement needs.txt",)),
        ("pip install -e ./tool", ("-e ./tool",)),
        ("pip install ./tool", ("./tool",)),
        ("pip install {pkg}", ("{pkg}",)),
        ("pip install $pkg", ("$pkg",)),
        ("pip install git+https://h.example/x", ("git+https://h.example/x",)),
        ("pip install x.whl", ("x.whl",)),
        ("conda install -y simplejson=3.19", ("simplejson=3.19",)),
        ("mamba install numpy", ("numpy",)),
    ],
)
def test_what_is_named_in_another_way_is_passed_over(command: str, words: tuple[str, ...]) -> None:
    assert read_shell(command) == PipLine((), words)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("pip install a --extra-index-url https://u:secret@h.example/simple", ("--extra-index-url",)),
        ("pip install -f=https://h.example a --no-index", ("-f", "--no-index")),
        ("pip install -c limits.txt --pre a", ("-c", "--pre")),
        ("uv pip install --default-index https://h.example a", ("--default-index",)),
    ],
)
def test_options_that_choose_packages_are_told_without_their_values(command: str, options: tuple[str, ...]) -> None:
    assert read_shell(command) == PipLine(("a",), options)


@pytest.mark.parametrize(
    "command",
    [
        "ls",
        "pip list",
        "pip uninstall a",
        "apt-get install -y x && pip install y",
        "echo pip install x",
        "pip",
        "",
        "uv sync",
    ],
)
def test_other_commands_are_none(command: str) -> None:
    assert read_shell(command) is None


def test_a_magic_is_read_like_the_command() -> None:
    assert read_magic("pip", "install -q a") == PipLine(("a",))
    assert read_magic("uv", "pip install a") == PipLine(("a",))
    assert read_magic("pip", "list") is None


def test_the_options_of_pip_that_take_a_value_are_pips_own() -> None:
    pytest.importorskip("pip")
    script = (
        "from pip._internal.commands import create_command as c\n"
        "p = c('install').parser\n"
        "for o in p.option_list_all: print(*o._short_opts, *o._long_opts, int(o.takes_value()))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for line in told.splitlines():
        *names, count = line.split()
        for name in names:
            assert (name in pip_lines._WITH_VALUE["pip"]) == (count == "1"), name


def test_the_options_of_uv_that_take_a_value_are_uvs_own() -> None:
    from uv import find_uv_bin

    told = subprocess.run(
        [find_uv_bin(), "pip", "install", "--help"], capture_output=True, text=True, check=True
    ).stdout
    rows = re.findall(r"^\s+(?:(-\w), )?(--[\w-]+)( <)?", told, re.MULTILINE)
    assert len(rows) > 50
    for short, long, value in rows:
        for name in filter(None, (short, long)):
            assert (name in pip_lines._WITH_VALUE["uv"]) == bool(value), name
