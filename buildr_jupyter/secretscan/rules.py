"""Rules that tell a credential: gitleaks' own, a few of this project, and what each of them takes for none.

The rules come from ``leak_rules.json``, made of gitleaks' configuration (MIT licence) by
``python -m tests.engines.leakrules``; they are read when something is searched first.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from buildr_jupyter.model.json_object import JsonObject

__all__ = ["GENERIC", "Rule", "Rules", "counts", "decode", "rules", "word_length"]

GENERIC = "generic-api-key"
_WORDY = 2.7
"""Letters a word, on average: of what people write it is above this."""
_STRONG_NAME = re.compile(rb"(?i)(?:api|auth|access|secret|token|passw)")
_STRONG_ENTROPY = 3.0
"""Of a short value, and of one of 16 digits, chance makes less than what the rule asks for: half of 32 of them."""
_RUN = re.compile(rb"[\w.-]{0,50}\Z")
_CAMEL_WORD = re.compile(rb"[A-Z]?[a-z]+|[A-Z]+")
_HEX = re.compile(rb"[0-9a-fA-F_.-]+")
_NONCE = re.compile(rb"(?i)websocket[_-]?key\W*\Z")
"""RFC 6455, 4.1: made anew for each connection, and no secret."""
_DIGEST_NAME = re.compile(rb"(?i)(?:sha_?-?\d{1,3}|md5|blake2?[bs3]?|checksum|fingerprint)\W*\Z")
_DIGEST = re.compile(rb"(?:[0-9a-fA-F]{2}){16,64}")
_REFERENCE = re.compile(rb"[A-Za-z_]\w*(?:[.=][A-Za-z_]\w*)+")
"""What code says: a dotted name, an assignment."""
_ANNOTATION = re.compile(rb":\s*\Z")
_CLASS_NAME = re.compile(rb"[A-Z][A-Za-z]*(?:\d+[A-Za-z]+)?(?<=[a-z])")
_WEAK_NAME = re.compile(
    rb"(?i)\A(?!.*(?:api|secret|private|access|auth|token|encryption|signing|account|storage|master|pass).?key)"
    rb".*key\W*\Z",
    re.DOTALL,
)
"""A key that opens nothing by its name: of a dictionary, a table, a licence."""


@dataclass(frozen=True)
class Rule:
    """One kind of credential, and how it is known."""

    id: str
    pattern: str
    keywords: tuple[bytes, ...]
    entropy: float = 0.0
    allowed: tuple[str, ...] = ()
    """Patterns of values that are none."""
    group: int | None = None
    """The value's group; None: the first that matched, else the whole."""
    allowed_match: tuple[str, ...] = ()
    """Patterns of matches that are none."""
    allowed_line: tuple[str, ...] = ()
    """Patterns of lines that hold none."""
    stopwords: tuple[str, ...] = ()
    """Words whose presence in a value tells that it is none."""
    path: str | None = None
    """A pattern of the names of the files that the rule is for; None: all."""
    near: str | None = None
    """A pattern that stands before the match, at most ``near_lines`` line ends away."""
    near_lines: int = 0
    holds: str | None = None
    """A pattern of what the value, base64, says."""
    run: bool = False
    """The name that stands right before the match belongs to it."""

    @cached_property
    def regex(self) -> re.Pattern[bytes]:
        return re.compile(self.pattern.encode())

    @cached_property
    def not_these(self) -> tuple[re.Pattern[bytes], ...]:
        return _compiled(self.allowed)

    @cached_property
    def not_these_matches(self) -> tuple[re.Pattern[bytes], ...]:
        return _compiled(self.allowed_match)

    @cached_property
    def not_these_lines(self) -> tuple[re.Pattern[bytes], ...]:
        return _compiled(self.allowed_line)

    @cached_property
    def not_these_words(self) -> tuple[bytes, ...]:
        return tuple(word.encode() for word in self.stopwords)

    @cached_property
    def of_files(self) -> re.Pattern[str] | None:
        return re.compile(self.path) if self.path else None

    @cached_property
    def before(self) -> re.Pattern[bytes] | None:
        return re.compile(self.near.encode()) if self.near else None

    @property
    def is_generic(self) -> bool:
        """Tell whether a keyword begins each match: then the pattern is tried there, and nowhere else."""
        return self.id == GENERIC


