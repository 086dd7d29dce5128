"""Audit events: one hook for the process, off by a flag, kept over a reload; what it tells of a run."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.notebook.audit import Recorder, listen
from buildr_jupyter.notebook.import_draws import ImportDraws
from buildr_jupyter.notebook.observed import ImportedModule, OpenedFile


@pytest.fixture
def cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    recorder = Recorder(namespace, ImportDraws(dict, {}, namespace))

    def run(source: str) -> Recorder:
        listen(recorder.handlers)
        try:
            exec(compile(source, "cell", "exec"), namespace)
        finally:
            listen(None)
        return recorder

    yield run
    listen(None)


def test_files_with_the_line_that_opened_them(cell: Any, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a")
    (tmp_path / "data").mkdir()
    recorder = cell(
        "import os, pathlib\n"
        "def read(path):\n"
        "    return pathlib.Path(path).read_text()\n"
        "a = read('in.txt')\n"
        "pathlib.Path('out.txt').write_text(a); read('out.txt')\n"
        "names = os.listdir('data')\n"
        "open(os.open('in.txt', os.O_RDONLY)).close()\n"
        "os.rename('out.txt', 'new.txt'); open(b'new.txt').close()\n"
    )
    assert recorder.opened() == (
        OpenedFile(str(tmp_path / "in.txt"), reads=True, line=4),
        OpenedFile(str(tmp_path / "out.txt"), reads=False, writes=True, line=5),
        OpenedFile(str(tmp_path / "data"), reads=True, listed=True, line=6),
        OpenedFile(str(tmp_path / "new.txt"), reads=False, writes=True, line=8),
    )


def test_a_database_that_was_there_is_read(cell: Any, tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "old.db").close()
    (tmp_path / "old.db").touch()
    recorder = cell("import sqlite3\nfor name in ('old.db', 'new.db', ':memory:'):\n    sqlite3.connect(name).close()")
    found = {Path(one.path).name: one.reads for one in recorder.opened()}
    assert found == {"old.db": True, "new.db": False}


def test_what_was_there_and_whether_it_is_kept(cell: Any, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text("abc")
    recorder = cell(
        "for name, mode in [('log.txt', 'a'), ('new.txt', 'a'), ('log.txt', 'w'), ('none.txt', 'w')]:\n"
        "    open(name, mode).close()"
    )
    found = {Path(one.path).name: (one.keeps, one.changes, one.stamp and one.stamp[0]) for one in recorder.opened()}
    assert found == {"log.txt": (True, True, 3), "new.txt": (False, False, None), "none.txt": (False, False, None)}


def test_sources_of_modules_as_they_were_loaded(cell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "loaded_one.py"
    path.write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    recorder = cell("import loaded_one, json.tool")
    assert recorder.loaded() == ((str(path), (6, path.stat().st_mtime_ns)),)
    path.write_text("x = 1234\n")
    recorder = cell("import importlib\nimportlib.reload(loaded_one)")
    assert recorder.loaded() == ((str(path), (9, path.stat().st_mtime_ns)),)
    sys.modules.pop("loaded_one")


def test_packages_and_who_loaded_them(cell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lazy_one.py").write_text("def work():\n    import lazy_two\n")
    (tmp_path / "lazy_two.py").write_text("import json.tool\n")
    monkeypatch.syspath_prepend(tmp_path)
    recorder = cell("import lazy_one\n\nlazy_one.work()")
    assert recorder.imported() == (ImportedModule("lazy_one", "__main__", 1), ImportedModule("lazy_two", "lazy_one", 3))
    assert recorder.opened() == ()
    for name in ("lazy_one", "lazy_two"):
        sys.modules.pop(name)


def test_what_our_own_modules_do_is_left_out(cell: Any, tmp_path: Path) -> None:
    """A build opens files and loads packages while its cell runs; the cell did not."""
    (tmp_path / "in.txt").write_text("a")
    ours: dict[str, Any] = {"__name__": "buildr_jupyter.pipeline.stages"}
    exec(
        "import subprocess\ndef build(then=None):\n    open('in.txt').close()\n    subprocess.run(['true'])\n    then and then()",
        ours,
    )
    recorder = cell("pass")
    recorder._namespace["build"] = ours["build"]  # type: ignore[index]
    recorder = cell("build()")
    assert (recorder.opened(), recorder.processes()) == ((), ())
    recorder = cell("build(lambda: open('in.txt').close())")  # the cell's own function, called by ours
    assert recorder.opened() == ()
    recorder = cell("open('in.txt').close()")
    assert [one.path for one in recorder.opened()] == [str(tmp_path / "in.txt")]


def test_processes_and_sockets(cell: Any, tmp_path: Path) -> None:
    recorder = cell(
        "import os, socket, subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', ''])\n"
        "os.system('true  now')\n"
        "with socket.socket(socket.AF_UNIX) as one:\n    one.connect_ex('none.sock')\n"
    )
    assert recorder.processes() == (sys.executable, "true")
    assert recorder.sockets() == ("none.sock",)


def test_what_a_handler_raises_reaches_nobody(tmp_path: Path) -> None:
    def broken(args: tuple[Any, ...]) -> None:
        raise KeyError(args)

    (tmp_path / "a").write_text("x")
    listen({"open": broken})
    try:
        assert (tmp_path / "a").read_text() == "x"
    finally:
        listen(None)


def test_no_method_of_what_is_opened_is_called(cell: Any) -> None:
    recorder = cell(
        "import sys\n"
        "class Loud(str):\n"
        "    def __getattribute__(self, name):\n        raise AssertionError(name)\n"
        "sys.audit('open', Loud('x'), 'r', 0)\nsys.audit('import', Loud('x'))\nsys.audit('open')"
    )
    assert recorder.opened() == ()
    assert recorder.imported() == ()


def test_more_than_is_kept_is_said(cell: Any, tmp_path: Path) -> None:
    recorder = cell("import sys\nfor n in range(6000):\n    sys.audit('open', f'f{n}', 'r', 0)")
    assert recorder.cut
    assert len(recorder.opened()) == 5000


ONE_HOOK = """
import sys
added = []
real = sys.addaudithook
sys.addaudithook = lambda hook: (added.append(hook), real(hook))
from buildr_jupyter.notebook.audit import listen
listen(None)
assert not added
heard = []
listen({"test.event": heard.append})
sys.audit("test.event", 1)
for name in [name for name in sys.modules if name.startswith("buildr_jupyter")]:
    del sys.modules[name]
from buildr_jupyter.notebook.audit import listen
listen({"test.event": heard.append})
sys.audit("test.event", 2)
listen(None)
sys.audit("test.event", 3)
print(len(added), heard)
"""


def test_one_hook_outlives_a_reload() -> None:
    done = subprocess.run([sys.executable, "-c", ONE_HOOK], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "1 [(1,), (2,)]\n"
