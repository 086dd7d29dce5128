"""Where kaniko's executor may run: in a container of an engine, or in a throw-away root of this machine.

The executor unpacks base images over its own ``/``. It is never given this machine's.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from buildr_jupyter.builder.engine_errors import BROKEN_OFF
from buildr_jupyter.builder.kaniko import confinement
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.engine.connection import address_of, translate
from buildr_jupyter.engine.orphans import REMOVE_CONTAINER, abandon
from buildr_jupyter.engine.streams import interruptible, state_within
from buildr_jupyter.errors import BuildRefused, EngineError, EngineUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.run import Lines, Output, follow
from buildr_jupyter.process.tempfiles import Scratch
from buildr_jupyter.process.watchdog import Watchdog

__all__ = ["HOME", "Container", "Executor", "Root"]

HOME = "/kaniko/buildr"
"""What the executor is given lies here: it leaves everything below /kaniko out of images."""
CONTEXT = f"{HOME}/context"
MADE = f"{HOME}/made"
"""What the executor makes lies here."""
_END_WAIT_S = 2.0
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_ENVIRONMENT = {"HOME": "/root", "USER": "root", "DOCKER_CONFIG": HOME, "PATH": "/usr/local/bin:/kaniko"}
_CERTIFICATES = {"SSL_CERT_FILE": f"{HOME}/ca-bundle.crt"}


class Executor(Protocol):
    """A place for one run of the executor; its end takes everything away."""

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], cancel: CancelToken
    ) -> Generator[Output | BuildWarning, None, int]:
        """Run the executor, yielding what it writes and what holds it up; return its exit status.

        Raises EngineError, Cancelled, and what its place adds.
        """
        ...

    def fetch(self, into: Path) -> bool:
        """Copy the folder of what the executor made; tell whether there was one. The place may go from then on."""
        ...


class Container:
    """A container of an engine; the context is sent to it before it starts."""

    def __init__(
        self, client: EngineClient, image: str, *, files: Mapping[str, bytes], context: Iterable[bytes],
        network: str | None, labels: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._client, self._image, self._network = client, image, network
        self._files, self._context, self._labels = files, context, labels
        self._container: str | None = None
        self._removal: Future[None] | None = None

    @contextlib.contextmanager
    def opened(self) -> Iterator[Executor]:
        """Give the executor; its container is gone at the end (with the next sweep, where the engine is gone)."""
        with Watchdog() as self._watchdog, ThreadPoolExecutor(1, "buildr-kaniko") as self._aside:
            try:
                yield self
            finally:
                if self._removal is not None:
                    self._removal.result()
                elif self._container is not None:
                    self._remove(self._container)

    def _remove(self, container: str) -> None:
        try:
            with translate(self._client):
                self._client.remove_container(container, force=True, v=True)
        except EngineError:
            abandon(self._client, container)

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], cancel: CancelToken
    ) -> Generator[Output, None, int]:
        """Run the executor in the container."""
        client = self._client
        with translate(client):
            made = client.create_container(
                self._image,
                command=list(arguments),
                environment={**_ENVIRONMENT, **environment},
                labels=dict(self._labels),
                working_dir=CONTEXT,  # the engine makes this folder
                host_config=client.create_host_config(network_mode=self._network),
            )
            self._container = container = str(made["Id"])
            if address := address_of(client):
                self._watchdog.hold_call(REMOVE_CONTAINER, container, address.url)
            if self._files:
                client.put_archive(container, "/", _tar(self._files))
            client.put_archive(container, CONTEXT, self._context)
            undo = cancel.on_cancel(lambda: _kill(client, container))
            try:
                with interruptible(client, cancel.on_cancel) as watch:
                    output = watch(lambda: client.attach(container, stream=True, demux=True))
                    client.start(container)
                    lines = Lines()
                    for stdout, stderr in output:
                        if stdout:
                            yield from lines.feed("stdout", stdout)
                        if stderr:
                            yield from lines.feed("stderr", stderr)
                    yield from lines.rest()
                cancel.check()
                if state_within(client, container, _END_WAIT_S).get("Running"):  # who ends gets a moment to do so
                    raise EngineError(
                        f"kaniko's output ended in the middle: {BROKEN_OFF}", hint="ask it: buildr doctor"
                    )
                state = client.wait(container)
            finally:
                undo()
        return int(state.get("StatusCode", -1))

    def fetch(self, into: Path) -> bool:
        """Copy the folder out of the container."""
        from docker.errors import NotFound

        if self._container is None:
            return False
        try:
            chunks, _ = self._client.get_archive(self._container, MADE)
        except NotFound:
            return False
        with contextlib.closing(chunks), tempfile.TemporaryDirectory(dir=into.parent) as scratch:
            with tarfile.open(fileobj=_Stream(chunks), mode="r|") as tar:
                for member in tar:
                    _take(tar, member, Path(scratch))
            (Path(scratch) / MADE.rpartition("/")[2]).replace(into)
        # The engine takes as long for this as for a fifth of the build: the image may go on its way meanwhile.
        self._removal = self._aside.submit(self._remove, self._container)
        return True


class Root:
    """A throw-away root folder, with namespaces of its own; the executor is a file of this machine.

    The steps of a build run as root in it: ``_confined`` says what keeps them there.
    """

    def __init__(
        self, executor: Path, *, files: Mapping[str, bytes], context: Iterable[bytes], cancel: CancelToken
    ) -> None:
        self._executor, self._files, self._context, self._cancel = executor, files, context, cancel
        self._root = Path()

    @contextlib.contextmanager
    def opened(self) -> Iterator[Executor]:
        """Make the root and give its executor; at the end the root is removed.

        Raises EngineUnavailable without the executor, BuildRefused where this user may not make one.
        """
        if not self._executor.is_file():
            raise EngineUnavailable(
                f"there is no executor of kaniko at {str(self._executor)!r}",
                hint="give it: --builder kaniko=FILE, or an image",
            )
        if sys.platform != "linux" or os.geteuid() != 0:
            raise BuildRefused(
                "Image build failed: kaniko's executor needs root on Linux for a root folder of its own",
                hint="name an image of it and an engine runs it: --builder kaniko=IMAGE",
            )
        with Scratch() as folder:  # for this user only; the root in it is for all users that steps run as
            self._root = folder / "root"
            self._root.mkdir(mode=0o755)
            self._root.chmod(0o755)
            for name in ("proc", "dev", "etc", "root", "tmp", "kaniko", HOME[1:], CONTEXT[1:]):
                (self._root / name).mkdir(exist_ok=True)
            for name in ("etc/resolv.conf", "etc/hosts"):
                (self._root / name).touch()
            shutil.copy2(self._executor, self._root / "kaniko" / "executor")
            for name, content in {**self._files, **_ca_bundle()}.items():
                (self._root / name.lstrip("/")).write_bytes(content)
            unpack = ["tar", "-x", "-C", f"{self._root}{CONTEXT}"]
            said = list(follow(unpack, cancel=self._cancel, stdin=self._context))
            if said:
                raise EngineError(f"the context cannot be unpacked: {said[-1].data.decode(errors='replace').strip()}")
            yield self

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], cancel: CancelToken
    ) -> Generator[Output, None, int]:
        """Run the executor in the root."""
        namespaces = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
        confined = [sys.executable, "-I", "-S", confinement.__file__, str(self._root)]
        command = [*namespaces, *confined, "/kaniko/executor", *arguments]
        path = {"PATH": f"{_ENVIRONMENT['PATH']}:/usr/sbin:/usr/bin:/sbin:/bin"}
        env = {**_ENVIRONMENT, **path, **_CERTIFICATES, **environment}
        return (
            yield from follow(
                command, cancel=cancel, env=env, hint="install unshare: it is in Debian's package util-linux"
            )
        )

    def fetch(self, into: Path) -> bool:
        """Move the folder out of the root."""
        found = self._root / MADE.lstrip("/")
        if not found.exists():
            return False
        shutil.move(found, into)
        return True


def _kill(client: EngineClient, container: str) -> None:
    if _running(client, container):
        client.kill(container)


def _running(client: EngineClient, container: str) -> bool:
    return bool((client.inspect_container(container).get("State") or {}).get("Running"))


def _ca_bundle() -> dict[str, bytes]:
    found = next((Path(name) for name in _CA_BUNDLES if Path(name).is_file()), None)
    return {f"{HOME}/ca-bundle.crt": found.read_bytes() if found else b""}


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size, info.mode = len(content), 0o600
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one plain file or folder of an archive that an engine made; anything else, or elsewhere, is left out."""
    target = folder / member.name
    if ".." in target.parts or not target.is_relative_to(folder):
        return
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
    elif member.isfile() and (content := tar.extractfile(member)) is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as out:
            shutil.copyfileobj(content, out, 1 << 20)


class _Stream(io.RawIOBase):
    """A sequence of chunks to read from."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._left) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._left += chunk
        found, self._left = (self._left, b"") if size < 0 else (self._left[:size], self._left[size:])
        return found
