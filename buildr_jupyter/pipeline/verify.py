"""Proof in the pipeline: the exported program runs here behind a barrier, and is widened until it is right.

``Proving`` does it in a thread beside the build. What the proof comes to is in no plan; a program that was widened is
another plan, which is guarded and built like any other.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buildr_jupyter.context import folder as context
from buildr_jupyter.dependencies.environment import Installed
from buildr_jupyter.dependencies.planned_site import PlannedSite, find_planned
from buildr_jupyter.errors import BuildrError, ExportError, OptionError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, StageUpdate
from buildr_jupyter.export.options import ExportOptions, Widening
from buildr_jupyter.export.project import find_root
from buildr_jupyter.export.verify import Subject, Trial, judge, run_trial
from buildr_jupyter.model.progress import StepUpdate
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.notebook.cells import CellRun
from buildr_jupyter.oci.image import default_platform
from buildr_jupyter.pipeline.job import Expected, ExportRequest
from buildr_jupyter.pipeline.planner import Assembly, CellSource, assemble
from buildr_jupyter.pipeline.widening import Surroundings, next_widenings
from buildr_jupyter.process.barrier import NoBarrier
from buildr_jupyter.process.tempfiles import Scratch
from buildr_jupyter.process.workers import Task, run_soon
from buildr_jupyter.secretscan import scan as guard

__all__ = [
    "RANDOM",
    "Proving",
    "Settled",
    "checked",
    "is_wanted",
    "iter_said",
    "judged",
    "prove",
    "recall",
    "stream_check",
]

_ROUNDS = 8
_REMEMBERED = 200
_TIMES = 3
"""All runs together take no longer than so many times the limit of one."""
RANDOM = "it is random or depends on the clock: two runs differ"
_NO_PROGRAM = "only a cell's program can be proven"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a proof came to, and the plan that it is of."""

    assembly: Assembly
    proof: Proof

    @property
    def widened(self) -> bool:
        """Tell whether the plan is another one than the first."""
        return bool(self.proof.widened)


@dataclass(frozen=True, slots=True)
class _Known:
    """A program that was proven."""

    widening: Widening
    content_digest: str
    proof: Proof


def _key(assembly: Assembly, expected: str | None) -> str:
    return hashlib.sha256(f"{assembly.plan.content_digest}\0{expected!r}".encode(errors="surrogatepass")).hexdigest()


def recall(job: ExportRequest, assembly: Assembly) -> Settled | None:
    """Return the proof that this kernel made of the same program and the same last run; None where there is none.

    Files that the program was widened with are read anew: where one has changed, the proof does not count.
    """
    if job.proofs is None or not isinstance(job.source, CellSource):
        return None
    known = job.proofs.get(_key(assembly, Expected.of(job.source).stdout))
    if not isinstance(known, _Known):
        return None
    made = assembly if known.widening == Widening() else _assemble(job, known.widening)
    if made is None or made.plan.content_digest != known.content_digest:
        return None
    return Settled(made, known.proof)


def _assemble(job: ExportRequest, widening: Widening) -> Assembly | None:
    """Return the widened plan, guarded; None where it cannot be made, or where something in it must not leave."""
    try:
        made = assemble(job.source, job.options, job.interpreter, job.environ, widening=widening)
        guard.check(made.plan, job.environ, allow=job.options.allow_secrets, place=made.place_of)
    except BuildrError:
        return None
    return made


def is_wanted(job: ExportRequest) -> bool:
    """Tell whether a proof is made unasked: in a kernel, where the notebook's code has run anyway."""
    return job.namespace is not None and not job.options.no_check


def prove(job: ExportRequest, assembly: Assembly, cancel: CancelToken | None = None) -> Settled:
    """Run the program, compare it with the cell's last run, and widen it until it is proven or nothing helps.

    Where nothing does, the plan is the first one, or the first that ran to its end. Raises Cancelled.
    """
    source = job.source
    if why := _cannot_run(job, assembly):
        return Settled(assembly, Proof("not proven", why))
    assert isinstance(source, CellSource)
    try:
        return _Search(job, source, cancel or CancelToken()).settle(assembly)
    except OSError as error:
        return Settled(assembly, Proof("not proven", f"the program cannot be run here: {error}"))


def checked(job: ExportRequest, assembly: Assembly, cancel: CancelToken | None = None) -> Settled:
    """Return the proof that ``--check`` insists on.

    Raises ExportError where it does not hold, OptionError where there is no program of a cell, Cancelled.
    """
    if job.options.check == "image":
        raise OptionError("--check=image: no image is built here", hint="say --check: it runs the program alone")
    if not isinstance(job.source, CellSource) or assembly.program is None:
        raise OptionError("--check: only a cell's program can be checked", hint="take --check off the line")
    settled = prove(job, assembly, cancel)
    if not settled.proof.holds:
        raise ExportError(
            f"--check: the program is {settled.proof}" if settled.proof.status == "not proven"
            else f"--check: the program {settled.proof}",
            hint="leave --check out: it is built then, and the proof only said",
        )  # fmt: skip
    return settled


