"""A Kubernetes of our own: one node in mount, network, pid, uts and ipc namespaces, with private folders and cgroups.

API server, controllers, scheduler, kubelet, kube-proxy, kubectl and etcd are one binary (``binary``); containerd, runc
and the pods' network are Debian's. It is reached at 127.0.0.1 of the network namespace in which it was started, and
pulls from the registries there.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.engines._process import EngineStartError, Process, find_program, free_port, search_path, start
from tests.engines.kubernetes import binary, layout_file
from tests.engines.kubernetes.cgroups import hierarchies
from tests.engines.kubernetes.images import BUSYBOX
from tests.engines.kubernetes.settings import NODE_IP, Layout, RegistryAt
from tests.engines.registry import Registry

__all__ = ["BUSYBOX", "NODE_IP", "Cluster", "bring_up", "missing"]

PROGRAMS = ("containerd", "ctr", "runc", "iptables", "ip", "busybox", "unshare", "setpriv", "mount")
PLUGINS = Path("/usr/lib/cni")


@dataclass(frozen=True)
class Cluster:
    """A running cluster of one node."""

    kubeconfig: Path
    """Of its administrator."""
    server: str
    """``https://127.0.0.1:PORT``."""
    folder: Path
    kubectl: tuple[str, ...]
    """What ``kubectl`` is here, with this cluster's kubeconfig."""
    processes: tuple[Process, ...]

    def process(self, part: str) -> Process:
        """Return the process of a part (``kube-apiserver``, ``kubelet`` …) as this process sees it."""
        inside = (self.folder / f"{part}.pid").read_text()
        first = int((self.folder / "first.pid").read_text())
        namespace = os.readlink(f"/proc/{first}/ns/pid")
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                ids = next(line for line in status.read_text().splitlines() if line.startswith("NSpid:")).split()
                if ids[-1] == inside and os.readlink(status.with_name("ns") / "pid") == namespace:
                    return Process.of(int(status.parent.name), part)
            except (OSError, StopIteration):
                continue
        raise EngineStartError(f"{part} does not run")

    def kill(self, part: str) -> None:
        """Kill a part with SIGKILL and return when it is gone; the node starts it again at once."""
        process = self.process(part)
        os.kill(process.pid, signal.SIGKILL)
        while process.alive():
            time.sleep(0.01)


def missing() -> str | None:
    """Return why no cluster can be started here, None where one can."""
    if os.name != "posix" or not Path("/proc/self").exists():
        return "the cluster needs Linux"
    if lacking := [name for name in PROGRAMS if not find_program(name)]:
        return f"not installed: {', '.join(lacking)} (make engines installs them)"
    if not (PLUGINS / "bridge").exists():
        return f"no plugins of the pods' network in {PLUGINS} (make engines installs them)"
    if os.geteuid() != 0:
        return "starting a private cluster needs root"
    if not hierarchies():
        return "no hierarchy of cgroups is mounted"
    if not binary.path().exists():
        return f"Kubernetes {binary.VERSION} is not built (make engines builds it)"
    return None


def bring_up(folder: Path, registries: Iterable[Registry], *, cgroup: str, owner: int) -> Cluster:
    """Start one under ``folder`` that pulls from the registries, and ends when the process ``owner`` does (0: never).

    Raises EngineStartError with the end of its log; nothing is left running then.
    """
    if why := missing():
        raise EngineStartError(why)
    folder.mkdir(parents=True, exist_ok=True)
    known = tuple(RegistryAt(int(one.host.rpartition(":")[2]), one.ca and str(one.ca)) for one in registries)
    at = Layout(folder, binary.path(), cgroup, free_port(), find_program("runc") or "runc", known)
    keeper = start(
        "kubernetes",
        [sys.executable, "-m", "tests.engines.kubernetes.keeper", str(layout_file.write(at)), str(owner)],
        log=folder / "node.log",
        env=_environment(folder),
        ready=lambda: (folder / "ready").exists() and (folder / "relayed").exists(),
        timeout_s=240,
    )
    admin = at.pki / "admin.kubeconfig"
    kubectl = (str(at.binary), "kubectl", f"--kubeconfig={admin}", f"--cache-dir={folder}/kubectl-cache")
    return Cluster(admin, f"https://127.0.0.1:{at.port}", folder, kubectl, (keeper,))


def _environment(folder: Path) -> dict[str, str]:
    (folder / "tmp").mkdir(exist_ok=True)
    root = Path(__file__).parents[3]
    return {
        "PATH": search_path(),
        "HOME": str(folder),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
