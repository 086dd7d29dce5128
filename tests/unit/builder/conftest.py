"""A builder that talks to a fake engine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from buildr_jupyter.builder.docker_builder import DockerBuilder
from tests.fakes.engine import FakeEngine


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Callable[[FakeEngine], DockerBuilder]:
    """Make the Docker builder whose engine is the given one; no logins are found."""

    def make(fake: FakeEngine) -> DockerBuilder:
        monkeypatch.setenv("DOCKER_HOST", fake.host)
        return DockerBuilder(find_login=lambda _: None)

    return make
