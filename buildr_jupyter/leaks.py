"""What a credential looks like: gitleaks' rules, run here, and a few of our own, over bytes of any kind.

``search`` looks at bytes as they are; ``search_deeply`` also at what they say once strings are joined, lines are put
together, base64 is decoded and binary data is cut into its strings. Neither keeps nor says a value. The rules come from
``leak_rules.json``, made of gitleaks' configuration (MIT licence) by ``python -m tests.engines.leakrules``; they are
read when something is searched first.
"""

from __future__ import annotations

import base64
import binascii
import bisect
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

__all__ = ["Hit", "is_binary", "search", "search_deeply", "secret_values"]

_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSW(?:OR)?D|PASSPHRASE|_PASS$|_PWD$|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|ENCRYPTION_KEY"
    r"|CREDENTIAL|COOKIE|_AUTH$)",
    re.IGNORECASE,
)
_MIN_VALUE = 8
_BEFORE, _AFTER = 256, 8192
"""How far a match may reach from one of its rule's keywords: a private key is the longest."""
_MANY_BYTES = 1 << 20
"""Text that is longer is data: its lines are not joined pair by pair."""
_WORD = rb"[A-Za-z0-9+/_=.~:@-]"
_JOINTS = re.compile(rb"([\"'])(?:[ \t]*[+\\]?[ \t]*\r?\n?[ \t]*\+?[ \t]*)[rbfuRBFU]{0,2}[\"']|\\\r?\n[ \t]*")
_LINE_END = re.compile(rb"(?<=" + _WORD + rb")[ \t]*\r?\n[ \t]*(?=(" + _WORD + rb"+))")
_LAST_WORD = re.compile(_WORD + rb"+\Z")
_MIN_TOKEN = 20
_MAX_PICKLED = 4096
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{20,}(?:(?:\s*\n\s*|\\n)[A-Za-z0-9+/_-]{4,})*={0,2}")
_PRINTABLE = re.compile(rb"[\t\n\r\x20-\x7e]{8,}")
_WIDE = re.compile(rb"(?:[\x20-\x7e]\0{1,3}){8,}")
_PICKLED = re.compile(rb"(?:[\x8cCU]([\x08-\xff])|[XBT]([\s\S]{3}\0))(?=[\t\n\r\x20-\x7e]{8})")
"""A string of a pickle: its opcode and its length (pickletools); both may look like its letters."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Where something that looks like a credential is; not what it is."""

    kind: str
    """The rule: ``github-pat``, ``private-key``, ``value of $DB_PASSWORD``."""
    start: int
    end: int
    """Offsets of the value in the bytes that were searched."""


@dataclass(frozen=True)
class _Rule:
    id: str
    pattern: str
    keywords: tuple[bytes, ...]
    entropy: float = 0.0
    allowed: tuple[str, ...] = ()
    """Patterns of values that are none."""
    group: int | None = None
    """The value's group; None: the first that matched, else the whole."""

    @cached_property
    def regex(self) -> re.Pattern[bytes]:
        return re.compile(self.pattern.encode())

    @cached_property
    def not_these(self) -> tuple[re.Pattern[bytes], ...]:
        return tuple(re.compile(one.encode()) for one in self.allowed)


_OWN_RULES = (
    _Rule(
        "private-key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\[rn]|[\s\"'+,()])*[A-Za-z0-9+/]{24,}",
        (b"private key",),
    ),
    _Rule(
        "login-in-url",
        r"\b[a-zA-Z][a-zA-Z0-9+.-]*://([^/\s:@\"'{}<>$%()\[\]]*):(?!\1@)([^/\s:@\"'{}<>$()\[\]*]{6,})@[A-Za-z0-9\[]",
        (b"://",),
        group=2,
        allowed=(r"(?i)^(?:pass(?:word|wd)?|pwd|secret|token|changeme|example|user|x+|\.+|pass(?:word)?\d?)$",),
    ),
    _Rule(
        "authorization-header",
        r"(?i)authorization[\"']?\s*[:=,]\s*[fbr]?[\"']?(?:basic|bearer|token)\s+([A-Za-z0-9+/=._~-]{16,})",
        (b"authorization",),
        entropy=3.0,
    ),
)


