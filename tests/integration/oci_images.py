"""What the tests of the builder without an engine share: a plan, a build, and commands that are asked."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from docker import APIClient

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.context import folder as context
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import FileEntry, ImagePlan, Requirement
from buildr_jupyter.model.request import BuildRequest
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry.client import Registry
from tests.engines import EngineStartError, dockerd
from tests.engines.fixtures import REQUIRED_ENGINES

PINS = ("six==1.17.0",)
PROGRAM = """
import ctypes, lzma, os, sqlite3, ssl, sys, zoneinfo
import six
from pathlib import Path
assert ssl.create_default_context().cert_store_stats()["x509_ca"] > 50
assert zoneinfo.ZoneInfo("Europe/Berlin")
assert os.getuid() == 1000, os.getuid()
assert Path.home().as_posix() == "/home/app"
assert os.environ["BUILDR_OUTPUT_DIR"] == "/app/output"
(Path("output") / "x").write_text("1")
print("NONCE", six.__version__, six.__cached__ is not None and os.path.exists(six.__cached__))
"""


def make_plan(nonce: str = "n", *, base: str = "kernel", **changes: Any) -> ImagePlan:
    """Return a plan whose program looks at what it stands on and prints the nonce."""
    main = FileEntry.from_bytes("app/main.py", PROGRAM.replace("NONCE", nonce).encode())
    plan = ImagePlan(
        base=base,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        requirements=tuple(Requirement(pin) for pin in PINS),
        files=(main, FileEntry.from_bytes("app/data/a.csv", b"1\n")),
    )
    return replace(plan, **changes)


def request_for(plan: ImagePlan, folder: Path, *outputs: Any, name: str = "trial:1", **more: Any) -> BuildRequest:
    """Return a request for a plan, its context written below ``folder``."""
    made = context.write_folder(plan, folder / "context")
    return BuildRequest(made, (ImageRef.parse(name).tagged(),), plan=plan, outputs=outputs, **more)


def collect(stream: Any) -> tuple[list[Event], Any]:
    """Return a stream's events and what it returned."""
    events: list[Event] = []
    while True:
        try:
            events.append(next(stream))
        except StopIteration as end:
            return events, end.value


def build(subject: OciBuilder, request: BuildRequest) -> tuple[list[Event], BuildResult]:
    """Build to the end."""
    return collect(subject.stream_build(request, CancelToken()))


def run(client: APIClient, image: str, **limits: Any) -> tuple[int, str]:
    """Run an image in the engine with a read-only root and no capabilities; return its status and what it said."""
    config = client.create_host_config(read_only=True, cap_drop=["ALL"], tmpfs={"/app/output": "uid=1000"}, **limits)
    container = client.create_container(image, host_config=config)["Id"]
    try:
        client.start(container)
        status = client.wait(container)["StatusCode"]
        return status, client.logs(container).decode()
    finally:
        client.remove_container(container, force=True)


def said(*command: str | Path, **environment: str) -> str:
    """Return what a command printed; it must end with status 0."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, f"{command[0]}: {done.stderr}{done.stdout[-2000:]}"
    return done.stdout


def needs(*names: str) -> None:
    """Skip where a command is not installed; fail where all engines are required."""
    if missing := [name for name in names if not shutil.which(name)]:
        absent(f"not installed: {', '.join(missing)}")


def absent(why: str | EngineStartError) -> None:
    """Skip for want of an engine; fail where all engines are required."""
    if REQUIRED_ENGINES == "all":
        pytest.fail(str(why), pytrace=False)
    pytest.skip(str(why))


def referrers(host: str, repository: str, digest: str) -> list[dict[str, Any]]:
    """Return what is attached to an image: by the registry's own list, or by the tag that stands for it."""
    with contextlib.closing(Registry(host)) as asked:
        path = f"{repository}/referrers/{digest}"
        with asked.ask("GET", path, scope=f"repository:{repository}:pull", what=path, accept=(404,)) as answer:
            listed = answer.json() if answer.ok else None
        found = listed or asked.manifest(repository, digest.replace(":", "-")).document
    manifests: list[dict[str, Any]] = found["manifests"]
    return manifests


def bill_of(host: str, repository: str, digest: str) -> bytes:
    """Return the one bill of materials that is attached to an image in a registry."""
    (entry,) = referrers(host, repository, digest)
    with contextlib.closing(Registry(host)) as asked:
        (layer,) = asked.manifest(repository, entry["digest"]).document["layers"]
        out = io.BytesIO()
        asked.download(repository, layer["digest"], layer["size"], out)
    return out.getvalue()


class Podman:
    """Podman as root with storage of its own, and plain http to one registry."""

    def __init__(self, folder: Path, registry: str) -> None:
        (folder / "logins.json").write_text("{}")
        self._registries = folder / "registries.conf"
        self._registries.write_text(f"[[registry]]\nlocation = {json.dumps(registry)}\ninsecure = true\n")
        self._command = [
            "podman", "--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "overlay",
            "--cgroup-manager", "cgroupfs", "--runtime", shutil.which("runc") or "/usr/sbin/runc",
        ]  # fmt: skip

    def __call__(self, *arguments: str | Path) -> str:
        """Return what podman printed; it must end with status 0."""
        logins = str(self._registries.with_name("logins.json"))
        return said(
            *self._command, *arguments, CONTAINERS_REGISTRIES_CONF=str(self._registries), REGISTRY_AUTH_FILE=logins
        )

    def run(self, image: str) -> str:
        """Run an image as the tests' machines allow it, with a read-only root and no capabilities."""
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--network", "none"]
        strict = ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/app/output:mode=1777"]
        return self("run", "--rm", *limits, *strict, image)


@contextlib.contextmanager
def podman(folder: Path, registry: str) -> Iterator[Podman]:
    """Give a podman with empty storage below ``folder``, which is gone afterwards."""
    needs("podman", "runc")
    made = Podman(folder, registry)
    try:
        yield made
    finally:
        made("rmi", "--all", "--force")
        dockerd.unmount_below(folder)
        shutil.rmtree(folder)
