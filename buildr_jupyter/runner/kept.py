"""Kept files of a run: a note beside them of what was collected, so that a later sweep knows what they lack."""

from __future__ import annotations

import json
from pathlib import Path

from buildr_jupyter.model.request import Collection
from buildr_jupyter.runner.values import returned_folder

__all__ = ["has_all_of", "note_collected"]

_NOTE = "collected.json"


def note_collected(output: Path, collected: Collection, *, left_out: bool) -> None:
    """Write beside a run's files that ``collected`` took them; ``left_out``: it says of some that they did not come.

    A file of the program that has the note's name is replaced. Raises OSError.
    """
    place = _note_of(output)
    place.parent.mkdir(mode=0o700, exist_ok=True)
    place.write_text(json.dumps({"collect": collected.to_json(), "left_out": left_out}), encoding="utf-8")


def has_all_of(output: Path, wanted: Collection) -> bool:
    """Tell whether the kept files of a run hold each that ``wanted`` would bring; not where no note tells it."""
    if wanted.nothing:
        return True
    try:
        note = json.loads(_note_of(output).read_bytes())
        collected, left_out = Collection.from_json(note["collect"]), bool(note["left_out"])
    except (OSError, ValueError, TypeError, KeyError):
        return False
    if not collected.includes(wanted):
        return False
    return not left_out or wanted.includes(collected)  # the same again would leave out the same


def _note_of(output: Path) -> Path:
    return returned_folder(output).with_name(_NOTE)
