"""What is sent to whom: challenges that never end, two schemes, redirects, token services."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.errors import PublishError, RegistryUnauthorized, RegistryUnreachable
from buildr_jupyter.registry.authentication import _may_see_login
from buildr_jupyter.registry.client import Registry
from buildr_jupyter.registry.keychain import Login
from tests.fakes.registry import FakeRegistry, _Handler
from tests.unit.registry.test_client import MANIFEST

SECRET = "horse staple"
BASIC = "Basic " + base64.b64encode(f"u:{SECRET}".encode()).decode()


@contextlib.contextmanager
def asked(fake: FakeRegistry, login: Login | None = None, **options: Any) -> Iterator[Registry]:
    made = Registry(fake.host, login, **options)
    try:
        yield made
    finally:
        made.close()


def login_for(fake: FakeRegistry) -> Login:
    return Login(fake.host, "u", SECRET)


def secrets_seen(fake: FakeRegistry) -> list[str]:
    return [headers["Authorization"] for _, _, headers in fake.requests if "Authorization" in headers]


@pytest.mark.parametrize("logged_in", [True, False])
@pytest.mark.parametrize("method", ["ping", "digest", "manifest", "upload"])
def test_fresh_tokens_for_ever_end_after_two(method: str, logged_in: bool) -> None:
    number = iter(range(1_000_000))

    def rule(handler: _Handler) -> bool:
        if handler.path.startswith("/token"):
            handler.answer(200, b'{"token": "t%d"}' % next(number))
        else:
            fields = [
                ("WWW-Authenticate", f'Bearer realm="http://{handler.registry.host}/token",scope="s{next(number)}"')
            ]
            handler.answer(401, b"", fields)
        return True

    with FakeRegistry() as fake, asked(fake, login_for(fake) if logged_in else None) as registry:
        fake.rule = rule
        with pytest.raises(RegistryUnauthorized):
            if method == "ping":
                registry.ping()
            elif method == "upload":
                registry.put_manifest("x", "1", b"{}", "x")
            else:
                getattr(registry, method)("x", "1")
        tokens = [path for _, path, _ in fake.requests if path.startswith("/token")]
        assert (len(tokens), len(fake.requests)) == (2, 5)


@pytest.mark.parametrize(
    "challenges",
    [
        ['Basic realm="R", Bearer realm="http://{host}/token",service="fake"'],
        ['Bearer realm="http://{host}/token",service="fake", Basic realm="R"'],
        ['Basic realm="R"', 'Bearer realm="http://{host}/token",service="fake"'],
        ['Negotiate, Basic realm="a, Bearer b=\\"c\\""', 'Bearer realm="http://{host}/token",service="fake"'],
    ],
)
@pytest.mark.parametrize("logged_in", [True, False])
def test_basic_and_bearer_together(challenges: list[str], logged_in: bool) -> None:
    with FakeRegistry(auth="bearer", password=SECRET) as fake:
        if not logged_in:
            fake.rule = lambda handler: (
                handler.path.startswith("/token")
                and (fake.tokens.add("a") or handler.answer(200, b'{"token": "a"}')) is None
            )
        fake.challenges = challenges
        known = fake.put("x", "1", MANIFEST)
        with asked(fake, login_for(fake) if logged_in else None) as registry:
            assert registry.digest("x", "1") == known
            assert BASIC not in [
                h.get("Authorization") for _, path, h in fake.requests if not path.startswith("/token")
            ]


@pytest.mark.parametrize("token", ["404", "refused", "no token", "html", "not taken"])
def test_the_login_itself_where_the_token_is_of_no_use(token: str) -> None:
    with FakeRegistry(auth="basic", password=SECRET) as fake:
        fake.challenges = ['Bearer realm="http://{host}/token", Basic realm="R"']

        def rule(handler: _Handler) -> bool:
            if not handler.path.startswith("/token"):
                return False
            answers: dict[str, tuple[int, bytes, list[tuple[str, str]]]] = {
                "404": (404, b"", []), "refused": (401, b"", []), "no token": (200, b"[]", []),
                "html": (200, b"<html>", [("Content-Type", "text/html")]), "not taken": (200, b'{"token": "t"}', []),
            }  # fmt: skip
            handler.answer(*answers[token])
            return True

        fake.rule = rule
        known = fake.put("x", "1", MANIFEST)
        with asked(fake, login_for(fake)) as registry:
            assert registry.digest("x", "1") == known


def test_a_token_that_is_over_is_renewed() -> None:
    with FakeRegistry(auth="bearer", password=SECRET) as fake:
        fake.token_uses = 1
        known = fake.put("x", "1", MANIFEST)
        with asked(fake, login_for(fake)) as registry:
            assert [registry.digest("x", "1") for _ in range(4)] == [known] * 4


def test_tokens_that_other_requests_got_and_used_up_are_no_tries_of_its_own() -> None:
    with FakeRegistry(auth="bearer", password=SECRET) as fake, asked(fake, login_for(fake)) as registry:
        fake.token_uses = 1
        known = fake.put("x", "1", MANIFEST)
        others = 0

        def use_up(handler: _Handler) -> bool:
            nonlocal others
            if handler.path.startswith("/v2/x/manifests/1") and others < 4:
                others += 1
                fake.rule = None
                assert registry.digest("x", known) == known
                fake.rule = use_up
            return False

        fake.rule = use_up
        assert registry.digest("x", "1") == known
        assert others == 4
        assert len([path for _, path, _ in fake.requests if path.startswith("/token")]) == 5


# -- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_redirect_carries_neither_login_nor_token_and_its_challenge_gets_nothing(auth: Any, status: int) -> None:
    with FakeRegistry(auth="bearer", password=SECRET) as other, FakeRegistry(auth=auth, password=SECRET) as fake:
        other.challenges = ['Basic realm="x", Bearer realm="http://{host}/token"']
        known = fake.put("x", "1", MANIFEST)

        def rule(handler: _Handler) -> bool:
            if "/evil/" not in handler.path or "Authorization" not in handler.headers:
                return False
            handler.answer(
                status, b"", [("Location", f"http://{other.host}{handler.path}"), ("Set-Cookie", "s=secret; Path=/")]
            )
            return True

        fake.rule = rule
        with asked(fake, login_for(fake)) as registry:
            with pytest.raises(RegistryUnauthorized, match="wants a login of its own: none is sent there"):
                registry.manifest("evil/x", "1")
            assert registry.digest("x", "1") == known  # the login still works where it belongs
        assert other.requests, "the redirect was followed"
        assert secrets_seen(other) == []
        assert not any("Cookie" in headers for _, _, headers in [*other.requests, *fake.requests])
        assert secrets_seen(fake), "the control: the registry itself got it"


def test_a_redirect_back_gets_nothing_either() -> None:
    with FakeRegistry(password=SECRET) as other, FakeRegistry(auth="basic", password=SECRET) as fake:
        other.rule = lambda handler: (
            handler.answer(307, b"", [("Location", f"http://{fake.host}/v2/back/manifests/1")]) is None
        )

        def rule(handler: _Handler) -> bool:
            if "/back/" in handler.path:
                handler.answer(401, b"", [("WWW-Authenticate", f'Bearer realm="http://{other.host}/token"')])
            elif "Authorization" in handler.headers:
                handler.answer(307, b"", [("Location", f"http://{other.host}/v2/x/manifests/1")])
            else:
                return False
            return True

        fake.rule = rule
        with asked(fake, login_for(fake)) as registry, pytest.raises(PublishError):
            registry.manifest("x", "1")
        assert secrets_seen(other) == []
        assert not any("Authorization" in headers for _, path, headers in fake.requests if "/back/" in path)


def test_a_token_service_that_redirects_gets_the_login_no_further() -> None:
    with FakeRegistry() as other, FakeRegistry(auth="bearer", password=SECRET) as fake:
        fake.rule = lambda handler: (
            handler.path.startswith("/token")
            and handler.answer(307, b"", [("Location", f"http://{other.host}/token")]) is None
        )
        with asked(fake, login_for(fake)) as registry, pytest.raises(PublishError):
            registry.ping()
        assert BASIC in secrets_seen(fake), "the control"
        assert other.requests == []


def test_two_parsers_of_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """``http://other\\@registry/`` is the other one to the library that connects."""
    with FakeRegistry() as other, FakeRegistry(auth="basic", password=SECRET) as fake:
        fake.rule = lambda handler: (
            "Authorization" in handler.headers
            and handler.answer(307, b"", [("Location", f"http://{other.host}\\@{fake.host}/v2/")]) is None
        )
        with asked(fake, login_for(fake)) as registry, contextlib.suppress(PublishError):
            registry.ping()
        assert secrets_seen(fake), "the control"
        assert secrets_seen(other) == []


