"""What a collector sent: read whole, or refused."""

from __future__ import annotations

import io

import pytest

from buildr_jupyter.errors import ReturnError
from buildr_jupyter.in_image import collector
from buildr_jupyter.runner.collected import read_frame


def lines(tmp_path: object) -> list[bytes]:
    out = io.StringIO()
    known = {"places": [["/app", str(tmp_path)]], "image": None, "folders": ["/app", "/app", "/app/output"]}
    collector.write({**known, "patterns": [], "nothing": False, "anywhere": False}, out)
    return [f"{line}\n".encode() for line in out.getvalue().splitlines()]


def test_a_frame_that_is_not_whole_yet(tmp_path: object) -> None:
    sent = lines(tmp_path)
    for number in range(len(sent)):
        assert read_frame(sent[:number]) is None
    assert read_frame([b"noise\n", *sent, b"more\n"]) is not None


def test_what_is_damaged_is_refused(tmp_path: object) -> None:
    sent = lines(tmp_path)
    for number, wrong in ((2, b"QUJD\n"), (2, b"%%%\n"), (1, b"[]\n"), (1, b"{}\n")):
        with pytest.raises(ReturnError, match="damaged"):
            read_frame([*sent[:number], wrong, *sent[number + 1 :]])
    with pytest.raises(ReturnError, match="could not be collected: OSError"):
        read_frame([b"buildr-output failed OSError()\n"])
