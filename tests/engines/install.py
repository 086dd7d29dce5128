"""What ``make engines`` does: Debian's packages, as root; says what it does and what it cannot do."""

from __future__ import annotations

import os
import shutil
import subprocess

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
    "chromium": "chromium",
}
"""Program to Debian package."""


def install() -> int:
    """Install what is not there; return an exit status. Without root or without apt it says what is left out."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    lacking = sorted({package for program, package in PACKAGES.items() if not shutil.which(program, path=path)})
    if not lacking:
        print("engines: all of Debian's packages are there")
        return 0
    if not shutil.which("apt-get"):
        print(f"engines: no apt-get here, so these stay out: {' '.join(lacking)}")
        return 0
    if os.geteuid() != 0:
        print(f"engines: not root, so these stay out: {' '.join(lacking)}")
        return 0
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *lacking]):
        print(f"engines: {' '.join(command)}", flush=True)
        if status := subprocess.run(command, env=env, check=False).returncode:
            return status
    return 0
