"""Observer of a kernel: what each run of a cell binds, changes, opens, imports and draws.

It is asked before and after each run. The time that it takes is bounded: a part of the cell's own, and what it does not
come to is told as not looked at. It keeps no object of the notebook, only digests, and calls none of their methods.
"""

from __future__ import annotations

import gc
import locale
import os
import re
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildr_jupyter.notebook.audit import Recorder, listen
from buildr_jupyter.notebook.fingerprint import Fingerprint, take_snapshot
from buildr_jupyter.notebook.import_draws import ImportDraws, moved
from buildr_jupyter.notebook.observed import Observed

if TYPE_CHECKING:
    import asyncio  # a kernel has it loaded; a bare shell does without

__all__ = ["Observer"]

_CLOCK = time.thread_time if time.get_clock_info("thread_time").resolution <= 1e-6 else time.perf_counter
"""Of the thread's own work: what is seen of a cell must not depend on what else the machine does."""
_BEFORE_S = 0.0003
"""For the names that a cell speaks of, if they were not looked at after the cell before."""
_AFTER_S = 0.0005
_PART = 0.012
"""Of the cell's own time."""
_MOST_S = 0.05
_WORD = re.compile(r"[^\W\d]\w*")
_MAX_SOURCE = 200_000
_MAX_NAMES = 20_000
_NO_NAMES: frozenset[str] = frozenset()
_KERNEL_NAME = re.compile(r"_+|_\d+|_i+|_i\d+|_[iod]h|In|Out|exit|quit|open|get_ipython|__\w+__|_ih")


class Observer:
    """Observes the runs of one namespace, one at a time.

    ``namespace`` is the notebook's, and ``hidden`` holds the names in it that are the kernel's own.
    """

    def __init__(
        self,
        namespace: Mapping[str, object],
        hidden: Mapping[str, object] | None = None,
        *,
        clock: Callable[[], float] = _CLOCK,
    ) -> None:
        self.namespace = namespace
        self.hidden = hidden if hidden is not None else {}
        self.active = True
        self._clock = clock
        self._prints: dict[str, Fingerprint] = {}
        self._ids: dict[str, int] = {}
        self._late: dict[str, None] = {}
        """Names that there was no time for: they come first among those that no cell speaks of."""
        self._recorder: Recorder | None = None
        self._world: dict[str, object] = {}
        self._draws: dict[str, int] = {}
        self._words: tuple[str, ...] = ()
        self._own: dict[str, bool] = {}
        self._kernels = frozenset(module.partition(".")[0] for module in sys.modules)
        """Packages that the kernel had loaded by itself."""
        self._threads = frozenset(threading._active)  # type: ignore[attr-defined]  # the names of these may be anybody's
        self._tasks: frozenset[int] = frozenset()

    def stop(self) -> None:
        """Observe nothing from now on; the run that is going on stays unobserved."""
        self.active = False
        self._recorder = None
        self._prints, self._ids, self._late = {}, {}, {}
        listen(None)

    def start(self) -> None:
        """Observe again, from the next run on."""
        self.active = True

    def begin(self, source: str) -> None:
        """Note how things stand before a run of a cell with this text."""
        self._recorder = None
        if not self.active:
            return
        collects = gc.isenabled()
        gc.disable()  # a collection that falls due here would be waited for
        try:
            self._words = tuple(dict.fromkeys(_WORD.findall(source[:_MAX_SOURCE])))
            unknown = [name for name in self._words if self._is_own(name) and not self._is_known(name)]
            until = self._clock() + _BEFORE_S
            self._prints.update(take_snapshot(self.namespace, unknown, until=until, clock=self._clock).prints)
            self._ids = self._identities()
            self._world, self._draws = _world(), _generator_states()
            self._tasks = frozenset(id(task) for task in _tasks())
            self._recorder = Recorder(self.namespace, ImportDraws(_generator_states, self._draws, self.namespace))
        except Exception:  # noqa: BLE001 - an observer never fails a cell; the run is told as not observed
            self._recorder = None
        else:
            listen(self._recorder.handlers)
        finally:
            if collects:
                gc.enable()

    def end(self, duration_s: float) -> Observed | None:
        """Return what the run did that took ``duration_s`` seconds; None where it was not observed."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return None
        listen(None)
        collects = gc.isenabled()
        gc.disable()
        try:
            return self._observed(recorder, duration_s)
        except Exception:  # noqa: BLE001 - an observer never fails a cell; the run is told as not observed
            self._prints = {}
            return None
        finally:
            if collects:
                gc.enable()
            self._words = ()

    def _observed(self, recorder: Recorder, duration_s: float) -> Observed:
        budget = min(_MOST_S, _AFTER_S + _PART * duration_s)
        until = self._clock() + budget
        ids = self._identities()
        before = self._prints
        taken = take_snapshot(self.namespace, self._in_order(ids), until=until, clock=self._clock)
        after = taken.prints
        self._late = {name: None for name in ids if name not in after}
        bound = {name for name, one in ids.items() if self._ids.get(name) != one}
        same = ids.keys() - bound
        changed, unchanged = set(), set()
        for name in same & before.keys() & after.keys():
            old, new = before[name], after[name]
            if old.digest != new.digest:
                # What was cut short differs by where the time ended: only complete ones tell, or samples as long.
                if old.complete and new.complete:
                    changed.add(name)
            elif old.complete and new.complete:
                unchanged.add(name)
        if self._goes_on():
            unchanged.clear()  # what it began may change anything later
        self._prints = after
        world = _world()
        draws = _generator_states()
        by_imports, by_others = recorder.draws.end(draws)
        return Observed(
            bound=_names(bound),
            deleted=_names(self._ids.keys() - ids.keys()),
            changed=_names(changed),
            unchanged=_names(unchanged),
            shared=taken.shared,
            opened=recorder.opened(),
            imported=tuple(one for one in recorder.imported() if one.line or not self._is_kernels(one.importer)),
            loaded=recorder.loaded(),
            processes=recorder.processes(),
            sockets=recorder.sockets(),
            generators=_names(moved(self._draws, draws) - (by_imports - by_others)),
            drawn_by_imports=_names(by_imports),
            world=_names({name for name, one in world.items() if self._world.get(name) != one}),
            cut=recorder.cut,
        )

    def _goes_on(self) -> bool:
        """Tell whether a thread or a task of the notebook is still at work."""
        if not self._threads.issuperset(threading._active):  # type: ignore[attr-defined]
            return True
        new = (task for task in _tasks() if id(task) not in self._tasks)
        return any(not self._is_kernels(_module_of(task)) for task in new)

    def _in_order(self, ids: Mapping[str, int]) -> Iterator[str]:
        """Yield the names that the cell speaks of, those that are new, those that were left out, then the others."""
        order = dict.fromkeys(name for name in self._words if name in ids)
        order.update(dict.fromkeys(name for name, one in ids.items() if self._ids.get(name) != one))
        order.update(dict.fromkeys(name for name in self._late if name in ids))
        order.update(dict.fromkeys(ids))
        yield from order

    def _identities(self) -> dict[str, int]:
        known = self._own
        items = tuple(self.namespace.items())
        return {
            name: id(value)
            for name, value in items
            if type(name) is str and (known.get(name) or self._is_own(name))  # another type's hash would run
        }

    def _is_own(self, name: str) -> bool:
        if type(name) is not str:
            return False
        known = self._own.get(name)
        if known is None:
            if len(self._own) > _MAX_NAMES:
                self._own.clear()
            known = self._own[name] = name not in self.hidden and _KERNEL_NAME.fullmatch(name) is None
        return known

    def _is_kernels(self, importer: str) -> bool:
        return importer.partition(".")[0] in self._kernels

    def _is_known(self, name: str) -> bool:
        known = self._prints.get(name)
        return known is not None and known.complete


def _names(found: Set[str]) -> frozenset[str]:
    """Return a set to keep; all that are empty are one, for each would be 200 bytes of every run's record."""
    return frozenset(found) if found else _NO_NAMES


