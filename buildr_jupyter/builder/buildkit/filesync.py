"""A context folder served to BuildKit over a session: the names first, then what the engine asks for.

Of a folder that it has seen before it asks for what changed only. Source: tonistiigi/fsutil ``types/wire.proto`` and
``types/stat.proto`` (Packet, Stat), ``send.go``; moby/buildkit ``session/filesync/filesync.go``. Go's ``os.FileMode``
has bits of its own for kinds.
"""

from __future__ import annotations

import hashlib
import os
import platform
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_plus

from buildr_jupyter.builder.buildkit.proto import fields_of
from buildr_jupyter.context.tar_stream import Matcher, planned_names, unreadable, walk
from buildr_jupyter.errors import BuildrError, ContextError
from buildr_jupyter.model.plan import FileEntry
from buildr_jupyter.model.request import BuildRequest

__all__ = ["SharedFolder", "field"]

_STAT, _REQUEST, _DATA, _FINISH, _ERROR = range(5)
_DIRECTORY, _LINK, _SETUID, _SETGID, _STICKY = 1 << 31, 1 << 27, 1 << 23, 1 << 22, 1 << 20
_PIECE = 256 * 1024
_TOGETHER = 250
"""So many names are sent at once."""
_WILD = set("*?[\\")


def field(number: int, value: int | bytes) -> bytes:
    """Return one field of a protobuf message; nothing for 0 and for no bytes, as proto3 has it."""
    if not value:
        return b""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


@dataclass(slots=True)
class _Entry:
    name: str
    mode: int
    """In Go's bits."""
    size: int = 0
    mtime_ns: int = 0
    link: str = ""
    content: bytes | None = None
    """What is sent in place of the file's own content."""
    planned: FileEntry | None = None

    def packet(self) -> bytes:
        told = (
            field(1, os.fsencode(self.name)) + field(2, self.mode) + field(5, self.size) + field(6, self.mtime_ns)
            + field(7, os.fsencode(self.link))
        )  # fmt: skip
        return field(2, told)  # the type, 0, is left out


