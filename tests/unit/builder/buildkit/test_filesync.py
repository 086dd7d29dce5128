"""A folder served to BuildKit: packets in order, content on request, errors told; no packets break it."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildr_jupyter.builder.buildkit.filesync import SharedFolder, field
from buildr_jupyter.builder.buildkit.proto import DecodeError, fields_of
from buildr_jupyter.context import folder as context
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.model.request import BuildRequest

STAT, REQUEST, DATA, FINISH, ERROR = range(5)


OPEN: list[queue.Queue[bytes | None]] = []


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Each call ends with its test, and the thread that reads it with the call."""
    yield
    for asked in OPEN:
        asked.put(None)
    OPEN.clear()


class Receiver:
    """The engine's side of one call: takes packets, asks for files."""

    def __init__(self, folder: SharedFolder, **asked: Any) -> None:
        self._asked: queue.Queue[bytes | None] = queue.Queue()
        OPEN.append(self._asked)
        metadata = [(name.replace("_", "-"), value) for name, values in asked.items() for value in values]
        self._packets = itertools.chain.from_iterable(folder.serve(iter(self._asked.get, None), metadata))
        self.stats: list[dict[int, Any]] = []
        for packet in self._packets:
            told = dict(fields_of(packet))
            if told.get(1, STAT) != STAT or not told.get(2):
                self.last = told
                break
            self.stats.append(dict(fields_of(told[2])))  # type: ignore[arg-type]

    @property
    def names(self) -> list[str]:
        return [stat[1].decode() for stat in self.stats]

    def content(self, name: str) -> bytes:
        number = self.names.index(name)
        self._asked.put(field(1, REQUEST) + field(3, number))
        content = b""
        for packet in self._packets:
            told = dict(fields_of(packet))
            if told.get(1) == ERROR:
                raise RuntimeError(told[4].decode())  # type: ignore[union-attr]
            assert (told[1], told.get(3, 0)) == (DATA, number)
            if not told.get(4):
                return content
            content += told[4]  # type: ignore[operator]
        raise AssertionError("it ended")

    def finish(self) -> None:
        self._asked.put(field(1, FINISH))
        assert list(self._packets) == [field(1, FINISH)]
        self._asked.put(None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"Dockerfile": "FROM x", "a/b.txt": "1", "a.txt": "22", "ü/x y": "", "z": "z" * 600_000}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "link").symlink_to("a.txt")
    return tmp_path


def test_names_then_content(folder: Path) -> None:
    receiver = Receiver(SharedFolder(BuildRequest(folder, ()), None), dir_name=["context"])
    assert receiver.names == ["Dockerfile", "a", "a/b.txt", "a.txt", "link", "z", "ü", "ü/x y"]
    modes = {stat[1].decode(): stat[2] for stat in receiver.stats}
    assert modes["a"] >> 31 == 1
    assert modes["link"] == 1 << 27 | 0o777
    assert receiver.stats[receiver.names.index("link")][7] == b"a.txt"
    assert receiver.content("z") == b"z" * 600_000
    assert receiver.content("a/b.txt") == b"1"
    assert receiver.content("ü/x y") == b""
    receiver.finish()


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"include_patterns": ["Dockerfile", "Dockerfile.dockerignore"]}, ["Dockerfile"]),
        ({"followpaths": ["a"]}, ["a", "a/b.txt"]),
        ({"followpaths": ["a/b.txt", "a", "none"]}, ["a", "a/b.txt"]),
        ({"followpaths": ["a", "*.txt"]}, None),
        ({"followpaths": ["link"]}, None),
        ({"followpaths": ["."]}, None),
        ({"exclude_patterns": ["a", "z", "!a/b.txt", "**/x*"]}, ["Dockerfile", "a", "a/b.txt", "a.txt", "link", "ü"]),
        ({"exclude_patterns": ["%C3%BC"], "exclude_patterns_encoded": ["1"], "followpaths": ["ü"]}, []),
    ],
)
def test_what_is_asked_for(folder: Path, asked: Any, names: list[str] | None) -> None:
    found = Receiver(SharedFolder(BuildRequest(folder, ()), None), **asked).names
    assert found == (names if names is not None else ["Dockerfile", "a", "a/b.txt", "a.txt", "link", "z", "ü", "ü/x y"])


def test_a_dockerfile_in_place_of_the_folders(folder: Path) -> None:
    receiver = Receiver(SharedFolder(BuildRequest(folder, ()), b"FROM y"), include_patterns=["Dockerfile"])
    assert receiver.content("Dockerfile") == b"FROM y"


def test_a_plan(tmp_path: Path) -> None:
    entries = tuple(FileEntry.from_bytes(f"app/{name}", name.encode()) for name in ("main.py", "data/x", "data.txt"))
    plan = ImagePlan(base="x", python="3.11", files=entries)
    folder = context.write_folder(plan, tmp_path / "made")
    (folder / "app" / "stray").write_text("")
    shared = SharedFolder(BuildRequest(folder, (), plan=plan), None)
    receiver = Receiver(shared, exclude_patterns=["buildr.json"])
    assert receiver.names == [
        ".dockerignore", "Dockerfile", "app", "app/data", "app/data/x", "app/data.txt", "app/main.py", "requirements.txt",
    ]  # fmt: skip
    assert all(6 not in stat for stat in receiver.stats), "a time of this machine would be in the image"
    assert receiver.content("app/main.py") == b"main.py"
    (folder / "app" / "data" / "x").write_text("other!")
    with pytest.raises(RuntimeError, match="app/data/x changed"):
        receiver.content("app/data/x")
    assert "app/data/x changed" in str(shared.error)
    other = replace(plan, files=entries[:1])
    assert SharedFolder(BuildRequest(folder, (), plan=other), None).key != shared.key


def test_what_cannot_be_read_is_told(folder: Path) -> None:
    shared = SharedFolder(BuildRequest(folder, ()), None)
    receiver = Receiver(shared)
    (folder / "a.txt").unlink()
    with pytest.raises(RuntimeError, match=r"a\.txt in the context folder cannot be read"):
        receiver.content("a.txt")
    assert shared.error is not None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=20), st.integers(0, 100).map(lambda n: field(1, REQUEST) + field(3, n)))))
def test_no_packets_break_it(folder: Path, packets: list[bytes]) -> None:
    def asked() -> Iterator[bytes]:
        yield from packets
        yield field(1, FINISH)

    shared = SharedFolder(BuildRequest(folder, ()), None)
    try:
        for _ in shared.serve(asked(), ()):
            pass
    except DecodeError:
        pass
    assert shared.error is None
    assert threading.active_count() < 50
