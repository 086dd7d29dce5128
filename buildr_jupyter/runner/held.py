"""Held files: what a pod keeps because it is too large for a log, fetched by a command in it while it waits."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Generator, Sequence
from pathlib import Path

from buildr_jupyter.cluster.client import ClusterClient
from buildr_jupyter.errors import ClusterError, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.in_image.collector import TAKEN
from buildr_jupyter.in_image.sender import SENT
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.process.tempfiles import Scratch
from buildr_jupyter.runner._outputs import Folders, extract_outputs, local_names
from buildr_jupyter.runner.job_manifest import COLLECTOR, HELD, source_of

__all__ = ["may_fetch", "stream_held"]

_TRIES = 3
_BLOCK = 1 << 20


def may_fetch(client: ClusterClient) -> bool:
    """Tell whether this user may run commands in the namespace's pods; a cluster that does not say so means no."""
    try:
        return all(client.allowed(verb, "Pod", "exec") for verb in ("create", "get"))
    except ClusterError:
        return False


def stream_held(
    client: ClusterClient, pod: str, python: Sequence[str], folders: Folders, into: Path, cancel: CancelToken
) -> Generator[Event, None, tuple[Path, ...]]:
    """Write all files that the pod keeps below ``into``, let the pod end, and return their paths, sorted.

    ``python`` is the command that runs the text of a program there. What came is checked as a whole before any of it
    is written; what breaks off is fetched again. A StepUpdate says how much it was.
    Raises ConnectionError where it does not come whole, ClusterError, RunError where it cannot be written, Cancelled.
    """
    step, title = f"collect {pod}", f"output files of pod {pod}, by a command in it"
    yield StepUpdate(step, title)
    with Scratch(large=True) as folder:
        packed = folder / "held.tar"
        for left in reversed(range(_TRIES)):
            try:
                _fetch(client, pod, python, packed, cancel)
                break
            except ConnectionError:
                cancel.check("the run")
                if not left:
                    raise
        with tarfile.open(packed) as tar:
            names = local_names([f"/{path}" for path in tar.getnames()], folders)
        with packed.open("rb") as stream:
            chunks = iter(lambda: stream.read(_BLOCK), b"")
            written = yield from extract_outputs(chunks, into, name=lambda path: names.get(f"/{path}"))
        size = packed.stat().st_size
    done = "import sys; open(sys.argv[1], 'w').close()"
    for _ in client.execute(pod, COLLECTOR, [*python, done, f"{HELD}{TAKEN}"], cancel, say=lambda _: None):
        pass
    yield StepUpdate(step, f"{len(written)} {title}, {size:,} bytes", status="done")
    return written


def _fetch(client: ClusterClient, pod: str, python: Sequence[str], target: Path, cancel: CancelToken) -> None:
    """Write the tar of what the pod keeps. Raises as ``stream_held``."""
    whole, size, errors = hashlib.sha256(), 0, bytearray()
    command = [*python, source_of("sender"), HELD]
    try:
        with target.open("wb") as sink:
            for chunk in client.execute(pod, COLLECTOR, command, cancel, say=errors.extend):
                sink.write(chunk)
                whole.update(chunk)
                size += len(chunk)
    except ConnectionError:
        raise
    except OSError as error:
        raise RunError(f"the run's output files cannot be copied to {target.parent}: {error.strerror}") from error
    said = errors.decode("utf-8", "replace").split()[-3:]
    if said != [SENT, str(size), whole.hexdigest()]:
        raise ConnectionError(f"{size:,} bytes came, and they are not all that the pod sent")
