"""A build's state as the small, plain document that the page draws and the record is written from.

Every text in it is cleaned of escapes, control characters and bidi overrides, and every list is bounded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from buildr_jupyter.errors import BuildrError, Cancelled
from buildr_jupyter.events.event import Phase, RunUpdate, TransferUpdate
from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.interface import Interface
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.ui.pane.quick_fix import suggest_line
from buildr_jupyter.ui.result import describe_files
from buildr_jupyter.ui.sanitize import clean_text, show_size, show_title
from buildr_jupyter.ui.step_titles import plain_title, step_title

__all__ = [
    "MAX_RUNS",
    "MAX_STEPS",
    "Ages",
    "ErrorView",
    "InputView",
    "Rates",
    "ResultView",
    "RunRow",
    "RunsView",
    "StepView",
    "View",
    "WentIn",
    "failing_step",
    "make_view",
    "run_command",
]

MAX_STEPS = 200
MAX_RUNS = 200
_MAX_MOVES = 40
_MAX_WARNINGS = 20
_MAX_ROWS = 100
_MAX_OUTPUT = 500
_KINDS = {
    "code": "its code runs at each start",
    "recompute": "its code runs at each start",
    "literal": "as it is written",
    "parameter": "a parameter",
    "snapshot": "its value of then",
    "import": "imported",
}
"""How a name comes into the program, in words: that a model is trained again at each start must be seen."""
_CHOICES = {"bool": ["true", "false"]}
_TAIL = 20
_STAGES = {
    "export": "finding the program",
    "guard": "looking for secrets",
    "build": "building",
    "proof": "proving the program",
    "publish": "publishing",
    "run": "running the container",
}
_PHASES: tuple[Phase, ...] = ("done", "failed", "lost", "cancelled", "running", "collecting", "starting", "waiting")


class StepView(TypedDict):
    """A step; ``took`` and ``age`` are seconds."""

    key: str
    title: str
    said: str
    """The engine's own words, where the title is in plainer ones."""
    status: str
    took: float | None
    age: int | None
    number: str
    """``2/5``, empty where its place is not known, and before a plain title."""


class MoveView(TypedDict):
    """A transfer, in bytes; ``rate`` is bytes a second."""

    verb: str
    item: str
    status: str
    now: int
    of: int | None
    rate: int


class RunRow(TypedDict):
    """One run of a sweep."""

    key: str
    number: int
    inputs: str
    phase: str
    before: bool
    """It was done by an earlier sweep."""
    took: float | None
    returned: dict[str, str]
    reason: str
    tail: list[str]


class RunsView(TypedDict):
    """The runs of a sweep: counts are of all, rows of those that are shown."""

    total: int
    counts: dict[Phase, int]
    names: list[str]
    rows: list[RunRow]


class ErrorView(TypedDict):
    """What went wrong; ``instead`` is a line that would go right, ``key`` the step that failed."""

    kind: str
    text: str
    hint: str
    step: str
    key: str | None
    tail: list[str]
    instead: str


class WentIn(TypedDict):
    """One kind of what the image is made of: ``more`` rows are not shown."""

    title: str
    rows: list[list[str]]
    more: int


class InputView(TypedDict):
    """An input of the image: ``default`` as it is given on a command line, empty where it is required."""

    name: str
    type: str
    default: str
    required: bool
    choices: list[str]
    description: str


class ResultView(TypedDict):
    """What a build came to; texts are empty where there is nothing to say."""

    image: str
    digest: str
    is_id: bool
    """Whether it is the image id: there is no digest before a push."""
    size: str
    seconds: float
    cached: int
    steps: int
    same: bool
    pushed: list[str]
    archive: str
    exit: int | None
    command: str
    files: str
    went: list[WentIn]
    inputs: list[InputView]
    proof: str
    widened: list[str]


class View(TypedDict):
    """The document. Times are seconds, sizes bytes."""

    title: str
    builder: str
    status: str
    said: str
    elapsed: float
    fraction: float | None
    left: int | None
    steps: list[StepView]
    more_steps: int
    moves: list[MoveView]
    moved: list[list[str | int]]
    """For each verb: how many transfers are over, and how many there are."""
    warnings: list[list[str]]
    """Text and hint."""
    runs: RunsView | None
    error: ErrorView | None
    result: ResultView | None
    output: list[str]
    """The last lines that the container printed, where the record shows them."""
    log_total: int
    can: dict[str, bool]
    """What the page's buttons may do."""


@dataclass(slots=True)
class Rates:
    """Bytes a second of each transfer, smoothed; ``now`` is any clock that goes on."""

    _last: dict[tuple[str, str], tuple[float, int, float]] = field(default_factory=dict)

    def rate(self, transfer: TransferUpdate, now: float) -> float:
        """Take in a transfer's snapshot and return its rate; one that went back begins anew."""
        key = (transfer.verb, transfer.item)
        at, had, rate = self._last.get(key, (now, transfer.current_bytes, 0.0))
        if transfer.current_bytes < had:
            rate, at, had = 0.0, now, transfer.current_bytes
        if now - at >= 0.25:
            fresh = (transfer.current_bytes - had) / (now - at)
            rate, at, had = (0.6 * fresh + 0.4 * rate if rate else fresh), now, transfer.current_bytes
        self._last[key] = (at, had, rate)
        return rate


