"""Auth file: logins in the form that docker's and podman's tools read."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping

from buildr_jupyter.process.tempfiles import Scratch
from buildr_jupyter.registry import keychain

__all__ = ["auth_json", "authfile"]


def auth_json(logins: Mapping[str, keychain.Login | None]) -> str:
    """Return logins as docker's and podman's files hold them; ``logins`` is by repository (``host/team/app``).

    A login for a part of a registry stands under the whole repository: kaniko looks for that or for the host only.
    """
    table: dict[str, dict[str, str]] = {}
    for location, login in logins.items():
        if login is None:
            continue
        text = f"{login.user}:{login.password}".encode()
        entry = {"auth": base64.b64encode(text).decode()}
        if login.identity_token:
            entry["identitytoken"] = login.identity_token
        keys = [location] if login.namespace else [keychain.server_address(login.host)]
        if login.namespace and login.host == "docker.io":
            keys.append(f"index.{location}")
        table |= dict.fromkeys(keys, entry)
    return json.dumps({"auths": table})


@contextlib.contextmanager
def authfile(logins: Mapping[str, keychain.Login | None]) -> Iterator[list[str]]:
    """Give ``--authfile FILE`` with these logins (by repository), and no others, while the context lasts.

    The file is for this user only, and gone afterwards. It is given without logins, too: the command's own default
    may name a file that is not there, which it refuses.
    """
    with Scratch() as folder:
        file = folder / "auth.json"
        file.touch(mode=0o600)
        file.write_text(auth_json(logins), encoding="utf-8")
        yield ["--authfile", str(file)]
