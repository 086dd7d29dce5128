"""From the bytes that an engine sends to JSON documents.

docker-py hands out HTTP chunks, and a chunk is no document: it can hold several, or a part of one, or cut a character
in two. So the bytes are split at newlines first, and each line is decoded on its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator

__all__ = ["MAX_DOCUMENT_BYTES", "decode_documents", "iter_lines"]

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""A line that gets longer than this is given out cut, so that a stream without newlines cannot fill the memory."""

_SHOWN = 2000
_decoder = json.JSONDecoder()


def iter_lines(chunks: Iterable[bytes], *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Iterator[bytes]:
    """Yield the lines of the stream as they are complete, without line ends and without empty ones.

    The last line needs no newline. Of a line longer than ``max_bytes`` the first ``max_bytes`` are given.
    """
    pending: list[bytes] = []
    pending_bytes = 0
    for chunk in chunks:
        if isinstance(chunk, str):  # docker-py gives a text where the engine answered without chunks
            chunk = chunk.encode()
        first, *rest = chunk.split(b"\n")
        if not rest:
            if pending_bytes < max_bytes:
                pending.append(first)
                pending_bytes += len(first)
            continue
        line = b"".join((*pending, first))[:max_bytes].strip() if pending else first[:max_bytes].strip()
        if line:
            yield line
        for line in rest[:-1]:
            if line := line[:max_bytes].strip():
                yield line
        pending, pending_bytes = ([rest[-1]], len(rest[-1])) if rest[-1] else ([], 0)
    if line := b"".join(pending)[:max_bytes].strip():
        yield line


def decode_documents(line: bytes, logger: logging.Logger) -> list[object]:
    """Return the JSON documents on one line: one, almost always.

    What is no JSON is logged on ``logger`` as ``JSON decode error: …`` (WARNING) and left out, and the documents
    around it are still found: rubbish must not hide an error that follows it. Bytes that are no UTF-8 become U+FFFD.
    """
    text = line.decode("utf-8", "replace")
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        return _salvage(text.strip(), logger)
    except RecursionError:
        logger.warning("JSON decode error: %s", text[:_SHOWN])
        return []


def _salvage(text: str, logger: logging.Logger) -> list[object]:
    found: list[object] = []
    rubbish = False
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        try:
            document, position = _decoder.raw_decode(text, position)
            found.append(document)
        except (json.JSONDecodeError, RecursionError):
            rubbish = True
            following = text.find('{"', position + 1)
            if following < 0:
                break
            position = following
    if rubbish:
        logger.warning("JSON decode error: %s", text[:_SHOWN])
    return found