@dataclass(slots=True)
class Ages:
    """How long each step has been running; ``now`` is any clock that goes on."""

    _since: dict[str, float] = field(default_factory=dict)

    def age(self, step: StepUpdate, now: float) -> float | None:
        """Return the seconds since this step was first seen to run, None where it does not run."""
        if step.status != "running":
            self._since.pop(step.step, None)
            return None
        return now - self._since.setdefault(step.step, now)


def failing_step(state: BuildState) -> StepUpdate | None:
    """Return the step that failed, None where none did."""
    return next((step for step in reversed(state.steps.values()) if step.status == "failed"), None)


def run_command(result: BuildResult) -> str:
    """Return the command that runs the image where it is."""
    load = f"{result.load_command} && " if result.archive else ""
    return clean_text(f"{load}docker run --rm {result.image}")


def make_view(
    state: BuildState, title: str, *, line: str, elapsed_s: float, fraction: float | None, left_s: float | None,
    rates: Rates, ages: Ages, now: float, can: dict[str, bool], builder: str = "", with_output: bool = False,
) -> View:  # fmt: skip
    """Return the document: head, steps, transfers, runs, warnings, error, result. Times are seconds, sizes bytes."""
    steps = list(state.steps.values())
    moves, moved = _moves(state, rates, now)
    return {
        "title": clean_text(title),
        "builder": clean_text((state.result.builder if state.result else "") or builder),
        "status": state.status,
        "said": _said(state),
        "elapsed": round(elapsed_s, 2),
        "fraction": None if fraction is None else round(fraction, 4),
        "left": None if left_s is None else round(left_s),
        "steps": [_step(step, ages.age(step, now)) for step in steps[-MAX_STEPS:]],
        "more_steps": max(0, len(steps) - MAX_STEPS),
        "moves": moves,
        "moved": moved,
        "warnings": [[clean_text(w.text), clean_text(w.hint or "")] for w in state.warnings[:_MAX_WARNINGS]],
        "runs": _runs(state),
        "error": _error(state, line),
        "result": _result(state),
        "output": _output(state) if with_output else [],
        "log_total": state.log_total,
        "can": can,
    }


def _said(state: BuildState) -> str:
    if state.status in ("running", "waiting"):
        if state.runs:
            over = sum(run.finished_at is not None for run in state.runs.values())
            return f"{over} of {len(state.runs)} runs ended"
        stage = next((stage for stage, status in reversed(state.stages.items()) if status == "running"), None)
        return _STAGES.get(stage or "", "starting")
    return state.status


def _output(state: BuildState) -> list[str]:
    """Return the last lines that the container printed, once it has ended: for the record, which has no log."""
    if state.status in ("running", "waiting"):
        return []
    text = state.run_tail.replace("\r\n", "\n").removesuffix("\n")
    lines = [line.rpartition("\r")[2] for line in text.split("\n")] if text else []
    return [clean_text(line) for line in lines[-_MAX_OUTPUT:]]


def _step(step: StepUpdate, age: float | None) -> StepView:
    plain = plain_title(step.title)
    return {
        "key": step.step,
        "title": show_title(plain or step.title),
        "said": show_title(step.title) if plain else "",
        "status": step.status,
        "took": None if step.duration_s is None else round(step.duration_s, 2),
        "age": None if age is None else round(age),
        "number": f"{step.index}/{step.total}" if step.index and step.total and not plain else "",
    }


def _moves(state: BuildState, rates: Rates, now: float) -> tuple[list[MoveView], list[list[str | int]]]:
    """Return the transfers that move or wait, the newest finished ones after them, and the counts of all."""
    moves = list(state.transfers.values())
    over = [t for t in moves if t.status in ("done", "exists", "mounted")]
    live = [t for t in moves if t.status in ("moving", "waiting")]
    live.sort(key=lambda t: t.status == "waiting")
    shown = (
        [*live[:_MAX_MOVES], *over[-max(0, _MAX_MOVES - len(live)) :]] if len(live) < _MAX_MOVES else live[:_MAX_MOVES]
    )
    ended = state.status not in ("running", "waiting")
    drawn: list[MoveView] = [
        {
            "verb": t.verb,
            "item": show_title(t.item),
            "status": t.status,
            "now": t.current_bytes,
            "of": t.total_bytes,
            "rate": 0 if ended or t.status != "moving" else round(rates.rate(t, now)),
        }
        for t in shown
    ]
    counts: list[list[str | int]] = [
        [verb, sum(t.verb == verb for t in over), sum(t.verb == verb for t in moves)]
        for verb in dict.fromkeys(t.verb for t in reversed(moves))
    ]
    return drawn, counts