def _world() -> dict[str, object]:
    """Return digests of what a process has but for its objects."""
    return {
        "environ": hash(tuple(getattr(os.environ, "_data", {}).items())),
        "folder": _folder(),
        "sys.path": hash(tuple(entry for entry in sys.path if type(entry) is str)),
        "locale": locale.setlocale(locale.LC_ALL),
        "warnings": len(warnings.filters),
    }


def _tasks() -> set[asyncio.Task[object]]:
    """Return the tasks that are not done of the loop that runs the kernel's cells."""
    loaded = sys.modules.get("asyncio")
    loop = loaded._get_running_loop() if loaded is not None else None
    return loaded.all_tasks(loop) if loaded is not None and loop is not None else set()


def _module_of(task: asyncio.Task[object]) -> str:
    coroutine = task.get_coro()
    frame = coroutine.cr_frame if type(coroutine) is types.CoroutineType else None
    name = frame.f_globals.get("__name__") if frame is not None else None
    return name if type(name) is str else "?"


def _folder() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _generator_states() -> dict[str, int]:
    """Return a digest of the state of each global generator of random numbers that is loaded.

    ``NAME:untouched`` is there beside it where nothing was drawn since it was seeded.
    """
    found: dict[str, int] = {}
    random = sys.modules.get("random")
    own: Any = vars(random).get("_inst") if random is not None else None
    if own is not None and type(own) is vars(random).get("Random"):
        found["random"] = hash(own.getstate())
    numpy = sys.modules.get("numpy.random.mtrand")
    if numpy is not None and (state := vars(numpy).get("_rand")) is not None:
        _, keys, position, gauss, kept = state.get_state()
        found["numpy"] = hash((keys.tobytes(), position, gauss, kept))
        # Without a seed its first word is the highest bit until the words are made anew, and one of them is used up.
        fresh = position == len(keys) - 1 if keys[0] == 0x80000000 else position == len(keys)
        if fresh and not gauss:
            found["numpy:untouched"] = found["numpy"]
    return found
