"""Dockerfile text in its parts: directives, instructions with their flags, stages, and the images that it asks for.

Source: Dockerfile reference, "Parser directives", "Escape", "Here-Documents", "Understand how ARG and FROM interact";
moby/buildkit ``frontend/dockerfile/parser``. Nothing is checked that only a builder can know: an instruction that does
not exist is an instruction.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Dockerfile", "Instruction", "Stage", "base_of_step", "parse_dockerfile", "parse_instruction"]

_DIRECTIVE = re.compile(r"[ \t]*#[ \t]*([a-zA-Z][a-zA-Z0-9]*)[ \t]*=[ \t]*(\S.*?)[ \t]*$")
_COMMENT = re.compile(r"[ \t]*#")
_FLAG = re.compile(r"--([a-z][a-z0-9-]*)(?:=(\S*))?(?:\s+|$)")
_WORD = re.compile(r"(?:[^\s\"']|\"[^\"]*\"|'[^']*')+")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)")
_TAKES_HEREDOCS = ("RUN", "COPY", "ADD")
_VARIABLE = re.compile(r"\\(.)|\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")
_ASSIGNMENT = re.compile(r"(\w+)(?:=(\"(?:[^\"\\]|\\.)*\"|'[^']*'|\S*))?")
_UNKNOWN = "\0"
_MAX_CHARS = 4096
"""No image's name is longer; a default that is, such as one that doubles from line to line, counts as unknown."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its lines joined and its comments taken out."""

    keyword: str
    """In capitals: ``FROM``."""
    value: str
    """What follows keyword and flags; a here-document's text is not in it."""
    flags: tuple[tuple[str, str], ...] = ()
    """(name, value) in order, ``--mount`` maybe more than once; a flag without a value has ``true``."""
    line: int = 1
    """1-based, where it begins."""
    heredocs: tuple[str, ...] = ()
    """The delimiters of its here-documents."""

    def flag(self, name: str) -> str | None:
        """Return the value of the last flag of this name."""
        return next((value for flag, value in reversed(self.flags) if flag == name), None)


@dataclass(frozen=True, slots=True)
class Stage:
    """What one FROM begins."""

    base: str
    """As it is written, variables and all."""
    name: str | None
    """In lower case, as builders compare it."""
    line: int


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed Dockerfile."""

    instructions: tuple[Instruction, ...]
    syntax: str | None = None
    """The image of ``# syntax=``."""

    @property
    def has_heredoc(self) -> bool:
        """Whether an instruction has a here-document."""
        return any(one.heredocs for one in self.instructions)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages in order."""
        found = []
        for one in self.instructions:
            if one.keyword == "FROM":
                words = one.value.split()
                name = words[2].lower() if len(words) > 2 and words[1].upper() == "AS" else None
                found.append(Stage(words[0] if words else "", name, one.line))
        return tuple(found)

    def images(self, arguments: Mapping[str, str]) -> tuple[str, ...]:
        """Return the images that a build would pull, in order, each once: the frontend, bases, sources of copies.

        Names with a variable are read with the build ``arguments`` and the defaults above the first FROM; one that
        stays unknown is left out.
        """
        found: dict[str, None] = {self.syntax: None} if self.syntax else {}
        known = dict(self._defaults(arguments)) | dict(arguments)
        names = {"scratch"}
        for stage in self.stages:
            base = _expand(stage.base, known)
            if base and _UNKNOWN not in base and base.lower() not in names:
                found[base] = None
            names.add(stage.name or "scratch")
        for name in self._copied_from():
            if name.lower() not in names and not name.isdigit() and "$" not in name:
                found[name] = None
        return tuple(found)

    def _defaults(self, arguments: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        known: dict[str, str] = {}
        for one in self.instructions:
            if one.keyword == "FROM":
                return
            if one.keyword != "ARG":
                continue
            for name, value in _ASSIGNMENT.findall(one.value):
                if value:
                    known[name] = _expand(_unquoted(value), known | dict(arguments))
                    yield name, known[name]

    def _copied_from(self) -> Iterator[str]:
        for one in self.instructions:
            if one.keyword in ("COPY", "ADD") and (source := one.flag("from")):
                yield source
            for flag, value in one.flags:
                if flag == "mount":
                    yield from (part[5:] for part in value.split(",") if part.lower().startswith("from="))


def parse_dockerfile(text: str) -> Dockerfile:
    """Return the parts of a Dockerfile; every text is one, if only of instructions that no builder knows."""
    lines = re.split(r"\r\n|\n", text.removeprefix("\ufeff"))
    escape, syntax, start = "\\", None, 0
    for line in lines:
        found = _DIRECTIVE.fullmatch(line)
        if found is None or found[1].lower() not in ("syntax", "escape", "check"):
            break
        if found[1].lower() == "syntax":
            syntax = syntax or found[2].split()[0]
        elif found[1].lower() == "escape" and found[2] in ("\\", "`"):
            escape = found[2]
        start += 1
    return Dockerfile(tuple(_iter_instructions(lines, start, escape)), syntax)


def parse_instruction(text: str) -> Instruction | None:
    """Return the instruction that one line of text is, such as a builder's step title; None for an empty one."""
    return next(_iter_instructions([text], 0, "\\"), None)


