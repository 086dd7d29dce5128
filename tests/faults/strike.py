"""The faults: what is arranged for each, when it strikes, what repairs it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from buildr_jupyter.process.watchdog import descendants
from tests.engines._process import Process
from tests.fakes.processes import arguments_with
from tests.faults import probe
from tests.faults.rows import Row
from tests.faults.world import Case, Clustered, Kubernetes, Podman, wait_until

__all__ = ["Strike"]


class Strike:
    """A fault: what is arranged for it, when it strikes, what repairs it."""

    def __init__(self, case: Case, row: Row, chance: random.Random) -> None:
        self.case, self.row, self._chance = case, row, chance
        self._killed: Process | None = None
        self._full = ExitStack()

    @property
    def lasts(self) -> bool:
        """Tell whether what is slow would go on for ten minutes, so that a person has to end it."""
        if (self.row.fault, self.row.stage) == ("reset", "run"):
            return False  # the container is listened to again
        ends = ("child killed", "interrupt", "kernel killed", *(("disk full", "denied") if self._early else ()))
        if self._in_cluster and self.row.fault not in ends:
            return False  # it goes on in a cluster, whatever we hear of it
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
        """Tell whether podman's service is one that it did not start, behind the valve."""
        faults = ("reset", "silence", "trickle", "engine restarted")
        return isinstance(self.case, Podman) and self.row.fault in faults and self.row.stage != "export"

    @property
    def _in_cluster(self) -> bool:
        """Tell whether a pod does what the fault comes into."""
        return isinstance(self.case, Clustered) and isinstance(self.case, Kubernetes) == (self.row.stage == "run")

    def arranged(self) -> ExitStack:
        """Arrange what must be before the build begins; what is given undoes it."""
        case, fault, stack = self.case, self.row.fault, ExitStack()
        if isinstance(case, Podman) and self._outside != (case.service is not None):
            case.end()
            case.serve(outside=self._outside)
            case.begin()
            case.good()  # a service that was started here has two pipes and a log: what is there is counted anew
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
            "silence": self._silence,
            "node killed": self._kill_node,
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
        runs_elsewhere = self.row.stage == "run" and not isinstance(self.case, Podman | Kubernetes)
        return self.case.world.docker if runs_elsewhere else self.case.valve

    def _silence(self) -> None:
        valve = self._valve()
        valve.mode = "held"
        if self._in_cluster and self.row.stage != "publish":  # a cluster is waited for as long as five minutes
            time.sleep(8)
            valve.open()

    def _kill_node(self) -> None:
        assert isinstance(self.case, Clustered)
        for part in ("kubelet", "containerd"):
            self.case.cluster.kill(part)

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
            output = self.case.disk / "work" / "output"
            output.mkdir(exist_ok=True)
            for folder in (output, *output.glob("**/")):  # the run has its own folder there already
                folder.chmod(0o500)

    def _end_engine(self, number: int) -> None:
        case = self.case
        if isinstance(case, Clustered) and self._in_cluster:
            os.kill(case.cluster.process("kube-apiserver").pid, number)  # the node starts it again
        elif case.engine == "dockerd" or (self.row.stage == "run" and not isinstance(case, Podman)):
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
        """Repair what was broken."""
        case = self.case
        self._full.close()
        for valve in case.world.valves:
            valve.open()
        case.time.write_text("0")
        work = case.disk / "work"
        for path in (work, work / "output", *(work / "output").glob("**/")):
            if path.is_dir():
                path.chmod(0o755)
        if self._killed is None:
            return
        if isinstance(case, Podman) and self._killed is case.service:
            case.service = case.world.start_podman()
        else:
            case.world.engines.again(self._killed)


def _children_of(case: Case) -> list[int]:
    """Return the commands that our process started: no shells."""
    assert case.process
    return [
        pid for pid in descendants(case.process.pid)
        if any(word in _words(pid)[:1] for word in (b"buildah", b"buildctl"))
        or (_words(pid)[:1] and _words(pid)[0].endswith(b"/buildctl"))
    ]  # fmt: skip


def _services_of(case: Case) -> list[int]:
    assert case.process
    return [pid for pid in descendants(case.process.pid) if _words(pid)[1:3] == [b"system", b"service"]]


def _workers(case: Case, stage: str) -> list[int]:
    """Return the step that sleeps, the program, or kaniko's executor."""
    if case.name == "kaniko" and stage == "publish":
        return arguments_with("/kaniko/executor")
    if isinstance(case, Kubernetes):
        return case.programs()
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
