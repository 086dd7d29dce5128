from __future__ import annotations

import shutil
from pathlib import Path

from tests.e2e import screenshot


def test_the_quickstart_in_a_real_jupyterlab(docker_host: str, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    for file in ("01-quickstart.ipynb", "sales.py"):
        shutil.copy(screenshot.NOTEBOOKS / file, work)
    picture = tmp_path / "quickstart.png"
    text = screenshot.take(work, tmp_path, docker_host, picture)
    assert "quickstart:latest · done" in text
    assert "best month: 2026-03" in text
    assert "exit code" in text
    assert "Traceback" not in text
    assert picture.stat().st_size > 10_000
