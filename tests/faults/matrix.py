"""Stages by builders by faults: which rows there are, why others cannot be, and what happens in one.

A row builds a new version of an image that is there already, brings its fault when the stage is at work, and looks:
what the person is told, what is left, whether the image that was there still is (or the new one, whole), and whether
the next build succeeds.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from tests.engines._process import Process
from tests.faults import probe
from tests.faults.world import CASES, Case, Gone, Podman, World, wait_until

__all__ = ["FAULTS", "STAGES", "Outcome", "Row", "impossible", "rows", "run", "start"]

STAGES = ("export", "build", "publish", "run")
FAULTS = {
    "kernel killed": "SIGKILL to our own process",
    "engine killed": "SIGKILL to what builds, or runs",
    "registry killed": "SIGKILL to the registry",
    "child killed": "SIGKILL to the command that builds or pushes, the step, or the program",
    "reset": "the connection is broken off (RST)",
    "silence": "the connection says nothing any more",
    "trickle": "the connection gives 2 KB a second for three seconds",
    "disk full": "no room where temporary files, the cache and the notebook are",
    "denied": "a file or socket that may not be used, a registry that refuses",
    "clock": "the clock jumps by 400 days",
    "interrupt": "SIGINT",
    "engine restarted": "the engine is stopped and started",
}
_KEPT_SOCKETS = 75
LIMIT_S = 150.0
"""After so long, waiting counts as for ever: Docker tries a push five times, in some 75 s, and tells so."""


@dataclass(frozen=True)
class Row:
    """One fault in one stage of one builder."""

    stage: str
    builder: str
    fault: str

    def __str__(self) -> str:
        return f"{self.stage} · {self.builder} · {self.fault}"


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


def impossible(row: Row) -> str | None:
    """Return why a row cannot be, None where it is run."""
    stage, builder, fault = row.stage, row.builder, row.fault
    ours = builder in ("buildah", "oci")
    if stage == "export":
        if fault in ("kernel killed", "denied", "clock", "interrupt"):
            return None
        if fault == "disk full":
            return "the program is found without a write to the disk; the context is written in the stage build"
        return "nobody but our own process is at work"
    if stage == "run" and fault == "registry killed":
        return "no registry is asked while a container runs"
    if fault in ("engine killed", "engine restarted") and ours and stage != "run":
        return "it has no engine"
    if fault == "engine restarted" and builder == "podman" and stage == "build":
        return None
    if fault in ("reset", "silence", "trickle") and ours and stage == "build" and builder == "buildah":
        return "a step runs without a connection"
    if fault == "child killed" and stage == "publish" and builder in ("docker", "docker-buildkit", "oci", "podman"):
        return "no child pushes: the engine does, or our own process"
    if fault == "child killed" and stage == "build" and builder == "oci":
        return "our own process builds (uv, which fetches wheels, has its own tests)"
    return None


def rows() -> Iterator[Row]:
    """Yield the whole product, by builder."""
    for builder, stage, fault in product(CASES, STAGES, FAULTS):
        yield Row(stage, builder, fault)


# -- one row


def start(world: World, name: str) -> Case:
    """Return a builder under test whose first build is done."""
    case = CASES[name](world, world.folder / name)
    case.begin()
    _good(case)
    case.idle_s = 30 if name == "kaniko" else 8  # kaniko fetches the base each time, without a word
    case.begin()
    _good(case)
    return case


def _good(case: Case) -> dict[str, Any]:
    """Build a version without a fault; return the record. Raises AssertionError where it fails."""
    case.write("none", 0)
    case.say(case.words())
    said = case.answer(120)
    assert said["status"] == 0, "\n".join(case.heard[-15:])
    case.threads, case.descriptors = said["threads"], said["descriptors"]
    record: dict[str, Any] = said["record"]
    return record


def run(case: Case, row: Row, seed: int = 0) -> Outcome:
    """Run one row; the case is as good as new afterwards, unless something is wrong."""
    began = time.monotonic()
    outcome = Outcome(row, "")
    striking = _Strike(case, row, random.Random(seed))
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
    elif error:
        outcome.seen = f"{error['type']}: {error['message'].splitlines()[0]}" if error["message"] else error["type"]
        if not error["message"].strip():
            outcome.wrong.append("an error without a sentence")
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
        _good(case)
    except (AssertionError, Gone, TimeoutError) as error:
        outcome.wrong.append(f"the next build fails: {str(error)[-600:] or type(error).__name__}")
        return
    outcome.left = probe.left_over(case)
    outcome.wrong += [f"after the next build: {one}" for one in outcome.left]
    if more := Counter(case.threads) - Counter(threads):
        outcome.wrong.append(f"threads left: {dict(more)}")
    more = Counter(case.descriptors) - Counter(descriptors)
    if case.descriptors.count("socket") <= _KEPT_SOCKETS and isinstance(case, Podman):
        del more["socket"]  # docker-py keeps one open for each address that it asked, up to 25
    if more:
        outcome.wrong.append(f"descriptors left: {dict(more)}")


class _Strike:
    """A fault: what is arranged for it, when it strikes, what mends it."""

    def __init__(self, case: Case, row: Row, chance: random.Random) -> None:
        self.case, self.row, self._chance = case, row, chance
        self._killed: Process | None = None
        self._full = ExitStack()

    @property
    def lasts(self) -> bool:
        """Tell whether what is slow would go on for ten minutes, so that somebody has to end it."""
        if (self.row.fault, self.row.stage) == ("reset", "run"):
            return False  # the container is listened to again
        if self._outside and self.row.stage == "build" and self.row.fault != "engine restarted":
            return False  # podman ends the step that runs before it sees that nobody listens
        return self.row.fault not in ("trickle", "clock", "registry killed") and not (
            self.row.fault in ("disk full", "denied") and self.row.stage != "build"
        )

    @property
    def _early(self) -> bool:
        """Tell whether it is there before the build begins."""
        return (self.row.fault, self.row.stage) in {("disk full", "build"), ("denied", "build"), ("denied", "export")}

    @property
    def _outside(self) -> bool:
        """Tell whether podman's service is somebody else's: what the valve stands before."""
        faults = ("reset", "silence", "trickle", "engine restarted")
        return isinstance(self.case, Podman) and self.row.fault in faults and self.row.stage != "export"

    def arranged(self) -> ExitStack:
        """Arrange what must be before the build begins; what is given undoes it."""
        case, fault, stack = self.case, self.row.fault, ExitStack()
        if isinstance(case, Podman) and self._outside != (case.service is not None):
            case.end()
            case.serve(outside=self._outside)
            case.begin()
            _good(case)  # a service of our own has two pipes and a log: what is there is counted anew
        if fault == "denied":
            case.begin(lowered=True)
            stack.callback(case.begin)
        elif case.process is None:
            case.begin()
        if self.row.stage == "publish" or (self.row.builder == "oci" and self.row.stage == "build"):
            case.world.registry.hold_after(1_000_000 if self.row.stage == "publish" else 1)
        if self._early:
            stack.enter_context(case.full()) if fault == "disk full" else self._deny(stack)
        return stack

    def _deny(self, stack: ExitStack) -> None:
        paths = [self.case.disk / "cache"]
        if self.row.stage == "export":
            paths = [self.case.disk / "work" / "nb.ipynb"]
            paths[0].touch()
        for path in paths:
            path.chmod(0o000)
            stack.callback(path.chmod, 0o700)

    def reached(self, said: str) -> bool:
        """Wait until the stage is at work; at once, where the fault is there already."""
        case, stage = self.case, self.row.stage
        if self._early:
            return True
        if stage == "export":
            reached = wait_until(lambda: case.hears("buildr: "), 30)
            time.sleep(self._chance.random() * 0.2)
            return reached
        if stage == "publish" or (stage == "build" and case.program):
            return case.world.registry.at_work.wait(60)
        return wait_until(lambda: case.hears(said), 60)

    def strike(self) -> None:
        """Bring the fault."""
        world, fault = self.case.world, self.row.fault
        held = world.registry.mode == "held"
        if held and fault not in (
            "silence",
            "trickle",
            "denied",
            "registry killed",
            "reset",
            "interrupt",
            "kernel killed",
        ):
            self._act(fault)
            time.sleep(0.1)
            world.registry.open()
        else:
            self._act(fault)

    def _act(self, fault: str) -> None:
        case, world = self.case, self.case.world
        actions: dict[str, Callable[[], object]] = {
            "kernel killed": case.kill,
            "engine killed": lambda: self._end_engine(signal.SIGKILL),
            "engine restarted": lambda: self._end_engine(signal.SIGTERM),
            "registry killed": lambda: self._end(world.engines.process("docker-registry"), signal.SIGKILL),
            "child killed": self._kill_child,
            "reset": lambda: self._valve().reset(),
            "silence": lambda: setattr(self._valve(), "mode", "held"),
            "trickle": self._trickle,
            "disk full": lambda: None if self._early else self._full.enter_context(case.full()),
            "denied": self._refuse,
            "clock": lambda: case.time.write_text(str(400 * 86400)),
            "interrupt": lambda: case.process and case.process.send_signal(signal.SIGINT),
        }
        actions[fault]()

    def _valve(self) -> Any:
        if self.row.stage == "publish" or (self.row.builder == "oci" and self.row.stage == "build"):
            return self.case.world.registry
        runs_elsewhere = self.row.stage == "run" and not isinstance(self.case, Podman)
        return self.case.world.docker if runs_elsewhere else self.case.valve

    def _trickle(self) -> None:
        valve = self._valve()
        valve.mode = "slow"
        time.sleep(3)
        valve.open()

    def _refuse(self) -> None:
        if self._early:
            return
        if self.row.stage == "publish":
            self.case.world.registry.mode = "denied"
        else:
            (self.case.disk / "work").chmod(0o500)
            folder = self.case.disk / "work" / "output"
            folder.mkdir(exist_ok=True)
            folder.chmod(0o500)

    def _end_engine(self, number: int) -> None:
        case = self.case
        if case.engine == "dockerd" or (self.row.stage == "run" and not isinstance(case, Podman)):
            self._end(case.world.engines.process("dockerd"), number)
        elif case.engine == "buildkitd":
            self._end(case.world.engines.process("buildkitd"), number)
        elif isinstance(case, Podman) and case.service is not None:
            self._end(case.service, number)
        else:
            for pid in _services_of(case):
                os.kill(pid, number)

    def _end(self, process: Process, number: int) -> None:
        os.kill(process.pid, number)
        wait_until(lambda: not process.alive(), 20)
        self._killed = process
        if process.name == "docker-registry":
            self.case.world.registry.open()

    def _kill_child(self) -> None:
        case = self.case
        children = [pid for pid in _children_of(case) if self.row.stage != "run"]
        for pid in children if case.name in ("buildkit", "buildah") and children else _workers(case, self.row.stage):
            os.kill(pid, signal.SIGKILL)

    def repair(self) -> None:
        """Mend what was broken."""
        case = self.case
        self._full.close()
        for valve in (case.world.registry, case.world.docker, case.world.buildkit, case.world.podman):
            valve.open()
        case.time.write_text("0")
        for path in (case.disk / "work" / "output", case.disk / "work"):
            if path.exists():
                path.chmod(0o755)
        if self._killed is None:
            return
        if isinstance(case, Podman) and self._killed is case.service:
            case.service = case.world.start_podman()
        else:
            case.world.engines.again(self._killed)


def _children_of(case: Case) -> list[int]:
    """Return the commands that our process started: no shells."""
    from buildr_jupyter.leash import descendants

    assert case.process
    return [
        pid for pid in descendants(case.process.pid)
        if any(word in _words(pid)[:1] for word in (b"buildah", b"buildctl"))
        or (_words(pid)[:1] and _words(pid)[0].endswith(b"/buildctl"))
    ]  # fmt: skip


def _services_of(case: Case) -> list[int]:
    from buildr_jupyter.leash import descendants

    assert case.process
    return [pid for pid in descendants(case.process.pid) if _words(pid)[1:3] == [b"system", b"service"]]


def _workers(case: Case, stage: str) -> list[int]:
    """Return the step that sleeps, the program, or kaniko's executor."""
    if case.name == "kaniko" and stage == "publish":
        from tests.fakes.processes import arguments_with

        return arguments_with("/kaniko/executor")
    if case.program and stage == "run":
        return [int(one["Pid"]) for one in _states(case) if one.get("Pid")]
    return probe.work_of(case)


def _states(case: Case) -> list[dict[str, Any]]:
    client = case.world.client
    return [client.inspect_container(one["Id"])["State"] for one in client.containers()]


def _words(pid: int) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


# -- interrupts at any moment


def interrupts(case: Case, count: int, seed: int = 0) -> list[str]:
    """Interrupt ``count`` builds at random moments of their whole length; return what was wrong, empty for nothing.

    Each ends within ``LIMIT_S`` with status 130 (or 0, where it was over), leaves nothing, and the name has an image.
    """
    chance = random.Random(seed)
    began = time.monotonic()
    _good(case)
    length_s = time.monotonic() - began
    wrong = []
    for number in range(count):
        case.write("none", 0)
        case.say(case.words())
        at_s = chance.uniform(0, 1.1 * length_s)
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
    _good(case)
    return wrong
