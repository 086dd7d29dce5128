"""The container's output folder, taken from a tar that nobody vouches for."""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildr_jupyter.errors import RunError
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Collection, RunSpec
from buildr_jupyter.process.tempfiles import Spool
from buildr_jupyter.runner._outputs import (
    Folders,
    Listing,
    changed_files,
    differences,
    extract_outputs,
    fetches,
    listing,
    local_names,
    spooled,
)
from buildr_jupyter.runner.docker_runner import _collection, _folders


def tar(*members: tuple[str, bytes, str]) -> list[bytes]:
    """Return a tar in pieces of 700 bytes; a member is (name, type, content or link)."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o4777
            if kind == tarfile.REGTYPE:
                info.size = len(content.encode())
                archive.addfile(info, io.BytesIO(content.encode()))
            else:
                info.linkname = content
                archive.addfile(info)
    data = whole.getvalue()
    return [data[start : start + 700] for start in range(0, len(data), 700)]


def extract(chunks: list[bytes], folder: Path) -> tuple[list[BuildWarning], tuple[Path, ...]]:
    said = []
    stream = extract_outputs(chunks, folder)
    while True:
        try:
            event = next(stream)
            assert isinstance(event, BuildWarning)
            said.append(event)
        except StopIteration as end:
            return said, end.value


def test_files(tmp_path: Path) -> None:
    chunks = tar(
        ("output", tarfile.DIRTYPE, ""), ("output/a", tarfile.REGTYPE, "1" * 2000), ("output/s/ü", tarfile.REGTYPE, "2"),
        ("output/again", tarfile.LNKTYPE, "output/a"),
    )  # fmt: skip
    target = tmp_path / "new"
    assert extract(chunks, target) == ([], (target / "a", target / "again", target / "s" / "ü"))
    assert (target / "again").read_text() == (target / "a").read_text() == "1" * 2000
    assert (target / "a").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize(
    ("name", "kind", "content"),
    [
        ("output/../../evil", tarfile.REGTYPE, "x"),
        ("output/..", tarfile.REGTYPE, "x"),
        ("output/link/evil", tarfile.REGTYPE, "x"),
        ("output/evil", tarfile.SYMTYPE, "/etc/passwd"),
        ("output/evil", tarfile.LNKTYPE, "/etc/passwd"),
        ("output/evil", tarfile.LNKTYPE, "output/none"),
        ("output/evil", tarfile.CHRTYPE, ""),
        ("output/evil", tarfile.FIFOTYPE, ""),
    ],
)
def test_what_leads_out_stays_where_it_is(tmp_path: Path, name: str, kind: bytes, content: str) -> None:
    folder, outside = tmp_path / "in" / "deep", tmp_path / "outside"
    folder.mkdir(parents=True)
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    said, written = extract(tar((name, kind, content), ("output/good", tarfile.REGTYPE, "g")), folder)
    assert written == (folder / "good",)
    assert len(said) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "good", "in", "link", "outside"]


def test_a_link_of_this_machine_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a").symlink_to(tmp_path / "precious")
    extract(tar(("output/a", tarfile.REGTYPE, "new")), folder)
    assert (tmp_path / "precious").read_text() == "keep"
    assert (folder / "a").read_text() == "new"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be copied to"):
        extract(tar(("output/a", tarfile.REGTYPE, "x")), tmp_path / "file" / "sub")


def test_a_tar_that_breaks_off(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be copied to"):
        extract(tar(("output/a", tarfile.REGTYPE, "x" * 5000))[:3], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_written_in_the_container_makes_no_folder_here(tmp_path: Path) -> None:
    folder = tmp_path / "output"
    list(extract_outputs(tar(("output", tarfile.DIRTYPE, "")), folder))
    assert not folder.exists()


@pytest.mark.parametrize(
    ("config", "folders"),
    [
        ({"WorkingDir": "/app"}, ("/app", "/app", "/app/output")),
        ({"WorkingDir": "/srv/"}, ("/srv", "/srv", "/srv/output")),
        ({"WorkingDir": ""}, ("/app", "/app", "/app/output")),
        ({"WorkingDir": "/"}, ("/app", "/app", "/app/output")),  # what podman says of an image that names none
        ({}, ("/app", "/app", "/app/output")),
        ({"Env": ["BUILDR_OUTPUT_DIR=out"], "WorkingDir": "/w"}, ("/w", "/w", "/w/out")),
        ({"Env": ["BUILDR_OUTPUT_DIR=/app/daily/output"]}, ("/app", "/app/daily", "/app/daily/output")),
        ({"Env": ["BUILDR_OUTPUT_DIR=/out"]}, ("/app", "/app", "/out")),
    ],
)
def test_where_the_files_are(config: dict[str, object], folders: tuple[str, str, str]) -> None:
    assert _folders(config, RunSpec("image", "name")) == Folders(*folders)


def test_a_run_may_have_another_output_folder_than_its_image() -> None:
    spec = RunSpec("image", "name", environment=(("BUILDR_OUTPUT_DIR", "/data/out"),))
    found = _folders({"Env": ["BUILDR_OUTPUT_DIR=/app/daily/output"]}, spec)
    assert found == Folders("/app", "/app/daily", "/data/out")


def changes(*entries: str) -> list[dict[str, object]]:
    """Return what an engine says: ``A /path`` added, ``C /path`` changed, ``D /path`` deleted."""
    return [{"Path": entry[2:], "Kind": "CAD".index(entry[0])} for entry in entries]


HERE = Folders("/app", "/app/daily", "/app/daily/output")
CHANGES = changes(
    "C /app", "C /app/daily", "A /app/daily/report.txt", "C /app/daily/known.csv", "D /app/daily/gone.csv",
    "A /app/daily/__pycache__", "A /app/daily/__pycache__/x.pyc", "A /app/data", "A /app/data/new.csv",
    "C /app/daily/output", "A /app/daily/output/a.png", "A /app/daily/output/.buildr", "A /app/daily/output/.buildr/r",
    "C /tmp", "A /tmp/scratch.csv", "C /home/app", "A /home/app/.cache",
)  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "files"),
    [
        (Collection(), "daily/known.csv daily/output/.buildr/r daily/output/a.png daily/report.txt data/new.csv"),
        (Collection(nothing=True), "daily/output/.buildr/r"),
        (Collection(("*.csv",)), "daily/known.csv daily/output/.buildr/r data/new.csv"),
        (Collection(("output/",)), "daily/output/.buildr/r daily/output/a.png"),
        (Collection(("../data/*",)), "daily/output/.buildr/r data/new.csv"),
        (Collection(("./report.*",)), "daily/output/.buildr/r daily/report.txt"),
        (Collection(("/tmp/**",)), "daily/output/.buildr/r ../tmp/scratch.csv"),
        (Collection(("**/a.png",)), "daily/output/.buildr/r daily/output/a.png"),
    ],
)
def test_what_comes_back(wanted: Collection, files: str) -> None:
    found = changed_files(CHANGES, HERE, wanted)
    assert list(found) == [posixpath.normpath(f"/app/{name}") for name in files.split()]


def test_a_new_folder_comes_at_once_and_other_files_one_by_one() -> None:
    said = changes("C /app", "A /app/one", "A /app/new", "A /app/new/a", "A /app/new/deep", "A /app/new/deep/b")
    whole = ("/app/new/a", "/app/new/deep/b")
    assert fetches(["/app/one", *whole], said) == [("/app/one", ("/app/one",)), ("/app/new", whole)]
    assert fetches(["/app/new/a"], said) == [("/app/new/a", ("/app/new/a",))]
    many = [f"/app/{number}" for number in range(65)]
    assert fetches(many, changes("C /app", *(f"A {path}" for path in many))) == [("/app", tuple(many))]


def test_no_two_files_have_one_name_here() -> None:
    files = [
        "/app/daily/a.csv", "/app/daily/output/a.csv", "/app/daily/output/b.csv", "/app/a.csv", "/tmp/t",
        "/app/daily/output/.buildr/r", "/app/daily/.buildr/r",
    ]  # fmt: skip
    names = {path: str(name) for path, name in local_names(files, HERE).items()}
    assert len(set(names.values())) == len(files)
    assert names["/app/daily/output/.buildr/r"] == ".buildr/r"
    assert names["/app/daily/output/b.csv"] == "b.csv"
    assert names["/tmp/t"] == "tmp/t"
    assert (names["/app/daily/a.csv"], names["/app/a.csv"]) == ("a.csv", "app/a.csv")
    assert names["/app/daily/output/a.csv"] == "output/a.csv"


def spool_of(data: bytes) -> Spool:
    found = spooled([data[:700], data[700:]], len(data))
    assert found is not None
    return found


def listed(*members: tuple[str, bytes, str], before: Listing | None = None) -> Listing:
    with spool_of(b"".join(tar(("app", tarfile.DIRTYPE, ""), *members))) as data:
        found = listing(data, "/app", before)
    assert found is not None
    return found


def test_two_tars_of_a_folder_tell_what_was_changed_between_them() -> None:
    kind, link = tarfile.REGTYPE, tarfile.SYMTYPE
    before = listed(("app/a", kind, "1"), ("app/b", kind, "1"), ("app/c", kind, "1"), ("app/l", link, "a"))
    after = listed(
        ("app/a", kind, "1"), ("app/b", kind, "2"), ("app/l", link, "b"), ("app/new", tarfile.DIRTYPE, ""),
        ("app/new/d", kind, ""),
    )  # fmt: skip
    assert differences(before, after) == changes("C /app/b", "D /app/c", "C /app/l", "A /app/new", "A /app/new/d")
    assert differences(before, before) == []


def test_a_file_that_was_written_again_with_its_old_content_was_changed() -> None:
    before = listed(("app/a", tarfile.REGTYPE, "1"))
    touched = io.BytesIO()
    with tarfile.open(fileobj=touched, mode="w") as archive:
        folder, member = tarfile.TarInfo("app"), tarfile.TarInfo("app/a")
        folder.type, member.mode, member.size, member.mtime = tarfile.DIRTYPE, 0o4777, 1, 5
        archive.addfile(folder)
        archive.addfile(member, io.BytesIO(b"1"))
    with spool_of(touched.getvalue()) as data:
        after = listing(data, "/app", before)
    assert after is not None
    assert differences(before, after) == changes("C /app/a")


def test_what_two_tars_do_not_tell_is_asked_of_the_engine() -> None:
    before = listed(("app/a", tarfile.REGTYPE, "1"))
    assert differences(before, listed(("app/a", tarfile.REGTYPE, "1"), ("app/b", tarfile.LNKTYPE, "app/a"))) is None
    a_link = b"".join(tar(("app", tarfile.SYMTYPE, "/other")))
    whole = b"".join(tar(("app", tarfile.DIRTYPE, ""), ("app/a", tarfile.REGTYPE, "x" * 900)))
    for data in (a_link, whole[:1500], whole[: 4 * 512], b""):
        for known in (None, before):
            with spool_of(data) as cut:
                assert listing(cut, "/app", known) is None


def test_a_tar_that_is_larger_is_not_read_to_its_end() -> None:
    asked: list[int] = []

    def much() -> Iterator[bytes]:
        for number in range(100):
            asked.append(number)
            yield bytes(1 << 20)

    assert spooled(much(), 16 << 20) is None
    assert len(asked) == 17
    with spool_of(bytes(17 << 20)) as data:  # more than is held in memory
        data.seek(0)
        assert data.read() == bytes(17 << 20)


def test_of_what_is_new_no_content_is_read_and_of_what_looks_the_same_it_is() -> None:
    kind = tarfile.REGTYPE
    before = listed(("app/a", kind, "1"), ("app/b", kind, "1"))
    after = listed(("app/a", kind, "2"), ("app/b", kind, "12"), ("app/c", kind, "3"), before=before)
    assert [one[-2] != "" for one in after.values()] == [True, False, False]
    assert differences(before, after) == changes("C /app/a", "C /app/b", "A /app/c")


def test_the_files_of_a_spooled_tar_are_written_as_those_of_chunks(tmp_path: Path) -> None:
    members = (("app/a", tarfile.REGTYPE, "1"), ("app/s", tarfile.SYMTYPE, "a"), ("app/h", tarfile.LNKTYPE, "app/a"))
    data = b"".join(tar(("app", tarfile.DIRTYPE, ""), *members))
    with spool_of(data) as spool:
        found = drain(extract_outputs(spool, tmp_path / "spool"))
        assert drain(extract_outputs(spool, tmp_path / "again"))
    assert [path.read_text() for path in found] == ["1", "1"]
    chunks = drain(extract_outputs([data], tmp_path / "chunks"))
    assert [path.name for path in chunks] == [path.name for path in found] == ["a", "h"]


def test_a_label_says_what_comes_back() -> None:
    assert _collection(None) == _collection("no JSON") == _collection('{"patterns": 3}') == Collection()
    assert _collection('{"patterns": ["*.csv"], "nothing": false, "limit_bytes": 5}') == Collection(
        ("*.csv",), False, 5
    )
