"""podman's service: where one is looked for, and one of our own over a command that does as podman's does."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildr_jupyter.builder.podman import service as subject
from buildr_jupyter.builder.podman.service import Service, find, leased, own
from buildr_jupyter.errors import EngineError, EngineUnavailable
from tests.engines import short_folder
from tests.fakes.processes import arguments_with

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="podman serves on Linux")

SERVES = """#!{python}
import pathlib, socket, sys
path = sys.argv[-1].removeprefix("unix://")
assert sys.argv[1:4] == ["system", "service", "--time=60"], sys.argv
with socket.socket(socket.AF_UNIX) as server:
    server.bind(path)
    server.listen()
    while True:
        server.accept()[0].close()
"""
FAILS = "#!{python}\nimport sys\nsys.exit('no subuid ranges for this user')\n"


@pytest.fixture
def command() -> Iterator[Callable[[str], dict[str, str]]]:
    """Put a program in podman's place; give the environment that has it."""
    with short_folder() as folder:

        def put(program: str) -> dict[str, str]:
            (folder / "podman").write_text(program.format(python=sys.executable))
            (folder / "podman").chmod(0o755)
            return {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "TMPDIR": str(folder)}

        yield put
        subject._end_all()


@pytest.fixture
def listening() -> Iterator[Callable[[Path], None]]:
    """Have something answer at these paths."""
    servers = []

    def listen(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        server = socket.socket(socket.AF_UNIX)
        server.bind(str(path))
        server.listen()
        servers.append(server)

    yield listen
    for server in servers:
        server.close()


def test_a_service_is_where_it_is_named_else_at_the_users_socket(listening: Callable[[Path], None]) -> None:
    with short_folder() as runtime:
        environ = {"XDG_RUNTIME_DIR": str(runtime)}
        path = runtime / "podman" / "podman.sock"
        before = find(environ)
        assert before in (None, "unix:///run/podman/podman.sock"), "nobody answers at the user's socket yet"
        path.parent.mkdir()
        path.touch()
        assert find(environ) == before, "a file is no service"
        path.unlink()
        listening(path)
        assert find(environ) == f"unix://{path}"
        assert find({**environ, "CONTAINER_HOST": " tcp://there:1 "}) == "tcp://there:1"


def test_a_service_of_our_own_comes_up_and_ends_with_its_folder(command: Callable[[str], dict[str, str]]) -> None:
    made = Service(environ=command(SERVES))
    assert made.address == f"unix://{made.path}"
    assert arguments_with(made.address)
    folder = made.folder.path
    made.end()
    made.end()  # a second time is no error
    assert not folder.exists()
    assert not arguments_with(made.address)


def test_one_that_does_not_come_up_says_why_and_leaves_nothing(command: Callable[[str], dict[str, str]]) -> None:
    environ = command(FAILS)
    with pytest.raises(EngineError, match="does not come up: no subuid ranges for this user"):
        Service(environ=environ)
    assert {path.name for path in Path(environ["HOME"]).iterdir()} == {"podman"}


def test_no_podman(command: Callable[[str], dict[str, str]]) -> None:
    environ = command(SERVES)
    with pytest.raises(EngineUnavailable, match="there is no command 'podman' here"):
        Service(environ={**environ, "PATH": "/nowhere"})


def test_a_service_is_used_again_unless_its_work_failed(command: Callable[[str], dict[str, str]]) -> None:
    environ = command(SERVES)
    with leased(environ) as first:
        with leased(environ) as beside:
            assert beside is not first, "two builds at once have one each"
        with leased(environ) as again:
            assert again is beside
    with pytest.raises(ZeroDivisionError), leased(environ) as failing:
        assert failing in (first, beside)
        raise ZeroDivisionError
    assert not arguments_with(failing.address)
    with leased({**environ, "CONTAINERS_CONF": "/x"}) as other:
        assert other not in (first, beside), "other settings are another service"


def test_the_shared_one_is_started_again_where_it_has_ended(command: Callable[[str], dict[str, str]]) -> None:
    environ = command(SERVES)
    first = own(environ)
    assert own(environ) is first
    first.child.kill()
    first.child.wait()
    second = own(environ)
    assert second is not first
    assert not first.folder.path.exists()
    assert arguments_with(second.address)
