"""The context folder as a tar."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from pathlib import Path

import pytest

from buildr_jupyter.context.tar_stream import iter_context
from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.model.request import BuildRequest


def request_for(folder: Path, plan: ImagePlan | None = None) -> BuildRequest:
    return BuildRequest(folder, (), plan=plan)


def read(request: BuildRequest) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(iter_context(request)))) as tar:
        return {member.name: member for member in tar}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "a.txt").write_text("1")
    return tmp_path


def test_members(folder: Path) -> None:
    (folder / "b").mkdir()
    (folder / "b" / "run.sh").write_text("2" * 700)
    (folder / "b" / "run.sh").chmod(0o750)
    (folder / "b" / "link").symlink_to("../a.txt")
    (folder / ("long" * 50)).write_text("")
    found = read(request_for(folder))
    assert list(found) == ["Dockerfile", "a.txt", "b", "b/link", "b/run.sh", "long" * 50]
    assert {(member.uid, member.gid, member.uname) for member in found.values()} == {(0, 0, "")}
    assert (found["b/run.sh"].mode, found["b/run.sh"].size) == (0o750, 700)
    assert found["b/link"].linkname == "../a.txt"
    assert found["b"].isdir()


def test_the_same_folder_gives_the_same_bytes(folder: Path) -> None:
    assert b"".join(iter_context(request_for(folder))) == b"".join(iter_context(request_for(folder)))


def test_sent_in_pieces(folder: Path) -> None:
    (folder / "big").write_bytes(bytes(3 << 20))
    pieces = list(iter_context(request_for(folder)))
    assert max(map(len, pieces)) <= 512 << 10
    assert len(pieces) > 5


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        ("", {"a.txt", "sub", "sub/b.txt", "sub/deep", "sub/deep/c.txt"}),
        ("*.txt", {"sub", "sub/b.txt", "sub/deep", "sub/deep/c.txt"}),
        ("# comment\n\n**/*.txt  \n!sub/deep/c.txt", {"sub", "sub/deep", "sub/deep/c.txt"}),
        ("sub\n!sub/deep", {"a.txt", "sub/deep", "sub/deep/c.txt"}),
        ("/sub/", {"a.txt"}),
        ("*\n!**/c.txt", {"sub/deep/c.txt"}),
        ("\ufeff*", set()),
    ],
)
def test_dockerignore(folder: Path, patterns: str, kept: set[str]) -> None:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "b.txt").write_text("")
    (folder / "sub" / "deep" / "c.txt").write_text("")
    (folder / ".dockerignore").write_text(patterns, encoding="utf-8")
    assert set(read(request_for(folder))) == kept | {"Dockerfile", ".dockerignore"}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no FIFOs")
def test_fifos_are_left_out(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    assert "fifo" not in read(request_for(folder))


def test_a_file_that_cannot_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = Path.open

    def refuse(self: Path, *args: object, **kwargs: object) -> object:
        if self.name == "a.txt":
            raise PermissionError(13, "Permission denied", str(self))
        return known(self, *args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(
        ContextError, match=r"^a\.txt in the context folder cannot be read: Permission denied$"
    ) as caught:
        read(request_for(folder))
    assert ".dockerignore" in str(caught.value.hint)


class TestPlan:
    def plan(self, **files: bytes) -> ImagePlan:
        entries = tuple(FileEntry.from_bytes(path.replace("__", "/"), content) for path, content in files.items())
        return ImagePlan("python:3", "3.11", files=entries)

    def test_only_what_it_names(self, folder: Path) -> None:
        (folder / "app").mkdir()
        (folder / "app" / "main").write_bytes(b"x")
        (folder / "app" / "stray").write_bytes(b"x")
        (folder / "stray").mkdir()
        found = read(request_for(folder, self.plan(app__main=b"x")))
        assert list(found) == ["Dockerfile", "a.txt", "app", "app/main"]
        assert {member.mtime for member in found.values()} == {0}

    def test_a_change_is_seen(self, folder: Path) -> None:
        (folder / "app").mkdir()
        (folder / "app" / "main").write_bytes(b"y")
        with pytest.raises(ContextError, match="app/main changed"):
            read(request_for(folder, self.plan(app__main=b"x")))

    def test_a_missing_file_is_named(self, folder: Path) -> None:
        (folder / "app").mkdir()
        with pytest.raises(ContextError, match="app/main in the context folder cannot be read: No such file"):
            read(request_for(folder, self.plan(app__main=b"x")))
