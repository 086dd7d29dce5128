"""One honest bar for the whole: steps and bytes that are behind us, weighed by what the same steps took before.

The bar never goes back, and where nothing is known it says so (None).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from buildr_jupyter.events.state import BuildState
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.process.locks import private_folder
from buildr_jupyter.process.tempfiles import atomic_write

__all__ = ["Durations", "Progress"]

_MAX_STEPS = 2000
_MAX_IMAGES = 200
_DEFAULT_STEP_S = 1.0
_DEFAULT_PUSH_S = 3.0
_NEVER_FULL = 0.97


def _key(title: str) -> str:
    return hashlib.sha256(" ".join(title.split()).encode("utf-8", "replace")).hexdigest()[:16]


class Durations:
    """What steps took before, seconds by a digest of their title, and the steps of each image; one file a user."""

    def __init__(self, path: Path) -> None:
        """Read the file; one that is missing or damaged counts as empty."""
        self.path = path
        self.steps: dict[str, float] = {}
        self.images: dict[str, list[str]] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
            held: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            self.steps = {str(k): float(v) for k, v in held["steps"].items()}
            self.images = {str(k): [str(step) for step in v] for k, v in held["images"].items()}

    def learn(self, reference: str, steps: Sequence[StepUpdate], publish_s: float | None = None) -> None:
        """Keep what the steps of a finished build took; a step that was cached teaches nothing about its duration."""
        for step in steps:
            if step.status == "done" and step.duration_s is not None:
                self._put(_key(step.title), step.duration_s)
        if publish_s is not None:
            self._put(_key(f"publish {reference}"), publish_s)
        self.images.pop(reference, None)
        self.images[reference] = [_key(step.title) for step in steps if step.total]
        self.steps = dict(list(self.steps.items())[-_MAX_STEPS:])
        self.images = dict(list(self.images.items())[-_MAX_IMAGES:])
        self._write()

    def _put(self, key: str, seconds: float) -> None:
        self.steps.pop(key, None)
        self.steps[key] = round(seconds, 3)

    def _write(self) -> None:
        """Replace the file in one go; a cache that cannot be written is no reason to stop."""
        with contextlib.suppress(OSError):
            private_folder(self.path.parent)
            with atomic_write(self.path) as half:
                half.write_text(json.dumps({"steps": self.steps, "images": self.images}), encoding="utf-8")
                half.replace(self.path)


class Progress:
    """``update`` gives the part that is done, 0.0 to 1.0, or None; ``left_s`` the seconds that are left, if known."""

    def __init__(self, durations: Durations, reference: str, *, publish: bool = False) -> None:
        self._durations, self._reference, self._publish = durations, reference, publish
        self._value: float | None = None
        self._began: dict[str, float] = {}
        self.left_s: float | None = None

    def update(self, state: BuildState, now: float) -> float | None:
        """Return the bar's value for this state; ``now`` is any clock in seconds that goes on."""
        if state.status == "done":
            self._value, self.left_s = 1.0, 0.0
            return self._value
        if state.status in ("failed", "cancelled"):
            self.left_s = None
            return self._value
        done, whole, known = self._build(state, now)
        if whole is None:
            self.left_s = None
            return self._value
        if self._publish or "publish" in state.stages:
            before = self._durations.steps.get(_key(f"publish {self._reference}"))
            weight = before or _DEFAULT_PUSH_S
            known = known and before is not None
            if state.stages.get("build") in ("done", "cached"):
                done = whole
            done += weight * _moved(state)
            whole += weight
        value = min(done / whole, _NEVER_FULL) if whole > 0 else 0.0
        self._value = max(self._value or 0.0, value)
        self.left_s = max(0.0, whole - done) if known else None
        return self._value

    def _build(self, state: BuildState, now: float) -> tuple[float, float | None, bool]:
        """Return seconds behind us, seconds of the whole (None: not known) and whether all of it is from memory."""
        steps = [step for step in state.steps.values() if step.total]
        earlier = self._durations.images.get(self._reference, [])
        total = max([len(steps), *(step.total or 0 for step in steps)], default=0) or len(earlier)
        if not total:
            return 0.0, None, False
        typical = [s for key in earlier if (s := self._durations.steps.get(key)) is not None]
        default = sum(typical) / len(typical) if typical else _DEFAULT_STEP_S
        done = whole = 0.0
        known = True
        for place in range(total):
            step = steps[place] if place < len(steps) else None
            key = _key(step.title) if step else earlier[place] if place < len(earlier) else ""
            seconds = self._durations.steps.get(key)
            if seconds is None and not (step and step.status in ("done", "cached")):
                known = False
            weight = max(seconds if seconds is not None else default, 0.05)
            whole += weight
            if step is not None:
                done += weight * self._part(step, seconds, state, now)
        return done, whole, known

    def _part(self, step: StepUpdate, seconds: float | None, state: BuildState, now: float) -> float:
        if step.status in ("done", "cached"):
            return 1.0
        if step.status != "running":
            return 0.0
        began = self._began.setdefault(step.step, now)
        by_time = min((now - began) / seconds, 0.95) if seconds else 0.0
        moving = [t for t in state.transfers.values() if t.step == step.step and t.total_bytes]
        whole = sum(t.total_bytes or 0 for t in moving)
        by_bytes = 0.95 * sum(min(t.current_bytes, t.total_bytes or 0) for t in moving) / whole if whole else 0.0
        return max(by_time, by_bytes)


def _moved(state: BuildState) -> float:
    """Return how much of the push is done, by bytes where they are known, else by layers."""
    if state.stages.get("publish") == "done":
        return 1.0
    pushes = [t for t in state.transfers.values() if t.verb in ("push", "upload")]
    over = ("done", "exists", "mounted")
    whole = sum(t.total_bytes or 0 for t in pushes)
    if whole:
        there = sum(
            (t.total_bytes or 0) if t.status in over else min(t.current_bytes, t.total_bytes or 0) for t in pushes
        )
        return there / whole
    return sum(t.status in over for t in pushes) / len(pushes) if pushes else 0.0
