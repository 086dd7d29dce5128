"""What happens in one row of the fault matrix.

A row builds a new version of an image that is there already, brings its fault when the stage is at work, and looks:
what the person is told, what is left, whether the image that was there still is (or the new one, whole), and whether
the next build succeeds.
"""

from __future__ import annotations

import random
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.faults import probe
from tests.faults.rows import TOLD, Row
from tests.faults.strike import Strike
from tests.faults.world import CASES, IN_CLUSTER, Case, Gone, InCluster, Podman, World, wait_until

__all__ = ["Outcome", "interrupts", "run", "start"]

_KEPT_SOCKETS = 75
_IDLE_WORKERS = 8
_WORDS = {"disk full": "no space left", "denied": "denied|not allow"}
"""What an error must say where it is about this."""
LIMIT_S = 150.0
"""After so long, waiting counts as for ever: Docker tries a push five times, in some 75 s, and tells so."""


@dataclass
class Outcome:
    """What came of it."""

    row: Row
    seen: str
    """What the person is told."""
    left: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """Everything that should not be; empty: survived."""
    seconds: float = 0.0


# -- one row


def start(world: World, name: str) -> Case:
    """Return a builder under test whose first build is done: the base is there, and an image of the name."""
    case = CASES[name](world, world.folder / name)
    case.begin()
    case.good()
    case.idle_s = 30 if name == "kaniko" else 8  # kaniko fetches the base each time, without a word
    case.begin()
    return case


def run(case: Case, row: Row, seed: int = 0) -> Outcome:
    """Run one row; the case is as good as new afterwards, unless something is wrong."""
    began = time.monotonic()
    outcome = Outcome(row, "")
    striking = Strike(case, row, random.Random(seed))
    before = probe.image_of(case)
    with striking.arranged():
        lasting = striking.lasts
        said = case.write(row.stage, 600 if lasting else 2, cells=300 if row.stage == "export" else 0)
        case.say(case.words())
        reached = striking.reached(said)
        if not reached:
            outcome.wrong.append(f"the stage was not reached: {case.heard[-3:]}")
        striking.strike()
        _listen(case, row, outcome)
        striking.repair()
    if case.process is None or case.process.poll() is not None:
        if isinstance(case, InCluster):
            case.give_up()  # a pod builds on where its client is gone, until it is told to end
        wait_until(lambda: not probe.work_of(case), probe.SETTLE_S)
        if probe.work_of(case) and row.stage != "run":  # a container that runs is no build: the next command removes it
            outcome.wrong.append(f"the step goes on {probe.SETTLE_S:.0f} s after our process was killed")
        case.begin()
    _compare(case, row, outcome, before)
    _go_on(case, outcome)
    outcome.seconds = time.monotonic() - began
    return outcome


def _listen(case: Case, row: Row, outcome: Outcome) -> None:
    """Take what the process says at its end: a result, or one sentence."""
    try:
        said = case.answer(LIMIT_S)
    except Gone:
        assert case.process
        case.process.wait(30)
        outcome.seen = "nothing: the kernel is gone"
        if row.fault != "kernel killed":
            case.hears("")
            outcome.wrong.append(f"the process died: {case.heard[-4:]}")
        return
    except TimeoutError:
        outcome.wrong.append(f"it waits for ever: {case.heard[-2:]}")
        outcome.seen = "nothing"
        case.kill()
        case.answers.get(timeout=30)
        assert case.process
        case.process.wait(30)
        return
    error = (said["record"] or {}).get("error") or {}
    told = [line for line in case.heard if ": " in line and not line.startswith(("warning", "  "))]
    if said["status"] == 0:
        outcome.seen = "it succeeds"
        comes_again = row.fault == "engine killed" and row.builder in IN_CLUSTER
        if (row.stage, row.fault) in TOLD and not comes_again:
            outcome.wrong.append("it says that it succeeded")
    elif error:
        outcome.seen = f"{error['type']}: {error['message'].splitlines()[0]}" if error["message"] else error["type"]
        if not error["message"].strip():
            outcome.wrong.append("an error without a sentence")
        broken_off = (row.stage, row.fault) == ("publish", "denied")  # a blob may be on its way, and finds no reader
        if not broken_off and not re.search(_WORDS.get(row.fault, ""), outcome.seen, re.IGNORECASE):
            outcome.wrong.append("it does not say why")
    else:
        outcome.seen = told[-1] if told else "nothing"
    if any("Traceback (most recent call last)" in line for line in case.heard):
        outcome.wrong.append("a traceback: " + next(line for line in reversed(case.heard) if line.strip()))
    if said["status"] not in (0, 1, 2, 130) or (row.fault == "interrupt" and said["status"] not in (0, 130)):
        outcome.wrong.append(f"exit status {said['status']}")
    if said["status"] == 0 and row.fault == "clock" and said["record"]["duration_s"] > 600:
        outcome.wrong.append(f"it says that it took {said['record']['duration_s']:.0f} s")


