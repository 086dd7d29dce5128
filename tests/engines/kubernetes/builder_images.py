"""Images of the builders that run in pods, as archives, and how they come into a registry."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path

from tests.engines._process import find_program
from tests.engines.gotools import tool
from tests.engines.kubernetes import images
from tests.engines.registry import Registry

__all__ = ["buildkit", "kaniko", "push"]


def kaniko() -> bytes:
    """Return the archive of an image of kaniko's executor. Raises EngineStartError where that is not built."""
    return images.make_programs("kaniko", {"/kaniko/executor": tool("kaniko")}, ["/kaniko/executor"])


def buildkit() -> bytes:
    """Return the archive of an image of a rootless buildkitd, with what moby/buildkit:rootless has of it.

    Raises EngineStartError where its programs are not built.
    """
    programs = {f"/usr/bin/{name}": tool(name) for name in ("buildkitd", "buildctl", "rootlesskit")}
    for name in ("runc", "newuidmap", "newgidmap"):
        programs[f"/usr/bin/{name}"] = Path(find_program(name) or name)
    return images.make_programs(
        "buildkit", programs, ["rootlesskit", "buildkitd"],
        texts={
            "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
            "/etc/group": "root:x:0:\nuser:x:1000:\n",
            "/etc/subuid": "user:100000:65536\n", "/etc/subgid": "user:100000:65536\n",
        },
        folders=("/home/user", "/home/user/.local", "/home/user/.local/tmp", "/home/user/.local/share",
                 "/run/user/1000"),
        variables=("PATH=/usr/bin:/bin", "HOME=/home/user", "USER=user", "XDG_RUNTIME_DIR=/run/user/1000",
                   "TMPDIR=/home/user/.local/tmp"),
    )  # fmt: skip


def push(archive: bytes, ref: str, folder: Path, registry: Registry) -> None:
    """Push an image's archive under a reference."""
    layout = folder / secrets.token_hex(4)
    layout.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", layout], input=archive, check=True)
    environment = {**os.environ, "DOCKER_CONFIG": str(layout)}
    if registry.user:
        command = [tool("crane"), "auth", "login", registry.host, "-u", registry.user, "--password-stdin"]
        subprocess.run(command, input=str(registry.password).encode(), env=environment, check=True, capture_output=True)
    subprocess.run([tool("crane"), "push", layout, ref], env=environment, check=True, capture_output=True)
