"""What a killed process leaves is found and taken away; what a living one holds stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import NotFound

from buildr_jupyter import ownership
from buildr_jupyter.ownership import LOCK_LABEL, OWNER_LABEL, Scratch, fresh, half_of, sweep

HOLDER = """
import sys, time
from pathlib import Path
from buildr_jupyter import ownership
what, target = sys.argv[1], Path(sys.argv[2])
if what == "scratch":
    held = ownership.Scratch()
    (held.path / "secret").write_text("x")
    print(held.path, flush=True)
elif what == "half":
    held = ownership.half_of(target, directory=len(sys.argv) > 3)
    print(held.__enter__(), flush=True)
else:
    print(ownership.labels()[ownership.LOCK_LABEL], flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(ownership, "_own", [])
    yield
    for _, handle in ownership._own:
        if handle is not None:
            os.close(handle)


def other_process(*arguments: str) -> tuple[subprocess.Popen[str], Path]:
    """Start a process that holds something, and return it with where that is."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *arguments], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
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
    (tmp_path / "tmp" / f"{ownership.TEMPORARY}link").symlink_to(victim)
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
    with half_of(target, directory=directory) as half:
        assert not left.exists()
        assert held.exists()
        assert beside.exists()
        half.replace(target)
    assert target.is_dir() == directory
    kill(living)
    with pytest.raises(ZeroDivisionError), half_of(target, directory=directory) as half:
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
                ownership.sweep_folder(tmp_path, "x-")
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
        ownership.labels(),
        {OWNER_LABEL: me, LOCK_LABEL: "/gone/with/its/process"},
    )
    kill(killed)
    ownership.sweep_containers(engine)
    assert sorted(engine.there) == ["0", "2", "3", "4"]
    kill(living)
    ownership.sweep_containers(engine)
    assert sorted(engine.there) == ["2", "3", "4"]


class Answering(Engine):
    """An engine with an address and containers that can be looked at."""

    def __init__(self, address: str, **made: tuple[str, bool]) -> None:
        super().__init__()
        self.buildr_address = SimpleNamespace(url=address)
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
        ownership.abandon(Answering("unix:///a.sock"), name, since)
    ownership.abandon(Answering("unix:///b.sock"), "elsewhere", since)
    later, before = "2023-11-15T00:00:00", "2023-11-14T00:00:00"
    engine = Answering(
        "unix:///a.sock", ended=(later, False), runs=(later, True), older=(before, False), elsewhere=(later, False)
    )
    ownership.sweep_containers(engine)
    assert engine.removed == ["ended"]
    ownership.sweep_containers(engine)
    assert engine.removed == ["ended"], "each is tried once"
    other = Answering("unix:///b.sock", elsewhere=(later, False))
    ownership.sweep_containers(other)
    assert other.removed == ["elsewhere"]
