"""Plans that are kept, found by their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.commands.kept_plans import kept_plan
from buildr_jupyter.context import folder as context
from buildr_jupyter.model.plan import FileEntry, ImagePlan


@pytest.fixture
def contexts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "buildr" / "contexts"


def plan_of(text: bytes) -> ImagePlan:
    return ImagePlan(base="b", python="3.11", files=(FileEntry.from_bytes("app/main.py", text, why="the program"),))


def test_the_folder_with_this_content_is_found(contexts: Path) -> None:
    plans = [plan_of(b"print(1)\n"), plan_of(b"print(2)\n")]
    contexts.mkdir(parents=True)
    for number, plan in enumerate(plans):
        context.write_folder(plan, contexts / str(number))
    found = kept_plan(plans[1].content_digest)
    assert found is not None
    assert [(entry.path, entry.size_bytes, entry.why) for entry in found.all_files] == [
        ("app/main.py", 9, "the program")
    ]
    assert kept_plan("sha256:" + "0" * 64) is None
    assert kept_plan(None) is None


def test_damaged_folders_and_files_between_them_hide_nothing(contexts: Path) -> None:
    assert kept_plan("sha256:" + "0" * 64) is None  # there is no cache yet
    plan = plan_of(b"print(1)\n")
    contexts.mkdir(parents=True)
    (contexts / "a").mkdir()
    (contexts / "a" / "buildr.json").write_text("{")
    (contexts / "b").mkdir()
    (contexts / "c").touch()
    context.write_folder(plan, contexts / "d")
    assert kept_plan(plan.content_digest) is not None
