"""An image: config, manifest and index, from layers and a base. Pure.

The image id is the digest of the config, the digest that of the manifest. Source: OCI image specification 1.1, "Image
Configuration", "Image Manifest", "Image Index", "Pre-Defined Annotation Keys".
"""

from __future__ import annotations

import hashlib
import platform as host
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import HOME, VENV, ImagePlan, canonical_json, image_labels, one_line
from buildr_jupyter.oci.layer import Layer

__all__ = [
    "BASE_NAME", "CONFIG", "DEFAULT_PATH", "INDEX", "MANIFEST", "Image", "default_platform", "digest_of",
    "image_config", "make_image", "make_index", "parse_platform",
]  # fmt: skip

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
BASE_NAME = "org.opencontainers.image.base.name"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64", "armv7l": "arm", "i686": "386"}


def digest_of(content: bytes) -> str:
    """Return ``sha256:`` and 64 hex digits of ``content``."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def default_platform(machine: str = "") -> str:
    """Return linux on the architecture that a machine calls itself, this one's if none: ``linux/amd64``."""
    machine = machine or host.machine()
    return f"linux/{_MACHINES.get(machine, machine)}"


def parse_platform(text: str) -> dict[str, str]:
    """Return ``linux/arm/v7`` as a manifest writes it."""
    system, _, rest = text.partition("/")
    architecture, _, variant = rest.partition("/")
    return {"architecture": architecture, "os": system, **({"variant": variant} if variant else {})}


@dataclass(frozen=True, slots=True)
class Image:
    """One image for one platform."""

    config: bytes
    manifest: bytes
    layers: tuple[Layer, ...]
    platform: str

    @property
    def image_id(self) -> str:
        """Digest of the config."""
        return digest_of(self.config)

    @property
    def digest(self) -> str:
        """Digest of the manifest."""
        return digest_of(self.manifest)

    @property
    def size_bytes(self) -> int:
        """Compressed layers and config."""
        return sum(layer.size_bytes for layer in self.layers) + len(self.config)

    @property
    def unpacked_bytes(self) -> int | None:
        """The layers' tars together; None where a layer of the base was never unpacked here."""
        sizes = [layer.unpacked_bytes for layer in self.layers]
        return sum(sizes) if all(sizes) else None

    def descriptor(self) -> dict[str, object]:
        """Return an index's words for it."""
        return {
            "mediaType": MANIFEST,
            "digest": self.digest,
            "size": len(self.manifest),
            "platform": parse_platform(self.platform),
        }


def make_image(
    config: Mapping[str, object],
    layers: Sequence[Layer],
    *,
    platform: str,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Return the image of a config (without rootfs) and its layers, base first."""
    full = {**config, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]}}
    config_bytes = canonical_json(full)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config_bytes), "size": len(config_bytes)},
        "layers": [layer.descriptor() for layer in layers],
        **({"annotations": dict(annotations)} if annotations else {}),
    }
    return Image(config_bytes, canonical_json(manifest), tuple(layers), platform)


def make_index(images: Sequence[Image], annotations: Mapping[str, str] | None = None) -> bytes:
    """Return the index of several platforms' images."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [image.descriptor() for image in images],
            **({"annotations": dict(annotations)} if annotations else {}),
        }
    )


def image_config(
    plan: ImagePlan,
    base: JsonObject,
    titles: Sequence[str],
    *,
    platform: str,
    created: str,
    own_count: int,
    base_name: str | None,
) -> dict[str, object]:
    """Return the config of a plan's image on a base's config, without ``rootfs``.

    ``base_name`` is the base's reference, None where it has none that means anything elsewhere (a file).
    ``titles`` are those of all layers; the last ``own_count`` are ours, and the base's history stays before them.
    """
    history = [dict(one) for one in base.get("history") or ()]
    base_count = len(titles) - own_count
    if sum(1 for one in history if not one.get("empty_layer")) != base_count:
        history = [{"created": created, "comment": title or "base"} for title in titles[:base_count]]
    history += [{"created": created, "created_by": "buildr_jupyter", "comment": t} for t in titles[base_count:]]
    inherited: JsonObject = dict(base.get("config") or {})
    for name in ("Entrypoint", "Cmd", "Image", "Hostname", "Domainname", "ArgsEscaped", "OnBuild", "Healthcheck"):
        inherited.pop(name, None)
    labels = {name: one_line(value) for name, value in image_labels(plan)}
    if base_name is None:
        labels.pop(BASE_NAME, None)
    ports = {**(inherited.get("ExposedPorts") or {}), **{port: {} for port in plan.ports}}
    config = {
        **inherited,
        "User": plan.user,
        "WorkingDir": plan.workdir,
        "Env": _environment(plan, inherited.get("Env") or ()),
        "Entrypoint": list(plan.entrypoint),
        "Labels": {**(inherited.get("Labels") or {}), **labels},
        **({"ExposedPorts": ports} if ports else {}),
    }
    return {"created": created, **parse_platform(platform), "config": config, "history": history}


def _environment(plan: ImagePlan, inherited: Sequence[str]) -> list[str]:
    values = dict(one.partition("=")[::2] for one in inherited)
    values |= {
        "HOME": HOME,
        "PYTHONUNBUFFERED": "1",
        "BUILDR_IN_CONTAINER": "1",
        "BUILDR_OUTPUT_DIR": plan.output_folder,
        "PATH": f"{VENV}/bin:{values.get('PATH') or DEFAULT_PATH}",
    }
    values |= dict(plan.environment)
    return [f"{name}={value}" for name, value in values.items()]


@dataclass(frozen=True, slots=True)
class Published:
    """What was made: one image, or several under an index."""

    images: tuple[Image, ...]
    index: bytes | None = field(default=None)

    @property
    def top(self) -> bytes:
        """The index where there is one, else the manifest."""
        return self.index if self.index is not None else self.images[0].manifest

    @property
    def digest(self) -> str:
        """Digest of ``top``."""
        return digest_of(self.top)
