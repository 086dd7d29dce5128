"""A container's files as files of this machine: which of them a run made or changed, and an engine's tar streams."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from buildr_jupyter.errors import RunError
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Collection
from buildr_jupyter.process.tempfiles import Spool, atomic_write, spool

__all__ = [
    "OURS",
    "Folders",
    "Listing",
    "changed_files",
    "differences",
    "extract_outputs",
    "fetches",
    "kept_back",
    "listing",
    "local_names",
    "spooled",
]

OURS = ".buildr"
"""Below the output folder: what our own code in the image writes there."""
_SINGLE = 64
"""So many files of one folder are asked for one by one; more of them come with their whole folder."""
_CHANGED, _ADDED, _DELETED = 0, 1, 2
_MEMORY_BYTES = 16 << 20
_END_BYTES = 1024
"""So many zeros follow the last member of a whole tar."""
Listing = Mapping[str, tuple[object, ...]]
"""Absolute path of a container to all that a tar says of it, its content as sha256."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Folders of a container, as absolute paths."""

    work: str
    """The image's working directory, which the program may write below."""
    program: str
    """Where the program works: the same, or the notebook's folder in a tree below it."""
    output: str
    """``$BUILDR_OUTPUT_DIR``."""

    def own(self, path: str) -> bool:
        """Tell whether a file is one that the program makes where it works."""
        if "__pycache__" in PurePosixPath(path).parts:
            return False
        return self.is_output(path) or path.startswith(f"{self.work}/")

    def is_output(self, path: str) -> bool:
        """Tell whether a file is in the output folder."""
        return path.startswith(f"{self.output}/")

    def is_ours(self, path: str) -> bool:
        """Tell whether our own code wrote a file."""
        return path.startswith(f"{self.output}/{OURS}/")


def changed_files(changes: Iterable[Mapping[str, object]], folders: Folders, wanted: Collection) -> tuple[str, ...]:
    """Return the paths that a run made or changed and that come back, sorted; a folder among them is an empty one.

    ``changes`` is what an engine says of a container's layer: ``{"Path": …, "Kind": 0 changed, 1 added, 2 deleted}``.
    """
    paths = sorted(str(change["Path"]) for change in changes if change["Kind"] != _DELETED)
    parents = {str(parent) for path in paths for parent in PurePosixPath(path).parents}
    parents |= {str(PurePosixPath(str(change["Path"])).parent) for change in changes if change["Kind"] == _DELETED}
    return tuple(
        path
        for path in paths
        if path not in parents
        and (folders.is_ours(path) or ((folders.own(path) or wanted.anywhere) and wanted.takes(path, folders.program)))
    )


def fetches(files: Sequence[str], changes: Iterable[Mapping[str, object]]) -> list[tuple[str, tuple[str, ...]]]:
    """Return what to ask an engine for, and which of ``files`` come with it: a folder that is all new, else each file.

    A folder of which more than 64 files are wanted is taken whole, though the others of it come along.
    """
    added = {str(change["Path"]) for change in changes if change["Kind"] == _ADDED}
    below = Counter(str(parent) for path in added for parent in PurePosixPath(path).parents)
    below -= Counter(str(parent) for path in added if below[path] for parent in PurePosixPath(path).parents)
    groups: dict[str, list[str]] = {}
    for path in files:
        new = [str(parent) for parent in PurePosixPath(path).parents if str(parent) in added]
        groups.setdefault(new[-1] if new else str(PurePosixPath(path).parent), []).append(path)
    asked: list[tuple[str, tuple[str, ...]]] = []
    for folder, members in groups.items():
        whole = folder in added and len(members) == below[folder]
        if folder != "/" and (whole or len(members) > _SINGLE):
            asked.append((folder, tuple(members)))
        else:
            asked.extend((path, (path,)) for path in members)
    return asked


def spooled(chunks: Iterable[bytes], most_bytes: int) -> Spool | None:
    """Return a tar that is no larger than ``most_bytes``; None for another one, of which little more is read.

    It is in memory up to 16 MiB. Raises OSError where the disk has no room for it.
    """
    data = spool(_MEMORY_BYTES)
    for chunk in chunks:
        data.write(chunk)
        if data.tell() > most_bytes:
            data.close()
            return None
    return data


def listing(data: Spool, folder: str, before: Listing | None = None) -> Listing | None:
    """Return what the tar of a container's ``folder`` holds; None where it is no folder, or no whole tar.

    A file that ``before`` has not in the same size is another one whatever is in it, and has no digest.
    """
    found: dict[str, tuple[object, ...]] = {}
    data.seek(0)
    try:
        with tarfile.open(fileobj=data, mode="r:") as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts
                if len(parts) <= 1:
                    if not member.isdir():
                        return None
                    continue
                place = str(PurePosixPath(folder, *parts[1:]))
                about: tuple[object, ...] = (
                    member.type,
                    member.mode,
                    member.uid,
                    member.gid,
                    member.linkname,
                    member.size,
                )
                if not member.isdir():
                    known = before is None or before.get(place, ())[: len(about)] == about
                    content = tar.extractfile(member) if known and member.isfile() else None
                    digest = hashlib.sha256(content.read()).hexdigest() if content else ""
                    about = (*about, digest, member.mtime)
                found[place] = about
            data.seek(tar.offset)
            if data.read(_END_BYTES) != bytes(_END_BYTES):
                return None
    except (tarfile.TarError, EOFError):
        return None
    return found


