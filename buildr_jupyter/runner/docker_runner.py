"""Runs images with a Docker Engine, or podman's service: followed to their end, or left to outlive this process."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import functools
import json
import logging
import posixpath
import re
import shlex
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path, PurePosixPath

from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import connect, translate
from buildr_jupyter.engine.container_log import read_tail
from buildr_jupyter.engine.orphans import REMOVE_CONTAINER, abandon, labels, sweep_containers
from buildr_jupyter.engine.streams import interruptible, state_within
from buildr_jupyter.errors import Cancelled, EngineError, OptionError, RunError, RunLost
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import MAX_LINE_BYTES, Event, RunOutput, Stream
from buildr_jupyter.model.capabilities import RunnerCapabilities
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.request import Collection, PortBinding, RunSpec
from buildr_jupyter.model.result import RunResult
from buildr_jupyter.model.sweep import RunGroup
from buildr_jupyter.process.locks import OWNER_LABEL, this_user
from buildr_jupyter.process.tempfiles import Spool
from buildr_jupyter.process.watchdog import Watchdog
from buildr_jupyter.runner._outputs import (
    OURS,
    Folders,
    Listing,
    changed_files,
    differences,
    extract_outputs,
    fetches,
    kept_back,
    listing,
    local_names,
    spooled,
)
from buildr_jupyter.secretscan.redact import masked_logger

__all__ = ["DockerRunner"]

logger = masked_logger(logging.getLogger(__name__))

STOP_GRACE_S = 2
"""How long a container may take to end after SIGTERM."""

GROUP_LABEL = "io.buildr.group"
"""Label of a container that stays when its process leaves; its value is the group's name."""
_TAIL_LINES = 20
_WAIT_S = 1.0
_GONE_S = 10.0
"""So long may an engine take to note that a process ended which is gone: what notes it may wait for a processor."""
_SIGKILLED = 128 + 9
_NO_STATUS = -1
"""What podman says where it does not know how a program ended."""
_ALWAYS_THERE = "/etc/hostname"
"""File that an engine puts into each container."""
_NEVER = "0001-01-01T"
"""How engines write the time of what did not happen."""
_MORE_MEMORY = "give it more with --memory"
_GO_FOLDER, _GO_LINK = 1 << 31, 1 << 27
"""Bits of a folder and of a symbolic link in the modes of Go's os.FileMode, which the engine gives."""
COLLECT_LABEL = "io.buildr.collect"
"""Label of a container that stays when its process leaves: which of its files come back, as JSON."""
_LOOKED_BYTES, _TAKEN_BYTES = 16 << 20, 1 << 30
"""The tar of the program's folder is looked at up to so many bytes: of an image, and where all that is new comes back.

Beyond, the engine is asked what was changed, and that takes it seconds for an image of some size.
"""
_LISTEN_AGAIN = 5
"""So often is listened again to a container that runs on; one may have closed its output for good."""
Changes = Sequence[Mapping[str, object]]
"""What an engine says of a container's layer."""
_PORT_TAKEN = re.compile(
    r"(?:Bind for|listen \w+) (\S+?):(\d+)(?: failed)?: (?:port is already allocated|bind: .*in use)"
)


