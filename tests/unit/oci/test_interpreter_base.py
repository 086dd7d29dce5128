"""The base that is this interpreter, where its libraries cannot be told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from buildr_jupyter.errors import BuildRefused
from buildr_jupyter.oci.interpreter_base import kernel_base
from buildr_jupyter.oci.layer import compressor
from buildr_jupyter.oci.store import Store

MINE = f"{sys.version_info.major}.{sys.version_info.minor}"


def test_an_image_without_ldd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pod whose image was made by this builder: it has no shell, and ldd is a script."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildRefused, match="libraries of this interpreter") as refused:
        kernel_base(Store(tmp_path / "store"), compressor(), MINE, lambda: None)
    assert refused.value.hint == "name a base with --base"


def test_another_python(tmp_path: Path) -> None:
    with pytest.raises(BuildRefused, match=r"3\.7"):
        kernel_base(Store(tmp_path / "store"), compressor(), "3.7", lambda: None)
