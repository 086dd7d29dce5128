from __future__ import annotations

import sys
from pathlib import Path

from buildr_jupyter.oci.bytecode import compile_entries, key

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_bytecode_is_made_for_this_python_alone() -> None:
    assert key(HERE)
    assert key("3.8") == ""


def test_modules_get_their_pyc_the_same_each_time_and_tests_none(tmp_path: Path) -> None:
    sources = {"pkg/a.py": "a = 1\n", "pkg/tests/t.py": "t = 1\n", "pkg/bad.py": "= 1\n", "pkg/data.txt": "x"}
    files = []
    for number, (path, text) in enumerate(sources.items()):
        place = tmp_path / f"source{number}"
        place.write_text(text)
        files.append((path, place))
    found = []
    for turn in ("one", "two"):
        (tmp_path / turn).mkdir()
        found.append(compile_entries(files, tmp_path / turn))
    assert [entry.path for entry in found[0]] == [f"pkg/__pycache__/a.{sys.implementation.cache_tag}.pyc"]
    contents = [sorted(path.read_bytes() for path in (tmp_path / turn).iterdir()) for turn in ("one", "two")]
    assert contents[0] == contents[1]
    assert compile_entries([], tmp_path) == []
