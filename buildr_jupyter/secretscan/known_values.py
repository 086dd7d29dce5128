"""Values that must not be shown, in every form in which programs write them.

A value is written as it is, as ``repr``, in JSON, in a URL, in HTML, in hexadecimal and in base64, there also behind a
user's name; and it is cut: at the end of a chunk, by the width of a screen, by the lines of base64.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

__all__ = ["Known", "forms", "hidden", "hidden_in_lines", "open_end", "open_lines"]

_MIN_INSIDE = 8
"""Characters of a value that is looked for inside of longer base64: of fewer too little stays the same."""
_MIN_PIECE = 4
"""Characters at the end of a line that may begin a value."""
_EDGES = " \t\r\"'\\+|"
"""What stands around the pieces of a text that is cut over lines."""


def forms(value: str) -> tuple[str, ...]:
    """Return the value as programs write it, each form once, the value first."""
    raw = value.encode(errors="surrogateescape")
    found = [
        value, repr(value)[1:-1], repr(raw)[2:-1], json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(value))[3:-3], value.replace("'", "'\\''"), value.replace("'", "'\"'\"'"),
        value.replace("'", "\\'"), html.escape(value),
        raw.hex(), raw.hex().upper(),
    ]  # fmt: skip
    for packed in (base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()):
        found += [packed, packed.rstrip("=")]
    urls = [quote(raw, safe=safe) for safe in ("", "/", "!*'()", "/!*'():@,;$=+")] + [quote_plus(raw)]
    found += urls + [re.sub(r"%[0-9A-F]{2}", lambda sign: sign[0].lower(), url) for url in urls]
    if len(raw) >= _MIN_INSIDE:
        found += _inside_base64(raw)
    if "\n" in value:
        found += [line.strip() for line in value.splitlines() if len(line.strip()) >= _MIN_INSIDE]
    return tuple(dict.fromkeys(one for one in found if one))


def _inside_base64(raw: bytes) -> list[str]:
    """Return what the value is inside of base64, whatever stands before and behind it."""
    found = []
    for shift in range(3):
        packed = base64.b64encode(bytes(shift) + raw)
        first = (shift * 8 + 5) // 6  # the first character that only the value makes
        last = (shift + len(raw)) * 8 // 6
        found += [packed[first:last].decode(), packed[first:last].translate(bytes.maketrans(b"+/", b"-_")).decode()]
    return found


class Known(tuple[str, ...]):
    """Forms of values, the longest first, and a quick look whether a text may hold the beginning of one."""

    heads: frozenset[str]

    def __new__(cls, found: Iterable[str]) -> Known:
        made = super().__new__(cls, sorted(set(found), key=len, reverse=True))
        made.heads = frozenset(value[:length] for value in made for length in range(1, _MIN_PIECE + 1))
        return made

    def in_sight(self, text: str) -> bool:
        """Tell whether the beginning of a form is in the text; False is certain."""
        if len(self) < 2 * _MIN_PIECE or len(text) > 1 << 14:
            return True
        return not self.heads.isdisjoint([text[at : at + _MIN_PIECE] for at in range(len(text) - _MIN_PIECE + 1)])

    def ends(self, text: str) -> bool:
        """Tell whether the text's last few characters begin a form."""
        return any(text[-length:] in self.heads for length in range(1, _MIN_PIECE))


def _is_word(value: str) -> bool:
    # Letters in mixed case are what a value is inside of base64, with more of it before and behind.
    return value.isalpha() and (value.islower() or value.isupper() or value.istitle())


def hidden(text: str, values: Known, mask: str) -> str:
    """Return the text with ``mask`` for each of the values (forms, the longest first)."""
    for value in values if values.in_sight(text) else ():
        if value in text:
            # A password that is a word is masked as a word only: "secret" must not make "--****" of an option.
            text = re.sub(rf"(?<![\w-]){value}(?![\w-])", mask, text) if _is_word(value) else text.replace(value, mask)
    return text


def hidden_in_lines(lines: list[str], values: Known, mask: str) -> list[str]:
    """Return the lines, without their ends, with ``mask`` for the pieces of values that go over several of them."""
    parts = [line.strip(_EDGES) for line in lines]
    joined = "".join(parts)
    if not values.in_sight(joined):
        return lines
    spans: list[tuple[int, int]] = []
    for value in values:
        at = joined.find(value)
        while at >= 0:
            spans.append((at, at + len(value)))
            at = joined.find(value, at + 1)
    if not spans:
        return lines
    found, begin = [], 0
    for line, part in zip(lines, parts, strict=True):
        end = begin + len(part)
        here = sorted((max(a, begin) - begin, min(b, end) - begin) for a, b in spans if a < end and begin < b)
        offset = line.find(part)
        shown, at = line[:offset], 0
        for start, stop in here:
            if stop > at:
                shown += part[at : max(at, start)] + (mask if start >= at else "")
                at = stop
        found.append(shown + part[at:] + line[offset + len(part) :])
        begin = end
    return found


def open_end(text: str, values: Known, least: int = 1) -> int:
    """Return how many characters at the end of the text may begin one of the values: at least ``least``, else 0."""
    best = 0
    if not (values.in_sight(text) or (least < _MIN_PIECE and values.ends(text))):
        return 0
    for value in values:
        if value[:_MIN_PIECE] in text or (least < _MIN_PIECE and text.endswith((value[:1], value[:2], value[:3]))):
            for length in range(min(len(text), len(value) - 1), max(best, least - 1), -1):
                if text.endswith(value[:length]):
                    best = length
                    break
    return best


def open_lines(lines: list[str], values: Known) -> int:
    """Return how many of the last lines may hold the beginning of a value that goes on."""
    parts = [line.strip(_EDGES) for line in lines]
    left, count = open_end("".join(parts), values, _MIN_PIECE), 0
    while left > 0:
        count += 1
        left -= len(parts[-count])
    return count
