"""A context folder as the tar stream that an engine takes, made while it is sent.

Source: moby ``pkg/archive`` and docker/cli ``build.TrimBuildFilesFromExcludes``: .dockerignore is applied here (the
engine does not, for BuildKit), and the Dockerfile and .dockerignore themselves are sent in any case.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from buildr_jupyter.errors import ContextError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.plan import FileEntry
from buildr_jupyter.model.request import BuildRequest

__all__ = ["Matcher", "UploadStream", "iter_context", "planned_names", "unreadable", "walk"]

_BLOCK = 512
_READ = 256 * 1024
_SEND = 128 * 1024


def iter_context(request: BuildRequest, dockerfile: bytes | None = None) -> Iterator[bytes]:
    """Yield the context as a tar, in pieces of some 128 KiB; the folder is read while the pieces are asked for.

    ``dockerfile`` is sent in place of what the folder's Dockerfile holds.

    The Dockerfile comes first (BuildKit takes a stream that begins with a PAX header for a Dockerfile); owners are
    0:0; the names are sorted. For a plan only what it names is sent, with the time 0, and each file must still have
    the content that the plan knows. Sockets, FIFOs and devices are left out.

    Raises ContextError for a file that cannot be read or that changes meanwhile.
    """
    buffer = bytearray()
    for piece in _pieces(request, dockerfile):
        buffer += piece
        if len(buffer) >= _SEND:
            yield bytes(buffer)
            buffer.clear()
    yield bytes(buffer) + b"\0" * (2 * _BLOCK)


def _pieces(request: BuildRequest, dockerfile: bytes | None) -> Iterator[bytes]:
    root = request.context
    if dockerfile is not None:
        info = tarfile.TarInfo(request.dockerfile)
        info.mode, info.size = 0o644, len(dockerfile)
        yield _header(info) + dockerfile + b"\0" * (-len(dockerfile) % _BLOCK)
    if request.plan is not None and request.plan.dockerfile is None:
        planned = {entry.path: entry for entry in request.plan.all_files}
        for name in planned_names(root, request.dockerfile, planned):
            if name == request.dockerfile and dockerfile is not None:
                continue
            yield from _member(root, name, planned.get(name), timeless=True)
        return
    ordered = [request.dockerfile] if (root / request.dockerfile).is_file() else []
    for name in ordered if dockerfile is None else ():
        yield from _member(root, name, None, timeless=False)
    for name in walk(root, _matcher(root, request.dockerfile)):
        if name not in ordered:
            yield from _member(root, name, None, timeless=False)


def planned_names(root: Path, dockerfile: str, planned: Mapping[str, FileEntry]) -> list[str]:
    """Return the Dockerfile, what else was rendered beside it, and the plan's files after the folders they are in."""
    rendered = sorted(path.name for path in root.iterdir() if path.is_file() and not path.is_symlink())
    folders = {str(parent) for name in planned for parent in PurePosixPath(name).parents if str(parent) != "."}
    if (root / "app").is_dir():
        folders.add("app")  # COPY wants it even where it is empty
    first = [dockerfile] if (root / dockerfile).is_file() else []
    return list(dict.fromkeys([*first, *rendered, *sorted({*folders, *planned})]))


class _Pattern(Protocol):
    cleaned_pattern: str
    exclusion: bool


class Matcher(Protocol):
    """What docker-py reads of a .dockerignore."""

    patterns: list[_Pattern]

    def matches(self, path: str) -> bool:
        """Tell whether the file of this name is left out."""
        ...


def _matcher(root: Path, dockerfile: str) -> Matcher | None:
    from docker.utils.build import PatternMatcher

    try:
        text = (root / ".dockerignore").read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ContextError(f"{root / '.dockerignore'} cannot be read: {error}") from error
    patterns = [line.strip() for line in text.splitlines()]
    patterns = [line for line in patterns if line and not line.startswith("#")]
    if not patterns:
        return None
    made: Matcher = PatternMatcher([*patterns, "!.dockerignore", f"!{dockerfile}"])
    return made


def walk(root: Path, matcher: Matcher | None, start: str = "") -> Iterator[str]:
    """Yield the names below ``root`` (below its folder ``start``) that are not ignored, sorted, ``/`` between parts."""
    exceptions = [pattern.cleaned_pattern for pattern in matcher.patterns if pattern.exclusion] if matcher else []

    def below(folder: Path, prefix: str) -> Iterator[str]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise unreadable(prefix.rstrip("/") or ".", error) from error
        for entry in entries:
            name = prefix + entry.name
            ignored = matcher is not None and matcher.matches(name)
            if not ignored:
                yield name
            if entry.is_dir(follow_symlinks=False) and not (ignored and not _may_hold(name, exceptions)):
                yield from below(Path(entry.path), f"{name}/")

    yield from below(root / start, f"{start}/" if start else "")


def _may_hold(folder: str, exceptions: list[str]) -> bool:
    """Tell whether an exception (``!pattern``) could bring back something below an ignored folder."""
    return any(
        pattern.startswith(f"{folder}/") or any(sign in pattern.partition("/")[0] for sign in "*?[")
        for pattern in exceptions
    )


def _member(root: Path, name: str, planned: FileEntry | None, *, timeless: bool) -> Iterator[bytes]:
    path = root / name
    try:
        status = path.lstat()
    except OSError as error:
        raise unreadable(name, error) from error
    info = tarfile.TarInfo(name)
    info.mode = _mode(status, planned)
    info.mtime = 0 if timeless else max(0, int(status.st_mtime))
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, str(path.readlink())
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif not stat.S_ISREG(status.st_mode):
        return
    else:
        yield from _file(path, name, info, planned)
        return
    yield _header(info)


def _mode(status: os.stat_result, planned: FileEntry | None) -> int:
    if planned is not None:
        return planned.mode
    if sys.platform == "win32":
        return 0o755  # there is no executable bit to keep
    return stat.S_IMODE(status.st_mode)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _file(path: Path, name: str, info: tarfile.TarInfo, planned: FileEntry | None) -> Iterator[bytes]:
    digest = hashlib.sha256() if planned else None
    try:
        with path.open("rb") as content:
            info.size = left = os.fstat(content.fileno()).st_size
            yield _header(info)
            while left:
                piece = content.read(min(left, _READ))
                if not piece:
                    raise _changed(name)
                left -= len(piece)
                if digest:
                    digest.update(piece)
                yield piece
    except OSError as error:
        raise unreadable(name, error) from error
    if planned and digest and digest.hexdigest() != planned.sha256:
        raise _changed(name)
    if padding := -info.size % _BLOCK:
        yield b"\0" * padding


def _changed(name: str) -> ContextError:
    return ContextError(f"{name} changed while the context was sent", hint="build again when nothing writes to it")


def unreadable(name: str, error: OSError) -> ContextError:
    """Return the error of a file or folder in the context that cannot be read."""
    return ContextError(
        f"{name} in the context folder cannot be read: {error.strerror or error}",
        hint="make it readable, or name it in .dockerignore",
    )


class UploadStream:
    """The context's pieces on their way out, counted; ends the upload when the work is cancelled.

    ``heard`` is called for each of them.
    """

    def __init__(self, pieces: Iterator[bytes], cancel: CancelToken) -> None:
        self._pieces = pieces
        self._cancel = cancel
        self.bytes = 0
        self.heard: Callable[[], object] = lambda: None

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._cancel.check()
            self.bytes += len(piece)
            self.heard()
            yield piece
