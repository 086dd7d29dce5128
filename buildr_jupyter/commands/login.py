"""What the entry points share: naming a cell, logging in."""

from __future__ import annotations

import contextlib
import getpass
import warnings
from collections.abc import Callable

from buildr_jupyter.errors import CredentialError, ImageRefError, OptionError, RegistryUnauthorized
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.planner import CellSource

__all__ = ["cell_of", "check_host", "log_in"]


def cell_of(job: ExportRequest) -> dict[str, object]:
    """Return the ``cell`` field of the JSON record: index, id, tags; unknown is None."""
    if not isinstance(job.source, CellSource):
        return {"index": None, "id": None, "tags": []}
    target = job.source.target
    return {"index": target.index, "id": target.id, "tags": list(target.tags)}


def check_host(command: str, host: str) -> None:
    """Raise OptionError for a text that is no ``HOST[:PORT]`` of a registry."""
    try:
        good = "/" not in host and bool(ImageRef.parse(f"{host.lower()}/image"))
    except ImageRefError:
        good = False
    if not good:
        raise OptionError(
            f"{command}: {host!r} is not a registry host", hint="write host or host:port, without https:// and path"
        )


def log_in(host: str, user: str | None, password: str | None, *, ask: Callable[[str], str] = input) -> str:
    """Store a login for a registry after the registry has taken it; return a sentence saying where it is kept.

    What is not given is asked for, the password without an echo. Raises CredentialError and PublishError's kin.
    """
    from buildr_jupyter.registry import client as registry
    from buildr_jupyter.registry import keychain

    check_host("login", host)
    try:
        user = user or ask(f"Username for {host}: ")
        if not password:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)
                password = getpass.getpass(f"Password for {user} at {host}: ")
    except (EOFError, getpass.GetPassWarning):
        raise CredentialError(
            f"login: there is nobody here to ask for the login of {host}",
            hint=f"give both: buildr login {host} --username NAME --password-stdin < FILE",
        ) from None

    def verify(login: keychain.Login) -> None:
        with contextlib.closing(registry.connect(host, login)) as asked:
            try:
                asked.ping()
            except RegistryUnauthorized as error:
                error.hint = "correct the user name or the password: many registries want a token in its place"
                raise

    kept = keychain.login(host, user, password, verify=verify)
    return f"logged in to {host} as {user}; the login is kept in {kept.source}"
