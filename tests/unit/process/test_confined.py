"""Links: whatever names a file, nothing outside of its folder is read. The canary is a file beside the folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from buildr_jupyter.config.options import make_options
from buildr_jupyter.dependencies.environment import Distribution, Interpreter
from buildr_jupyter.dependencies.repack import local_wheel
from buildr_jupyter.errors import BuildrError, FileRefused
from buildr_jupyter.notebook.cells import CellRun, transform
from buildr_jupyter.pipeline.planner import CellSource, assemble
from buildr_jupyter.process.confined import file_entry, iter_files, open_beneath

CANARY = b"the canary sings\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A notebook's folder with a secret beside it."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "canary.py").write_bytes(CANARY)
    (tmp_path / "nb").mkdir()
    return tmp_path / "nb"


LINKS: dict[str, Callable[[Path, Path], None]] = {
    "relative": lambda link, target: link.symlink_to(os.path.relpath(target, link.parent)),
    "absolute": lambda link, target: link.symlink_to(target),
    "chain": lambda link, target: (link.with_name("hop").symlink_to(target), link.symlink_to("hop"))[1],
    "through a folder": lambda link, target: (
        link.with_name("inner").symlink_to(target.parent),
        link.symlink_to(f"inner/{target.name}"),
    )[1],
    "by the process's root": lambda link, target: link.symlink_to(f"/proc/self/root{target}"),
}


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_out_is_refused_with_its_name(folder: Path, kind: str) -> None:
    LINKS[kind](folder / "harmless.csv", folder.parent / "secret" / "canary.py")
    assert (folder / "harmless.csv").read_bytes() == CANARY, "the link works for who follows it"
    with pytest.raises(FileRefused, match=r"harmless\.csv"):
        file_entry("app/harmless.csv", folder / "harmless.csv", folder)


def test_a_folder_that_is_a_link_out_is_refused(folder: Path) -> None:
    (folder / "data").symlink_to(folder.parent / "secret")
    with pytest.raises(FileRefused, match=r"data/canary\.py"):
        open_beneath(folder / "data" / "canary.py", folder)
    with pytest.raises(FileRefused, match="data"):
        list(iter_files(folder, folder))


def test_links_within_the_folder_are_followed(folder: Path) -> None:
    (folder / "real").mkdir()
    (folder / "real" / "a.csv").write_text("a")
    (folder / "link.csv").symlink_to("real/a.csv")
    (folder / "absolute.csv").symlink_to(folder / "real" / "a.csv")
    (folder / "again").symlink_to("real")
    (folder / "real" / "up").symlink_to("..")
    (folder / "nowhere").symlink_to("nothing")
    found = [path.relative_to(folder).as_posix() for path in iter_files(folder, folder)]
    assert found == ["absolute.csv", "again/a.csv", "link.csv", "real/a.csv"]
    with file_entry("app/x", folder / "again" / "a.csv", folder).open() as stream:
        assert stream.read() == b"a"


def test_a_link_that_is_put_in_afterwards_is_refused_when_the_file_is_read(folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "canary.py").write_bytes(b"mine")
    entry = file_entry("app/data/canary.py", folder / "data" / "canary.py", folder)
    (folder / "data").rename(folder / "old")
    (folder / "data").symlink_to(folder.parent / "secret")
    with pytest.raises(FileRefused):
        entry.open()


def test_a_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(folder) + b"/b\xffd.csv"))
    path.write_text("x")
    with pytest.raises(FileRefused, match="is not UTF-8"):
        planned(folder, "1", include=["."])


def test_what_is_no_regular_file_is_refused_and_nothing_waits(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with pytest.raises(FileRefused, match="no regular file"):
        open_beneath(folder / "pipe", folder)
    assert list(iter_files(folder, folder)) == []
    (folder / "loop").symlink_to("loop")
    with pytest.raises((FileRefused, OSError)):
        open_beneath(folder / "loop", folder)


def planned(folder: Path, code: str, **options: object) -> bytes:
    """Return all bytes of the files that a plan of this cell would carry."""
    run = CellRun(code, transform(code), index=0)
    interpreter = Interpreter.current()
    source = CellSource((run,), run, folder, "nb.ipynb")
    plan = assemble(source, make_options(options, base_folder=folder), interpreter, {}).plan
    found = repr(plan.dockerfile).encode()
    for entry in plan.all_files:
        with entry.open() as stream:
            found += stream.read()
    return found


WAYS: dict[str, tuple[str, dict[str, object], str]] = {
    "an include": ("1", {"include": ["link.py"]}, "link.py"),
    "a pattern": ("1", {"include": ["*.py"]}, "link.py"),
    "a folder": ("1", {"include": ["sub"]}, "sub/link.py"),
    "a pattern of folders": ("1", {"include": ["s*"]}, "sub/link.py"),
    "the folder itself": ("1", {"include": ["."]}, "link.py"),
    "a path in the code": ("open('link.py').read()", {}, "link.py"),
    "a folder in the code": ("import os\nos.listdir('sub')\nopen('sub/link.py').read()", {}, "sub/link.py"),
    "a local module": ("import link", {}, "link.py"),
    "a module of a local package": ("import sub.link", {}, "sub/link.py"),
    "data of a local package": ("import sub", {}, "sub/link.csv"),
    "an extension module": ("import link", {}, "link.abi3.so"),
    "a Dockerfile": ("1", {"dockerfile": "link.py"}, "link.py"),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_naming_a_file_leads_out(folder: Path, way: str) -> None:
    code, options, name = WAYS[way]
    (folder / "sub").mkdir()
    (folder / "sub" / "__init__.py").write_text("")
    link = folder / name
    link.write_bytes(CANARY if not name.endswith(".py") else b"x = 'the canary sings'\n")
    assert b"the canary sings" in planned(folder, code, **options), "the control: the same name as a file is carried"
    link.unlink()
    link.symlink_to(folder.parent / "secret" / "canary.py")
    with pytest.raises(BuildrError, match=r"link\.") as raised:
        planned(folder, code, **options)
    assert "link out" in str(raised.value)


def test_a_folder_that_the_user_names_is_the_border_of_itself(folder: Path) -> None:
    data = folder.parent / "data"
    data.mkdir()
    (data / "a.csv").write_text("a")
    assert b"a" in planned(folder, "1", include=["../data"])
    (data / "b.csv").symlink_to(folder.parent / "secret" / "canary.py")
    with pytest.raises(FileRefused, match=r"b\.csv"):
        planned(folder, "1", include=["../data"])


def test_a_wheel_that_is_a_link_is_refused(folder: Path) -> None:
    (folder / "x-1-py3-none-any.whl").symlink_to(folder.parent / "secret" / "canary.py")
    with pytest.raises(FileRefused, match=r"x-1-py3-none-any\.whl"):
        local_wheel(Distribution("x", "1", folder / "x-1.dist-info"), folder / "x-1-py3-none-any.whl")
