"""A session with the BuildKit of a Docker Engine: logins, secrets and ssh agents, asked for while it builds.

The connection is upgraded (``POST /session``) and turned round: the engine is then the gRPC client, and we serve on it.

Source: moby/buildkit ``session/grpc.go``, ``session/auth/auth.proto``, ``session/secrets/secrets.proto``,
``session/sshforward/ssh.proto``; each message has at most two fields, so they are written by hand.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from buildr_jupyter.builder.buildkit.filesync import SharedFolder
from buildr_jupyter.builder.buildkit.filesync import field as wire
from buildr_jupyter.builder.buildkit.grpc_server import NOT_FOUND, GrpcServer, Method, RefusedCall
from buildr_jupyter.builder.buildkit.proto import fields_of
from buildr_jupyter.engine.connection import Address
from buildr_jupyter.errors import CredentialError
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.registry import keychain

__all__ = ["SessionServices", "can_serve", "open_session"]

_HEALTH = "/grpc.health.v1.Health/Check"
_LOGIN = "/moby.filesync.v1.Auth/Credentials"
_GET_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"  # noqa: S105 - the name of a method
_SSH_CHECK = "/moby.sshforward.v1.SSH/CheckAgent"
_SSH_FORWARD = "/moby.sshforward.v1.SSH/ForwardAgent"
_SSH_ID = "buildkit.ssh.id"
_DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
_HUB = ("registry-1.docker.io", "index.docker.io", "https://index.docker.io/v1/")
_CONNECT_S = 10.0
_BLOCK = 64 * 1024


@dataclass(slots=True)
class SessionServices:
    """What the engine may ask for."""

    find_login: Callable[[str], keychain.Login | None]
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    agents: Mapping[str, str] = field(default_factory=dict)
    """Name in the Dockerfile (``default``) to the agent's socket."""
    folder: SharedFolder | None = None
    warnings: list[BuildWarning] = field(default_factory=list)
    """Logins that could not be read, while the session served."""


def can_serve() -> bool:
    """Tell whether sessions can be opened here: the extra ``[buildkit]`` is installed, and there are unix sockets."""
    return hasattr(socket, "AF_UNIX") and os.name == "posix" and importlib.util.find_spec("h2") is not None


@contextlib.contextmanager
def open_session(address: Address, offer: SessionServices) -> Iterator[str | None]:
    """Serve a session while the block runs; gives its id, None where the engine offers none."""
    identity = secrets.token_hex(16)
    engine = _upgrade(address, identity, offer)
    if engine is None:
        yield None
        return
    with engine, contextlib.closing(GrpcServer(engine, _served(offer), "buildr-session")):
        yield identity


def _methods(offer: SessionServices) -> list[str]:
    """Return the methods that are announced; the others of ``_served`` refuse what was not offered."""
    methods = [_HEALTH, _LOGIN, _GET_SECRET, *([_DIFF_COPY] if offer.folder else [])]
    return [*methods, _SSH_CHECK, _SSH_FORWARD] if offer.agents else methods


# -- the connection


def _upgrade(address: Address, identity: str, offer: SessionServices) -> socket.socket | None:
    """Return a connection on which the engine speaks HTTP/2 to us, None where it does not."""
    try:
        connection = _connect(address)
    except (OSError, ssl.SSLError):
        return None
    if connection is None:
        return None
    lines = [
        "POST /session HTTP/1.1",
        "Host: docker",
        "Connection: Upgrade",
        "Upgrade: h2c",
        f"X-Docker-Expose-Session-Uuid: {identity}",
        "X-Docker-Expose-Session-Name: buildr",
        f"X-Docker-Expose-Session-Sharedkey: {offer.folder.key if offer.folder else ''}",
        *(f"X-Docker-Expose-Session-Grpc-Method: {method}" for method in _methods(offer)),
    ]
    try:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = connection.recv(1)  # not one byte more: HTTP/2 follows
            if not byte or len(head) > _BLOCK:
                raise OSError("the engine closed the connection")
            head += byte
        if head.split(None, 2)[1:2] != [b"101"]:
            raise OSError("the engine offers no session")
    except OSError:
        connection.close()
        return None
    connection.settimeout(None)
    return connection


