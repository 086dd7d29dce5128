"""Two processes with a dockerd each at once, every process in a network namespace of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.engines import base, dockerd, network
from tests.engines._process import EngineStartError
from tests.engines.fixtures import _or_skip

PORT = 41_417
"""The port that every process binds at the same address: possible once in each namespace."""
PROCESS = """
import contextlib, json, socket, sys
from docker import APIClient
from tests.engines import Engines, base, network
from tests.engines._process import run

shared, engine = "shared" in sys.argv, "engine" in sys.argv
with contextlib.ExitStack() as ends:
    said = {}
    if not shared:
        own = network.enter()
        ends.callback(own.close)
        said["link"] = own.link
    held = ends.enter_context(socket.socket())
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("127.0.0.1", PORT))
        held.listen()
        said["bound"] = True
    except OSError:
        said["bound"] = False
    if engine:
        up = ends.enter_context(Engines(rootfs=base.small_tar)).docker()
        client = ends.enter_context(contextlib.closing(APIClient(up.host, version="auto", timeout=100)))
        said["gateway"] = up.gateway
        print(json.dumps(said), flush=True)
        for line in sys.stdin:  # both are up: now something runs in it, with and without a network to the outside
            made = client.create_container("python:3.11-slim", ["python3", "-c", line.strip()])["Id"]
            client.start(made)
            status = client.wait(made)["StatusCode"]
            said = {"status": status, "log": client.logs(made).decode(), "containers": len(client.containers(all=True))}
            print(json.dumps(said), flush=True)
    else:
        print(json.dumps(said), flush=True)
        sys.stdin.read()
""".replace("PORT", str(PORT))


@pytest.fixture(autouse=True)
def _possible() -> None:
    def ask() -> None:
        if why := network.missing():
            raise EngineStartError(why)

    _or_skip("network", ask)


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            assert child.stdin
            child.stdin.close()
            child.wait(timeout=60)


def answers(children: Sequence[subprocess.Popen[str]]) -> list[dict[str, object]]:
    """Return the next line of each."""
    return [json.loads(child.stdout.readline()) for child in children if child.stdout]


def left_of(pid: int) -> list[str]:
    """Return links and rules of the host that name the process."""
    found = []
    for command in (["ip", "-o", "link"], ["iptables", "-w", "-S"], ["iptables", "-w", "-t", "nat", "-S"]):
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        words = {line: line.replace("@", " ").replace(":", " ").split() for line in listed.splitlines()}
        found += [line for line in words if f"{network.LINK}{pid}" in words[line]]
    return found


def test_two_engines_run_at_once() -> None:
    _or_skip("docker", _engine_is_possible)
    with started("engine") as one, started("engine") as other:
        first, second = answers([one, other])
        assert first["bound"]
        assert second["bound"]
        assert first["gateway"] == second["gateway"]  # neither knows of the other
        way_out = "import socket; print(socket.create_connection(('%s', %d), 10).recv(5).decode())"
        with served() as (address, port):
            for child in (one, other):
                assert child.stdin
                child.stdin.write(way_out % (address, port) + "\n")
                child.stdin.flush()
            for said in answers([one, other]):
                assert said == {"status": 0, "log": "hello\n", "containers": 1}
    assert left_of(one.pid) == left_of(other.pid) == []


def _engine_is_possible() -> None:
    if why := dockerd.missing():
        raise EngineStartError(why)
    base.rootfs_tar(base.cache_folder())


@contextlib.contextmanager
def served() -> Iterator[tuple[str, int]]:
    """A server on an address of this process's network that is not loopback."""
    import socket

    words = subprocess.run(["ip", "-4", "route", "get", "192.0.2.77"], capture_output=True, text=True, check=True)
    address = words.stdout.split("src ")[1].split()[0]
    with socket.create_server((address, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    with server.accept()[0] as accepted:
                        accepted.sendall(b"hello")

        threading.Thread(target=serve, daemon=True).start()
        yield address, server.getsockname()[1]


def test_processes_that_share_a_network_disturb_each_other() -> None:
    with started("shared") as one:
        (first,) = answers([one])
        with started("shared") as other, started() as apart:
            second, third = answers([other, apart])
    assert (first["bound"], second["bound"], third["bound"]) == (True, False, True)


def test_what_a_killed_process_leaves_is_swept() -> None:
    with started() as lives, started() as killed:
        answers([lives, killed])
        assert len(left_of(lives.pid)) == len(left_of(killed.pid)) == 4
        killed.kill()
        killed.wait()
        assert len(left_of(killed.pid)) >= 3  # the link goes with the namespace, the rules do not
        network.sweep()
        assert left_of(killed.pid) == []
        assert len(left_of(lives.pid)) == 4
    assert left_of(lives.pid) == []


def test_a_namespace_that_cannot_be_connected_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = network.networks_in_use()
    monkeypatch.setattr(network.OwnNetwork, "_let_through", lambda *_: network._ip("link", "set", "nowhere", "up"))
    with pytest.raises(EngineStartError, match="failed with status"):
        network.enter()
    assert network.networks_in_use() == before
    assert network.try_out() is not None
