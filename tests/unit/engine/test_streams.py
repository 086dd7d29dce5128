"""Waiting for an engine: ended by a cancel before its answer begins, and by the limits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.engine.streams import AbortableStream
from buildr_jupyter.errors import BuildError, Cancelled, EngineError, EngineUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest
from tests.fakes.engine import FakeEngine, lines_of


@pytest.fixture
def request_(tmp_path: Path) -> BuildRequest:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return BuildRequest(tmp_path, (ImageRef.parse("x:1"),))


Subject = Callable[[FakeEngine], DockerBuilder]


@pytest.mark.parametrize("what", ["build", "pull", "push"])
def test_a_question_without_an_answer_can_be_cancelled(subject: Subject, request_: BuildRequest, what: str) -> None:
    cancel = CancelToken()
    with FakeEngine(mute=True) as fake:
        made = subject(fake)
        stream = {
            "build": lambda: made.stream_build(request_, cancel),
            "pull": lambda: made.resolve_base(BaseRequest("reg.example/b:1", None, True), cancel),
            "push": lambda: made.stream_push(ImageRef.parse("reg.example/b:1"), cancel),
        }[what]()
        waiting = threading.Thread(target=lambda: (fake.hangs.wait(30), cancel.set()))
        waiting.start()
        with pytest.raises(Cancelled):
            list(stream)
        waiting.join()
        assert fake.closed.wait(10)


@pytest.mark.parametrize("mute", [True, False])
def test_an_engine_that_is_there_may_not_be_silent_for_ever(
    subject: Subject, request_: BuildRequest, monkeypatch: pytest.MonkeyPatch, mute: bool
) -> None:
    monkeypatch.setenv("BUILDR_IDLE_TIMEOUT", "0.3")
    said = lines_of([{"stream": "Step 1/1 : RUN x"}])
    with FakeEngine(build=said, hang=True, mute=mute) as fake:
        with pytest.raises(EngineError, match=r"said nothing for 0 s") as caught:
            list(subject(fake).stream_build(request_, CancelToken()))
        assert "BUILDR_IDLE_TIMEOUT" in str(caught.value.hint)
        assert fake.closed.wait(10)
    assert not [thread for thread in threading.enumerate() if thread.name == "buildr-silence"]


def test_an_engine_that_is_gone_is_noticed_while_its_stream_is_silent(
    subject: Subject, request_: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUILDR_READ_TIMEOUT", "0.5")
    with FakeEngine(hang=True, build=lines_of([{"stream": "Step 1/1 : RUN x"}])) as fake:
        made = subject(fake)
        made._client()
        path = Path(fake.host.removeprefix("unix://"))
        waiting = threading.Thread(target=lambda: (fake.hangs.wait(30), path.unlink()))
        waiting.start()
        with pytest.raises((EngineUnavailable, BuildError), match="has gone silent and does not answer any more"):
            list(made.stream_build(request_, CancelToken()))
        waiting.join()


def test_a_quiet_engine_is_waited_for(
    subject: Subject, request_: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked meanwhile, and answers."""
    monkeypatch.setenv("BUILDR_READ_TIMEOUT", "0.2")
    cancel = CancelToken()
    with FakeEngine(mute=True) as fake:
        timer = threading.Thread(target=lambda: (fake.hangs.wait(30), time.sleep(1.0), cancel.set()))
        timer.start()
        with pytest.raises(Cancelled):
            list(subject(fake).stream_build(request_, cancel))
        timer.join()
        assert fake.asked("/_ping")


class _Question:
    """A connection whose end wakes a reader that leaves the block before the next one is broken off."""

    def __init__(self, woken: Callable[[], object] = lambda: None) -> None:
        self.sock = self
        self.broken_off = 0
        self._woken = woken

    def shutdown(self, how: int) -> None:
        self.broken_off += 1
        if self.broken_off == 1:
            self._woken()


def test_a_late_cancel_breaks_off_no_later_question(subject: Subject) -> None:
    """Two connections have carried a stream, and the first one's end wakes who waits: with the second one it asks
    for the container's removal. That was lost ("Remote end closed connection without response")."""
    closed = threading.Event()
    ends: list[int] = []

    def close() -> None:
        asked.close()
        ends.append(second.broken_off)
        closed.set()

    with FakeEngine() as fake:
        asked = AbortableStream(subject(fake)._client(), idle=False)
        second = _Question()
        first = _Question(woken=lambda: (threading.Thread(target=close).start(), closed.wait(0.3)))
        asked._asked += [first, second]
        asked.shut()
        assert closed.wait(30)
        asked.shut()
    assert first.broken_off
    assert ends == [second.broken_off]
