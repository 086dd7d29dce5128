"""What the doors share: naming a cell, logging in, proving a program."""

from __future__ import annotations

import contextlib
import getpass
import sys
from collections.abc import Callable
from typing import Any

from buildr_jupyter.assembly import Assembly, CellSource
from buildr_jupyter.errors import ExportError, OptionError
from buildr_jupyter.ownership import Scratch
from buildr_jupyter.pipeline import Job

__all__ = ["cell_of", "check_program", "log_in"]


def cell_of(job: Job) -> dict[str, Any]:
    """Return the ``cell`` field of the JSON record: index, id, tags; unknown is None."""
    if not isinstance(job.source, CellSource):
        return {"index": None, "id": None, "tags": []}
    target = job.source.target
    return {"index": target.index, "id": target.id, "tags": list(target.tags)}


def log_in(host: str, user: str | None, password: str | None, *, ask: Callable[[str], str] = input) -> str:
    """Store a login for a registry after the registry has taken it; return a sentence saying where it is kept.

    What is not given is asked for, the password without an echo. Raises CredentialError and PublishError's kin.
    """
    from buildr_jupyter import credentials
    from buildr_jupyter.oci import registry

    if not host or "/" in host or "://" in host:
        raise OptionError(
            f"login: {host!r} is not a registry host", hint="write host or host:port, without https:// and path"
        )
    user = user or ask(f"Username for {host}: ")
    password = password or getpass.getpass(f"Password for {user} at {host}: ")

    def verify(login: credentials.Login) -> None:
        with contextlib.closing(registry.connect(host, login)) as asked:
            asked.ping()

    kept = credentials.login(host, user, password, verify=verify)
    return f"logged in to {host} as {user}; the login is kept in {kept.source}"


def check_program(assembly: Assembly, job: Job) -> str:
    """Run the exported program in a clean process and say how its output compares with the cell's last run.

    Raises ExportError where it fails or prints something else.
    """
    from buildr_jupyter import context
    from buildr_jupyter.cell import check

    if not isinstance(job.source, CellSource) or assembly.program is None:
        raise OptionError("--check: only a cell's program can be checked")
    with Scratch() as folder:
        written = context.write_folder(assembly.plan, folder / "context")
        result = check.check(written / "app", job.source.target.stdout, python=sys.executable)
    if result.exit_code or result.same is False:
        last_words = (result.stderr.strip().splitlines() or ["none"])[-1]
        raise ExportError(f"--check: {result.summary()}", hint=f"its last words: {last_words}")
    return f"check: {result.summary()}\n"
