"""What buildah and its kin are told of registries: logins in a file of their form, and how far TLS goes.

Source: containers-auth.json(5), containers-certs.d(5).
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from buildr_jupyter.errors import EngineError
from buildr_jupyter.process.run import ask
from buildr_jupyter.process.watchdog import Watchdog
from buildr_jupyter.registry.addresses import is_local
from buildr_jupyter.registry.transport import known_ca

__all__ = ["isolation_options", "swept", "tls_options", "unfinished"]


@contextlib.contextmanager
def swept(command: str, *, idle: Callable[[], Collection[int]] = tuple) -> Iterator[None]:
    """See that nothing half-made stays where the block is broken off, or this process is killed in it.

    buildah that gets SIGTERM while it pulls, mounts or commits ends at once and leaves a working container, or an image
    without a manifest (1.28, measured). ``idle`` is asked as ``sweep_working`` says.
    """
    began = time.time()
    with Watchdog() as watchdog:
        if len(command.split()) == 1:
            watchdog.hold_call("buildr_jupyter.builder.buildah.storage:sweep_later", command, str(began))
        try:
            yield
        except BaseException:
            with contextlib.suppress(EngineError):
                sweep_working(command, began, idle=idle())
            raise


def sweep_working(command: str, since: float, *, idle: Collection[int] = ()) -> bool:
    """Remove what a killed buildah or podman left, made since (seconds since the epoch); tell whether that could be.

    That is working containers, and images whose commit never came to the manifest, which nothing can read. They carry
    no mark of this process, so where another buildah or podman of this user works in the same store they
    may be its, and stay; ``idle`` are services of our own that do nothing.
    """
    if others_at_work(idle):
        return False
    podman = Path(command).name == "podman"
    where = json.loads(ask([command, "info", *(["--format=json"] if podman else [])]))["store"]
    known = {name.lower(): value for name, value in where.items()}
    store = Path(known["graphroot"])
    folder = store / f"{known['graphdrivername']}-containers"
    listing = ["ps", "--all", "--external", "--format=json"] if podman else ["containers", "--json"]
    for found in json.loads(ask([command, *listing])) or ():
        container = str(found.get("id") or found.get("Id"))
        record = folder / container / "userdata" / "buildah.json"
        if record.exists() and record.stat().st_mtime >= since:
            ask([command, "rm", *(["--force"] if podman else []), container])
    for image in unfinished(store / f"{known['graphdrivername']}-images", since):
        with contextlib.suppress(EngineError):
            ask([command, "rmi", image])
    return True


def unfinished(folder: Path, since: float = 0.0) -> list[str]:
    """Return the ids of images that have neither a manifest nor a name, of a containers/storage folder of images.

    The names come last: an image with one is whole. Source: containers/storage, images.json.
    """
    try:
        records = json.loads((folder / "images.json").read_bytes())
    except (OSError, ValueError):
        return []
    broken = [
        str(one["id"]) for one in records if not one.get("names") and "manifest" not in one.get("big-data-names", ())
    ]
    return [one for one in broken if not (folder / one).exists() or (folder / one).stat().st_mtime >= since]


def sweep_later(command: str, since: str) -> None:
    """Do it for a process that was killed, as soon as its services are gone, too."""
    deadline = time.monotonic() + _LATER_S
    while not sweep_working(command, float(since)) and time.monotonic() < deadline:
        time.sleep(0.1)


def others_at_work(idle: Collection[int] = ()) -> bool:
    """Tell whether this user has a buildah or podman that runs on the same store, from /proc; ``idle`` do not count."""
    store = {name: os.environ.get(name, "") for name in _STORE}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            name = (entry / "comm").read_text().strip()
            ours = entry.stat().st_uid == os.geteuid() and int(entry.name) not in idle
            if ours and name in ("buildah", "podman") and state not in "ZX" and _variables(entry, _STORE) == store:
                return True
    return False


_LATER_S = 12.0
_STORE = ("HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "CONTAINERS_STORAGE_CONF", "CONTAINERS_CONF")
"""What says where images and containers are."""


def _variables(process: Path, names: Iterable[str]) -> dict[str, str]:
    pairs = [
        entry.partition("=") for entry in (process / "environ").read_bytes().decode("utf-8", "replace").split("\0")
    ]
    known = {name: value for name, _, value in pairs}
    return {name: known.get(name, "") for name in names}


def tls_options(host: str) -> list[str]:
    """Return how a registry is spoken to: with the authority that its folder names; without TLS on loopback only."""
    found = known_ca(host)
    if found is not None:
        return ["--cert-dir", str(found.parent)]
    return ["--tls-verify=false"] if is_local(host) else []


def isolation_options(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return what keeps a RUN in its root where buildah's isolation is a chroot, which root walks out of.

    Without the right to chroot it cannot. What remains: such a step sees and may signal this user's other processes;
    only a runtime (``BUILDAH_ISOLATION=oci``) has namespaces for that. Source: buildah-build(1), "--isolation".
    """
    chroot = environ.get("BUILDAH_ISOLATION", "").strip().lower() == "chroot"
    return ["--cap-drop=CAP_SYS_CHROOT"] if chroot else []
