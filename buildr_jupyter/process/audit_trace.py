"""Trace of what a program asks for, written by an audit hook in its own process: it explains, and holds nothing.

A copy of this file lies among the packages of a proof's environment, beside ``buildr_trace.json``, and a ``.pth`` file
imports it when Python starts. Standard library only, any Python from 3.8. Each line of the log is a JSON list:
``["missing", path]`` for a file or folder that is asked for and is not there, relative to the program's own folder,
``["outside", path]`` for one elsewhere, ``["network", what]`` for a socket, ``["command", name]`` for another program,
``["module", name]`` for a module that is looked for and is not there.
"""

from __future__ import annotations

import json
import os
import sys

_MOST = 500


class _Trace:
    """Writes down each thing once."""

    def __init__(self, log: str, app: str, inside: list[str]) -> None:
        self.app, self.above, self.inside = app, os.path.dirname(app) + os.sep, tuple(inside)
        self.seen: set[tuple[str, str]] = set()
        self.log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self.busy = False

    def say(self, kind: str, what: str) -> None:
        if len(self.seen) < _MOST and (kind, what) not in self.seen:
            self.seen.add((kind, what))
            os.write(self.log, json.dumps([kind, what]).encode("ascii") + b"\n")

    def look(self, path: object, *, reading: bool) -> None:
        """Say of a path that is there no more than that it is not one of the program's own."""
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str):
            return
        path = os.path.normpath(os.path.join(os.getcwd(), path))
        if (path + os.sep).startswith(self.above):
            if reading and not os.path.lexists(path):
                self.say("missing", os.path.relpath(path, self.app))
        elif not path.startswith(self.inside):
            self.say("outside", path)

    def hook(self, event: str, args: tuple[object, ...]) -> None:
        """Take one audit event in; whatever it is, the program goes on as without the hook."""
        if self.busy or event not in _EVENTS:
            return
        self.busy = True
        try:
            self._event(event, args)
        except Exception:  # noqa: BLE001, S110
            pass
        finally:
            self.busy = False

    def _event(self, event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            writing = set("wax") & set(mode) if isinstance(mode, str) else isinstance(flags, int) and flags & 3
            self.look(path, reading=not writing)
        elif event == "sqlite3.connect":
            self.look(args[0], reading=False)
        elif event in ("os.listdir", "os.scandir"):
            self.look(args[0] or ".", reading=True)
        elif event == "socket.__new__":
            if args[1] != 1:  # a pair of AF_UNIX is what event loops wake themselves with
                self.say("network", "a socket")
        elif event.startswith("socket."):
            address = args[1] if event == "socket.connect" else args[:2]
            self.say("network", ":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address))
        else:
            self.say("command", str(args[0]))

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """Say, as the last finder that Python asks, that no other has a module."""
        self.say("module", name)


_EVENTS = frozenset(
    ("open", "os.listdir", "os.scandir", "sqlite3.connect", "socket.__new__", "socket.connect", "socket.getaddrinfo",
     "subprocess.Popen", "os.system")
)  # fmt: skip


def install(config: dict[str, object]) -> None:
    """Begin to write down what is asked for; ``config`` holds ``log``, ``app`` and ``inside``, all absolute paths."""
    trace = _Trace(**config)  # type: ignore[arg-type]
    sys.addaudithook(trace.hook)
    sys.meta_path.append(trace)


if os.path.exists(_CONFIG := os.path.splitext(__file__)[0] + ".json"):
    with open(_CONFIG, encoding="utf-8") as _file:
        install(json.load(_file))
