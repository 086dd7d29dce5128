"""docker-py's client is an ``EngineClient``: it has every member, and takes what the type says it takes."""

from __future__ import annotations

import inspect

import docker
import pytest

from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.engine.client import EngineClient, OnEngine
from buildr_jupyter.runner.docker_runner import DockerRunner

METHODS = sorted(name for name, member in vars(EngineClient).items() if inspect.isfunction(member) and name[:2] != "__")


def test_the_type_has_members() -> None:
    assert {"build", "inspect_image", "create_container", "_post"} <= set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_docker_py_takes_what_the_type_allows(name: str) -> None:
    """Called with all that the type lets a caller give, docker-py's method binds it to the same parameters."""
    wanted = inspect.signature(getattr(EngineClient, name))
    real = inspect.signature(getattr(docker.APIClient, name))
    places = [p for p in wanted.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    names = [p.name for p in wanted.parameters.values() if p.kind is p.KEYWORD_ONLY]
    bound = real.bind(*(f"<{p.name}>" for p in places), **{key: f"<{key}>" for key in names})
    for parameter, value in bound.arguments.items():
        if real.parameters[parameter].kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            assert value == f"<{parameter}>"


@pytest.mark.parametrize("name", METHODS)
def test_what_the_type_lets_a_caller_leave_out_has_the_same_default(name: str) -> None:
    real = inspect.signature(getattr(docker.APIClient, name)).parameters
    for parameter in inspect.signature(getattr(EngineClient, name)).parameters.values():
        if parameter.default is not parameter.empty and parameter.name in real:
            assert real[parameter.name].default == parameter.default


def test_docker_py_has_the_attributes_of_the_type() -> None:
    client = docker.APIClient("tcp://127.0.0.1:1", version="1.41", timeout=3)
    with client:
        assert (client.timeout, client.base_url, client.api_version) == (3, "http://127.0.0.1:1", "1.41")
        assert client._auth_configs is not None


def test_what_works_over_an_engine_takes_a_connection() -> None:
    assert isinstance(DockerBuilder(), OnEngine)
    assert isinstance(DockerRunner(), OnEngine)
    assert not isinstance(OciBuilder(), OnEngine)
