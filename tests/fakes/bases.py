"""Base images of a few bytes, as ``docker save`` writes them."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.oci.image import CONFIG, MANIFEST, default_platform, digest_of

if TYPE_CHECKING:
    from tests.fakes.registry import FakeRegistry

TAR = "application/vnd.oci.image.layer.v1.tar"


def put(registry: FakeRegistry, repository: str = "base/x", content: bytes = b"") -> list[str]:
    """Put an image of one layer into a registry under the tag ``1``; return its diff ids."""
    layer = tar_of({"bin/x": content})
    diff_ids = [digest_of(layer)]
    config = {"os": "linux", "architecture": default_platform()[6:], "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    described = {}
    for kind, blob in ((CONFIG, json.dumps(config).encode()), (TAR, layer)):
        registry.blobs[digest_of(blob)] = blob
        registry.owned.add((repository, digest_of(blob)))
        described[kind] = {"mediaType": kind, "digest": digest_of(blob), "size": len(blob)}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[CONFIG], "layers": [described[TAR]]}
    registry.put(repository, "1", manifest)
    return diff_ids


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Return a tar of files: path to content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def save(
    path: Path,
    *,
    python: str | None = "",
    architecture: str = "",
    environment: tuple[str, ...] = (),
    layers: tuple[Mapping[str, bytes], ...] | None = None,
    pack: Callable[[bytes], bytes] = bytes,
    history: str | None = None,
) -> Path:
    """Write an image that says it has Python ``python`` (this one unless told; None: it says nothing).

    ``pack`` compresses its layers; ``history`` is what made each, its name if None.
    """
    tars = [tar_of(files) for files in (layers or ({f"marker-{path.stem}": b""},))]
    variables = ["PATH=/usr/local/bin:/usr/bin", *environment]
    if python is not None:
        variables.insert(1, f"PYTHON_VERSION={python or platform.python_version()}")
    config = {
        "architecture": architecture or default_platform()[6:], "os": "linux",
        "config": {"Env": variables, "Labels": {"of": path.stem}},
        "history": [{"created_by": f"base {path.stem}" if history is None else history} for _ in tars],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest() for tar in tars]},
    }  # fmt: skip
    names = [f"{number}.tar" for number in range(len(tars))]
    described = [{"Config": "c.json", "RepoTags": [], "Layers": names}]
    documents = {"manifest.json": json.dumps(described).encode(), "c.json": json.dumps(config).encode()}
    path.write_bytes(tar_of({**documents, **dict(zip(names, map(pack, tars), strict=True))}))
    return path
