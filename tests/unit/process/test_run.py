from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildr_jupyter.errors import Cancelled, EngineError, EnginePermission, EngineUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.process.run import MAX_PIECE_BYTES, Output, ask, follow
from tests.fakes.processes import arguments_with


def python(code: str, *args: str) -> list[str]:
    return [sys.executable, "-c", code, *args]


def run(command: list[str], **more: object) -> tuple[list[Output], int]:
    pieces = follow(command, cancel=CancelToken(), **more)  # type: ignore[arg-type]
    found = []
    while True:
        try:
            found.append(next(pieces))
        except StopIteration as end:
            return found, end.value


def text_of(found: list[Output], stream: str) -> bytes:
    return b"".join(piece.data for piece in found if piece.stream == stream)


def test_lines_of_both_streams_and_the_status() -> None:
    found, status = run(["sh", "-c", "echo a; echo b >&2; printf c; exit 7"])
    assert status == 7
    assert [piece for piece in found if piece.stream == "stdout"] == [Output("stdout", b"a\n"), Output("stdout", b"c")]
    assert text_of(found, "stderr") == b"b\n"


def test_a_signal_is_a_negative_status() -> None:
    assert run(["sh", "-c", "kill -9 $$"])[1] == -signal.SIGKILL


def test_half_a_line_is_not_held_back() -> None:
    pieces = follow(["sh", "-c", "printf half; exec sleep 60"], cancel=CancelToken())
    assert next(pieces) == Output("stdout", b"half")
    pieces.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_nothing_is_lost_or_added(parts: list[bytes]) -> None:
    found, status = run(["cat"], stdin=parts)
    assert (text_of(found, "stdout"), status) == (b"".join(parts), 0)
    assert all(piece.data.count(b"\n") <= 1 for piece in found)
    assert all(b"\n" not in piece.data[:-1] for piece in found)


def test_a_flood_in_one_line_comes_in_pieces() -> None:
    found, _ = run(python("import sys; sys.stdout.write('x' * 10**7)"))
    assert sum(len(piece.data) for piece in found) == 10**7
    assert max(len(piece.data) for piece in found) <= 2 * MAX_PIECE_BYTES


def test_input_larger_than_a_pipe() -> None:
    found, _ = run(["wc", "-c"], stdin=(b"x" * 100_000 for _ in range(30)))
    assert int(text_of(found, "stdout")) == 3_000_000


def test_a_command_that_does_not_read_its_input() -> None:
    assert run(["true"], stdin=(b"x" * 100_000 for _ in range(30)))[1] == 0


def test_an_error_of_the_input_ends_the_command() -> None:
    def broken() -> Iterator[bytes]:
        yield b"x"
        raise ValueError("changed meanwhile")

    with pytest.raises(ValueError, match="changed meanwhile"):
        run(["sh", "-c", "cat; exec sleep 60"], stdin=broken())


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_cancel_ends_the_command_and_what_it_started(trap: str) -> None:
    nonce = f"{1000 + os.getpid() % 999}.{time.monotonic_ns() % 10**9}"
    cancel = CancelToken()
    pieces = follow(["sh", "-c", f"{trap}sleep {nonce} & echo up; sleep {nonce}; wait"], cancel=cancel)
    next(pieces)
    deadline = time.monotonic() + 10
    while len(arguments_with(nonce)) < 2:
        assert time.monotonic() < deadline
    threading.Timer(0.05, cancel.set).start()
    start = time.monotonic()
    with pytest.raises(Cancelled):
        list(pieces)
    assert arguments_with(nonce) == []
    assert time.monotonic() - start < 8


def test_closing_ends_it_too() -> None:
    nonce = f"1234.{time.monotonic_ns()}"
    pieces = follow(["sh", "-c", f"echo up; sleep {nonce}"], cancel=CancelToken())
    next(pieces)
    pieces.close()
    assert arguments_with(nonce) == []


def test_a_token_that_is_set_starts_nothing(tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.set()
    with pytest.raises(Cancelled):
        list(follow(["touch", str(tmp_path / "x")], cancel=cancel))
    assert not (tmp_path / "x").exists()


def test_no_such_command(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no command 'nothing-like-it'") as caught:
        run(["nothing-like-it"], hint="install it")
    assert caught.value.hint == "install it"
    (tmp_path / "x").write_text("")
    with pytest.raises(EnginePermission, match="may not be run"):
        run([str(tmp_path / "x")])
    (tmp_path / "y").write_bytes(b"\0\0")
    (tmp_path / "y").chmod(0o755)
    with pytest.raises(EngineUnavailable, match="cannot be run"):
        run([str(tmp_path / "y")])


def test_ask() -> None:
    assert ask(["echo", "é"]) == "é\n"
    with pytest.raises(EngineError, match="sh -c failed with status 3: why"):
        ask(["sh", "-c", "echo why >&2; exit 3"])
    with pytest.raises(EngineError, match="did not answer within 0 s"):
        ask(["sleep", "60"], timeout_s=0.2)
    with pytest.raises(EngineError, match="does not stop writing"):
        ask(["yes", "x" * 100])


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    run(["sh", "-c", "echo a"], stdin=[b"x"])
    assert threading.active_count() == before


def test_a_command_may_not_be_silent_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDR_IDLE_TIMEOUT", "0.2")
    said = []
    with pytest.raises(EngineError, match="^sh said nothing for 0 s") as caught:
        for piece in follow(["sh", "-c", "echo begins; printf half; sleep 60"], cancel=CancelToken()):
            said.append(piece.data)  # noqa: PERF401 - what came before the error counts
    assert said == [b"begins\n", b"half"]
    assert "BUILDR_IDLE_TIMEOUT" in str(caught.value.hint)


def test_whoever_works_for_a_silent_command_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDR_READ_TIMEOUT", "0.1")
    asked = []

    def still_there() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise EngineUnavailable("the daemon is gone")

    with pytest.raises(EngineUnavailable, match="the daemon is gone"):
        list(follow(["sleep", "60"], cancel=CancelToken(), still_there=still_there))
    assert len(asked) == 3
