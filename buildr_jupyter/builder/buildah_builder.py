"""Builds and pushes with the ``buildah`` command: no daemon, as root or as a plain user.

Where its images are, how it isolates a RUN and which registries it knows is buildah's own configuration
(``BUILDAH_ISOLATION``, ``CONTAINERS_STORAGE_CONF``, ``CONTAINERS_REGISTRIES_CONF`` …), which is left as it is.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from buildr_jupyter.builder.buildah.storage import isolation_options, swept, tls_options
from buildr_jupyter.builder.docker.classic_stream import DockerStream
from buildr_jupyter.builder.engine_errors import build_error, publish_error
from buildr_jupyter.builder.protocol import SeedMethods
from buildr_jupyter.builder.run_mounts import read_secrets, ssh_agents
from buildr_jupyter.context.base_images import base_images, has_heredoc
from buildr_jupyter.context.dockerfile_parse import base_of_step
from buildr_jupyter.engine.client import OpenEngine
from buildr_jupyter.engine.connection import connect as connect_engine
from buildr_jupyter.engine.load import load
from buildr_jupyter.errors import BuildError, ContextError, EngineError, EngineVersion, PublishError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, TransferUpdate
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import CONTENT_LABEL
from buildr_jupyter.model.request import (
    INTERPRETER_BASE_REFUSAL,
    Archive,
    BuildRequest,
    EngineLoad,
    Layout,
    Output,
    Push,
    Unsupported,
)
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.process.run import Output as Piece
from buildr_jupyter.process.run import ask, follow, through
from buildr_jupyter.process.tempfiles import Scratch, atomic_write
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.auth_file import authfile
from buildr_jupyter.registry.login import stream_login
from buildr_jupyter.registry.manifest_size import compressed_bytes
from buildr_jupyter.secretscan.redact import masked_logger

__all__ = ["BuildahBuilder"]

_Kind = TypeVar("_Kind")

logger = masked_logger(logging.getLogger(__name__))

INSTALL = "install buildah (Debian and Ubuntu: apt-get install buildah), or --builder oci, which needs no engine"
MINIMUM, HEREDOCS = (1, 23), (1, 33)
_VERSION = re.compile(r"buildah version (\d+)\.(\d+)")
_STATUS = re.compile(r"exit status (\d+)")
_COPYING = re.compile(r"Copying (?:blob|config) (?:sha256:)?([0-9a-f]{12})")
_ERROR = re.compile(r"^Error: ", re.MULTILINE)
_CHATTER = re.compile(
    r"subprocess exited (?:with status \d+|on \w+)|Getting image source signatures|time=\"[^\"]+\" level="
)


class BuildahBuilder(SeedMethods):
    """Builds with buildah; ``command`` is the executable. One builder can serve several threads."""

    name = "buildah"
    seed_outputs = ()

    def __init__(
        self,
        command: str = "buildah",
        *,
        find_login: Callable[[str], keychain.Login | None] = keychain.find,
        open_engine: OpenEngine = connect_engine,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.command = command
        self._find_login, self._open_engine, self._clock = find_login, open_engine, clock
        self._version: tuple[int, int] | None = None

    @classmethod
    def of(cls, argument: str) -> BuildahBuilder:
        """Return the builder that runs another executable: ``buildah=/opt/bin/buildah``."""
        return cls(argument)

    # -- the protocol

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version. Raises EngineUnavailable without buildah, EngineVersion for one that is too old."""
        if self._version is None:
            said = ask([self.command, "--version"], hint=INSTALL)
            found = _VERSION.search(said)
            if not found:
                raise EngineVersion(
                    f"{self.command} --version answers {said.strip()[:80]!r}",
                    hint="give the path of buildah itself: --builder buildah=FILE",
                )
            version = int(found[1]), int(found[2])
            if version < MINIMUM:
                raise EngineVersion(
                    f"buildah {found[1]}.{found[2]} is too old",
                    hint=f"update it: {MINIMUM[0]}.{MINIMUM[1]} or newer works",
                )
            self._version = version
        return self._version

    def probe(self) -> str:
        """Return what is here. Raises as ``version``."""
        return f"{self.command} {'.'.join(map(str, self.version))}"

    def capabilities(self) -> Capabilities:
        """Return what it does by itself: images stay in buildah's own store, which is podman's, too."""
        return Capabilities(in_engine=False)

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        """Return what this buildah cannot do of the request."""
        found = []
        if request.wants_interpreter_base:
            found.append(INTERPRETER_BASE_REFUSAL)
        platforms = request.target_platforms
        if len(platforms) > 1:
            found.append(Unsupported("several platforms", "one image is made at a time here", ("buildkit", "oci")))
        if request.cache_from or request.cache_to:
            found.append(Unsupported("--cache-from and --cache-to", "they are BuildKit's", ("buildkit",)))
        if has_heredoc(request) and self.version < HEREDOCS:
            older = ".".join(map(str, self.version))
            found.append(Unsupported("here-documents", f"buildah {older} does not know them", ("buildkit",)))
        return found

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        """Have buildah get the base image unless it has it; return the manifest's digest, else the image id.

        None for ``scratch``. Raises BuildError where there is no such image, EngineError, Cancelled.
        """
        base, platform, pull = request.name, request.platform, request.pull
        if base == "scratch":
            return ResolvedBase(base)
        ref = ImageRef.parse(base).tagged()
        known = None if pull else self._inspect(str(ref), cancel)
        if known is None or not _fits(known, platform):
            name = str(ref) if ref.registry else f"docker.io/{ref.registry_path}{str(ref)[len(ref.name) :]}"
            wanted = [*(["--platform", platform] if platform else []), *(["--policy", "always"] if pull else [])]
            login = yield from self._login(ref.location)
            state = DockerStream("pull", clock=self._clock)
            state.base = base
            with authfile({ref.location: login}) as auth:
                command = ["pull", *auth, *tls_options(ref.registry_host), *wanted, name]
                yield from self._follow(command, state, cancel)
            known = self._inspect(name, cancel) or {}
        digest = known.get("FromImageDigest") or known.get("FromImageID")
        return ResolvedBase(base, digest if isinstance(digest, str) and digest else None)

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build, then bring the image where ``request.outputs`` say.

        A build that fails or is cancelled leaves the names as they were, and no container. Raises BuildError with the
        failing step, its exit code and the last lines of the log; ContextError; EngineError; PublishError; Cancelled.
        """
        started = self._clock()
        if not request.context.is_dir():
            raise ContextError(f"context {str(request.context)!r} is not a folder")
        _ = self.version
        state = DockerStream("build", clock=self._clock)
        image_id = self._same_content(request, cancel)
        cached = image_id is not None
        if image_id is None:
            image_id = yield from self._build(request, state, cancel)
        elif request.refs:
            ask([self.command, "tag", image_id, *map(str, request.refs)], cancel=cancel)
        result = BuildResult(
            image=str(request.refs[0]) if request.refs else image_id,
            image_id=image_id,
            cached=cached,
            builder="buildah",
            content_digest=request.plan.content_digest if request.plan else None,
            context=request.context,
            tags=tuple(str(ref) for ref in request.refs),
            steps=tuple(state.steps.values()),
        )
        for output in request.outputs:
            result = yield from self._bring(output, result, cancel)
        return replace(result, duration_s=self._clock() - started)

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push one tag; return its digest and, where the registry can be asked, its compressed size.

        Raises PublishError or one of its kinds (RegistryUnauthorized, …), EngineError, Cancelled.
        """
        started = self._clock()
        ref = ref.tagged()
        if ref.tag is None:
            raise PublishError(f"Image push failed: {ref} has no tag", hint="give a tag: a digest cannot be pushed")
        known = self._inspect(str(ref), cancel)
        if known is None:
            raise PublishError(
                f"Image push failed: {ref} does not exist locally", hint="build the image first, with this builder"
            )
        login = yield from self._login(ref.location)
        state = DockerStream("push", clock=self._clock)
        state.registry = ref.registry_host, login is not None
        with authfile({ref.location: login}) as auth, Scratch() as folder:
            digest_file = folder / "digest"
            options = [*auth, *tls_options(ref.registry_host), "--digestfile", str(digest_file)]
            target = f"docker://{ref.registry_host}/{ref.registry_path}:{ref.tag}"
            yield from self._follow(["push", *options, str(ref), target], state, cancel)
            digest = digest_file.read_text().strip()
        return BuildResult(
            image=str(ref),
            image_id=_image_id(known),
            digest=digest,
            size_bytes=compressed_bytes(ref, digest, login),
            builder="buildah",
            tags=(str(ref),),
            pushed=(str(ref),),
            duration_s=self._clock() - started,
        )

    # -- one build

    def _same_content(self, request: BuildRequest, cancel: CancelToken) -> str | None:
        """Return the id of a named image that was made from the same content, None where it must be built."""
        if request.plan is None or request.no_cache or request.pull:
            return None
        label = f"label={CONTENT_LABEL}={request.plan.content_digest}"
        try:
            said = ask([self.command, "images", "--json", "--no-trunc", "--filter", label], cancel=cancel)
        except EngineError as error:  # one damaged image of anybody's, and it lists none
            logger.warning("Images of the same content cannot be looked for: %s", error)
            return None
        found = [image for image in _json(said, list, self.command) if image.get("names")]
        return str(found[0]["id"]) if found else None

    def _build(self, request: BuildRequest, state: DockerStream, cancel: CancelToken) -> Generator[Event, None, str]:
        bases = base_images(request)
        for ref in bases:
            if tls_options(ref.registry_host):  # bud takes one such option for all registries: pulled one by one
                yield from self.resolve_base(BaseRequest(str(ref), _platform(request), request.pull), cancel)
        logins = {}
        for location in sorted({ref.location for ref in bases}):
            logins[location] = yield from self._login(location)
        with authfile(logins) as auth, Scratch() as folder:
            id_file = folder / "image-id"
            options, environment = self._build_options(request)
            options += _mounts(request, folder)
            command = ["bud", "--layers", "--force-rm", "--iidfile", str(id_file), *auth, *options]
            yield from self._follow([*command, str(request.context)], state, cancel, environment)
            image_id = id_file.read_text().strip() if id_file.exists() else ""
        if not image_id:
            raise self._failure(state, "buildah ended well without an image id", 0)
        return image_id

    def _build_options(self, request: BuildRequest) -> tuple[list[str], dict[str, str]]:
        """Return the options of ``bud``, and the variables that hold build arguments: ``ps`` shows options to all."""
        custom = request.plan.dockerfile if request.plan else None
        arguments = {**dict(custom.build_args if custom else ()), **request.build_args}
        options = ["--file", str(request.context / request.dockerfile)]
        for ref in request.refs:
            options += ["--tag", str(ref)]
        for name in arguments:
            options += ["--build-arg", name]
        for name, value in request.labels.items():
            options += ["--label", f"{name}={value}"]
        if target := request.target or (custom.target if custom else None):
            options += ["--target", target]
        if request.network:
            options += ["--network", request.network]
        if platform := _platform(request):
            options += ["--platform", platform]
        options += isolation_options()
        if request.no_cache:
            options.append("--no-cache")
        if request.pull and not any(tls_options(ref.registry_host) for ref in base_images(request)):
            options.append("--pull=always")
        return options, arguments

    # -- outputs

    def _bring(self, output: Output, result: BuildResult, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Bring the image where an output says; return the result with what came of it."""
        if isinstance(output, Push):
            assert result.image_id
            ask([self.command, "tag", result.image_id, str(output.ref)], cancel=cancel)
            pushed = yield from self.stream_push(output.ref, cancel)
            return replace(
                result, digest=pushed.digest, size_bytes=pushed.size_bytes, pushed=(*result.pushed, *pushed.pushed)
            )
        if isinstance(output, EngineLoad):
            with Scratch() as folder:
                path = folder / "image.tar"
                yield from self._save(result, f"docker-archive:{path}", cancel)
                refs = [ImageRef.parse(tag) for tag in result.tags]
                yield from load(path, self._open_engine, str(result.image_id), refs)
            return result
        yield from self._write(output, result, cancel)
        return replace(result, archive=output.path)

    def _write(
        self, output: Archive | Layout, result: BuildResult, cancel: CancelToken
    ) -> Generator[Event, None, None]:
        """Write a file or a new folder beside its place and put it there; add to a layout that is there."""
        path = output.path
        if isinstance(output, Layout) and path.is_dir() and any(path.iterdir()):
            if not (path / "oci-layout").is_file():
                raise BuildError(
                    f"Image build failed: {str(path)!r} is not empty and no OCI layout",
                    hint="name an empty or a new one",
                )
            yield from self._save(result, f"oci:{path}", cancel)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path, directory=True) as folder:
            made = folder / "made"
            yield from self._save(
                result, f"{'docker-archive' if isinstance(output, Archive) else 'oci'}:{made}", cancel
            )
            made.replace(path)

    def _save(self, result: BuildResult, target: str, cancel: CancelToken) -> Generator[Event, None, None]:
        state = DockerStream("push", clock=self._clock)
        state.registry = "", False
        named = f"{target}:{result.image}" if target.startswith("docker-archive:") else f"{target}:{_tag(result.image)}"
        with authfile({}) as auth:
            yield from self._follow(["push", *auth, str(result.image_id), named], state, cancel)

    # -- the command

    def _follow(
        self,
        arguments: list[str],
        state: DockerStream,
        cancel: CancelToken,
        environment: dict[str, str] | None = None,
    ) -> Generator[Event, None, None]:
        """Run buildah and yield what it says as events; raise what it fails with."""
        errors: list[str] = []
        watch = contextlib.nullcontext() if state.verb == "push" else swept(self.command)
        with watch, Scratch(large=True) as folder:  # its own temporary files go with ours, however it ends
            env = {**os.environ, **(environment or {}), "TMPDIR": str(folder)}
            pieces = follow([self.command, *arguments], cancel=cancel, env=env, hint=INSTALL)
            status = yield from through(pieces, lambda piece: self._said(state, piece, errors))
            if status < 0:
                raise self._failure(state, _message(errors, status), status)
        if status:
            raise self._failure(state, _message(errors, status), status)
        yield from state.finish()

    def _said(self, state: DockerStream, piece: Piece, errors: list[str]) -> Iterable[Event]:
        """Return the events of one piece of output, and log it as the seed did."""
        stream, text = piece.stream, piece.data.decode("utf-8", "replace")
        if stream == "stderr":
            if errors or _ERROR.match(text):
                errors.append(text)  # the message is the last thing that it says, and may have several lines
                return ()
            if _CHATTER.match(text):
                return ()
            if found := _COPYING.match(text):
                way: Literal["push", "pull"] = "push" if state.verb == "push" else "pull"
                return (TransferUpdate(found[1], way, None, 0, None, "moving"),)
        if text.strip():
            verb = "Push" if state.verb == "push" else "Build"
            logger.debug("%s output: %s", verb, text.strip())
        if state.verb != "build":
            return ()
        return state.feed({"stream": f"\x1b[91m{text}\x1b[0m" if stream == "stderr" else text})

    def _failure(self, state: DockerStream, message: str, status: int) -> BuildError | PublishError:
        """Log a failure and return it as an error."""
        if state.verb == "push":
            logger.error("Push failed: %s", message)
            host, logged_in = state.registry
            return publish_error(message, host, logged_in=logged_in)
        logger.error("Build failed: %s", message)
        title = state.step_title
        found = _STATUS.search(message)
        return build_error(
            message,
            step=title,
            exit_code=int(found[1]) if found and title else (128 - status if status < 0 else None),
            tail=tuple(state.tail),
            base=state.base or base_of_step(title),
        )

    def _inspect(self, image: str, cancel: CancelToken) -> JsonObject | None:
        try:
            said = ask([self.command, "inspect", "--type", "image", image], cancel=cancel, hint=INSTALL)
        except EngineError as error:
            if "image not known" in str(error) or "no such image" in str(error).lower():
                return None
            raise
        return _json(said, dict, self.command)

    def _login(self, name: str) -> Generator[Event, None, keychain.Login | None]:
        return (yield from stream_login(self._find_login, name))


def _mounts(request: BuildRequest, folder: Path) -> list[str]:
    """Return the options for secrets, each in a file of this build's own, and for ssh agents."""
    options = []
    for number, (name, content) in enumerate(read_secrets(request.secrets).items()):
        file = folder / f"secret-{number}"
        file.touch(mode=0o600)
        file.write_bytes(content)
        options += ["--secret", f"id={name},src={file}"]
    for name, agent in ssh_agents(request.ssh).items():
        options += ["--ssh", f"{name}={agent}"]
    return options


def _platform(request: BuildRequest) -> str | None:
    platforms = request.target_platforms
    return platforms[0] if platforms else None


def _fits(image: JsonObject, platform: str | None) -> bool:
    found = (image.get("OCIv1") or {}) if isinstance(image.get("OCIv1"), dict) else {}
    return not platform or platform.split("/")[:2] == [found.get("os"), found.get("architecture")]


def _image_id(image: JsonObject) -> str | None:
    found = image.get("FromImageID")
    return f"sha256:{found.removeprefix('sha256:')}" if isinstance(found, str) and found else None


def _json(text: str, kind: type[_Kind], command: str) -> _Kind:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if found is None and kind is list:
        return kind()
    if not isinstance(found, kind):
        raise EngineError(
            f"{command} answers no JSON: {text.strip()[:80]!r}",
            hint="give the path of buildah itself: --builder buildah=FILE",
        )
    return found


def _message(errors: list[str], status: int) -> str:
    """Return what went wrong: buildah's own last words, else how it ended."""
    said = "".join(errors).strip().removeprefix("Error: ")
    if status < 0:
        return said or f"buildah was killed by signal {-status}"
    return said or f"buildah ended with status {status} and said nothing"


def _tag(image: str) -> str:
    return ImageRef.parse(image).local_tag
