"""Engines are hidden from a command, other programs are not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.engines._process import find_program
from tests.engines.hidden import run_without_engines

FINDS = "import sys; from tests.engines._process import find_program as f; sys.exit(sum(bool(f(n)) << k for k, n in enumerate(sys.argv[1:])))"


def test_engines_are_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bin/dockerd", "bin/containerd-shim", "bin/tool", "sbin/runc"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    names = ["dockerd", "containerd-shim", "runc", "tool"]
    assert all(map(find_program, names))
    assert run_without_engines([sys.executable, "-c", FINDS, *names]) == 0b1000
