from __future__ import annotations

from pathlib import Path

import pytest

from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan, Requirement
from buildr_jupyter.pipeline import push_notice


def test_the_first_push_to_a_registry_lists_what_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = ImagePlan(
        base="b",
        python="3.11",
        files=(FileEntry.from_bytes("app/main.py", b"x" * 1234), FileEntry.from_bytes("app/in.csv", b"1")),
        requirements=(Requirement("pandas==2.2.3"),),
    )
    notebook, refs = tmp_path / "nb.ipynb", [ImageRef.parse("reg.example/team/a:1"), ImageRef.parse("b")]
    (first, second) = push_notice.first_time(plan, notebook, refs)
    assert first.text == (
        "the first push of nb.ipynb to reg.example: 2 files of 1,235 bytes (app/in.csv 1, app/main.py 1,234) "
        "and 1 packages (pandas==2.2.3)"
    )
    assert "docker.io" in second.text
    assert push_notice.first_time(plan, notebook, refs), "what was not pushed is said again"
    push_notice.said(notebook, refs[:1])
    assert push_notice.first_time(plan, notebook, refs) == [second]
    assert len(push_notice.first_time(plan, tmp_path / "other.ipynb", refs)) == 2
    assert not push_notice.first_time(plan, None, refs)


def test_a_cache_that_cannot_be_used_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The push is done by then; found by the fault matrix."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    plan, refs = ImagePlan(base="b", python="3.11"), [ImageRef.parse("reg.example/a")]
    push_notice.said(tmp_path / "nb.ipynb", refs)
    (warned,) = push_notice.first_time(plan, tmp_path / "nb.ipynb", refs)
    assert "no files and 0 packages" in warned.text
