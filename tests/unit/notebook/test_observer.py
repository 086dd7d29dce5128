"""The observer, over runs of cells in a shell: what each did, within its time, and nothing kept or called."""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from buildr_jupyter.notebook.kernel_history import KernelHistory
from buildr_jupyter.notebook.observed import Observed
from buildr_jupyter.notebook.observer import Observer


class Kernel:
    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.history = KernelHistory(shell)
        self.history.observer = Observer(shell.user_ns, shell.user_ns_hidden)
        self.history.install()

    def run(self, source: str) -> Observed:
        self.shell.run_cell(source, store_history=True)
        observed = self.history.runs()[-1].observed
        assert observed is not None
        return observed


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    monkeypatch.chdir(tmp_path)
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    made = Kernel(shell)
    yield made
    made.history.uninstall()
    shell.history_manager.end_session()
    sys.modules.pop("local_maker", None)


def test_names_bound_changed_unchanged_and_deleted(kernel: Kernel) -> None:
    assert kernel.run("x = [1]\ny = x\nn = 3").bound == {"x", "y", "n"}
    seen = kernel.run("def add(to):\n    to.append(2)\nz = (x,)")
    assert seen.bound == {"add", "z"}
    assert seen.unchanged >= {"x", "y", "n"}
    seen = kernel.run("add(y)")
    assert seen.changed >= {"x", "y", "z"}
    assert seen.unchanged >= {"n", "add"}
    assert {"x", "y", "z"} in seen.shared
    seen = kernel.run("x = 1; del n")
    assert seen.bound == {"x"}
    assert seen.deleted == {"n"}
    seen = kernel.run("y.append(1); y.pop()")
    assert seen.unchanged >= {"y", "z"}
    assert kernel.run("globals()['made'] = 1").bound == {"made"}


def test_what_else_the_machine_does_changes_nothing_that_is_seen(kernel: Kernel) -> None:
    """With each processor taken by another program most of the time, as in a kernel among many on one machine."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        kernel.run("x = list(range(100))\ny = {n: [n] for n in range(100)}")
        seen = [kernel.run("z = 1").unchanged for _ in range(40)]
    finally:
        for one in busy:
            one.kill()
        for one in busy:
            one.wait()
    assert all(one >= {"x", "y"} for one in seen)


def test_a_failed_run_is_observed_too(kernel: Kernel) -> None:
    kernel.run("x = []")
    seen = kernel.run("x.append(1)\n1 / 0")
    assert seen.changed == {"x"}


def test_generators_of_randomness(kernel: Kernel) -> None:
    kernel.run("import random\nimport numpy as np")
    assert kernel.run("a = 1").generators == frozenset()
    assert kernel.run("random.random()").generators == {"random"}
    assert kernel.run("np.random.rand()").generators == {"numpy"}
    assert kernel.run("np.random.default_rng(0).random()").generators == frozenset()
    random.seed(4)
    assert kernel.run("random.seed(4)").generators == frozenset()


def test_draws_of_imports_are_told_apart(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    for number in range(6):
        drawn = f"import random\nn = random.random()\nimport draws_part{number}\n"
        Path(f"draws{number}.py").write_text(drawn)
        Path(f"draws_part{number}.py").write_text("x = 1\n")
    kernel.run("import random, importlib")
    told = [
        kernel.run("import draws0"),
        kernel.run("importlib.import_module('draws1')"),
        kernel.run("import draws2\nrandom.random()"),
        kernel.run("random.random()\nimport draws3"),
        kernel.run("for n in '45':\n    importlib.import_module('draws' + n)\n    random.random()"),
    ]
    assert [seen.generators for seen in told] == [set(), set(), {"random"}, {"random"}, {"random"}]
    assert [seen.drawn_by_imports for seen in told] == [{"random"}] * 5


@pytest.mark.parametrize(
    ("done", "untouched"),
    [
        ("", True),
        ("numpy.random.seed(3)", True),
        ("numpy.random.random()", False),
        ("numpy.random.randint(5)", False),
        ("numpy.random.normal()", False),
        ("numpy.random.seed(3); numpy.random.random()", False),
    ],
)
def test_a_generator_that_was_just_loaded_has_moved_only_if_something_was_drawn(done: str, untouched: bool) -> None:
    """In a process of its own: numpy's generator is seeded once, when it is loaded."""
    code = (
        f"import numpy.random; {done}\nfrom buildr_jupyter.notebook.observer import _generator_states\n"
        "print('numpy:untouched' in _generator_states())"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == f"{untouched}\n"


def test_the_world(kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("A_NAME", "1")
    (tmp_path / "inner").mkdir()
    assert kernel.run("import os, sys").world == frozenset()
    assert kernel.run("os.environ['A_NAME'] = '2'").world == {"environ"}
    assert kernel.run("os.chdir('inner')").world == {"folder"}
    os.chdir(tmp_path)
    assert kernel.run("sys.path.append('/nowhere')").world == {"sys.path"}
    sys.path.remove("/nowhere")


def test_files_and_modules(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "local_maker.py").write_text(
        "def load(name):\n    with open(name) as file:\n        return file.read()\n"
    )
    (tmp_path / "a.txt").write_text("a")
    monkeypatch.syspath_prepend(tmp_path)
    seen = kernel.run("import local_maker\n\nlocal_maker.load('a.txt')")
    assert [(Path(one.path).name, one.reads, one.line) for one in seen.opened] == [("a.txt", True, 3)]
    assert [(one.module, one.importer, one.line) for one in seen.imported] == [("local_maker", "__main__", 1)]


def test_stopped_it_does_nothing_and_forgets(kernel: Kernel) -> None:
    kernel.run("x = []")
    assert kernel.history.observer is not None
    kernel.history.observer.stop()
    kernel.shell.run_cell("x.append(1)", store_history=True)
    assert kernel.history.runs()[-1].observed is None
    kernel.history.observer.start()
    assert kernel.run("x.append(2)").changed == {"x"}


def test_no_object_is_kept(kernel: Kernel) -> None:
    kernel.run("class Thing:\n    pass\nthing = Thing()\nheld = [thing]\n")
    gone = weakref.ref(kernel.shell.user_ns["thing"])
    kernel.run("1 + 1")
    kernel.run("del thing, held")
    gc.collect()
    assert gone() is None


def test_a_broken_world_fails_no_cell(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.run("x = 1")

    def broken() -> Any:
        raise RuntimeError

    monkeypatch.setattr("buildr_jupyter.notebook.observer._world", broken)
    assert kernel.shell.run_cell("x = 2", store_history=True).success
    assert kernel.history.runs()[-1].observed is None


def test_a_cell_within_a_cell_leaves_the_outer_one_unobserved(kernel: Kernel) -> None:
    kernel.shell.user_ns["shell"] = kernel.shell
    kernel.shell.run_cell("shell.run_cell('inner = 1')", store_history=True)
    observed = {run.source: run.observed for run in kernel.history.runs()}
    assert observed["inner = 1"] is not None
    assert observed["shell.run_cell('inner = 1')"] is None
