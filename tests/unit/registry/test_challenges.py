"""WWW-Authenticate fields, as RFC 9110 11.6.1 has them and as servers send them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildr_jupyter.registry.challenges import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("Basic", [("basic", {})]),
        ('Basic realm="a, b"', [("basic", {"realm": "a, b"})]),
        ('Basic realm="R", Bearer realm="https://h/t",service="s"', [("basic", {"realm": "R"}), ("bearer", {"realm": "https://h/t", "service": "s"})]),
        ('Bearer realm="https://h/t", service=s, Basic realm=x', [("bearer", {"realm": "https://h/t", "service": "s"}), ("basic", {"realm": "x"})]),
        (r'Basic realm="say \"Bearer realm=\\x\", please"', [("basic", {"realm": r'say "Bearer realm=\x", please'})]),
        ('Negotiate, NTLM TlRMTVNTUAAB==, Basic realm="x"', [("negotiate", {}), ("ntlm", {}), ("basic", {"realm": "x"})]),
        ('Negotiate abc=, BEARER REALM = "u" , scope="a:b:pull,push"', [("negotiate", {}), ("bearer", {"realm": "u", "scope": "a:b:pull,push"})]),
        (',, Basic realm="x",,', [("basic", {"realm": "x"})]),
        ('Newauth realm="apps", type=1, title="Login to \\"apps\\"", Basic realm="simple"', [("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}), ("basic", {"realm": "simple"})]),
        ('Bearer realm=https://h/t?a=b,service=s', [("bearer", {"realm": "https://h/t?a=b", "service": "s"})]),
        ('Bearer realm="https://h/t" service="s"', [("bearer", {"realm": "https://h/t", "service": "s"})]),
        ('Bearer realm="one", realm="two"', [("bearer", {"realm": "one"})]),
        ('realm="nobody\'s", Basic realm="x"', [("basic", {"realm": "x"})]),
        ('Basic realm="never closed', [("basic", {})]),
    ],
)  # fmt: skip
def test_challenges(text: str, wanted: list[tuple[str, dict[str, str]]]) -> None:
    found = parse_challenges(text)
    if "never closed" in text:
        assert found[0] == Challenge("basic", {})
    else:
        assert found == [Challenge(scheme, parameters) for scheme, parameters in wanted]


@given(st.text(alphabet='Bearsic lm="\\,/:x\t=', max_size=60))
def test_any_text_ends(text: str) -> None:
    assert len(parse_challenges(text)) <= len(text)
    whole = parse_challenges(f'Basic realm="R", {text}') if "=" not in text.split(",")[0] else []
    assert not whole or whole[0].scheme == "basic"
