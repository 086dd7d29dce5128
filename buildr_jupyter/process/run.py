"""A command of this machine, run to its end: what it writes as it comes, and its end when the work is cancelled."""

from __future__ import annotations

import contextlib
import functools
import queue
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from buildr_jupyter.config.timeouts import Limits, read_limits
from buildr_jupyter.errors import Cancelled, EngineError, EnginePermission, EngineUnavailable
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event
from buildr_jupyter.events.event import Stream as StreamName
from buildr_jupyter.process.watchdog import Watchdog, end_group
from buildr_jupyter.process.workers import Task, run_soon

__all__ = ["Lines", "Output", "ask", "follow", "through"]

MAX_PIECE_BYTES = 64 * 1024
"""A line without an end is given out in pieces of this size, so that it cannot fill the memory."""

_QUEUED = 64  # pieces between the readers and who asks: a command that floods waits
_PARTIAL_AFTER_S = 0.1
_ASK_LIMIT_BYTES = 16 << 20


T = TypeVar("T")


class Output(NamedTuple):
    """What the command wrote: one line with its ``\\n``, or a piece of one that is not complete yet."""

    stream: StreamName
    data: bytes


def follow(
    command: Sequence[str],
    *,
    cancel: CancelToken,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: Iterable[bytes] | None = None,
    hint: str | None = None,
    still_there: Callable[[], object] | None = None,
) -> Generator[Output, None, int]:
    """Run ``command``, yielding what it writes; return its exit status, negative for the signal that killed it.

    The child has a process group of its own, and ends with this process. When the token is set, or when nobody asks
    for more (``close``), the group gets SIGTERM, so that the command can clean up; what ignores it is killed, the
    command itself last. The pieces of ``stdin`` are written as they are taken; an exception that they raise ends the
    command and is raised. While the command says nothing, ``still_there`` is called now and then; what it raises ends
    the command, too: the process that works for it is gone.

    Raises EngineUnavailable with ``hint`` where there is no such command, EnginePermission where it may not be run,
    EngineError where it says nothing for ``Limits.idle_s``, Cancelled.
    """
    cancel.check()
    limits = read_limits()
    watchdog = Watchdog()
    try:
        child = _start(command, env, cwd, takes_input=stdin is not None, hint=hint)
    except BaseException:
        watchdog.undo()
        raise
    watchdog.hold_child(child.pid)
    running = _Running(child, Path(command[0]).name, watchdog)
    undo = cancel.on_cancel(running.stop_soon)
    try:
        if stdin is not None:
            running.write(stdin)
        yield from running.outputs(limits, still_there)
        status = child.wait()
    finally:
        undo()
        running.end()
    cancel.check()
    if running.input_error is not None:
        raise running.input_error
    return status


def through(pieces: Generator[T, None, int], events_of: Callable[[T], Iterable[Event]]) -> Generator[Event, None, int]:
    """Yield the events of each piece and return the exit status; ``pieces`` is closed however this ends."""
    try:
        while True:
            yield from events_of(next(pieces))
    except StopIteration as end:
        status: int = end.value
        return status
    finally:
        pieces.close()


def ask(
    command: Sequence[str],
    *,
    cancel: CancelToken | None = None,
    env: Mapping[str, str] | None = None,
    hint: str | None = None,
    timeout_s: float = 60.0,
) -> str:
    """Run a command that answers soon and return its standard output as text.

    Raises EngineError, with what it wrote, where it fails, takes longer than ``timeout_s`` or writes over 16 MiB;
    else as ``follow``.
    """
    token = CancelToken()
    undo = cancel.on_cancel(token.set) if cancel else lambda: None
    timer = threading.Timer(timeout_s, token.set)
    timer.start()
    written: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
    size = 0
    status: int | None = None
    pieces = follow(command, cancel=token, env=env, hint=hint)
    shown = " ".join(command[:2])
    try:
        while True:
            piece = next(pieces)
            size += len(piece.data)
            if size > _ASK_LIMIT_BYTES:
                raise EngineError(f"{shown} does not stop writing", hint=hint)
            written[piece.stream].append(piece.data)
    except StopIteration as end:
        status = end.value
    except Cancelled:
        if cancel is not None and cancel.is_set():
            raise
        raise EngineError(f"{shown} did not answer within {timeout_s:.0f} s", hint=hint) from None
    finally:
        timer.cancel()
        undo()
        pieces.close()
    if status:
        said = b"".join(written["stderr"] or written["stdout"]).decode("utf-8", "replace").strip()
        raise EngineError(f"{shown} failed with status {status}: {said[-2000:]}", hint=hint)
    return b"".join(written["stdout"]).decode("utf-8", "replace")


