"""Bases of a few bytes."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from buildr_jupyter.oci.image import default_platform


@pytest.fixture
def make_base(tmp_path: Path) -> Callable[..., Path]:
    """Write a ``docker save`` file with one layer that has one file; of this Python and platform unless told."""

    def make(name: str, *, python: str = "", architecture: str = "", environment: tuple[str, ...] = ()) -> Path:
        python = python or platform.python_version()
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(f"marker-{name}"))
        config = json.dumps({
            "architecture": architecture or default_platform()[6:], "os": "linux",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin", f"PYTHON_VERSION={python}", *environment],
                       "Labels": {"of": name}},
            "history": [{"created_by": f"base {name}"}],
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(plain.getvalue()).hexdigest()]},
        }).encode()  # fmt: skip
        described = json.dumps([{"Config": "c.json", "RepoTags": [], "Layers": ["l.tar"]}]).encode()
        path = tmp_path / f"{name}.tar"
        with tarfile.open(path, "w") as out:
            for inside, content in (("manifest.json", described), ("c.json", config), ("l.tar", plain.getvalue())):
                info = tarfile.TarInfo(inside)
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
        return path

    return make


@pytest.fixture
def small_base(make_base: Callable[..., Path]) -> Path:
    """A base of this interpreter's version."""
    return make_base("small")
