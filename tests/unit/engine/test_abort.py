"""A wait for an answer is ended from another thread, through the connections that the waiting thread asks with."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
import requests

from buildr_jupyter.engine.abort import connections_of, shut


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(server.accept()[0])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        for one in taken:
            one.close()


def ask(session: requests.Session, url: str, found: list[object], ended: list[BaseException]) -> None:
    try:
        with connections_of(session, found):
            session.get(url, timeout=60)
    except BaseException as error:  # noqa: BLE001 - handed to the test
        ended.append(error)


def until(condition: list[object]) -> None:
    for _ in range(500):
        if condition and getattr(condition[-1], "sock", None) is not None:
            return
        threading.Event().wait(0.01)
    raise AssertionError("nothing was asked")


def test_who_waits_wakes_with_an_error(silent: str) -> None:
    found: list[object] = []
    ended: list[BaseException] = []
    with requests.Session() as session:
        session.trust_env = False
        thread = threading.Thread(target=ask, args=(session, silent, found, ended))
        thread.start()
        until(found)
        shut(found)
        thread.join(10)
        assert not thread.is_alive()
    assert isinstance(ended[0], requests.exceptions.ConnectionError)


def test_another_threads_wait_goes_on(silent: str) -> None:
    mine: list[object] = []
    others: list[object] = []
    ended: list[BaseException] = []
    with requests.Session() as session:
        session.trust_env = False
        threads = [threading.Thread(target=ask, args=(session, silent, found, ended)) for found in (mine, others)]
        for thread, found in zip(threads, (mine, others), strict=True):
            thread.start()
            until(found)
        shut(mine)
        threads[0].join(10)
        assert threads[1].is_alive()
        assert not set(map(id, mine)) & set(map(id, others))
        shut(others)
        threads[1].join(10)
        assert not threads[1].is_alive()
    assert len(ended) == 2


def test_nothing_is_collected_after_the_block(silent: str) -> None:
    found: list[object] = []
    with requests.Session() as session:
        session.trust_env = False
        with connections_of(session, found):
            pass
        with pytest.raises(requests.exceptions.Timeout):
            session.get(silent, timeout=0.05)
    assert found == []


def test_what_has_no_connection_is_left_alone() -> None:
    class Bare:
        pass

    found: list[object] = []
    with connections_of(Bare(), found):
        pass
    shut([Bare(), object()])
    assert found == []