def _start(
    command: Sequence[str], env: Mapping[str, str] | None, cwd: Path | None, *, takes_input: bool, hint: str | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise EngineUnavailable(f"there is no command {command[0]!r} here", hint=hint) from None
    except PermissionError:
        raise EnginePermission(f"the command {command[0]!r} may not be run by this user", hint=hint) from None
    except OSError as error:
        raise EngineUnavailable(f"the command {command[0]!r} cannot be run: {error}", hint=hint) from error


class Lines:
    """Puts pieces of two streams together to lines."""

    def __init__(self) -> None:
        self.pending: dict[StreamName, bytes] = {}

    def feed(self, stream: StreamName, data: bytes) -> Iterator[Output]:
        """Yield the lines that are complete with this piece; one that gets too long is cut."""
        *lines, rest = (self.pending.pop(stream, b"") + data).split(b"\n")
        for line in lines:
            yield Output(stream, line + b"\n")
        if len(rest) >= MAX_PIECE_BYTES:
            yield Output(stream, rest)
        elif rest:
            self.pending[stream] = rest

    def rest(self) -> Iterator[Output]:
        """Yield what stands without a line end."""
        for stream in list(self.pending):
            yield Output(stream, self.pending.pop(stream))


class _Running:
    """A child, the threads that read and write its pipes, and its end."""

    def __init__(self, child: subprocess.Popen[bytes], name: str, watchdog: Watchdog) -> None:
        self.child = child
        self._watchdog = watchdog
        self.name = name
        self.input_error: BaseException | None = None
        self._written: queue.Queue[tuple[StreamName, bytes]] = queue.Queue(maxsize=_QUEUED)
        self._closing = threading.Event()
        self._stopping: Task | None = None
        self._lock = threading.Lock()
        assert child.stdout is not None
        assert child.stderr is not None
        pipes: dict[StreamName, IO[bytes]] = {"stdout": child.stdout, "stderr": child.stderr}
        self._threads = [
            run_soon(functools.partial(self._read, group), name="buildr-output")
            for group in ([{name: pipe} for name, pipe in pipes.items()] if sys.platform == "win32" else [pipes])
        ]

    def _read(self, pipes: dict[StreamName, IO[bytes]]) -> None:
        if len(pipes) == 1:
            ((stream, pipe),) = pipes.items()
            while self._take(stream, pipe):
                pass
            return
        with selectors.DefaultSelector() as chooser:
            for stream, pipe in pipes.items():
                chooser.register(pipe, selectors.EVENT_READ, stream)
            while chooser.get_map():
                # Standard output first: what a step says on standard error comes after its title.
                for key in sorted((key for key, _ in chooser.select()), key=lambda one: one.data == "stderr"):
                    if not self._take(key.data, pipes[key.data]):
                        chooser.unregister(key.fileobj)

    def _take(self, stream: StreamName, pipe: IO[bytes]) -> bool:
        data = pipe.read(MAX_PIECE_BYTES)
        self._put(stream, data)
        return bool(data)

    def _put(self, stream: StreamName, data: bytes) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Full):
                self._written.put((stream, data), timeout=0.1)
                return

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write the pieces to the child's standard input, in a thread of its own."""
        self._threads.append(run_soon(functools.partial(self._write, pieces), name="buildr-input"))

    def _write(self, pieces: Iterable[bytes]) -> None:
        pipe = self.child.stdin
        assert pipe is not None
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[pipe.write(view) or 0 :]
        except BrokenPipeError:
            pass  # it ended before it read all: its status says how
        except BaseException as error:  # noqa: BLE001 - raised by who follows
            self.input_error = error
            self.stop_soon()
        finally:
            with contextlib.suppress(OSError):
                pipe.close()

    def outputs(self, limits: Limits, still_there: Callable[[], object] | None) -> Iterator[Output]:
        """Yield lines as they are complete, and what stands without a line end for a while."""
        lines = Lines()
        ended = 0
        heard_at = time.monotonic()
        ask_after_s = min(limits.idle_s, limits.read_s / 2 if still_there else limits.idle_s)
        while ended < 2:
            try:
                stream, data = self._written.get(timeout=_PARTIAL_AFTER_S if lines.pending else ask_after_s)
            except queue.Empty:
                if time.monotonic() - heard_at >= limits.idle_s:
                    raise EngineError(
                        f"{self.name} said nothing for {limits.idle_s:.0f} s",
                        hint="set BUILDR_IDLE_TIMEOUT=SECONDS for a step that is quiet for longer",
                    ) from None
                if not lines.pending and still_there:
                    still_there()
                yield from lines.rest()
                continue
            heard_at = time.monotonic()
            ended += not data
            yield from lines.feed(stream, data)
        yield from lines.rest()

    def stop_soon(self) -> None:
        """Begin to end the child and all that it started; return at once."""
        with self._lock:
            if self._stopping is None:
                self._stopping = run_soon(self._stop, name="buildr-stop")

    def _stop(self) -> None:
        if sys.platform == "win32":
            self.child.terminate()
            return
        end_group(self.child.pid, ended=lambda: self.child.poll() is not None)

    def end(self) -> None:
        """End the child where it still runs, and the threads with it."""
        if self.child.poll() is None:
            self.stop_soon()
        if self._stopping is not None:
            self._stopping.join()
        self._closing.set()
        self.child.wait()
        self._watchdog.undo()
        for thread in self._threads:
            thread.join(timeout=1)  # a process that left the group may still hold the pipe: it is not waited for
        for pipe in (self.child.stdout, self.child.stderr):
            if pipe is not None and not any(thread.is_alive() for thread in self._threads):
                pipe.close()
