from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from buildr_jupyter.builder.buildah.storage import isolation_options, tls_options, unfinished


def test_images_without_manifest_and_name_were_never_finished(tmp_path: Path) -> None:
    records = [
        {"id": "named", "names": ["app:1"]},
        {"id": "whole", "big-data-names": ["manifest"]},
        {"id": "old", "big-data-names": ["signature"]},
        {"id": "new"},
        {"id": "gone", "names": None},
    ]
    (tmp_path / "images.json").write_text(json.dumps(records))
    for name, made in (("named", 100), ("whole", 100), ("old", 100), ("new", 200)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (made, made))
    assert unfinished(tmp_path) == ["old", "new", "gone"]
    assert unfinished(tmp_path, since=150.0) == ["new", "gone"], "what is older is another's"


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_without_a_list_of_images_there_are_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "images.json").write_bytes(content)
    assert unfinished(tmp_path) == []


def test_tls_is_left_out_on_loopback_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tls_options("127.0.0.1:5000") == ["--tls-verify=false"]
    assert tls_options("localhost:5000") == ["--tls-verify=false"]
    assert tls_options("registry.example") == []


@pytest.mark.parametrize(("value", "options"), [("chroot", True), (" Chroot ", True), ("oci", False), ("", False)])
def test_a_step_in_a_chroot_loses_the_right_to_leave_it(value: str, options: bool) -> None:
    assert isolation_options({"BUILDAH_ISOLATION": value}) == (["--cap-drop=CAP_SYS_CHROOT"] if options else [])
    assert isolation_options({}) == []
