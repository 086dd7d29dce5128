"""System files: what of this machine a program finds in an image too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildr_jupyter.process import system_files
from buildr_jupyter.process.system_files import devices, system_paths


def test_libraries_and_the_shell_are_there_and_packages_of_python_are_not() -> None:
    found = system_paths()
    assert Path(os.path.realpath("/bin/sh")) in found
    assert all(path == Path(os.path.realpath(path)) for path in found)
    assert not any(path.name.startswith("python3") and path.is_dir() for path in found)
    assert not any(Path("/etc/localtime").resolve() == path for path in found), "an image's time is UTC"
    assert not any(Path.home().is_relative_to(path) for path in found)
    assert Path("/dev/null") in devices()


def test_the_programs_are_those_of_essential_and_added_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_files, "_DPKG", tmp_path)
    for cached in (system_files._essential, system_files._programs):
        cached.cache_clear()
    (tmp_path / "info").mkdir()
    (tmp_path / "status").write_text(
        "Package: coreutils\nEssential: yes\nVersion: 9\n\nPackage: git\nVersion: 2\n\nPackage: jq\nVersion: 1\n"
    )
    (tmp_path / "info" / "coreutils.list").write_text("/bin\n/bin/no-such-ls\n/usr/share/doc/coreutils\n")
    (tmp_path / "info" / "git.list").write_text("/usr/bin/no-such-git\n")
    (tmp_path / "info" / "jq:amd64.list").write_text("/usr/bin/no-such-jq\n")
    found = {path.name for path in system_paths(["jq=1.6"])}
    assert found & {"no-such-ls", "no-such-git", "no-such-jq", "coreutils"} == {"no-such-ls", "no-such-jq"}
    for cached in (system_files._essential, system_files._programs):
        cached.cache_clear()
