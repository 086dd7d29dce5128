"""A login that cannot be read is said, and the build goes without one."""

from __future__ import annotations

from collections.abc import Callable

from buildr_jupyter.errors import CredentialError
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.registry.keychain import Login
from buildr_jupyter.registry.login import stream_login


def followed(find: Callable[[str], Login | None], name: str) -> tuple[list[Event], Login | None]:
    events, stream = [], stream_login(find, name)
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return events, end.value


def test_what_is_found_is_returned_without_a_word() -> None:
    login = Login("ghcr.io", "u", "p")
    asked: list[str] = []
    assert followed(lambda name: asked.append(name) or login, "ghcr.io/team/app") == ([], login)
    assert asked == ["ghcr.io/team/app"]
    assert followed(lambda _: None, "ghcr.io/team/app") == ([], None)


def test_a_broken_login_is_a_warning_that_names_the_registry() -> None:
    def broken(_: str) -> Login | None:
        raise CredentialError("the helper docker-credential-x is not there", hint="install it")

    events, login = followed(broken, "ghcr.io/team/app")
    assert login is None
    assert events == [BuildWarning("no login for ghcr.io: the helper docker-credential-x is not there", "install it")]
