"""Tools that Debian does not pack, built once from their Go modules into the cache folder, and found there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.engines._process import EngineStartError
from tests.engines.base import cache_folder


@dataclass(frozen=True)
class GoTool:
    """A command of a Go module at one version."""

    package: str
    module: str
    version: str


BUILDKIT = "github.com/moby/buildkit"
KANIKO = "github.com/GoogleContainerTools/kaniko"
CRANE = "github.com/google/go-containerregistry"
ROOTLESSKIT = "github.com/rootless-containers/rootlesskit/v2"
GITLEAKS = "github.com/zricethezav/gitleaks/v8"

TOOLS = {
    "crane": GoTool(f"{CRANE}/cmd/crane", CRANE, "v0.22.1"),
    "gitleaks": GoTool(GITLEAKS, GITLEAKS, "v8.30.1"),
    "buildctl": GoTool(f"{BUILDKIT}/cmd/buildctl", BUILDKIT, "v0.34.2"),
    "buildkitd": GoTool(f"{BUILDKIT}/cmd/buildkitd", BUILDKIT, "v0.34.2"),
    "rootlesskit": GoTool(f"{ROOTLESSKIT}/cmd/rootlesskit", ROOTLESSKIT, "v2.3.6"),
    "kaniko": GoTool(f"{KANIKO}/cmd/executor", KANIKO, "v1.24.0"),
}
"""Name of the executable to where it comes from."""


def tool(name: str) -> Path:
    """Return the executable ``name`` of ``TOOLS``, built when it is not in the cache folder yet.

    Raises EngineStartError without a Go toolchain, without the modules, or when it does not build.
    """
    wanted = TOOLS[name]
    folder = cache_folder() / "go"
    made = folder / f"{name}-{wanted.version}" / name
    if made.exists():
        return made
    if not shutil.which("go"):
        raise EngineStartError(f"{name} is built from {wanted.module}, and there is no Go toolchain here")
    made.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "build.lock"):
        if not made.exists():
            _build(wanted, made)
    return made


def _build(wanted: GoTool, made: Path) -> None:
    # A module of its own around the package: `go install` refuses modules with replace or exclude lines.
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
    with tempfile.TemporaryDirectory(prefix="build-", dir=made.parent) as scratch:
        Path(scratch, "go.mod").write_text(f"module tools\n\ngo 1.24\n\nrequire {wanted.module} {wanted.version}\n")
        # The package must be named by code, or `go build` does not take its dependencies into go.sum.
        built = Path(scratch, "built")
        _go(["build", "-trimpath", "-ldflags=-s -w", "-o", str(built), wanted.package], scratch, env)
        built.replace(made)


def _go(arguments: list[str], folder: str, env: dict[str, str]) -> None:
    done = subprocess.run(
        ["go", *arguments],
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EngineStartError(f"go {arguments[0]} {arguments[-1]} failed:\n{done.stdout[-2000:]}")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
