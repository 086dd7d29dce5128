"""The container's output folder, taken from a tar that nobody vouches for."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from buildr_jupyter.errors import RunError
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.runner._outputs import extract_outputs
from buildr_jupyter.runner.docker_runner import _output_path


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
    ("config", "path"),
    [
        ({"WorkingDir": "/app"}, "/app/output"),
        ({"WorkingDir": "/srv/"}, "/srv/output"),
        ({"WorkingDir": ""}, "/app/output"),
        ({"WorkingDir": "/"}, "/app/output"),  # what podman says of an image that names none
        ({}, "/app/output"),
        ({"Env": ["BUILDR_OUTPUT_DIR=out"], "WorkingDir": "/w"}, "/w/out"),
        ({"Env": ["BUILDR_OUTPUT_DIR=/out"]}, "/out"),
    ],
)
def test_where_the_output_is(config: dict[str, object], path: str) -> None:
    assert _output_path(config, RunSpec("image", "name")) == path
