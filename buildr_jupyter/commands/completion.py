"""Completion scripts for shells, made from the parser of the command line."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["SHELLS", "render_completion"]

SHELLS = ("bash", "zsh", "fish")


@dataclass(frozen=True, slots=True)
class _Option:
    flags: tuple[str, ...]
    help: str
    choices: tuple[str, ...]
    takes: bool
    """Whether a value follows it."""


@dataclass(frozen=True, slots=True)
class _Command:
    name: str
    help: str
    options: tuple[_Option, ...]
    words: tuple[str, ...]
    """What its first argument may be, where that is one of a few."""


def render_completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script by which ``shell`` (bash, zsh or fish) completes the commands of ``parser``, and its options.

    What is neither a command nor an option, nor one of a few words, is completed as a path.
    """
    commands = list(_commands(parser))
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](parser.prog, commands)


def _commands(parser: argparse.ArgumentParser) -> Iterator[_Command]:
    groups = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    says = {action.dest: action.help or "" for action in groups._choices_actions}
    for name, command in groups.choices.items():
        options: list[_Option] = []
        words: list[str] = []
        for action in command._actions:
            choices = tuple(map(str, action.choices or ()))
            text = "" if action.help in (None, argparse.SUPPRESS) else str(action.help).replace("%%", "%")
            if action.option_strings:
                options.append(_Option(tuple(action.option_strings), text, choices, action.nargs != 0))
            elif not words:
                words += choices
        yield _Command(name, says.get(name, ""), tuple(options), tuple(words))


def _bash(prog: str, commands: list[_Command]) -> str:
    cases = []
    for command in commands:
        flags = " ".join(flag for option in command.options for flag in option.flags)
        after = [
            f"{'|'.join(o.flags)}) words={shlex.quote(' '.join(o.choices))} ;;" for o in command.options if o.choices
        ]
        after += [f"{'|'.join(o.flags)}) words= ;;" for o in command.options if o.takes and not o.choices]
        inner = "\n".join(f"            {line}" for line in after)
        words = " ".join((flags, *command.words))
        cases.append(
            f"    {command.name})\n        words={shlex.quote(words)}\n        case $before in\n{inner}\n"
            "            *) ;;\n        esac ;;"
        )
    names = " ".join(["--help", "--version", *(command.name for command in commands)])
    body = "\n".join(cases)
    return f"""\
_{prog}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words={shlex.quote(names)}
    if [ "$COMP_CWORD" -gt 1 ]; then case ${{COMP_WORDS[1]}} in
{body}
    *) words= ;;
    esac; fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o bashdefault -o default -F _{prog} {prog}
"""


def _zsh(prog: str, commands: list[_Command]) -> str:
    def spec(option: _Option) -> Iterator[str]:
        for flag in option.flags:
            value = (
                f":value:({' '.join(option.choices)})" if option.choices else ":value:_files" if option.takes else ""
            )
            yield shlex.quote(f"*{flag}[{_for_zsh(option.help)}]{value}")

    names = "\n".join(f"    {shlex.quote(f'{one.name}:{_for_zsh(one.help)}')}" for one in commands)
    cases = []
    for command in commands:
        specs = [text for option in command.options for text in spec(option)]
        rest = shlex.quote(f"*:word:({' '.join(command.words)})" if command.words else "*:file:_files")
        cases.append(f"    {command.name}) _arguments {' '.join([*specs, rest])} ;;")
    body = "\n".join(cases)
    return f"""\
#compdef {prog}
_{prog}() {{
    local -a commands=(
{names}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    (( CURRENT-- ))
    case $command in
{body}
    *) _files ;;
    esac
}}
compdef _{prog} {prog}
"""


def _for_zsh(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "[]:\\" else letter for letter in text)


def _fish(prog: str, commands: list[_Command]) -> str:
    lines = []
    for command in commands:
        lines.append(f"complete -c {prog} -n __fish_use_subcommand -f -a {command.name} -d {_for_fish(command.help)}")
        when = f"-n '__fish_seen_subcommand_from {command.name}'"
        if command.words:
            lines.append(f"complete -c {prog} {when} -f -a {_for_fish(' '.join(command.words))}")
        for option in command.options:
            flags = " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)
            value = f" -x -a {_for_fish(' '.join(option.choices))}" if option.choices else " -r" if option.takes else ""
            lines.append(f"complete -c {prog} {when} {flags}{value} -d {_for_fish(option.help)}")
    return "".join(f"{line}\n" for line in lines)


def _for_fish(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
