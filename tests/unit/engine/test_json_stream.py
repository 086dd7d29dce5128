"""Bytes to documents."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from buildr_jupyter.engine.json_stream import decode_documents, iter_lines

CAPTURES = json.loads((Path(__file__).parents[2] / "fakes" / "engine-build-events.json").read_text())
log = logging.getLogger("test-io")


def documents(chunks: list[bytes]) -> list[Any]:
    return [document for line in iter_lines(chunks) for document in decode_documents(line, log)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", sorted(CAPTURES))
def test_a_capture_cut_at_every_size_gives_the_same_documents(name: str, end: bytes) -> None:
    known = [*CAPTURES[name], {"stream": "ünï → 🐳\n"}, {"error": "the end"}]
    data = b"".join(json.dumps(document, ensure_ascii=False).encode() + end for document in known)
    for size in [*range(1, 300), *range(300, len(data) + 1, 97), len(data)]:
        assert documents([data[start : start + size] for start in range(0, len(data), size)]) == known


def test_last_line_needs_no_newline_and_empty_ones_are_left_out() -> None:
    assert documents([b"\n\r\n", b'{"a":1}\n\n  \n{"b"', b":2}"]) == [{"a": 1}, {"b": 2}]


def test_what_is_no_object_is_a_document_too() -> None:
    assert documents([b'null\n[1]\n7\n"x"\n']) == [None, [1], 7, "x"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"not json", []),
        (b'rubbish {"error":"x"}', [{"error": "x"}]),
        (b'{"stream":"a"}{"error":"x"}', [{"stream": "a"}, {"error": "x"}]),
        (b'{"stream": {"error":"x"}', [{"error": "x"}]),
        (b'\xff\xfe{"error":"x"}', [{"error": "x"}]),
        (b"[" * 100_000, []),
    ],
)
def test_rubbish_is_logged_and_hides_nothing(line: bytes, found: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    assert decode_documents(line, log) == found
    if line.startswith(b'{"stream":"a"}'):
        assert caplog.records == []
    else:
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert caplog.messages[0].startswith("JSON decode error: ")
        assert len(caplog.messages[0]) < 2100


def test_memory_is_bounded_without_newlines() -> None:
    endless = (b"x" * 1000 for _ in range(1000))
    assert [len(line) for line in iter_lines(endless, max_bytes=5000)] == [5000]
    assert list(iter_lines([b"x" * 9, b"x" * 9, b"\nab\n"], max_bytes=5)) == [b"xxxxx", b"ab"]