def _cannot_run(job: ExportRequest, assembly: Assembly) -> str:
    """Return why this plan cannot be tried on this machine; empty where it can."""
    plan, interpreter = assembly.plan, job.interpreter
    if not isinstance(job.source, CellSource) or assembly.program is None:
        return _NO_PROGRAM
    if plan.dockerfile is not None:
        return "a Dockerfile of your own says what is in the image"
    if interpreter.stand_in or not interpreter.executable:
        return "the notebook's kernel is not installed here"
    if plan.python != interpreter.minor:
        return f"the image has Python {plan.python}, and the kernel {interpreter.minor}"
    here = default_platform(interpreter.machine)
    if plan.platforms and here not in plan.platforms:
        return f"the image is for {', '.join(plan.platforms)}, and this machine is {here}"
    return ""


class _Search:
    """Tries one program after another."""

    def __init__(self, job: ExportRequest, source: CellSource, cancel: CancelToken) -> None:
        self.job, self.source, self.cancel = job, source, cancel
        self.expected = Expected.of(source)
        self.installed = Installed(job.interpreter, first=[source.folder])
        self.limit_s = job.options.check_time_s
        self.began = time.monotonic()
        self.took_s = 0.0
        self.widening = Widening()

    def settle(self, assembly: Assembly) -> Settled:
        settled = self._settle(assembly)
        if self.job.proofs is not None and self.job.source is self.source and settled.proof.holds:
            while len(self.job.proofs) >= _REMEMBERED:
                del self.job.proofs[next(iter(self.job.proofs))]
            known = _Known(self.widening, settled.assembly.plan.content_digest, settled.proof)
            self.job.proofs[_key(assembly, self.expected.stdout)] = known
        return settled

    def _settle(self, assembly: Assembly) -> Settled:
        first = self._run(assembly)
        if isinstance(first, NoBarrier):
            return Settled(assembly, Proof("not proven", f"no barrier: {first.why}"))
        proof = self._judge(first)
        if proof.holds or not _may_be_widened(first, proof):
            return self._settled(assembly, proof, Widening())
        if (before := self._before_its_last_run(first, proof, assembly)) is not None:
            return before
        found = self._widen(first, proof, Widening(), assembly)
        if found is not None and found[1].holds:
            return self._settled(*found)
        if not first.exit_code and self._differs_each_time(assembly, first):
            proof = replace(proof, status="not proven", why=RANDOM)
        elif first.exit_code and found is not None:  # it runs to its end now: nearer to what the cell is
            return self._settled(*found)
        return self._settled(assembly, proof, Widening())

    def _before_its_last_run(self, first: Trial, proof: Proof, assembly: Assembly) -> Settled | None:
        """Try the program with the state that the cell's last run found, where that run or what followed changed it.

        A person runs a cell, sees what it prints, and then makes an image of it: where nothing else ran in between,
        the image is of the run that was seen. Where other cells ran since, it is of now, and cannot be compared.
        """
        runs, target = self.source.runs, self.source.target
        place = last_run_of(runs, target)
        if place is None:
            return None
        now, self.job = self.job, replace(self.job, source=replace(self.source, runs=(*runs[:place], target)))
        made = _assemble(self.job, Widening())
        tried = self._run(made) if made is not None and not _same_program(made, assembly) else None
        if made is None or not isinstance(tried, Trial) or not (then := self._judge(tried)).holds:
            self.job = now
            return None
        if runs[place + 1] is target:
            why = f"the state before the cell's last run, which changed it: {proof.why}"
            return self._settled(made, then, Widening(why=(why,)))
        if first.exit_code:
            self.job = now
            return None
        why = f"cells that ran since its last run change what it prints: {proof.why}"
        return self._settled(assembly, replace(proof, status="ran, not compared", why=why), Widening())

    def _settled(self, assembly: Assembly, proof: Proof, widening: Widening) -> Settled:
        self.widening = widening
        return Settled(assembly, replace(proof, widened=widening.why, duration_s=round(self.took_s, 3)))

    def _widen(
        self, trial: Trial, proof: Proof, widening: Widening, assembly: Assembly
    ) -> tuple[Assembly, Proof, Widening] | None:
        """Return the first widened program that holds, else one that runs to its end, None where there is neither."""
        fallback: tuple[Assembly, Proof, Widening] | None = None
        for _ in range(_ROUNDS):
            for wider in next_widenings(trial, str(proof.why), widening, self._surroundings(assembly)):
                if self._time_is_up():
                    return fallback
                made = _assemble(self.job, wider)
                if made is None or _same_program(made, assembly):
                    continue
                tried = self._run(made)
                if isinstance(tried, NoBarrier):
                    return fallback
                now = self._judge(tried)
                if now.holds:
                    return made, now, wider
                if tried.exit_code == 0 and trial.exit_code:
                    fallback = fallback or (made, now, wider)
                trial, proof, widening, assembly = tried, now, wider, made
                break
            else:
                return fallback
        return fallback

    def _time_is_up(self) -> bool:
        return time.monotonic() - self.began > _TIMES * self.limit_s

    def _surroundings(self, assembly: Assembly) -> Surroundings:
        tree = assembly.program.tree if assembly.program else None
        folder = Path(os.path.normpath(self.source.folder.absolute()))
        root = folder
        if self.source.namespace is not None:  # from a file, nothing outside the notebook's folder is carried unasked
            root = find_root(folder, self.job.options.root, home=Path.home())
        app = tree.root if tree and tree.whole else folder
        return Surroundings(app, folder, root, ExportOptions().file_limit_bytes, self._is_installed)

    def _is_installed(self, module: str) -> bool:
        located = self.installed.locate(module)
        return located is not None and bool(self.installed.owners(located))

    def _run(self, assembly: Assembly) -> Trial | NoBarrier:
        plan, interpreter = assembly.plan, self.job.interpreter
        with Scratch(large=True) as scratch:
            written = context.write_folder(plan, scratch / "context")
            subject = Subject(
                written / "app",
                find_planned(plan.requirements, self.installed) if plan.requirements else PlannedSite(),
                replace(interpreter, executable=interpreter.executable or sys.executable),
                environment=plan.environment,
                system_packages=plan.system_packages,
                output=os.path.relpath(plan.output_folder, plan.workdir),
                timeout_s=self.limit_s,
            )
            tried = run_trial(subject, self.cancel)
        self.cancel.check("the proof")
        if isinstance(tried, Trial):
            self.took_s += tried.took_s
        return tried

    def _judge(self, trial: Trial) -> Proof:
        return judged(trial, self.expected, self.limit_s)

    def _differs_each_time(self, assembly: Assembly, first: Trial) -> bool:
        """Tell whether a second run prints something else than the first."""
        again = self._run(assembly)
        return isinstance(again, Trial) and not again.exit_code and again.stdout != first.stdout


