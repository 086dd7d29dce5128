"""Search for credentials in bytes of any kind.

``search`` looks at bytes as they are; ``search_deeply`` also at what they say once strings are joined, lines are put
together, base64 is decoded and binary data is cut into its strings. Neither keeps nor says a value. The rules are
those of ``leak_rules.py``.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from buildr_jupyter.secretscan.rules import GENERIC, Rule, Rules, counts, decode, rules, word_length

__all__ = ["Hit", "is_binary", "named_kind", "search", "search_deeply", "secret_values"]

_SECRET_NAME = re.compile(
    r"(?:TOKEN|SECRET|PASSW(?:OR)?D|PASSPHRASE|_PASS$|_PWD$|APIKEY|API_KEY|ACCESS_KEY|PRIVATE_KEY|ENCRYPTION_KEY"
    r"|CREDENTIAL|COOKIE|_AUTH$)",
    re.IGNORECASE,
)
_PLAIN_SECRET_NAME = re.compile(
    r"(?:passw(?:or)?d|passphrase|secret|api_?key|access_?key|private_?key|encryption_?key|account_?key|credential"
    r"|cookie|authorization)(?!s?_?(?:file|path|dir|name|id|len|length|count|url|policy|hint)s?\Z)"
    r"|(?:\A|[_\W])pwd\Z|(?:\A|_)auth\Z",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"(?i)\A\W*(?:<.*>|\[.*\]|your\b.*|example.*|change[ _-]?me.*|password|passwd|secret|redacted|hidden|removed"
    r"|undefined|(?P<one>.)(?P=one)*)?\W*\Z"
)
_MIN_NAMED = 6
_MIN_VALUE = 8
_BEFORE, _AFTER = 256, 8192
"""How far a match may reach from one of its rule's keywords: a private key is the longest."""
_MANY_BYTES = 1 << 20
"""Text that is longer is data: its lines are not joined pair by pair."""
_WORD = rb"[A-Za-z0-9+/_=.~:@-]"
_JOINTS = re.compile(rb"([\"'])(?:[ \t]*[+\\]?[ \t]*\r?\n?[ \t]*\+?[ \t]*)[rbfuRBFU]{0,2}[\"']|\\\r?\n[ \t]*")
_NAMED_BY_A_KEY = re.compile(rb"\[[ \t]*([\"'][\w.-]{1,100}[\"'])[ \t]*\](?=[ \t]*=(?!=))")
"""``environ["API_KEY"] =``: the rules know a name and a sign of assignment, and no bracket between the two."""
_AROUND_A_JOINT = 1024
"""Bytes on both sides of a joint that are searched again once it is taken out."""
_LINE_END = re.compile(rb"(?<=" + _WORD + rb")[ \t]*\r?\n[ \t]*(?=(" + _WORD + rb"+))")
_LAST_WORD = re.compile(_WORD + rb"+\Z")
_NEAR_BYTES = 4096
_LETTERS_OF_PATH = re.compile(r"~?(?:/[A-Za-z0-9._-]+){2,}")
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


def secret_values(environ: Mapping[str, str]) -> dict[str, bytes]:
    """Return the values of the variables whose names look secret; not those that are short or name a file."""
    return {
        name: value.encode(errors="surrogateescape")
        for name, value in environ.items()
        if _SECRET_NAME.search(name) and len(value) >= _MIN_VALUE and not _names_a_file(name, value)
    }


def _names_a_file(name: str, value: str) -> bool:
    """Tell whether a variable names the place of a credential and is none: a base64 key may begin with a slash, too."""
    if not value.startswith(("/", "~/")):
        return False
    if name.upper().endswith(("_FILE", "_PATH", "_DIR")):
        return True
    made_of_words = _LETTERS_OF_PATH.fullmatch(value) is not None and word_length(value.encode()) >= 3
    with contextlib.suppress(OSError, ValueError):
        return made_of_words or os.path.lexists(value)
    return made_of_words


def search(content: bytes, values: Mapping[str, bytes] | None = None, *, path: str = "") -> Iterator[Hit]:
    """Yield what looks like a credential in the bytes as they are, rule by rule, each place once.

    ``path`` is the name of the file they are from: some rules are for one kind of file.
    """
    known = rules()
    lowered = content.lower()
    for rule, words in _wanted(lowered, known, path):
        for match in _matches(rule, words, content, lowered):
            group = rule.group or next((n for n in range(1, rule.regex.groups + 1) if match[n]), 0)
            if counts(match, group, rule, known):
                yield Hit(rule.id, match.start(group), match.end(group))
    for name, value in (values or {}).items():
        if (at := content.find(value)) >= 0:
            yield Hit(f"value of ${name}", at, at + len(value))


def named_kind(name: str, value: str) -> str | None:
    """Return the kind of credential that a value is by its name and itself, None for none.

    In a snapshot a name is known to be one: under ``password`` anything is a secret that is no placeholder, however
    simple; under other names what the rules find in an assignment.
    """
    short = value[:_AFTER]
    if _PLAIN_SECRET_NAME.search(name) and len(value) >= _MIN_NAMED and value.lower() != name.lower():
        content = short.encode(errors="replace")
        if not _PLACEHOLDER.search(short) and not any(pattern.search(content) for pattern in rules().allowed):
            return "secret by its name"
    text = f"{name[:80]} = {json.dumps(short, ensure_ascii=False)}\n".encode(errors="replace")
    return next((hit.kind for hit in search(text)), None)


