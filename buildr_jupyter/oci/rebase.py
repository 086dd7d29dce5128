"""Another base under an image's own layers, without a rebuild. Pure.

The own layers stay byte for byte; the config is the new base's with what ours set on the old one put on it again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import CONTENT_LABEL, VENV, canonical_json
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import DEFAULT_PATH, Image, digest_of, make_image

__all__ = ["rebase"]

_NAME, _DIGEST = "org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"
_OURS = ("User", "WorkingDir", "Entrypoint")
_NOT_INHERITED = ("Entrypoint", "Cmd", "Image", "Hostname", "Domainname", "ArgsEscaped", "OnBuild", "Healthcheck")


def rebase(image: Image, old: Base, new: Base) -> Image:
    """Return the image on another base: the new base's layers, history and settings under our own.

    What the image has in its environment, labels and ports as the old base had it counts as the old base's. The content
    digest becomes one of old content and new base, so that no builder takes the image for one that it made itself.
    """
    document = json.loads(image.config)
    settings, before = document.get("config") or {}, old.config.get("config") or {}
    after = dict(new.config.get("config") or {})
    for name in _NOT_INHERITED:
        after.pop(name, None)
    own = image.layers[len(old.layers) :]
    labels = _over(settings.get("Labels"), before.get("Labels"), after.get("Labels"))
    labels |= {_NAME: new.name, _DIGEST: new.digest}
    if content := labels.get(CONTENT_LABEL):
        labels[CONTENT_LABEL] = digest_of(canonical_json(["rebased", content, new.digest]))
    ports = _over(settings.get("ExposedPorts"), before.get("ExposedPorts"), after.get("ExposedPorts"))
    config = {
        **after,
        **{name: settings[name] for name in _OURS if name in settings},
        "Env": _environment(settings.get("Env") or (), before.get("Env") or (), after.get("Env") or ()),
        "Labels": labels,
        **({"ExposedPorts": ports} if ports else {}),
    }
    kept = ("created", "os", "architecture", "variant")
    full = {
        **{name: document[name] for name in kept if name in document},
        "config": config,
        "history": _history(document, new, len(own)),
    }
    annotations = {**(json.loads(image.manifest).get("annotations") or {}), _NAME: new.name, _DIGEST: new.digest}
    return make_image(full, [*new.layers, *own], platform=image.platform, annotations=annotations)


def _over(ours: JsonObject | None, before: JsonObject | None, after: JsonObject | None) -> JsonObject:
    """Return what the new base has, under what we set ourselves."""
    old = before or {}
    return {**(after or {}), **{k: v for k, v in (ours or {}).items() if k not in old or old[k] != v}}


def _environment(ours: Sequence[str], before: Sequence[str], after: Sequence[str]) -> list[str]:
    was, had, has = (dict(one.partition("=")[::2] for one in given) for given in (ours, before, after))
    merged = _over(was, had, has)
    if was.get("PATH") == f"{VENV}/bin:{had.get('PATH') or DEFAULT_PATH}":
        merged["PATH"] = f"{VENV}/bin:{has.get('PATH') or DEFAULT_PATH}"
    return [f"{name}={value}" for name, value in merged.items()]


def _history(document: JsonObject, new: Base, own_count: int) -> list[JsonObject]:
    """Return the new base's history and ours; ours are the last entries, one for each layer."""
    given = [dict(one) for one in document.get("history") or ()]
    history = [dict(one) for one in new.config.get("history") or ()]
    if sum(1 for one in history if not one.get("empty_layer")) != len(new.layers):
        history = [{"created": document.get("created"), "comment": layer.title or "base"} for layer in new.layers]
    return history + given[len(given) - own_count :]
