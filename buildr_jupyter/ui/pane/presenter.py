"""Presenter of the pane: one writer, numbered messages at least 70 ms apart, and an answer to what a page missed.

``draw`` and ``close`` come from the thread that drives the build; what a page says (``hear``) comes from any thread.
While a build is driven, ``hear`` only leaves a note for the driving thread, so that there is one writer.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from buildr_jupyter.events.event import Event, LogLine, RunOutput
from buildr_jupyter.events.line_assembler import LogLines
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.ui.pane.eta import Durations, Progress
from buildr_jupyter.ui.pane.log_buffer import LogFeed, LogFile
from buildr_jupyter.ui.pane.view_model import Ages, Rates, StepView, View, make_view
from buildr_jupyter.ui.plain import write_output

__all__ = ["Channel", "PaneDisplay", "Surface"]

SEND_EVERY_S = 0.07
"""At most 14 messages a second, which leaves space for what Jupyter sends besides."""
_STATE_EVERY_S = 0.25
_RECORD_EVERY_S = 2.0
_GREET_S = (1.0, 2.0, 4.0, 7.0, 11.0, 16.0, 24.0, 40.0)
"""A page that has just come needs a moment until it listens; it is greeted until it answers."""
_DRAIN_S = 3.0
_CHUNK_BYTES = 256 * 1024


class Channel(Protocol):
    """The way to the pages that show this pane, all of them."""

    def send(self, content: dict[str, object], buffers: list[bytes] | None = None) -> None:
        """Send one message; safe from any thread."""
        ...

    def newcomers(self) -> bool:
        """Tell whether a page has come since this was asked last."""
        ...

    def again(self, boot: dict[str, object]) -> None:
        """Say anew what ``connect`` said, to pages that were not there; those that were lose nothing."""
        ...

    def settle(self) -> None:
        """Say that ``again`` is not called any more."""
        ...

    def close(self) -> None:
        """Say that nothing more comes."""
        ...


class Surface(Protocol):
    """Where a pane is shown."""

    def show(self, view: View, key: str) -> None:
        """Show the record for the first time; the page's script finds it by ``key``."""
        ...

    def update(self, view: View, key: str) -> None:
        """Replace the record, in the page and in the saved notebook."""
        ...

    def connect(self, key: str, boot: dict[str, object], hear: Callable[[dict[str, object]], None]) -> Channel | None:
        """Open the way to the page, None where there is none."""
        ...


