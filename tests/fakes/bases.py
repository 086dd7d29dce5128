"""Base images of a few bytes, as ``docker save`` writes them."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

from buildr_jupyter.oci.image import default_platform


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