def _compare(case: Case, row: Row, outcome: Outcome, before: tuple[str | None, str | None]) -> None:
    """See that the name has what it had, or the new image, and that nothing is left."""
    engine, digest = probe.image_of(case)
    if before[0] is not None and engine is None:
        outcome.wrong.append("the engine's earlier image is gone")
    if before[1] is not None and digest is None:
        outcome.wrong.append("the registry's earlier image is gone")
    if row.fault in ("kernel killed", "engine killed", "engine restarted"):
        return  # who was to clean up was gone: the next command takes the rest away
    outcome.left = probe.left_over(case)
    outcome.wrong += outcome.left


def _go_on(case: Case, outcome: Outcome) -> None:
    """Build once more: it succeeds, and nothing is left then."""
    threads, descriptors = case.threads, case.descriptors
    try:
        case.good()
    except (AssertionError, Gone, TimeoutError) as error:
        outcome.wrong.append(f"the next build fails: {str(error)[-600:] or type(error).__name__}")
        return
    outcome.left = probe.left_over(case)
    outcome.wrong += [f"after the next build: {one}" for one in outcome.left]
    more = Counter(case.threads) - Counter(threads)
    if case.threads.count("buildr-worker") <= _IDLE_WORKERS:
        del more["buildr-worker"]  # a worker has this name while it is free: the next task takes it
    if more:
        outcome.wrong.append(f"threads left: {dict(more)}")
    more = Counter(case.descriptors) - Counter(descriptors)
    if case.descriptors.count("socket") <= _KEPT_SOCKETS and isinstance(case, Podman):
        del more["socket"]  # docker-py keeps one open for each address that it asked, up to 25
    if more:
        outcome.wrong.append(f"descriptors left: {dict(more)}")


# -- interrupts at any moment


def interrupts(case: Case, count: int, seed: int = 0) -> list[str]:
    """Interrupt ``count`` builds at random moments of their whole length; return what was wrong, empty for nothing.

    Each ends within ``LIMIT_S`` with status 130 (or 0, where it was over), leaves nothing, and the name has an image.
    """
    chance = random.Random(seed)
    wrong = []
    for number in range(count):
        case.write("none", 0)
        case.say(case.words())
        at_s = chance.uniform(0, 1.1 * case.good_s)
        time.sleep(at_s)
        assert case.process
        case.process.send_signal(signal.SIGINT)
        try:
            status = case.answer(LIMIT_S)["status"]
        except (TimeoutError, Gone) as error:
            wrong.append(f"interrupt {number} after {at_s:.3f} s: {type(error).__name__}")
            case.begin()
            continue
        left = probe.left_over(case)
        engine, digest = probe.image_of(case)
        if status not in (0, 130) or left or not digest:
            wrong.append(f"interrupt {number} after {at_s:.3f} s: status {status}, left {left}, {engine} {digest}")
        if any("Traceback (most recent call last)" in line for line in case.heard):
            wrong.append(f"interrupt {number} after {at_s:.3f} s: {case.heard[-3:]}")
    try:
        case.good()
    except (AssertionError, Gone, TimeoutError) as error:
        wrong.append(f"after the interrupts: {error}")
    return wrong
