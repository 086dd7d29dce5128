"""Layers: the same bytes each time, and what may not be in one."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from buildr_jupyter.errors import BuildError
from buildr_jupyter.oci import bytecode
from buildr_jupyter.oci.layer import Compressor, Entry, Layer, compressor, folder_entries, write_layer

HERE = compressor()


def write(*entries: Entry, using: Compressor = HERE) -> tuple[Layer, bytes]:
    out = io.BytesIO()
    return write_layer(entries, out, using), out.getvalue()


def content_of(entry: Entry) -> bytes:
    assert entry.open
    with entry.open() as stream:
        return stream.read()


def test_digests_sizes_and_members() -> None:
    layer, content = write(
        Entry.of("b/ü.txt", b"2"), Entry.of("a", b"1" * 300_000, mode=0o755), Entry.link("c", "b/ü.txt"),
        Entry.folder("tmp", 0o1777),
    )  # fmt: skip
    plain = gzip.decompress(content)
    assert layer.digest == "sha256:" + hashlib.sha256(content).hexdigest()
    assert layer.diff_id == "sha256:" + hashlib.sha256(plain).hexdigest()
    assert (layer.size_bytes, layer.unpacked_bytes) == (len(content), len(plain))
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        members = tar.getmembers()
    assert [(m.name, oct(m.mode), m.type) for m in members] == [
        ("a", "0o755", tarfile.REGTYPE), ("b", "0o755", tarfile.DIRTYPE), ("b/ü.txt", "0o644", tarfile.REGTYPE),
        ("c", "0o777", tarfile.SYMTYPE), ("tmp", "0o1777", tarfile.DIRTYPE),
    ]  # fmt: skip
    assert {(m.uid, m.gid, m.mtime, m.uname) for m in members} == {(0, 0, 0, "")}
    assert (
        write(*reversed([Entry.of("b/ü.txt", b"2"), Entry.of("a", b"1")]))[1]
        == write(Entry.of("b/ü.txt", b"2"), Entry.of("a", b"1"))[1]
    )


def test_zlib_in_the_place_of_isal_gives_the_same_diff_id(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = write(Entry.of("a", b"1" * 10_000))
    monkeypatch.setitem(sys.modules, "isal", None)
    other = compressor()
    assert other.key != HERE.key
    second, content = write(Entry.of("a", b"1" * 10_000), using=other)
    assert second.diff_id == first.diff_id
    assert hashlib.sha256(gzip.decompress(content)).hexdigest() == first.diff_id.removeprefix("sha256:")


def test_zstd_on_request() -> None:
    pytest.importorskip("zstandard")
    layer, _ = write(Entry.of("a", b"1"), using=compressor("zstd"))
    assert layer.media_type.endswith("tar+zstd")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x"])
def test_paths_outside_are_refused(path: str) -> None:
    with pytest.raises(BuildError, match="no path inside"):
        write(Entry.of(path, b""))


def test_two_files_of_one_path_are_refused() -> None:
    with pytest.raises(BuildError, match="two files"):
        write(Entry.of("a", b"1"), Entry.of("a", b"2"))


def test_a_file_that_changed_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    planned = Entry.of_file("x", path, digest=hashlib.sha256(b"12345").hexdigest())
    write(planned)
    for content in (b"1234", b"123456", b"12346"):
        path.write_bytes(content)
        with pytest.raises(BuildError, match="not what was recorded"):
            write(planned)


def test_hard_links_become_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "l").symlink_to("a")
    os.mkfifo(tmp_path / "fifo")
    _, content = write(*folder_entries(tmp_path, "d"))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        found = {m.name: m.type for m in tar.getmembers()}
    assert found == {"d": tarfile.DIRTYPE, "d/a": tarfile.REGTYPE, "d/b": tarfile.REGTYPE, "d/l": tarfile.SYMTYPE}


def test_bytecode_is_the_same_in_every_process_and_is_taken(tmp_path: Path) -> None:
    names = ["json/decoder.py", "argparse.py", "typing.py", "dataclasses.py"]
    root = Path(os.__file__).parent
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = []
    for number, order in enumerate((names, names[::-1])):
        scratch = tmp_path / str(number)
        scratch.mkdir()
        entries = bytecode.compile_entries([(f"lib/{name}", root / name) for name in order], scratch)
        found.append({e.path: content_of(e) for e in entries})
    assert found[0] == found[1]
    assert len(found[0]) == 4
    assert bytecode.key(python)
    assert bytecode.key("3.1") == ""
    cache = tmp_path / "__pycache__"
    cache.mkdir()
    (tmp_path / "m.py").write_text("x = __file__, (lambda: 0).__code__.co_filename\n")
    (entry,) = bytecode.compile_entries([("opt/m.py", tmp_path / "m.py")], tmp_path)
    (cache / f"m.{sys.implementation.cache_tag}.pyc").write_bytes(content_of(entry))
    (tmp_path / "m.py").write_text("x = 'compiled again'\n")
    said = subprocess.run(
        [sys.executable, "-c", "import m; print(m.x[0][-4:])"], cwd=tmp_path, capture_output=True, text=True
    )
    assert said.stdout == "m.py\n"
    bad = tmp_path / "bad.py"
    bad.write_text("def (")
    assert bytecode.compile_entries([("lib/bad.py", bad)], cache) == []


def test_the_tar_is_the_one_that_tarfile_makes() -> None:
    """Names and targets around what a plain header holds, modes, sizes around a block, and what needs an extension."""
    names = ["a", "\u00e4/\u00f6.txt", "sp ace/new\nline", "sur\udcffrog", "k" * 155 + "/" + "l" * 100]
    names += ["x" * length for length in (99, 100, 101, 300)]
    entries = [Entry.of(name, b"z" * (256 * number), mode=0o755) for number, name in enumerate(names)]
    entries += [Entry.of("large", bytes(range(256)) * 4096), Entry.folder("w", 0o2775)]
    entries += [Entry.folder("f" * length) for length in (98, 99, 100, 101)]
    entries += [Entry.link(f"l{length}", "t" * length) for length in (0, 1, 99, 100, 101)] + [Entry.link("l", "\u00fc")]
    wanted = io.BytesIO()
    with tarfile.open(fileobj=wanted, mode="w", format=tarfile.PAX_FORMAT) as tar:
        above = {name.partition("/")[0] for name in names if "/" in name}
        for entry in sorted([*entries, *map(Entry.folder, above)], key=lambda entry: entry.path):
            info = tarfile.TarInfo(entry.path)
            info.mode, info.linkname, info.size = entry.mode, entry.target, entry.size_bytes
            info.type = {"dir": tarfile.DIRTYPE, "link": tarfile.SYMTYPE, "file": tarfile.REGTYPE}[entry.kind]
            tar.addfile(info, entry.open() if entry.open else None)
    out = io.BytesIO()
    write_layer(entries, out, compressor())
    assert gzip.decompress(out.getvalue()) == wanted.getvalue()
