"""A buildkitd of our own: private socket, root and registries' settings; the same over TCP with certificates."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.engines._process import EngineStartError, Process, find_program, free_port, run, search_path, start
from tests.engines.certificates import Certificate
from tests.engines.gotools import tool
from tests.engines.registry import Registry

__all__ = ["Buildkitd", "bring_up"]


@dataclass(frozen=True)
class Buildkitd:
    """A running daemon."""

    address: str
    """What BUILDKIT_HOST would be: ``unix:///…/buildkitd.sock``."""
    tls_address: str
    """``tcp://127.0.0.1:PORT``, where a certificate of the authority is asked for."""
    certificates: Path
    """Folder with the client's ca.pem, cert.pem and key.pem."""
    buildctl: Path
    processes: tuple[Process, ...]


def missing() -> str | None:
    """Return why none can be started here, None where one can."""
    if os.name != "posix" or not Path("/proc/self").exists():
        return "buildkitd needs Linux"
    if not find_program("runc"):
        return "not installed: runc (make engines installs it)"
    if os.geteuid() != 0:
        return "starting a private buildkitd needs root"
    return None


def bring_up(folder: Path, registries: Iterable[Registry], certificate: Certificate) -> Buildkitd:
    """Start one under ``folder`` that knows the registries. Raises EngineStartError with the end of its log."""
    if why := missing():
        raise EngineStartError(why)
    daemon, client = tool("buildkitd"), tool("buildctl")
    folder.mkdir(parents=True, exist_ok=True)
    certs = folder / "certificates"
    certs.mkdir()
    for name, source in (("ca", certificate.ca), ("cert", certificate.certificate), ("key", certificate.key)):
        shutil.copyfile(source, certs / f"{name}.pem")
    (folder / "buildkitd.toml").write_text("".join(_settings(registry) for registry in registries))
    socket, port = folder / "buildkitd.sock", free_port()
    (folder / "tmp").mkdir()
    env = {
        "PATH": search_path(), "HOME": str(folder), "TMPDIR": str(folder / "tmp")
    }  # fmt: skip
    # fmt: off
    command = [
        str(daemon), "--config", str(folder / "buildkitd.toml"), "--root", str(folder / "root"),
        "--addr", f"unix://{socket}", "--addr", f"tcp://127.0.0.1:{port}",
        "--tlscacert", str(certs / "ca.pem"), "--tlscert", str(certs / "cert.pem"), "--tlskey", str(certs / "key.pem"),
        "--containerd-worker=false", "--oci-worker=true", "--oci-worker-binary", "runc",
        "--oci-worker-snapshotter", "overlayfs", "--oci-worker-net", "host", "--oci-cni-binary-dir", str(folder),
        "--allow-insecure-entitlement", "network.host",
    ]
    # fmt: on

    def answers() -> bool:
        try:
            return socket.exists() and bool(run([str(client), "--addr", f"unix://{socket}", "debug", "workers"]))
        except EngineStartError:
            return False

    process = start("buildkitd", command, log=folder / "buildkitd.log", env=env, ready=answers)
    return Buildkitd(f"unix://{socket}", f"tcp://127.0.0.1:{port}", certs, client, (process,))


def _settings(registry: Registry) -> str:
    if registry.ca is None:
        return f'[registry."{registry.host}"]\nhttp = true\n'
    return f'[registry."{registry.host}"]\nhttp = false\nca = [{json.dumps(str(registry.ca))}]\n'
