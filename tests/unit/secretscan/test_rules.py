from __future__ import annotations

import base64
import re

import pytest

from buildr_jupyter.secretscan.rules import GENERIC, Rule, counts, decode, rules, word_length
from tests.fakes.credentials import fakes


def test_the_rules_are_read_once_and_found_by_their_keywords() -> None:
    known = rules()
    assert known is rules()
    assert len(known.rules) > 200
    for word, found in known.keywords.items():
        assert word == word.lower(), "what is searched is lowered"
        assert all(word in rule.keywords for rule in found)


def test_each_pattern_compiles() -> None:
    for rule in rules().rules:
        assert rule.regex.pattern == rule.pattern.encode()
        assert len(rule.not_these) == len(rule.allowed)
        assert (rule.of_files is None) == (rule.path is None)
        assert (rule.before is None) == (rule.near is None)


def test_one_rule_is_the_generic_one() -> None:
    assert [rule.id for rule in rules().rules if rule.is_generic] == [GENERIC]


def test_a_known_kind_of_credential_matches_its_rule() -> None:
    token = next(fake.value for fake in fakes() if fake.kind == "github-pat")
    rule = next(one for one in rules().rules if one.id == "github-pat")
    match = rule.regex.search(token.encode())
    assert match is not None
    assert counts(match, 0, rule, rules())


def found(rule: Rule, text: bytes) -> bool:
    match = rule.regex.search(text)
    assert match is not None
    return counts(match, rule.group or 0, rule, rules())


def test_what_a_rule_takes_for_none() -> None:
    plain = Rule("t", r"key=(\w+)", (b"key",), group=1)
    assert found(plain, b"key=q8Zt3Lw0vB6n")
    assert not found(Rule("t", r"key=(\w+)", (b"key",), group=1, entropy=3.5), b"key=aaaaaaaaaaab")
    assert not found(Rule("t", r"key=(\w+)", (b"key",), group=1, allowed=("^q8",)), b"key=q8Zt3Lw0vB6n")
    lined = Rule("t", r"key=(\w+)", (b"key",), group=1, allowed_line=("sample",))
    assert not found(lined, b"x\nkey=q8Zt3Lw0vB6n # sample\ny")
    assert found(lined, b"sample\nkey=q8Zt3Lw0vB6n\nsample")
    held = Rule("t", r"auth=(\S+)", (b"auth",), group=1, holds=r"\Auser:")
    assert found(held, b"auth=" + base64.b64encode(b"user:word"))
    assert not found(held, b"auth=" + base64.b64encode(b"other"))


@pytest.mark.parametrize(
    ("packed", "plain"), [(b"dXNlcjpwdw==", b"user:pw"), (b"dXNlcjpwdw", b"user:pw"), (b"dXNlcg", b"user"), (b"*", b"")]
)
def test_base64_is_read_as_far_as_it_goes(packed: bytes, plain: bytes) -> None:
    assert decode(packed.rstrip(b"=")) == plain


def test_words_are_longer_than_what_chance_makes() -> None:
    assert word_length(b"someLongWords") > 2.7
    assert word_length(b"q8Zt3Lw0vB6n") < 2
    assert word_length(b"123") == 0.0
    assert re.fullmatch(rb"\d+", b"123")
