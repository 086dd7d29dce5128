"""Real engines, started when the first test asks for one and taken down at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from tests.engines import Engines, EngineStartError, base, sweep
from tests.engines.dockerd import Dockerd
from tests.engines.kubernetes import Cluster
from tests.engines.registry import Registry

REQUIRED_ENGINES = os.environ.get("BUILDR_REQUIRE_ENGINES", "")
T = TypeVar("T")


@pytest.fixture(scope="session")
def engines(clean_environment: object) -> Iterator[Engines]:
    """What starts engines; nothing runs yet."""
    sweep()
    with Engines() as running:
        yield running


def _or_skip(name: str, start: Callable[[], T]) -> T:
    """Start an engine; without it skip, or fail where BUILDR_REQUIRE_ENGINES names it (or says ``all``)."""
    try:
        return start()
    except EngineStartError as error:
        if REQUIRED_ENGINES == "all" or name in REQUIRED_ENGINES.split(","):
            pytest.fail(f"engine {name}: {error}", pytrace=False)
        pytest.skip(f"engine {name}: {error}")


@pytest.fixture(scope="session")
def docker_engine(engines: Engines) -> Dockerd:
    """A dockerd with the base image in it; tests give its ``host`` to what they test."""
    return _or_skip("docker", engines.docker)


@pytest.fixture(scope="session")
def registry_tls(engines: Engines) -> Registry:
    """A registry over TLS that asks for a login."""
    return _or_skip("registry", engines.registry_tls)


@pytest.fixture(scope="session")
def registry_http(engines: Engines) -> Registry:
    """An open registry over plain http."""
    return _or_skip("registry", engines.registry_http)


@pytest.fixture(scope="session")
def registry_untrusted(engines: Engines) -> Registry:
    """A registry whose certificate nobody trusts."""
    return _or_skip("registry", engines.registry_untrusted)


@pytest.fixture(scope="session")
def kubernetes_cluster(engines: Engines) -> Cluster:
    """A Kubernetes of one node; all its tests are in one file, so that one test process starts it."""
    return _or_skip("kubernetes", engines.kubernetes)


@pytest.fixture(scope="session")
def base_image(docker_engine: Dockerd) -> str:
    """Name of the base image that the engine has."""
    return base.NAME


@pytest.fixture
def docker_host(docker_engine: Dockerd, monkeypatch: pytest.MonkeyPatch) -> str:
    """DOCKER_HOST set to the private engine for one test."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    return docker_engine.host
