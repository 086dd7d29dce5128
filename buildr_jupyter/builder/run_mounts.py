"""What a build may see only while it runs: caches for pip, secrets, ssh agents; for builders that know ``--mount``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.request import BuildRequest, Secret

__all__ = ["INDEX_SECRET", "index_settings", "mounted", "read_secrets", "ssh_agents"]

INDEX_SECRET = "buildr-index"  # noqa: S105 - the name of one
"""Id of the secret that holds the machine's index settings; ``install.py`` reads it."""
_INSTALL = 'RUN ["python3", "install.py", '
_CACHE = "--mount=type=cache,id=buildr-pip,target=/var/cache/buildr/pip,sharing=locked"
_CARRIER = "FTP_PROXY"
_MAX_SECRET_BYTES = 500_000  # BuildKit's own bound


def mounted(dockerfile: str, *, secrets: bool) -> str:
    """Return a rendered Dockerfile whose install step keeps pip's downloads in a cache and gets its settings so.

    The same image comes of it: neither mount is in a layer. The folder's Dockerfile has none, so that every builder
    takes it.
    """
    mounts = [_CACHE, *([f"--mount=type=secret,id={INDEX_SECRET}"] if secrets else [])]
    return dockerfile.replace(f"\n{_INSTALL}", f"\nRUN {' '.join(mounts)} {_INSTALL.removeprefix('RUN ')}", 1)


def index_settings(request: BuildRequest) -> bytes:
    """Return the index settings that the request carries as a build argument, empty where it has none."""
    value = request.build_args.get(_CARRIER, "")
    return value.encode() if value.startswith("buildr:") else b""


def read_secrets(wanted: Iterable[Secret], environ: Mapping[str, str] = os.environ) -> dict[str, bytes]:
    """Return id and content of each secret. Raises OptionError for one that is not there; no error shows a content."""
    found = {}
    for secret in wanted:
        if secret.source is not None:
            try:
                found[secret.id] = secret.source.read_bytes()
            except OSError as error:
                raise OptionError(
                    f"--secret id={secret.id}: {str(secret.source)!r} cannot be read: {error.strerror}",
                    hint="name the file that holds it",
                ) from error
        else:
            name = secret.variable or secret.id
            if name not in environ:
                raise OptionError(
                    f"--secret id={secret.id}: there is no environment variable {name}",
                    hint=f"export {name}, or --secret id={secret.id},src=FILE",
                )
            found[secret.id] = environ[name].encode(errors="surrogateescape")  # as the environment has it
        if len(found[secret.id]) > _MAX_SECRET_BYTES:
            raise OptionError(f"--secret id={secret.id}: a secret holds at most {_MAX_SECRET_BYTES} bytes")
    return found


def ssh_agents(wanted: Iterable[tuple[str, str | None]], environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return name and socket of each ssh agent. Raises OptionError where there is no agent."""
    found = {}
    for name, socket in wanted:
        path = socket or environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise OptionError(f"--ssh {name}: no ssh agent runs here", hint="start ssh-agent, or --ssh NAME=SOCKET")
        if not os.path.exists(path):  # noqa: PTH110 - an abstract text is no path
            raise OptionError(f"--ssh {name}: there is no agent at {path!r}", hint="name an agent's socket, not a key")
        found[name] = path
    return found
