"""Process 1 of the node: ``python -m tests.engines.kubernetes.node LAYOUT``, in namespaces of its own.

It makes places, cgroups and a network that nothing outside sees, starts the cluster's parts, and starts a part that
ends once more, as a machine's service manager does. ``ready`` in the cluster's folder says that pods can be made.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.engines._process import tail
from tests.engines.kubernetes import images, pki, settings
from tests.engines.kubernetes.cgroups import hierarchies
from tests.engines.kubernetes.layout_file import read
from tests.engines.kubernetes.settings import NODE, NODE_IP, SERVICE_IP, Layout

RESTARTS = 20
"""Of all parts together; more is a part that cannot run here."""
STEP_S = 120.0
"""How long each step of the start may take, in seconds."""
_SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What the kubelet wants of the machine: it is shown files that say so, and the machine's own stay as they are."""


def main(file: str) -> None:
    """Be the node until this process is killed; raises SystemExit when a part does not run."""
    at = read(Path(file))
    _private_places(at)
    _cgroups(at)
    _network(at)
    for path, text in settings.files(at).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    pki.write(at.pki, pki.Addresses(NODE, NODE_IP, SERVICE_IP, at.port))
    (at.folder / "network").touch()
    parts = Parts(at)
    for name in ("containerd", "etcd", "kube-apiserver"):
        parts.start(name)
    images.write(at.images, settings.PAUSE)
    parts.until("containerd", lambda: _succeeds(_ctr(at, "version")))
    for archive in sorted(at.images.glob("*.tar")):
        subprocess.run(_ctr(at, "-n", "k8s.io", "images", "import", str(archive)), check=True, stdin=subprocess.DEVNULL)
    api = Api(at)
    parts.until("kube-apiserver", lambda: api.get("/readyz") is not None)
    for name in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"):
        parts.start(name)
    parts.until("kubelet", lambda: _is_ready(api.get(f"/api/v1/nodes/{NODE}")))
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    parts.until("kube-controller-manager", lambda: api.get(account) is not None)
    (at.folder / "ready").touch()
    print(f"ready after {time.monotonic() - _STARTED:.1f} s", flush=True)
    parts.run()


_STARTED = time.monotonic()


class Parts:
    """The processes of the node; one that ends is started again."""

    def __init__(self, at: Layout) -> None:
        self._at = at
        self._commands = settings.commands(at)
        self._names: dict[int, str] = {}
        self._restarts = 0
        (at.folder / "log").mkdir(exist_ok=True)

    def start(self, name: str) -> None:
        """Start one part; its output goes to its log."""
        with self._at.log(name).open("ab") as log:
            child = subprocess.Popen(
                self._commands[name], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        child.returncode = 0  # process 1 waits for every child itself
        self._names[child.pid] = name
        (self._at.folder / f"{name}.pid").write_text(str(child.pid))

    def until(self, name: str, holds: Callable[[], bool]) -> None:
        """Wait for something that a part does; raises SystemExit with the end of its log."""
        deadline = time.monotonic() + STEP_S
        while not holds():
            self._reap(os.WNOHANG)
            if time.monotonic() > deadline:
                sys.exit(f"{name} was not ready after {STEP_S:.0f} s\n{tail(self._at.log(name))}")
            time.sleep(0.05)

    def run(self) -> None:
        """Wait for children for ever."""
        while True:
            self._reap(0)

    def _reap(self, flags: int) -> None:
        while True:
            pid, status = os.waitpid(-1, flags)
            if not pid:
                return
            if name := self._names.pop(pid, None):
                self._ended(name, os.waitstatus_to_exitcode(status))
            if not flags:
                return

    def _ended(self, name: str, status: int) -> None:
        self._restarts += 1
        print(f"{name} ended with status {status}", flush=True)
        if self._restarts > RESTARTS:
            sys.exit(f"{name} does not stay up\n{tail(self._at.log(name))}")
        time.sleep(0.5)
        self.start(name)


class Api:
    """The API server as its administrator asks it, within the node."""

    def __init__(self, at: Layout) -> None:
        self._port = at.port
        self._context = ssl.create_default_context(cafile=str(at.pki / "ca.crt"))
        self._context.load_cert_chain(at.pki / "admin.crt", at.pki / "admin.key")

    def get(self, path: str) -> dict[str, Any] | None:
        """Return the object at a path, None while there is none or the server does not answer."""
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=10, context=self._context)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if answer.status != 200:
            return None
        made: dict[str, Any] = json.loads(body) if body.startswith(b"{") else {}
        return made


def _is_ready(node: dict[str, Any] | None) -> bool:
    conditions = node["status"].get("conditions", []) if node else []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _private_places(at: Layout) -> None:
    """Lay folders of the cluster over those that are fixed in the kubelet, runc and CNI."""
    socket.sethostname(NODE)
    upper, work = at.folder / "var" / "upper", at.folder / "var" / "work"
    for folder in (upper, work):
        folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "run", "/run")
    for name in ("lock", "netns"):
        Path("/run", name).mkdir()
    _mount("-t", "overlay", "var", "-o", f"lowerdir=/var,upperdir={upper},workdir={work}", "/var")
    for name in ("log/containers", "lib/kubelet", "lib/cni"):
        Path("/var", name).mkdir(parents=True, exist_ok=True)
    _mount("--make-rshared", "/")
    for name, value in _SYSCTLS.items():
        shown = Path("/run/sysctl", name)
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text(f"{value}\n")
        _mount("--bind", str(shown), f"/proc/sys/{name}")


def _cgroups(at: Layout) -> None:
    for hierarchy in hierarchies():
        own = hierarchy / at.cgroup
        own.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # of v1: empty in a new one, and nothing can run in it then
            if (own / name).exists() and not (own / name).read_text().strip():
                (own / name).write_text((hierarchy / name).read_text())


def _network(at: Layout) -> None:
    """Bring up loopback and the pods' bridge."""
    # Else a client may get the API server's port for its own end while that one is down, and be connected to itself:
    # the API server finds its port in use then.
    reserved = ",".join(str(port) for port in (at.port, *(one.port for one in at.registries)))
    Path("/proc/sys/net/ipv4/ip_local_reserved_ports").write_text(reserved)
    for words in (
        ("link", "set", "lo", "up"),
        ("link", "add", "cni0", "type", "bridge"),
        ("addr", "add", f"{NODE_IP}/16", "dev", "cni0"),
        ("link", "set", "cni0", "up"),
        # Without a route the kernel refuses a service's address before kube-proxy's rules see it.
        ("route", "add", settings.SERVICES, "dev", "cni0"),
    ):
        subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)
    for name in ("ip_forward", "conf/all/route_localnet"):
        Path("/proc/sys/net/ipv4", name).write_text("1")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, stdin=subprocess.DEVNULL)


def _ctr(at: Layout, *words: str) -> list[str]:
    return [shutil.which("ctr") or "ctr", "--address", str(at.containerd_socket), *words]


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the keeper ends the node
    main(sys.argv[1])
