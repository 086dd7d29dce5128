"""The layout of a cluster in a file, from the test process to the node."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from tests.engines.kubernetes.settings import Layout, RegistryAt

__all__ = ["read", "write"]


def write(at: Layout) -> Path:
    """Write it into the cluster's folder and return the file."""
    path = at.folder / "layout.json"
    path.write_text(json.dumps(dataclasses.asdict(at), default=str))
    return path


def read(path: Path) -> Layout:
    """Return what ``write`` wrote."""
    told = json.loads(path.read_text())
    registries = tuple(RegistryAt(**one) for one in told.pop("registries"))
    return Layout(**told | {"folder": Path(told["folder"]), "binary": Path(told["binary"]), "registries": registries})
