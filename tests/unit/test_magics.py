from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

import buildr_jupyter
from buildr_jupyter.config.options import OPTIONS
from buildr_jupyter.errors import (
    BuildError,
    BuildrError,
    CellSyntaxError,
    EngineUnavailable,
    LeakError,
    RunError,
    UnboundName,
)
from buildr_jupyter.model.result import BuildResult
from tests.fakes.credentials import fakes
from tests.shells import loaded_shell, run

TOKEN = next(fake.value for fake in fakes() if fake.kind == "github-pat")


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    with loaded_shell() as made:
        yield made


def test_a_dry_run_shows_everything_and_needs_no_engine(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "import math\ndef area(r):\n    return math.pi * r * r\nunused = 1")
    capsys.readouterr()
    assert run(shell, "%%containerize circle --dry-run\nprint(area(2))") is None
    out = capsys.readouterr().out
    assert "FROM python:" in out
    assert "app/main.py" in out
    assert "no requirements" in out
    assert "area" in out
    assert "unused" not in out


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("'open", "does not split"),
        ("--bad", "--bad"),
        ("MyApp", "capital letters"),
        ("'my app'", "white space"),
        (f"app:{'t' * 129}", "129 characters"),
        ("app --publish", "no registry or repository"),
        ("app --memory lots", "--memory"),
    ],
)
def test_wrong_use_is_exactly_a_usage_error(shell: Any, line: str, word: str) -> None:
    with pytest.raises(UsageError) as raised:
        run(shell, f"%%containerize {line}\nprint(1)")
    assert type(raised.value) is UsageError
    assert word in str(raised.value)


def test_an_unknown_builder_names_those_that_are_there(shell: Any) -> None:
    with pytest.raises(UsageError, match="Unknown spec steam") as raised:
        run(shell, "%%containerize app --builder steam\nprint(1)")
    assert "docker" in str(raised.value)


def test_bad_cells_are_said_before_any_engine_is_asked(shell: Any) -> None:
    with pytest.raises(UsageError, match="empty"):
        run(shell, "%%containerize app\n\n")
    with pytest.raises(CellSyntaxError):
        run(shell, "%%containerize app\nprint(")
    with pytest.raises(UnboundName, match="'nowhere'") as raised:
        run(shell, "%%containerize app\nx = 1\nprint(nowhere)")
    assert "line 3" in str(raised.value)


def test_no_engine_is_one_sentence_and_a_hint_and_no_traceback(shell: Any, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable) as raised:
        run(shell, "%%containerize app --builder docker\nprint(1)")
    lines = raised.value._render_traceback_()
    assert len(lines) == 2
    assert "no.sock" in lines[0]
    assert "hint" in lines[1]
    assert [path.name for path in tmp_path.iterdir()] == []


def test_without_an_engine_the_image_is_made_all_the_same(
    shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunError, match="was built and not run: no engine answers here") as raised:
        run(shell, "%%containerize app --run\nprint(1)")
    result = raised.value.result
    assert result.builder == "oci"
    assert result.archive.stat().st_size > 1_000_000
    assert result.digest.startswith("sha256:")
    out = capsys.readouterr().out
    assert "builder: oci" in out
    assert str(result.archive) in str(raised.value.hint)
    assert [path.name for path in tmp_path.iterdir()] == []


def test_a_missing_include_and_a_credential_stop_it(shell: Any) -> None:
    with pytest.raises(BuildrError, match="--include gone"):
        run(shell, "%%containerize app --include gone.csv\nprint(1)")
    with pytest.raises(LeakError, match="github-pat"):
        run(shell, f"%%containerize app\nprint({TOKEN!r})")


def test_fallback_local_runs_the_cell_here_and_says_so(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "%%containerize app --builder docker --fallback-local\nprint('ran', 'here')")
    out = capsys.readouterr().out
    assert "the cell runs here instead" in out
    assert "ran here" in out
    with pytest.raises(UnboundName):
        run(shell, "%%containerize app --fallback-local\nprint(nowhere)")


def test_here_runs_the_cell_too(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "%%containerize app --here --dry-run\nkept = 41 + 1\nprint('here', kept)")
    assert "here 42" in capsys.readouterr().out
    assert shell.user_ns["kept"] == 42
    with pytest.raises(BuildrError, match="the cell failed, as shown above"):
        run(shell, "%%containerize app --here --dry-run\n1 / 0")