def _connect(address: Address) -> socket.socket | None:
    parts = urlsplit(address.url)
    if parts.scheme == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_CONNECT_S)
        try:
            connection.connect("/" + address.url.removeprefix("unix://").lstrip("/"))
        except OSError:
            connection.close()
            raise
        return connection
    if parts.scheme not in ("tcp", "http", "https") or not parts.hostname:
        return None
    plain = socket.create_connection((parts.hostname, parts.port or (2376 if address.tls else 2375)), _CONNECT_S)
    if not address.tls:
        return plain
    context = ssl.create_default_context(cafile=str(address.ca) if address.ca else None)
    if not address.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if address.certificate and address.key:
        context.load_cert_chain(str(address.certificate), str(address.key))
    try:
        return context.wrap_socket(plain, server_hostname=parts.hostname)
    except OSError:
        plain.close()
        raise


# -- what is served


def _message(*values: bytes) -> bytes:
    """Return a protobuf message whose fields 1, 2 … are these bytes; empty ones are left out."""
    return b"".join(wire(number, value) for number, value in enumerate(values, 1))


def _first(data: bytes) -> bytes:
    return next((value for number, value in fields_of(data) if number == 1 and isinstance(value, bytes)), b"")


def _served(offer: SessionServices) -> dict[str, Method]:
    """Return the methods, by their paths."""

    def login(request: bytes) -> bytes:
        host = _first(request).decode("utf-8", "replace")
        try:
            found = offer.find_login("docker.io" if host in _HUB else host)
        except CredentialError as error:
            offer.warnings.append(BuildWarning(f"no login for {host}: {error}", error.hint))
            found = None
        if found is None:
            return b""
        if found.identity_token:
            return _message(b"", found.identity_token.encode())
        return _message(found.user.encode(), found.password.encode())

    def secret(request: bytes) -> bytes:
        name = _first(request).decode("utf-8", "replace")
        if name not in offer.secrets:
            raise RefusedCall(NOT_FOUND, f"secret {name}: not found")
        return _message(offer.secrets[name])

    def agent(name: str) -> str:
        if name not in offer.agents:
            raise RefusedCall(NOT_FOUND, f"unset ssh forward key {name}")
        return offer.agents[name]

    def check(request: bytes) -> bytes:
        agent(_first(request).decode("utf-8", "replace") or "default")
        return b""

    def forward(requests: Iterable[bytes], metadata: Iterable[tuple[str, str]]) -> Iterator[list[bytes]]:
        for message in _forward(agent(dict(metadata).get(_SSH_ID) or "default"), requests):
            yield [message]

    methods = {
        _HEALTH: _unary(lambda _request: b"\x08\x01"),
        _LOGIN: _unary(login),
        _GET_SECRET: _unary(secret),
        _SSH_CHECK: _unary(check),
        _SSH_FORWARD: forward,
    }
    return {**methods, _DIFF_COPY: offer.folder.serve} if offer.folder else methods


def _unary(answer: Callable[[bytes], bytes]) -> Method:
    """Return the method that takes one message and gives one."""
    return lambda requests, _metadata: ([answer(next(requests, b""))],)


def _forward(agent: str, requests: Iterable[bytes]) -> Iterator[bytes]:
    """Pass the messages of one connection on to an ssh agent and its answers back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(agent)

        def send() -> None:
            end = socket.SHUT_WR
            try:
                for message in requests:
                    connection.sendall(_first(message))
            except Exception:  # noqa: BLE001 - the call has ended, or the agent: no answer is waited for
                end = socket.SHUT_RDWR
            with contextlib.suppress(OSError):
                connection.shutdown(end)

        sender = threading.Thread(target=send, name="buildr-ssh", daemon=True)
        sender.start()
        while block := connection.recv(_BLOCK):
            yield _message(block)
