"""The sender's tar, and what it says of it."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

from buildr_jupyter.in_image import sender


def test_the_files_of_a_list_are_sent_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    listed = tmp_path / "list"
    listed.write_text(json.dumps([["/app/output/é.csv", str(tmp_path / "a")]]))
    done = subprocess.run(
        [sys.executable, "-IS", "-c", Path(sender.__file__).read_text(), listed], capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert tar.getnames() == ["app/output/é.csv"]
    assert done.stderr.decode().split() == [
        sender.SENT, str(len(done.stdout)), hashlib.sha256(done.stdout).hexdigest(),
    ]  # fmt: skip


def test_a_file_that_went_is_a_failure(tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text(json.dumps([["/app/a", str(tmp_path / "absent")]]))
    done = subprocess.run(
        [sys.executable, "-c", Path(sender.__file__).read_text(), listed], capture_output=True, check=False
    )
    assert done.returncode == 1
    assert sender.SENT.encode() not in done.stderr
