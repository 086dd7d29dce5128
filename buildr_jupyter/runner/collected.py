"""Outputs of a run as its collector wrote them into its log: read, checked, and given on as a tar stream."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from buildr_jupyter.errors import ReturnError
from buildr_jupyter.in_image.collector import BEGIN, END, LIMIT
from buildr_jupyter.model.json_object import parse_object

__all__ = ["Collected", "read_frame"]

_FAILED = b"buildr-output failed "


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collector sent."""

    tar: bytes
    """Each file below a folder ``output``; the tar's size and digest were checked."""
    left_out: tuple[str, ...] = ()
    """Files that did not fit: at most the first hundred."""
    left_out_bytes: int = 0
    others: tuple[str, ...] = ()
    """What is no regular file and stays where it is."""


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
    left, others, size = about.get("left_out"), about.get("others"), about.get("left_out_bytes")
    return Collected(
        packed,
        tuple(map(str, left)) if isinstance(left, list) else (),
        size if isinstance(size, int) else 0,
        tuple(map(str, others)) if isinstance(others, list) else (),
    )