def test_settings_are_shown_with_their_origin(
    shell: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BUILDR_BASE", "env/base:1")
    loses = "loses@sha256:" + "0" * 64
    (tmp_path / "pyproject.toml").write_text(f'[tool.buildr]\nplatform = "linux/arm64"\nbase = "{loses}"\n')
    run(shell, "%config ContainerizeMagics.repository = 'reg.example/me'")
    capsys.readouterr()
    run(shell, "%containerize")
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "reg.example/me" in rows["repository"]
    assert "%config" in rows["repository"]
    assert "env/base:1" in rows["base"]
    assert "BUILDR_BASE" in rows["base"]
    assert "pyproject.toml" in rows["platform"]
    assert "default" in rows["builder"]
    run(shell, "%config ContainerizeMagics.repository = None")


def complete(shell: Any, text: str) -> set[str]:
    with provisionalcompleter():
        return {found.text for found in shell.Completer.completions(text, len(text))}


def test_options_and_values_complete(shell: Any) -> None:
    assert complete(shell, "%%containerize app --publ") == {"--public", "--publish"}
    assert complete(shell, "%%containerize app --ui ") == {"auto", "widget", "text", "json"}
    assert "docker" in complete(shell, "%%containerize app --builder d")
    assert "--publish" not in complete(shell, "x = 1 --pub")


def test_names_of_the_kernel_complete(shell: Any) -> None:
    run(shell, "import math\nlearning_rate = 0.1\ndef learn(): pass")
    with provisionalcompleter():
        line = "%%containerize x --param lea"
        found = {completion.text for completion in shell.Completer.completions(line, len(line))}
    assert found == {"learning_rate"}


@pytest.mark.parametrize("line", ["%containerize report", "%containerize --publish", "%containerize x --run"])
def test_one_percent_sign_makes_no_image_and_runs_nothing(shell: Any, line: str) -> None:
    with pytest.raises(UsageError, match="write %%containerize, with two"):
        run(shell, f"{line}\nran = True")
    assert "ran" not in shell.user_ns


def test_the_magic_in_mid_cell_says_how_to_split_it(shell: Any) -> None:
    with pytest.raises(UsageError, match="split the cell above that line"):
        run(shell, "x = 1\n%%containerize report\nran = True")
    assert "ran" not in shell.user_ns


@pytest.mark.parametrize(
    ("setting", "value", "word"),
    [
        ("builder", "dokcer", "write docker if you meant that"),
        ("ui", "pretty", "ui"),
        ("python", "three", "python"),
        ("platform", "amd", "platform"),
        ("base", "Not A Ref", "base"),
        ("snapshot_limit", "much", "snapshot"),
        ("map_limit", "many", "map-limit"),
        ("jobs", "all", "jobs"),
        ("check_time", "long", "check-time"),
        ("registry_alias", ["one"], "registry-alias"),
        ("queue", "A B", "queue"),
        ("service_account", "me!", "service-account"),
        ("pull_secret", "Mine", "pull-secret"),
        ("repository", "::", "not a registry host"),
    ],
)
def test_a_setting_is_checked_when_it_is_set(
    shell: Any, setting: str, value: str, word: str, caplog: pytest.LogCaptureFixture
) -> None:
    run(shell, f"%config ContainerizeMagics.{setting} = {value!r}")  # IPython shows the error and goes on
    assert word in caplog.text
    magics = shell.magics_manager.registry["ContainerizeMagics"]
    assert getattr(magics, setting) is None
    del shell.config["ContainerizeMagics"]


@pytest.mark.parametrize("section", ["Containerize", "ContainerizeMagic", "Buildr", "Containerizemagics"])
def test_a_class_that_has_no_settings_is_not_passed_over(
    shell: Any, section: str, caplog: pytest.LogCaptureFixture
) -> None:
    run(shell, f"%config {section}.base = 'python:3.12-slim'")
    assert f"{section} has no settings, so nothing was set" in caplog.text
    assert "write ContainerizeMagics.base" in caplog.text
    caplog.clear()
    run(shell, "%config InteractiveShell.ast_node_interactivity = 'last_expr'")
    run(shell, "%config SomethingElse.base = 1")
    assert not caplog.text
    del shell.config[section], shell.config["SomethingElse"]  # the shell is that of all tests


def test_a_class_that_has_no_settings_in_a_file_is_a_warning(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    buildr_jupyter.unload_ipython_extension(shell)
    shell.config.Containerize.base = "python:3.12-slim"
    try:
        buildr_jupyter.load_ipython_extension(shell)
        run(shell, "%containerize")
        said = capsys.readouterr().out
        assert "warning: Containerize has no settings, so nothing was set\n" in said
        assert "hint: write ContainerizeMagics.base\n" in said
    finally:
        del shell.config["Containerize"]


def test_a_mistyped_variable_is_a_warning(
    shell: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDR_BASSE", "python:3.12-slim")
    run(shell, "%%containerize named --dry-run\nprint(1)")
    assert "BUILDR_BASSE has no effect" in capsys.readouterr().out
    run(shell, "%containerize")
    assert "hint: write BUILDR_BASE if you meant that" in capsys.readouterr().out


def test_a_bad_setting_in_a_file_does_not_stop_the_extension(shell: Any) -> None:
    buildr_jupyter.unload_ipython_extension(shell)
    shell.config.ContainerizeMagics.ui = "pretty"
    try:
        buildr_jupyter.load_ipython_extension(shell)
        with pytest.raises(UsageError, match="ui"):
            run(shell, "%%containerize x\nprint(1)")
    finally:
        del shell.config["ContainerizeMagics"]


def test_the_help_is_the_parsers(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    info = shell.object_inspect("%%containerize", detail_level=0)
    assert all(f"--{option.name}" in info["docstring"] for option in OPTIONS)
    run(shell, "%%containerize --help\nx")
    assert "--fallback-local" in capsys.readouterr().out


def test_a_notebook_can_be_named_where_the_front_end_says_nothing(
    shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "My Report.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    run(shell, "%%containerize --notebook 'My Report.ipynb' --dry-run\nprint(1)")
    assert '"io.buildr.notebook"="My Report.ipynb"' in capsys.readouterr().out
    with pytest.raises(UsageError, match="no such file"):
        run(shell, "%%containerize --notebook none.ipynb --dry-run\nprint(1)")


def test_unloading_takes_everything_off(shell: Any) -> None:
    before = len(shell.events.callbacks["post_run_cell"])
    buildr_jupyter.unload_ipython_extension(shell)
    assert "containerize" not in shell.magics_manager.magics["cell"]
    assert "containerize" not in shell.magics_manager.magics["line"]
    assert len(shell.events.callbacks["post_run_cell"]) == before - 1
    assert shell.Completer.custom_matchers == []
    buildr_jupyter.unload_ipython_extension(shell)
    buildr_jupyter.load_ipython_extension(shell)
    buildr_jupyter.load_ipython_extension(shell)
    assert len(shell.Completer.custom_matchers) == 1
    assert len(shell.events.callbacks["post_run_cell"]) == before


def test_loading_in_the_last_cell_works_from_the_history_alone(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    buildr_jupyter.unload_ipython_extension(shell)
    run(shell, "def late(x):\n    return x + 1")
    run(shell, "%load_ext buildr_jupyter")
    run(shell, "%%containerize app --dry-run\nprint(late(1))")
    assert "late" in capsys.readouterr().out


def test_local_modules_come_from_the_working_directory(
    shell: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "helper_mod.py").write_text("VALUE = 3\n")
    run(shell, "%%containerize app --dry-run\nimport helper_mod\nprint(helper_mod.VALUE)")
    assert "app/helper_mod.py" in capsys.readouterr().out
    assert "helper_mod" not in os.sys.modules


def test_a_sweep_needs_no_helper_process(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "n = 1")
    with pytest.raises(UsageError, match="--keep: runs of a sweep outlive the kernel"):
        run(shell, "%%containerize x --keep --map n=1,2\nprint(n)")
    run(shell, "rows = [{'n': 5}]")
    assert run(shell, "%%containerize x --map-from rows --dry-run\nprint(n)") is None
    assert "1 input\n  --n" in capsys.readouterr().out
    with pytest.raises(UsageError, match="--map n: 'x' is no int"):
        run(shell, "%%containerize x --map n=1,x --dry-run\nprint(n)")


def test_runs_are_listed(shell: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    os.environ["BUILDR_DATA"], before = str(tmp_path / "data"), os.environ["BUILDR_DATA"]
    try:
        run(shell, "%containerize --runs")
    finally:
        os.environ["BUILDR_DATA"] = before
    assert capsys.readouterr().out.endswith("no runs yet: --map NAME=VALUES runs an image once for each\n")


def test_an_alias_of_the_magic_exports_the_text_below_it(shell: Any, tmp_path: Path) -> None:
    run(shell, "%alias_magic --cell box containerize")
    run(shell, "n = 20")
    run(shell, "%%box app --no-check --export out\nprint(n + 1)")
    program = (tmp_path / "out" / "app" / "main.py").read_text("utf-8")
    lines = program.splitlines()
    assert lines.index("n = 20") < lines.index("print(n + 1)")
    assert "run_cell_magic" not in program


def test_another_cell_made_it_is_said_only_where_it_did(
    shell: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of one that was refused or that failed, of the same cell after an edit, or where no ids are known."""

    def build(self: Any, job: Any, line: str) -> None:
        if "fails" in job.source.target.body:
            raise BuildError("Image build failed")
        self._bind(job, BuildResult(image=str(job.refs[0])))
        if "unrun" in job.source.target.body:
            error = RunError("it ended with status 1")
            error.result = BuildResult(image=str(job.refs[0]))
            raise error

    monkeypatch.setattr("buildr_jupyter.ui.sessions.Builds.run", build)
    told = []
    for cell, body in [
        ("a", "print('fails')"), ("b", "print(1)"), ("b", "print(2)"), ("a", "print('fails')"), ("b", "print(3)"),
        ("c", "print('unrun')"), ("c", "print(4)"), (None, "print(5)"), (None, "print(6)"), ("c", "print(7)"), ("b", "print(8)"),
    ]:  # fmt: skip
        shell.run_cell(f"%%containerize app\n{body}", store_history=True, cell_id=cell)
        told.append("was made by another cell before" in capsys.readouterr().out)
    assert told == [False, False, False, True, False, True, False, False, False, False, True]


def test_cells_are_named_as_the_notebook_shows_them(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """In a message and in a dry run; the plan has the id, which stays when the notebook is run again."""
    shell.user_ns["__vsc_ipynb_file__"] = "nb.ipynb"
    shell.run_cell("n = 3", store_history=True, cell_id="4a1b-77")
    number = shell.execution_count - 1
    shell.run_cell("%%containerize app --dry-run\nprint(n)", store_history=True, cell_id="last")
    out = capsys.readouterr().out
    assert f"nb.ipynb, cell [{number}], line 1" in out
    assert "4a1b-77" not in out.partition("Dockerfile")[0]
    shell.run_cell("%%containerize app --dry-run\nprint(nowhere)", store_history=True, cell_id="last")
    out = capsys.readouterr().out
    assert f"cell [{shell.execution_count - 1}]" in out
    assert "cell last" not in out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("MyApp", "image reference 'MyApp'"),
        ("app --builder docer", "Unknown spec docer"),
        ("app --bad", "%%containerize:"),
    ],
)
def test_the_name_of_an_errors_class_does_not_stand_beside_ipythons(
    line: str, said: str, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as raised:
        run(shell, f"%%containerize {line}\nprint(1)")
    assert str(raised.value).startswith(said)
    assert "failed in stage" not in capsys.readouterr().out


def test_the_settings_are_columns_and_say_how_one_is_set(shell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(shell, "%config ContainerizeMagics.base = 'python:3.12-slim'")
    capsys.readouterr()
    run(shell, "%containerize")
    *rows, last = capsys.readouterr().out.splitlines()
    assert last == "set one by %config ContainerizeMagics.base = 'python:3.12-slim', or by BUILDR_BASE"
    assert len({row.index(row.split()[1], len(row.split()[0])) for row in rows}) == 1
    assert [row.split() for row in rows if row.startswith("base ")] == [["base", "python:3.12-slim", "%config"]]