class DockerRunner:
    """Runs images with the Docker Engine.

    ``docker_client`` is None until the engine is first needed; a docker-py ``APIClient`` put there before is used as
    it is.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, owner: str | None = None) -> None:
        self.docker_client: EngineClient | None = None
        self._clock = clock
        self._owner = owner or this_user()
        self._images: dict[str, Listing | None] = {}
        """What the program's folder of an image holds, by the image's id; None where that is much."""
        self._made: dict[str, JsonObject] = {}
        """What the engine says of the containers that were made here and are there; but for their state it stays."""

    # -- the protocol

    def capabilities(self) -> RunnerCapabilities:
        """Return that it runs what the engine has."""
        return RunnerCapabilities()

    def stream_run(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunResult]:
        """Run the container, yield what it writes as it comes, remove it, and return how it ended.

        A StepUpdate tells the ports as soon as they are open. An exit status other than 0 is no error. Ports without a
        host port get a free one; they are on 127.0.0.1 unless the spec names another address. The container is removed
        in any case; cancelled or interrupted, it is stopped first (SIGTERM, two seconds, SIGKILL).

        Raises RunError, EngineError, Cancelled.
        """
        started = self._clock()
        client = self._client()
        cancel.check("the run")
        with self._failures(client, spec, cancel), self._container(client, spec) as container:
            decoders: dict[Stream, codecs.IncrementalDecoder] = {"stdout": _decoder(), "stderr": _decoder()}
            tail = ""
            with interruptible(client, cancel.on_cancel, idle=False) as watch:
                output = watch(lambda: client.attach(container, stream=True, demux=True))
                client.start(container)
                ports = _open_ports(client.inspect_container(container), spec)
                step = StepUpdate(f"run {spec.name}", _title(spec, ports), started_at=started)
                yield step
                tail = yield from self._listen(output, decoders, tail, cancel)
            for number in range(_LISTEN_AGAIN):
                if not self._runs_on(client, container, cancel):
                    break
                if not number:
                    yield BuildWarning(
                        f"the connection to container {spec.name} broke off: some of its output may be missing"
                    )
                with interruptible(client, cancel.on_cancel, idle=False) as watch:
                    output = watch(lambda: client.attach(container, stream=True, demux=True))
                    tail = yield from self._listen(output, decoders, tail, cancel)
            for stream, decoder in decoders.items():
                if text := decoder.decode(b"", True):
                    tail = _tail(tail, text, stream)
                    yield RunOutput(stream, text)
            state = self._wait(client, container, cancel)
            exit_code = int(state.get("ExitCode", -1))
            yield from self._killed(client, container, spec.name, state)
            outputs = yield from self._outputs(client, container, spec)
        ended = self._clock()
        status = "failed" if exit_code else "done"
        yield StepUpdate(step.step, step.title, status=status, started_at=started, finished_at=ended)  # type: ignore[arg-type]
        return RunResult(exit_code, tail, ended - started, ports, outputs)

    # -- runs that outlive this process

    def start(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunGroup]:
        """Start a container that stays when this process leaves; see the protocol. Raises RunError, EngineError."""
        client = self._client()
        cancel.check("the run")
        with self._failures(client, spec, cancel):
            wanted = {COLLECT_LABEL: json.dumps(spec.collect.to_json())}
            container = self._create(client, spec, {OWNER_LABEL: self._owner, GROUP_LABEL: spec.name, **wanted})
            self._begin(client, container)
        yield StepUpdate(f"run {spec.name}", _title(spec, spec.ports), started_at=self._clock())
        return RunGroup(spec.name, (container,), dict(spec.labels))

    def deploy(self, spec: RunSpec, cancel: CancelToken) -> Generator[Event, None, RunGroup]:
        """Refuse: an engine keeps neither services nor schedules."""
        raise OptionError(f"{spec.name}: an engine keeps no service and no schedule", hint="say --on kubernetes")
        yield

    def follow(self, group: RunGroup, cancel: CancelToken) -> Generator[Event, None, list[RunResult]]:
        """Wait for the containers to end; see the protocol. Raises RunLost, EngineError, Cancelled."""
        from docker.errors import NotFound

        client = self._client()
        results = []
        with self._failures(client, RunSpec("", group.name), cancel):
            for container in group.runs:
                try:
                    state = self._wait(client, container, cancel)
                    lines = read_tail(client, container, _TAIL_LINES)
                except NotFound:
                    raise RunLost(f"container {group.name!r} is gone, and nothing tells how it ended") from None
                yield from self._killed(client, container, group.name, state)
                exit_code = int(state.get("ExitCode", -1))
                results.append(RunResult(exit_code, duration_s=_seconds(state), log_tail=lines))
        return results

    def collect(
        self, run: str, into: Path, cancel: CancelToken, wanted: Collection | None = None
    ) -> Generator[Event, None, tuple[Path, ...]]:
        """Copy the files of a container that ended; see the protocol. Raises RunError, EngineError."""
        client = self._client()
        spec = RunSpec("", run[:12], output_dir=into)
        with self._failures(client, spec, cancel):
            if wanted is None:
                said = ((self._about(client, run).get("Config") or {}).get("Labels") or {}).get(COLLECT_LABEL)
                wanted = _collection(said)
            spec = dataclasses.replace(spec, collect=wanted)
            return tuple((yield from self._outputs(client, run, spec)))

    def stop(self, group: RunGroup) -> None:
        """Stop the group's containers: SIGTERM, two seconds, SIGKILL."""
        client = self._client()
        with translate(client):
            for container in group.runs:
                self._stop(client, container)

    def list(self) -> list[RunGroup]:
        """Return this user's groups in the engine, running or ended."""
        client = self._client()
        with translate(client):
            labels = [f"{OWNER_LABEL}={self._owner}", GROUP_LABEL]
            found = client.containers(all=True, filters={"label": labels})
        return [RunGroup(one["Labels"][GROUP_LABEL], (one["Id"],), dict(one["Labels"])) for one in found]

    def remove(self, group: RunGroup) -> None:
        """Remove the group's containers, running or not."""
        client = self._client()
        with translate(client):
            for container in group.runs:
                self._remove(client, container)

    # -- the seed's methods

    def run(self, img: str, name: str, options: object = None) -> str:
        """Start a container and leave it running; return its id. ``options.ports`` are opened on this machine.

        Raises RunError, EngineError.
        """
        ports = tuple(PortBinding(int(port), int(port)) for port in getattr(options, "ports", None) or ())
        spec = RunSpec(img, name, ports=ports)
        client = self._client()
        with self._failures(client, spec, CancelToken()):
            container = self._create(client, spec, {OWNER_LABEL: self._owner})
            logger.info("Starting container %s", container)
            self._begin(client, container)
        return container

    def _begin(self, client: EngineClient, container: str) -> None:
        """Start a container that stays when this process leaves; one that does not start is removed."""
        try:
            client.start(container)
        except BaseException:
            self._remove(client, container)
            raise

    def logs(self, name: str) -> Iterator[str]:
        """Yield what the container has written and writes, until it ends."""
        client = self._client()
        decoder = _decoder()
        with self._failures(client, RunSpec("", name), CancelToken()):
            for data in client.logs(name, stream=True, follow=True):
                if text := decoder.decode(data):
                    yield text

    def cancel(self, name: str) -> None:
        """Stop and remove the container; one that is gone already is no error."""
        client = self._client()
        with translate(client):
            self._stop(client, name)
            self._remove(client, name)

    # -- its output

    def _listen(
        self,
        output: Iterable[tuple[bytes | None, bytes | None]],
        decoders: dict[Stream, codecs.IncrementalDecoder],
        tail: str,
        cancel: CancelToken,
    ) -> Generator[Event, None, str]:
        """Yield what the container writes, to the end of the stream, however that comes; return the longer tail."""
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        try:
            for stream, data in _pieces(output):
                if text := decoders[stream].decode(data):
                    tail = _tail(tail, text, stream)
                    yield RunOutput(stream, text)
                cancel.check("the run")
        except (RequestException, HTTPError, OSError):
            if cancel.is_set():
                raise
        cancel.check("the run")
        return tail

    def _runs_on(self, client: EngineClient, container: str, cancel: CancelToken) -> bool:
        """Tell whether the container runs although its output ended; what ends with it gets a second to do so."""
        cancel.check("the run")
        return bool(state_within(client, container, _WAIT_S).get("Running"))

    # -- its life

    def _client(self) -> EngineClient:
        if self.docker_client is None:
            self.docker_client = connect(owner=self)
            sweep_containers(self.docker_client)
        return self.docker_client

    @contextlib.contextmanager
    def _container(self, client: EngineClient, spec: RunSpec) -> Iterator[str]:
        """Make a container that has not started; stop and remove it at the end."""
        with Watchdog() as watchdog:
            container = self._create(client, spec, {**labels(), OWNER_LABEL: self._owner})
            if address := getattr(client, "buildr_address", None):
                watchdog.hold_call(REMOVE_CONTAINER, container, address.url)
            try:
                yield container
            finally:
                self._end(client, container)

    def _end(self, client: EngineClient, container: str) -> None:
        """Stop and remove it; where the engine is gone, the next sweep does."""
        from requests.exceptions import ConnectionError as NoConnection

        try:
            try:
                self._stop(client, container)
            finally:
                self._remove(client, container)
        except NoConnection:
            abandon(client, container)
            raise

    def _create(self, client: EngineClient, spec: RunSpec, marks: dict[str, str]) -> str:
        if spec.claims:
            raise OptionError(
                f"--mount pvc:{spec.claims[0].claim}: an engine has no volumes of a cluster",
                hint="mount a folder of this machine: --mount SRC:DST",
            )
        self._clear_name(client, spec.name)
        made = client.create_container(
            spec.image,
            command=list(spec.args) or None,
            name=spec.name,
            environment=[f"{name}={value}" for name, value in (*spec.environment, *spec.settings)],
            labels={**dict(spec.labels), **marks},
            ports=[(port.container, port.protocol) for port in spec.ports],
            host_config=_host_config(client, spec),
        )
        for warning in made.get("Warnings") or ():
            logger.warning("%s", warning)
        container = str(made["Id"])
        try:
            self._look_at(client, container)
        except BaseException:
            self._remove(client, container)
            raise
        return container

    def _look_at(self, client: EngineClient, container: str) -> None:
        """Remember what the program's folder holds before anything runs, once for each image.

        An engine tells what a container changed by a comparison of all files of its image (Docker 28 does for each
        storage driver); the folder of the program is as a rule a few of them.
        """
        from docker.errors import APIError

        about = self._made[container] = client.inspect_container(container)
        image, work = str(about.get("Image")), _folders(about.get("Config") or {}, RunSpec("", "")).work
        if image not in self._images and not _is_mounted(about, work):
            self._images[image] = None
            with contextlib.suppress(APIError):
                if archive := self._archive(client, container, work, _LOOKED_BYTES):
                    with archive[0]:
                        self._images[image] = archive[1]

    def _about(self, client: EngineClient, container: str) -> JsonObject:
        """Return what the engine says of a container, without its state of now."""
        return self._made.get(container) or client.inspect_container(container)

    def _archive(
        self, client: EngineClient, container: str, folder: str, most_bytes: int, before: Listing | None = None
    ) -> tuple[Spool, Listing] | None:
        """Return the tar of a container's folder, to be closed, and what it holds; None where that is more, no folder,
        or more than there is room for."""
        from docker.errors import NotFound

        try:
            chunks, _ = client.get_archive(container, folder)
        except NotFound:
            return None
        data = None
        with contextlib.closing(chunks), contextlib.suppress(OSError):
            data = spooled(chunks, most_bytes)
        if data is None:
            return None
        if (found := listing(data, folder, before)) is None:
            data.close()
            return None
        return data, found

    def _clear_name(self, client: EngineClient, name: str) -> None:
        """Remove our own container of that name; raise RunError where another process owns it."""
        from docker.errors import NotFound

        try:
            found = client.inspect_container(name)
        except NotFound:
            return
        owner = ((found.get("Config") or {}).get("Labels") or {}).get(OWNER_LABEL)
        if owner != self._owner:
            whose = f"of {owner}" if owner else "that buildr did not make"
            raise RunError(
                f"container {name!r}: there is one {whose}", hint=f"run under another name, or docker rm -f {name}"
            )
        self._stop(client, found["Id"])
        self._remove(client, found["Id"])

    def _wait(self, client: EngineClient, container: str, cancel: CancelToken) -> JsonObject:
        """Return the State of the container once it has ended; its output has ended before, as a rule.

        Raises RunLost for one that never started, as its maker was killed before, and for one of which nobody knows
        how it ended: its status is that of no program.
        """
        turn, gone_since = 0, None
        while True:
            turn += 1
            state = state_within(client, container, _WAIT_S)
            if all(str(state.get(name)).startswith(_NEVER) for name in ("StartedAt", "FinishedAt")):
                raise RunLost(f"container {container[:12]} was made, and never started")
            if not state.get("Running"):
                if state.get("ExitCode") == _NO_STATUS:
                    raise RunLost(f"container {container[:12]} was ended with what watched it, and has no exit status")
                return state
            if gone_since is not None or not turn & (turn - 1):
                gone_since = (gone_since or time.monotonic()) if self._is_dead(client, container, state) else None
            if gone_since is not None and time.monotonic() - gone_since >= _GONE_S:
                raise RunLost(f"the process of container {container[:12]} is gone, and nothing tells how it ended")
            cancel.check("the run")

    def _is_dead(self, client: EngineClient, container: str, state: JsonObject) -> bool:
        """Tell whether a container that is said to run has no process: podman's is watched by one that may be killed.

        podman 4.3 takes such a container for running for ever, and says that /proc has no such process when asked
        for a file of it. It says so for a moment, too, of one that just ended.
        """
        from docker.errors import APIError

        try:
            chunks, _ = client.get_archive(container, _ALWAYS_THERE)
            chunks.close()
        except APIError as error:
            return f"/proc/{state.get('Pid')}/" in str(error.explanation or error)
        return False

    def _outputs(self, client: EngineClient, container: str, spec: RunSpec) -> Generator[Event, None, tuple[Path, ...]]:
        """Copy what the run made or changed, by what the engine says of the container's layer."""
        from docker.errors import APIError

        if spec.output_dir is None:
            return ()
        about = self._about(client, container)
        folders = _folders(about.get("Config") or {}, spec)
        mounts = [str(mount.get("Destination", "")) for mount in about.get("Mounts") or ()]
        apart = any(folders.output == mount or folders.output.startswith(f"{mount}/") for mount in mounts)
        if not apart and (whole := self._known(client, container, about, folders, spec.collect)):
            with whole[0]:
                return (yield from self._taken(*whole, folders, spec))
        try:
            changes = client.diff(container) or []
        except APIError as error:
            yield BuildWarning(
                f"the engine does not tell which files the run made ({error.explanation or error}): "
                f"only those of {folders.output} come back"
            )
            changes, apart = [], True
        files = changed_files(changes, folders, spec.collect)
        names = local_names(files, folders)
        written: list[Path] = []
        if apart:  # what is mounted there is in no layer
            folder = PurePosixPath(folders.output)

            def below(member: PurePosixPath) -> PurePosixPath | None:
                path = folder.joinpath(*member.parts[1:])
                wanted = folders.is_ours(str(path)) or spec.collect.takes(str(path), folders.program)
                return path.relative_to(folder) if wanted else None

            written += yield from self._fetch(client, container, folders.output, spec, below)
        for path, members in fetches(files, changes):
            known = {PurePosixPath(one): names[one] for one in members}
            name = functools.partial(_wanted_name, PurePosixPath(path).parent, known)
            written += yield from self._fetch(client, container, path, spec, name, only_file=members == (path,))
        return tuple(sorted(dict.fromkeys(written)))

    def _known(
        self, client: EngineClient, container: str, about: JsonObject, folders: Folders, collect: Collection
    ) -> tuple[Spool, Changes] | None:
        """Return the tar of the program's folder and what of it was changed; None where only the engine tells that."""
        before = self._images.get(str(about.get("Image")))
        outside = not folders.output.startswith(f"{folders.work}/")
        if before is None or collect.anywhere or outside or _is_mounted(about, folders.work):
            return None
        most = _LOOKED_BYTES if collect.nothing or collect.patterns else _TAKEN_BYTES  # else all of it is wanted
        archive = self._archive(client, container, folders.work, most, before)
        if archive is None:
            return None
        if (changes := differences(before, archive[1])) is None:
            archive[0].close()
            return None
        return archive[0], changes

    def _fetch(
        self,
        client: EngineClient,
        container: str,
        path: str,
        spec: RunSpec,
        name: Callable[[PurePosixPath], PurePosixPath | None],
        *,
        only_file: bool = False,
    ) -> Generator[Event, None, tuple[Path, ...]]:
        """Copy a file or folder of the container; what is gone gives nothing."""
        from docker.errors import NotFound

        assert spec.output_dir is not None
        try:
            chunks, about = client.get_archive(container, path)
        except NotFound:
            return ()
        large: list[tuple[PurePosixPath, int]] = []
        takes = functools.partial(_takes, spec.collect, large)
        with contextlib.closing(chunks):  # an engine answers nothing about a container whose archive it still gives
            mode = int(about.get("mode", 0))
            if only_file and mode & _GO_LINK:  # podman's archive holds what it leads to
                yield kept_back(name(PurePosixPath(PurePosixPath(path).name)))
                return ()
            if only_file and mode & _GO_FOLDER:
                return ()
            size = int(about.get("size", 0))
            if only_file and not takes(PurePosixPath(path).relative_to("/"), size):
                found: tuple[Path, ...] = ()
            else:
                found = yield from extract_outputs(chunks, spec.output_dir, name=name, takes=takes)
        yield from _left(large)
        return found

    def _taken(
        self, data: Spool, changes: Changes, folders: Folders, spec: RunSpec
    ) -> Generator[Event, None, tuple[Path, ...]]:
        """Write what comes back out of the tar of the program's folder."""
        assert spec.output_dir is not None
        files = changed_files(changes, folders, spec.collect)
        parent = PurePosixPath(folders.work).parent
        names = {PurePosixPath(path): name for path, name in local_names(files, folders).items()}
        large: list[tuple[PurePosixPath, int]] = []
        found = yield from extract_outputs(
            data,
            spec.output_dir,
            name=functools.partial(_wanted_name, parent, names),
            takes=functools.partial(_takes, spec.collect, large),
        )
        yield from _left(large)
        return found

    def _killed(self, client: EngineClient, container: str, name: str, state: JsonObject) -> Iterator[BuildWarning]:
        """Say that a container ran out of memory, or may have: podman 4.3's service never says that one did."""
        if state.get("OOMKilled"):
            yield BuildWarning(f"container {name} ran out of memory and was killed", _MORE_MEMORY)
        elif state.get("ExitCode") == _SIGKILLED:
            limit = (client.inspect_container(container).get("HostConfig") or {}).get("Memory")
            if limit:
                what = f"container {name} was killed; its limit is {limit / (1 << 20):,.0f} MiB of memory"
                yield BuildWarning(f"{what}, and it may have needed more", _MORE_MEMORY)

    def _stop(self, client: EngineClient, container: str) -> None:
        from docker.errors import APIError, NotFound

        try:
            if (client.inspect_container(container).get("State") or {}).get("Running"):
                client.stop(container, timeout=STOP_GRACE_S)
        except NotFound:
            return
        except APIError as error:
            logger.debug("container %s did not stop: %s", container, error)

    def _remove(self, client: EngineClient, container: str) -> None:
        from docker.errors import APIError, NotFound

        self._made.pop(container, None)
        for attempt in (1, 2):  # podman 4.3 cannot stop a container without a process, and removes it when asked again
            try:
                client.remove_container(container, v=True, force=True)
            except NotFound:
                return
            except APIError as error:
                if error.status_code == 409:  # it is being removed already
                    return
                if error.status_code != 500 or attempt == 2:
                    raise
            else:
                return

    @contextlib.contextmanager
    def _failures(self, client: EngineClient, spec: RunSpec, cancel: CancelToken) -> Iterator[None]:
        """Name what the engine refuses."""
        from docker.errors import APIError, DockerException, ImageNotFound
        from requests.exceptions import RequestException

        try:
            with translate(client):
                try:
                    yield
                except ImageNotFound as error:
                    raise RunError(
                        f"container {spec.name!r}: the engine has no image {spec.image}", hint="build it, or pull it"
                    ) from error
                except APIError as error:
                    if cancel.is_set() or error.status_code in (401, 403):
                        raise
                    raise _refused(spec, str(error.explanation or error).strip()) from error
        except (RequestException, DockerException, OSError, RunError, EngineError) as error:
            if cancel.is_set():  # it broke off what was asked for
                raise Cancelled(f"the run of {spec.name} was cancelled") from None
            raise error from error.__cause__


