"""The store: an OCI image layout in the user's cache, where a layer that was made once is found again.

``blobs/sha256/…`` holds layers, configs and manifests by their digest; ``records/…`` says what was made from which
inputs, ``images/…`` which manifest a name has. Everything gets its name by rename when it is whole, so that neither a
kill nor a full disk leaves half a blob, and any number of processes may work in one store. Source: OCI image
specification 1.1, "Image Layout".

A store is for its user only, whatever the umask, unless it is made in a folder that was there and that others may
enter: then it is as open as the umask says.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import operator
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from buildr_jupyter.errors import BuildError, BuildrError
from buildr_jupyter.model.json_object import JsonObject, parse_object
from buildr_jupyter.model.plan import canonical_json
from buildr_jupyter.oci.layer import Layer
from buildr_jupyter.process.locks import in_cache, private_folder
from buildr_jupyter.process.tempfiles import fresh, sweep_folder

__all__ = ["DamagedBlob", "Prunable", "Store", "StoreInUse", "StoreInfo", "StoreUnwritable", "default_folder"]


_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MAX_DOCUMENT_BYTES = 16 << 20


_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
"""What a file system without locks answers; it is then as on Windows."""


class DamagedBlob(BuildError):
    """A blob in the store was not what its name says; it was taken out, so that a build makes it anew."""


class StoreUnwritable(BuildError):
    """The store takes nothing: no space, or no right to write there."""


class StoreInUse(BuildrError):
    """The store cannot be pruned while a build stands on it."""


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What is in the store."""

    folder: Path
    blobs: int
    size_bytes: int
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prunable:
    """What can be taken out of the store."""

    images: tuple[str, ...]
    """Names."""
    paths: tuple[Path, ...]
    size_bytes: int


def default_folder() -> Path:
    """Return ``$BUILDR_STORE``, else ``oci`` in the user's cache folder."""
    if given := os.environ.get("BUILDR_STORE"):
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("buildr") / "oci"


