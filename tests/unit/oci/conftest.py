"""Bases of a few bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import bases


@pytest.fixture
def make_base(tmp_path: Path) -> Callable[..., Path]:
    """Write a ``docker save`` file with one layer that has one file; of this Python and platform unless told."""

    def make(name: str, **options: Any) -> Path:
        return bases.save(tmp_path / f"{name}.tar", **options)

    return make


@pytest.fixture
def small_base(make_base: Callable[..., Path]) -> Path:
    """A base of this interpreter's version."""
    return make_base("small")