@dataclass(frozen=True)
class _Rules:
    rules: tuple[_Rule, ...]
    keywords: Mapping[bytes, tuple[_Rule, ...]]
    allowed: tuple[re.Pattern[bytes], ...]
    stopwords: tuple[bytes, ...]


@cache
def _rules() -> _Rules:
    said = json.loads(Path(__file__).with_name("leak_rules.json").read_bytes())
    rules = _OWN_RULES + tuple(
        _Rule(
            rule["id"],
            rule["pattern"],
            tuple(word.encode() for word in rule["keywords"]),
            rule.get("entropy", 0.0),
            tuple(rule.get("allowed", ())),
        )
        for rule in said["rules"]
    )
    by_keyword: dict[bytes, list[_Rule]] = {}
    for rule in rules:
        for word in rule.keywords:
            by_keyword.setdefault(word, []).append(rule)
    return _Rules(
        rules,
        {word: tuple(found) for word, found in by_keyword.items()},
        tuple(re.compile(one.encode()) for one in said["allowed"]),
        tuple(word.encode() for word in said["stopwords"]),
    )


def secret_values(environ: Mapping[str, str]) -> dict[str, bytes]:
    """Return the values of the variables whose names look secret; not those that are short or name a file."""
    return {
        name: value.encode(errors="surrogateescape")
        for name, value in environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _MIN_VALUE and not value.startswith(("/", "~/"))
    }


def search(content: bytes, values: Mapping[str, bytes] | None = None) -> Iterator[Hit]:
    """Yield what looks like a credential in the bytes as they are, rule by rule, each place once."""
    known = _rules()
    lowered = content.lower()
    wanted: dict[str, tuple[_Rule, list[bytes]]] = {}
    for word, rules in known.keywords.items():
        if word in lowered:
            for rule in rules:
                wanted.setdefault(rule.id + rule.pattern, (rule, []))[1].append(word)
    for rule, words in wanted.values():
        for start, end in _windows(lowered, words) if len(content) > _AFTER else ((0, len(content)),):
            for match in rule.regex.finditer(content, start, end):
                group = rule.group or next((n for n in range(1, rule.regex.groups + 1) if match[n]), 0)
                if _counts(match[group], rule, known):
                    yield Hit(rule.id, match.start(group), match.end(group))
    for name, value in (values or {}).items():
        if (at := content.find(value)) >= 0:
            yield Hit(f"value of ${name}", at, at + len(value))


def _windows(lowered: bytes, words: list[bytes]) -> Iterator[tuple[int, int]]:
    """Yield the stretches around the words, in order, overlapping ones as one."""
    found = re.finditer(b"|".join(re.escape(word) for word in words), lowered)
    start = end = -1
    for match in found:
        if match.start() - _BEFORE <= end:
            end = match.end() + _AFTER
            continue
        if end >= 0:
            yield start, end
        start, end = max(0, match.start() - _BEFORE), match.end() + _AFTER
    if end >= 0:
        yield start, end


def _counts(value: bytes, rule: _Rule, known: _Rules) -> bool:
    if rule.entropy and _entropy(value) <= rule.entropy:
        return False
    if any(pattern.search(value) for pattern in (*rule.not_these, *known.allowed)):
        return False
    lowered = value.lower()
    return not any(word in lowered for word in known.stopwords)


def _entropy(value: bytes) -> float:
    """Return Shannon's entropy in bits a character."""
    counts = [value.count(char) for char in set(value)]
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


def is_binary(content: bytes) -> bool:
    """Tell whether the bytes are no text."""
    return b"\0" in content[: 1 << 16] or (content[:1] == b"\x80" and not content[:4096].isascii())


def search_deeply(content: bytes, values: Mapping[str, bytes] | None = None) -> Iterator[Hit]:
    """Yield what looks like a credential, also where it is split, encoded or inside of binary data; places once.

    The offsets are those of the text that led to it.
    """
    seen: set[tuple[str, int]] = set()
    for hit in _views(content, values):
        at = (hit.kind, content.count(b"\n", 0, hit.start))
        if at not in seen:
            seen.add(at)
            yield hit


