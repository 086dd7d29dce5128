"""Output files of a run as the artifact that its pod pushed: fetched from the registry, each checked by its digest."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.errors import PublishError, ReturnError, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.in_image.upload import TITLE
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.process.tempfiles import atomic_write
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.client import Registry, connect
from buildr_jupyter.runner._outputs import Folders, local_names

__all__ = ["forget_artifacts", "stream_artifact", "tag_of"]


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    digest: str
    size_bytes: int
    executable: bool


def stream_artifact(
    location: str, digest: str, folders: Folders, into: Path, cancel: CancelToken
) -> Generator[Event, None, tuple[Path, ...]]:
    """Write the files of the artifact at ``location`` (``HOST/REPOSITORY``) below ``into``; return their paths, sorted.

    A StepUpdate says how they came. The image may be anybody's: a file whose name leads out of ``into`` is left out,
    and said. Raises ReturnError where the artifact cannot be had or is not what its digest says, RunError where the
    files cannot be written.
    """
    host, _, repository = location.partition("/")
    step = f"collect {digest[:19]}"
    try:
        with closing(connect(host, keychain.find(location))) as registry:
            files = _files(registry, repository, digest)
            title = f"{len(files)} output files, {sum(one.size_bytes for one in files):,} bytes, from {location}"
            yield StepUpdate(step, title)
            names = local_names([one.path for one in files], folders)
            written = []
            root = into.resolve()
            for one in files:
                cancel.check("the run")
                place = names[one.path]
                target = root.joinpath(*place.parts)
                if ".." in place.parts or not target.parent.resolve().is_relative_to(root):
                    yield BuildWarning(f"output {str(place)!r} leads out of its folder and stays in the registry")
                    continue
                _fetch(registry, repository, one, target)
                written.append(into.joinpath(*place.parts))
    except PublishError as error:
        raise ReturnError(f"the run's output files cannot be had from {location}: {error}", hint=error.hint) from error
    except OSError as error:
        raise RunError(f"the run's output files cannot be copied to {into}: {error.strerror or error}") from error
    yield StepUpdate(step, title, status="done")
    return tuple(sorted(written))


def tag_of(pod: JsonObject) -> str:
    """Return the tag under which a pod pushes its files."""
    return f"run-{pod['metadata']['name']}"


def forget_artifacts(location: str, tags: Iterable[str]) -> int:
    """Delete the artifacts with these tags at ``location``, where the registry allows it; return how many went."""
    host, _, repository = location.partition("/")
    gone = 0
    with suppress(PublishError), closing(connect(host, keychain.find(location))) as registry:
        for tag in tags:
            digest = registry.digest(repository, tag)
            if digest is not None and not registry.delete(repository, digest):
                break
            gone += digest is not None
    return gone


def _files(registry: Registry, repository: str, digest: str) -> list[_File]:
    layers = registry.manifest(repository, digest).document.get("layers")
    found: dict[str, _File] = {}
    for one in layers if isinstance(layers, list) else [None]:
        layer: JsonObject = one if isinstance(one, dict) else {}
        notes = layer.get("annotations")
        path = notes.get(TITLE) if isinstance(notes, dict) else None
        if not isinstance(notes, dict) or not isinstance(path, str) or not path.startswith("/") or path.endswith("/"):
            raise ReturnError("the run's output files came damaged: their manifest names a file without a path")
        size = layer.get("size")
        if type(size) is not int or size < 0:
            raise ReturnError(f"the run's output files came damaged: {path} has no size")
        found[path] = _File(path, str(layer.get("digest")), size, "io.buildr.mode" in notes)
    return list(found.values())


def _fetch(registry: Registry, repository: str, file: _File, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as half:
        with half.open("w+b") as sink:
            registry.download(repository, file.digest, file.size_bytes, sink)
        half.chmod(0o755 if file.executable else 0o644)
        half.replace(target)
