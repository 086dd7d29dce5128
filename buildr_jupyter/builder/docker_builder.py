"""Builds and pushes with a Docker Engine over docker-py's low-level client: by its BuildKit, or its classic builder."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace

from buildr_jupyter.builder.buildkit.filesync import SharedFolder
from buildr_jupyter.builder.docker.api import auth_config, classic_options, digest_of, fits, number_of, text_of
from buildr_jupyter.builder.docker.buildkit import (
    lacks_heredocs,
    offers_buildkit,
    post_build,
    query_of,
    served,
    with_mounts,
)
from buildr_jupyter.builder.docker.classic_stream import DockerStream, described, error_of
from buildr_jupyter.builder.docker.unsupported import docker_unsupported
from buildr_jupyter.builder.engine_errors import BROKEN_OFF, build_error, publish_error
from buildr_jupyter.builder.protocol import SeedMethods
from buildr_jupyter.context.base_images import base_locations, base_names
from buildr_jupyter.context.dockerfile_parse import base_of_step
from buildr_jupyter.context.tar_stream import UploadStream, iter_context
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import address_of, connect, describe, translate
from buildr_jupyter.engine.json_stream import decode_documents, iter_lines
from buildr_jupyter.engine.orphans import abandon, sweep_containers
from buildr_jupyter.engine.streams import interruptible, only_logins
from buildr_jupyter.errors import (
    BuildError,
    Cancelled,
    ContextError,
    EngineError,
    EngineVersion,
    OptionError,
    PublishError,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, TransferUpdate
from buildr_jupyter.model.capabilities import BaseRequest, Capabilities, ResolvedBase
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import CONTENT_LABEL
from buildr_jupyter.model.request import BuildRequest, Push, Unsupported
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.registry import keychain
from buildr_jupyter.registry.login import stream_login
from buildr_jupyter.registry.manifest_size import compressed_bytes
from buildr_jupyter.secretscan.redact import masked_logger

__all__ = ["DockerBuilder"]

logger = masked_logger(logging.getLogger(__name__))


class DockerBuilder(SeedMethods):
    """Builds with the Docker Engine.

    ``docker_client`` is None until the engine is first needed; a docker-py ``APIClient`` put there before is used as
    it is. One builder can serve several threads. ``protocol`` is ``buildkit``, ``classic``, or None for what the
    engine offers.
    """

    name = "docker"

    def __init__(
        self,
        protocol: str | None = None,
        *,
        find_login: Callable[[str], keychain.Login | None] = keychain.find,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.docker_client: EngineClient | None = None
        self._protocol = protocol
        self._find_login = find_login
        self._clock = clock
        self._reading = threading.local()

    @classmethod
    def of(cls, argument: str) -> DockerBuilder:
        """Return the builder of ``docker=buildkit`` or ``docker=classic``."""
        if argument not in ("buildkit", "classic"):
            raise OptionError(
                f"--builder docker={argument}: an engine has no builder of that name",
                hint="write docker=buildkit or docker=classic",
            )
        return cls(argument)

    # -- the protocol

    def probe(self) -> str:
        """Return what answers. Raises EngineError where nothing does."""
        info = describe(self._client())
        return f"{info.name} {info.version} at {info.address}{', with BuildKit' if info.buildkit else ''}"

    def capabilities(self) -> Capabilities:
        """Return what it does by itself: the image is in the engine that built it."""
        return Capabilities()

    def unsupported(self, request: BuildRequest) -> list[Unsupported]:
        """Return what the engine cannot do of the request; it is asked only where it matters."""
        return docker_unsupported(
            request,
            speaks_buildkit=lambda: self._speaks_buildkit(self._client()),
            lacks_heredocs=lambda: self._lacks_heredocs(request),
        )

    def resolve_base(self, request: BaseRequest, cancel: CancelToken) -> Generator[Event, None, ResolvedBase]:
        """Have the engine get the base image unless it has it; return the manifest's digest, else the image id.

        None for ``scratch``. Raises BuildError where there is no such image, EngineError, Cancelled.
        """
        base, platform, pull = request.name, request.platform, request.pull
        if base == "scratch":
            return ResolvedBase(base)
        client = self._client()
        known = None if pull else self._inspect(client, base)
        if known is None or not fits(known, platform):
            ref = ImageRef.parse(base).tagged()
            state = DockerStream("pull", clock=self._clock)
            login = yield from self._login(ref.location)
            tag = ref.digest or ref.tag
            entry = auth_config(login)
            ask = lambda: client.pull(ref.name, tag=tag, stream=True, platform=platform, auth_config=entry)  # noqa: E731
            yield from self._stream(client, state, ask, cancel, base=base)
            known = self._inspect(client, base) or {}
        return ResolvedBase(base, digest_of(known, base))

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build, then name the image; a build that fails or is cancelled leaves the names as they were.

        An output ``Push`` is pushed after the build. Raises BuildError with the failing step, its exit code and the
        last lines of the log; ContextError for the folder; EngineError; Cancelled; PublishError for a push.
        """
        started = self._clock()
        self._check(request)
        client = self._client()
        state = DockerStream("build", clock=self._clock)
        state.since = started
        known = self._same_content(client, request)
        if known is None:
            yield from self._stream_context(client, state, request, cancel)
            image_id, size = self._identify(client, state)
        else:
            image_id, size = known
        cancel.check()
        with translate(client):
            for ref in request.refs:
                client.tag(image_id, ref.name, tag=ref.local_tag)
        result = BuildResult(
            image=str(request.refs[0]) if request.refs else image_id,
            image_id=image_id,
            unpacked_bytes=size,
            cached=known is not None,
            builder=self.name,
            content_digest=request.plan.content_digest if request.plan else None,
            context=request.context,
            tags=tuple(str(ref) for ref in request.refs),
            steps=tuple(state.steps.values()),
        )
        for output in request.outputs:
            if isinstance(output, Push):
                with translate(client):
                    client.tag(image_id, output.ref.name, tag=output.ref.local_tag)
                pushed = yield from self.stream_push(output.ref, cancel)
                result = replace(
                    result, digest=pushed.digest, size_bytes=pushed.size_bytes, pushed=(*result.pushed, *pushed.pushed)
                )
        return replace(result, duration_s=self._clock() - started)

    def _same_content(self, client: EngineClient, request: BuildRequest) -> tuple[str, int | None] | None:
        """Return id and size of a named image that was made from the same content, None where it must be built."""
        if request.plan is None or request.no_cache or request.pull:
            return None
        label = f"{CONTENT_LABEL}={request.plan.content_digest}"
        with translate(client):
            found = client.images(filters={"label": label, "dangling": False})
        return (str(found[0]["Id"]), number_of(found[0].get("Size"))) if found else None

    def _stream_context(
        self, client: EngineClient, state: DockerStream, request: BuildRequest, cancel: CancelToken
    ) -> Generator[Event, None, None]:
        """Send the context and follow the build to its end."""
        if self._speaks_buildkit(client):
            yield from self._stream_buildkit(client, state, request, cancel)
        else:
            yield from self._send_logins(client, request)
            options = classic_options(request)
            yield from self._send(
                client, state, iter_context(request), cancel,
                lambda sent: client.build(fileobj=sent, custom_context=True, **options),
            )  # fmt: skip
        yield from state.finish()

    def _stream_buildkit(
        self, client: EngineClient, state: DockerStream, request: BuildRequest, cancel: CancelToken
    ) -> Generator[Event, None, None]:
        """Build with the engine's BuildKit.

        The engine pulls the bases first, by the user's logins, where there is no session to ask for them, or where
        newer ones are wanted: it knows mirrors, and registries with TLS on 127.0.0.1, which its BuildKit does not.
        """
        logins = {}
        for host, location in sorted(base_locations(request).items()):
            logins[host] = yield from self._login(location)
        _, dockerfile = with_mounts(request, secrets=True)
        folder = SharedFolder(request, dockerfile)
        with served(client, request, logins, self._find_login, folder) as session:
            if session is None or request.pull:
                platform = (*request.platforms, None)[0]
                for base in base_names(request):
                    yield from self.resolve_base(BaseRequest(base, platform, request.pull), cancel)
            wanted, dockerfile = with_mounts(request, secrets=session is not None)
            query = query_of(wanted, build_id=secrets.token_hex(16), session=session)
            if session is None:
                pieces = iter_context(wanted, dockerfile)
                yield from self._send(client, state, pieces, cancel, lambda sent: post_build(client, query, sent))
                return
            try:
                yield from self._stream(client, state, lambda: post_build(client, query, ()), cancel)
            except BuildError:
                if folder.error is not None:
                    raise folder.error from None
                raise

    def _send(
        self,
        client: EngineClient,
        state: DockerStream,
        pieces: Iterator[bytes],
        cancel: CancelToken,
        ask: Callable[[UploadStream], Iterable[bytes]],
    ) -> Generator[Event, None, None]:
        sent = UploadStream(pieces, cancel)
        yield TransferUpdate("context", "upload")
        yield from self._stream(client, state, lambda: ask(sent), cancel, base=None, sent=sent)

    def stream_push(self, ref: ImageRef, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push one tag; return its digest and, where the registry can be asked, its compressed size.

        Raises PublishError or one of its kinds (RegistryUnauthorized, …), EngineError, Cancelled.
        """
        started = self._clock()
        ref = ref.tagged()
        if ref.tag is None:
            raise PublishError(
                f"Image push failed: {ref} has no tag", hint="give a tag: a digest cannot be pushed by name"
            )
        client = self._client()
        login = yield from self._login(ref.location)
        state = DockerStream("push", clock=self._clock)
        ask = lambda: client.push(ref.name, tag=ref.tag, stream=True, auth_config=auth_config(login))  # noqa: E731
        yield from self._stream(client, state, ask, cancel, push=(ref.registry_host, login is not None))
        if state.digest is None:
            raise self._failure(state, "the engine's stream ended without a digest", None)
        found = self._inspect(client, str(ref)) or {}
        return BuildResult(
            image=str(ref),
            image_id=text_of(found.get("Id")),
            digest=state.digest,
            size_bytes=compressed_bytes(ref, state.digest, login),
            unpacked_bytes=number_of(found.get("Size")),
            builder=self.name,
            tags=(str(ref),),
            pushed=(str(ref),),
            duration_s=self._clock() - started,
        )

    # -- the stream

    def _process_stream(self, line: bytes) -> list[Event]:
        """Return the events of one line of the engine's stream, and log it; raise what it reports as an error."""
        state: DockerStream | None = getattr(self._reading, "state", None)
        if state is None:
            state = DockerStream(clock=self._clock)
        events: list[Event] = []
        debug = logger.isEnabledFor(logging.DEBUG)
        for document in decode_documents(line, logger):
            if not isinstance(document, dict):
                logger.debug("%s", document)
                continue
            if "error" in document or "errorDetail" in document:
                failure = error_of(document)
                if failure:
                    raise self._failure(state, *failure)
            said = state.feed(document)
            if debug:
                for text in described(document, said):
                    logger.debug("%s", text)
            events += said
        return events

    def _failure(self, state: DockerStream, message: str, code: int | None) -> BuildError | PublishError:
        """Log a failure that the engine reports and return it as an error."""
        if state.verb == "push":
            logger.error("Push failed: %s", message)
            host, logged_in = state.registry
            return publish_error(message, host, logged_in=logged_in)
        logger.error("Build failed: %s", message)
        title = state.step_title
        return build_error(
            message,
            step=title,
            exit_code=code,
            tail=state.tail,
            base=state.base or (base_of_step(title)),
        )

    def _stream(
        self,
        client: EngineClient,
        state: DockerStream,
        ask: Callable[[], Iterable[bytes]],
        cancel: CancelToken,
        *,
        base: str | None = None,
        push: tuple[str, bool] = ("", False),
        sent: UploadStream | None = None,
    ) -> Generator[Event, None, None]:
        """Ask the engine and yield what its stream means, to its end."""
        state.base, state.registry = base, push
        cancel.check()
        with self._failures(client, state, cancel), interruptible(client, cancel.on_cancel) as watch:
            if sent is not None:
                sent.heard = watch.heard
            chunks = watch(ask)
            if sent is not None:
                yield TransferUpdate("context", "upload", None, sent.bytes, sent.bytes, "done")
            for line in iter_lines(chunks):
                self._reading.state = state
                try:
                    events = self._process_stream(line)
                finally:
                    self._reading.state = None
                yield from events
                cancel.check()
        cancel.check()

    @contextlib.contextmanager
    def _failures(self, client: EngineClient, state: DockerStream, cancel: CancelToken) -> Iterator[None]:
        """Name what goes wrong on the way: a cancelled stream, a refused request, a connection that broke."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        try:
            with translate(client):
                try:
                    yield
                except APIError as error:
                    if error.status_code in (401, 403) and state.verb == "build":
                        raise
                    raise self._failure(state, str(error.explanation or error).strip(), None) from error
                except (HTTPError, RequestException, DockerException, OSError) as error:
                    if cancel.is_set() or not state.begun:
                        raise
                    _abandon_step(client, state)
                    raise self._failure(state, BROKEN_OFF, None) from error
                except EngineError:
                    _abandon_step(client, state)
                    raise
        except Exception as error:
            if cancel.is_set() and not isinstance(error, Cancelled):
                raise Cancelled(f"the {state.verb} was cancelled") from None
            raise

    # -- what the engine is asked and told

    def _lacks_heredocs(self, request: BuildRequest) -> str | None:
        """Return why here-documents are not known here, None where they are."""
        if not self._speaks_buildkit(self._client()):
            return "the classic builder does not know them"
        return lacks_heredocs(self._client(), request)

    def _speaks_buildkit(self, client: EngineClient) -> bool:
        if self._protocol == "classic":
            return False
        with translate(client):
            offered = offers_buildkit(client, {} if self._protocol else os.environ)
        if self._protocol and not offered:
            raise EngineVersion(
                "the engine offers no BuildKit", hint="take --builder docker=classic, or a newer engine"
            )
        return offered

    def _client(self) -> EngineClient:
        if self.docker_client is None:
            self.docker_client = connect(owner=self)
            sweep_containers(self.docker_client)
        return self.docker_client

    def _check(self, request: BuildRequest) -> None:
        if not request.context.is_dir():
            raise ContextError(f"context {str(request.context)!r} is not a folder")
        if not (request.context / request.dockerfile).is_file():
            raise BuildError(
                f"Image build failed: there is no {request.dockerfile} in {request.context}",
                hint="write one, or name the folder that has it",
            )

    def _login(self, name: str) -> Generator[Event, None, keychain.Login | None]:
        return (yield from stream_login(self._find_login, name))

    def _send_logins(self, client: EngineClient, request: BuildRequest) -> Generator[Event, None, None]:
        """Give the client the logins for the registries of the base images, and no others.

        docker-py would read docker's files itself, and then sends every login that is in them and fails on a helper
        of a registry that nobody asked for.
        """
        if address_of(client) is None:
            return  # a client that was given is used as it is
        logins = {}
        for host, location in sorted(base_locations(request).items()):
            if login := (yield from self._login(location)):
                logins[keychain.server_address(host)] = auth_config(login)
        client._auth_configs = only_logins(logins)

    def _inspect(self, client: EngineClient, image: str) -> JsonObject | None:
        from docker.errors import NotFound

        with translate(client):
            try:
                found = client.inspect_image(image)
            except NotFound:
                return None
        return found if isinstance(found, dict) else None

    def _identify(self, client: EngineClient, state: DockerStream) -> tuple[str, int | None]:
        if state.image_id is None:
            raise self._failure(state, "the engine's stream ended without an image id", None)
        found = self._inspect(client, state.image_id) or {}
        return text_of(found.get("Id")) or state.image_id, number_of(found.get("Size"))


def _abandon_step(client: EngineClient, state: DockerStream) -> None:
    """Note the classic builder's container: its engine went away, or fell silent, before it could remove it."""
    if state.container:
        abandon(client, state.container, state.since)
