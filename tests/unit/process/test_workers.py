"""Threads that are used again, and are as new each time."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from buildr_jupyter.process.workers import run_soon

VARIABLE = contextvars.ContextVar("VARIABLE", default="new")


def test_one_after_another_use_one_thread() -> None:
    seen: list[tuple[int | None, str, str]] = []

    def work() -> None:
        seen.append((threading.get_native_id(), threading.current_thread().name, VARIABLE.get()))
        VARIABLE.set("used")

    for number in range(20):
        task = run_soon(work, name=f"job {number}")
        task.join(10)
        assert not task.is_alive()
    assert len({ident for ident, _, _ in seen}) == 1
    assert [name for _, name, _ in seen] == [f"job {number}" for number in range(20)]
    assert {value for _, _, value in seen} == {"new"}


def test_those_at_once_have_a_thread_each() -> None:
    together = threading.Barrier(8)
    tasks = [run_soon(lambda: together.wait(10), name="x") for _ in range(8)]
    for task in tasks:
        task.join(10)
        assert not task.is_alive()
    assert not together.broken


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_is_told_and_ends_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))
    run_soon(lambda: 1 / 0, name="x").join(10)
    done = threading.Event()
    run_soon(done.set, name="x").join(10)
    assert done.is_set()
    assert told == [ZeroDivisionError]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_has_workers_of_its_own() -> None:
    run_soon(lambda: None, name="x").join(10)
    child = os.fork()
    if child == 0:
        task = run_soon(lambda: None, name="x")
        task.join(10)
        os._exit(int(task.is_alive()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


LEVEL = """
import gc, os, re, sys, threading
from pathlib import Path
from IPython.core.interactiveshell import InteractiveShell
from tests.fakes.bases import save

save(Path("base.tar"), python="3.11")
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "buildr_jupyter")
said, sys.stdout = sys.stdout, open(os.devnull, "w")
begun, start = [], threading.Thread.start
threading.Thread.start = lambda self: (begun.append(self.name), start(self))[1]

def build(first, last):
    for number in range(first, last):
        proof = "--no-check" if number % 5 else ""  # it takes two thirds of a build's time
        line = f"%%containerize level --quiet --base base.tar --builder oci --output level.tar {proof}"
        shell.run_cell(f"{line}\\nprint({number})", store_history=False).raise_error()
    gc.collect()
    return int(re.search(r"VmRSS:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])

build(0, 50)
begun.clear()
levels = [build(50, 60), build(60, 110)]
print(len(begun), *levels, file=said)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_builds_one_after_another_begin_no_thread_and_stay_level(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEVEL], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={
            **os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "XDG_CACHE_HOME": str(tmp_path / "cache"),
            "BUILDR_STORE": str(tmp_path / "store"), "IPYTHONDIR": str(tmp_path / "ipython"), "BUILDR_UI": "text",
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    threads, *levels_kb = map(int, done.stdout.split())
    assert threads == 0
    assert (levels_kb[1] - levels_kb[0]) / 50 < 15, levels_kb  # kB a build: its cell stays in the history