class PaneDisplay:
    """A pane for one build and, one after another, for what its buttons start."""

    def __init__(
        self,
        surface: Surface,
        *,
        key: str,
        line: str = "",
        builder: str = "",
        publish: bool = False,
        durations: Durations | None = None,
        output: Callable[[RunOutput], object] = write_output,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """``key`` is unique in the kernel; ``line`` the magic's line; ``output`` takes what the container prints."""
        self._surface, self.key, self._line, self._builder = surface, key, line, builder
        self._publish, self._durations = publish, durations
        self.output: Callable[[RunOutput], object] | None = output
        """Takes what the running container prints and shows; None: nobody does."""
        self.logs_output = False
        """Whether what it prints is in the pane's log, and its end in the record, where the pane is its only place."""
        self.on_end: Callable[[BuildState], object] | None = None
        """Called at the end of a build, before it is shown, from the thread that drives it."""
        self._clock, self._sleep = clock, sleep
        self.on_cancel: Callable[[], None] | None = None
        """Called, from any thread, when Cancel is pressed."""
        self.actions: dict[str, Callable[[Mapping[str, str]], None]] = {}
        """What the buttons ``publish`` and ``run`` do once an image is there; ``run`` is given what its fields say."""
        self.takes_values = False
        """Whether a run that a button starts can be given values of its own."""
        self._channel: Channel | None = None
        self._lock = threading.Lock()
        self._turn = -1
        self._shown = False
        self._heard = False
        self._driven = False
        self._wanted: int | None = None
        self._reset(BuildState(), "")

    def _reset(self, state: BuildState, title: str) -> None:
        self._turn += 1
        self._state, self._title = state, title
        self._began = self._clock()
        self._ended: float | None = None
        self._feed = LogFeed()
        self._spill: LogFile | None = None
        self._run_lines = LogLines(itertools.count())
        self._rates = Rates()
        self._ages = Ages()
        self._progress = Progress(self._durations, title, publish=self._publish) if self._durations else None
        self._sent_at = self._stated_at = self._began - 60.0
        self._recorded_at = self._began
        self._stated: View | None = None
        self._greet_at: list[float] = []
        self._publish_began: float | None = None
        self._publish_took: float | None = None

    # -- the display

    def show(self, title: str) -> None:
        """Show the pane in the cell that runs now; ``open`` does it where this was not called."""
        self._title, self._shown = title, True
        view = self._view()
        self._surface.show(view, self.key)
        self._channel = self._surface.connect(self.key, {"turn": self._turn, "state": view}, self.hear)

    def open(self, state: BuildState, title: str) -> None:
        """Show the pane before anything has happened; a second time, it begins anew, or goes on with a kept state."""
        with self._lock:
            if state is not self._state:
                self._reset(state, title)
            elif self._ended is not None:  # its clock goes on, without the time in between
                self._began += self._clock() - self._ended
                self._ended = self._publish_began = self._publish_took = None
            self._driven = True
            if not self._shown:
                self.show(title)
            else:
                self._send({"turn": self._turn, "state": self._view()})

    def draw(self, state: BuildState, events: list[Event]) -> bool:
        """Take in what is new and send at most one message; return whether more waits to be sent."""
        lines = [event for event in events if isinstance(event, LogLine)]
        if len(lines) != len(events):
            for event in events:
                if isinstance(event, RunOutput):
                    if self.output is not None:
                        self.output(event)
                    if self.logs_output and not event.shown:
                        lines += self._run_lines.feed(event.text, event.stream, _run_step(state), None)
        with self._lock:
            if lines:
                if self._spill is None:
                    self._spill = LogFile()
                self._spill.add(lines)
                self._feed.add(lines)
            self._time_publish()
            self._tick()
            return self._channel is not None and (self._feed.pending or self._wanted is not None)

    def close(self, state: BuildState) -> None:
        """Show the end and leave the record; what still waits is sent first."""
        deadline = self._clock() + _DRAIN_S
        while self._feed.pending and self._channel is not None and self._clock() < deadline:
            self._sleep(SEND_EVERY_S)
            with self._lock:
                self._tick()
        if self.on_end is not None:
            self.on_end(state)
        with self._lock:
            self._ended = self._clock()
            self._learn()
            view = self._view()
            self._send({"turn": self._turn, "state": view})
            if self._channel is not None:
                self._channel.settle()
            self._driven = False
            if self._wanted is not None:
                self._answer()
            self._surface.update(view, self.key)

    def show_again(self) -> None:
        """Show the pane once more, below the cell that runs now."""
        self._surface.show(self._view(), self.key)

    # -- what a page says

    def hear(self, content: dict[str, object]) -> None:
        """Take a message of a page: ``want`` batches, ``cancel``, ``publish``, ``run``, ``download``."""
        said = content.get("do")
        if said == "want":
            with self._lock:
                self._heard = True
                if content.get("new"):
                    self._greet_at = []
                number = content.get("n")
                wanted = number if isinstance(number, int) else 0
                self._wanted = wanted if self._wanted is None else min(wanted, self._wanted)
                if not self._driven:
                    self._answer()
                    if content.get("new") and self._ended is not None:
                        self._surface.update(self._view(), self.key)
        elif said == "cancel" and self._driven and self.on_cancel:
            self.on_cancel()
        elif said in ("publish", "run") and not self._driven and (action := self.actions.get(str(said))):
            action(_said_values(content.get("values")))
        elif said == "download":
            threading.Thread(target=self._download, args=(content.get("id"),), daemon=True).start()

    def _answer(self) -> None:
        """Send what a page wants: the state, then the batches that are kept from the wanted one on."""
        number, self._wanted = self._wanted or 0, None
        batches = self._feed.since(number)
        self._send({"turn": self._turn, "state": self._view(), "first": batches[0]["n"] if batches else None})
        for batch in batches:
            self._sleep(SEND_EVERY_S / 4 if not self._driven else 0.0)
            self._send({"turn": self._turn, "batch": batch})

    def _download(self, ticket: object) -> None:
        if self._channel is None:
            return
        parts, size = [], 0
        number = 0
        for part in self._spill.iter_gzip() if self._spill else ():
            parts.append(part)
            size += len(part)
            if size >= _CHUNK_BYTES:
                self._channel.send({"file": ticket, "n": number, "end": False}, [b"".join(parts)])
                number, parts, size = number + 1, [], 0
                self._sleep(SEND_EVERY_S)
        self._channel.send({"file": ticket, "n": number, "end": True}, [b"".join(parts)])

    # -- what goes out

    def _tick(self) -> None:
        now = self._clock()
        if now - self._sent_at < SEND_EVERY_S:
            return
        self._greet(now)
        if self._wanted is not None:
            self._answer()
            return
        message: dict[str, object] = {}
        if self._channel is not None and (batch := self._feed.take()):
            message["batch"] = batch
        if now - self._stated_at >= _STATE_EVERY_S:
            self._stated_at = now
            view = self._view()
            steps: list[StepView] = [{**step, "age": None} for step in view["steps"]]
            quiet: View = {
                **view,
                "elapsed": 0,
                "left": 0,
                "log_total": 0,
                "steps": steps,
            }  # the page's own clocks go on
            if quiet != self._stated:
                self._stated = quiet
                message["state"] = view
            if not self._heard and now - self._recorded_at >= _RECORD_EVERY_S:
                self._recorded_at = now
                self._surface.update(view, self.key)
        if message:
            self._send({"turn": self._turn, **message})

    def _greet(self, now: float) -> None:
        """Tell pages that came in mid-build: what they ask the kernel about its widgets waits for the cell's end."""
        if self._channel is None:
            return
        if self._channel.newcomers():
            self._greet_at = [now + wait for wait in _GREET_S]
        if self._greet_at and now >= self._greet_at[0]:
            self._greet_at.pop(0)
            self._channel.again({"turn": self._turn, "state": self._view()})

    def _send(self, message: dict[str, object]) -> None:
        self._sent_at = self._clock()
        if self._channel is not None:
            self._channel.send(message)

    def _view(self) -> View:
        now = self._clock()
        state = self._state
        of_build = self._progress.update(state, now) if self._progress else state.fraction
        fraction = state.fraction if state.runs else of_build
        done = state.result is not None and self._ended is not None  # also after a failed run
        return make_view(
            state,
            self._title,
            line=self._line,
            elapsed_s=(self._ended or now) - self._began,
            fraction=fraction,
            left_s=self._progress.left_s if self._progress and not state.runs else None,
            rates=self._rates,
            ages=self._ages,
            now=now,
            can={
                "cancel": self._ended is None and self.on_cancel is not None,
                "publish": done and "publish" in self.actions and not (state.result and state.result.pushed),
                "run": done and "run" in self.actions,
                "values": done and self.takes_values,
            },
            builder=self._builder,
            with_output=self.logs_output,
        )

    def _time_publish(self) -> None:
        status = self._state.stages.get("publish")
        if status == "running" and self._publish_began is None:
            self._publish_began = self._clock()
        elif status == "done" and self._publish_began is not None and self._publish_took is None:
            self._publish_took = self._clock() - self._publish_began

    def _learn(self) -> None:
        state = self._state
        if self._durations and state.status == "done" and state.steps and not (state.result and state.result.cached):
            with contextlib.suppress(OSError):
                self._durations.learn(self._title, list(state.steps.values()), self._publish_took)


def _said_values(said: object) -> dict[str, str]:
    """Return the values that a page gives a run, by name; what a page says is checked like anybody's words."""
    found = said.items() if isinstance(said, Mapping) else ()
    return {name: text for name, text in found if isinstance(name, str) and isinstance(text, str)}


def _run_step(state: BuildState) -> str:
    """Return the step that what the container prints belongs to."""
    return next((key for key in reversed(state.steps) if key.startswith("run ")), "run")
