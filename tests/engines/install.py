"""What ``make engines`` does: Debian's packages, as root, and tools of Go; says what it does and what it cannot do."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.engines._process import EngineStartError, find_program
from tests.engines.gotools import TOOLS, tool
from tests.engines.kubernetes import PLUGINS
from tests.engines.kubernetes import binary as cluster

PACKAGES = {
    "dockerd": "docker.io",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "docker-registry": "docker-registry",
    "htpasswd": "apache2-utils",
    "debootstrap": "debootstrap",
    "buildah": "buildah",
    "podman": "podman",
    "skopeo": "skopeo",
    "umoci": "umoci",
    "faketime": "faketime",
    "newuidmap": "uidmap",
    "qemu-aarch64-static": "qemu-user-static",
    "chromium": "chromium",
    "busybox": "busybox-static",
    "gcc": "build-essential",
}
"""Program to Debian package."""


def install() -> int:
    """Install what is not there; return an exit status. Without root, apt or Go it says what is left out."""
    return install_packages() or build_tools()


def build_tools() -> int:
    """Build what Debian does not pack; return an exit status."""
    if not shutil.which("go"):
        print(f"engines: no Go toolchain here, so these stay out: {' '.join([*TOOLS, 'kubernetes'])}")
        return 0
    try:
        for name in TOOLS:
            print(f"engines: {name} {TOOLS[name].version}", flush=True)
            tool(name)
        if not cluster.path().exists():
            print(f"engines: kubernetes {cluster.VERSION}: seven minutes on two cores, and 5 GB meanwhile", flush=True)
        cluster.build()
    except EngineStartError as error:
        print(f"engines: {error}")
        return 1
    return 0


def install_packages() -> int:
    """Install Debian's packages that are not there; return an exit status."""
    lacking = {package for program, package in PACKAGES.items() if not find_program(program)}
    if not (PLUGINS / "bridge").exists():
        lacking.add("containernetworking-plugins")
    if not lacking:
        print("engines: all of Debian's packages are there")
        return 0
    if not shutil.which("apt-get"):
        print(f"engines: no apt-get here, so these stay out: {' '.join(sorted(lacking))}")
        return 0
    if os.geteuid() != 0:
        print(f"engines: not root, so these stay out: {' '.join(sorted(lacking))}")
        return 0
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *sorted(lacking)]):
        print(f"engines: {' '.join(command)}", flush=True)
        if status := subprocess.run(command, env=env, check=False).returncode:
            return status
    return 0
