"""The binary of the tests' cluster: Kubernetes and etcd in one executable, built once from Go modules into the cache."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.engines._process import EngineStartError
from tests.engines.base import cache_folder

__all__ = ["VERSION", "build", "path"]

VERSION = "1.37.2"
"""Of Kubernetes; the last that takes both cgroup v1 and Debian's containerd 1.6, and that the client's 37.x fits."""
MODULE = "k8s.io/kubernetes"
_SOURCE = Path(__file__).with_name("main.go")
_VERSION_PACKAGES = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


def path() -> Path:
    """Return where the executable is once it is built."""
    return cache_folder() / "go" / f"kubeall-{VERSION}" / "kubeall"


def build() -> Path:
    """Return the executable, built when it is not in the cache folder yet (750 s of CPU, 5 GB of disk meanwhile).

    Raises EngineStartError without a Go toolchain, without the modules, or when it does not build.
    """
    made = path()
    if made.exists():
        return made
    if not shutil.which("go"):
        raise EngineStartError(f"the cluster is built from {MODULE}, and there is no Go toolchain here")
    made.parent.mkdir(parents=True, exist_ok=True)
    with _locked(made.with_name("build.lock")):
        if not made.exists():
            _build(made)
    return made


def _build(made: Path) -> None:
    # Modules and objects are only of use for this build. Until it has succeeded they stay, so that one that was
    # interrupted goes on where it was.
    scratch = made.with_name("build")
    module = scratch / "module"
    module.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=mod -modcacherw -buildvcs=false",
        "GOCACHE": str(scratch / "objects"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOTOOLCHAIN": "local",
    }
    shutil.copyfile(_SOURCE, module / "main.go")
    _write_module(module, environment)
    major, minor, _ = VERSION.split(".")
    variables = {"gitVersion": f"v{VERSION}", "gitMajor": major, "gitMinor": minor}
    flags = " ".join(
        f"-X {package}.{name}={value}" for package in _VERSION_PACKAGES for name, value in variables.items()
    )
    built = scratch / "kubeall"
    _go(["build", "-trimpath", f"-ldflags=-s -w {flags}", "-o", str(built), "."], module, environment)
    built.replace(made)
    shutil.rmtree(scratch, ignore_errors=True)


def _write_module(module: Path, environment: Mapping[str, str]) -> None:
    """Write go.mod and go.sum: those of Kubernetes itself, its staging folders replaced by what is published of them."""
    told = json.loads(_go(["mod", "download", "-json", f"{MODULE}@v{VERSION}"], module.parent, environment))
    source = Path(told["Dir"])
    text = re.sub(r"^module .*", "module kubeall", (source / "go.mod").read_text(), count=1, flags=re.MULTILINE)
    staging = VERSION.replace("1.", "v0.", 1)
    text = re.sub(r"=> \./staging/src/(k8s\.io/[a-z0-9-]+)", rf"=> \1 {staging}", text)
    (module / "go.mod").write_text(text)
    shutil.copyfile(source / "go.sum", module / "go.sum")
    _go(["mod", "edit", f"-require={MODULE}@v{VERSION}"], module, environment)


def _go(arguments: list[str], folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["go", *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        raise EngineStartError(f"go {arguments[0]} {arguments[-1]} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