def _seconds(state: JsonObject) -> float:
    """Return how long a container ran, by its engine's own clock: 0.0 where that has it end before it began.

    The Docker Engine (20.10) notes the beginning once its call to start returns, when a short program is over.
    """
    try:
        began, ended = (datetime.fromisoformat(str(state[name])) for name in ("StartedAt", "FinishedAt"))
    except (KeyError, ValueError):
        return 0.0
    return max(0.0, (ended - began).total_seconds())


def _refused(spec: RunSpec, message: str) -> RunError:
    if found := _PORT_TAKEN.search(message):
        return RunError(
            f"container {spec.name!r}: port {found[2]} on {found[1]} is in use",
            hint="ask for another one: --port HOST:PORT, or --port PORT for any free one",
        )
    if "bind source path does not exist" in message:
        return RunError(
            f"container {spec.name!r}: {message}",
            hint="take a folder of the engine's machine: --mount SRC:DST; it has no such SRC",
        )
    if "could not select device driver" in message:
        return RunError(f"container {spec.name!r}: the engine has no GPUs to give", hint="leave --gpus out")
    return RunError(f"container {spec.name!r}: {message}")


def _host_config(client: EngineClient, spec: RunSpec) -> object:
    from docker.types import DeviceRequest, Mount

    bindings: dict[str, list[tuple[str, int | None]]] = {}
    for port in spec.ports:
        bindings.setdefault(f"{port.container}/{port.protocol}", []).append((port.address, port.host))
    options: dict[str, object] = {
        "port_bindings": bindings,
        "mounts": [
            Mount(mount.target, str(mount.source.absolute()), type="bind", read_only=mount.read_only)
            for mount in spec.mounts
        ],
    }
    if spec.isolated:
        options["network_mode"] = "none"
    if spec.memory_bytes is not None:
        options["mem_limit"] = spec.memory_bytes
        options["memswap_limit"] = spec.memory_bytes  # no swap beside it: a limit is a limit
    if spec.cpus is not None:
        options["nano_cpus"] = round(spec.cpus * 1e9)
    if spec.gpus:
        count = -1 if spec.gpus == "all" else int(spec.gpus)
        options["device_requests"] = [DeviceRequest(count=count, capabilities=[["gpu"]])]
    return client.create_host_config(**options)


