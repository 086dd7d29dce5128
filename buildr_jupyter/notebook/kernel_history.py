"""Kernel history: cells as they ran in a live kernel, in order."""

from __future__ import annotations

import ast
import linecache
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

from buildr_jupyter.notebook import outputs
from buildr_jupyter.notebook.cells import CellRun, Status, captured_body, header_and_body, transform
from buildr_jupyter.notebook.observed import Observed
from buildr_jupyter.notebook.observer import Observer

__all__ = ["KernelHistory"]


@dataclass(slots=True)
class _Record:
    source: str
    count: int | None
    id: str | None
    status: Status | None = None
    failed_line: int | None = None
    duration_s: float | None = None
    started: float = 0.0
    outputs_before: int = 0
    """Outputs that stood under its number when it began."""
    observed: Observed | None = None
    magic: tuple[str, str] | None = None
    """Line and body of the ``%%containerize`` that the cell begins with, as the magic was given them."""
    run: CellRun | None = None
    """As it was last told, so that what each build keeps of the history is shared."""


@dataclass
class KernelHistory:
    """What ran in a kernel, in order. Works from the kernel's own history alone where it was installed late."""

    shell: Any
    deleted: set[str] = field(default_factory=set)
    """Ids of cells that the front end said are deleted."""
    ran_at: dict[str, float] = field(default_factory=dict)
    """Cell id to the time of its last run, seconds since the epoch."""
    observer: Observer | None = None
    """Asked before and after each run, where there is one."""
    _records: dict[int, _Record] = field(default_factory=dict)
    _order: list[_Record] = field(default_factory=list)
    _current: _Record | None = None
    _bodies: list[tuple[str, int]] = field(default_factory=list)
    """Bodies of ``%%capture`` that are running now, as cells of their own within ``_current``, the inner ones last, and
    how many lines stand before each in what it is the body of."""

    def install(self) -> None:
        """Listen from now on, and to the cell that is running if this is the first that it does."""
        self.uninstall()
        if self.observer is not None:
            self.observer.start()
        self.shell.events.register("pre_run_cell", self._before)
        self.shell.events.register("post_run_cell", self._after)
        history = self.shell.history_manager
        text, line = _running(self.shell.user_ns)
        if line and text.strip() == history.input_hist_parsed[-1].strip() and _is_first(text, line):
            place = len(history.input_hist_raw) - 1
            self._begin(_Record(history.input_hist_raw[place], place, self._cell_id(self._metadata())))

    def uninstall(self) -> None:
        """Listen no longer."""
        if self.observer is not None:
            self.observer.stop()
        for event, callback in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            if callback in self.shell.events.callbacks[event]:
                self.shell.events.unregister(event, callback)

    def _before(self, info: Any) -> None:
        around = self._bodies[-1][0] if self._bodies else self._current.source if self._current is not None else ""
        if (body := captured_body(around)) is not None and body[0] == info.raw_cell.strip():
            self._bodies.append(body)
            return
        self._bodies.clear()
        metadata = self._metadata()
        deleted = metadata.get("deletedCells")
        if isinstance(deleted, Iterable):
            self.deleted.update(cell for cell in deleted if isinstance(cell, str))
        cell_id = self._cell_id(metadata) or getattr(info, "cell_id", None)
        if cell_id:
            self.ran_at[cell_id] = time.time()
            self.deleted.discard(cell_id)
        # The place that this input will have in the history; execution_count is raised before this event in some
        # versions of IPython and after the run in others.
        count = len(self.shell.history_manager.input_hist_raw) if info.store_history else None
        self._begin(_Record(info.raw_cell, count, cell_id if isinstance(cell_id, str) else None))

    def _begin(self, record: _Record) -> None:
        self._current = record
        self._order.append(record)
        if record.count is not None:
            record.outputs_before = outputs.how_many(self.shell, record.count)
            self._records[record.count] = record
        if self.observer is not None:
            self.observer.begin(record.source)
        record.started = time.perf_counter()

    def _after(self, result: Any) -> None:
        error = result.error_before_exec or result.error_in_exec
        if self._bodies and self._bodies[-1][0] == result.info.raw_cell.strip():
            if error is not None and self._current is not None:  # the magic itself ends well then
                line, before = _failed_line(error), sum(lines for _, lines in self._bodies)
                self._current.status, self._current.failed_line = "error", line and line + before
            self._bodies.pop()
            return
        self._bodies.clear()
        record, self._current = self._current, None
        if record is None:  # installed by the very cell that now ends, after other statements of it
            return
        if record.status is None or error is not None:
            record.status = "error" if error else "ok"
        record.duration_s = time.perf_counter() - record.started
        if self.observer is not None:
            record.observed = self.observer.end(record.duration_s)
        if error is not None:
            record.failed_line = _failed_line(error)

    def note_magic(self, line: str, body: str) -> None:
        """Note what ``%%containerize`` was given in the cell that is running now.

        The cell may name the magic by an alias, which its text does not tell. A call of the magic from code is none:
        the cell that is exported is then the one that has the call.
        """
        record = self._current
        if record is None or not record.source.lstrip().startswith("%%"):
            return
        header = f"%%containerize {line}".rstrip()
        if not record.source.endswith("\n"):
            body = body.removesuffix("\n")  # IPython adds it
        if header_and_body(record.source)[0] is None:
            record.source = f"{header}\n{body}"
        record.magic = header, body

    @staticmethod
    def _cell_id(metadata: Mapping[str, object]) -> str | None:
        found = metadata.get("cellId")
        return found if isinstance(found, str) else None

    def _metadata(self) -> Mapping[str, object]:
        kernel = getattr(self.shell, "kernel", None)
        getters = (getattr(kernel, "get_parent", None), getattr(self.shell, "get_parent", None))
        for get in getters:
            if get is None:
                continue
            parent = get()
            metadata = parent.get("metadata") if isinstance(parent, Mapping) else None
            if isinstance(metadata, Mapping):
                return metadata
        return {}

    def runs(self) -> list[CellRun]:
        """Return every run so far, oldest first; the cell that is running now is the last.

        Runs from before ``install`` come from the kernel's list of inputs: their id and status are not known. Runs
        that left no history (``store_history=False``) are known only since ``install``.
        """
        inputs: list[str] = list(self.shell.history_manager.input_hist_raw)
        runs: list[_Record] = []
        first = min(self._records, default=len(inputs))
        silent = [(place, record) for place, record in enumerate(self._order) if record.count is None]
        places = {id(record): place for place, record in enumerate(self._order)} if silent else {}
        told = 0
        for count in range(1, len(inputs)):
            record = self._records.get(count)
            if record is not None:
                place = places.get(id(record), 0)
                while told < len(silent) and silent[told][0] < place:
                    runs.append(silent[told][1])
                    told += 1
            elif not inputs[count] and count > first:
                continue
            runs.append(record or _Record(inputs[count], count, None))
        runs.extend(record for _, record in silent[told:])
        return self._with_last_output(runs)

    def _cell_run(self, record: _Record) -> CellRun:
        run = CellRun(
            source=record.source,
            transformed=transform(record.source),
            id=record.id,
            count=record.count,
            status=record.status,
            failed_line=record.failed_line,
            duration_s=record.duration_s,
            stale="deleted" if record.id in self.deleted else None,
            observed=record.observed,
            magic=record.magic,
        )
        if run != record.run:
            record.run = run
        assert record.run is not None
        return record.run

    def _with_last_output(self, records: list[_Record]) -> list[CellRun]:
        """Return the runs, the last one with what the run before it of the same body printed in the notebook.

        No other output is looked at: joined, they would be a second copy of all that a kernel ever printed.
        """
        runs = [self._cell_run(record) for record in records]
        if not runs:
            return runs
        body = runs[-1].body.strip()
        for run, record in zip(reversed(runs[:-1]), reversed(records[:-1]), strict=True):
            if run.ran_here and run.body.strip() == body:
                printed = outputs.printed(self.shell, record.count, record.outputs_before)
                if printed is not None:
                    return [*runs[:-1], replace(runs[-1], stdout=printed)]
        return runs


def _running(namespace: Mapping[str, object]) -> tuple[str, int]:
    """Return the text that the namespace is running and the line, 1-based, that called this; ``""`` and 0 for none."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals is not namespace:
        frame = frame.f_back
    return ("".join(linecache.getlines(frame.f_code.co_filename)), frame.f_lineno) if frame is not None else ("", 0)


def _is_first(text: str, line: int) -> bool:
    """Tell whether nothing but constants stands above a line, 1-based."""
    above = [one for one in ast.parse(text).body if one.lineno < line]
    return all(isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) for one in above)


def _failed_line(error: BaseException) -> int | None:
    if isinstance(error, SyntaxError) and error.__traceback__ is None:
        return 1
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_name == "<module>" and ("ipykernel" in code.co_filename or "ipython-input" in code.co_filename):
            return traceback.tb_lineno
        traceback = traceback.tb_next
    return None
