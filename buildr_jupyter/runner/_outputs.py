"""A container's output folder as files of this machine, taken from the engine's tar stream."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Generator, Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from buildr_jupyter.errors import RunError
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.tempfiles import atomic_write

__all__ = ["extract_outputs"]


def extract_outputs(chunks: Iterable[bytes], folder: Path) -> Generator[Event, None, tuple[Path, ...]]:
    """Write the regular files of a tar below ``folder`` and return their paths, sorted.

    The first part of each name (the folder that was asked for) is taken off. Links, devices and names that lead out of
    ``folder`` are left out and said; a file that is there is replaced. Only the bits 0o755 of a mode are kept.
    Raises RunError where the files cannot be written.
    """
    written = []
    known: dict[str, Path] = {}
    try:
        root = folder.resolve()  # made when there is something to put into it
        with tarfile.open(fileobj=_Reader(chunks), mode="r|") as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts[1:]
                if not parts or member.isdir():
                    continue
                target = root.joinpath(*parts)
                content = _content(tar, member, known)
                if content is None:
                    yield BuildWarning(f"output {'/'.join(parts)!r} is no regular file and stays in the container")
                    continue
                with content:
                    if ".." in parts or not target.parent.resolve().is_relative_to(root):
                        yield BuildWarning(
                            f"output {'/'.join(parts)!r} leads out of its folder and stays in the container"
                        )
                        continue
                    _write(target, content, member.mode)
                known[member.name] = target
                written.append(folder.joinpath(*parts))
    except (OSError, tarfile.TarError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"the container's output files cannot be copied to {folder}: {why}") from error
    return tuple(sorted(written))


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
