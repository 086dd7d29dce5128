from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildr_jupyter.config.options import Options
from buildr_jupyter.errors import BuildError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, Finished, RunOutput, StageUpdate
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.handle import Build
from buildr_jupyter.ui import sessions
from buildr_jupyter.ui.pane.presenter import PaneDisplay
from buildr_jupyter.ui.plain import QuietDisplay, TextDisplay


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return []


def builds(written: list[str], *, kernel: object = None, **names: str) -> sessions.Builds:
    shell: Any = SimpleNamespace(kernel=kernel, user_ns=names)
    return sessions.Builds(shell, written.append, lambda job, result: None)


def _without(name: str) -> Any:
    find = importlib.util.find_spec
    return lambda wanted, *more: None if wanted == name else find(wanted, *more)


def job(**options: Any) -> Any:
    chosen = Options(name="app:1", **options)
    return SimpleNamespace(refs=(ImageRef.parse("app:1"),), options=chosen)


def test_a_page_gets_a_pane_and_others_get_lines(written: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = builds(written, kernel=object(), __vsc_ipynb_file__="/x/nb.ipynb")
    assert isinstance(notebook._pane(job(), "app:1"), PaneDisplay)
    assert notebook._pane(job(ui="text"), "app:1") is None
    assert notebook._pane(job(quiet=True), "app:1") is None
    assert builds(written, kernel=object())._pane(job(), "app:1") is None
    assert isinstance(builds(written)._lines(job()), TextDisplay)
    assert isinstance(builds(written)._lines(job(quiet=True)), QuietDisplay)
    for missing in ("anywidget", "ipywidgets"):
        kernel = builds(written, kernel=object(), __vsc_ipynb_file__="/x/nb.ipynb")
        with monkeypatch.context() as without:
            without.setattr("importlib.util.find_spec", _without(missing))
            written.clear()
            assert kernel._pane(job(), "app:1") is kernel._pane(job(), "app:1") is None
            assert written == ["buildr: anywidget is not installed here; plain text serves (pip install anywidget)\n"]


def test_what_a_first_pane_needs_was_imported_when_the_extension_was_loaded(tmp_path: Path) -> None:
    code = (
        "import sys, threading\n"
        "from types import SimpleNamespace\n"
        "from buildr_jupyter.ui.sessions import Builds\n"
        "shell = SimpleNamespace(kernel=object(), user_ns={'__vsc_ipynb_file__': 'nb.ipynb'})\n"
        "builds = Builds(shell, print, print)\n"
        "builds.warm_up()\n"
        "for one in threading.enumerate():\n"
        "    one is threading.main_thread() or one.join()\n"
        "warm = set(sys.modules)\n"
        "from buildr_jupyter.config import options, settings\n"
        "settings.gather(line={})\n"
        "pane = builds._pane(SimpleNamespace(options=options.Options(name='app:1')), 'app:1')\n"
        "assert pane is not None\n"
        "print([name for name in set(sys.modules) - warm if name.startswith('buildr_jupyter')])\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert (answer.stdout.strip(), answer.returncode) == ("[]", 0), answer.stderr


def test_a_terminal_gets_the_live_display_where_rich_is(written: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert type(builds(written)._lines(job())).__name__ == "LiveDisplay"
    monkeypatch.delitem(sys.modules, "buildr_jupyter.ui.rich_live", raising=False)
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert isinstance(builds(written)._lines(job()), TextDisplay)


def test_status_lists_what_there_was(written: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def works(_job: object, _cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        yield StageUpdate("build", "running")
        yield RunOutput("stdout", "epoch 1\nepoch 2\n")
        yield Finished(BuildResult("app:1", duration_s=2.0))
        return BuildResult("app:1")

    kernel = builds(written)
    kernel.show_status()
    monkeypatch.setattr(Build.__init__, "__kwdefaults__", {"work": works, "after": None, "kept": False, "state": None})
    assert kernel.run(job(), "app:1").image == "app:1"
    handle = kernel.start(job(), "app:1")
    assert handle.result(10).image == "app:1"
    written.clear()
    kernel.show_status()
    line = "app:1  done       2.0 s\n"
    assert written == [line, line, "    epoch 1\n    epoch 2\n"]  # what nobody has seen: it was detached


def test_a_result_that_a_pane_showed_is_not_shown_again_once(written: list[str]) -> None:
    kernel, result = builds(written), BuildResult("app:1")
    assert not kernel.take_shown(result)
    kernel.shown = result
    assert not kernel.take_shown(BuildResult("app:1"))
    assert kernel.take_shown(result)
    assert not kernel.take_shown(result)


def test_an_error_that_a_pane_shows_is_one_sentence_below_it() -> None:
    error = BuildError("Image build failed: no", hint="repair it", log_tail=("a", "b"))
    sessions._render_once(error)
    assert error._render_traceback_() == ["BuildError: Image build failed: no", "  the pane above says more"]
    assert len(error.render()) > 2
    stopped: Any = KeyboardInterrupt()
    sessions._render_once(stopped)
    assert stopped._render_traceback_()[0] == "KeyboardInterrupt: the build was cancelled"