@pytest.mark.parametrize(
    ("realm", "base", "may"),
    [
        ("https://auth.example/token", "https://reg.example/v2/", True),
        ("http://auth.example/token", "https://reg.example/v2/", False),
        ("http://127.0.0.1:5001/token", "http://127.0.0.1:5000/v2/", True),
        ("https://auth.example/token", "http://127.0.0.1:5000/v2/", True),
        ("https://auth.example/token", "http://plain.example/v2/", False),
        ("http://plain.example/token", "http://plain.example/v2/", True),
        ("http://plain.example:81/token", "http://plain.example/v2/", True),
        ("nothing", "https://reg.example/v2/", False),
    ],
)
def test_which_token_service_may_see_a_login(realm: str, base: str, may: bool) -> None:
    assert _may_see_login(realm, base) is may


def test_a_plain_registry_cannot_send_the_login_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry(auth="bearer", password=SECRET) as other, FakeRegistry(auth="bearer", password=SECRET) as fake:
        fake.challenges = [f'Bearer realm="http://{other.host}/token"']
        port = fake.host.partition(":")[2]
        monkeypatch.setenv("BUILDR_PLAIN_HTTP", f"plain.example:{port},{other.host}")
        import socket

        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo",
            lambda host, *rest, **named: real("127.0.0.1" if host == "plain.example" else host, *rest, **named),
        )  # fmt: skip
        registry = Registry(f"plain.example:{port}", Login("plain.example", "u", SECRET))
        with contextlib.closing(registry), pytest.raises(RegistryUnreachable, match="sends to|login sent"):
            registry.ping()
        assert fake.requests, "the control: the name led to it"
        assert other.requests == []