def _runs(state: BuildState) -> RunsView | None:
    """Return the runs of a sweep: counts of all, rows of at most 200, those that failed or run now before others."""
    if not state.runs:
        return None
    runs = sorted(state.runs.values(), key=lambda run: run.number)
    if len(runs) > MAX_RUNS:
        last = {"failed": 0, "lost": 0, "running": 1, "collecting": 1, "starting": 1}
        first = sorted(runs, key=lambda run: (last.get(run.phase, 2), run.number))[:MAX_RUNS]
        runs = sorted(first, key=lambda run: run.number)
    every: Counter[Phase] = Counter(run.phase for run in state.runs.values())
    counts = {phase: every[phase] for phase in _PHASES if every[phase]}
    ended = state.status not in ("running", "waiting")
    return {
        "total": len(state.runs),
        "counts": counts,
        "names": list(dict.fromkeys(name for run in runs for name, _ in run.returned)),
        "rows": [_run_row(run, ended=ended) for run in runs],
    }


def _run_row(run: RunUpdate, *, ended: bool) -> RunRow:
    took = None
    if run.started_at is not None and run.finished_at is not None:
        took = round(max(0.0, run.finished_at - run.started_at), 2)
    phase = "cancelled" if ended and run.finished_at is None else run.phase
    return {
        "key": run.key[:16],
        "number": run.number + 1,
        "inputs": show_title(run.title),
        "phase": phase,
        "before": run.reused,
        "took": took,
        "returned": {name: clean_text(value) for name, value in run.returned},
        "reason": clean_text(run.reason),
        "tail": [clean_text(line)[:500] for line in run.log_tail],
    }


def _error(state: BuildState, line: str) -> ErrorView | None:
    error = state.error
    if error is None or isinstance(error, Cancelled | KeyboardInterrupt):
        return None
    log = tuple(clean_text(state.log[i].text) for i in range(max(0, len(state.log) - 200), len(state.log)))
    failed = failing_step(state)
    tail = [row.text for row in list(state.log)[-2000:] if failed is None or row.step in (failed.step, None)][-_TAIL:]
    tail = tail or list(getattr(error, "log_tail", ()) or state.run_tail.splitlines())[-_TAIL:]
    hint = getattr(error, "hint", None)
    instead = suggest_line(line, error, log)
    return {
        "kind": type(error).__name__,
        "text": clean_text(str(error)),
        "hint": clean_text(hint) if isinstance(error, BuildrError) and hint else "",
        "step": step_title(failed.title) if failed else clean_text(getattr(error, "step", None) or ""),
        "key": failed.step if failed else None,
        "tail": [clean_text(text)[:2000] for text in tail],
        "instead": clean_text(instead) if instead else "",
    }


def _result(state: BuildState) -> ResultView | None:
    result = state.result
    if result is None:
        return None
    steps = [step for step in state.steps.values() if step.total] or list(state.steps.values())
    return {
        "image": clean_text(result.image),
        "digest": clean_text(result.digest or result.image_id or ""),
        "is_id": not result.digest,
        "size": show_size(size) if (size := result.size_bytes or result.unpacked_bytes) else "",
        "seconds": round(result.duration_s, 1),
        "cached": sum(step.status == "cached" for step in steps),
        "steps": len(steps),
        "same": result.cached,
        "pushed": [clean_text(ref) for ref in result.pushed],
        "archive": clean_text(str(result.archive or "")),
        "exit": result.run.exit_code if result.run else None,
        "command": run_command(result),
        "files": clean_text(describe_files(result.run)) if result.run else "",
        "went": _went_in(result),
        "inputs": _inputs(result),
        "proof": clean_text(str(result.proof or "")),
        "widened": [clean_text(why) for why in (result.proof.widened if result.proof else ())],
    }


def _inputs(result: BuildResult) -> list[InputView]:
    """Return what a run of the image can be given, at most 100."""
    try:
        interface = Interface.from_label(result.interface) if result.interface else Interface()
    except ValueError:
        return []
    return [
        {
            "name": clean_text(one.name),
            "type": clean_text(one.type),
            "default": "" if one.required else clean_text(_as_given(one.default)),
            "required": one.required,
            "choices": [clean_text(str(choice)) for choice in one.choices] or _CHOICES.get(one.type, []),
            "description": clean_text(one.description),
        }
        for one in interface.inputs[:_MAX_ROWS]
    ]


def _as_given(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _went_in(result: BuildResult) -> list[WentIn]:
    """Return what the image is made of: for each kind a heading with the count, and rows; empty where not known."""
    files = sum(note.bytes for note in result.files)
    parts: list[tuple[str, str, Sequence[tuple[str, ...]]]] = [
        ("name", "", [(note.name, _KINDS.get(note.kind, note.kind), note.origin, note.why) for note in result.names]),
        ("package", "", [(pin.text, pin.why) for pin in result.requirements]),
        ("file", f", {show_size(files)}", [(note.path, show_size(note.bytes), note.why) for note in result.files]),
    ]
    return [
        {
            "title": f"{len(rows)} {noun}{'s' if len(rows) > 1 else ''}{more}",
            "rows": [[clean_text(text) for text in row] for row in rows[:_MAX_ROWS]],
            "more": max(0, len(rows) - _MAX_ROWS),
        }
        for noun, more, rows in parts
        if rows
    ]
