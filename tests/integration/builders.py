"""The builders that the contract is tested on, one row each.

A new builder is one subclass of ``Harness`` and one line in ``HARNESSES``; every test of ``test_builder_contract.py``
then runs on it. The subclass says what is particular:

- ``spec``: what ``builder.select`` takes; ``logger``: the module that logs ``Build output: …``;
- ``prepare``: start what the builder needs (``tests/engines``), return the environment that leads to it;
- ``saying``, ``failing``, ``halting``: only where it does not run the lines of a Dockerfile (``oci``).

Everything else is the same for all: bases come from registries, images go to one (``outputs``), and what they print
is read by running them in the Docker Engine.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from docker import APIClient

from buildr_jupyter import builder
from buildr_jupyter.context import folder as context
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, FileEntry, ImagePlan, Requirement, image_labels
from buildr_jupyter.model.request import BuildRequest, Output, Push
from buildr_jupyter.registry.client import Manifest
from buildr_jupyter.registry.client import Registry as RegistryClient
from tests.engines import Engines, containers
from tests.engines.base import NAME as BASE
from tests.engines.registry import Registry
from tests.fakes.processes import arguments_with
from tests.fakes.registry import FakeRegistry

__all__ = ["HARNESSES", "Failing", "Halting", "Harness", "Saying", "World"]

REPOSITORY = "contract"
"""One repository for bases and results, so that a base's layers are sent to a registry once."""


@dataclass(frozen=True)
class World:
    """What all rows share."""

    engines: Engines
    client: APIClient
    """The engine in which images are run."""
    open: Registry
    """Plain http, no login."""
    private: Registry
    """TLS and a login."""

    @property
    def base(self) -> str:
        """A base in the open registry with a shell and Python, and no pip: small, since each builder unpacks it."""
        return f"{self.open.host}/{REPOSITORY}:base"

    def offer(self, base: str) -> None:
        """Push an image of the engine into both registries, as the base of the tests."""
        for registry in (self.open, self.private):
            name = f"{registry.host}/{REPOSITORY}"
            login = {"username": registry.user, "password": registry.password} if registry.user else None
            self.client.tag(base, name, tag="base")
            said = list(self.client.push(name, tag="base", auth_config=login, stream=True, decode=True))
            assert not [document for document in said if "error" in document], said[-1]

    def base_with_pip(self) -> str:
        """Push the base that has pip to the open registry and return its name."""
        name = f"{self.open.host}/{REPOSITORY}"
        self.client.tag(BASE, name, tag="with-pip")
        said = list(self.client.push(name, tag="with-pip", stream=True, decode=True))
        assert not [document for document in said if "error" in document], said[-1]
        return f"{name}:with-pip"

    @property
    def private_base(self) -> str:
        """The same behind a login."""
        return f"{self.private.host}/{REPOSITORY}:base"

    def ref(self, tag: str) -> ImageRef:
        return ImageRef.parse(f"{self.open.host}/{REPOSITORY}:{tag}")

    def manifest(self, ref: ImageRef) -> Manifest:
        """Return what the open registry has under a reference."""
        with contextlib.closing(RegistryClient(self.open.host)) as asked:
            return asked.manifest(ref.registry_path, str(ref.tag))

    def run(self, ref: str, *args: str) -> str:
        """Pull an image into the engine, run it with nothing but its own settings, return what it prints."""
        self.client.pull(ref)
        container = self.client.create_container(ref, list(args))["Id"]
        try:
            self.client.start(container)
            status = self.client.wait(container)["StatusCode"]
            said: str = self.client.logs(container).decode()
            assert status == 0, said
            return said
        finally:
            self.client.remove_container(container, force=True)

    def config(self, ref: str) -> Mapping[str, Any]:
        """Return how the image wants to be run, as the engine reads it."""
        self.client.pull(ref)
        found: Mapping[str, Any] = self.client.inspect_image(ref)["Config"]
        return found


@dataclass(frozen=True)
class Saying:
    """A build that says something on its way."""

    request: BuildRequest
    says: str
    """Stands in one of its log lines."""


@dataclass(frozen=True)
class Failing:
    """A build that cannot succeed, and how that looks."""

    request: BuildRequest
    step: str
    exit_code: int | None
    says: tuple[str, ...]
    """Lines of the failing step, each found in one of ``log_tail``."""


@dataclass(frozen=True)
class Halting:
    """A build that would go on for hours, and how the machine shows it."""

    request: BuildRequest
    works: Callable[[], bool]
    """True while the work is done, seen from outside of the builder."""


