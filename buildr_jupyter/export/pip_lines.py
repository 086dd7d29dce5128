"""Pip lines: the requirements that ``%pip install …`` and ``!pip install …`` name, read as a shell and pip read them.

Only a positional word that is a requirement by name counts. Options, their values, redirections, paths, addresses and
variables are passed over, and told: the image gets the packages that its program imports, from the kernel.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from buildr_jupyter.config.requirement_text import is_plain_requirement

__all__ = ["PipLine", "read_magic", "read_shell"]

_SEPARATORS = frozenset(("&&", "||", ";", "|", "&"))
_PIP = re.compile(r"(?:.*/)?pip(?:\d(?:\.\d+)?)?")
_PYTHON = re.compile(r"(?:.*/)?python(?:\d(?:\.\d+)?)?|\{\s*sys\.executable\s*\}|\$\{?sys\.executable\}?")
_CONDA = re.compile(r"(?:.*/)?(?:conda|mamba|micromamba)")
_BEFORE = re.compile(r"sudo|-[A-Za-z]+|[A-Za-z_]\w*=.*|command|exec|nohup|time")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_WITH_VALUE = {
    "pip": _words(
        "-r --requirement -c --constraint --build-constraint -e --editable -t --target --prefix --root --platform "
        "--python-version --implementation --abi --src --source --source-dir --source-directory --upgrade-strategy "
        "--report --group --no-binary --only-binary --progress-bar --root-user-action -i --index-url --pypi-url "
        "--extra-index-url -f --find-links --use-feature --use-deprecated --config-settings --config-setting -C "
        "--global-option --python --log --log-file --local-log --keyring-provider --proxy --retries --timeout "
        "--default-timeout --exists-action --trusted-host --cert --client-cert --cache-dir --uploaded-prior-to "
        "--requirements-from-script --install-option --build-option --only-final --all-releases"
    ),
    "uv": _words(
        "-r --requirements --requirement -e --editable -c --constraints --constraint --overrides --override "
        "--build-constraints --build-constraint --excludes --exclude --extra --group -t --target --prefix -p --python "
        "-b --build --no-binary --only-binary --python-version --python-platform --torch-backend --index "
        "--default-index -i --index-url --extra-index-url -f --find-links -P --upgrade-package --upgrade-group "
        "--index-strategy --keyring-provider --resolution --prerelease --fork-strategy --exclude-newer "
        "--exclude-newer-package -C --config-setting --config-settings --config-settings-package "
        "--no-build-isolation-package --no-sources-package --reinstall-package --refresh-package --link-mode "
        "--no-build-package --no-binary-package --cache-dir --color --allow-insecure-host --directory --project "
        "--config-file --cert --no-editable-package --output-format --prerelease-package"
    ),
}
"""Options that take the next word as their value; a test compares it with what pip and uv say themselves."""
_CHOOSING = _words(
    "-i --index-url --pypi-url --extra-index-url --index --default-index -f --find-links --no-index "
    "-c --constraint --constraints --override --overrides --pre --prerelease"
)
"""Options that say where packages come from, or which versions; their values, which may hold a login, are not kept."""


@dataclass(frozen=True, slots=True)
class PipLine:
    """What one line that installs packages says."""

    requirements: tuple[str, ...] = ()
    """PEP 508 requirements by name, in the order of the line."""
    passed_over: tuple[str, ...] = ()
    """Words that name packages in another way: ``-r needs.txt``, ``-e .``, ``git+https://…``, ``{name}``; and options
    that choose among what there is, without their values: ``--extra-index-url``."""


def read_magic(name: str, rest: str) -> PipLine | None:
    """Return what ``%NAME REST`` installs; None where it installs nothing (``%pip list``)."""
    return read_shell(f"{name} {rest}")


def read_shell(command: str) -> PipLine | None:
    """Return what a shell command installs; None where it does something else, or more than that."""
    requirements: list[str] = []
    passed_over: list[str] = []
    for words in _simple_commands(command):
        found = _installer(words)
        if found is None:
            return None
        tool, arguments = found
        for word, plain in _named(tool, arguments):
            (requirements if plain else passed_over).append(word)
    return PipLine(tuple(requirements), tuple(passed_over))


def _simple_commands(command: str) -> list[list[str]]:
    """Return the words of each command in a shell line, without redirections and comments."""
    text = re.sub(r"\{[^{}]*\}", lambda braces: braces[0].replace(" ", ""), command)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    try:
        tokens = list(lexer)
    except ValueError:
        tokens = text.split()
    commands: list[list[str]] = [[]]
    skip = False
    for token in tokens:
        if skip:
            skip = False
        elif token in _SEPARATORS:
            commands.append([])
        elif token.startswith(("<", ">", "&>")):
            if commands[-1] and commands[-1][-1].isdigit():
                commands[-1].pop()  # the descriptor in front of a redirection
            skip = True
        else:
            commands[-1].append(token)
    return [words for words in commands if words] or [[]]


def _installer(words: list[str]) -> tuple[str, list[str]] | None:
    """Return the tool (pip, uv or conda) and what follows ``install``."""
    while len(words) > 1 and _BEFORE.fullmatch(words[0]):
        words = words[1:]
    tool = "pip"
    if len(words) > 2 and _PYTHON.fullmatch(words[0]) and words[1] == "-m":
        words = words[2:]
    if words and words[0].rpartition("/")[2] == "uv":
        tool, words = "uv", words[1:]
    elif words and _CONDA.fullmatch(words[0]):
        tool = "conda"
    if not words or (tool != "conda" and not _PIP.fullmatch(words[0])):
        return None
    rest, options = words[1:], _WITH_VALUE.get(tool, frozenset())
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in options else rest[1:]
    return (tool, rest[1:]) if rest[:1] == ["install"] else None


def _named(tool: str, arguments: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield what the arguments name, and whether it is a requirement by name."""
    if tool == "conda":  # its names are not those of the package index
        yield from ((word, False) for word in arguments if not word.startswith("-"))
        return
    words = iter(arguments)
    options_end = False
    for word in words:
        if not options_end and word == "--":
            options_end = True
        elif not options_end and word.startswith("-"):
            name, equals, value = word.partition("=")
            if name in _WITH_VALUE[tool] and not equals:
                value = next(words, "")
            if name in ("-r", "--requirement", "--requirements", "-e", "--editable"):
                yield f"{name} {value}", False
            elif name in _CHOOSING:
                yield name, False
        else:
            yield word, is_plain_requirement(word)
