"""Builds with a buildkitd, on this machine or elsewhere, through its command ``buildctl``.

The address is what follows ``buildkit=``, else BUILDKIT_HOST, else buildctl's default: ``unix://``, ``tcp://`` (with
BUILDKIT_CERT_PATH, a folder with ca.pem, cert.pem and key.pem, over TLS), ``docker-container://`` and what else
buildctl knows. Images stay nowhere but where they are sent; the steps stay in the daemon's cache, so that sending an
image that was built a moment ago builds nothing.

``buildkit=kubernetes/NAMESPACE`` is a buildkitd in a pod, started where this user has none, and reached through the API
server: what builds with it is this same builder, at the address of a socket that is forwarded there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

from buildr_jupyter.builder.buildkit.buildctl import BUILDCTL, DaemonLost, build_arguments, build_command, failure_of
from buildr_jupyter.builder.buildkit.daemon import (
    ADMITS,
    IMAGE_FROM,
    NEEDED,
    NEEDS,
    explain_end,
    reached,
    stream_daemon,
)
from buildr_jupyter.builder.buildkit.daemon_job import IMAGE, PRIVILEGED_IMAGE, DaemonWish, make_settings
from buildr_jupyter.builder.buildkit.hidden_arguments import hide
from buildr_jupyter.builder.buildkit.progress import BuildkitStream
from buildr_jupyter.builder.buildkit.proto import DecodeError, decode_json
from buildr_jupyter.builder.docker.buildkit import with_mounts
from buildr_jupyter.builder.docker.classic_stream import said_of
from buildr_jupyter.builder.in_cluster.aliases import Aliases, unreached
from buildr_jupyter.builder.in_cluster.place import Place, names_place
from buildr_jupyter.builder.protocol import SeedMethods
from buildr_jupyter.builder.run_mounts import INDEX_SECRET, index_settings, read_secrets, ssh_agents
from buildr_jupyter.config.timeouts import read_limits
from buildr_jupyter.context.base_images import base_locations, base_names
from buildr_jupyter.engine.client import OpenEngine
from buildr_jupyter.engine.connection import connect as connect_engine
from buildr_jupyter.engine.load import load
from buildr_jupyter.errors import (
    BuildError,
    ContextError,
    EngineError,
    EnginePermission,
    EngineUnavailable,
    PublishError,
    RegistryDenied,
    RegistryUnauthorized,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.request import (
    INTERPRETER_BASE_REFUSAL,
    Archive,
    BuildRequest,
    EngineLoad,
    Layout,
    Push,
    Unsupported,
)
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.process.run import ask, follow
from buildr_jupyter.process.tempfiles import Scratch
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.auth_file import auth_json
from buildr_jupyter.registry.login import stream_login
from buildr_jupyter.registry.manifest_size import compressed_bytes
from buildr_jupyter.registry.transport import known_ca
from buildr_jupyter.secretscan import search
from buildr_jupyter.secretscan.redact import masked_logger

__all__ = ["BuildkitBuilder"]

logger = masked_logger(logging.getLogger(__name__))


class BuildkitBuilder(SeedMethods):
    """Builds with the buildkitd at ``address``, None for the one that the environment names."""

    name = "buildkit"
    seed_outputs = ()

    def __init__(
        self,
        address: str | None = None,
        *,
        command: str = "buildctl",
        find_login: Callable[[str], keychain.Login | None] = keychain.find,
        open_engine: OpenEngine = connect_engine,
        clock: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
        place: Place | None = None,
        aliases: Aliases | None = None,
    ) -> None:
        """``aliases`` are the names that the daemon has for registries.

        ``place`` is where in a cluster it is, for an address that names none.
        """
        self.address, self.command = address, command
        self._find_login, self._open_engine, self._clock, self._environ = find_login, open_engine, clock, environ
        self._place = place or (Place(address) if address and names_place(address) else None)
        self._aliases = aliases or Aliases({})
        self._title = ""
        self._built: dict[str, BuildRequest] = {}

    @classmethod
    def of(cls, argument: str) -> BuildkitBuilder:
        """Return the builder of ``buildkit=ADDRESS`` or ``buildkit=kubernetes/NAMESPACE``."""
        return cls(argument)

    # -- the protocol

    def probe(self) -> str:
        """Return what is here.

        Raises EngineUnavailable without buildctl or where no daemon answers, ClusterError without the cluster or a
        right in it, BuildRefused where Pod Security does not admit the pod.
        """
        if self._place is not None:
            self._place.check(NEEDED)
            self._place.check_level(ADMITS, NEEDS)
            if shutil.which(self.command, path=self._environ.get("PATH")) is None:
                raise EngineUnavailable(f"there is no {self.command} here", hint=BUILDCTL)
            return f"{self._wish({}).image}, in a pod of {self._place.title}"
        address = self.address or self._environ.get("BUILDKIT_HOST") or "the default address"
        try:
            asking = [self.command, *self._where(), "debug", "workers"]
            said = ask(asking, hint=BUILDCTL, timeout_s=min(10.0, read_limits().read_s))
        except (EngineUnavailable, EnginePermission):
            raise
        except EngineError as error:
            why = str(error).rpartition(": ")[2].strip().strip('"')
            raise EngineUnavailable(
                f"no buildkitd answers at {address}: {why}", hint="start one, or name it: --builder buildkit=ADDRESS"
            ) from error
        return f"{address}, {_workers(said)}"

    def capabilities(self) -> Capabilities:
        """Return what it does by itself: images are sent where the outputs say, and nowhere else."""
        return Capabilities(in_engine=False, pushes_while_building=True)

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        """Return what BuildKit cannot do of the request."""
        if request.wants_interpreter_base:
            return [INTERPRETER_BASE_REFUSAL]
        platforms = request.target_platforms
        if len(platforms) > 1 and any(isinstance(output, EngineLoad) for output in request.outputs):
            why = "an engine takes one platform; push them, or write an archive"
            return [Unsupported("several platforms into an engine", why, ("oci",))]
        if self._place is not None and (lacks := unreached(request)):
            return lacks
        caches = ",".join((*request.cache_from, *request.cache_to)).split(",")
        if any(search.secret_values({name: value}) for name, _, value in (one.partition("=") for one in caches)):
            why = "the options of buildctl can be read by every user: give the login to buildkitd in its environment"
            return [Unsupported("a login for a cache", why)]
        return []

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        """Ask the base's registry for its digest; None for ``scratch`` and where only the daemon reaches it.

        Raises BuildError where the registry answers that there is no such image, or wants another login.
        """
        base = request.name
        if base == "scratch":
            return ResolvedBase(base)
        from buildr_jupyter.registry.client import connect as connect_registry

        ref = ImageRef.parse(base).tagged()
        login = yield from self._login(ref.location)
        try:
            with contextlib.closing(connect_registry(ref.registry_host, login, timeout_s=5)) as asked:
                found = asked.digest(ref.registry_path, str(ref.digest or ref.tag))
        except (RegistryUnauthorized, RegistryDenied) as error:
            raise BuildError(
                f"Image build failed: base image {base}: {error}",
                hint=f"log in to its registry: buildr login {ref.registry_host}",
            ) from error
        except PublishError as error:
            logger.debug("digest of %s is not known here: %s", base, error)
            return ResolvedBase(base)
        if found is None:
            raise BuildError(
                f"Image build failed: base image {base} does not exist in its registry",
                hint="check its name and tag",
            )
        return ResolvedBase(base, found)

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build, and bring the image where ``request.outputs`` say.

        Raises BuildError with the failing step, its exit code and its last lines; ContextError for the folder;
        OptionError for a secret that is not there; EngineUnavailable for the daemon or its command; PublishError;
        Cancelled.
        """
        started = self._clock()
        if not request.context.is_dir():
            raise ContextError(f"context {str(request.context)!r} is not a folder")
        if not (request.context / request.dockerfile).is_file():
            raise BuildError(
                f"Image build failed: there is no {request.dockerfile} in {request.context}",
                hint="write one, or name the folder that has it",
            )
        result = yield from self._solve(request, cancel, started)
        for ref in request.refs:
            self._built[str(ref)] = replace(request, no_cache=False)
        return result

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push one tag of an image that this builder built; its steps are in the daemon's cache.

        Raises PublishError or one of its kinds, EngineUnavailable, Cancelled.
        """
        ref = ref.tagged()
        known = self._built.get(str(ref))
        if known is None or ref.tag is None:
            raise PublishError(
                f"Image push failed: {ref} does not exist locally",
                hint="build it first, with this builder, or build with --publish: BuildKit keeps no images",
            )
        request = replace(known, refs=(ref,), outputs=(Push(ref),))
        return (yield from self._solve(request, cancel, self._clock()))

    # -- in a cluster

    def _wish(self, files: Mapping[str, str]) -> DaemonWish:
        """Return what the daemon is to be."""
        privileged = self._environ.get("BUILDR_BUILDKIT_PRIVILEGED", "") not in ("", "0")
        image = self._environ.get(IMAGE_FROM) or (PRIVILEGED_IMAGE if privileged else IMAGE)
        return DaemonWish(image, privileged, files)

    def _solve_in_pod(
        self, place: Place, request: BuildRequest, cancel: CancelToken, started: float
    ) -> Generator[Event, None, BuildResult]:
        """Build with the daemon of the namespace, as with any other that answers at a socket."""
        aliases = Aliases(dict(request.registry_aliases))
        hosts = {*_cache_locations(request), *base_locations(request)}
        hosts |= {output.ref.registry_host for output in request.outputs if isinstance(output, Push)}
        known = {host: path.read_text("utf-8") for host in hosts if (path := known_ca(host)) is not None}
        job, pod = yield from stream_daemon(place, self._wish(make_settings(hosts, aliases, known)), cancel)
        with reached(place, job, pod) as address:
            there = BuildkitBuilder(
                address, command=self.command, find_login=self._find_login, open_engine=self._open_engine,
                clock=self._clock, aliases=aliases,
                environ={name: value for name, value in self._environ.items() if name != "BUILDKIT_CERT_PATH"},
            )  # fmt: skip
            there._title = f"the pod {pod} in {place.title}"
            try:
                return (yield from there._solve(request, cancel, started))
            except (DaemonLost, EngineUnavailable):
                explain_end(place, pod, cancel)
                raise

    # -- one solve

    def _solve(self, request: BuildRequest, cancel: CancelToken, started: float) -> Generator[Event, None, BuildResult]:
        if self._place is not None:
            return (yield from self._solve_in_pod(self._place, request, cancel, started))
        pushes = [output.ref for output in request.outputs if isinstance(output, Push)]
        logins: list[keychain.Login | None] = []
        named = {**_cache_locations(request), **base_locations(request)} | {r.registry_host: r.location for r in pushes}
        for _, location in sorted(named.items()):
            logins += [(yield from self._login(location))]
        wanted, dockerfile = with_mounts(request, secrets=True)
        environment = dict(self._environ)
        # What is missing is said here, in our words, before anything is sent; the values go from file to daemon.
        read_secrets(request.secrets, self._environ)
        agents = ssh_agents(request.ssh, self._environ)
        if settings := index_settings(request):
            environment["BUILDR_INDEX"] = settings.decode()
        text = (dockerfile or (request.context / request.dockerfile).read_bytes()).decode("utf-8", "surrogateescape")
        hidden = hide(text, build_arguments(wanted), self._environ)
        if hidden.dockerfile != text:
            dockerfile = hidden.dockerfile.encode("utf-8", "surrogateescape")
        variables = {name: f"BUILDR_HIDDEN_{number}" for number, name in enumerate(hidden.secrets)}
        environment |= {variables[name]: value for name, value in hidden.secrets.items()}
        with Scratch() as folder:
            if dockerfile is not None:
                _put_dockerfile(dockerfile, request, folder)
            (folder / "docker").mkdir(mode=0o700)
            there = [self._aliases.login(replace(one, namespace="")) for one in logins if one]
            known = {one.host: one for one in there}  # it is asked by host alone
            (folder / "docker" / "config.json").write_text(auth_json(known), encoding="utf-8")
            environment["DOCKER_CONFIG"] = str(folder / "docker")
            outputs = tuple(
                Push(self._aliases.ref(one.ref)) if isinstance(one, Push) else one for one in wanted.outputs
            )
            command = build_command(
                replace(wanted, outputs=outputs), folder,
                command=[self.command, *self._where()], dockerfile=dockerfile is not None,
                agents=agents, index_secret=INDEX_SECRET if settings else None,
                epoch=self._environ.get("SOURCE_DATE_EPOCH", "0"), arguments=hidden.arguments, hidden=variables,
            )  # fmt: skip
            steps: dict[str, StepUpdate] = {}
            hosts = [self._aliases.host(ref.registry_host) for ref in pushes]
            yield from self._follow(
                command, environment, BuildkitStream(steps, count()), request, hosts, cancel, logged_in=known
            )
            try:
                told = json.loads((folder / "metadata.json").read_bytes())
            except (OSError, ValueError) as error:
                raise BuildError(f"Image build failed: buildctl told no image id ({error})") from error
            result = self._result(request, told, pushes, logins, steps)
            if any(isinstance(output, EngineLoad) for output in request.outputs):
                yield from load(folder / "engine.tar", self._open_engine)
        return replace(result, duration_s=self._clock() - started)

    def _where(self) -> list[str]:
        address = self.address or self._environ.get("BUILDKIT_HOST")
        folder = self._environ.get("BUILDKIT_CERT_PATH")
        return [*(["--addr", address] if address else []), *(["--tlsdir", folder] if folder else [])]

    def _follow(
        self,
        command: list[str],
        environment: Mapping[str, str],
        state: BuildkitStream,
        request: BuildRequest,
        push_hosts: list[str],
        cancel: CancelToken,
        *,
        logged_in: Collection[str],
    ) -> Generator[Event, None, None]:
        """Run buildctl to its end and yield what its lines mean; raise what it says when it fails."""
        said: list[str] = []
        pending = b""
        running = follow(command, cancel=cancel, env=environment, hint=BUILDCTL, still_there=self.probe)
        with contextlib.closing(running):
            while True:
                try:
                    piece = next(running)
                except StopIteration as end:
                    status = end.value
                    break
                pending += piece.data
                if not pending.endswith(b"\n"):
                    continue  # a record of over 64 KiB comes in pieces
                line, pending = pending.strip(), b""
                yield from self._read(line, state, said)
        if pending.strip():
            yield from self._read(pending.strip(), state, said)
        if status:
            error = failure_of(
                said, status, state,
                address=self._title or self.address or self._environ.get("BUILDKIT_HOST") or "its default",
                bases=list(base_names(request)), push_hosts=push_hosts, called=self._aliases.outside,
                logged_in=logged_in,
            )  # fmt: skip
            logger.error("%s", str(error).removeprefix("Image ").capitalize())
            raise error
        yield from state.finish()

    def _read(self, line: bytes, state: BuildkitStream, said: list[str]) -> list[Event]:
        """Return the events of one line; what is no progress record is kept: it may be the error."""
        try:
            events = state.feed(decode_json(json.loads(line)))
        except (DecodeError, ValueError, RecursionError):
            if line:
                said.append(line.decode("utf-8", "replace")[:2000])
                del said[:-200]
            return []
        if logger.isEnabledFor(logging.DEBUG):
            for event in events:
                if text := said_of(event):
                    logger.debug("Build output: %s", text)
        return events

    def _result(
        self,
        request: BuildRequest,
        told: JsonObject,
        pushes: list[ImageRef],
        logins: list[keychain.Login | None],
        steps: Mapping[str, StepUpdate],
    ) -> BuildResult:
        digest = told.get("containerimage.digest")
        image_id = told.get("containerimage.config.digest")
        several = len(request.target_platforms) > 1
        if not isinstance(digest, str) or not (isinstance(image_id, str) or several):
            raise BuildError("Image build failed: buildctl ended well and told no image id")
        size = None
        if pushes and not several:
            login = next((one for one in logins if one and one.host == pushes[0].registry_host), None)
            size = compressed_bytes(pushes[0], digest, login)
        sent = bool(request.outputs)
        done = [step for step in steps.values() if step.index and not step.title.upper().startswith("FROM ")]
        archive = next((output.path for output in request.outputs if isinstance(output, (Archive, Layout))), None)
        return BuildResult(
            image=str(request.refs[0]) if request.refs else str(image_id or digest),
            image_id=image_id if isinstance(image_id, str) else None,
            digest=digest if sent else None,
            size_bytes=size,
            cached=bool(done) and all(step.status == "cached" for step in done),
            builder="buildkit",
            content_digest=request.plan.content_digest if request.plan else None,
            context=request.context,
            tags=tuple(str(ref) for ref in request.refs),
            pushed=tuple(str(ref) for ref in pushes),
            archive=archive,
            steps=tuple(steps.values()),
        )

    def _login(self, name: str) -> Generator[Event, None, keychain.Login | None]:
        return (yield from stream_login(self._find_login, name))


def _put_dockerfile(content: bytes, request: BuildRequest, folder: Path) -> None:
    """Write the Dockerfile to be sent in place of the context's, with the ignore file that is its own."""
    target = folder / request.dockerfile
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    ignore = request.context / f"{request.dockerfile}.dockerignore"
    if ignore.is_file():
        target.with_name(f"{target.name}.dockerignore").write_bytes(ignore.read_bytes())


def _cache_locations(request: BuildRequest) -> dict[str, str]:
    """Return the registries of ``--cache-from`` and ``--cache-to``, each with a repository there."""
    found = {}
    for given in (*request.cache_from, *request.cache_to):
        parts = dict(part.partition("=")[::2] for part in given.split(","))
        name = parts.get("ref") or (given if "=" not in given else "")
        if name:
            ref = ImageRef.parse(name)
            found[ref.registry_host] = ref.location
    return found


def _workers(said: str) -> str:
    """Return how many workers buildctl lists, one a line below its heading."""
    count = len(said.strip().splitlines()) - 1
    return f"{count} worker{'' if count == 1 else 's'}"
