"""Proof of an image: run in an engine without a network, it prints what the cell's last run printed.

It is what ``--check=image`` insists on. The proof of the program (``pipeline/verify.py``) runs beside the build, on
this machine's interpreter; this one waits for the image, and has its base, its packages and its entry point in it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace

from buildr_jupyter import runner as runners
from buildr_jupyter.engine.connection import connect
from buildr_jupyter.errors import BuildrError, Cancelled, EngineUnavailable, ExportError, OptionError, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, RunOutput, StageUpdate
from buildr_jupyter.export.verify import Trial
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.progress import BuildWarning, StepUpdate
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.model.request import RunSpec
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.job import BuildOrder, _builder
from buildr_jupyter.pipeline.verify import RANDOM, judged

__all__ = ["check_engine", "stream_check"]

BARRIER = "a container without a network"
_MOST_CHARACTERS = 16 << 20
_NO_NETWORK = re.compile(
    r"Network is unreachable|Temporary failure in name resolution|Name or service not known|getaddrinfo failed"
)


def check_engine(job: BuildOrder) -> None:
    """Raise OptionError where ``--check=image`` is asked for and nothing can run an image; before a build."""
    if job.options.check != "image" or _builder(job).capabilities().in_engine:
        return
    try:
        connect().close()
    except EngineUnavailable as error:
        raise OptionError(
            f"--check=image: no engine answers here to run the image: {error}",
            hint="start Docker or podman, or say --check: it runs the program without one",
        ) from error


def stream_check(job: BuildOrder, result: BuildResult, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    """Run the image of a result, and return the result with the proof that it gave.

    Raises ExportError, which has the result, where the proof does not hold; Cancelled.
    """
    yield StageUpdate("proof", "running")
    trial = yield from _stream_trial(job, result, cancel)
    proof = trial if isinstance(trial, Proof) else judged(trial, job.expected, job.options.check_time_s)
    if isinstance(trial, Trial) and proof.status == "differs" and not trial.exit_code:
        again = yield from _stream_trial(job, result, cancel)
        if isinstance(again, Trial) and not again.exit_code and again.stdout != trial.stdout:
            proof = replace(proof, status="not proven", why=RANDOM)
    before = result.proof.widened if result.proof is not None else ()
    result = replace(result, proof=replace(proof, barrier=BARRIER, widened=before))
    if not proof.holds:
        raise _failed(result, proof)
    yield StageUpdate("proof", "done")
    yield StepUpdate("check", f"check of the image: {proof}", status="done")
    return result


def _failed(result: BuildResult, proof: Proof) -> BuildrError:
    said = f"{result.image} was built, and its program"
    error = ExportError(
        f"--check=image: {said} is {proof}" if proof.status == "not proven" else f"--check=image: {said} {proof}",
        hint="leave --check out: it is built all the same then, and the proof only said",
    )
    error.result = result
    return error


def _stream_trial(job: BuildOrder, result: BuildResult, cancel: CancelToken) -> Generator[Event, None, Trial | Proof]:
    """Run the image once; return what it did, or why it could not be run."""
    limit_s, token = job.options.check_time_s, CancelToken()
    undo, timer = cancel.on_cancel(token.set), threading.Timer(limit_s, token.set)
    written: dict[str, list[str]] = {"stdout": [], "stderr": []}
    size = 0
    spec = RunSpec(
        result.image,
        f"buildr-check-{ImageRef.parse(result.image).path.replace('/', '-')}",
        memory_bytes=job.options.memory_bytes,
        isolated=True,
    )
    try:
        runner = runners.select(_runs_on(job), engine=_builder(job).capabilities().engine)
        with closing(runner.stream_run(spec, token)) as run:
            while True:
                try:
                    event = next(run)
                except StopIteration as stop:
                    code = int(stop.value.exit_code)
                    break
                if isinstance(event, StepUpdate) and timer.ident is None:
                    timer.start()
                elif isinstance(event, BuildWarning):
                    yield event
                elif isinstance(event, RunOutput):
                    written[event.stream].append(event.text)
                    size += len(event.text)
                    if size > _MOST_CHARACTERS:
                        return _stopped("output")
    except Cancelled:
        cancel.check("the check of the image")
        return _stopped("time")
    except RunError as error:
        return Proof("not proven", f"the image cannot be run here: {error}")
    finally:
        undo()
        timer.cancel()
    stderr = "".join(written["stderr"])
    wanted = _NO_NETWORK.search(stderr) if code else None
    return Trial(code, "".join(written["stdout"]), stderr, network=(wanted[0],) if wanted else ())


def _runs_on(job: BuildOrder) -> str:
    """Return which runner proves the image: the job's own where that is an engine's, else docker's."""
    return job.runs_on if runners.select(job.runs_on).capabilities().in_engine else "docker"


def _stopped(limit: str) -> Trial:
    return Trial(-1, "", "", stopped=limit)
