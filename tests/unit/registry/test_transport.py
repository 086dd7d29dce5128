"""Requests to a registry: what is asked again and after how long, where a redirect may lead, what a failure says."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
import requests

from buildr_jupyter.errors import Cancelled, PublishError, RegistryUnauthorized, RegistryUnreachable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.registry.keychain import Login
from buildr_jupyter.registry.transport import Connection, RetryPolicy, _why, known_ca
from tests.fakes.registry import FakeRegistry


@contextlib.contextmanager
def connected(fake: FakeRegistry, patience: RetryPolicy | None = None) -> Iterator[Connection]:
    made = Connection(fake.host, Login(fake.host, "u", "p"), patience=patience)
    try:
        yield made
    finally:
        made.close()


def ask(connection: Connection, path: str = "x/tags/list", **more: bool) -> requests.Response:
    return connection.ask("GET", path, scope="repository:x:pull", what="x", **more)


# -- again


def test_a_wait_doubles_with_a_little_chance_and_has_an_end() -> None:
    policy = RetryPolicy(retries=9, first_wait_s=0.5)
    for attempt in range(12):
        least = min(0.5 * 2**attempt, 30.0)
        assert least <= policy.wait_s(attempt) <= min(1.25 * least, 30.0)


@pytest.mark.parametrize(
    ("said", "waited"),
    [("7", 7.0), ("0", 0.0), ("86400", 30.0), (formatdate(1_000_012, usegmt=True), 12.0), (formatdate(999_000), 0.0)],
)
def test_a_registry_says_when(said: str, waited: float) -> None:
    assert RetryPolicy(now=lambda: 1_000_000.0).wait_s(3, said) == waited


def test_what_may_get_better_is_asked_again_as_often_as_the_policy_says() -> None:
    waits: list[float] = []
    with FakeRegistry() as fake, connected(fake, RetryPolicy(retries=2, sleep=waits.append)) as connection:
        fake.fail = [503, 429]
        assert ask(connection).status_code == 404
        assert len(waits) == 2
        fake.fail = [503, 503, 503]
        with pytest.raises(PublishError) as refused:
            ask(connection)
        assert (refused.value.status, len(waits)) == (503, 4)
        fake.fail = [503]
        with pytest.raises(PublishError):
            ask(connection, again=False)
        fake.fail = [400]
        with pytest.raises(PublishError):
            ask(connection)
        assert len(waits) == 4


def test_a_wait_ends_with_its_cancel() -> None:
    cancel = CancelToken()

    def sleep(_: float) -> None:
        cancel.set()

    with FakeRegistry() as fake, connected(fake, RetryPolicy(retries=5, sleep=sleep)) as connection:
        fake.fail = [503] * 5
        with pytest.raises(Cancelled):
            ask(connection.until(cancel))
        assert len(fake.fail) == 4
        assert ask(connection, again=True).status_code == 404  # the client itself goes on, past the four that are left


def test_a_registry_that_never_answered_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name may be wrong: the user is told at once."""
    monkeypatch.setenv("NO_PROXY", "*")
    connection = Connection("127.0.0.1:1", patience=RetryPolicy(retries=5, sleep=lambda _: pytest.fail("it waited")))
    with pytest.raises(RegistryUnreachable, match="cannot be reached: Connection refused"):
        ask(connection)
    connection.close()


# -- redirects


def test_a_redirect_in_a_circle_ends() -> None:
    with FakeRegistry() as fake, connected(fake) as connection:
        fake.rule = lambda handler: handler.answer(307, b"", [("Location", handler.path + "x")]) is None
        with pytest.raises(RegistryUnreachable, match="without end"):
            ask(connection)
        assert len([one for one in fake.requests if "/tags/list" in one[1]]) <= 6


@pytest.mark.parametrize("to", ["https://[::1/v2", "https://[x]/"])
def test_a_redirect_to_no_address_is_one_sentence(to: str) -> None:
    with FakeRegistry() as fake, connected(fake) as connection:
        fake.rule = lambda handler: handler.answer(307, b"", [("Location", to)]) is None
        with pytest.raises(RegistryUnreachable, match="sends to an address that cannot be read"):
            ask(connection)


def test_what_a_redirect_leads_to_is_not_given_a_login_though_it_asks() -> None:
    with FakeRegistry(auth="basic") as other, FakeRegistry() as fake, connected(fake) as connection:
        to = [("Location", f"http://{other.host}/v2/x/tags/list")]
        fake.rule = lambda handler: "tags" in handler.path and handler.answer(307, b"", to) is None
        with pytest.raises(RegistryUnauthorized, match="wants a login of its own"):
            ask(connection)
        assert [fields.get("Authorization") for _, _, fields in other.requests] == [None]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://:80/x", "names no host"),
        ("https://x:99999/", "names no host"),
        ("https://[::1/v2/", "names no host"),
        ("https://[x]/v2/", "names no host"),
        ("http://elsewhere.example/v2/", "is not encrypted"),
        ("ftp://elsewhere.example/v2/", "is not encrypted"),
        ("https://127.0.0.1/v2/", "an address of this machine"),
        ("https://169.254.169.254/latest", "an address of this machine"),
    ],
)
def test_an_address_that_a_registry_elsewhere_may_not_name(url: str, why: str) -> None:
    connection = Connection("registry.example")
    with pytest.raises(RegistryUnreachable, match=why):
        connection.checked(url)
    assert connection.checked("https://blobs.example/x") == "https://blobs.example/x"
    assert connection.checked("/v2/x/blobs/y") == "https://registry.example/v2/x/blobs/y"
    connection.close()


def test_a_host_that_the_user_named_is_spoken_to_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDR_PLAIN_HTTP", "plain.example:5000, other.example")
    connection = Connection("registry.example")
    assert connection.checked("http://plain.example:5000/x") == "http://plain.example:5000/x"
    with pytest.raises(RegistryUnreachable, match="is not encrypted"):
        connection.checked("http://plain.example:5001/x")
    connection.close()


# -- what stands on the disk, and what is said


def test_the_authority_of_a_host_is_found_where_docker_and_podman_keep_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert known_ca("registry.example:5000") is None
    for tool in ("containers", "docker"):  # docker's comes first
        folder = tmp_path / tool / "certs.d" / "registry.example:5000"
        folder.mkdir(parents=True)
        (folder / "ca.crt").touch()
        assert known_ca("registry.example:5000") == folder / "ca.crt"
    assert known_ca("registry.example") is None


def test_a_reason_is_a_sentence_without_addresses_of_objects() -> None:
    raised = requests.ConnectionError(
        "HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: /v2/ (Caused by "
        "NewConnectionError('<urllib3.connection.HTTPSConnection object at 0x7f>: Failed to establish a new "
        "connection: [Errno 111] Connection refused'))"
    )
    assert _why(raised) == "Connection refused"
    assert _why(requests.ConnectionError("<object at 0x7f>")) == "ConnectionError"


def test_views_of_a_client_share_what_it_learned() -> None:
    with FakeRegistry(auth="bearer") as fake, connected(fake) as connection:
        for _ in itertools.repeat(None, 3):
            ask(connection.until(CancelToken()))
        assert len([path for _, path, _ in fake.requests if path.startswith("/token")]) == 1
