from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter import leaving
from buildr_jupyter.model import FileEntry, ImagePlan, ImageRef, Requirement


def test_the_first_push_to_a_registry_lists_what_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = ImagePlan(
        base="b",
        python="3.11",
        files=(FileEntry.from_bytes("app/main.py", b"x" * 1234), FileEntry.from_bytes("app/in.csv", b"1")),
        requirements=(Requirement("pandas==2.2.3"),),
    )
    notebook, refs = tmp_path / "nb.ipynb", [ImageRef.parse("reg.example/team/a:1"), ImageRef.parse("b")]
    (first, second) = leaving.first_time(plan, notebook, refs)
    assert first.text == (
        "the first push of nb.ipynb to reg.example: 2 files of 1,235 bytes (app/in.csv 1, app/main.py 1,234) "
        "and 1 packages (pandas==2.2.3)"
    )
    assert "docker.io" in second.text
    assert leaving.first_time(plan, notebook, refs), "what was not pushed is said again"
    leaving.said(notebook, refs[:1])
    assert leaving.first_time(plan, notebook, refs) == [second]
    assert len(leaving.first_time(plan, tmp_path / "other.ipynb", refs)) == 2
    assert not leaving.first_time(plan, None, refs)


def test_a_cache_that_cannot_be_used_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The push is done by then; found by the fault matrix."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    plan, refs = ImagePlan(base="b", python="3.11"), [ImageRef.parse("reg.example/a")]
    leaving.said(tmp_path / "nb.ipynb", refs)
    (warned,) = leaving.first_time(plan, tmp_path / "nb.ipynb", refs)
    assert "no files and 0 packages" in warned.text
