"""``buildr run``, ``buildr push`` and ``buildr rm``: what is done with an image that is there, without a build."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from buildr_jupyter.builder import select as select_builder
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.commands.images import is_internal
from buildr_jupyter.config.options import Options
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import connect, translate
from buildr_jupyter.errors import EngineError, OptionError, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CONTENT_LABEL
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.oci.store import Store
from buildr_jupyter.runner.selection import select as select_runner
from buildr_jupyter.runner.values import outputs_of, run_folder

__all__ = ["push_image", "remove_image", "run_image"]

_T = TypeVar("_T")


def run_image(
    name: str,
    args: Sequence[str],
    options: Options,
    environment: Sequence[tuple[str, str]],
    folder: Path,
    say: Callable[[Event], object],
) -> RunResult:
    """Run an image of the engine, the store or its registry and return how it ended; ``args`` go to its program.

    ``environment`` are the variables of the run; files that it makes come into ``folder``/output/NAME/1, 2 …. ``say``
    is told each event. Raises RunError, with the exit status, where the program ended with another one than 0, and
    EngineError.
    """
    ref = ImageRef.parse(name).tagged()
    cancel = CancelToken()
    client = _open(options.builder)
    with contextlib.closing(client):
        if not _in_engine(client, str(ref)):
            _load(ref, say, cancel)
        runner = select_runner("docker", engine=lambda: client)
        title = ref.path.replace("/", "-")
        with run_folder(folder / "output" / ref.path.rpartition("/")[2]) as output:
            spec = RunSpec(
                image=str(ref),
                name=f"buildr-{title}",
                args=tuple(args),
                environment=tuple(environment),
                ports=options.ports,
                mounts=options.mounts,
                claims=options.claims,
                memory_bytes=options.memory_bytes,
                cpus=options.cpus,
                gpus=options.gpus,
                output_dir=output,
                collect=options.collect,
            )
            ended = _told(runner.stream_run(spec, cancel), say)
    own = outputs_of(output, ended.outputs)
    return replace(ended, outputs=own, folder=output if own else None)


def push_image(name: str, say: Callable[[Event], object]) -> BuildResult:
    """Push an image of the engine or the store to the registry that its name says; raises PublishError, OptionError."""
    ref = ImageRef.parse(name).tagged()
    if ref.registry is None:
        raise OptionError(
            f"buildr push {name}: the name says no registry, and nothing is sent to a default one",
            hint="build it under a name with a registry: buildr build NOTEBOOK --repository HOST/PATH",
        )
    if Store().image(str(ref)) is not None:
        with contextlib.closing(OciBuilder()) as store:
            return _told(store.stream_push(ref, CancelToken()), say)
    return _told(select_builder("docker").stream_push(ref, CancelToken()), say)


def remove_image(name: str) -> list[str]:
    """Take the name of an image away, in the engine and in the store, and return where it was; the last name takes
    the image with it. What was made by nobody of us is left alone. Raises OptionError, EngineError.
    """  # fmt: skip
    ref = str(ImageRef.parse(name).tagged())
    found = []
    store = Store()
    known = store.image(ref)
    if known is not None:
        store.untag(ref)
        found.append("store")
        others = [one for one in store.images() if one.get("manifest") == known.get("manifest")]
        if all(is_internal(str(one["name"])) for one in others):
            for one in others:
                store.untag(str(one["name"]))
    try:
        client: EngineClient = connect()
    except EngineError:
        if found:
            return found
        raise
    with contextlib.closing(client), translate(client):
        if _in_engine(client, ref):
            about = client.inspect_image(ref)
            if CONTENT_LABEL not in ((about.get("Config") or {}).get("Labels") or {}):
                raise OptionError(f"buildr rm {name}: buildr did not make it", hint=f"remove it with docker rmi {ref}")
            tags = [str(tag) for tag in about.get("RepoTags") or () if tag != ref]
            internal = tags if all(map(is_internal, tags)) else []
            for tag in (ref, *internal):
                client.remove_image(tag)
            found.append("engine")
    if not found:
        raise OptionError(f"buildr rm {name}: there is no such image", hint="see those that there are: buildr images")
    return found


def _open(builder: str) -> EngineClient:
    if builder != "auto" and (opened := select_builder(builder).capabilities().engine):
        client: EngineClient = opened()
        return client
    return connect()


def _in_engine(client: EngineClient, ref: str) -> bool:
    from docker.errors import ImageNotFound

    with translate(client):
        try:
            client.inspect_image(ref)
        except ImageNotFound:
            return False
    return True


def _load(ref: ImageRef, say: Callable[[Event], object], cancel: CancelToken) -> None:
    """Bring the image into the engine: from the store, else from the registry that its name says."""
    if Store().image(str(ref)) is None:
        if ref.registry is None:
            raise RunError(
                f"{ref}: neither the engine nor the store has such an image, and its name says no registry",
                hint="see those that there are, buildr images; name another one's as HOST/PATH/NAME",
            )
        _told(select_builder("docker").resolve_base(BaseRequest(str(ref)), cancel), say)
        return
    with contextlib.closing(OciBuilder()) as builder:
        _told(builder.stream_load(ref, cancel), say)


def _told(stream: Generator[Event, None, _T], say: Callable[[Event], object]) -> _T:
    with contextlib.closing(stream):
        while True:
            try:
                say(next(stream))
            except StopIteration as stop:
                value: _T = stop.value
                return value
