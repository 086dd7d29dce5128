"""What is in an image, and which images there are: asked of the engine, and of the store of the builder without one."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.commands.kept_plans import kept_plan
from buildr_jupyter.config.parse import parse_output
from buildr_jupyter.engine.connection import connect, translate
from buildr_jupyter.errors import BuildError, EngineError, OptionError, PublishError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.interface import INTERFACE_LABEL, Interface
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import CONTENT_LABEL
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Archive, EngineLoad, Layout, Output, Push
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.oci.archive import FileSource
from buildr_jupyter.oci.base_image import Base, is_file
from buildr_jupyter.oci.image import Image
from buildr_jupyter.oci.package_list import packages_in
from buildr_jupyter.oci.recorded import image_of
from buildr_jupyter.oci.saved import SavedImage, read_saved
from buildr_jupyter.oci.store import DamagedBlob, Store
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.client import Manifest, Registry
from buildr_jupyter.registry.client import connect as connect_registry
from buildr_jupyter.registry.validate import (
    DamagedDocument,
    read_config,
    read_descriptor,
    read_engine_image,
    read_entries,
    read_image_manifest,
)
from buildr_jupyter.ui.sanitize import clean_text, show_size
from buildr_jupyter.ui.step_titles import step_title
from buildr_jupyter.ui.table import render_table, show_age

if TYPE_CHECKING:
    from buildr_jupyter.engine.client import EngineClient

__all__ = ["inspect", "is_internal", "list_images", "rebase", "render", "render_listed"]


def list_images(store: Store | None = None) -> list[JsonObject]:
    """Return a row for each image that buildr made: the engine's, newest first, then the store's by name.

    Raises EngineError where no engine answers and the store has none.
    """
    kept = _kept(store or Store())
    try:
        client = connect()
        with translate(client):
            found = client.images(filters={"label": CONTENT_LABEL})
    except EngineError:
        if not kept:
            raise
        found = []
    rows: list[JsonObject] = [
        {
            "image_id": image["Id"],
            "tags": [tag for tag in image.get("RepoTags") or () if not tag.endswith("<none>")],
            "unpacked_bytes": image.get("Size"),
            "labels": image.get("Labels") or {},
            "place": "engine",
            "made": _tagged_at(client, str(image["Id"])),
        }
        for image in sorted(found, key=lambda image: -image.get("Created", 0))
    ]
    return rows + kept


def _tagged_at(client: EngineClient, image_id: str) -> float | None:
    """Return when the engine gave an image its last name, in seconds since the epoch, None where it does not say.

    ``Created`` is no such time: an image that buildr made has the time 0, so that the same content is the same image.
    """
    with translate(client):
        said = str((client.inspect_image(image_id).get("Metadata") or {}).get("LastTagTime") or "")
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        return None
    return found.timestamp() if found.year > 1 else None


_MAX_DEPTH, _MAX_PLATFORMS = 4, 64
"""How far and how wide an index is followed; none that exists goes near it."""


def _kept(store: Store) -> list[JsonObject]:
    """Return a row for each image of the store, with all names that it has there."""
    rows: dict[str, JsonObject] = {}
    for row in _iter_kept(store):
        if (known := rows.setdefault(str(row["image_id"]), row)) is not row:
            known["tags"] += row["tags"]
            known["made"] = max(filter(None, (known["made"], row["made"])), default=None)
    return list(rows.values())


def is_internal(tag: str) -> bool:
    """Tell whether a name is the one of the content, which buildr finds an image by."""
    return re.fullmatch(r"c-[0-9a-f]{12}", tag.rpartition(":")[2]) is not None


def _iter_kept(store: Store) -> Iterator[JsonObject]:
    for known in store.images():
        try:
            made, _ = image_of(known, store)
            configs = [read_config(image.config, "its config").get("config") or {} for image in made.images]
        except (DamagedBlob, DamagedDocument):
            continue  # a blob of it was taken out; a build makes it anew
        for image, config in zip(made.images, configs, strict=True):
            labels = config.get("Labels") or {}
            yield {
                "image_id": image.image_id, "tags": [str(known["name"])], "unpacked_bytes": image.unpacked_bytes,
                "labels": labels, "place": "store", "made": store.tagged_at(str(known["name"])),
            }  # fmt: skip


def render_listed(rows: Sequence[JsonObject], now: float) -> str:
    """Return the rows of ``list_images`` as a table for a person; ``now`` is seconds since the epoch."""
    if not rows:
        return "no images yet: buildr build NOTEBOOK makes one\n"
    return render_table(
        ("IMAGE", "ID", "SIZE", "MADE", "WHERE", "FROM"),
        [
            (
                ", ".join([tag for tag in row["tags"] if not is_internal(tag)] or row["tags"]),
                str(row["image_id"])[7:19],
                show_size(row["unpacked_bytes"]),
                "-" if row["made"] is None else show_age(now - row["made"]),
                row["place"],
                _source(row["labels"]) or "",
            )
            for row in rows
        ],
    )


def inspect(name: str, store: Store | None = None) -> list[JsonObject]:
    """Return what is in an image, a row for each platform: the engine's, else that of the store, else its registry's.

    ``name`` is a reference, or the id or digest of an image; a registry is asked only where the reference names one.
    The path of an archive or of a folder with an OCI layout is read where it is. Raises OptionError where there is
    none or the file is damaged, EngineError where no engine answers and nobody else has it, PublishError
    and its kinds where the registry refuses to answer.
    """
    if (path := _saved_path(name)) is not None:
        return _of_file(name, path)
    wanted = name if name.startswith("sha256:") else str(ImageRef.parse(name).tagged())
    unanswered: EngineError | None = None
    try:
        if (row := _of_engine(name, wanted)) is not None:
            return [row]
    except EngineError as error:
        unanswered = error
    store = store or Store()
    if found := _of_store(name, wanted, store):
        return found
    if not name.startswith("sha256:") and (found := _of_registry(name)):
        return found
    if Path(name).exists():  # no image has this name: the file was meant
        return _of_file(name, Path(name))
    if unanswered is not None:
        raise unanswered
    raise OptionError(
        f"image {wanted} is neither in the engine nor in the store", hint="see those that buildr made: buildr images"
    )


def _saved_path(name: str) -> Path | None:
    """Return the path that a name is, None where it is an image's; a folder counts where it is a layout."""
    if (path := is_file(name)) is not None:
        return path
    folder = Path(name)
    return folder if (folder / "oci-layout").is_file() else None


