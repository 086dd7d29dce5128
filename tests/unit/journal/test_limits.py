"""The limits of what is kept of runs: age, size, files that belong to none, and how often it is looked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildr_jupyter.errors import OptionError
from buildr_jupyter.journal.journal import Journal, place_of
from buildr_jupyter.journal.limits import Limits, keep_within, keep_within_daily, limits_of

DAY = 86400.0
NOW = 1_000 * DAY


def keep(journal: Journal, key: str, *, ended: float, size: int) -> Path:
    """Note a run that ended then, with a file of so many bytes."""
    row = journal.begin(key, image="x:1", image_id="i", inputs={}, attempt=1, now=ended - 1)
    folder = place_of(journal.path.parent, key)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "out").write_bytes(b"x" * size)
    os.utime(folder, (ended, ended))
    journal.end(row, "done", now=ended, exit_code=0, folder=folder)
    return folder


def test_what_is_too_old_is_forgotten_with_its_files(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    old = keep(journal, "a", ended=NOW - 31 * DAY, size=1)
    new = keep(journal, "b", ended=NOW - 29 * DAY, size=1)
    assert keep_within(journal, Limits(), now=NOW) == {"a"}
    assert (old.exists(), new.exists()) == (False, True)
    assert [row.key for row in journal.rows()] == ["b"]
    assert keep_within(journal, Limits(age_s=0), now=NOW) == {"b"}
    assert not new.exists()


def test_a_run_that_was_done_again_keeps_its_files(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    keep(journal, "a", ended=NOW - 31 * DAY, size=1)
    folder = keep(journal, "a", ended=NOW - 1, size=1)
    assert keep_within(journal, Limits(), now=NOW) == set()
    assert folder.exists()
    assert journal.done("a") is not None


def test_where_values_take_too_much_those_that_ended_first_go(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    folders = [keep(journal, key, ended=NOW - age * DAY, size=100) for key, age in (("a", 1), ("b", 3), ("c", 2))]
    assert keep_within(journal, Limits(size_bytes=200), now=NOW) == {"b"}
    assert [folder.exists() for folder in folders] == [True, False, True]
    found = journal.done("b")
    assert found is not None
    assert found.folder is None, "the list still has it, and its values are not taken for a later run's"
    assert keep_within(journal, Limits(size_bytes=200), now=NOW) == set()


def test_a_run_that_goes_on_and_files_that_are_being_written_stay(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.begin("a", image="x:1", image_id="i", inputs={}, attempt=1, now=NOW - 99 * DAY)
    kept = keep(journal, "b", ended=NOW, size=1)
    half, orphan = kept.with_name("c.0123.part"), kept.with_name("d")
    for folder, age in ((half, 0.5), (orphan, 2.0)):
        folder.mkdir()
        os.utime(folder, (NOW - age * DAY, NOW - age * DAY))
    assert keep_within(journal, Limits(), now=NOW) == set()
    assert (half.exists(), orphan.exists()) == (True, False)
    assert len(journal.unfinished("a")) == 1


def test_all_is_looked_at_once_a_day(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    keep_within_daily(journal, Limits(), now=NOW)
    folder = keep(journal, "a", ended=NOW - 40 * DAY, size=1)
    keep_within_daily(journal, Limits(), now=NOW + DAY - 1)
    assert folder.exists()
    keep_within_daily(journal, Limits(), now=NOW + DAY)
    assert not folder.exists()
    keep_within_daily(journal, Limits(), now=NOW - 5 * DAY)  # a clock that goes back is no error


def test_the_limits_of_the_environment() -> None:
    assert limits_of({}) == Limits(30 * DAY, 10 << 30)
    assert limits_of({"BUILDR_RUNS_AGE": "12h", "BUILDR_RUNS_SIZE": "2g"}) == Limits(DAY / 2, 2 << 30)
    for name, value in (("BUILDR_RUNS_AGE", "soon"), ("BUILDR_RUNS_SIZE", "-1")):
        with pytest.raises(OptionError, match=f"^{name}: "):
            limits_of({name: value})
