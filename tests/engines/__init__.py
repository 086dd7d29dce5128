"""Real engines for the tests, on private sockets, folders and free loopback ports.

``Engines`` brings them up one by one as they are asked for and takes all of them down by process id. On the command
line ``python -m tests.engines up`` does the same for a person, and ``down`` ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from tests.engines import base, buildkitd, certificates, containers, dockerd, gotools, kubernetes, registry
from tests.engines._process import EngineStartError, Process, again, stop
from tests.engines.kubernetes import cgroups

__all__ = ["EngineStartError", "Engines", "short_folder", "sweep"]

PREFIX = "buildr-engines-"


class Engines:
    """Engines of one run; each is started when first asked for.

    ``rootfs`` makes the base image's tar out of the cache's folder: ``base.small_tar`` where nothing is installed.
    The folder holds ``engines.json``: what was started, so that another process can take it down (``take_down``).
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        cache: Path | None = None,
        owner: int | None = None,
        rootfs: Callable[[Path], Path] = base.rootfs_tar,
    ) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix=PREFIX))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cache = cache or base.cache_folder()
        self._rootfs = rootfs
        self._owner = Process.of(os.getpid() if owner is None else owner, "owner")
        self._processes: list[Process] = []
        self._bridges: list[str] = []
        self._cgroups: list[str] = []
        self._made: dict[str, object] = {}
        self._write()

    def certificate(
        self, name: str = "server", hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    ) -> certificates.Certificate:
        """Return a certificate for ``hosts`` with an authority of its own, made once for each name."""
        if name not in self._made:
            self._made[name] = certificates.make(self.folder / "certificates", hosts, name=name)
        made = self._made[name]
        assert isinstance(made, certificates.Certificate)
        return made

    def docker(self) -> dockerd.Dockerd:
        """Return the engine, with the base image in it."""
        if "docker" not in self._made:
            if why := dockerd.missing():
                raise EngineStartError(why)
            tar = self._rootfs(self.cache)
            bridge = f"bt{secrets.token_hex(5)}"
            self._bridges.append(bridge)
            self._write()
            up = dockerd.bring_up(self.folder / "docker", bridge=bridge, trusted_ca=self.certificate().ca)
            self._keep("docker", up, up.processes)
            dockerd.import_base(up.host, tar)
        up = self._made["docker"]
        assert isinstance(up, dockerd.Dockerd)
        return up

    def small_base(self) -> str:
        """Return the name of a base in the engine that has a shell, the usual commands and Python, and no more."""
        if "small base" not in self._made:
            host, tar = self.docker().host, base.small_tar(self.cache)
            self._made["small base"] = dockerd.import_base(host, tar, base.SMALL)
        return base.SMALL

    def kaniko(self) -> str:
        """Return the name of an image of kaniko's executor in the engine."""
        if "kaniko" not in self._made:
            self._made["kaniko"] = dockerd.import_kaniko(self.docker().host, gotools.tool("kaniko"))
        return str(self._made["kaniko"])

    def containers(self) -> containers.Containers:
        """Return a store of images for buildah and podman."""
        if "containers" not in self._made:
            self._made["containers"] = containers.set_up(self.folder / "containers")
        made = self._made["containers"]
        assert isinstance(made, containers.Containers)
        return made

    def buildkitd(self, *registries: registry.Registry) -> buildkitd.Buildkitd:
        """Return a buildkitd that knows the named registries, else those of this run."""
        if "buildkitd" not in self._made:
            registries = registries or (self.registry_http(), self.registry_tls(), self.registry_login())
            up = buildkitd.bring_up(self.folder / "buildkitd", registries, self.certificate("peers"))
            self._keep("buildkitd", up, up.processes)
        up = self._made["buildkitd"]
        assert isinstance(up, buildkitd.Buildkitd)
        return up

    def kubernetes(self) -> kubernetes.Cluster:
        """Return a cluster of one node that pulls from this run's registries."""
        if "kubernetes" not in self._made:
            if why := kubernetes.missing():
                raise EngineStartError(why)
            registries = (self.registry_http(), self.registry_tls(), self.registry_login())
            cgroup = f"{cgroups.PREFIX}{secrets.token_hex(5)}"
            self._cgroups.append(cgroup)
            self._write()
            up = kubernetes.bring_up(self.folder / "kubernetes", registries, cgroup=cgroup, owner=self._owner.pid)
            self._keep("kubernetes", up, up.processes)
        up = self._made["kubernetes"]
        assert isinstance(up, kubernetes.Cluster)
        return up

    def registry_tls(self) -> registry.Registry:
        """Return a registry over TLS that asks for a login."""
        made = self.certificate()
        return self._registry("registry-tls", login=True, certificate=(made.ca, made.certificate, made.key))

    def registry_http(self) -> registry.Registry:
        """Return an open registry over plain http."""
        return self._registry("registry-http")

    def registry_login(self) -> registry.Registry:
        """Return a registry over plain http that asks for a login."""
        return self._registry("registry-login", login=True)

    def registry_untrusted(self) -> registry.Registry:
        """Return a registry whose authority nobody trusts, on the engine's bridge.

        Not on 127.0.0.1, where dockerd believes every certificate.
        """
        gateway = self.docker().gateway
        made = self.certificate("untrusted", (gateway,))
        return self._registry("registry-untrusted", address=gateway, certificate=(made.ca, made.certificate, made.key))

    def _registry(
        self,
        name: str,
        *,
        login: bool = False,
        certificate: tuple[Path, Path, Path] | None = None,
        address: str = "127.0.0.1",
    ) -> registry.Registry:
        if name not in self._made:
            up = registry.bring_up(self.folder / name, login=login, certificate=certificate, address=address)
            self._keep(name, up, up.processes)
        up = self._made[name]
        assert isinstance(up, registry.Registry)
        return up

    def _keep(self, name: str, made: object, processes: tuple[Process, ...]) -> None:
        self._made[name] = made
        self._processes[:0] = processes
        self._write()

    def process(self, name: str) -> Process:
        """Return the running process of this name (``dockerd``, ``buildkitd``, ``docker-registry`` …)."""
        return next(process for process in self._processes if process.name == name)

    def again(self, process: Process) -> None:
        """Start once more what was ended: the same engine with what it had. Raises EngineStartError."""
        place = self._processes.index(process)
        self._processes[place] = again(process)
        self._write()

    def _write(self) -> None:
        state = {
            "owner": [self._owner.pid, self._owner.started],
            "processes": [[p.name, p.pid, p.started] for p in self._processes],
            "bridges": self._bridges,
            "cgroups": self._cgroups,
        }
        partial = self.folder / "engines.json.part"
        partial.write_text(json.dumps(state, indent=1))
        partial.replace(self.folder / "engines.json")

    def close(self) -> None:
        """Take all of them down and their folder away."""
        take_down(self.folder)

    def __enter__(self) -> Engines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def take_down(folder: Path) -> list[str]:
    """End what ``folder``/engines.json names, by process id, and remove the folder; return the names ended."""
    state = json.loads((folder / "engines.json").read_text())
    ended = []
    for name, pid, started in state["processes"]:
        process = Process(name, pid, started)
        if process.alive():
            ended.append(name)
        stop(process)
    dockerd.unmount_below(folder)
    for bridge in state["bridges"]:
        dockerd.remove_bridge(bridge)
    for cgroup in state.get("cgroups", ()):
        cgroups.remove(cgroup)
    shutil.rmtree(folder, ignore_errors=True)
    return ended


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Give a folder with a short path, gone afterwards: a socket's has at most 107 bytes, podman's runroot 50."""
    folder = Path(tempfile.mkdtemp(prefix="bt-"))
    try:
        yield folder
    finally:
        dockerd.unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Take down engines whose owner was killed before it could."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            pid, started = json.loads((folder / "engines.json").read_text())["owner"]
            if pid and not Process("owner", pid, started).alive():
                take_down(folder)