def _open_ports(container: JsonObject, spec: RunSpec) -> tuple[PortBinding, ...]:
    """Return the spec's ports with the host ports that the engine chose; None stays where it has ended already."""
    known = (container.get("NetworkSettings") or {}).get("Ports") or {}
    opened = []
    for port in spec.ports:
        host = port.host
        for entry in known.get(f"{port.container}/{port.protocol}") or ():
            if host is None and entry.get("HostIp") == port.address and str(entry.get("HostPort", "")).isdigit():
                host = int(entry["HostPort"])
        opened.append(PortBinding(port.container, host, port.address, port.protocol))
    return tuple(opened)


def _title(spec: RunSpec, ports: tuple[PortBinding, ...]) -> str:
    shown = ", ".join(f"{_address(port)} -> {port.container}/{port.protocol}" for port in ports)
    return f"run {spec.name} ({shown})" if shown else f"run {spec.name}"


def _address(port: PortBinding) -> str:
    """Return where a port is open, as an address that a browser opens where it may be of use there."""
    if port.protocol != "tcp" or not port.host:
        return f"{port.address}:{port.host}"
    if port.address in ("0.0.0.0", "::"):  # noqa: S104 - open everywhere because the user said so
        return f"http://localhost:{port.host} and all addresses"
    return f"http://[{port.address}]:{port.host}" if ":" in port.address else f"http://{port.address}:{port.host}"