def differences(before: Listing, after: Listing) -> list[dict[str, object]] | None:
    """Return what was changed, added and deleted, as an engine says it of a container's layer (``changed_files``).

    None where a new file is a second name of another one, whose content a tar may hold in one of them alone.
    """
    kinds = {path: _CHANGED if path in before else _ADDED for path in after if before.get(path) != after[path]}
    if any(after[path][0] == tarfile.LNKTYPE for path in kinds):
        return None
    kinds |= dict.fromkeys(before.keys() - after.keys(), _DELETED)
    return [{"Path": path, "Kind": kind} for path, kind in sorted(kinds.items())]


def local_names(files: Iterable[str], folders: Folders) -> dict[str, PurePosixPath]:
    """Return for each file of the container its name here, relative to the folder of the run; no two have the same.

    A file of the output folder is named from there, one of the program's folder from that. Where both have a name, and
    for all else, the path in the container is kept: ``output/a.csv``, ``app/a.csv``, ``tmp/a.csv``.
    """
    names: dict[str, PurePosixPath] = {}
    taken: set[PurePosixPath] = set()

    def rank(path: str) -> tuple[object, ...]:
        beside = not path.startswith(f"{folders.program}/")
        return not folders.is_ours(path), folders.is_output(path), beside, path

    for path in sorted(files, key=rank):
        whole = PurePosixPath(path.lstrip("/"))
        choices = [whole, PurePosixPath("container") / whole]
        for folder in (folders.work, folders.program, folders.output):
            if path.startswith(f"{folder}/"):
                choices.insert(0, PurePosixPath(path).relative_to(folder))
        name = next((one for one in choices if one not in taken), choices[-1])
        names[path] = name
        taken |= {name}
    return names


def extract_outputs(
    source: Iterable[bytes] | Spool,
    folder: Path,
    *,
    name: Callable[[PurePosixPath], PurePosixPath | None] = lambda path: PurePosixPath(*path.parts[1:]),
    takes: Callable[[PurePosixPath, int], bool] = lambda _path, _size: True,
) -> Generator[Event, None, tuple[Path, ...]]:
    """Write the regular files of a tar below ``folder`` and return their paths, sorted.

    ``name`` gives a member's place there, None where it is not wanted; by default the first part of its name (the
    folder that was asked for) is taken off. ``takes`` tells, by name and bytes, whether a file is copied. Links,
    devices and names that lead out of ``folder`` are left out and said; a file that is there is replaced. Only the bits
    0o755 of a mode are kept. Raises RunError where the files cannot be written.
    """
    written = []
    known: dict[str, Path] = {}
    try:
        root = folder.resolve()  # made when there is something to put into it
        with _opened(source) as tar:
            for member in tar:
                place = name(PurePosixPath(member.name))
                if place is None or not place.parts or member.isdir():
                    continue
                if member.isfile() and not takes(place, member.size):
                    continue
                target = root.joinpath(*place.parts)
                content = _content(tar, member, known)
                if content is None:
                    yield kept_back(place)
                    continue
                with content:
                    if ".." in place.parts or not target.parent.resolve().is_relative_to(root):
                        yield BuildWarning(f"output {str(place)!r} leads out of its folder and stays in the container")
                        continue
                    _write(target, content, member.mode)
                known[member.name] = target
                written.append(folder.joinpath(*place.parts))
    except (OSError, tarfile.TarError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"the container's output files cannot be copied to {folder}: {why}") from error
    return tuple(sorted(written))


def _opened(source: Iterable[bytes] | Spool) -> tarfile.TarFile:
    if isinstance(source, tempfile.SpooledTemporaryFile):
        source.seek(0)
        return tarfile.open(fileobj=source, mode="r:")
    return tarfile.open(fileobj=_Reader(source), mode="r|")


def kept_back(place: PurePosixPath | None) -> BuildWarning:
    """Return the warning that something that is no file, a link say, is not copied."""
    return BuildWarning(f"output {str(place)!r} is no regular file and stays in the container")


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, known: dict[str, Path]) -> IO[bytes] | None:
    """Return what a member holds; a second name of a file that came before holds the same. None for any other kind."""
    if member.islnk():
        first = known.get(member.linkname)
        return first.open("rb") if first else None
    return tar.extractfile(member) if member.isfile() else None


def _write(target: Path, content: IO[bytes], mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as half:
        with half.open("wb") as sink:
            while block := content.read(1 << 20):
                sink.write(block)
        half.chmod(0o600 | (mode & 0o755))
        half.replace(target)


class _Reader(io.RawIOBase):
    """Chunks as the file that tarfile reads: mode ``r|`` asks for ``read`` alone."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        pieces, have = [self._rest], len(self._rest)
        while size < 0 or have < size:
            piece = next(self._chunks, b"")
            if not piece:
                break
            pieces.append(piece)
            have += len(piece)
        whole = b"".join(pieces)
        cut = len(whole) if size < 0 else size
        self._rest = whole[cut:]
        return whole[:cut]
