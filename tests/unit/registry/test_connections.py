"""The connections of a registry client on a server of loopback: the peer is looked at, and a whole answer has a limit."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import requests

from buildr_jupyter.registry.connections import Adapter, InwardPeer, TooSlow, socket_of

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    """Start a server that answers once with these bytes and then waits; give its address."""
    listening, over = [], threading.Event()

    def start(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        listening.append(server)

        def run() -> None:
            try:
                connection, _ = server.accept()
            except OSError:  # closed before anybody came
                return
            with connection:
                if connection.recv(1 << 16):
                    connection.sendall(answer)
                over.wait(60)

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/v2/"

    yield start
    over.set()
    for server in listening:
        server.close()


def session(*, answer_s: float = 60.0, inward: bool = True) -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    made.mount("http://", Adapter(answer_s=answer_s, may_be_inward=lambda _host: inward, pool_maxsize=1))
    return made


def cause_of(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the error of this kind among those that led to another."""
    todo: list[BaseException] = [error]
    for one in todo:
        if isinstance(one, kind):
            return one
        more = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        todo += [found for found in more if isinstance(found, BaseException) and found not in todo]
    return None


def test_an_answer_and_the_socket_that_it_comes_from(serve: Callable[[bytes], str]) -> None:
    address = serve(ANSWER)
    with session() as made, made.get(address, stream=True) as answer:
        found = socket_of(answer)
        assert found is not None
        assert found.getpeername() == ("127.0.0.1", int(address.split(":")[2].split("/")[0]))
        assert answer.content == b"ok"


def test_an_answer_of_no_connection_has_no_socket() -> None:
    assert socket_of(requests.Response()) is None


def test_an_inward_peer_is_refused_before_a_byte_is_sent(serve: Callable[[bytes], str]) -> None:
    with session(inward=False) as made, pytest.raises(requests.RequestException) as refused:
        made.get(serve(ANSWER))
    assert str(cause_of(refused.value, InwardPeer)) == "127.0.0.1"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200"])
def test_fields_that_do_not_end_are_given_up(answer: bytes, serve: Callable[[bytes], str]) -> None:
    with session(answer_s=0.3) as made, pytest.raises((requests.RequestException, TooSlow)) as slow:
        made.get(serve(answer))
    assert cause_of(slow.value, TooSlow) is not None
