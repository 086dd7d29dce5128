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
