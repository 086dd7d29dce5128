from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from buildr_jupyter.commands.login import cell_of, log_in
from buildr_jupyter.config.options import Options
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.errors import CredentialError, OptionError
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.planner import CellSource, ScriptSource


def test_a_cell_is_named_by_what_is_known_of_it(tmp_path: Path) -> None:
    run = CellRun("1", "1", id="a1", index=4, tags=("x", "y"))
    request = ExportRequest(CellSource((run,), run, tmp_path), Options(), Interpreter.current(), {})
    assert cell_of(request) == {"index": 4, "id": "a1", "tags": ["x", "y"]}
    script = ExportRequest(ScriptSource(tmp_path / "x.py", tmp_path), Options(), Interpreter.current(), {})
    assert cell_of(script) == {"index": None, "id": None, "tags": []}


@pytest.mark.parametrize("host", ["", "https://r.example", "r.example/team"])
def test_only_a_host_can_be_logged_in_to(host: str) -> None:
    with pytest.raises(OptionError, match="is not a registry host"):
        log_in(host, "me", "word")


def test_where_nobody_can_be_asked_the_way_without_a_question_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(prompt: str) -> str:
        raise EOFError

    with pytest.raises(CredentialError, match="there is nobody here to ask") as caught:
        log_in("r.example", None, None, ask=nobody)
    assert "buildr login r.example --username NAME --password-stdin" in (caught.value.hint or "")
    monkeypatch.setattr(getpass, "getpass", nobody)
    with pytest.raises(CredentialError, match="nobody here to ask"):
        log_in("r.example", "me", None)