def _of_file(name: str, path: Path) -> list[JsonObject]:
    """Return a row for each image in an archive or a layout; no engine is asked."""
    if not path.exists():
        raise OptionError(f"there is no file or folder {str(path)!r}", hint="name an archive, a layout or an image")
    try:
        with contextlib.closing(FileSource(path, what=repr(str(path)))) as source:
            return [_file_row(name, image) for image in read_saved(source)]
    except DamagedDocument as error:
        raise OptionError(
            error.fault, hint="name a tar made by docker save or by buildr, or a folder with an OCI layout"
        ) from error


def _file_row(name: str, image: SavedImage) -> JsonObject:
    config = image.config.get("config") or {}
    return {
        "image": name,
        "image_id": image.image_id,
        "digests": [image.digest] if image.digest else [],
        "tags": list(image.tags),
        "platform": image.platform,
        "size_bytes": sum(layer.size_bytes for layer in image.layers) + image.config_bytes,
        "unpacked_bytes": sum(layer.unpacked_bytes for layer in image.layers),
        "base": image.base,
        "source": _source(config.get("Labels") or {}),
        "layers": [layer.diff_id for layer in image.layers],
        "parts": [
            {"title": step_title(layer.title) or ("" if layer.ours else "base"), "digest": layer.digest,
             "size_bytes": layer.size_bytes, "base": None if layer.ours is None else not layer.ours}
            for layer in image.layers
        ],
        "packages": [f"{package}=={version}" for package, version in image.packages],
        **_settings(config),
    }  # fmt: skip


def _of_engine(name: str, wanted: str) -> JsonObject | None:
    from docker.errors import ImageNotFound

    client = connect()
    with translate(client):
        try:
            image = client.inspect_image(wanted)
        except ImageNotFound:
            return None
    try:
        image = read_engine_image(image, f"what the engine says of {wanted}")
    except DamagedDocument as error:
        raise EngineError(error.fault, hint="ask the engine who it is: buildr doctor") from error
    config = image.get("Config") or {}
    return {
        "image": name,
        "image_id": image["Id"],
        "digests": image.get("RepoDigests") or [],
        "tags": image.get("RepoTags") or [],
        "platform": f"{image.get('Os')}/{image.get('Architecture')}",
        "unpacked_bytes": image.get("Size"),
        "source": _source(config.get("Labels") or {}),
        "layers": (image.get("RootFS") or {}).get("Layers") or [],
        **_settings(config),
    }


