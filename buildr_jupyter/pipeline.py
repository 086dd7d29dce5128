"""The hall: export, guard, build, publish, run, in this order, for every door.

``stream`` is the whole journey as a generator of events. ``drive`` runs it in a worker thread while the caller's thread
draws windows and hears interrupts.
"""

from __future__ import annotations

import queue
import shlex
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from buildr_jupyter import builder as builders
from buildr_jupyter import context, guard, leaving, memory, ownership
from buildr_jupyter import runner as runners
from buildr_jupyter.assembly import Assembly, ContextSource, Source, assemble, default_name
from buildr_jupyter.builder.auto_builder import AutoBuilder
from buildr_jupyter.engine import connect
from buildr_jupyter.errors import BuildBusy, BuildRefused, BuildrError, Cancelled, EngineUnavailable, RunError
from buildr_jupyter.events import (
    BuildState,
    CancelToken,
    Event,
    Finished,
    RunOutput,
    Stage,
    StageUpdate,
    StepUpdate,
    Warned,
)
from buildr_jupyter.installed import Interpreter
from buildr_jupyter.masking import masked_events
from buildr_jupyter.model import (
    Archive,
    BuildRequest,
    BuildResult,
    EngineLoad,
    FileNote,
    ImagePlan,
    ImageRef,
    Layout,
    Output,
    Push,
    RunResult,
    RunSpec,
)
from buildr_jupyter.option import Options
from buildr_jupyter.proof import check_program
from buildr_jupyter.workers import Task, run_soon

__all__ = ["Job", "Window", "drive", "findings", "prepare", "stream", "stream_more"]


@dataclass(frozen=True, slots=True)
class Job:
    """What a door asks for."""

    source: Source
    options: Options
    interpreter: Interpreter
    environ: Mapping[str, str] = field(repr=False)
    builder: builders.Builder | None = None
    """None: the one that the options name."""
    executor: str = "docker"
    notebook_path: Path | None = None
    """Where the notebook is, for the key of its context folder; in no image."""
    by_docker_rules: bool = False
    """A repository without a registry is one on Docker Hub: what the seed's decorator means by it."""
    warnings: tuple[Warned, ...] = ()
    """What was learned before: settings files and options of the notebook's line that do not count."""

    @property
    def refs(self) -> tuple[ImageRef, ...]:
        """The references that the image gets, the main one first."""
        return self.options.refs(default_name(self.source))


class Window(Protocol):
    """Shows a build to a person; called from one thread only."""

    def open(self, state: BuildState, title: str) -> None:
        """Show that the work begins."""
        ...

    def draw(self, state: BuildState, events: list[Event]) -> bool | None:
        """Show what is new; called at most every 50 ms. True asks to be called again soon, with news or without."""
        ...

    def close(self, state: BuildState) -> None:
        """Show the end, good or bad; called once."""
        ...


_TAIL_LINES, _TAIL_CHARACTERS = 20, 8192
_active: dict[str, BuildState] = {}
_active_lock = threading.Lock()


@contextmanager
def _claim(refs: tuple[ImageRef, ...], state: BuildState) -> Generator[None, None, None]:
    names = [str(ref) for ref in refs]
    with _active_lock:
        for name in names:
            if name in _active:
                raise BuildBusy(
                    f"{name} is being built already", handle=_active[name], hint="wait for it, or cancel it"
                )
        _active.update(dict.fromkeys(names, state))
    try:
        yield
    finally:
        with _active_lock:
            for name in names:
                _active.pop(name, None)


@contextmanager
def _stage(name: Stage) -> Generator[None, None, None]:
    try:
        yield
    except BuildrError as error:
        error.stage = error.stage or name
        raise