def _folders(config: JsonObject, spec: RunSpec) -> Folders:
    """Return the container's folders; the output folder is $BUILDR_OUTPUT_DIR of its environment, else ``output``.

    One that is not absolute is below the image's working directory; below /app, where the image names none (Docker
    says nothing then, podman "/"). Where the image's own one is below the working directory, the program works above.
    """
    given = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    work = (config.get("WorkingDir") or "").rstrip("/") or "/app"

    def absolute(path: str) -> str:
        return posixpath.normpath(posixpath.join(work, path))

    made = absolute(given.get("BUILDR_OUTPUT_DIR") or "output")
    said = absolute(dict(spec.environment).get("BUILDR_OUTPUT_DIR") or made)
    program = posixpath.dirname(made) if made.startswith(f"{work}/") else work
    return Folders(work, program, said)


def _collection(label: str | None) -> Collection:
    """Return what the label of a container says; all where it has none, or one that is not ours."""
    try:
        return Collection.from_json(json.loads(label or "{}"))
    except (ValueError, TypeError, KeyError):
        return Collection()


def _is_mounted(container: JsonObject, folder: str) -> bool:
    """Tell whether something is mounted on a folder, below it or above it."""
    mounts = [str(mount.get("Destination", "")).rstrip("/") for mount in container.get("Mounts") or ()]
    return any(f"{one}/".startswith(f"{folder}/") or folder.startswith(f"{one}/") for one in mounts)