def _settings(config: JsonObject) -> JsonObject:
    labels = config.get("Labels") or {}
    return {
        **_interface(labels),
        **_made_of(labels),
        "entrypoint": config.get("Entrypoint"),
        "user": config.get("User"),
        "environment": config.get("Env") or [],
        "labels": labels,
    }


def _interface(labels: dict[str, str]) -> JsonObject:
    """Return what an image takes and gives back, as its label says; empty where it has no label that says it."""
    try:
        found = Interface.from_label(labels.get(INTERFACE_LABEL) or "{}").to_json()
    except ValueError:
        return {"inputs": [], "returns": []}
    return {"inputs": found["inputs"], "returns": found["returns"]}


def _made_of(labels: dict[str, str]) -> JsonObject:
    """Return names, requirements and files with their reasons where the folder that an image was made of is kept here.

    An image does not say why something is in it; the folder that it was made of does, and is known by the content.
    """
    plan = kept_plan(labels.get(CONTENT_LABEL))
    if plan is None:
        return {}
    found = plan.to_json()
    return {"names": found["names"], "requirements": found["requirements"], "files": found["files"]}


def _source(labels: dict[str, str]) -> str | None:
    """Return notebook and cell that an image was made from, None where it does not say."""
    return " ".join(filter(None, (labels.get("io.buildr.notebook"), labels.get("io.buildr.cell")))) or None


def _of_registry(name: str) -> list[JsonObject]:
    """Return a row for each platform of an image that only its registry has; nothing where it has none."""
    ref = ImageRef.parse(name).tagged()
    if ref.registry is None:
        return []
    host, path, wanted = ref.registry_host, ref.registry_path, ref.digest or ref.local_tag
    with contextlib.closing(connect_registry(host, keychain.find(ref.location))) as registry:
        if registry.digest(path, wanted) is None:
            return []
        try:
            rows = []
            for manifest in _manifests(registry, path, registry.manifest(path, wanted), str(ref)):
                described, _ = read_image_manifest(manifest.document, str(ref))
                digest, size = read_descriptor(described, f"the manifest of {ref}")
                config = read_config(registry.document(path, digest, size), f"the config of {ref}")
                rows.append(_registry_row(name, str(ref), manifest, config))
        except DamagedDocument as error:
            raise PublishError(f"registry {host}: {error.fault}", hint="name another image") from error
        return rows


def _manifests(registry: Registry, path: str, top: Manifest, what: str) -> list[Manifest]:
    """Return the manifests of the images that an index names, or the one that it is; an attestation is no image."""
    found, indexes = [], [top]
    for _ in range(_MAX_DEPTH):
        entries = [e for one in indexes for e in read_entries(one.document, f"the index of {what}")]
        found += [one for one in indexes if "manifests" not in one.document]
        images = [str(e["digest"]) for e in entries if (e.get("platform") or {}).get("os") != "unknown"]
        if len(images) > _MAX_PLATFORMS:
            raise DamagedDocument(f"{what} is damaged: its index names {len(images)} images")
        indexes = [registry.manifest(path, digest) for digest in dict.fromkeys(images)]
        if not indexes:
            return found
    raise DamagedDocument(f"{what} is damaged: its indexes name indexes without end")


def _registry_row(name: str, tag: str, manifest: Manifest, document: JsonObject) -> JsonObject:
    config = document.get("config") or {}
    return {
        "image": name,
        "image_id": manifest.config_digest,
        "digests": [manifest.digest],
        "tags": [tag],
        "platform": f"{document.get('os')}/{document.get('architecture')}",
        "size_bytes": manifest.size_bytes,
        "source": _source(config.get("Labels") or {}),
        "layers": (document.get("rootfs") or {}).get("diff_ids") or [],
        **_settings(config),
    }


def _of_store(name: str, wanted: str, store: Store) -> list[JsonObject]:
    """Return a row for each platform's image of this name, id or digest."""
    rows: list[JsonObject] = []
    for known in store.images():
        if wanted not in _names(known):
            continue
        made, bases = image_of(known, store)
        for image, base in zip(made.images, bases, strict=True):
            whole = known.get("name") == wanted or wanted == made.digest
            same = [row for row in rows if row["image_id"] == image.image_id]
            if same:
                same[0]["tags"].append(str(known["name"]))
            elif whole or wanted in (image.image_id, image.digest):
                rows.append(_row(name, str(known["name"]), image, base, store))
    return rows