def prepare(job: Job, folder: Path | None = None) -> Assembly:
    """Return the plan, made and not yet guarded: what ``--dry-run`` and ``export`` show.

    A Dockerfile that the user keeps in the context folder ``folder`` is taken as it stands, and that is said.
    """
    job.options.check_publish(by_docker_rules=job.by_docker_rules)
    with _stage("export"):
        assembly = assemble(job.source, job.options, job.interpreter, job.environ)
    warnings = [*job.warnings, *assembly.warnings]
    plan = context.with_own_dockerfile(assembly.plan, folder) if folder else assembly.plan
    if plan is not assembly.plan:
        warnings.append(
            Warned(f"{folder}/Dockerfile is your own, for its first line is gone: it is built as it stands")
        )
    return replace(assembly, plan=plan, warnings=tuple(warnings))


def findings(job: Job, assembly: Assembly) -> list[Warned]:
    """Return what the guard would stop a build for, as warnings."""
    found = guard.iter_findings(assembly.plan, job.environ)
    return [Warned(f"a build would stop here: {finding}") for finding in found]


def context_folder(job: Job) -> Path:
    """Return where the context of this job is kept: ``--context``, else a folder of the user's cache."""
    if isinstance(job.source, ContextSource):
        return job.source.folder
    if job.options.context:
        return job.options.context
    from platformdirs import user_cache_path

    target = getattr(job.source, "target", None)
    cell = (target.id or str(target.index)) if target else None
    return (
        user_cache_path("buildr") / "contexts" / context.cache_key(job.notebook_path, cell, {"name": job.refs[0].name})
    )


def write_context(plan: ImagePlan, job: Job) -> Path:
    """Write the context of this job; one that the user named is as open as the umask says."""
    return context.write_folder(plan, context_folder(job), private=ownership.in_cache(context_folder(job)))