def _views(content: bytes, values: Mapping[str, bytes] | None) -> Iterator[Hit]:
    if is_binary(content):
        yield from _strings(content, values)
        return
    yield from search(content, values)
    yield from _encoded(content, values)
    joined, moved = _without(content, _JOINTS.finditer(content))
    if moved:
        for hit in (*search(joined, values), *_encoded(joined, values)):
            yield _back(hit, moved)
    if len(content) <= _MANY_BYTES:
        ends = _line_ends(content)
        for chosen in (ends, ends[::2], ends[1::2]) if len(ends) > 1 else (ends,):
            joined, moved = _without(content, chosen)
            for hit in search(joined, values) if moved else ():
                yield _back(hit, moved)


def _strings(content: bytes, values: Mapping[str, bytes] | None) -> Iterator[Hit]:
    for runs in (_PRINTABLE.finditer(content), _WIDE.finditer(content)):
        found = [(match.start(), match[0].replace(b"\0", b"")) for match in runs]
        yield from _in_runs(found, values)
    pickled = []
    for match in _PICKLED.finditer(content):
        length = int.from_bytes(match[1] or match[2], "little")
        if length <= _MAX_PICKLED:  # a longer one is found as it is
            pickled.append((match.end(), content[match.end() : match.end() + length]))
    yield from _in_runs(pickled, values)


def _in_runs(runs: list[tuple[int, bytes]], values: Mapping[str, bytes] | None) -> Iterator[Hit]:
    """Search strings, each with its offset, as lines of one text."""
    places, length = [], 0
    for at, run in runs:
        places.append((length, at))
        length += len(run) + 1
    text = b"\n".join(run for _, run in runs)
    for hit in (*search(text, values), *_encoded(text, values)):
        here, there = places[bisect.bisect_right(places, hit.start, key=lambda place: place[0]) - 1]
        yield Hit(hit.kind, there + hit.start - here, there + hit.end - here)


def _without(content: bytes, joints: Iterable[re.Match[bytes]]) -> tuple[bytes, list[tuple[int, int]]]:
    """Return the content without the joints, and for each the offset after it, here and in the content."""
    parts, moved, at, length = [], [], 0, 0
    for joint in joints:
        parts.append(content[at : joint.start()])
        length += joint.start() - at
        at = joint.end()
        moved.append((length, at))
    return b"".join([*parts, content[at:]]), moved


def _line_ends(content: bytes) -> list[re.Match[bytes]]:
    """Return the line ends that may cut a credential in two: the words on both sides are long and no plain words."""
    found = []
    for match in _LINE_END.finditer(content):
        word = (_LAST_WORD.search(content, max(0, match.start() - 200), match.start()) or match)[0] + match[1]
        if len(word) >= _MIN_TOKEN and _is_odd(word):
            found.append(match)
    return found


def _is_odd(word: bytes) -> bool:
    letters = bytes(char for char in word if chr(char).isalpha())
    return any(digit in word for digit in b"0123456789") or not (letters.islower() or letters.isupper())


def _back(hit: Hit, moved: list[tuple[int, int]]) -> Hit:
    """Return the hit with its offsets in the content that was joined."""
    after = bisect.bisect_right(moved, hit.start, key=lambda place: place[0])
    here, there = moved[after - 1] if after else (0, 0)
    start = there + hit.start - here
    return Hit(hit.kind, start, start + hit.end - hit.start)


def _encoded(content: bytes, values: Mapping[str, bytes] | None, depth: int = 2) -> Iterator[Hit]:
    for match in _BASE64.finditer(content):
        packed = re.sub(rb"\s|\\n", b"", match[0]).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        if not _is_text(_decode(packed[:64])):
            continue
        decoded = _decode(packed)
        found = list(search(decoded, values))
        if depth > 1:
            found += _encoded(decoded, values, depth - 1)
        for hit in found:
            yield Hit(hit.kind, match.start(), match.end())


def _decode(packed: bytes) -> bytes:
    try:
        return base64.b64decode(packed[: len(packed) // 4 * 4] + _tail(packed))
    except binascii.Error:
        return b""


def _tail(packed: bytes) -> bytes:
    rest = packed[len(packed) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""


def _is_text(content: bytes) -> bool:
    return bool(content) and sum(0x20 <= char < 0x7F or char in b"\t\r\n" for char in content) >= 0.9 * len(content)