def _names(known: JsonObject) -> set[str]:
    """Return name, digest and ids of what the store noted, as far as it is what we note."""
    images = known.get("images")
    listed = [one for one in images if isinstance(one, dict)] if isinstance(images, list) else []
    return {str(one) for one in (known.get("name"), known.get("manifest"))} | {
        str(one.get(kind)) for one in listed for kind in ("config", "manifest")
    }


def _row(name: str, tag: str, image: Image, base: Base, store: Store) -> JsonObject:
    document = read_config(image.config, f"the config of {tag}")
    config = document.get("config") or {}
    labels = config.get("Labels") or {}
    packages: set[tuple[str, str]] = set()
    for layer in image.layers[len(base.layers) :]:
        with contextlib.suppress(BuildError):  # the layer is gone: what is known of the rest is said
            packages |= set(packages_in(store, layer))
    return {
        "image": name,
        "image_id": image.image_id,
        "digests": [image.digest],
        "tags": [tag],
        "platform": image.platform,
        "size_bytes": image.size_bytes,
        "unpacked_bytes": image.unpacked_bytes,
        "base": base.name,
        "source": _source(labels),
        "layers": [layer.diff_id for layer in image.layers],
        "parts": [
            {"title": layer.title or ("base" if number < len(base.layers) else ""), "digest": layer.digest,
             "size_bytes": layer.size_bytes, "base": number < len(base.layers)}
            for number, layer in enumerate(image.layers)
        ],
        "packages": [f"{package}=={version}" for package, version in sorted(packages)],
        **_settings(config),
    }  # fmt: skip


_COLUMNS: dict[str, tuple[Callable[[JsonObject], str], ...]] = {
    "inputs": (
        lambda one: str(one["option"]),
        lambda one: str(one["type"]),
        lambda one: "required" if one.get("required") else f"default {json.dumps(one['default'], ensure_ascii=False)}",
        lambda one: f"one of {', '.join(map(str, one['choices']))}" if one.get("choices") else "",
        lambda one: str(one.get("description") or ""),
    ),
    "returns": (lambda one: str(one["name"]), lambda one: "" if one["format"] == "auto" else str(one["format"])),
    "names": tuple(itemgetter(part) for part in ("name", "kind", "origin", "why")),
    "requirements": (itemgetter("requirement"), itemgetter("why")),
    "files": (itemgetter("path"), lambda one: show_size(one["bytes"]), itemgetter("why")),
}
"""What is said of each thing in a list of ``inspect``, a column each."""


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    kept = [at for at, width in enumerate(widths) if width]
    return ["  ".join(row[at].ljust(widths[at]) for at in kept).rstrip() for row in rows]


def render(row: JsonObject) -> str:
    """Return a row of ``inspect`` for a person; the interface is shown once, as inputs and returns."""
    lines = []
    for key, value in row.items():
        shown = value
        if key == "parts":
            items = [f"{part['title']}  {show_size(part['size_bytes'])}  {part['digest'][:19]}" for part in value]
        elif key in _COLUMNS:
            items = _aligned([[column(one) for column in _COLUMNS[key]] for one in value])
        elif isinstance(value, dict):
            items = [f"{k}={v}" for k, v in value.items() if k != INTERFACE_LABEL]
        elif isinstance(value, list):
            items = [str(v) for v in value]
        else:
            shown = "-" if value is None else show_size(value) if key.endswith("_bytes") else value
            lines.append(clean_text(f"{key:<15} {shown}"))
            continue
        lines.append(clean_text(f"{key:<15} " + (("\n" + " " * 16).join(items) or "-")))
    return "\n".join(lines)


def rebase(
    name: str, base: str, *, tag: str | None, output: str | None, load: bool, publish: bool,
    say: Callable[[str], object],
) -> BuildResult:  # fmt: skip
    """Put another base under an image in the store, and bring the result where it is asked for.

    ``say`` is told the warnings. Raises as ``OciBuilder.stream_rebase``.
    """
    outputs: list[Output] = []
    if (path := parse_output(output, Path.cwd())) is not None:
        outputs.append(Archive(path) if path.suffix == ".tar" else Layout(path))
    if load:
        outputs.append(EngineLoad())
    if publish:
        outputs.append(Push(ImageRef.parse(tag or name).tagged()))
    with contextlib.closing(OciBuilder()) as builder:
        stream = builder.stream_rebase(name, base, CancelToken(), tag=tag, outputs=outputs)
        return drain(
            stream, lambda event: isinstance(event, BuildWarning) and say(f"warning: {clean_text(event.text)}\n")
        )