@pytest.mark.parametrize("given", ["plain.example:80", "plain.example", " PLAIN.example , other.example"])
def test_plain_http_in_other_spellings(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDR_PLAIN_HTTP", given)
    registry = Registry("reg.example")
    registry._shared.base = "https://reg.example/v2/"
    with contextlib.closing(registry):
        for url in ("http://plain.example/x", "http://plain.example:80/x"):
            assert registry.checked(url) == url
        for url in ("http://plain.example:81/x", "http://reg.example/x"):
            with pytest.raises(RegistryUnreachable, match="not encrypted"):
                registry.checked(url)


# -- names that lead to this machine


def test_a_name_that_leads_to_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A registry elsewhere sends to a name; the canary is a server on loopback that the name leads to."""
    import socket

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo",
        lambda host, *rest, **named: real("127.0.0.1" if host.endswith(".example") else host, *rest, **named),
    )  # fmt: skip
    with FakeRegistry() as canary, FakeRegistry() as fake:
        port = fake.host.partition(":")[2]
        inner = f"inner.example:{canary.host.partition(':')[2]}"
        monkeypatch.setenv("BUILDR_PLAIN_HTTP", f"reg.example:{port},{inner}")
        fake.rule = lambda handler: handler.answer(307, b"", [("Location", f"http://{inner}/v2/")]) is None
        registry = Registry(f"reg.example:{port}")
        with contextlib.closing(registry), pytest.raises(RegistryUnreachable, match="sends by a name to 127.0.0.1"):
            registry.ping()
        assert fake.requests, "the registry that the user named may be anywhere"
        assert canary.requests == []
        named = Registry(inner)
        with contextlib.closing(named):
            named.ping()
        assert canary.requests, "the control: the name leads there"