def _compiled(patterns: Iterable[str]) -> tuple[re.Pattern[bytes], ...]:
    return tuple(re.compile(one.encode()) for one in patterns)


_OWN_RULES = (
    Rule(
        "private-key",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\\[rn]|[\s\"'+,()])*[A-Za-z0-9+/]{24,}"
        r"|---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\s+(?:[\w-]+: [^\n]*\n){0,8}[A-Za-z0-9+/]{24,}"
        r"|-----BEGIN OpenVPN Static key V1-----\s+[0-9a-fA-F]{24,}"
        r"|PuTTY-User-Key-File-\d: [\s\S]{1,4000}?\nPrivate-Lines: \d+\r?\n[A-Za-z0-9+/]{24,}",
        (b"private key", b"openvpn static key", b"putty-user-key-file-"),
    ),
    Rule(
        "aws-secret-access-key",
        r"(?i:(?:secret_?(?:access_?)?key|aws_?secret)[\"']?\s*(?:=>|[:=,])\s*[\"']?)"
        r"([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
        (b"secret",),
        entropy=3.8,
        allowed=(r"EXAMPLE", r"\A[0-9a-fA-F]+\Z"),
    ),
    Rule(
        "azure-account-key",
        r"(?i:(?:account|sharedaccess|access)_?key[\"']?\s*[:=]\s*[\"']?)([A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{86}==)",
        (b"key",),
        entropy=3.8,
    ),
    Rule(
        "docker-auth",
        r"[\"']auth[\"']\s*:\s*[\"']([A-Za-z0-9+/]{8,}={0,2})[\"']",
        (b"auth",),
        holds=r"\A[\x21-\x39\x3b-\x7e]+:[\x20-\x7e]{4,}\Z",
    ),
    Rule(
        "login-in-url",
        r"\b[a-zA-Z][a-zA-Z0-9+.-]*://([^/\s:@\"'{}<>$%()\[\]]*):(?!\1@)([^/\s:@\"'{}<>$()\[\]*]{6,})@[A-Za-z0-9\[]",
        (b"://",),
        group=2,
        allowed=(r"(?i)^(?:pass(?:word|wd)?|pwd|secret|token|changeme|example|user|x+|\.+|pass(?:word)?\d?)$",),
    ),
    Rule(
        "authorization-header",
        r"(?i)authorization[\"']?\s*[:=,]\s*[fbr]?[\"']?(?:basic|bearer|token)\s+([A-Za-z0-9+/=._~-]{16,})",
        (b"authorization",),
        entropy=3.0,
    ),
)


@dataclass(frozen=True)
class Rules:
    """All of them, found by their keywords."""

    rules: tuple[Rule, ...]
    keywords: Mapping[bytes, tuple[Rule, ...]]
    allowed: tuple[re.Pattern[bytes], ...]
    stopwords: tuple[bytes, ...]


@cache
def rules() -> Rules:
    """Return the rules, read once."""
    said = json.loads(Path(__file__).with_name("leak_rules.json").read_bytes())
    rules = _OWN_RULES + tuple(_rule(one) for one in said["rules"])
    by_keyword: dict[bytes, list[Rule]] = {}
    for rule in rules:
        for word in rule.keywords:
            by_keyword.setdefault(word, []).append(rule)
    return Rules(
        rules,
        {word: tuple(found) for word, found in by_keyword.items()},
        tuple(re.compile(one.encode()) for one in said["allowed"]),
        tuple(word.encode() for word in said["stopwords"]),
    )


def _rule(said: JsonObject) -> Rule:
    made: JsonObject = {name: tuple(value) if isinstance(value, list) else value for name, value in said.items()}
    return Rule(**{**made, "keywords": tuple(word.encode() for word in said["keywords"])})


def counts(match: re.Match[bytes], group: int, rule: Rule, known: Rules) -> bool:
    """Tell whether a match is a credential by its rule's own measure; ``group`` is the value's."""
    value = match[group]
    if rule.holds and not re.search(rule.holds.encode(), decode(value.rstrip(b"="))):
        return False
    if rule.entropy and _entropy(value) <= (_STRONG_ENTROPY if _is_random(match, value, rule) else rule.entropy):
        return False
    if any(pattern.search(value) for pattern in (*rule.not_these, *known.allowed)):
        return False
    lowered = value.lower()
    if any(word in lowered for word in known.stopwords):
        return False
    # Random characters hold a short word by chance: it tells something only of a value that is made of words.
    if word_length(value) >= _WORDY and any(word in lowered for word in rule.not_these_words):
        return False
    content, start = match.string, match.start()
    if rule.run:
        run = _RUN.search(content, max(0, start - 50), start)
        start = run.start() if run else start
    if any(pattern.search(content[start : match.end()]) for pattern in rule.not_these_matches):
        return False
    if rule.not_these_lines:
        line_end = content.find(b"\n", match.end())
        line = content[content.rfind(b"\n", 0, match.start()) + 1 : line_end if line_end >= 0 else len(content)]
        if any(pattern.search(line) for pattern in rule.not_these_lines):
            return False
    if rule.is_generic:
        return not _is_ordinary(content[start : match.start(group)], value)
    return True


def _is_random(match: re.Match[bytes], value: bytes, rule: Rule) -> bool:
    """Tell whether a value under a name that means a secret is letters and digits that make no words."""
    mixed = value.isalnum() and not value.isalpha() and not value.isdigit()
    return rule.is_generic and mixed and bool(_STRONG_NAME.match(match[0])) and word_length(value) < _WORDY


def _is_ordinary(before: bytes, value: bytes) -> bool:
    """Tell whether what is assigned to a name like ``key`` is no secret: code, a name made of words, a digest.

    ``before`` is what stands from the name's beginning to the value's.
    """
    if _NONCE.search(before) or (_DIGEST_NAME.search(before) and _DIGEST.fullmatch(value)):
        return True
    quoted = before[-1:] in (b"'", b'"', b"`")
    if not quoted and _REFERENCE.fullmatch(value) and word_length(value) >= 2.7:
        return True
    if not quoted and _ANNOTATION.search(before) and _CLASS_NAME.fullmatch(value) and word_length(value) >= 3:
        return True
    return bool(_WEAK_NAME.search(before)) and _is_slug(value)


def _is_slug(value: bytes) -> bool:
    """Tell whether it is a readable identifier: words and numbers with separators between them."""
    parts = re.split(rb"[-_.]", value)
    digits = sum(char in b"0123456789" for char in value)
    if len(parts) < 2 or 2 * digits > len(value) or _HEX.fullmatch(value):
        return False
    mixed = any(not (part.islower() or part.isupper() or part.istitle() or part.isdigit()) for part in parts if part)
    return word_length(value) >= (3 if mixed else 2)


def word_length(value: bytes) -> float:
    """Return how many letters its words have, on average; of random characters it is below two."""
    words = _CAMEL_WORD.findall(value)
    return sum(map(len, words)) / len(words) if words else 0.0


def _entropy(value: bytes) -> float:
    """Return Shannon's entropy in bits a character."""
    counts = [value.count(char) for char in set(value)]
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)


def decode(packed: bytes) -> bytes:
    """Return what base64 says, as far as it goes; nothing for what is none."""
    try:
        return base64.b64decode(packed[: len(packed) // 4 * 4] + _tail(packed))
    except binascii.Error:
        return b""


def _tail(packed: bytes) -> bytes:
    rest = packed[len(packed) // 4 * 4 :]
    return rest + b"=" * (4 - len(rest)) if len(rest) > 1 else b""
