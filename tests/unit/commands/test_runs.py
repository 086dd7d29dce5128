"""``buildr runs``: list, show, logs, values, prune, and keys that are none."""

from __future__ import annotations

import contextlib
import io
import json
import time
from pathlib import Path

import pytest

from buildr_jupyter import cli
from buildr_jupyter.commands import runs
from buildr_jupyter.errors import OptionError
from buildr_jupyter.journal.journal import Journal

KEYS = ("a" * 64, "b" * 64)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("CONTAINER_HOST", f"unix://{tmp_path}/no-podman.sock")
    made = Journal(tmp_path)
    for key, state, ended in zip(KEYS, ("done", "failed"), (time.time() - 40 * 86400, time.time()), strict=True):
        row = made.begin(key, image="x:1", image_id="i", inputs={"n": 1}, attempt=1, now=ended - 1)
        folder = tmp_path / "values" / key
        (folder / ".buildr" / "returns").mkdir(parents=True)
        (folder / ".buildr" / "returns" / "out.json").write_text("1")
        made.end(row, state, now=ended, exit_code=0, log_tail=("last", "words"), duration_s=1.0, folder=folder)
    return made


def command(*words: str) -> tuple[int, str]:
    with contextlib.redirect_stdout(out := io.StringIO()), contextlib.redirect_stderr(out):
        status = cli.main(["runs", *words])
    return status, out.getvalue()


def test_list_show_logs_and_values(journal: Journal, tmp_path: Path) -> None:
    status, out = command()
    assert status == 0
    assert [line.split() for line in out.splitlines()] == [
        ["RUN", "STATE", "TOOK", "STARTED", "IMAGE", "INPUTS"],
        ["b" * 12, "failed", "1.0", "s", "just", "now", "x:1", "n=1"],
        ["a" * 12, "done", "1.0", "s", "1", "month", "ago", "x:1", "n=1"],
    ]
    records = [json.loads(line) for line in command("list", "--json")[1].splitlines()]
    assert [(one["schema"], one["key"], one["inputs"]) for one in records] == [
        (1, KEYS[1], {"n": 1}), (1, KEYS[0], {"n": 1}),
    ]  # fmt: skip
    assert command("logs", "aaa") == (0, "last\nwords\n")
    assert command("values", "aaa") == (0, f"{tmp_path}/values/{KEYS[0]}/.buildr/returns/out.json\n")


def test_a_key_that_is_none_or_two(journal: Journal) -> None:
    for prefix, says in (("x", "no run begins with 'x'"), ("", "several runs begin")):
        with pytest.raises(OptionError, match=says):
            runs.find(prefix)
    assert command("show")[0] == 2


def test_prune_forgets_what_is_old_with_its_files(journal: Journal, tmp_path: Path) -> None:
    assert command("prune") == (0, "forgot 1 run\n")
    assert [row.key for row in journal.rows()] == [KEYS[1]]
    assert [path.name for path in (tmp_path / "values").iterdir()] == [KEYS[1]]
    assert command("prune", "--older-than", "0d", "--json")[0] == 0
    assert journal.rows() == []
