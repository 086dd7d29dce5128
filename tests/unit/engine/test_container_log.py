"""The last lines of a container's log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from buildr_jupyter.engine.container_log import read_tail

PODMAN = {"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}
DOCKER = {"Components": [{"Name": "Engine"}, {"Name": "containerd"}]}


class Log:
    """A client whose container wrote these pieces; podman's gives a line by ``tail`` from its last piece on."""

    def __init__(self, version: dict[str, Any], pieces: list[bytes]) -> None:
        self._version, self._pieces = version, pieces

    def version(self) -> dict[str, Any]:
        return self._version

    def logs(self, container: str, *, stream: bool, follow: bool, tail: int | str = "all") -> Iterator[bytes]:
        assert (container, stream, follow) == ("c1", True, False)
        if tail == "all":
            yield from self._pieces
            return
        if self._version is PODMAN:
            yield from [piece for piece in self._pieces if piece.endswith(b"\n")][-int(tail) :]
            return
        lines = b"".join(self._pieces).splitlines(keepends=True)
        yield from lines[-int(tail) :]


@pytest.mark.parametrize("version", [PODMAN, DOCKER, {}], ids=["podman", "docker", "unknown"])
def test_a_line_that_was_written_in_pieces(version: dict[str, Any]) -> None:
    pieces = [b"first\n", b"second\n", b"do", b"ne", b"\n"]
    assert read_tail(Log(version, pieces), "c1", 2) == ("second", "done")  # type: ignore[arg-type]


def test_lines_without_an_end() -> None:
    client = Log(PODMAN, [b"first\n", *[b"x" * 1000] * 1000, b"end"])
    (line,) = read_tail(client, "c1", 1)  # type: ignore[arg-type]
    assert line.endswith("xend")
    assert len(line) == 1 << 16


def test_nothing_was_written() -> None:
    assert read_tail(Log(PODMAN, []), "c1", 20) == ()  # type: ignore[arg-type]