class Store:
    """A store in ``folder``; the folder is made when something is first written."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self._sound: dict[str, int] = {}
        self._ready = False
        self._shared = False

    # -- blobs

    def path(self, digest: str) -> Path:
        """Return where a blob of this digest is, or would be."""
        if not _DIGEST.fullmatch(digest):
            raise BuildError(f"Image build failed: {digest!r} is not a digest")
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def has(self, digest: str, size_bytes: int | None = None) -> bool:
        """Tell whether the blob is there, with that size."""
        try:
            found = self.path(digest).stat().st_size
        except OSError:
            return False
        return size_bytes is None or found == size_bytes

    def sound(self, digest: str) -> Path:
        """Return where a blob is, after its bytes were read once in this process; raises DamagedBlob."""
        path = self.path(digest)
        try:
            stamp = path.stat().st_mtime_ns
            if self._sound.get(digest) != stamp:
                with path.open("rb") as stream:
                    found = hashlib.file_digest(stream, "sha256").hexdigest()
                if found != path.name:
                    path.unlink(missing_ok=True)
                    raise DamagedBlob(
                        f"Image build failed: {digest} in the store is damaged", hint="build again: it was taken out"
                    )
                self._sound[digest] = stamp
        except OSError as error:
            raise DamagedBlob(
                f"Image build failed: the store has no {digest}: {error.strerror}", hint="build again"
            ) from error
        return path

    def read(self, digest: str) -> bytes:
        """Return a small blob, checked against its digest; raises DamagedBlob where it is damaged or missing."""
        return self.sound(digest).read_bytes()

    def put(self, content: bytes) -> str:
        """Keep a small blob and return its digest."""
        digest = _digest(content)
        if not self.has(digest, len(content)):
            with self.writing() as (out, keep):
                out.write(content)
                keep(digest)
        return digest

    @contextlib.contextmanager
    def writing(self) -> Iterator[tuple[IO[bytes], Callable[[str], None]]]:
        """Give a file to write a blob into, and what makes it one: called with the digest when all is written.

        Without that call, or where the block raises, nothing is kept. Raises StoreUnwritable for a full disk.
        """
        try:
            self._prepare()
            with fresh(self.folder / "half", "half-", shared=self._shared) as half:
                done: list[str] = []
                with half.open("wb") as out:
                    yield out, done.append
                if done:
                    stamp = half.stat().st_mtime_ns
                    half.replace(self.path(done[0]))
                    self._sound[done[0]] = stamp  # its digest was made of what was written
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> StoreUnwritable:
        return StoreUnwritable(
            f"Image build failed: the store {self.folder} cannot be written: {error.strerror or error}",
            hint="make room there (buildr cache prune), or set BUILDR_STORE to another folder",
        )

    def _prepare(self) -> None:
        if self._ready and (self.folder / "half").is_dir():
            return
        self._shared = self._is_shared()
        for name in ("blobs/sha256", "records", "images", "half", "locks"):
            path = self.folder / name
            path.mkdir(parents=True, exist_ok=True) if self._shared else private_folder(path)
        marker = self.folder / "oci-layout"
        if not marker.exists():
            self._write(marker, b'{"imageLayoutVersion":"1.0.0"}')
            self._write(self.folder / "index.json", b'{"schemaVersion":2,"manifests":[]}')
        sweep_folder(self.folder / "half", "")  # what killed builds left
        self._ready = True

    def _is_shared(self) -> bool:
        with contextlib.suppress(OSError):
            return not in_cache(self.folder) and bool(self.folder.stat().st_mode & 0o077)
        return False

    # -- what was made from which inputs

    def record(self, key: object) -> object:
        """Return what was noted under these inputs, None where nothing was."""
        try:
            return json.loads(self._record_path(key).read_bytes())
        except (OSError, ValueError):
            return None

    def note(self, key: object, value: object) -> None:
        """Note ``value`` (JSON) under these inputs (JSON)."""
        try:
            self._prepare()
            self._write(self._record_path(key), canonical_json(value))
        except OSError as error:
            raise self._unwritable(error) from error

    def _record_path(self, key: object) -> Path:
        return self.folder / "records" / hashlib.sha256(canonical_json(key)).hexdigest()

    def layer(self, key: object) -> Layer | None:
        """Return the layer that was made from these inputs, if its blob is still there and has its size."""
        found = self.record(key)
        try:
            layer = Layer.from_json(found) if isinstance(found, dict) else None
        except (TypeError, KeyError):
            return None
        return layer if layer and self.has(layer.digest, layer.size_bytes) else None

    def make_layer(self, key: object, make: Callable[[IO[bytes]], Layer]) -> tuple[Layer, bool]:
        """Return the layer of these inputs, made now unless it is there, and whether it was there.

        Of several processes that ask for the same, one makes it and the others wait.
        """
        if found := self.layer(key):
            return found, True
        with self.locked(hashlib.sha256(canonical_json(key)).hexdigest()[:32]):
            if found := self.layer(key):
                return found, True
            with self.writing() as (out, keep):
                layer = make(out)
                keep(layer.digest)
            self.note(key, layer.to_json())
            return layer, False

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Keep other processes of this machine (and threads) out of what has this name; the lock ends with us."""
        with self._lock(name, "LOCK_EX"):
            yield

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep ``prune`` out while a build stands on what is in the store; any number may at once."""
        with self._lock("in-use", "LOCK_SH"):
            yield

    @contextlib.contextmanager
    def _lock(self, name: str, *kinds: str) -> Iterator[None]:
        try:
            import fcntl
        except ImportError:  # Windows: two may make the same, the rename of the later one wins, both are whole
            yield
            return
        try:
            self._prepare()
            handle = os.open(self.folder / "locks" / name, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC,
                             0o666 if self._shared else 0o600)  # fmt: skip
        except OSError as error:
            raise self._unwritable(error) from error
        with open(handle, "wb") as stream:  # noqa: PTH123 - a descriptor
            try:
                fcntl.flock(stream, functools.reduce(operator.or_, (getattr(fcntl, kind) for kind in kinds)))
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            yield

    # -- images by name

    def tag(self, name: str, image: Mapping[str, object]) -> None:
        """Note which image a reference has: its manifest's digest and what else ``image`` says (JSON)."""
        try:
            self._prepare()
            self._write(self._image_path(name), canonical_json({**image, "name": name}))
        except OSError as error:
            raise self._unwritable(error) from error

    def image(self, name: str) -> JsonObject | None:
        """Return what ``tag`` noted for a reference, None where there is no such image."""
        try:
            found = parse_object(self._image_path(name).read_bytes())
        except OSError:
            return None
        return found if found is not None and isinstance(found.get("manifest"), str) else None

    def untag(self, name: str) -> None:
        """Forget a reference; what no other one needs goes with the next ``prune``. One that is not there is none."""
        self._image_path(name).unlink(missing_ok=True)

    def images(self) -> list[JsonObject]:
        """Return all that ``tag`` noted, sorted by name."""
        found = []
        for path in (self.folder / "images").glob("*"):
            with contextlib.suppress(OSError):
                found.append(parse_object(path.read_bytes()))
        return sorted((one for one in found if one is not None), key=lambda one: str(one.get("name")))

    def tagged_at(self, name: str) -> float | None:
        """Return when ``tag`` last noted this reference, in seconds since the epoch; None where it never did."""
        try:
            return self._image_path(name).stat().st_mtime
        except OSError:
            return None

    def _image_path(self, name: str) -> Path:
        return self.folder / "images" / hashlib.sha256(name.encode()).hexdigest()

    # -- upkeep

    def info(self) -> StoreInfo:
        """Return what is in the store."""
        sizes = [path.stat().st_size for path in self._blobs()]
        return StoreInfo(self.folder, len(sizes), sum(sizes), tuple(str(one["name"]) for one in self.images()))

    def verify(self, *, progress: Callable[[int, int], None] = lambda _done, _total: None) -> list[str]:
        """Read every blob, take damaged ones out and return their digests; a build makes them anew.

        ``progress`` is told how many of how many are read.
        """
        bad = []
        paths = self._blobs()
        for number, path in enumerate(paths, 1):
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != path.name:
                path.unlink(missing_ok=True)
                bad.append(f"sha256:{path.name}")
            progress(number, len(paths))
        return bad

    def discard(self, digest: str) -> None:
        """Take one blob out, because it turned out damaged."""
        self.path(digest).unlink(missing_ok=True)

    def prunable(self, *, older_than_s: float = 0.0, images: bool = True, now: float | None = None) -> Prunable:
        """Return what ``prune`` would take out."""
        now = time.time() if now is None else now
        names, paths, kept = [], [], set()
        for path in (self.folder / "images").glob("*"):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                known = json.loads(path.read_bytes())
                if images and now - path.stat().st_mtime >= older_than_s:
                    names.append(str(known.get("name")))
                    paths.append(path)
                else:
                    kept |= self._reached(known)
        loose = (path for path in self._blobs() if f"sha256:{path.name}" not in kept)
        paths += [path for path in loose if _is_old(path, now, older_than_s)]
        for path in (self.folder / "records").glob("*"):
            with contextlib.suppress(OSError):
                if _is_old(path, now, older_than_s) and kept.isdisjoint(_DIGEST.findall(path.read_text("utf-8"))):
                    paths.append(path)
        sizes = []
        for path in paths:
            with contextlib.suppress(OSError):
                sizes.append(path.stat().st_size)
        return Prunable(tuple(sorted(names)), tuple(paths), sum(sizes))

    def _reached(self, image: object) -> set[str]:
        """Return the digests of an image's record and of all documents that they lead to."""
        found: set[str] = set()
        todo = set(_DIGEST.findall(json.dumps(image)))
        while todo:
            digest = todo.pop()
            found.add(digest)
            path = self.path(digest)
            with contextlib.suppress(OSError), path.open("rb") as stream:
                if stream.read(1) == b"{" and path.stat().st_size <= _MAX_DOCUMENT_BYTES:
                    stream.seek(0)
                    todo |= set(_DIGEST.findall(stream.read().decode("utf-8", "replace"))) - found
        return found

    def prune(self, *, older_than_s: float = 0.0, images: bool = True, now: float | None = None) -> int:
        """Take out what was last written more than ``older_than_s`` seconds ago; return the bytes freed.

        Without ``images`` those stay; what an image that stays is made of stays in any case. Raises StoreInUse, and
        takes nothing out, while a build is running.
        """
        try:
            with self._lock("in-use", "LOCK_EX", "LOCK_NB"):
                freed = 0
                for path in self.prunable(older_than_s=older_than_s, images=images, now=now).paths:
                    with contextlib.suppress(OSError):
                        size = path.stat().st_size
                        path.unlink()
                        freed += size
                sweep_folder(self.folder / "half", "")
                return freed
        except BlockingIOError as error:
            raise StoreInUse(
                f"the store {self.folder} is in use: a build is running", hint="prune when it has ended"
            ) from error

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder in the store that is gone afterwards."""
        stack = contextlib.ExitStack()
        try:
            self._prepare()
            made = stack.enter_context(fresh(self.folder / "half", "work-", directory=True))
        except OSError as error:
            raise self._unwritable(error) from error
        with stack:
            yield made

    def _blobs(self) -> list[Path]:
        return sorted((self.folder / "blobs" / "sha256").glob("*"))

    def _write(self, path: Path, content: bytes) -> None:
        with fresh(self.folder / "half", "half-", shared=self._shared) as half:
            half.write_bytes(content)
            half.replace(path)


def _is_old(path: Path, now: float, older_than_s: float) -> bool:
    try:
        return now - path.stat().st_mtime >= older_than_s
    except OSError:
        return False


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
