"""The text of modules beside the notebook."""

from __future__ import annotations

from pathlib import Path

from buildr_jupyter.export.local_modules import local_sources, read_module
from buildr_jupyter.model.plan import ImportUse


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


def test_sources_of_what_is_imported_and_of_what_that_imports(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    texts = {"pack/__init__.py": "from . import one", "pack/one.py": "from .two import x\nimport json, top",
             "pack/two.py": "x = 1", "pack/three.py": "", "top.py": "import pack.one, (", "unread.py": ""}  # fmt: skip
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    found = dict(local_sources([ImportUse("pack"), ImportUse("json")], [tmp_path / "none", tmp_path]))
    names = "pack/__init__.py", "pack/one.py", "pack/two.py", "top.py"
    assert {path.relative_to(tmp_path).as_posix(): text for path, text in found.items()} == {
        name: texts[name] for name in names
    }
