"""A base image of another architecture: Debian's Python for arm64, unpacked here without running anything of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.engines import base
from tests.engines._process import EngineStartError, run

PLATFORM = "linux/arm64"
EMULATOR = "qemu-aarch64-static"
PACKAGES = ("python3", "ca-certificates")


def rootfs_tar(cache: Path) -> Path:
    """Return a tar of a root folder with Python for arm64, made once and kept in ``cache``.

    ``debootstrap --foreign`` fetches and checks the packages; each is unpacked, and none of their scripts is run.
    Raises EngineStartError without root, without debootstrap or without Debian's archive.
    """
    made = cache / f"base-{base.SUITE}-arm64-1.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with base._locked(cache / "base-arm64.lock"):
        if not made.exists():
            _make(made)
    return made


def _make(made: Path) -> None:
    if os.geteuid() != 0:
        raise EngineStartError("debootstrap needs root to make the base image")
    if not shutil.which("debootstrap"):
        raise EngineStartError("debootstrap is not installed (make engines installs it)")
    with tempfile.TemporaryDirectory(prefix="base-", dir=made.parent) as scratch:
        root = Path(scratch) / "root"
        include = f"--include={','.join(PACKAGES)}"
        run(
            [
                "debootstrap",
                "--foreign",
                "--arch=arm64",
                "--variant=minbase",
                include,
                base.SUITE,
                str(root),
                base.mirror(),
            ]
        )
        for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
            _unpack(package, root)
        for name in (*base._CLEAN, "debootstrap"):
            path = root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        partial = Path(scratch) / "root.tar"
        run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(partial), "."])
        partial.rename(made)


def _unpack(package: Path, root: Path) -> None:
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as reader:
        command = ["tar", "-C", str(root), "--keep-directory-symlink", "-xf", "-"]
        done = subprocess.run(command, stdin=reader.stdout, capture_output=True, text=True, check=False)
    if reader.returncode or done.returncode:
        raise EngineStartError(f"{package.name} cannot be unpacked: {done.stderr[-500:]}")


def run_in(root: Path, command: list[str], environment: dict[str, str], folder: str) -> str:
    """Run a program for arm64 with ``root`` as its root folder, as user 1000 of group 0; return what it printed.

    The emulator is called by name, so that the kernel need not know the format. Raises EngineStartError.
    """
    found = shutil.which(EMULATOR)
    if found is None:
        raise EngineStartError(f"{EMULATOR} is not installed (make engines installs it)")
    inside = root / EMULATOR
    shutil.copy(found, inside)

    def enter() -> None:
        os.chroot(root)
        os.chdir(folder)
        os.setgroups([])
        os.setgid(0)
        os.setuid(1000)

    done = subprocess.run(
        [f"/{EMULATOR}", *command], env=environment, preexec_fn=enter, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    inside.unlink()
    if done.returncode:
        raise EngineStartError(f"{' '.join(command)} ended with status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout
