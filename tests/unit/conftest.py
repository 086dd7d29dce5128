"""Fixtures that the unit tests of several packages share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.builder.docker_builder import DockerBuilder
from tests.fakes import bases
from tests.fakes.engine import FakeEngine


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeEngine], DockerBuilder]:
    """Make the Docker builder whose engine is the given one; no logins are found."""

    def make(fake: FakeEngine) -> DockerBuilder:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        return DockerBuilder(find_login=lambda _: None)

    return make


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
