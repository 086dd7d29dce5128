"""Hosts in every spelling."""

from __future__ import annotations

import pytest

from buildr_jupyter.registry.addresses import is_inward, is_local, origin_of, same_host

LOOPBACK = [
    "localhost", "LOCALHOST", "localhost.", "x.localhost", "127.0.0.1", "127.0.0.1.", "127.9.8.7", "127.1", "127.0.1",
    "2130706433", "0x7f000001", "0x7F.1", "0x7f.0x0.0x0.0x1", "017700000001", "0177.0.0.1", "0177.0.0.01", "[::1]",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]",
    "%31%32%37.0.0.1",
]  # fmt: skip
METADATA = [
    "169.254.169.254", "169.254.169.254.", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376",
    "169.254.43518", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fe80::1]", "[fe80::1%25eth0]", "[fd00:ec2::254]",
    "[FD00:EC2:0::0254]", "100.100.100.200", "1684301000", "168.63.129.16", "metadata.google.internal",
    "metadata.google.internal.", "METADATA.GOOGLE.INTERNAL", "metadata", "0.0.0.0", "0", "0x0", "[::]", "192.0.0.192",
]  # fmt: skip
ELSEWHERE = [
    "reg.example", "128.0.0.1", "10.0.0.1", "192.168.1.1", "localhost.example", "127.0.0.1.example", "1.2.3.4.5", "0x",
    "256.1.1.1", "4294967296", "[2001:db8::1]", "metadata.example", "0xg", "08.1.1.1", "internal", "8.8.8.8", "134744072",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback(host: str) -> None:
    assert is_local(host)
    assert is_local(f"{host}:5000")
    assert is_inward(host)


@pytest.mark.parametrize("host", METADATA)
def test_metadata(host: str) -> None:
    assert is_inward(host)
    assert not is_local(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_elsewhere(host: str) -> None:
    assert (is_inward(host), is_local(host)) == (host == "0x", False)


@pytest.mark.parametrize("host", ["\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "\u2460\u2461\u2466.0.0.1"])
def test_digits_of_other_alphabets(host: str) -> None:
    assert is_inward(host)
    assert origin_of(f"http://{host}/") is None


def test_origins() -> None:
    assert (
        origin_of("https://Reg.Example/v2/") == origin_of("https://reg.example:443/x") == ("https", "reg.example", 443)
    )
    assert origin_of("http://127.1:5000/") == origin_of("http://127.0.0.1:5000")
    assert origin_of("https://one.example\\@two.example/") == ("https", "one.example", 443)
    assert origin_of("https://two.example@one.example/") == ("https", "one.example", 443)
    assert (origin_of("mailto:x"), origin_of("https:///x"), origin_of("https://[x/")) == (None, None, None)
    assert origin_of("https://reg.example") != origin_of("http://reg.example")
    assert same_host("reg.example:5000", "REG.example.")
    assert not same_host("reg.example.evil", "reg.example")
