"""Audit events of this process: what a run opens, imports, starts and connects to.

A hook cannot be removed, so there is one for the process, which outlives a reload of this package: it looks up a table
of event names that hangs on ``sys``, and an empty table is off. What a handler is given is told at once as plain text;
none of the program's objects is kept, and none of their methods is called.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from buildr_jupyter.notebook.import_draws import IMPORT_SYSTEM, MAX_FRAMES, ImportDraws
from buildr_jupyter.notebook.observed import ImportedModule, OpenedFile, Stamp, stamp_of

__all__ = ["Recorder", "listen"]

_HOLDER = "_buildr_jupyter_audit"
_LIMIT = 5_000
"""How many of a kind are kept for one run."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_OWN = "buildr_jupyter."
"""What our own modules do, in a build for one, is nothing that the run of a cell did."""
_LIBRARIES = (
    *("/proc/", "/sys/", "/dev/", "/etc/"),
    *{f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)

Handler = Callable[[tuple[object, ...]], None]


def listen(handlers: Mapping[str, Handler] | None) -> None:
    """Send events with these names to these handlers from now on, and to no others; None: to nobody.

    An exception of a handler is dropped: it would fail what the program does.
    """
    holder = vars(sys).get(_HOLDER)
    if holder is None:
        if handlers is None:
            return
        holder = types.SimpleNamespace(handlers={})
        setattr(sys, _HOLDER, holder)
        _install(holder)
    holder.handlers = dict(handlers or {})


def _install(holder: types.SimpleNamespace) -> None:
    def hook(event: str, args: tuple[object, ...]) -> None:
        handler = holder.handlers.get(event)
        if handler is not None:
            try:
                handler(args)
            except Exception:  # noqa: BLE001 - an observer never fails the program
                return

    sys.addaudithook(hook)


class Recorder:
    """What one run does, as it does it.

    ``namespace`` is the notebook's: a frame whose globals it is belongs to a cell. ``draws`` is told of each module.
    """

    def __init__(self, namespace: Mapping[str, object], draws: ImportDraws) -> None:
        self._namespace = namespace
        self.draws = draws
        self._opened: dict[str, list[Any]] = {}
        self._imported: dict[str, ImportedModule] = {}
        self._loaded: dict[str, Stamp] = {}
        self._processes: dict[str, None] = {}
        self._sockets: dict[str, None] = {}
        self.cut = False

    @property
    def handlers(self) -> dict[str, Handler]:
        """The events that are listened to."""
        return {
            "open": self._on_open,
            "os.listdir": self._on_list,
            "os.scandir": self._on_list,
            "sqlite3.connect": self._on_database,
            "os.mkdir": self._on_made,
            "os.rename": self._on_renamed,
            "import": self._on_import,
            "exec": self._on_exec,
            "subprocess.Popen": self._on_process,
            "os.system": self._on_system,
            "os.posix_spawn": self._on_process,
            "os.exec": self._on_process,
            "socket.connect": self._on_connect,
        }

    def opened(self) -> tuple[OpenedFile, ...]:
        """Return the files and folders, in the order in which each was first opened."""
        return tuple(OpenedFile(path, *said) for path, said in self._opened.items())

    def imported(self) -> tuple[ImportedModule, ...]:
        """Return the modules that were loaded, in order."""
        return tuple(self._imported.values())

    def loaded(self) -> tuple[tuple[str, Stamp], ...]:
        """Return the sources of modules that are no library's, each as it was when it was last loaded."""
        return tuple(self._loaded.items())

    def processes(self) -> tuple[str, ...]:
        """Return the programs that were started."""
        return tuple(self._processes)

    def sockets(self) -> tuple[str, ...]:
        """Return what was connected to."""
        return tuple(self._sockets)

    def _on_open(self, args: tuple[object, ...]) -> None:
        path, mode, flags = args
        text = _path(path)
        if text is None or self._is_import():
            return
        writes = bool(flags & _WRITES) if type(flags) is int else type(mode) is str and mode[:1] in "wax"
        # Opened for writing at first, unless what stands there is kept: the program makes it.
        emptied = type(flags) is not int or flags & os.O_TRUNC
        reads = not writes or (type(flags) is int and flags & os.O_RDWR and not flags & (os.O_TRUNC | os.O_CREAT))
        self._note_file(text, reads=bool(reads), writes=writes, listed=False, keeps=not emptied)

    def _on_list(self, args: tuple[object, ...]) -> None:
        text = _path("." if args[0] is None else args[0])
        if text is not None and not self._is_import():
            self._note_file(text, reads=True, writes=False, listed=True)

    def _on_database(self, args: tuple[object, ...]) -> None:
        text = _path(args[0])
        if text is not None and not text.endswith("/:memory:"):
            there = stamp_of(text) is not None
            self._note_file(text, reads=there, writes=not there, listed=False)

    def _on_made(self, args: tuple[object, ...]) -> None:
        text = _path(args[0])
        if text is not None:
            self._note_file(text, reads=False, writes=True, listed=False)

    def _on_renamed(self, args: tuple[object, ...]) -> None:
        source, target = _path(args[0]), _path(args[1])
        if source is not None and target is not None:
            reads = source not in self._opened or self._opened[source][0]
            self._note_file(source, reads=reads, writes=True, listed=False)
            self._note_file(target, reads=False, writes=True, listed=False)

    @staticmethod
    def _is_import() -> bool:
        """Tell whether the import system itself asks: a module is carried as one."""
        name = sys._getframe(3).f_globals.get("__name__")  # 1: the handler, 2: the hook, 3: who opens
        return type(name) is str and name.startswith(IMPORT_SYSTEM)

    def _note_file(self, path: str, *, reads: bool, writes: bool, listed: bool, keeps: bool = False) -> None:
        known = self._opened.get(path)
        if path.startswith(_LIBRARIES):
            return
        if known is not None:
            known[1] = known[1] or writes
            known[2] = known[2] or listed
        else:
            line, importer = self._place()
            if importer.startswith(_OWN):
                return
            if len(self._opened) >= _LIMIT:
                self.cut = True
            else:
                stamp = None if listed else stamp_of(path)
                self._opened[path] = [reads, writes, listed, line, keeps and not reads and stamp is not None, stamp]

    def _on_import(self, args: tuple[object, ...]) -> None:
        self._note_module(args[0])

    def _on_exec(self, args: tuple[object, ...]) -> None:
        """Note a module by its code: ``importlib.import_module`` tells of none by an event of its own."""
        if type(args[0]) is not types.CodeType or args[0].co_name != "<module>" or not self._is_import():
            return
        given = sys._getframe(2).f_locals.get("args")  # of _call_with_frames_removed, which runs a module's code
        names = given[1] if type(given) is tuple and len(given) == 2 else None
        if type(names) is dict:
            if type(module := names.get("__name__")) is str:
                self.draws.look(sys._getframe(2), module)
            self._note_source(names.get("__file__"))
            self._note_module(module)

    def _note_source(self, file: object) -> None:
        path = _path(file) if type(file) is str and file.endswith(".py") else None
        if path is None or path.startswith(_LIBRARIES) or (path not in self._loaded and len(self._loaded) >= _LIMIT):
            return
        if (stamp := stamp_of(path)) is not None:
            self._loaded[path] = stamp

    def _note_module(self, module: object) -> None:
        if type(module) is not str or module in self._imported:
            return
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names:
            return
        line, importer = self._place()
        if importer.startswith(_OWN):
            return
        if len(self._imported) >= _LIMIT:
            self.cut = True
        elif importer.partition(".")[0] != top:  # a package's own parts come with it
            self._imported[module] = ImportedModule(module, importer, line)

    def _on_process(self, args: tuple[object, ...]) -> None:
        self._note(self._processes, args[0] if type(args[0]) is str else None)

    def _on_system(self, args: tuple[object, ...]) -> None:
        command = args[0]
        text = command.decode("utf-8", "replace") if type(command) is bytes else command
        self._note(self._processes, text.split(maxsplit=1)[0] if type(text) is str and text.strip() else "sh")

    def _on_connect(self, args: tuple[object, ...]) -> None:
        address = args[1]
        host = address[0] if type(address) is tuple and address else address
        self._note(self._sockets, host if type(host) is str else "?")

    def _note(self, kept: dict[str, None], text: str | None) -> None:
        if text is None or text in kept or self._place()[1].startswith(_OWN):
            return
        if len(kept) >= _LIMIT:
            self.cut = True
        else:
            kept[text] = None

    def _place(self) -> tuple[int | None, str]:
        """Return the line of the cell that is running, and the module that asked, past the import system's frames.

        The module is buildr's own where such a one is at work between what asked and the cell, or with no cell below.
        """
        frame: types.FrameType | None = sys._getframe(1)
        line, importer = None, None
        for _ in range(MAX_FRAMES):
            if frame is None:
                break
            names = frame.f_globals
            if names is self._namespace:
                importer = importer or "__main__"
                if frame.f_code.co_name == "<module>":
                    line = frame.f_lineno  # the outermost counts: a cell may run others
            else:
                said = names.get("__name__")
                if type(said) is not str or said.startswith((*IMPORT_SYSTEM, __name__)):
                    pass
                elif line is None and said.startswith(_OWN):
                    return None, said
                elif importer is None:
                    importer = said
            frame = frame.f_back
        return line, importer or "?"


def _path(value: object) -> str | None:
    """Return a path that was opened as an absolute one; None for a number of a descriptor, or an object."""
    if type(value) is bytes:
        value = os.fsdecode(value)
    if type(value) is not str or not value or "\0" in value:
        return None
    return os.path.normpath(value if value.startswith("/") else f"{Path.cwd()}/{value}")
