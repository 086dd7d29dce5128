"""Notes of what was collected: what they tell of another collection, and notes that are none."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from buildr_jupyter.model.request import Collection
from buildr_jupyter.runner.kept import has_all_of, note_collected

NOTHING, ALL, TABLES = Collection(nothing=True), Collection(), Collection(("*.csv",))
OUTSIDE, BOTH = Collection(("/tmp/*",)), Collection(("/tmp/*", "*.csv"))


@pytest.mark.parametrize(
    ("collected", "has"),
    [(NOTHING, [NOTHING]), (ALL, [NOTHING, ALL, TABLES]), (TABLES, [NOTHING, TABLES]), (OUTSIDE, [NOTHING, OUTSIDE]),
     (BOTH, [NOTHING, TABLES, OUTSIDE, BOTH])],
)  # fmt: skip
def test_what_was_collected_has_all_of_what_it_includes(
    tmp_path: Path, collected: Collection, has: list[Collection]
) -> None:
    note_collected(tmp_path, collected, left_out=False)
    assert [one for one in (NOTHING, ALL, TABLES, OUTSIDE, BOTH) if has_all_of(tmp_path, one)] == has
    assert Collection.from_json(collected.to_json()) == collected


def test_what_left_something_out_has_all_of_the_same_collection_alone(tmp_path: Path) -> None:
    note_collected(tmp_path, ALL, left_out=True)
    assert [has_all_of(tmp_path, one) for one in (NOTHING, ALL, TABLES)] == [True, True, False]
    note_collected(tmp_path, BOTH, left_out=True)
    assert has_all_of(tmp_path, Collection(("*.csv", "/tmp/*"))), "their order is none"


@pytest.mark.parametrize("text", [None, "", "[]", "{", '{"collect": {"patterns": 1}}', '{"collect": 3, "left_out": 0}'])
def test_a_note_that_is_none_tells_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / ".buildr").mkdir()
        (tmp_path / ".buildr" / "collected.json").write_text(text)
    assert [has_all_of(tmp_path, one) for one in (NOTHING, ALL)] == [True, False]


def test_a_program_that_has_a_folder_of_that_name_has_no_note(tmp_path: Path) -> None:
    (tmp_path / ".buildr" / "collected.json").mkdir(parents=True)
    with pytest.raises(OSError) as raised:
        note_collected(tmp_path, ALL, left_out=False)
    assert raised.value.errno == errno.EISDIR
