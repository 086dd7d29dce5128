"""What a killed process leaves is found and taken away; what a living one holds stays."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
from docker.errors import NotFound

from buildr_jupyter.engine import orphans
from buildr_jupyter.engine.connection import Address
from buildr_jupyter.export.snapshot import take_snapshot
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.oci.store import Store
from buildr_jupyter.pipeline import push_notice
from buildr_jupyter.process import locks as ownership
from buildr_jupyter.process import tempfiles
from buildr_jupyter.process.locks import LOCK_LABEL, OWNER_LABEL
from buildr_jupyter.process.tempfiles import Scratch, atomic_write, fresh, sweep
from buildr_jupyter.ui.pane.eta import Durations
from tests.fakes.bases import save

HOLDER = """
import sys, time
from pathlib import Path
from buildr_jupyter.process import tempfiles
what, target = sys.argv[1], Path(sys.argv[2])
if what == "scratch":
    held = tempfiles.Scratch()
    (held.path / "secret").write_text("x")
    print(held.path, flush=True)
elif what == "half":
    held = tempfiles.atomic_write(target, directory=len(sys.argv) > 3)
    print(held.__enter__(), flush=True)
else:
    from buildr_jupyter.engine import orphans
    print(orphans.labels()[orphans.LOCK_LABEL], flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(orphans, "_own", [])
    yield
    for _, handle in orphans._own:
        if handle is not None:
            os.close(handle)


def other_process(*arguments: str) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that holds something, and return it with where that is."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    assert child.stdout
    return child, Path(child.stdout.readline().strip())


def kill(child: subprocess.Popen[str]) -> None:
    with child:
        child.send_signal(signal.SIGKILL)


def test_a_scratch_folder_goes_with_its_block_or_with_the_next_sweep() -> None:
    with Scratch() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        sweep()
        assert folder.is_dir()
    assert not folder.exists()
    child, left = other_process("scratch", "-")
    sweep()
    assert (left / "secret").exists(), "its process lives"
    kill(child)
    sweep()
    assert not left.exists()


def test_neither_links_nor_what_others_named_is_swept(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").touch()
    (tmp_path / "tmp" / f"{tempfiles.TEMPORARY}link").symlink_to(victim)
    (tmp_path / "tmp" / "buildr-engines-x").mkdir()
    sweep()
    assert (victim / "file").exists()
    assert (tmp_path / "tmp" / "buildr-engines-x").exists()


@pytest.mark.parametrize("directory", [False, True])
def test_halves_of_the_same_target_are_removed_and_of_others_stay(tmp_path: Path, directory: bool) -> None:
    target, other = tmp_path / "made", tmp_path / "other"
    more = ("directory",) if directory else ()
    living, held = other_process("half", str(target), *more)
    killed, left = other_process("half", str(target), *more)
    elsewhere, beside = other_process("half", str(other), *more)
    kill(killed)
    kill(elsewhere)
    with atomic_write(target, directory=directory) as half:
        assert not left.exists()
        assert held.exists()
        assert beside.exists()
        half.replace(target)
    assert target.is_dir() == directory
    kill(living)
    with pytest.raises(ZeroDivisionError), atomic_write(target, directory=directory) as half:
        assert half.stat().st_mode & 0o077 == 0
        1 / 0  # noqa: B018
    assert not half.exists()
    assert not held.exists()
    assert target.exists()


def test_many_threads_making_and_sweeping_lose_nothing(tmp_path: Path) -> None:
    lost: list[Path] = []

    def work() -> None:
        for _ in range(100):
            with fresh(tmp_path, "x-") as made:
                tempfiles.sweep_folder(tmp_path, "x-")
                if not made.exists():
                    lost.append(made)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    assert list(tmp_path.glob("x-*")) == []


class Engine:
    """As much of docker-py's client as the sweep asks."""

    def __init__(self, *containers: dict[str, Any]) -> None:
        self.there = {str(number): labels for number, labels in enumerate(containers)}

    def containers(self, *, filters: dict[str, list[str]], **_: bool) -> list[dict[str, Any]]:
        wanted = [want.partition("=") for want in filters["label"]]
        return [
            {"Id": name, "Labels": labels}
            for name, labels in self.there.items()
            if all_hold(labels, wanted)
        ]  # fmt: skip

    def remove_container(self, name: str, *, force: bool, v: bool) -> None:
        del self.there[name]


def all_hold(labels: dict[str, str], wanted: list[tuple[str, str, str]]) -> bool:
    return all(name in labels and (not sign or labels[name] == value) for name, sign, value in wanted)


def test_a_container_goes_when_its_process_is_gone() -> None:
    living, its = other_process("labels", "-")
    killed, whose = other_process("labels", "-")
    me = ownership.this_user()
    engine = Engine(
        {OWNER_LABEL: me, LOCK_LABEL: str(its)},
        {OWNER_LABEL: me, LOCK_LABEL: str(whose)},
        {OWNER_LABEL: "you@there", LOCK_LABEL: str(whose)},
        {OWNER_LABEL: me},  # left running on purpose
        orphans.labels(),
        {OWNER_LABEL: me, LOCK_LABEL: "/gone/with/its/process"},
    )
    kill(killed)
    orphans.sweep_containers(engine)
    assert sorted(engine.there) == ["0", "2", "3", "4"]
    kill(living)
    orphans.sweep_containers(engine)
    assert sorted(engine.there) == ["2", "3", "4"]


class Answering(Engine):
    """An engine with an address and containers that can be looked at."""

    def __init__(self, address: str, **made: tuple[str, bool]) -> None:
        super().__init__()
        self.buildr_address = Address(address, "given")
        self.made = made
        self.removed: list[str] = []

    def inspect_container(self, name: str) -> dict[str, Any]:
        if name not in self.made:
            raise NotFound("no such container")
        created, running = self.made[name]
        return {"Created": f"{created}.123456789Z", "State": {"Running": running}}

    def remove_container(self, name: str, *, force: bool, v: bool) -> None:
        self.removed.append(name)


def test_what_a_gone_engine_could_not_remove_is_removed_when_it_answers() -> None:
    """But neither what runs, nor what was there before, nor in another engine."""
    since = 1_700_000_000.0  # 2023-11-14T22:13:20Z
    for name in ("ended", "runs", "older", "gone"):
        orphans.abandon(Answering("unix:///a.sock"), name, since)
    orphans.abandon(Answering("unix:///b.sock"), "elsewhere", since)
    later, before = "2023-11-15T00:00:00", "2023-11-14T00:00:00"
    engine = Answering(
        "unix:///a.sock", ended=(later, False), runs=(later, True), older=(before, False), elsewhere=(later, False)
    )
    orphans.sweep_containers(engine)
    assert engine.removed == ["ended"]
    orphans.sweep_containers(engine)
    assert engine.removed == ["ended"], "each is tried once"
    other = Answering("unix:///b.sock", elsewhere=(later, False))
    orphans.sweep_containers(other)
    assert other.removed == ["elsewhere"]


# -- who may read what we write


def build_a_cell(folder: Path, umask: int, *options: str) -> None:
    """Build a cell on a base of a few bytes with the command line, in a process with this umask."""
    base = save(folder / "base.tar", python="3.11")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%containerize private\nprint(1)")])
    nbformat.write(notebook, folder / "nb.ipynb")
    command = [sys.executable, "-m", "buildr_jupyter", "build", "nb.ipynb", "--builder", "oci", "--base", str(base)]
    done = subprocess.run(
        [*command, *options], cwd=folder, umask=umask, capture_output=True, text=True, check=False,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def modes_below(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize("umask", [0, 0o022])
def test_what_is_written_unasked_is_for_its_user_only(tmp_path: Path, umask: int, monkeypatch: Any) -> None:
    monkeypatch.delenv("BUILDR_STORE", raising=False)
    build_a_cell(tmp_path, umask)
    cache = tmp_path / "cache" / "buildr"
    found = modes_below(cache)
    assert {name.split("/")[0] for name in found} >= {".", "contexts", "oci"}
    assert len([name for name in found if name.startswith("oci/blobs/sha256/")]) >= 3
    for name, mode in found.items():
        inside_a_context = name.startswith("contexts/") and name.count("/") > 1  # those modes are the image's
        assert mode & 0o022 == 0, f"{name} {mode:o}"
        assert inside_a_context or mode & 0o077 == 0, f"{name} {mode:o}"


def test_an_older_cache_is_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BUILDR_STORE", raising=False)
    old = tmp_path / "cache" / "buildr" / "oci" / "blobs"
    old.mkdir(parents=True)
    for one in (old, old.parent, old.parent.parent):
        one.chmod(0o777)
    build_a_cell(tmp_path, 0)
    assert all(mode & 0o077 == 0 for name, mode in modes_below(old).items())
    assert stat.S_IMODE((tmp_path / "cache" / "buildr").stat().st_mode) == 0o700


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_what_the_user_names_is_as_open_as_the_umask_says(tmp_path: Path, umask: int) -> None:
    build_a_cell(tmp_path, umask, "--output", "out/image.tar", "--context", "out/context")
    build_a_cell(tmp_path, umask, "--output", "out/layout")
    assert stat.S_IMODE((tmp_path / "out" / "image.tar").stat().st_mode) == 0o666 & ~umask
    for name in ("out", "out/context", "out/layout"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o777 & ~umask, name
    layout = tmp_path / "out" / "layout"
    before = modes_below(layout)
    assert {mode for name, mode in before.items() if (layout / name).is_file()} == {0o666 & ~umask}
    build_a_cell(tmp_path, umask, "--output", "out/layout", "--env", "A=2")
    after = modes_below(layout)
    assert len(after) > len(before)
    assert {mode for name, mode in after.items() if (layout / name).is_file()} == {0o666 & ~umask}
    assert not [name for name in after if "half" in name]


def test_a_store_in_a_shared_folder_is_shared(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared").chmod(0o775)
        for folder, modes in ((tmp_path / "shared", (0o664, 0o775)), (tmp_path / "own", (0o600, 0o700))):
            store = Store(folder)
            store.note("a", 1)
            digest = store.put(b"x")
            with store.locked("a"):
                assert stat.S_IMODE((folder / "locks" / "a").stat().st_mode) == modes[0]
            assert stat.S_IMODE(store.path(digest).stat().st_mode) == modes[0]
            assert stat.S_IMODE(folder.stat().st_mode) == modes[1]
    finally:
        os.umask(before)


def test_writing_an_archive_leaves_the_umask_of_other_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(_mask: int) -> int:
        raise AssertionError("the umask is the whole process's")

    monkeypatch.setattr(os, "umask", changed)
    for shared in (False, True):
        for directory in (False, True):
            with atomic_write(tmp_path / "x", directory=directory, shared=shared) as half:
                assert half.exists()


def test_notes_and_locks_are_private_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(orphans, "_own", [])
    before = os.umask(0)
    try:
        orphans.labels()
        orphans.abandon(SimpleNamespace(buildr_address=Address("tcp://x:1", "given")), "abc")
        push_notice.said(Path("/nb.ipynb"), [ImageRef.parse("reg.example/a:1")])
        Durations(tmp_path / "cache" / "buildr" / "durations.json").learn("a", [StepUpdate("1", "RUN x")], 1.0)
        taken = take_snapshot(["a"], {"a": [1]}, origins={}, limit_bytes=10_000)
        held = [path for path in Path(tempfile.gettempdir()).glob(f"{tempfiles.TEMPORARY}*") if path.is_file()]
        assert taken.entry.size_bytes
        assert held
        assert all(path.stat().st_mode & 0o077 == 0 for path in held)
    finally:
        os.umask(before)
    found = modes_below(tmp_path / "cache" / "buildr")
    assert {name.split("/")[0] for name in found} >= {"owners", "abandoned", "pushed", "durations.json"}
    assert all(mode & 0o077 == 0 for mode in found.values()), found
