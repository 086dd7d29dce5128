"""Images of the tests' cluster: busybox, and the one that holds a pod's namespaces, as archives of one layer."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.engines._process import find_program
from tests.fakes.bases import tar_of

__all__ = ["BUSYBOX", "make_busybox", "make_programs", "write"]

BUSYBOX = "localhost/busybox:1"
_PAUSE = ("sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done")
_CAPABILITIES = {"newuidmap": 7, "newgidmap": 6}
"""CAP_SETUID and CAP_SETGID."""
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}


def write(folder: Path, pause: str) -> None:
    """Write the archives into ``folder``; ``pause`` is what the image of a pod's namespaces is called."""
    folder.mkdir(parents=True, exist_ok=True)
    layer = _busybox()
    (folder / "busybox.tar").write_bytes(_archive(BUSYBOX, layer, ()))
    (folder / "pause.tar").write_bytes(_archive(pause, layer, _PAUSE))


def make_busybox(marker: str) -> bytes:
    """Return the archive of an image of its own, told from others by a file ``marker``.

    The kubelet remembers by its content which image was pulled with a login, whatever it is called.
    """
    return _archive(f"localhost/{marker}:1", _busybox(marker), ())


def make_programs(
    name: str,
    programs: Mapping[str, Path],
    entrypoint: Sequence[str],
    *,
    texts: Mapping[str, str] | None = None,
    folders: Sequence[str] = (),
    variables: Sequence[str] = ("PATH=/bin",),
) -> bytes:
    """Return the archive of an image of busybox and these programs, by their paths in it.

    The libraries that they need come with them. ``folders`` are user 1000's. A program that maps users has the file
    capability for that, since a pod's processes gain nothing by setuid.
    """
    needed = {str(path): path for source in programs.values() for path in _libraries(source)}
    out = io.BytesIO(_busybox())
    with tarfile.open(fileobj=out, mode="a", format=tarfile.PAX_FORMAT) as tar:
        for path, source in {**needed, **programs}.items():
            file = tarfile.TarInfo(path.lstrip("/"))
            content = source.resolve().read_bytes()
            file.mode, file.size = 0o755, len(content)
            if capability := _CAPABILITIES.get(source.name):
                raw = struct.pack("<IIIII", 0x02000001, 1 << capability, 0, 0, 0)
                file.pax_headers = {"SCHILY.xattr.security.capability": raw.decode("utf-8", "surrogateescape")}
            tar.addfile(file, io.BytesIO(content))
        for path, text in (texts or {}).items():
            file = tarfile.TarInfo(path.lstrip("/"))
            file.size = len(text)
            tar.addfile(file, io.BytesIO(text.encode()))
        for path in folders:
            folder = tarfile.TarInfo(path.lstrip("/"))
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, 0o700, 1000, 1000
            tar.addfile(folder)
    return _archive(f"localhost/{name}:1", out.getvalue(), entrypoint, variables)


def _libraries(program: Path) -> list[Path]:
    """Return the libraries that a program is loaded with."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    return [Path(word) for word in said.split() if word.startswith("/")]


def _busybox(marker: str = "") -> bytes:
    program = find_program("busybox") or "busybox"
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, mode in (("bin", 0o755), ("tmp", 0o1777)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        if marker:
            tar.addfile(tarfile.TarInfo(marker))
        file = tarfile.TarInfo("bin/busybox")
        content = Path(program).read_bytes()
        file.mode, file.size = 0o755, len(content)
        tar.addfile(file, io.BytesIO(content))
        for applet in sorted({*applets} - {"busybox"}):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return out.getvalue()


def _archive(name: str, layer: bytes, entrypoint: Sequence[str], variables: Sequence[str] = ("PATH=/bin",)) -> bytes:
    """Return an OCI archive of an image with this layer, as ``ctr images import`` takes it."""
    import platform

    blobs: dict[str, bytes] = {}

    def blob(media_type: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {
            "mediaType": f"application/vnd.oci.image.{media_type}",
            "digest": f"sha256:{digest}",
            "size": len(content),
        }

    machine = platform.machine()
    where = {"os": "linux", "architecture": _ARCHITECTURE.get(machine, machine)}
    config = {
        **where,
        "config": {"Entrypoint": list(entrypoint) or None, "Env": list(variables), "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [blob("layer.v1.tar+gzip", gzip.compress(layer, 1, mtime=0))],
    }
    entry = blob("manifest.v1+json", json.dumps(manifest).encode())
    entry |= {"platform": where, "annotations": {"io.containerd.image.name": name}}
    index = {"schemaVersion": 2, "manifests": [entry]}
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": json.dumps(index).encode(), **blobs}
    return tar_of(files)
