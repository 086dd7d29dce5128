"""A session with an engine that asks: the connection is turned round, and what is served is what was offered."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.builder.buildkit.proto import fields_of
from buildr_jupyter.builder.buildkit.session import SessionServices, can_serve, open_session
from buildr_jupyter.engine.connection import Address
from buildr_jupyter.errors import CredentialError
from buildr_jupyter.registry.keychain import Login
from tests.engines import short_folder

pytestmark = pytest.mark.skipif(not can_serve(), reason="sessions need the extra [buildkit] and unix sockets")

LOGIN = "/moby.filesync.v1.Auth/Credentials"
SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
CHECK, FORWARD = "/moby.sshforward.v1.SSH/CheckAgent", "/moby.sshforward.v1.SSH/ForwardAgent"


class Engine:
    """The engine's half: it takes ``POST /session``, and then asks over that connection."""

    def __init__(self, folder: Path, answer: bytes = b"HTTP/1.1 101 UPGRADED\r\n\r\n") -> None:
        self.head, self.answer = b"", answer
        self.asks_at = f"unix:{folder / 'asks'}"
        self.address = Address(f"unix://{folder / 'engine'}", "test")
        self._engine, self._asks = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        for server, name in ((self._engine, "engine"), (self._asks, "asks")):
            server.bind(str(folder / name))
            server.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            session, _ = self._engine.accept()
            with session:
                while not self.head.endswith(b"\r\n\r\n"):
                    self.head += session.recv(4096)
                session.sendall(self.answer)
                asking, _ = self._asks.accept()
                with asking:
                    other = threading.Thread(target=_copy, args=(asking, session), daemon=True)
                    other.start()
                    _copy(session, asking)
                    other.join(60)

    def close(self) -> None:
        for server in (self._engine, self._asks):
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        self._thread.join(60)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            target.sendall(block)
    for side in (source, target):
        with contextlib.suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def engine(answer: bytes = b"HTTP/1.1 101 UPGRADED\r\n\r\n") -> Iterator[Engine]:
    with short_folder() as folder:
        made = Engine(folder, answer)
        try:
            yield made
        finally:
            made.close()


def text(number: int, value: str) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value.encode()


def values(answer: bytes) -> dict[int, object]:
    return dict(fields_of(answer))


def offered(**more: object) -> SessionServices:
    def find_login(host: str) -> Login | None:
        if host == "broken.example":
            raise CredentialError("the helper fails", hint="log in again")
        known = {"docker.io": Login("docker.io", "ada", "pw"), "token.example": Login("token.example", "", "", "tok")}
        return known.get(host)

    return SessionServices(find_login, **more)  # type: ignore[arg-type]


def test_logins_and_secrets_are_given_for_what_was_offered() -> None:
    import grpc

    offer = offered(secrets={"pip": b"user:pw"})
    with engine() as made, open_session(made.address, offer) as identity:
        assert f"X-Docker-Expose-Session-Uuid: {identity}".encode() in made.head
        assert f"Grpc-Method: {SECRET}".encode() in made.head
        assert b"sshforward" not in made.head, "no agent is offered"
        with grpc.insecure_channel(made.asks_at) as channel:
            login, secret = channel.unary_unary(LOGIN), channel.unary_unary(SECRET)
            assert values(login(text(1, "https://index.docker.io/v1/"), timeout=60)) == {1: b"ada", 2: b"pw"}
            assert values(login(text(1, "token.example"), timeout=60)) == {2: b"tok"}
            assert login(text(1, "unknown.example"), timeout=60) == b""
            assert login(text(1, "broken.example"), timeout=60) == b""
            assert values(secret(text(1, "pip"), timeout=60)) == {1: b"user:pw"}
            for method, asked in ((SECRET, text(1, "other")), (CHECK, b"")):
                with pytest.raises(grpc.RpcError) as refused:
                    channel.unary_unary(method)(asked, timeout=60)
                assert refused.value.code() == grpc.StatusCode.NOT_FOUND
    assert [one.text for one in offer.warnings] == ["no login for broken.example: the helper fails"]


def test_an_agent_answers_through_the_session() -> None:
    import grpc

    with short_folder() as folder, socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(folder / "agent"))
        agent.listen()

        def answer() -> None:
            connection, _ = agent.accept()
            with connection:
                connection.sendall(b"signed " + connection.recv(4096))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        offer = offered(agents={"default": str(folder / "agent")})
        with engine() as made, open_session(made.address, offer):
            with grpc.insecure_channel(made.asks_at) as channel:
                assert channel.unary_unary(CHECK)(b"", timeout=60) == b""
                messages = channel.stream_stream(FORWARD)(iter([text(1, "this")]), timeout=60)
                assert [values(one) for one in messages] == [{1: b"signed this"}]
        thread.join(60)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"", b"x" * 70_000])
def test_an_engine_without_sessions_gives_none(answer: bytes) -> None:
    with engine(answer) as made:
        if not answer:
            made.close()  # nobody listens
        with open_session(made.address, offered()) as identity:
            assert identity is None


def test_nothing_stays_after_a_session() -> None:
    before = {thread.name for thread in threading.enumerate()}
    with engine() as made, open_session(made.address, offered()) as identity:
        assert identity
    assert {thread.name for thread in threading.enumerate() if thread.name.startswith("buildr-session")} <= before
