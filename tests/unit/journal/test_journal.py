"""The journal: rows, one end for each, many processes at once, and files that are none."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from buildr_jupyter.errors import JournalError
from buildr_jupyter.journal.journal import Journal, data_folder


def begin(journal: Journal, key: str = "k", **changes: object) -> int:
    said = {"image": "x:1", "image_id": "sha256:1", "inputs": {"n": 1}, "attempt": 1, "now": 10.0, **changes}
    return journal.begin(key, **said)  # type: ignore[arg-type]


def test_a_run_has_a_row_before_it_starts_and_one_end(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "data")
    number = begin(journal)
    assert [row.state for row in journal.unfinished("k")] == ["starting"]
    assert journal.done("k") is None
    journal.end(number, "done", now=12.0, exit_code=0, log_tail=("a", "b"), duration_s=2.0, folder=tmp_path)
    journal.end(number, "failed", now=13.0, exit_code=1)
    row = journal.done("k")
    assert row is not None
    assert (row.inputs, row.state, row.exit_code, row.log_tail, row.ended, row.folder) == (
        {"n": 1}, "done", 0, ("a", "b"), 12.0, tmp_path,
    )  # fmt: skip
    assert journal.unfinished("k") == []
    assert [one.key for one in Journal(tmp_path / "data").rows(prefix="k")] == ["k"]
    assert journal.rows(prefix="other") == []


def test_rows_are_found_by_the_beginning_of_their_key(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for key in ("ab", "abc", "b", "a\U0010fffe", "aB", "a%", "ab", "ABC"):
        begin(journal, key)
    assert [row.key for row in journal.rows(prefix="ab")] == ["ab", "abc", "ab"]
    assert [row.key for row in journal.rows(prefix="a")] == ["ab", "a%", "aB", "a\U0010fffe", "abc", "ab"]
    assert [row.key for row in journal.rows(1, prefix="ab")] == ["ab"]
    assert journal.rows(prefix="abcd") == []
    assert len(journal.rows()) == 8


def test_it_is_private_and_its_place_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "data")
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("BUILDR_DATA", str(tmp_path / "else"))
    assert data_folder() == tmp_path / "else"
    monkeypatch.delenv("BUILDR_DATA")
    assert data_folder().name == "buildr"


def test_old_runs_are_forgotten_and_a_clock_that_goes_back_harms_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    first, second = begin(journal, "a", now=100.0), begin(journal, "b", now=50.0)
    journal.end(first, "done", now=90.0)
    journal.end(second, "done", now=200.0)
    assert [row.key for row in journal.rows()] == ["b", "a"]
    assert [row.key for row in journal.forget(100.0)] == ["a"]
    assert [row.key for row in journal.rows()] == ["b"]


def test_images_of_this_user_s_kernels(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert not journal.made_image("sha256:1")
    for now in (1.0, 2.0):
        journal.remember_image("sha256:1", now=now)
    assert Journal(tmp_path).made_image("sha256:1")


def test_many_processes_write_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from buildr_jupyter.journal.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for n in range(50):\n"
        "    row = journal.begin(f'{sys.argv[2]}-{n}', image='x', image_id='y', inputs={}, attempt=1, now=1.0)\n"
        "    journal.end(row, 'done', now=2.0)\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(n)]) for n in range(4)]
    assert [child.wait(60) for child in started] == [0] * 4
    rows = Journal(tmp_path).rows()
    assert len({row.key for row in rows}) == len(rows) == 200
    assert {row.state for row in rows} == {"done"}


def test_many_make_it_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        for number in range(60):
            folder, gate = tmp_path / str(number), threading.Barrier(4, timeout=60)

            def make(folder: Path = folder, gate: threading.Barrier = gate) -> Journal:
                gate.wait()
                return Journal(folder)

            made = [one.result(60) for one in [pool.submit(make) for _ in range(4)]]
            begin(made[0])
            assert [len(one.rows()) for one in made] == [1] * 4


def test_what_is_no_journal_is_refused_by_name(tmp_path: Path) -> None:
    for name, content in (("text", b"not a database, and long enough to be seen as none of them" * 20), ("new", None)):
        folder = tmp_path / name
        folder.mkdir()
        if content is None:
            with sqlite3.connect(folder / "journal.sqlite") as connection:
                connection.execute("PRAGMA user_version = 7")
            connection.close()
        else:
            (folder / "journal.sqlite").write_bytes(content)
        with pytest.raises(JournalError, match="newer" if content is None else "not a database") as raised:
            Journal(folder)
        assert "BUILDR_DATA=DIR" in (raised.value.hint or "")
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(tmp_path / "file")


def test_ten_thousand_rows_are_listed_in_one_answer(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with sqlite3.connect(journal.path) as connection:
        row = ("k", "x", "y", '{"n": 1}', "done", 1, "[]", 1.0)
        connection.executemany(
            "INSERT INTO runs (key, image, image_id, inputs, state, attempt, log_tail, started) VALUES (?,?,?,?,?,?,?,?)",
            [row] * 10_000,
        )
    connection.close()
    rows = journal.rows(10_000)
    assert len(rows) == 10_000
    assert rows[0].inputs == {"n": 1}