def _wanted(lowered: bytes, known: Rules, path: str) -> list[tuple[Rule, list[bytes]]]:
    """Return the rules that may match, each with those of its keywords that are there."""
    vocabulary = b"\n".join(set(lowered.split())) if len(lowered) > _AFTER else lowered
    wanted: dict[str, tuple[Rule, list[bytes]]] = {}
    for word, named in known.keywords.items():
        if word in (lowered if b" " in word else vocabulary):
            for rule in named:
                if rule.of_files is None or rule.of_files.search(path):
                    wanted.setdefault(rule.id + rule.pattern, (rule, []))[1].append(word)
    return list(wanted.values())


def _matches(rule: Rule, words: list[bytes], content: bytes, lowered: bytes) -> Iterator[re.Match[bytes]]:
    if rule.is_generic:
        end = -1
        for at in sorted({at for word in words for at in _places(word, lowered)}):
            if at >= end and (match := rule.regex.match(content, at)):
                end = match.end()
                yield match
    elif rule.before is not None:
        for start, end in _after(rule.before, content, rule.near_lines):
            yield from rule.regex.finditer(content, start, end)
    elif len(content) > _AFTER:
        for start, end in _windows(lowered, words):
            yield from rule.regex.finditer(content, start, end)
    else:
        yield from rule.regex.finditer(content)


def _places(word: bytes, content: bytes) -> Iterator[int]:
    at = content.find(word)
    while at >= 0:
        yield at
        at = content.find(word, at + len(word))


def _after(before: re.Pattern[bytes], content: bytes, lines: int) -> Iterator[tuple[int, int]]:
    """Yield the stretches behind each match of ``before``, overlapping ones as one."""
    start = end = -1
    for match in before.finditer(content):
        here = stop = match.end()
        for _ in range(lines + 1):
            found = content.find(b"\n", stop, here + _NEAR_BYTES)
            stop = found + 1 if found >= 0 else min(len(content), here + _NEAR_BYTES)
        if here <= end:
            end = max(end, stop)
            continue
        if end >= 0:
            yield start, end
        start, end = here, stop
    if end >= 0:
        yield start, end


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


def is_binary(content: bytes) -> bool:
    """Tell whether the bytes are no text."""
    return b"\0" in content[: 1 << 16] or (content[:1] == b"\x80" and not content[:4096].isascii())


def search_deeply(content: bytes, values: Mapping[str, bytes] | None = None, *, path: str = "") -> Iterator[Hit]:
    """Yield what looks like a credential, also where it is split, encoded or inside of binary data; places once.

    The offsets are those of the text that led to it. ``path`` is as for ``search``.
    """
    seen: set[tuple[str, int]] = set()
    found = list(_views(content, values, path))
    exact = [hit for hit in found if hit.kind != GENERIC]
    for hit in found:
        at = (hit.kind, content.count(b"\n", 0, hit.start))
        known = hit.kind == GENERIC and any(one.start < hit.end and hit.start < one.end for one in exact)
        if at not in seen and not known:  # what a rule of its own names is no "generic" key, too
            seen.add(at)
            yield hit


def _views(content: bytes, values: Mapping[str, bytes] | None, path: str) -> Iterator[Hit]:
    if is_binary(content):
        yield from _strings(content, values)
        return
    yield from search(content, values, path=path)
    yield from _encoded(content, values)
    keys = [match.start() for match in _NAMED_BY_A_KEY.finditer(content)]
    if keys:
        named = _NAMED_BY_A_KEY.sub(lambda match: match[1].rjust(len(match[0])), content)
        yield from _in_runs(_around(named, [(at, 0) for at in keys]), values, encoded=False)
    joined, moved = _without(content, _JOINTS.finditer(content))
    if moved:
        runs = _around(joined, moved)
        for hit in _in_runs(runs, values):
            yield _back(hit, moved)
    if len(content) <= _MANY_BYTES:
        ends = _line_ends(content)
        for chosen in (ends, ends[::2], ends[1::2]) if len(ends) > 1 else (ends,):
            joined, moved = _without(content, chosen)
            for hit in _in_runs(_around(joined, moved), values, encoded=False) if moved else ():
                yield _back(hit, moved)


def _around(joined: bytes, moved: list[tuple[int, int]]) -> list[tuple[int, bytes]]:
    """Return the stretches around the joints, each with its offset: all else was searched as it is."""
    stretches: list[list[int]] = []
    for at, _ in moved:
        start, end = max(0, at - _AROUND_A_JOINT), at + _AROUND_A_JOINT
        if stretches and start <= stretches[-1][1]:
            stretches[-1][1] = end
        else:
            stretches.append([start, end])
    return [(start, joined[start:end]) for start, end in stretches]


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


def _in_runs(
    runs: list[tuple[int, bytes]], values: Mapping[str, bytes] | None, *, encoded: bool = True
) -> Iterator[Hit]:
    """Search strings, each with its offset, as lines of one text."""
    places, length = [], 0
    for at, run in runs:
        places.append((length, at))
        length += len(run) + 1
    text = b"\n".join(run for _, run in runs)
    for hit in (*search(text, values), *(_encoded(text, values) if encoded else ())):
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
        if not _is_text(decode(packed[:64])):
            continue
        decoded = decode(packed)
        found = list(search(decoded, values))
        if depth > 1:
            found += _encoded(decoded, values, depth - 1)
        for hit in found:
            yield Hit(hit.kind, match.start(), match.end())


def _is_text(content: bytes) -> bool:
    return bool(content) and sum(0x20 <= char < 0x7F or char in b"\t\r\n" for char in content) >= 0.9 * len(content)
