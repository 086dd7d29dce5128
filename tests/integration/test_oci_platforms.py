"""An index of two architectures: its files are each one's own, and the foreign one runs under an emulator."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.model.plan import FileEntry, Requirement
from buildr_jupyter.model.request import Layout
from buildr_jupyter.oci.image import CONFIG, INDEX, MANIFEST
from tests.engines import EngineStartError, arm64, base
from tests.integration.oci_images import absent, build, make_plan, needs, request_for, said

ELF_MACHINES = {"linux/amd64": 62, "linux/arm64": 183}
"""Field e_machine of an ELF header: elf(5)."""
PROGRAM = b"""
import os, platform, ssl, sys
import numpy
print(platform.machine(), sys.prefix, os.getuid(), os.environ["HOME"], int(numpy.arange(5).sum()), sys.argv[1:])
"""


def base_layout(folder: Path) -> Path:
    """Return a layout with Debian's Python for both architectures as one index; its layers are plain tars."""
    try:
        tars = {
            "linux/amd64": base.rootfs_tar(base.cache_folder()),
            "linux/arm64": arm64.rootfs_tar(base.cache_folder()),
        }
    except EngineStartError as error:
        absent(error)
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(document: dict[str, Any], media_type: str, **more: Any) -> dict[str, Any]:
        content = json.dumps(document).encode()
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content), **more}

    entries = []
    for platform, tar in tars.items():
        with tar.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        shutil.copyfile(tar, blobs / digest)  # a link that leads out of a layout is not followed
        system = {"os": "linux", "architecture": platform.partition("/")[2]}
        config = {
            **system,
            "config": {"Env": [f"{name}={value}" for name, value in base.ENVIRONMENT.items()]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        layer = {
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": f"sha256:{digest}",
            "size": tar.stat().st_size,
        }
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": put(config, CONFIG), "layers": [layer]}
        entries.append(put(manifest, MANIFEST, platform=system))
    top = put({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}, INDEX)
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def machines(layout: Path, digest: str) -> dict[str, int]:
    """Return the ELF machine of every executable and library in an image: path to number."""
    found = {}
    for part in json.loads((layout / "blobs/sha256" / digest[7:]).read_bytes())["layers"]:
        with tarfile.open(layout / "blobs/sha256" / part["digest"][7:], "r|gz") as tar:
            for member in tar:
                if (
                    member.isfile()
                    and (stream := tar.extractfile(member))
                    and (head := stream.read(20))[:4] == b"\x7fELF"
                ):
                    found[member.name] = int.from_bytes(head[18:20], "little")
    return found


def test_an_index_of_two_architectures(oci: OciBuilder, tmp_path: Path) -> None:
    needs("skopeo", "umoci", arm64.EMULATOR)
    plan = make_plan(
        base=f"oci:{base_layout(tmp_path / 'base')}", python=base.PYTHON, platforms=tuple(ELF_MACHINES),
        requirements=(Requirement(f"numpy=={version('numpy')}"),), files=(FileEntry.from_bytes("app/main.py", PROGRAM),),
    )  # fmt: skip
    layout = tmp_path / "layout"
    _, result = build(oci, request_for(plan, tmp_path, Layout(layout), platforms=plan.platforms))
    assert result.images[0].image_id != result.images[1].image_id
    seen = json.loads(said("skopeo", "inspect", "--raw", f"oci:{layout}"))
    assert [(one["platform"]["architecture"], one["digest"]) for one in seen["manifests"]] == [
        (platform.partition("/")[2], image.digest) for platform, image in zip(ELF_MACHINES, result.images, strict=True)
    ]
    for (platform, machine), image in zip(ELF_MACHINES.items(), result.images, strict=True):
        config = json.loads(said("skopeo", "--override-arch", platform[6:], "inspect", "--config", f"oci:{layout}"))
        assert config["architecture"] == platform[6:]
        found = machines(layout, str(image.digest))
        assert set(found.values()) == {machine}, [path for path, it in found.items() if it != machine]
        assert sum(".so" in path and "/numpy" in path for path in found) > 10
    assert _run_foreign(layout, str(result.images[1].digest), config["config"], tmp_path) == (
        "aarch64 /opt/venv 1000 /home/app 10 ['x y']\n"
    )


def _run_foreign(layout: Path, digest: str, config: dict[str, Any], folder: Path) -> str:
    """Return what the image's own command prints on its own files, with an argument that has a space."""
    one = folder / "one"
    shutil.copytree(layout, one)
    entry = {"mediaType": MANIFEST, "digest": digest, "size": (one / "blobs/sha256" / digest[7:]).stat().st_size}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (one / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    said("umoci", "unpack", "--image", f"{one}:1", folder / "bundle")
    environment = dict(pair.split("=", 1) for pair in config["Env"])
    program, *arguments = config["Entrypoint"]
    root = folder / "bundle" / "rootfs"
    inside = next(at for at in environment["PATH"].split(":") if (root / at.lstrip("/") / program).is_symlink())
    command = [f"{inside}/{program}", *arguments, "x y"]
    return arm64.run_in(root, command, environment, config["WorkingDir"])
