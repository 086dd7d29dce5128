"""A Docker Engine of our own: private socket, data, containerd and bridge."""

from __future__ import annotations

import contextlib
import io
import ipaddress
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.engines import base
from tests.engines._process import EngineStartError, Process, find_program, run, search_path, start, stop
from tests.engines.network import networks_in_use

PROGRAMS = ("dockerd", "containerd", "runc", "iptables", "ip")


@dataclass(frozen=True)
class Dockerd:
    """A running engine."""

    host: str
    """What DOCKER_HOST would be: ``unix:///…/docker.sock``."""
    bridge: str
    gateway: str
    """Address of this machine on the engine's bridge; only this machine and its containers reach it."""
    processes: tuple[Process, ...]
    """In the order in which they are ended."""


def missing() -> str | None:
    """Return why no engine can be started here, None where one can."""
    if os.name != "posix" or not Path("/proc/self").exists():
        return "the engine needs Linux"
    if lacking := [name for name in PROGRAMS if not find_program(name)]:
        return f"not installed: {', '.join(lacking)} (make engines installs them)"
    if os.geteuid() != 0:
        return "starting a private dockerd needs root"
    return None


def bring_up(folder: Path, *, bridge: str, trusted_ca: Path | None = None) -> Dockerd:
    """Start containerd and dockerd under ``folder``; ``trusted_ca`` is believed beside the system's authorities.

    Raises EngineStartError with the end of the log; nothing is left running then.
    """
    if why := missing():
        raise EngineStartError(why)
    folder.mkdir(parents=True, exist_ok=True)
    env = _environment(folder, trusted_ca)
    containerd = _start_containerd(folder, env)
    gateway = _make_bridge(bridge)
    socket = folder / "docker.sock"
    (folder / "daemon.json").write_text("{}")
    # fmt: off
    command = [
        _program("dockerd"), "--config-file", str(folder / "daemon.json"), "--host", f"unix://{socket}",
        "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
        "--pidfile", str(folder / "docker.pid"), "--containerd", str(folder / "containerd.sock"),
        "--bridge", bridge, "--group", "root", "--shutdown-timeout", "3",
    ]
    # fmt: on
    try:
        dockerd = start("dockerd", command, log=folder / "dockerd.log", env=env, ready=lambda: _answers(socket))
    except BaseException:
        stop(containerd)
        remove_bridge(bridge)
        raise
    return Dockerd(f"unix://{socket}", bridge, gateway, (dockerd, containerd))


def _start_containerd(folder: Path, env: dict[str, str]) -> Process:
    socket = folder / "containerd.sock"
    config = folder / "containerd.toml"
    config.write_text(
        "version = 2\n"
        f"root = {json.dumps(str(folder / 'containerd'))}\n"
        f"state = {json.dumps(str(folder / 'containerd-state'))}\n"
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f"[grpc]\naddress = {json.dumps(str(socket))}\n"
    )
    return start(
        "containerd",
        [_program("containerd"), "--config", str(config)],
        log=folder / "containerd.log",
        env=env,
        ready=socket.exists,
    )


def _answers(socket: Path) -> bool:
    if not socket.exists():
        return False
    from buildr_jupyter.engine.connection import connect
    from buildr_jupyter.errors import EngineError

    try:
        with contextlib.closing(connect({"DOCKER_HOST": f"unix://{socket}"}, connect_timeout_s=5)):
            return True
    except EngineError:
        return False


def _environment(folder: Path, trusted_ca: Path | None) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "BUILDR_"))}
    env["PATH"] = search_path()
    env["HOME"] = str(folder)
    # The daemon keeps its layers under data-root but writes scratch files where TMPDIR says.
    (folder / "tmp").mkdir(exist_ok=True)
    env["TMPDIR"] = str(folder / "tmp")
    if trusted_ca:
        bundle = folder / "authorities.pem"
        system = base.CA_BUNDLE.read_bytes() if base.CA_BUNDLE.exists() else b""
        bundle.write_bytes(system + b"\n" + trusted_ca.read_bytes())
        env["SSL_CERT_FILE"] = str(bundle)
        env["SSL_CERT_DIR"] = str(folder / "no-authorities")
    return env


def _make_bridge(name: str) -> str:
    in_use = networks_in_use()
    for network in ipaddress.IPv4Network("172.28.0.0/14").subnets(new_prefix=24):
        if any(network.overlaps(other) for other in in_use):
            continue
        gateway = str(next(network.hosts()))
        run([_program("ip"), "link", "add", "name", name, "type", "bridge"])
        run([_program("ip"), "addr", "add", f"{gateway}/{network.prefixlen}", "dev", name])
        run([_program("ip"), "link", "set", name, "up"])
        return gateway
    raise EngineStartError("no free private network for the engine's bridge")


def remove_bridge(name: str) -> None:
    """Take the bridge away, and the packet filter's rules that name it (dockerd leaves them behind)."""
    if ip := find_program("ip"):
        subprocess.run([ip, "link", "delete", name], capture_output=True, check=False)
    iptables = find_program("iptables")
    if not iptables:
        return
    for table in ("filter", "nat"):
        listed = subprocess.run([iptables, "-w", "-t", table, "-S"], capture_output=True, text=True, check=False).stdout
        for rule in listed.splitlines():
            words = rule.split()
            if words[:1] == ["-A"] and name in words:
                subprocess.run([iptables, "-w", "-t", table, "-D", *words[1:]], capture_output=True, check=False)


def unmount_below(folder: Path) -> None:
    """Unmount what a daemon left mounted under ``folder``, the deepest first."""
    with contextlib.suppress(OSError):
        points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in sorted((p for p in points if p.startswith(f"{folder}/")), key=len, reverse=True):
            subprocess.run(["umount", "-l", point], capture_output=True, check=False)


def import_base(host: str, tar: Path, name: str = base.NAME) -> str:
    """Load a base image's tar into the engine under this name, unless it is there; return its image id."""
    from docker import APIClient

    with contextlib.closing(APIClient(host, version="auto", timeout=300)) as client:
        if found := client.images(name=name):
            return str(found[0]["Id"])
        changes = [f"ENV {name}={value}" for name, value in base.ENVIRONMENT.items()] + ['CMD ["python3"]']
        with tar.open("rb") as data:
            repository, _, tag = name.partition(":")
            client.import_image_from_data(data, repository=repository, tag=tag, changes=changes)
        return str(client.inspect_image(name)["Id"])


def import_kaniko(host: str, executor: Path) -> str:
    """Make an image of kaniko's executor as the original's is: the executable and authorities, nothing else."""
    from docker import APIClient

    name, out = "kaniko-executor:tests", io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(executor, "kaniko/executor")
        if base.CA_BUNDLE.exists():
            tar.add(base.CA_BUNDLE, "kaniko/ssl/certs/ca-certificates.crt")
    out.seek(0)
    changes = ['ENTRYPOINT ["/kaniko/executor"]', "ENV SSL_CERT_DIR=/kaniko/ssl/certs", "WORKDIR /workspace"]
    with contextlib.closing(APIClient(host, version="auto", timeout=300)) as client:
        repository, _, tag = name.partition(":")
        client.import_image_from_data(out, repository=repository, tag=tag, changes=changes)
    return name


def _program(name: str) -> str:
    return find_program(name) or name