def base_of_step(title: str | None) -> str | None:
    """Return the base that a builder's step title names: ``FROM python:3``, or BuildKit's ``load metadata for …``.

    None for another step.
    """
    if metadata := re.match(r"load metadata for (\S+)", title or ""):
        return metadata[1]
    found = parse_instruction(title or "")
    return found.value.split()[0] if found and found.keyword == "FROM" and found.value else None


def _iter_instructions(lines: list[str], start: int, escape: str) -> Iterator[Instruction]:
    at = start
    while at < len(lines):
        if not lines[at].strip() or _COMMENT.match(lines[at]):
            at += 1
            continue
        first = at
        joined, at = _joined(lines, at, escape)
        keyword, _, rest = joined.strip().partition(" ")
        keyword, tab, more = keyword.partition("\t")
        keyword, rest = keyword.upper(), f"{more} {rest}" if tab else rest
        flags, value = _flags(rest.strip())
        heredocs = _heredocs(keyword, value)
        for delimiter, strip in heredocs:
            at = _after_heredoc(lines, at, delimiter, strip=strip)
        yield Instruction(keyword, value, flags, first + 1, tuple(delimiter for delimiter, _ in heredocs))


def _joined(lines: list[str], at: int, escape: str) -> tuple[str, int]:
    """Return one instruction's text, and where the next begins; comments and empty lines inside are left out."""
    continued = re.compile(rf"{re.escape(escape)}[ \t]*$")
    parts: list[str] = []
    while at < len(lines):
        line = lines[at]
        at += 1
        if parts and (not line.strip() or _COMMENT.match(line)):
            continue
        if not continued.search(line):
            parts.append(line)
            break
        parts.append(continued.sub("", line))
    return "".join(parts), at


def _flags(text: str) -> tuple[tuple[tuple[str, str], ...], str]:
    found = []
    while match := _FLAG.match(text):
        found.append((match[1], "true" if match[2] is None else match[2]))
        text = text[match.end() :]
    return tuple(found), text


def _heredocs(keyword: str, value: str) -> list[tuple[str, bool]]:
    if keyword == "ONBUILD":
        inner = parse_instruction(value)
        return [(one, True) for one in inner.heredocs] if inner else []
    if keyword not in _TAKES_HEREDOCS or value.startswith("["):
        return []
    found = (_HEREDOC.fullmatch(word) for word in _WORD.findall(value))
    return [(re.sub("[\"']", "", match[2]), match[1] == "-") for match in found if match]


def _after_heredoc(lines: list[str], at: int, delimiter: str, *, strip: bool) -> int:
    """Return the line behind the end of a here-document; one that never ends goes to the end of the file."""
    while at < len(lines):
        line = lines[at].lstrip("\t") if strip else lines[at]
        at += 1
        if line == delimiter:
            break
    return at


def _expand(text: str, known: Mapping[str, str]) -> str:
    """Return the text with its variables; an unknown one becomes ``_UNKNOWN``."""

    def value(match: re.Match[str]) -> str:
        if match[1] is not None:
            return match[1]
        name, operator, other = match[2] or match[5], match[3], match[4] or ""
        found = known.get(name)
        if operator == "-":
            return found or _expand(other, known)
        if operator == "+":
            return _expand(other, known) if found else ""
        return _UNKNOWN if found is None else found

    expanded = re.sub(r"\$\{[^}]*\}", _UNKNOWN, _VARIABLE.sub(value, text))
    return expanded if len(expanded) <= _MAX_CHARS else _UNKNOWN


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
