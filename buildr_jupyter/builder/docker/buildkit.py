"""BuildKit inside a Docker Engine: whether it is offered, what a build asks of it, and how it is asked.

Source: Docker Engine API 1.41, ``POST /build`` with ``version=2``; moby ``api/server/router/build`` and
``builder/builder-next``. docker-py knows neither ``version`` nor ``session``, so the request is made here with its own
means. With a session the engine asks for the files that changed; without one the body is the same tar as for the
classic builder. BuildKit does not read .dockerignore in that, so what it names is left out here; a Dockerfile that it
names is sent all the same, and a ``COPY .`` takes it along.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from buildr_jupyter.builder.buildkit.filesync import SharedFolder
from buildr_jupyter.builder.buildkit.session import SessionServices, can_serve, open_session
from buildr_jupyter.builder.run_mounts import INDEX_SECRET, index_settings, mounted, read_secrets, ssh_agents
from buildr_jupyter.context.base_images import read_dockerfile
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import address_of
from buildr_jupyter.errors import BuildRefused
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.model.request_secrets import secrets_of
from buildr_jupyter.registry import keychain

__all__ = ["offers_buildkit", "post_build", "query_of", "served", "with_mounts"]


def offers_buildkit(client: EngineClient, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether builds go to BuildKit: the engine has it with ``--mount`` (API 1.41), and DOCKER_BUILDKIT is not 0.

    podman says yes to everything and then builds in its own way; it is left to that.
    """
    if environ.get("DOCKER_BUILDKIT", "").strip().lower() in ("0", "false"):
        return False
    version = tuple(int(part) for part in str(client.api_version).split(".") if part.isdigit())
    if version < (1, 41):
        return False
    answer = client._get(client._url("/_ping"))
    said = answer.headers
    return bool(answer.ok and said.get("Ostype") == "linux" and not said.get("Server", "").startswith("Libpod"))


def lacks_heredocs(client: EngineClient, request: BuildRequest) -> str | None:
    """Return why the engine's BuildKit does not know here-documents, None where it does.

    It came with Dockerfile 1.4, which is inside of engines since 23.0; a ``# syntax=`` line fetches it into older ones.
    """
    if read_dockerfile(request).syntax:
        return None
    version = str(client.version().get("Version", ""))
    major = version.partition(".")[0]
    if not major.isdigit() or int(major) >= 23:
        return None
    return f"the BuildKit of engine {version} does not know them, unless '# syntax=docker/dockerfile:1' comes first"


@contextlib.contextmanager
def served(
    client: EngineClient,
    request: BuildRequest,
    logins: Mapping[str, keychain.Login | None],
    find_login: Callable[[str], keychain.Login | None],
    folder: SharedFolder,
) -> Iterator[str | None]:
    """Serve a session while the block runs and give its id; None without h2 or where the engine has none.

    Raises BuildRefused where secrets or agents are asked for and nobody can serve them, OptionError for a secret that
    is not there.
    """
    needed = bool(secrets_of(request) or request.ssh)
    offered = read_secrets(request.secrets)
    if settings := index_settings(request):
        offered[INDEX_SECRET] = settings
    address = address_of(client)
    with contextlib.ExitStack() as stack:
        session = None
        if address is not None and can_serve():
            find = lambda host: logins[host] if host in logins else find_login(host)  # noqa: E731
            offer = SessionServices(find, offered, ssh_agents(request.ssh), folder)
            session = stack.enter_context(open_session(address, offer))
        if needed and session is None:
            raise BuildRefused(
                "Image build failed: secrets and ssh agents need a session with the engine, which it does not open",
                hint="run pip install 'buildr-jupyter[buildkit]', or take --builder buildkit",
            )
        yield session


def with_mounts(request: BuildRequest, *, secrets: bool) -> tuple[BuildRequest, bytes | None]:
    """Return the request and its Dockerfile with mounts; a Dockerfile that is not ours is taken as it is (None).

    With ``secrets`` the index settings travel as a secret, and no more as a build argument.
    """
    custom = request.plan is None or request.plan.dockerfile is not None
    if custom:
        return request, None
    dockerfile = request.context / request.dockerfile
    text = dockerfile.read_text(encoding="utf-8")
    if secrets and index_settings(request):
        kept = {name: value for name, value in request.build_args.items() if name != "FTP_PROXY"}
        request = replace(request, build_args=kept)
    return request, mounted(text, secrets=secrets).encode()


def query_of(request: BuildRequest, *, build_id: str, session: str | None) -> dict[str, str]:
    """Return the query of ``POST /build``; ``pull`` is left to who calls, so that a base that is there is used."""
    custom = request.plan.dockerfile if request.plan else None
    platforms = request.target_platforms
    arguments = {**dict(custom.build_args if custom else ()), **request.build_args}
    query = {
        "version": "2",
        "buildid": build_id,
        "dockerfile": request.dockerfile,
        "nocache": "1" if request.no_cache else "",
        "buildargs": json.dumps(arguments) if arguments else "",
        "labels": json.dumps(dict(request.labels)) if request.labels else "",
        "target": request.target or (custom.target if custom else None) or "",
        "networkmode": request.network or "",
        "platform": platforms[0] if platforms else "",
        "cachefrom": json.dumps([_cache_ref(one) for one in request.cache_from]) if request.cache_from else "",
        "session": session or "",
        "remote": "client-session" if session else "",
    }
    return {name: value for name, value in query.items() if value}


def _cache_ref(given: str) -> str:
    """Return the image of ``type=registry,ref=IMAGE`` or ``IMAGE``: the engine's API knows images only."""
    parts = dict(part.partition("=")[::2] for part in given.split(","))
    return parts.get("ref") or given


def post_build(client: EngineClient, query: Mapping[str, str], body: Iterable[bytes]) -> Iterable[bytes]:
    """Send the context and return the engine's stream, as docker-py's ``build`` would."""
    response = client._post(
        client._url("/build"),
        data=body,
        params=dict(query),
        headers={"Content-Type": "application/x-tar"},
        stream=True,
        timeout=None,
    )
    stream: Iterable[bytes] = client._stream_helper(response, decode=False)
    return stream