def judged(trial: Trial, expected: Expected, limit_s: float) -> Proof:
    """Return what one run shows, beside what the cell's last run printed."""
    proof = judge(trial, expected.stdout, limit_s)
    if expected.has_gaps and proof.status == "ran, not compared":
        return replace(proof, why="the kernel keeps nothing of what display() shows")
    return proof


def last_run_of(runs: Sequence[CellRun], target: CellRun) -> int | None:
    """Return the place of the last run, before ``target``, of the same body in the notebook's own namespace."""
    body = target.body.strip()
    for place in range(len(runs) - 1, -1, -1):
        run = runs[place]
        if run is not target and run.ran_here and run.body.strip() == body:
            return place if place + 1 < len(runs) else None
    return None


def _may_be_widened(trial: Trial, proof: Proof) -> bool:
    """Tell whether more code or files could help: not where it went over a limit, or wants the world outside."""
    return not trial.stopped and not proof.why.startswith("it reached outside")


def _same_program(made: Assembly, before: Assembly) -> bool:
    return made.plan.content_digest == before.plan.content_digest


class Proving:
    """A proof that is made in a thread beside the build."""

    def __init__(self, job: ExportRequest, assembly: Assembly, cancel: CancelToken) -> None:
        """Begin at once; a token that is set ends it, and so does leaving it as a context manager."""
        self._outcome: list[Settled | BaseException] = []
        self._token = CancelToken()
        self._undo = cancel.on_cancel(self._token.set)
        self._task: Task = run_soon(lambda: self._work(job, assembly), name="buildr-proof")

    def __enter__(self) -> Proving:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo()
        self._token.set()
        self._task.join()

    def _work(self, job: ExportRequest, assembly: Assembly) -> None:
        try:
            self._outcome.append(prove(job, assembly, self._token))
        except BaseException as error:  # noqa: BLE001 - raised by who waits
            self._outcome.append(error)

    def is_settled(self) -> bool:
        """Tell whether it is over."""
        return bool(self._outcome)

    def wait(self) -> Settled:
        """Return what it came to; raises what it raised."""
        self._task.join()
        end = self._outcome[0]
        if isinstance(end, BaseException):
            raise end
        return end


def stream_check(job: ExportRequest, assembly: Assembly, cancel: CancelToken) -> Generator[Event, None, Settled]:
    """Make the proof that ``--check`` insists on, before anything is built. Raises what ``checked`` raises."""
    yield StageUpdate("proof", "running")
    settled = checked(job, assembly, cancel)
    yield StageUpdate("proof", "done")
    yield StepUpdate("check", "check: " + "; ".join(iter_said(settled)), status="done")
    return settled


def iter_said(settled: Settled) -> Iterator[str]:
    """Yield what a person is told: the proof, and what was carried beside what the program was read to need."""
    yield f"proof: {settled.proof}"
    yield from (f"with {why}" for why in settled.proof.widened)
