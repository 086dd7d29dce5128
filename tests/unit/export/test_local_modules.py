"""The text of modules beside the notebook."""

from __future__ import annotations

from pathlib import Path

from buildr_jupyter.export.local_modules import read_module


def test_a_module_and_a_package_are_read(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("PRICE = 3\n")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("A = 1")
    (tmp_path / "tools" / "maths.py").write_text("B = 2")
    assert read_module(tmp_path, "shop") == "PRICE = 3\n"
    assert read_module(tmp_path, "tools") == "A = 1"
    assert read_module(tmp_path, "tools.maths") == "A = 1\nB = 2"


def test_what_is_no_module_here_is_none(tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text("SECRET = 1")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.py").symlink_to(outside)
    assert [read_module(folder, name) for name in ("numpy", "", "..", "../outside", "link")] == [None] * 5
