from __future__ import annotations

import importlib.util
import sys
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildr_jupyter import panes
from buildr_jupyter.background import Build
from buildr_jupyter.display import QuietWindow, TextWindow
from buildr_jupyter.errors import BuildError
from buildr_jupyter.events import CancelToken, Event, Finished, StageUpdate
from buildr_jupyter.model import BuildResult, ImageRef
from buildr_jupyter.option import Options
from buildr_jupyter.pane.window import PaneWindow


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return []


def builds(written: list[str], *, kernel: object = None, **names: str) -> panes.Builds:
    shell: Any = SimpleNamespace(kernel=kernel, user_ns=names)
    return panes.Builds(shell, written.append)


def _without(name: str) -> Any:
    find = importlib.util.find_spec
    return lambda wanted, *more: None if wanted == name else find(wanted, *more)


def job(**options: Any) -> Any:
    chosen = Options(name="app:1", **options)
    return SimpleNamespace(refs=(ImageRef.parse("app:1"),), options=chosen)


def test_a_page_gets_a_pane_and_others_get_lines(written: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = builds(written, kernel=object(), __vsc_ipynb_file__="/x/nb.ipynb")
    assert isinstance(notebook._pane(job(), "app:1"), PaneWindow)
    assert notebook._pane(job(ui="text"), "app:1") is None
    assert notebook._pane(job(quiet=True), "app:1") is None
    assert builds(written, kernel=object())._pane(job(), "app:1") is None
    assert isinstance(builds(written)._lines(job()), TextWindow)
    assert isinstance(builds(written)._lines(job(quiet=True)), QuietWindow)
    for missing in ("anywidget", "ipywidgets"):
        kernel = builds(written, kernel=object(), __vsc_ipynb_file__="/x/nb.ipynb")
        with monkeypatch.context() as without:
            without.setattr("importlib.util.find_spec", _without(missing))
            written.clear()
            assert kernel._pane(job(), "app:1") is kernel._pane(job(), "app:1") is None
            assert written == ["buildr: anywidget is not installed here; plain text serves (pip install anywidget)\n"]


def test_a_terminal_gets_the_live_display_where_rich_is(written: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert type(builds(written)._lines(job())).__name__ == "LiveWindow"
    monkeypatch.delitem(sys.modules, "buildr_jupyter.terminal", raising=False)
    monkeypatch.setitem(sys.modules, "rich.live", None)
    assert isinstance(builds(written)._lines(job()), TextWindow)


def test_status_lists_what_there_was(written: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def works(_job: object, _cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        yield StageUpdate("build", "running")
        yield Finished(BuildResult("app:1", duration_s=2.0))
        return BuildResult("app:1")

    kernel = builds(written)
    kernel.show_status()
    monkeypatch.setattr(Build.__init__, "__kwdefaults__", {"work": works, "after": None, "kept": False})
    assert kernel.run(job(), "app:1").image == "app:1"
    handle = kernel.start(job(), "app:1")
    assert handle.result(10).image == "app:1"
    written.clear()
    kernel.show_status()
    assert written == ["app:1  done       2.0 s\n"] * 2


def test_a_result_that_a_pane_showed_is_not_shown_again_once(written: list[str]) -> None:
    kernel, result = builds(written), BuildResult("app:1")
    assert not kernel.take_shown(result)
    kernel.shown = result
    assert not kernel.take_shown(BuildResult("app:1"))
    assert kernel.take_shown(result)
    assert not kernel.take_shown(result)


def test_an_error_that_a_pane_shows_is_one_sentence_below_it() -> None:
    error = BuildError("Image build failed: no", hint="mend it", log_tail=("a", "b"))
    panes._render_once(error)
    assert error._render_traceback_() == ["BuildError: Image build failed: no", "  the pane above says more"]
    assert len(error.render()) > 2
    stopped: Any = KeyboardInterrupt()
    panes._render_once(stopped)
    assert stopped._render_traceback_()[0] == "KeyboardInterrupt: the build was cancelled"
