"""A store of images, and a configuration, for buildah and podman: nothing of this machine's own is touched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.engines._process import EngineStartError, find_program
from tests.engines.registry import Registry

__all__ = ["Containers", "set_up", "trust"]


@dataclass(frozen=True)
class Containers:
    """Where the commands keep their images, and what tells them."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)


def missing() -> str | None:
    """Return why the commands cannot be used here, None where they can."""
    lacking = [name for name in ("buildah", "podman", "runc") if not find_program(name)]
    return f"not installed: {', '.join(lacking)} (make engines installs them)" if lacking else None


def set_up(folder: Path, *, driver: str = "overlay") -> Containers:
    """Make the configuration under ``folder``. Raises EngineStartError where the commands are not installed."""
    if why := missing():
        raise EngineStartError(why)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "storage.conf").write_text(
        f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n'
    )
    registries(folder / "registries.conf")
    # A limit that is higher than this machine's own cannot be set; podman's default is.
    limits = '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
    # crun, the default, asks for a pure cgroup hierarchy; runc takes a mixed one, too.
    (folder / "containers.conf").write_text(
        f'{limits}[engine]\nruntime = "{find_program("runc")}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    )
    environment = {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "BUILDAH_ISOLATION": "chroot",
    }
    return Containers(folder, environment)


def registries(file: Path, insecure: Iterable[str] = ()) -> Path:
    """Write a configuration of registries, those named without TLS; return the file."""
    tables = [f'[[registry]]\nlocation = "{host}"\ninsecure = true\n' for host in insecure]
    file.write_text("\n".join(['unqualified-search-registries = ["docker.io"]', *tables]) + "\n")
    return file


def trust(home: Path, registry: Registry) -> None:
    """Have the commands of the user with this home believe a registry's certificate."""
    if registry.ca is None:
        return
    target = home / ".config" / "containers" / "certs.d" / registry.host / "ca.crt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(registry.ca.read_bytes())
