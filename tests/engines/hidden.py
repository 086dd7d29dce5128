"""A PATH without the engines, and an empty cache: what a fresh machine has."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.engines._process import search_path
from tests.engines.gotools import TOOLS
from tests.engines.install import PACKAGES

__all__ = ["run_without_engines"]

_OTHERS = {
    "docker",
    "docker-proxy",
    "docker-init",
    "go",
    "ctr",
    "crun",
    "conmon",
    "cc",
    "c99",
    "g++",
    "chromium-browser",
    "nerdctl",
}
"""Installed with the engines, or asked for where they are not found."""


def run_without_engines(command: Sequence[str]) -> int:
    """Run a command with the engines hidden and return its exit status.

    Its PATH is one folder of links to every other program of this machine; the tests' cache is an empty folder.
    """
    hidden = {*PACKAGES, *TOOLS, *_OTHERS}
    with tempfile.TemporaryDirectory(prefix="buildr-hidden-") as scratch:
        programs = Path(scratch, "bin")
        programs.mkdir()
        for folder in map(Path, search_path().split(os.pathsep)):
            for program in folder.iterdir() if folder.is_dir() else ():
                link = programs / program.name
                if not link.is_symlink() and not any(_is(program.name, name) for name in hidden):
                    link.symlink_to(program.absolute())
        environment = {**os.environ, "PATH": str(programs), "BUILDR_TEST_CACHE": str(Path(scratch, "cache"))}
        environment.pop("BUILDR_REQUIRE_ENGINES", None)
        return subprocess.run(command, env=environment, check=False).returncode


def _is(program: str, name: str) -> bool:
    """Tell whether a program is this one, of whatever version (``gcc-12``, ``containerd-shim-runc-v2``)."""
    return program == name or program.startswith(f"{name}-")
