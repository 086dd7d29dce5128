"""Failures of the command line: any exception as a sentence for a person, and as one line of JSON."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import select
import sys
import traceback
from pathlib import Path

from buildr_jupyter.errors import BuildrError
from buildr_jupyter.ui.sanitize import clean_text

__all__ = ["ClosedOutput", "end_unread", "explain", "reader_left", "report_failure"]

DEBUG = "BUILDR_DEBUG"
_SIGPIPE_STATUS = 128 + 13
_CELL_COMMANDS = ("build", "export")


class ClosedOutput(io.TextIOBase):
    """Standard output that the shell closed: writing to it fails, as it does for every program."""

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


def reader_left() -> bool:
    """Tell whether nobody reads standard output or standard error any more: the pipe's other end is closed.

    A BrokenPipeError may be that of a connection as well, which is a failure like others.
    """
    if not hasattr(select, "poll"):  # Windows, where a pipe is not asked
        return True
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            poll.register(stream.fileno(), 0)
    return any(happened & select.POLLERR for _, happened in poll.poll(0))


def end_unread() -> int:
    """Point what nobody reads to nowhere, so that leaving does not fail on it; return the status of SIGPIPE."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            try:
                stream.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return _SIGPIPE_STATUS


def explain(error: Exception) -> BuildrError:
    """Return an error as one of the project's own; what is none of them becomes a sentence about what failed."""
    if isinstance(error, BuildrError):
        return error
    if isinstance(error, FileNotFoundError) and not _folder_exists():
        return BuildrError(
            "the working directory does not exist any more", hint="change to one that does, and try again"
        )
    if isinstance(error, OSError):
        what = f" {error.filename!r}" if error.filename else ""
        return BuildrError(
            f"the system refused{what}: {error.strerror or error}", hint=f"see where it happened: {DEBUG}=1 buildr …"
        )
    if isinstance(error, MemoryError):
        return BuildrError("there is not enough memory for this", hint="end other programs, or give this one more")
    return BuildrError(
        f"an error of buildr itself: {type(error).__name__}: {error}",
        hint=f"run it again with {DEBUG}=1 and report the traceback",
    )


def report_failure(error: Exception, *, as_json: bool, command: str) -> int:
    """Write the error to standard error and, for ``--json``, its line to standard output; return the exit status."""
    shown = _output_failure() if isinstance(error, OSError) else None
    shown = shown or explain(error)
    if os.environ.get(DEBUG) and shown is not error:
        traceback.print_exception(error)
    if sys.stderr is not None:
        from buildr_jupyter.ui.plain import print_error

        print_error(shown, sys.stderr)
    if as_json:
        try:
            sys.stdout.write(_record(shown, command) + "\n")
            sys.stdout.flush()
        except OSError:
            _discard_output()
    elif isinstance(error, OSError):
        _discard_output()
    return shown.exit_status


def _record(error: BuildrError, command: str) -> str:
    from buildr_jupyter.ui.json_record import error_fields, make_record

    if command in _CELL_COMMANDS:
        return make_record({"index": None, "id": None, "tags": []}, error)
    record: dict[str, object] = {
        "schema": 1, "command": clean_text(command), "status": "failed", "error": error_fields(error),
    }  # fmt: skip
    return json.dumps(record)


def _output_failure() -> BuildrError | None:
    """Return the error where it is standard output that takes nothing more, None where it does."""
    try:
        sys.stdout.write("")
        sys.stdout.flush()
    except OSError as error:
        return BuildrError(
            f"standard output cannot be written: {error.strerror}", hint="give it a file or a pipe that takes it"
        )
    return None


def _discard_output() -> None:
    """Point standard output to nowhere where it takes nothing more, so that leaving does not fail on what it holds."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (OSError, ValueError):
            sys.stdout = io.StringIO()


def _folder_exists() -> bool:
    try:
        Path.cwd()
    except OSError:
        return False
    return True
