"""What is left, seen from outside: /proc, the disk, the engine's and the registry's own answers, the store's check."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from buildr_jupyter.builder.buildah.storage import unfinished
from buildr_jupyter.errors import PublishError
from buildr_jupyter.oci.store import Store
from buildr_jupyter.process.tempfiles import TEMPORARY
from buildr_jupyter.registry.client import Registry
from tests.fakes.processes import arguments_with
from tests.faults.world import Case

__all__ = ["image_of", "left_over", "work_of"]

SETTLE_S = 10.0
"""So long may what ends by itself take to end."""


def left_over(case: Case, *, settled: bool = True) -> list[str]:
    """Return what is there that should not be, each as a few words; waits a while for it to go, where ``settled``."""
    deadline = time.monotonic() + (SETTLE_S if settled else 0.0)
    while True:
        found = sorted({*_processes(case), *_containers(case), *_files(case), *_registry(case)})
        if not found or time.monotonic() > deadline:
            return [*found, *_store(case), *_contexts(case)]
        time.sleep(0.1)


def work_of(case: Case) -> list[int]:
    """Return the processes of the step or program that is slow."""
    return arguments_with(case.seconds)


def _processes(case: Case) -> Iterator[str]:
    """Yield what carries the mark of the process under test, but itself and the services that it keeps."""
    own = case.process.pid if case.process and case.process.poll() is None else None
    mark = f"BUILDR_FAULTS={case.mark}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if int(entry.name) == own or mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        kept = own is not None and (b"service" in words or (parent == own and words[0] == b"/bin/sh"))
        if state != "Z" and not (kept and case.name == "podman"):
            yield f"process {b' '.join(words[:4]).decode(errors='replace')[:60]}"
    if work_of(case):
        yield "the step still runs"


def _containers(case: Case) -> Iterator[str]:
    yield from case.runs()
    if case.name in ("buildah", "podman"):
        environment = {**os.environ, **case.world.podman_settings()}
        for command in (["buildah", "containers", "--json"], ["podman", "ps", "--all", "--format=json"]):
            said = subprocess.run(command, env=environment, capture_output=True, text=True)
            if said.returncode:  # as where one goes while it is listed
                yield f"{command[0]} cannot list: {said.stderr.strip()}"
                continue
            for one in json.loads(said.stdout) or ():
                yield f"{command[0]}'s container {one.get('containername') or one.get('Names')}"
        images = case.world.containers.folder / "store" / "overlay-images"
        yield from (f"half an image ({one[:12]})" for one in unfinished(images))


def _files(case: Case) -> Iterator[str]:
    alive = case.process is not None and case.process.poll() is None
    for path in (case.disk / "tmp").iterdir():
        if not (alive and ((path / "podman.sock").exists() or (path / "kubernetes").is_dir())):
            yield f"temporary {path.name[: len(TEMPORARY)]}…"
    for path in case.disk.rglob(".*.half-*"):
        yield f"half a {path.parent.name[:20]}"
    for path in (case.disk / "cache" / "store" / "half").glob("*"):
        yield f"half a blob ({path.name[:5]})"


def _store(case: Case) -> Iterator[str]:
    for digest in Store(case.disk / "cache" / "store").verify():
        yield f"damaged blob {digest[:19]}"


def _contexts(case: Case) -> Iterator[str]:
    for folder in (case.disk / "cache" / "buildr" / "contexts").glob("[!.]*"):
        with contextlib.suppress(FileNotFoundError):
            record = json.loads((folder / "buildr.json").read_bytes())
            if record.get("schema") == 1 and (folder / "Dockerfile").is_file():
                continue
        yield "half a context folder"


def _registry(case: Case) -> Iterator[str]:
    """Yield what is wrong with the image under the user's name in the registry: each blob must be there, whole."""
    repository = f"{case.name}/x"
    try:
        with contextlib.closing(Registry(case.world.registry_host)) as asked:
            manifest = asked.manifest(repository, "latest")
            document = manifest.document
            for blob in (document["config"], *document["layers"]):
                if not asked.has_blob(repository, blob["digest"]):
                    yield f"the registry's image lacks {blob['digest'][:19]}"
    except PublishError as error:
        if getattr(error, "status", None) != 404:
            yield f"the registry does not answer: {error}"


def image_of(case: Case) -> tuple[str | None, str | None]:
    """Return what has the user's name now: the image id in the engine, the digest in the registry."""
    with contextlib.closing(Registry(case.world.registry_host)) as asked:
        return case.engine_image(), asked.digest(f"{case.name}/x", "latest")
