"""Builds and pushes with a Docker Engine, over docker-py's low-level client and the engine's classic builder."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from buildr_jupyter import credentials
from buildr_jupyter.builder import drain
from buildr_jupyter.builder._context import iter_context
from buildr_jupyter.builder._docker_errors import build_error, publish_error
from buildr_jupyter.builder._docker_http import interruptible, only_logins
from buildr_jupyter.builder._docker_stream import DockerStream, error_of
from buildr_jupyter.builder._docker_values import (
    FROM,
    auth_config,
    base_hosts,
    compressed_bytes,
    digest_of,
    fits,
    number_of,
    text_of,
)
from buildr_jupyter.builder._io import decode_documents, iter_lines
from buildr_jupyter.engine import connect, translate
from buildr_jupyter.errors import BuildError, Cancelled, ContextError, CredentialError, PublishError
from buildr_jupyter.events import CancelToken, Event, TransferUpdate, Warned
from buildr_jupyter.model import Archive, BuildRequest, BuildResult, ImageRef, Layout, Push, Refusal

__all__ = ["DockerBuilder"]

logger = logging.getLogger(__name__)

CONTENT_LABEL = "io.buildr.content-digest"
"""Images that carry it with the same value were made from the same content."""


class DockerBuilder:
    """Builds with the Docker Engine.

    ``docker_client`` is None until the engine is first needed; a docker-py ``APIClient`` put there before is used as
    it is. One builder can serve several threads.
    """

    def __init__(
        self,
        *,
        find_login: Callable[[str], credentials.Login | None] = credentials.find,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.docker_client: Any = None
        self._find_login = find_login
        self._clock = clock
        self._reading = threading.local()

    # -- the seed's doors

    def build(self, img: str, path: str = ".") -> BuildResult:
        """Build the folder ``path`` under the name ``img`` (tag ``latest`` where it has none)."""
        request = BuildRequest(Path(path), (ImageRef.parse(img).tagged(),))
        return drain(self.stream_build(request, CancelToken()))

    def publish(self, img: str) -> BuildResult:
        """Push ``img``, and of its tags only the named one, else ``latest``."""
        return drain(self.stream_publish(img, CancelToken()))

    # -- the protocol

    def refusals(self, request: BuildRequest) -> list[Refusal]:
        """Return what the classic builder cannot do of the request."""
        found = []
        platforms = request.platforms or (request.plan.platforms if request.plan else ())
        if len(platforms) > 1:
            found.append(Refusal("several platforms", "the engine builds for one at a time", ("buildkit", "oci")))
        if request.plan and request.plan.dockerfile and request.plan.dockerfile.secrets:
            found.append(Refusal("build secrets", "the classic builder has none", ("buildkit",)))
        for output in request.outputs:
            if isinstance(output, (Archive, Layout)):
                kind = "an archive" if isinstance(output, Archive) else "an image layout"
                found.append(Refusal(kind, "the engine keeps the image in its own store", ("buildkit", "oci")))
        return found

    def stream_base(
        self, base: str, *, platform: str | None, pull: bool, cancel: CancelToken
    ) -> Generator[Event, None, str | None]:
        """Have the engine get the base image unless it has it; return the manifest's digest, else the image id.

        None for ``scratch``. Raises BuildError where there is no such image, EngineError, Cancelled.
        """
        if base == "scratch":
            return None
        client = self._client()
        known = None if pull else self._inspect(client, base)
        if known is None or not fits(known, platform):
            ref = ImageRef.parse(base).tagged()
            state = DockerStream("pull", clock=self._clock)
            login = yield from self._login(ref.registry_host)
            tag = ref.digest or ref.tag
            options = {"tag": tag, "stream": True, "platform": platform, "auth_config": auth_config(login)}
            yield from self._stream(client, state, lambda: client.pull(ref.name, **options), cancel, base=base)
            known = self._inspect(client, base) or {}
        return digest_of(known, base)

    def stream_build(self, request: BuildRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Build, then name the image; a build that fails or is cancelled leaves the names as they were.

        An output ``Push`` is pushed after the build. Raises BuildError with the failing step, its exit code and the
        last lines of the log; ContextError for the folder; EngineError; Cancelled; PublishError for a push.
        """
        started = self._clock()
        self._check(request)
        client = self._client()
        state = DockerStream("build", clock=self._clock)
        known = self._same_content(client, request)
        if known is None:
            yield from self._stream_context(client, state, request, cancel)
            image_id, size = self._identify(client, state)
        else:
            image_id, size = known
        _raise_if(cancel)
        with translate(client):
            for ref in request.refs:
                client.tag(image_id, ref.name, tag=ref.local_tag)
        result = BuildResult(
            image=str(request.refs[0]) if request.refs else image_id,
            image_id=image_id,
            unpacked_bytes=size,
            cached=known is not None,
            builder="docker",
            content_digest=request.plan.content_digest if request.plan else None,
            context=request.context,
            tags=tuple(str(ref) for ref in request.refs),
            steps=tuple(state.steps.values()),
        )
        for output in request.outputs:
            if isinstance(output, Push):
                with translate(client):
                    client.tag(image_id, output.ref.name, tag=output.ref.local_tag)
                pushed = yield from self.stream_publish(str(output.ref), cancel)
                result = replace(
                    result, digest=pushed.digest, size_bytes=pushed.size_bytes, pushed=(*result.pushed, *pushed.pushed)
                )
        return replace(result, duration_s=self._clock() - started)

    def _same_content(self, client: Any, request: BuildRequest) -> tuple[str, int | None] | None:
        """Return id and size of a named image that was made from the same content, None where it must be built."""
        if request.plan is None or request.no_cache or request.pull:
            return None
        label = f"{CONTENT_LABEL}={request.plan.content_digest}"
        with translate(client):
            found = client.images(filters={"label": label, "dangling": False})
        return (str(found[0]["Id"]), number_of(found[0].get("Size"))) if found else None

    def _stream_context(
        self, client: Any, state: DockerStream, request: BuildRequest, cancel: CancelToken
    ) -> Generator[Event, None, None]:
        """Send the context and follow the build to its end."""
        yield from self._send_logins(client, request)
        sent = _Sent(iter_context(request), cancel)
        yield TransferUpdate("context", "upload")
        options = self._build_options(request)
        yield from self._stream(
            client,
            state,
            lambda: client.build(fileobj=sent, custom_context=True, **options),
            cancel,
            base=None,
            sent=sent,
        )
        yield from state.finish()

    def stream_publish(self, img: str, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
        """Push one tag; return its digest and, where the registry can be asked, its compressed size.

        Raises PublishError or one of its kinds (RegistryUnauthorized, …), EngineError, Cancelled.
        """
        started = self._clock()
        ref = ImageRef.parse(img).tagged()
        if ref.tag is None:
            raise PublishError(
                f"Image push failed: {img} has no tag", hint="a digest cannot be pushed by name: give a tag"
            )
        client = self._client()
        login = yield from self._login(ref.registry_host)
        state = DockerStream("push", clock=self._clock)
        options = {"tag": ref.tag, "stream": True, "auth_config": auth_config(login)}
        yield from self._stream(
            client, state, lambda: client.push(ref.name, **options), cancel, push=(ref.registry_host, login is not None)
        )
        if state.digest is None:
            raise self._failure(state, "the engine's stream ended without a digest", None)
        found = self._inspect(client, str(ref)) or {}
        return BuildResult(
            image=str(ref),
            image_id=text_of(found.get("Id")),
            digest=state.digest,
            size_bytes=compressed_bytes(ref, state.digest, login),
            unpacked_bytes=number_of(found.get("Size")),
            builder="docker",
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
            if debug:
                logger.debug("%s", _described(document))
            events += state.feed(document)
        return events

    def _failure(self, state: DockerStream, message: str, code: int | None) -> BuildError | PublishError:
        """Log a failure that the engine reports and return it as an error."""
        if state.verb == "push":
            logger.error("Push failed: %s", message)
            host, logged_in = state.registry
            return publish_error(message, host, logged_in=logged_in)
        logger.error("Build failed: %s", message)
        title = state.step_title
        from_line = FROM.match(title or "")
        return build_error(
            message,
            step=title,
            exit_code=code,
            tail=tuple(state.tail),
            base=state.base or (from_line[1] if from_line else None),
        )

    def _stream(
        self,
        client: Any,
        state: DockerStream,
        ask: Callable[[], Iterable[bytes]],
        cancel: CancelToken,
        *,
        base: str | None = None,
        push: tuple[str, bool] = ("", False),
        sent: _Sent | None = None,
    ) -> Generator[Event, None, None]:
        """Ask the engine and yield what its stream means, to its end."""
        state.base, state.registry = base, push
        _raise_if(cancel)
        with self._failures(client, state, cancel), interruptible(client, cancel.on_cancel) as watch:
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
                _raise_if(cancel)
        _raise_if(cancel)

    @contextlib.contextmanager
    def _failures(self, client: Any, state: DockerStream, cancel: CancelToken) -> Iterator[None]:
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
                    raise self._failure(state, f"the engine broke the connection off ({error})", None) from error
        except Exception as error:
            if cancel.is_set() and not isinstance(error, Cancelled):
                raise Cancelled(f"the {state.verb} was cancelled") from None
            raise

    # -- what the engine is asked and told

    def _client(self) -> Any:
        if self.docker_client is None:
            self.docker_client = connect()
        return self.docker_client

    def _check(self, request: BuildRequest) -> None:
        if not request.context.is_dir():
            raise ContextError(f"context {str(request.context)!r} is not a folder")
        if not (request.context / request.dockerfile).is_file():
            raise BuildError(
                f"Image build failed: there is no {request.dockerfile} in {request.context}",
                hint="write one, or name the folder that has it",
            )

    def _build_options(self, request: BuildRequest) -> dict[str, Any]:
        custom = request.plan.dockerfile if request.plan else None
        platforms = request.platforms or (request.plan.platforms if request.plan else ())
        return {
            "dockerfile": request.dockerfile,
            "rm": True,
            "forcerm": True,
            "nocache": request.no_cache,
            "pull": request.pull,
            "buildargs": {**dict(custom.build_args if custom else ()), **request.build_args},
            "labels": dict(request.labels),
            "target": request.target or (custom.target if custom else None),
            "network_mode": request.network,
            "platform": platforms[0] if platforms else None,
        }

    def _login(self, host: str) -> Generator[Event, None, credentials.Login | None]:
        """Return the login for a registry; one that cannot be read is said, and the engine goes without it."""
        try:
            return self._find_login(host)
        except CredentialError as error:
            yield Warned(f"no login for {host}: {error}", error.hint)
            return None

    def _send_logins(self, client: Any, request: BuildRequest) -> Generator[Event, None, None]:
        """Give the client the logins for the registries of the base images, and no others.

        docker-py would read docker's files itself, and then sends every login that is in them and fails on a helper
        of a registry that nobody asked for.
        """
        if not hasattr(client, "buildr_address"):
            return  # a client that was given is used as it is
        logins = {}
        for host in sorted(base_hosts(request)):
            if login := (yield from self._login(host)):
                logins[credentials.server_address(host)] = auth_config(login)
        client._auth_configs = only_logins(logins)

    def _inspect(self, client: Any, image: str) -> dict[str, Any] | None:
        from docker.errors import NotFound

        with translate(client):
            try:
                found = client.inspect_image(image)
            except NotFound:
                return None
        return found if isinstance(found, dict) else None

    def _identify(self, client: Any, state: DockerStream) -> tuple[str, int | None]:
        if state.image_id is None:
            raise self._failure(state, "the engine's stream ended without an image id", None)
        found = self._inspect(client, state.image_id) or {}
        return text_of(found.get("Id")) or state.image_id, number_of(found.get("Size"))


class _Sent:
    """The context's pieces on their way out, counted; ends the upload when the work is cancelled."""

    def __init__(self, pieces: Iterator[bytes], cancel: CancelToken) -> None:
        self._pieces = pieces
        self._cancel = cancel
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            _raise_if(self._cancel)
            self.bytes += len(piece)
            yield piece


def _raise_if(cancel: CancelToken) -> None:
    if cancel.is_set():
        raise Cancelled("the work was cancelled")


def _described(document: dict[str, Any]) -> str:
    """Return the seed's text for one document in the log."""
    if document.get("stream"):
        return f"Build output: {str(document['stream']).strip()}"
    if document.get("status"):
        return f"Push output: {document['status']} {document.get('progress')}"
    if document.get("aux"):
        return f"Push finished: {document.get('aux')}"
    return str(document)
