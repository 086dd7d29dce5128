"""A bill of materials for an image: CycloneDX 1.6 in JSON, the same bytes for the same image under the same name.

Source: CycloneDX 1.6 JSON reference; package URL specification, type ``pypi``; OCI image specification 1.1, "Guidelines
for Artifact Usage".
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from urllib.parse import quote

from buildr_jupyter.model.plan import CONTENT_LABEL, canonical_json
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import MANIFEST, Image, digest_of

__all__ = ["EMPTY", "EMPTY_TYPE", "SBOM_TYPE", "make_artifact", "make_sbom", "purl"]

SBOM_TYPE = "application/vnd.cyclonedx+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"


def purl(name: str, version: str) -> str:
    """Return a Python package's URL: ``pkg:pypi/ruamel-yaml@0.18.6``."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    return f"pkg:pypi/{plain}@{quote(version, safe='.-_~')}"


def make_sbom(name: str, image: Image, base: Base, packages: Iterable[tuple[str, str]], made_by: str) -> bytes:
    """Return the bill of an image: its packages (name, version), its base, and the version of buildr that made it.

    No time is in it; the serial number comes from the content digest and the digest of the image.
    """
    labels = (json.loads(image.config).get("config") or {}).get("Labels") or {}
    content = labels.get(CONTENT_LABEL, "")
    libraries: list[dict[str, str]] = []
    for package, version in sorted(set(packages)):
        url = purl(package, version)
        libraries.append({"type": "library", "bom-ref": url, "name": package, "version": version, "purl": url})
    below = f"base:{base.digest}"
    properties = [{"name": key, "value": labels[key]} for key in sorted(labels) if key.startswith("io.buildr.")]
    return canonical_json(
        {
            "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{content} {image.digest}')}",
            "version": 1,
            "metadata": {
                "tools": {"components": [{"type": "application", "name": "buildr_jupyter", "version": made_by}]},
                "component": {
                    "type": "container", "bom-ref": image.digest, "name": name, "version": image.digest,
                    "properties": properties,
                },
            },
            "components": [
                {"type": "container", "bom-ref": below, "name": base.name, "version": base.digest},
                *libraries,
            ],
            "dependencies": [{"ref": image.digest, "dependsOn": [below, *(one["bom-ref"] for one in libraries)]}],
        }
    )  # fmt: skip


def make_artifact(image: Image, sbom: bytes) -> bytes:
    """Return the manifest that attaches a bill to an image: its subject is the image's manifest."""
    return canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": SBOM_TYPE,
            "config": {"mediaType": EMPTY_TYPE, "digest": digest_of(EMPTY), "size": len(EMPTY)},
            "layers": [{"mediaType": SBOM_TYPE, "digest": digest_of(sbom), "size": len(sbom)}],
            "subject": {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.manifest)},
        }
    )
