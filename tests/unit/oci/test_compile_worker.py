from __future__ import annotations

import io
import json
import marshal
import sys
import types
from pathlib import Path

import pytest

from buildr_jupyter.oci import _compile_worker


def test_a_module_is_compiled_under_its_name_in_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (
        ("good.py", "x = 1\ndef f():\n    return (1, 'a')\n"),
        ("bad.py", "x = = 1\n"),
        ("nul.py", "\0"),
    ):
        (tmp_path / name).write_text(text)
    jobs = [[str(tmp_path / name), f"/app/{name}"] for name in ("good.py", "bad.py", "nul.py")]
    target = tmp_path / "pycs"
    monkeypatch.setattr(sys, "argv", ["", str(target)])
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(jobs)))
    _compile_worker.main()
    content = target.read_bytes()
    assert json.loads(capsys.readouterr().out) == [len(content), None, None]
    assert content[4:8] == b"\x01\0\0\0", "an unchecked hash: the source is not looked at"
    code = marshal.loads(content[16:])
    assert isinstance(code, types.CodeType)
    assert code.co_filename == "/app/good.py"
    names: dict[str, object] = {}
    exec(code, names)
    assert names["x"] == 1


def test_all_that_code_can_be_asked_for_is_held() -> None:
    code = compile("def f():\n    return lambda: (1, ('deep', frozenset({2})))\n", "x", "exec")
    held: list[object] = []
    _compile_worker.hold(code, held)
    assert "deep" in held
    assert {one.co_name for one in held if isinstance(one, types.CodeType)} == {"f", "<lambda>"}