def stream(job: Job, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    """Do the whole job, yielding what happens; ``Finished`` comes last, exactly once.

    Raises BuildrError with ``stage`` set, and Cancelled when the token was set. Credentials are masked in all of it.
    """

    def work() -> Generator[Event, None, BuildResult]:
        started = time.monotonic()
        assembly = yield from stream_prepared(job, cancel)
        return (yield from stream_rest(job, assembly, cancel, started))

    return (yield from masked_events(work(), job.environ))


def stream_prepared(job: Job, cancel: CancelToken) -> Generator[Event, None, Assembly]:
    """Do what needs the kernel: find the program and look for what must not leave; return the plan."""
    ownership.sweep()
    yield StageUpdate("export", "running")
    assembly = prepare(job, context_folder(job))
    yield StageUpdate("export", "done")
    with _stage("guard"):
        guard.check(assembly.plan, job.environ, allow=job.options.allow_secrets)
    yield StageUpdate("guard", "done")
    yield from assembly.warnings
    if job.options.check:
        with _stage("export"):
            yield StepUpdate("check", check_program(assembly, job.source, job.interpreter), status="done")
    if cancel.is_set():
        raise Cancelled("cancelled before the build began")
    return assembly


def stream_rest(
    job: Job, assembly: Assembly, cancel: CancelToken, started: float
) -> Generator[Event, None, BuildResult]:
    """Do what needs no kernel any more: build, publish and run; ``started`` is by the monotonic clock."""
    refs = job.refs
    if job.options.publish:
        yield from leaving.first_time(assembly.plan, job.notebook_path, refs)
    job = replace(job, builder=_builder(job))
    with _stage("build"):
        result = yield from _stream_build(job, assembly, refs, cancel)
    if job.options.publish:
        try:
            with _stage("publish"):
                result = yield from _stream_publish(job, result, refs, cancel)
        except BuildrError as error:
            raise _with(result, error) from error.__cause__
        leaving.said(job.notebook_path, refs)
    result = replace(result, duration_s=time.monotonic() - started)
    if job.options.run:
        with _stage("run"):
            result = yield from _stream_run(job, result, cancel)
    result = replace(result, duration_s=time.monotonic() - started)
    yield Finished(result)
    return result


def stream_more(
    job: Job, result: BuildResult, cancel: CancelToken, *, publish: bool = False, run: bool = False
) -> Generator[Event, None, BuildResult]:
    """Publish or run the image of ``result`` as it is, without a build; ``Finished`` comes last, as with ``stream``."""
    started = time.monotonic()
    job = replace(job, builder=_builder(job))
    if publish:
        if result.context:
            plan = ImagePlan.from_folder(result.context)
            yield from leaving.first_time(plan, job.notebook_path, job.refs)
        with _stage("publish"):
            result = yield from _stream_publish(job, result, job.refs, cancel)
        leaving.said(job.notebook_path, job.refs)
    if run:
        with _stage("run"):
            result = yield from _stream_run(job, result, cancel)
    result = replace(result, duration_s=time.monotonic() - started)
    yield Finished(result)
    return result


def _builder(job: Job) -> builders.Builder:
    return job.builder or builders.select(job.options.builder)


def _stream_build(
    job: Job, assembly: Assembly, refs: tuple[ImageRef, ...], cancel: CancelToken
) -> Generator[Event, None, BuildResult]:
    yield StageUpdate("build", "running")
    builder, plan = _builder(job), assembly.plan
    if isinstance(builder, AutoBuilder):
        builder.suit(lambda one: _request(job, assembly, plan, one))
    _check_refusals(job, builder, _request(job, assembly, plan, builder))
    if plan.base:
        platform = job.options.platforms[0] if job.options.platforms else None
        name, pull, find = plan.base, job.options.pull, getattr(builder, "stream_auto_base", None)
        if find and job.options.base is None:
            name, digest = yield from find(name, platform=platform, pull=pull, cancel=cancel)
        else:
            digest = yield from builder.stream_base(name, platform=platform, pull=pull, cancel=cancel)
        plan = replace(plan, base=name, base_digest=digest)
    if not isinstance(job.source, ContextSource):
        write_context(plan, job)
    request = _request(job, assembly, plan, builder)
    if assembly.settings.on_loopback:
        yield Warned(
            "the package index or proxy is on this machine's loopback: the install step uses the host's network"
        )
    _check_refusals(job, builder, request)  # once more, for what only the written folder tells
    result = yield from builder.stream_build(request, cancel)
    if result.archive:
        ownership.close_to_others(result.archive)  # a client of an engine wrote it
    yield StageUpdate("build", "cached" if result.cached else "done")
    return replace(
        result,
        image=str(refs[0]),
        builder=getattr(builder, "name", job.options.builder),
        content_digest=plan.content_digest,
        context=request.context,
        requirements=plan.requirements,
        names=plan.names,
        files=tuple(FileNote(entry.path, entry.size_bytes, entry.why) for entry in plan.all_files),
        warnings=assembly.warnings,
    )


def _check_refusals(job: Job, builder: builders.Builder, request: BuildRequest) -> None:
    """Raise BuildRefused where the builder cannot do what is asked."""
    if refusals := builder.refusals(request):
        able = sorted({name for refusal in refusals for name in refusal.builders})
        raise BuildRefused(
            f"builder {job.options.builder!r} cannot build this: {'; '.join(str(r) for r in refusals)}",
            hint=f"builders that can: {', '.join(able)}" if able else "take the option away",
        )


def _request(job: Job, assembly: Assembly, plan: ImagePlan, builder: builders.Builder) -> BuildRequest:
    """Return what this builder is asked for; the folder may not be written yet."""
    refs = (*job.refs, job.refs[0].with_tag(plan.content_tag))
    options, settings = job.options, assembly.settings
    return BuildRequest(
        context=context_folder(job),
        refs=refs,
        plan=plan,
        outputs=_outputs(job, builder, refs),
        no_cache=options.no_cache,
        platforms=options.platforms,
        build_args=settings.build_args() if plan.requirements or plan.dockerfile else {},
        network="host" if settings.on_loopback else None,
        labels=dict(context.image_labels(plan)) if plan.dockerfile else {},
        secrets=options.secrets,
        ssh=options.ssh,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
    )


def _outputs(job: Job, builder: builders.Builder, refs: tuple[ImageRef, ...]) -> tuple[Output, ...]:
    """Return where the image goes: a file, and the engine, where it is there and wanted.

    A builder with a store of its own asks for nothing more; where nobody would get the image, an archive is written.
    One that pushes while it builds is told at once; the others push afterwards.
    """
    keeps = getattr(builder, "keeps_images", False)
    into_engine = not keeps or (job.options.run and _engine_answers())
    found: list[Output] = [EngineLoad()] if into_engine else []
    if path := job.options.output:
        found.append(Archive(path) if path.suffix == ".tar" else Layout(path))
    if job.options.publish and getattr(builder, "pushes_while_building", False):
        found += [Push(ref) for ref in refs]
    if not found and not job.options.publish:
        from platformdirs import user_cache_path

        ref = job.refs[0]
        folder = user_cache_path("buildr") / "archives"
        with suppress(OSError):  # the builder says that it cannot write there
            ownership.private_folder(folder)
        found.append(Archive(folder / f"{ref.path.replace('/', '-')}-{ref.tag}.tar"))
    return tuple(found)


def _can_run(job: Job) -> bool:
    """Tell whether an engine answers; only a builder that needs none leaves that open."""
    return not getattr(_builder(job), "keeps_images", False) or _engine_answers()


def _engine_answers() -> bool:
    try:
        connect().close()
    except EngineUnavailable:
        return False
    return True


def _stream_publish(
    job: Job, result: BuildResult, refs: tuple[ImageRef, ...], cancel: CancelToken
) -> Generator[Event, None, BuildResult]:
    yield StageUpdate("publish", "running")
    builder = _builder(job)
    pushed = list(result.pushed)
    content_tag = [tag for tag in result.tags if tag.rpartition(":")[2].startswith("c-")]
    for ref in dict.fromkeys([*(str(ref) for ref in refs), *content_tag]):
        if ref not in pushed:
            sent = yield from builder.stream_publish(ref, cancel)
            result = replace(result, digest=sent.digest, size_bytes=sent.size_bytes or result.size_bytes)
            pushed.append(ref)
    yield StageUpdate("publish", "done")
    return replace(result, pushed=tuple(pushed))


def _stream_run(job: Job, result: BuildResult, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    yield StageUpdate("run", "running")
    if not _can_run(job):
        way = f"docker load -i {shlex.quote(str(result.archive))}" if result.archive else "push it"
        raise _with(result, RunError(
            f"{result.image} was built and not run: no engine answers here",
            hint=f"start Docker or podman and run it again, or take it to one: {way}",
        ))  # fmt: skip
    options = job.options
    environment = [(n, job.environ.get(n, "") if v is None else v) for n, v in options.run_environment]
    spec = RunSpec(
        image=result.image,
        name="buildr-" + ImageRef.parse(result.image).path.replace("/", "-"),
        environment=tuple(environment),
        ports=options.ports,
        mounts=options.mounts,
        memory_bytes=options.memory_bytes,
        cpus=options.cpus,
        gpus=options.gpus,
        output_dir=job.source.folder / "output",
    )
    runner: Any = runners.select(job.executor)
    if where := getattr(_builder(job), "engine_with_images", None):
        runner.docker_client = where()
    try:
        ended = yield from _with_tail(runner.stream_run(spec, cancel))
    except BuildrError as error:
        raise _with(result, error) from error.__cause__
    result = replace(result, run=ended)
    if ended.exit_code:
        raise _with(result, RunError(
            f"the container of {result.image} ended with status {ended.exit_code}",
            hint="its output above says why; the image is there all the same",
            exit_code=ended.exit_code,
            log_tail=ended.log_tail,
        ))  # fmt: skip
    yield StageUpdate("run", "done")
    return result


def _with_tail(run: Generator[Event, None, RunResult]) -> Generator[Event, None, RunResult]:
    """Yield the events of a run, and return its result with the last lines that the container wrote."""
    text = ""
    with closing(run):
        while True:
            try:
                event = next(run)
            except StopIteration as stop:
                ended: RunResult = stop.value
                return replace(ended, log_tail=tuple(text.splitlines()[-_TAIL_LINES:]))
            if isinstance(event, RunOutput):
                text = (text + event.text)[-_TAIL_CHARACTERS:]
            yield event


def _with(result: BuildResult, error: BuildrError) -> BuildrError:
    """Return the error with what was made before it."""
    error.result = result
    return error


_END = object()
_QUEUED = 10_000  # events between worker and windows: a builder that floods waits, and memory stays level
_STOP_WAIT_S = 30.0


def drive(
    job: Job,
    windows: list[Window],
    *,
    cancel: CancelToken | None = None,
    clock: Callable[[], float] = time.monotonic,
    interval_s: float = 0.05,
    work: Callable[[Job, CancelToken], Generator[Event, None, BuildResult]] = stream,
    state: BuildState | None = None,
) -> BuildResult:
    """Run ``work`` in a worker thread and draw the windows from this one, at most every ``interval_s`` seconds.

    ``state`` is what the events are reduced into, for whoever looks on. An interrupt cancels the work, waits for it
    to end, and goes on as KeyboardInterrupt.
    """
    cancel = cancel or CancelToken()
    state = BuildState() if state is None else state
    events: queue.Queue[object] = queue.Queue(maxsize=_QUEUED)
    outcome: list[BuildResult | BaseException] = []
    generator = work(job, cancel)
    worker: Task | None = None
    with _claim(job.refs, state):
        for window in windows:
            window.open(state, str(job.refs[0]))
        try:
            worker = run_soon(lambda: _work(generator, events, outcome), name="buildr-build")
            _follow(events, state, windows, clock, interval_s)
            worker.join()
            if isinstance(outcome[0], BaseException):
                raise outcome[0]
        except (KeyboardInterrupt, Cancelled):
            state.cancel()
            if worker is not None:
                _stop(worker, events, cancel)
            raise
        except BaseException as error:
            state.fail(error)
            raise
        finally:
            for window in windows:
                window.close(state)
            memory.give_back()
    return outcome[0]


def _stop(worker: Task, events: queue.Queue[object], cancel: CancelToken) -> None:
    """Cancel the work and wait for its end, taking from the queue what it still says."""
    try:
        cancel.set()
    finally:
        deadline = time.monotonic() + _STOP_WAIT_S
        while worker.is_alive() and time.monotonic() < deadline:
            with suppress(queue.Empty):
                events.get(timeout=0.05)


def _work(
    generator: Generator[Event, None, BuildResult],
    events: queue.Queue[object],
    outcome: list[BuildResult | BaseException],
) -> None:
    try:
        while True:
            events.put(next(generator))
    except StopIteration as stop:
        outcome.append(stop.value)
    except BaseException as error:  # noqa: BLE001 - handed to the thread that waits, which raises it
        outcome.append(error)
    finally:
        events.put(_END)


def _follow(
    events: queue.Queue[object],
    state: BuildState,
    windows: list[Window],
    clock: Callable[[], float],
    interval_s: float,
) -> None:
    """Reduce events until the end, handing them to the windows in batches."""
    batch: list[Event] = []
    drawn_at, more = clock(), False
    while True:
        try:
            event = events.get(timeout=max(0.0, interval_s - (clock() - drawn_at)) if batch or more else 0.5)
        except queue.Empty:
            event = None
        if event is not None and event is not _END:
            state.apply(event)  # type: ignore[arg-type]
            batch.append(event)  # type: ignore[arg-type]
        if event is _END or event is None or clock() - drawn_at >= interval_s:
            asked = [window.draw(state, batch) for window in windows]
            more = any(asked)
            batch, drawn_at = [], clock()
        if event is _END:
            return
