"""Challenges: what a WWW-Authenticate field asks for. Pure.

Source: RFC 9110 11.2 to 11.6.1: a field holds a list of challenges, each a scheme with either one token68 or a list of
parameters; both lists are separated by commas, and several fields count as one that joins them by commas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Challenge", "parse_challenges"]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r'[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"=][^\s,"]*))(?=[ \t,]|$)', re.DOTALL)
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_BETWEEN = re.compile(r"[ \t,]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that a server offers."""

    scheme: str
    """In lower case: ``basic``, ``bearer``."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; of a name that stands twice the first counts."""


def parse_challenges(text: str) -> list[Challenge]:
    """Return the challenges of a WWW-Authenticate field in their order; what cannot be read ends the list."""
    found: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = _after(_BETWEEN, text, 0)
    while name := _TOKEN.match(text, at):
        at = name.end()
        value = _VALUE.match(text, at)
        if value is not None:  # of the challenge that began last; of none where none began
            quoted, plain = value.groups()
            parameters.setdefault(name[0].lower(), plain if quoted is None else re.sub(r"(?s)\\(.)", r"\1", quoted))
            at = value.end()
        else:
            parameters = {}
            found.append(Challenge(name[0].lower(), parameters))
            at = _after(_TOKEN68, text, at)
        at = _after(_BETWEEN, text, at)
    return found


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
