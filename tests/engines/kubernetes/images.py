"""Images of the tests' cluster: busybox, and the one that holds a pod's namespaces, as archives of one layer."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from tests.engines._process import find_program
from tests.fakes.bases import tar_of

__all__ = ["BUSYBOX", "make_busybox", "write"]

BUSYBOX = "localhost/busybox:1"
_PAUSE = ("sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done")
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


def _archive(name: str, layer: bytes, entrypoint: Sequence[str]) -> bytes:
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
        "config": {"Entrypoint": list(entrypoint) or None, "Env": ["PATH=/bin"], "WorkingDir": "/"},
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
