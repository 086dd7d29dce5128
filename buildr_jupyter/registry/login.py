"""Logins for a build: looked up when they are needed; one that cannot be read is said, and the build goes without."""

from __future__ import annotations

from collections.abc import Callable, Generator

from buildr_jupyter.errors import CredentialError
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.registry.keychain import Login

__all__ = ["stream_login"]


def stream_login(find_login: Callable[[str], Login | None], name: str) -> Generator[Event, None, Login | None]:
    """Return the login for a registry or a repository (``host/team/app``).

    None where nobody knows one, or where it cannot be read, which is said.
    """
    try:
        return find_login(name)
    except CredentialError as error:
        yield BuildWarning(f"no login for {name.partition('/')[0]}: {error}", error.hint)
        return None
