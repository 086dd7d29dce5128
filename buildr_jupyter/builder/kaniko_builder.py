"""Builds with kaniko's executor: in a container of an engine, in a throw-away root, or in a pod of a cluster.

It has no image store. The original is archived; its maintained forks take the same flags: name an image or an
executable of one with ``--builder kaniko=IMAGE`` or ``kaniko=/path/executor``. For ``kaniko=kubernetes/NAMESPACE`` the
image is what BUILDR_KANIKO_IMAGE says.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import tarfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.engine_errors import build_error, publish_error
from buildr_jupyter.builder.in_cluster.aliases import Aliases, unreached
from buildr_jupyter.builder.in_cluster.place import Place, names_place
from buildr_jupyter.builder.kaniko import pod
from buildr_jupyter.builder.kaniko.executor import CONTEXT, HOME, MADE, Container, Executor, Root
from buildr_jupyter.builder.kaniko.stream import KanikoStream
from buildr_jupyter.builder.protocol import SeedMethods
from buildr_jupyter.context.base_images import base_images, has_heredoc
from buildr_jupyter.context.dockerfile_parse import base_of_step
from buildr_jupyter.context.tar_stream import iter_context
from buildr_jupyter.engine.client import OpenEngine
from buildr_jupyter.engine.connection import connect as connect_engine
from buildr_jupyter.engine.load import load
from buildr_jupyter.engine.orphans import labels, sweep_containers
from buildr_jupyter.errors import BuildError, ContextError, EngineUnavailable, PublishError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CONTENT_LABEL
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import (
    INTERPRETER_BASE_REFUSAL,
    Archive,
    BuildRequest,
    EngineLoad,
    Layout,
    Push,
    Unsupported,
)
from buildr_jupyter.model.request_secrets import secrets_of
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.oci.base_image import explain
from buildr_jupyter.process.run import Output, through
from buildr_jupyter.process.tempfiles import Scratch, atomic_write
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.addresses import is_local
from buildr_jupyter.registry.auth_file import auth_json
from buildr_jupyter.registry.client import Manifest, Registry
from buildr_jupyter.registry.client import connect as connect_registry
from buildr_jupyter.registry.login import stream_login
from buildr_jupyter.registry.transport import known_ca
from buildr_jupyter.registry.validate import DamagedDocument, read_config, read_descriptor, read_image_manifest
from buildr_jupyter.secretscan.redact import masked_logger

__all__ = ["IMAGE", "KanikoBuilder"]

logger = masked_logger(logging.getLogger(__name__))

IMAGE = "gcr.io/kaniko-project/executor:v1.24.0"
"""The last image of the archived original."""
_REGISTRY = re.compile(r"https?://([^/\s\"]+)/v2/")
_DIGEST, _TAR, _LAYOUT = "digest", "image.tar", "layout"
"""Names below ``MADE``."""


@dataclass
class _Order:
    """What one run of the executor is given."""

    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    hosts: set[str] = field(default_factory=set)
    logged_in: set[str] = field(default_factory=set)
    """Hosts that a login was sent for."""


class KanikoBuilder(SeedMethods):
    """Builds with kaniko; ``executor`` is an image's name, the absolute path of an executable, or a place in a cluster.

    A place is ``kubernetes``, ``kubernetes/NAMESPACE`` or ``kubernetes=CONTEXT/NAMESPACE``.
    """

    name = "kaniko"

    def __init__(
        self,
        executor: str = IMAGE,
        *,
        find_login: Callable[[str], keychain.Login | None] = keychain.find,
        open_engine: OpenEngine = connect_engine,
        clock: Callable[[], float] = time.time,
        place: Place | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.executor = executor
        self._find_login, self._open_engine, self._clock = find_login, open_engine, clock
        self._place = place or (Place(executor) if names_place(executor) else None)
        self._pod_image = environ.get(pod.IMAGE_FROM) or IMAGE

    @classmethod
    def of(cls, argument: str) -> KanikoBuilder:
        """Return the builder of ``kaniko=IMAGE``, ``kaniko=/path/executor`` or ``kaniko=kubernetes/NAMESPACE``."""
        return cls(argument)

    @property
    def _is_file(self) -> bool:
        return self.executor.startswith("/")

    # -- the protocol

    def probe(self) -> str:
        """Return what is here.

        Raises EngineUnavailable without the executable, or without an engine for the image, ClusterError without the
        cluster or a right in it, BuildRefused where Pod Security does not admit the pod.
        """
        if self._place is not None:
            self._place.check(pod.NEEDED)
            self._place.check_level(pod.ADMITS, pod.NEEDS)
            return f"{self._pod_image}, in a pod of {self._place.title}"
        if self._is_file:
            if not Path(self.executor).is_file():
                raise EngineUnavailable(
                    f"there is no {self.executor}", hint="give it: --builder kaniko=FILE, or an image"
                )
            return self.executor
        with contextlib.closing(self._open_engine()) as client:
            there = bool(client.images(name=self.executor))
        return f"{self.executor}, {'in the engine' if there else 'pulled when it is first used'}"

    def capabilities(self) -> Capabilities:
        """Return what it does by itself: an executable on this machine has no engine to put images in."""
        if self._place is not None:
            return Capabilities(in_engine=False, pushes_while_building=True)
        return Capabilities(in_engine=not self._is_file)

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        """Return what kaniko cannot do of the request."""
        found = []
        platforms = request.target_platforms
        if len(platforms) > 1:
            found.append(Unsupported("several platforms", "kaniko makes one at a time", ("buildkit", "oci")))
        if secrets_of(request):
            found.append(Unsupported("build secrets", "kaniko has none", ("docker", "buildkit", "buildah")))
        if has_heredoc(request):
            found.append(Unsupported("here-documents", "kaniko knows them in part only", ("buildkit",)))
        if request.ssh:
            found.append(Unsupported("ssh agents", "kaniko passes none on", ("docker", "buildkit", "buildah")))
        if request.cache_from or request.cache_to:
            found.append(Unsupported("--cache-from and --cache-to", "they are BuildKit's", ("buildkit",)))
        if request.wants_interpreter_base:
            found.append(INTERPRETER_BASE_REFUSAL)
        if self._place is not None:
            return found + _unsupported_in_pod(request)
        if not request.outputs:
            found.append(
                Unsupported("a build that goes nowhere", "kaniko has no image store: --publish or --output", ())
            )
        return found

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        """Ask the base's registry for its digest: the executor takes bases from nowhere else. None for ``scratch``.

        Raises BuildError where there is no such image or no answer, Cancelled.
        """
        base = request.name
        if base == "scratch":
            return ResolvedBase(base)
        ref = ImageRef.parse(base).tagged()
        if ref.digest:
            return ResolvedBase(base, ref.digest)
        login = yield from self._login(ref.location)
        try:
            with contextlib.closing(connect_registry(ref.registry_host, login)) as registry:
                digest = registry.until(cancel).digest(ref.registry_path, ref.local_tag)
        except PublishError as error:
            raise explain(error, base) from error
        if digest is None:
            raise build_error(
                f"manifest for {base} not found: kaniko takes bases from registries only",
                step=None, exit_code=None, tail=(), base=base,
            )  # fmt: skip
        return ResolvedBase(base, digest)

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build and bring the image where ``request.outputs`` say; nothing is built where all of it is there already.

        Raises BuildError with the failing step, its exit code and the last lines of the log; BuildRefused;
        ContextError; EngineError; PublishError; Cancelled.
        """
        started = self._clock()
        if not request.context.is_dir():
            raise ContextError(f"context {str(request.context)!r} is not a folder")
        result = BuildResult(
            image=str(request.refs[0]) if request.refs else "",
            builder="kaniko",
            content_digest=request.plan.content_digest if request.plan else None,
            context=request.context,
            tags=tuple(str(ref) for ref in request.refs),
        )
        there = yield from self._there(request)
        if there is not None:
            return replace(_pushed(result, request, there), cached=True, duration_s=self._clock() - started)
        state = KanikoStream(clock=self._clock)
        order = yield from self._order(request)
        with self._opened(request, order, cancel) as executor, Scratch() as folder:
            yield from self._follow(executor, order, state, self._aliases(request), cancel)
            result = replace(result, steps=tuple(state.steps.values()))
            result = yield from self._gather(executor, request, result, folder)
        return replace(result, duration_s=self._clock() - started)

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push one tag out of the engine, where a build without a push left the image. Raises as DockerBuilder's.

        A pod leaves none: PublishError.
        """
        if self._place is not None:
            raise PublishError(
                f"Image push failed: {ref} is nowhere but where its build pushed it: kaniko's pod keeps no images",
                hint="build it with --publish",
            )
        with contextlib.closing(self._open_engine()) as client:
            docker = DockerBuilder(find_login=self._find_login, clock=self._clock)
            docker.docker_client = client
            pushed = yield from docker.stream_push(ref, cancel)
        return replace(pushed, builder="kaniko")

    # -- what is asked of the executor

    def _order(self, request: BuildRequest) -> Generator[Event, None, _Order]:
        custom = request.plan.dockerfile if request.plan else None
        platforms = request.target_platforms
        aliases = self._aliases(request)
        where, digest = (pod.CONTEXT, pod.DIGEST) if self._place else (CONTEXT, f"{MADE}/{_DIGEST}")
        context = "tar://stdin" if self._place else f"dir://{CONTEXT}"
        order = _Order(["--force", "--log-format=json", f"--context={context}", f"--digest-file={digest}"])
        order.arguments.append(f"--dockerfile={where}/{request.dockerfile}")
        order.environment = {**dict(custom.build_args if custom else ()), **request.build_args}
        order.arguments += [f"--build-arg={name}" for name in order.environment]  # the values are in its environment
        order.arguments += [f"--label={name}={value}" for name, value in request.labels.items()]
        if target := request.target or (custom.target if custom else None):
            order.arguments.append(f"--target={target}")
        if platforms:
            order.arguments.append(f"--custom-platform={platforms[0]}")
        _name_outputs(request, order.arguments, aliases)
        refs = [*base_images(request), *(output.ref for output in request.outputs if isinstance(output, Push))]
        order.hosts = {ref.registry_host for ref in refs}
        logins = {}
        for location in sorted({ref.location for ref in refs}):
            if login := (yield from self._login(location)):
                logins[aliases.location(location)] = aliases.login(login)
                order.logged_in.add(location.partition("/")[0])
        for number, host in enumerate(sorted(order.hosts)):
            there = aliases.host(host)
            if authority := known_ca(host):
                name = f"{HOME}/authority-{number}.crt"
                order.files[name] = authority.read_bytes()
                order.arguments.append(f"--registry-certificate={there}={name}")
            elif is_local(host):
                order.arguments.append(f"--insecure-registry={there}")
            if there != host:
                known_as = "index.docker.io" if host == "docker.io" else host
                order.arguments += [f"--registry-map={known_as}={there}", "--skip-default-registry-fallback"]
        if logins:
            order.files[f"{HOME}/config.json"] = auth_json(logins).encode()
        return order

    def _aliases(self, request: BuildRequest) -> Aliases:
        """Return the names that the executor has for registries: others than ours only in a cluster."""
        return Aliases(dict(request.registry_aliases) if self._place is not None else {})

    @contextlib.contextmanager
    def _opened(self, request: BuildRequest, order: _Order, cancel: CancelToken) -> Iterator[Executor]:
        """Give the executor, ready to run."""
        pieces = iter_context(request)
        if self._place is not None:
            group = f"build {request.refs[0]}" if request.refs else "build"
            room = pod.Pod(self._place, self._pod_image, group=group, files=order.files, context=pieces)
            with room.opened() as executor:
                yield executor
            return
        if self._is_file:
            with Root(Path(self.executor), files=order.files, context=pieces, cancel=cancel).opened() as executor:
                yield executor
            return
        network = request.network or ("host" if any(is_local(host) for host in order.hosts) else None)
        with contextlib.closing(self._open_engine()) as client:
            docker = DockerBuilder(find_login=self._find_login)
            docker.docker_client = client
            sweep_containers(client)
            for _ in docker.resolve_base(BaseRequest(self.executor), cancel):
                pass  # the executor's own image is no part of what is built
            container = Container(
                client,
                self.executor,
                files=order.files,
                context=pieces,
                network=network,
                labels=labels(),
            )
            with container.opened() as executor:
                yield executor

    def _follow(
        self, executor: Executor, order: _Order, state: KanikoStream, aliases: Aliases, cancel: CancelToken
    ) -> Generator[Event, None, None]:
        pieces = executor.run(order.arguments, order.environment, cancel)
        status = yield from through(pieces, lambda piece: _said(state, piece))
        if status:
            raise self._failure(state, status, order, aliases)
        yield from state.finish()

    def _failure(self, state: KanikoStream, status: int, order: _Order, aliases: Aliases) -> BuildError | PublishError:
        message, code = state.message(status)
        if state.pushing or "push permission" in message:
            host = ImageRef.parse(state.pushing).registry_host if state.pushing else _host_in(message)
            host = aliases.outside(host)
            logger.error("Push failed: %s", message)
            return publish_error(message, host, logged_in=host in order.logged_in)
        logger.error("Build failed: %s", message)
        return build_error(
            message,
            step=state.step_title,
            exit_code=code,
            tail=state.tail,
            base=base_of_step(state.step_title) or (None if state.step_title else state.base),
        )

    # -- what came of it

    def _there(self, request: BuildRequest) -> Generator[Event, None, Manifest | None]:
        """Return the manifest of the same content, where every output is a push and every tag has it already."""
        pushes = [output for output in request.outputs if isinstance(output, Push)]
        if request.plan is None or request.no_cache or request.pull or len(pushes) != len(request.outputs):
            return None
        found = None
        for output in pushes:
            login = yield from self._login(output.ref.location)
            try:
                with contextlib.closing(connect_registry(output.ref.registry_host, login)) as registry:
                    if registry.digest(output.ref.registry_path, output.ref.local_tag) is None:
                        return None
                    found = registry.manifest(output.ref.registry_path, output.ref.local_tag)
                    if _content_of(registry, output.ref, found) != request.plan.content_digest:
                        return None
            except PublishError:
                return None  # the build says what is wrong
        return found

    def _gather(
        self, executor: Executor, request: BuildRequest, result: BuildResult, folder: Path
    ) -> Generator[Event, None, BuildResult]:
        """Take what the executor made to where the outputs say."""
        made = folder / "made"
        if not executor.fetch(made) or not (made / _DIGEST).is_file():
            raise BuildError("Image build failed: kaniko's executor ended well without a digest")
        result = replace(result, digest=(made / _DIGEST).read_text().strip())
        saved = made / _TAR
        if any(isinstance(output, (Archive, EngineLoad)) for output in request.outputs):
            if not saved.is_file():
                raise BuildError("Image build failed: kaniko's executor ended well without an archive")
            result = replace(result, image_id=_image_id(saved))
        for output in request.outputs:
            if isinstance(output, Push):
                login = yield from self._login(output.ref.location)
                with contextlib.closing(connect_registry(output.ref.registry_host, login)) as registry:
                    manifest = registry.manifest(output.ref.registry_path, output.ref.local_tag)
                result = _pushed(result, request, manifest)
            elif isinstance(output, EngineLoad):
                assert result.image_id
                yield from load(saved, self._open_engine, result.image_id, request.refs)
            elif isinstance(output, Archive):
                _copy(saved, output.path)
                result = replace(result, archive=output.path)
            else:
                _copy_layout(made / _LAYOUT, output.path)
                result = replace(result, archive=output.path)
        return result

    def _login(self, name: str) -> Generator[Event, None, keychain.Login | None]:
        return (yield from stream_login(self._find_login, name))


def _unsupported_in_pod(request: BuildRequest) -> list[Unsupported]:
    """Return what a pod cannot do of the request beside what kaniko cannot."""
    found = []
    pushes = [output.ref for output in request.outputs if isinstance(output, Push)]
    if not pushes or len(pushes) < len(request.outputs):
        why = "kaniko's pod gives nothing back but what it pushes: --publish, without --output"
        found.append(Unsupported("an image that comes back here", why, ("buildkit", "oci")))
    return found + unreached(request)


def _said(state: KanikoStream, piece: Output | BuildWarning) -> list[Event]:
    """Return the events of one piece of output, and log it as the seed did."""
    if isinstance(piece, BuildWarning):
        return [piece]
    events, said = state.feed(piece)
    if said:
        logger.debug("Build output: %s", said)
    return events


def _name_outputs(request: BuildRequest, arguments: list[str], aliases: Aliases) -> None:
    """Add where the image goes; without a push the destinations only name it in the archive."""
    pushes = [output.ref for output in request.outputs if isinstance(output, Push)]
    arguments += [f"--destination={aliases.ref(ref)}" for ref in dict.fromkeys(pushes or request.refs)]
    if not pushes:
        arguments.append("--no-push")
    if any(isinstance(output, (Archive, EngineLoad)) for output in request.outputs):
        arguments.append(f"--tar-path={MADE}/{_TAR}")
    if any(isinstance(output, Layout) for output in request.outputs):
        arguments.append(f"--oci-layout-path={MADE}/{_LAYOUT}")


def _content_of(registry: Registry, ref: ImageRef, manifest: Manifest) -> str | None:
    """Return the content digest that an image in a registry says it was made from."""
    try:
        described, _ = read_image_manifest(manifest.document, str(ref))
        digest, size = read_descriptor(described, f"the manifest of {ref}")
        config = read_config(registry.document(ref.registry_path, digest, size), f"the config of {ref}")
    except DamagedDocument:
        return None  # it is not what this build made
    found = ((config.get("config") or {}).get("Labels") or {}).get(CONTENT_LABEL)
    return found if isinstance(found, str) else None


def _pushed(result: BuildResult, request: BuildRequest, manifest: Manifest) -> BuildResult:
    pushed = tuple(str(output.ref) for output in request.outputs if isinstance(output, Push))
    return replace(
        result, image_id=manifest.config_digest, digest=manifest.digest, size_bytes=manifest.size_bytes, pushed=pushed
    )


def _image_id(saved: Path) -> str:
    """Return the id of the image in a ``docker save`` archive: the digest of its config."""
    with tarfile.open(saved) as tar:
        found = tar.extractfile("manifest.json")
        documents = json.loads(found.read()) if found else []
    return f"sha256:{str(documents[0]['Config']).removeprefix('sha256:').removesuffix('.json')}"


def _copy(saved: Path, path: Path) -> None:
    """Put a finished file in its place: written beside it, so that half of one never stands there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, directory=True) as folder:
        made = folder / "made"
        shutil.copyfile(saved, made)
        made.replace(path)


def _copy_layout(layout: Path, path: Path) -> None:
    if path.is_dir() and any(path.iterdir()):
        raise BuildError(f"Image build failed: {str(path)!r} is not empty", hint="name an empty folder, or a new one")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, directory=True) as folder:
        made = folder / "made"
        shutil.copytree(layout, made)
        made.replace(path)


def _host_in(message: str) -> str:
    found = _REGISTRY.search(message)
    return found[1] if found else ""
