"""What development and CI install is locked, with hashes, and the lock follows pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_the_lock_has_every_dependency_with_hashes_and_names_no_index() -> None:
    text = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    locked = {block.partition("==")[0]: block.count("--hash=sha256:") for block in blocks}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = settings["dependency-groups"]
    for wanted in (*settings["project"]["dependencies"], *groups["test"], *groups["lint"], *groups["docs"]):
        assert locked.get(canonicalize_name(Requirement(wanted).name)), f"{wanted}: make lock"
