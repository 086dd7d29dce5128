"""Outputs of a run as its collector wrote them into its log: read, checked, and given on as a tar stream."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from buildr_jupyter.errors import ReturnError
from buildr_jupyter.in_image.collector import BEGIN, END, LIMIT
from buildr_jupyter.model.json_object import parse_object
from buildr_jupyter.runner._outputs import Folders, local_names

__all__ = ["Collected", "read_frame"]

_FAILED = b"buildr-output failed "


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collector sent."""

    tar: bytes
    """The files by their paths in the container, without the first slash; the tar's size and digest were checked."""
    names: Mapping[str, PurePosixPath]
    """What each of them is called here, relative to the folder of the run."""
    folders: Folders
    left_out: tuple[str, ...] = ()
    """Files that did not fit: at most the first hundred."""
    left_out_count: int = 0
    left_out_bytes: int = 0
    artifact: str | None = None
    """Digest of the artifact that the files are, where they were pushed to a registry."""
    not_pushed: str = ""
    """Why they were not, though that was wanted."""
    others: tuple[str, ...] = ()
    """What is no regular file and stays where it is."""
    seen: bool = True
    """Whether the collector saw the program's end before it looked for files."""
    held: bool = False
    """Whether the pod keeps all of the files for a while, as some were left out."""


def read_frame(lines: Iterable[bytes]) -> Collected | None:
    """Return what the lines of a collector's log hold; None where the frame is not whole (yet).

    Raises ReturnError where the collector failed, and where what came is damaged.
    """
    about, packed, size = None, bytearray(), 0
    began = False
    for line in lines:
        text = line.rstrip(b"\r\n")
        if text.startswith(_FAILED):
            why = text[len(_FAILED) :].decode("utf-8", "replace")[:200]
            raise ReturnError(f"the run's output files could not be collected: {why}")
        if text == BEGIN.encode():
            began, about, size = True, None, 0
            packed.clear()
        elif not began:
            continue
        elif about is None:
            about = parse_object(text)
            if about is None:
                raise ReturnError("the run's output files came damaged: their list is no JSON object")
        elif text.startswith(END.encode()):
            return _whole(bytes(packed), text.decode("ascii", "replace")[len(END) :].split(), about)
        else:
            size += len(text)
            if size > 2 * LIMIT:
                raise ReturnError(f"the run's collector sends more than {LIMIT:,} bytes")
            try:
                packed += base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise ReturnError(f"the run's output files came damaged: {error}") from error
    return None


def _whole(packed: bytes, said: list[str], about: dict[str, object]) -> Collected:
    if said != [str(len(packed)), hashlib.sha256(packed).hexdigest()]:
        raise ReturnError("the run's output files came damaged: they are not what their collector sent")
    left, others, folders = about.get("left_out"), about.get("others"), about.get("folders")
    count, size = about.get("left_out_count"), about.get("left_out_bytes")
    if not isinstance(folders, list) or len(folders) != 3:
        raise ReturnError("the run's output files came damaged: their folders are not named")
    known, artifact = Folders(*map(str, folders)), about.get("artifact")
    return Collected(
        packed,
        _names(packed, known),
        known,
        tuple(map(str, left)) if isinstance(left, list) else (),
        count if isinstance(count, int) else 0,
        size if isinstance(size, int) else 0,
        artifact if isinstance(artifact, str) else None,
        str(about.get("not_pushed") or "")[:500],
        tuple(map(str, others)) if isinstance(others, list) else (),
        about.get("seen") is not False,
        about.get("held") is True,
    )


def _names(packed: bytes, folders: Folders) -> dict[str, PurePosixPath]:
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            paths = tar.getnames()
    except tarfile.TarError as error:
        raise ReturnError(f"the run's output files came damaged: {error}") from error
    named = local_names([f"/{path}" for path in paths], folders)
    return {path: named[f"/{path}"] for path in paths}