class SharedFolder:
    """The context of one request, as BuildKit's frontend asks for it; it applies .dockerignore itself.

    ``error`` is what went wrong here while it was served: the build's own failure says less.
    """

    def __init__(self, request: BuildRequest, dockerfile: bytes | None) -> None:
        self._request, self._dockerfile, self._root = request, dockerfile, str(request.context)
        self.error: BuildrError | None = None
        plan = request.plan if request.plan and request.plan.dockerfile is None else None
        self._planned = {entry.path: entry for entry in plan.all_files} if plan else None
        # What a plan names has the time 0, so that only its content may tell two folders apart.
        identity = plan.content_digest if plan else f"{platform.node()}:{request.context.resolve()}"
        self.key = hashlib.sha256(identity.encode()).hexdigest()
        """Folders with one key are taken for states of the same."""

    def serve(self, requests: Iterable[bytes], metadata: Iterable[tuple[str, str]]) -> Iterator[list[bytes]]:
        """Yield the packets that answer one DiffCopy call, those together that are there together.

        The requests come while the names go: who gives them may not wait for us.
        """
        asked: dict[str, list[str]] = {}
        for key, value in metadata:
            asked.setdefault(key, []).append(value)
        for key in [key for key in asked if f"{key}-encoded" in asked]:
            asked[key] = [unquote_plus(value) for value in asked[key]]
        try:
            yield from self._answer(requests, asked)
        except BuildrError as error:
            self.error = error
            yield [field(1, _ERROR) + field(4, str(error).encode())]

    def _answer(self, requests: Iterable[bytes], asked: dict[str, list[str]]) -> Iterator[list[bytes]]:
        entries: list[_Entry] = []
        names: list[bytes] = []
        wanted = _wanted(self._request.context, asked.get("include-patterns", []), asked.get("followpaths", []))
        for entry in self._entries(asked.get("exclude-patterns", []), wanted):
            entries.append(entry)
            names.append(entry.packet())
            if len(names) == _TOGETHER:  # the engine begins with these
                yield names
                names = []
        yield [*names, b""]  # a stat of nothing: that was the last
        for packet in requests:
            values = dict(fields_of(packet))
            kind, number = values.get(1, 0), values.get(3, 0)
            if kind == _FINISH:
                yield [field(1, _FINISH)]
                return
            if kind == _REQUEST and isinstance(number, int) and number < len(entries):
                identity = field(1, _DATA) + field(3, number)
                last: list[bytes] = []
                for piece in self._pieces(entries[number]):
                    if last:
                        yield last
                    last = [identity + field(4, piece)]
                yield [*last, identity]

    def _entries(self, excludes: Sequence[str], wanted: Sequence[str] | None) -> Iterator[_Entry]:
        from docker.utils.build import PatternMatcher

        root = self._request.context
        matcher = PatternMatcher(list(excludes)) if excludes else None
        parents: set[str] = set()
        for name in self._names(root, matcher, wanted):
            folder = name.rpartition("/")[0]
            if folder and folder not in parents:  # not asked for, or ignored, and something below is not
                for missing in _missing(folder, parents):
                    yield self._entry(missing)
                    parents.add(missing)
            entry = self._entry(name)
            if entry.mode & _DIRECTORY:
                parents.add(name)
            if entry.mode:
                yield entry

    def _names(self, root: Path, matcher: Matcher | None, wanted: Sequence[str] | None) -> Iterator[str]:
        if self._planned is not None:
            for name in sorted(
                planned_names(root, self._request.dockerfile, self._planned), key=lambda n: n.split("/")
            ):
                asked = wanted is None or any(_within(name, one) for one in wanted)
                if asked and (matcher is None or not matcher.matches(name)):
                    yield name
            return
        if wanted is None:
            yield from walk(root, matcher)
            return
        for name in wanted:
            if (matcher is None or not matcher.matches(name)) and (root / name).exists():
                yield name
            if (root / name).is_dir():
                yield from walk(root, matcher, name)

    def _entry(self, name: str) -> _Entry:
        path = f"{self._root}/{name}"  # for a thousand files pathlib costs as much as the rest
        try:
            status = os.lstat(path)
            kind, mode = stat.S_IFMT(status.st_mode), status.st_mode
            link = os.readlink(path) if kind == stat.S_IFLNK else ""  # noqa: PTH115
        except OSError as error:
            raise unreadable(name, error) from error
        bits = mode & 0o777
        if mode & 0o7000:
            for ours, gos in ((stat.S_ISUID, _SETUID), (stat.S_ISGID, _SETGID), (stat.S_ISVTX, _STICKY)):
                bits |= gos if mode & ours else 0
        mtime = 0 if self._planned is not None else max(0, status.st_mtime_ns)
        if kind == stat.S_IFDIR:
            return _Entry(name, bits | _DIRECTORY, 0, mtime)
        if kind == stat.S_IFLNK:
            return _Entry(name, 0o777 | _LINK, len(os.fsencode(link)), mtime, link)
        if kind != stat.S_IFREG:
            return _Entry(name, 0)  # a socket, FIFO or device is left out
        if name == self._request.dockerfile and self._dockerfile is not None:
            return _Entry(name, 0o644, len(self._dockerfile), mtime, content=self._dockerfile)
        planned = (self._planned or {}).get(name)
        return _Entry(name, planned.mode if planned else bits, status.st_size, mtime, planned=planned)

    def _pieces(self, entry: _Entry) -> Iterator[bytes]:
        if entry.content is not None:
            yield entry.content
            return
        if entry.mode & (_DIRECTORY | _LINK):
            return
        try:
            with (self._request.context / entry.name).open("rb") as content:
                if entry.planned:  # looked at before: what was sent, the engine would keep
                    if hashlib.file_digest(content, "sha256").hexdigest() != entry.planned.sha256:
                        raise _changed(entry.name)
                    content.seek(0)
                digest = hashlib.sha256()
                while piece := content.read(_PIECE):
                    if entry.planned:
                        digest.update(piece)
                    yield piece
        except OSError as error:
            raise unreadable(entry.name, error) from error
        if entry.planned and digest.hexdigest() != entry.planned.sha256:
            raise _changed(entry.name)


def _changed(name: str) -> ContextError:
    return ContextError(f"{name} changed while the context was sent", hint="build again when nothing writes to it")


def _wanted(root: Path, includes: Sequence[str], follow: Sequence[str]) -> list[str] | None:
    """Return the names that are asked for, None for all: where patterns or links would have to be understood."""
    named = sorted({name.strip("/") for name in (*includes, *follow)}, key=lambda name: name.split("/"))
    if not named or any(set(name) & _WILD or name in ("", ".") for name in named):
        return None
    for name in named:
        path = root
        for part in name.split("/"):
            path = path / part
            if path.is_symlink():
                return None
    return [name for name in named if not any(name.startswith(f"{other}/") for other in named)]


def _within(name: str, folder: str) -> bool:
    return name == folder or name.startswith(f"{folder}/")


def _missing(folder: str, known: set[str]) -> list[str]:
    parts = folder.split("/")
    return [one for end in range(1, len(parts) + 1) if (one := "/".join(parts[:end])) not in known]