def _takes(collect: Collection, large: list[tuple[PurePosixPath, int]], place: PurePosixPath, size: int) -> bool:
    """Tell whether a file of so many bytes is copied; note it in ``large`` where it is not."""
    if size > collect.limit_bytes and not collect.patterns and place.parts[0] != OURS:
        large.append((place, size))
        return False
    return True


def _left(large: Iterable[tuple[PurePosixPath, int]]) -> Iterator[BuildWarning]:
    for place, size in large:
        yield BuildWarning(
            f"{place} has {size / 1e9:.1f} GB and is left in the container, which is removed",
            hint=f"take it all the same with --collect {shlex.quote(place.name)}, or keep it in a folder of --mount",
        )


def _wanted_name(
    parent: PurePosixPath, names: Mapping[PurePosixPath, PurePosixPath], member: PurePosixPath
) -> PurePosixPath | None:
    """Return what a member of the archive of something in the folder ``parent`` is called here, if it is wanted."""
    return names.get(parent / member)


def _pieces(output: Iterable[tuple[bytes | None, bytes | None]]) -> Iterator[tuple[Stream, bytes]]:
    for stdout, stderr in output:
        if stdout:
            yield "stdout", stdout
        if stderr:
            yield "stderr", stderr


def _tail(tail: str, text: str, stream: str) -> str:
    return (tail + text)[-MAX_LINE_BYTES:] if stream == "stdout" else tail


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")