@dataclass
class Harness:
    """One builder under test."""

    world: World
    folder: Path
    """Scratch of one test."""
    environment: dict[str, str] = field(default_factory=dict)
    ends: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    """What is closed after the test."""
    spec = ""
    logger = ""

    def prepare(self) -> dict[str, str]:
        """Start what the builder needs; return the environment that leads to it. Raises EngineStartError."""
        return {"DOCKER_HOST": self.world.engines.docker().host}

    def builder(self) -> builder.Builder:
        """Return a new builder."""
        return builder.select(self.spec)

    def outputs(self, ref: ImageRef) -> tuple[Output, ...]:
        """Return where results go: to the registry, whatever else the builder keeps."""
        return (Push(ref),)

    # -- what is built

    def program(self, text: str, *, tag: str | None = None, **changes: Any) -> BuildRequest:
        """Return a request for a program that buildr exported; ``changes`` are fields of its plan."""
        main = FileEntry.from_bytes("app/main.py", text.encode())
        extra = changes.pop("extra", ())
        plan = replace(ImagePlan(base=self.world.base, python="3.11", files=(main, *extra), platforms=()), **changes)
        return self._request(plan, tag)

    def steps(self, *lines: str, tag: str | None = None, base: str | None = None) -> BuildRequest:
        """Return a request for a Dockerfile of these lines on top of the base, the world's unless told."""
        base = base or self.world.base
        text = "\n".join((f"FROM {base}", *lines)) + "\n"
        return self._request(ImagePlan(base=base, python="", dockerfile=CustomDockerfile(text)), tag)

    def _request(self, plan: ImagePlan, tag: str | None) -> BuildRequest:
        made = context.write_folder(plan, self.folder / secrets.token_hex(4))
        ref = self.world.ref(tag or secrets.token_hex(6))
        labels = dict(image_labels(plan)) if plan.dockerfile else {}
        return BuildRequest(made, (ref,), plan=plan, outputs=self.outputs(ref), labels=labels)

    # -- what a builder without a Dockerfile does otherwise

    def saying(self) -> Saying:
        nonce = secrets.token_hex(6)
        return Saying(self.steps(f"RUN echo {nonce}"), nonce)

    def failing(self) -> Failing:
        nonce = secrets.token_hex(6)
        line = f"RUN echo before {nonce}; echo why {nonce} >&2; exit 7"
        return Failing(self.steps(line, "RUN echo never"), line, 7, (f"before {nonce}", f"why {nonce}"))

    def halting(self) -> Halting:
        """Return a RUN that sleeps with a nonce among its arguments, which /proc of this machine shows."""
        seconds = f"{1000 + secrets.randbelow(8000)}.{secrets.randbelow(10**6):06d}"
        return Halting(self.steps(f"RUN exec sleep {seconds}"), lambda: bool(arguments_with(seconds)))


class DockerBuildkit(Harness):
    """The engine's BuildKit, with a session: what ``docker`` means where an engine offers it."""

    spec = "docker"
    logger = "buildr_jupyter.builder.docker_builder"


class DockerClassic(DockerBuildkit):
    """The engine's classic builder."""

    spec = "docker=classic"


class BuildahHarness(Harness):
    """The command, as root, with a store of the run's own."""

    spec = "buildah"
    logger = "buildr_jupyter.builder.buildah_builder"

    def prepare(self) -> dict[str, str]:
        for registry in (self.world.open, self.world.private):
            containers.trust(self.folder / "home", registry)
        return {**super().prepare(), **self.world.engines.containers().environment, "HOME": str(self.folder / "home")}


class BuildkitHarness(Harness):
    """A daemon of its own, through buildctl."""

    spec = "buildkit"
    logger = "buildr_jupyter.builder.buildkit_builder"

    def prepare(self) -> dict[str, str]:
        daemon = self.world.engines.buildkitd()
        path = f"{daemon.buildctl.parent}:{os.environ['PATH']}"
        return {**super().prepare(), "BUILDKIT_HOST": daemon.address, "PATH": path}


class OciHarness(Harness):
    """No engine at all; what it cannot run, it shows by its packages and by what it sends."""

    spec = "oci"
    logger = "buildr_jupyter.builder.oci_builder"

    def builder(self) -> builder.Builder:
        made = super().builder()
        self.ends.callback(made.close)  # type: ignore[attr-defined]
        return made

    def saying(self) -> Saying:
        """Return packages that are not installed here at this version: uv says that it installs them."""
        request = self.program("import six", requirements=(Requirement("six==1.16.0"),))
        return Saying(replace(request, no_cache=True), "six==1.16.0")

    def failing(self) -> Failing:
        name = f"buildr-no-such-{secrets.token_hex(6)}"
        request = self.program("pass", requirements=(Requirement(f"{name}==1.0"),))
        return Failing(request, "packages: wheels by uv", 1, (name,))

    def halting(self) -> Halting:
        """Return a push to a registry that takes hours; it sees what comes in."""
        slow = self.ends.enter_context(FakeRegistry())
        slow.slow_s = 0.05
        data = FileEntry.from_bytes("app/data.bin", secrets.token_bytes(8 << 20))
        request = self.program("pass", extra=[data])
        outputs = (Push(ImageRef.parse(f"{slow.host}/{REPOSITORY}:slow")), *request.outputs)
        return Halting(replace(request, outputs=outputs), lambda: slow.sending > 0)


class PodmanHarness(Harness):
    """Over the socket of a service that the builder starts, as root, with a store of the run's own."""

    spec = "podman"
    logger = "buildr_jupyter.builder.docker_builder"

    def prepare(self) -> dict[str, str]:
        home = self.folder / "home"
        containers.trust(home, self.world.private)
        made = self.world.engines.containers()
        registries = containers.registries(self.folder / "registries.conf", insecure=[self.world.open.host])
        settings = {**made.environment, "CONTAINERS_REGISTRIES_CONF": str(registries)}
        return {**super().prepare(), **settings, "HOME": str(home), "XDG_RUNTIME_DIR": str(self.folder)}


class KanikoHarness(Harness):
    """The executor in a container of the engine."""

    spec = "kaniko"
    logger = "buildr_jupyter.builder.kaniko_builder"

    def builder(self) -> builder.Builder:
        return builder.select(f"kaniko={self.world.engines.kaniko()}")


HARNESSES: dict[str, type[Harness]] = {
    "docker": DockerClassic,
    "docker-buildkit": DockerBuildkit,
    "buildkit": BuildkitHarness,
    "buildah": BuildahHarness,
    "kaniko": KanikoHarness,
    "oci": OciHarness,
    "podman": PodmanHarness,
}
"""Row to class; the row's name is the test's id."""
