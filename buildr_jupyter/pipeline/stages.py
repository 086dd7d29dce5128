"""Stages: export, scan, build, push, run, in this order, for every entry point.

``stream`` is the whole way as a generator of events; ``pipeline/driver.py`` runs it in a worker thread. What only some
builds need is imported there: each process of the command line would wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from buildr_jupyter import builder as builders
from buildr_jupyter import runner as runners
from buildr_jupyter.builder.auto_builder import suited
from buildr_jupyter.context import folder as context
from buildr_jupyter.engine.connection import connect
from buildr_jupyter.errors import BuildRefused, BuildrError, Cancelled, EngineUnavailable, ExportError, RunError
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.event import Event, Finished, RunOutput, StageUpdate
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.interface import Interface
from buildr_jupyter.model.plan import FileNote, ImagePlan, image_labels
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.model.request import Archive, BuildRequest, EngineLoad, Layout, Output, Push
from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.pipeline import placement, push_notice, values
from buildr_jupyter.pipeline.cell_names import CellNames
from buildr_jupyter.pipeline.job import BuildOrder, ExportRequest, _builder
from buildr_jupyter.pipeline.planner import Assembly
from buildr_jupyter.pipeline.preparation import at_stage, findings, prepare
from buildr_jupyter.pipeline.verify import Proving, Settled, is_wanted, recall, stream_check
from buildr_jupyter.process import locks
from buildr_jupyter.process.tempfiles import sweep
from buildr_jupyter.runner import frames
from buildr_jupyter.runner.protocol import Runner
from buildr_jupyter.runner.values import outputs_of, run_folder
from buildr_jupyter.secretscan import scan as guard
from buildr_jupyter.secretscan.redact import masked_events

__all__ = ["findings", "prepare", "stream", "stream_more"]


_TAIL_LINES, _TAIL_CHARACTERS = 20, 8192


def write_context(plan: ImagePlan, folder: Path) -> Path:
    """Write a context folder; one that the user named is as open as the umask says."""
    return context.write_folder(plan, folder, private=locks.in_cache(folder))


def stream(job: ExportRequest, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    """Do the whole job, yielding what happens; ``Finished`` comes last, exactly once.

    Raises BuildrError with ``stage`` set, and Cancelled when the token was set. Credentials are masked in all of it.
    """

    def work() -> Generator[Event, None, BuildResult]:
        started = time.monotonic()
        assembly = yield from stream_prepared(job, cancel)
        if job.options.check == "program":
            with at_stage("proof"):
                settled = yield from stream_check(job, assembly, cancel)
            return (yield from stream_rest(job.order(), settled.assembly, cancel, started, settled))
        if not is_wanted(job):
            return (yield from stream_rest(job.order(), assembly, cancel, started))
        if (known := recall(job, assembly)) is not None:
            return (yield from stream_rest(job.order(), known.assembly, cancel, started, known))
        with Proving(job, assembly, cancel) as proving:
            return (yield from stream_rest(job.order(), assembly, cancel, started, proving))

    return (yield from masked_events(CellNames.of(job).stream(work()), job.environ))


def stream_prepared(job: ExportRequest, cancel: CancelToken) -> Generator[Event, None, Assembly]:
    """Do what needs the kernel: find the program and look for what must not leave; return the plan."""
    sweep()
    yield StageUpdate("export", "running")
    assembly = prepare(job, job.context)
    yield StageUpdate("export", "done")
    with at_stage("guard"):
        guard.check(assembly.plan, job.environ, allow=job.options.allow_secrets, place=assembly.place_of)
    yield StageUpdate("guard", "done")
    yield from assembly.warnings
    if cancel.is_set():
        raise Cancelled("cancelled before the build began")
    return assembly


def stream_rest(
    job: BuildOrder,
    assembly: Assembly,
    cancel: CancelToken,
    started: float,
    proof: Proving | Settled | None = None,
) -> Generator[Event, None, BuildResult]:
    """Do what needs no kernel any more: build, publish and run; ``started`` is by the monotonic clock.

    A ``proof`` that is still made is waited for once the image is there; where it widened the program, that is built
    then. None: nobody asked for one.
    """
    refs = job.refs
    if job.options.publish:
        yield from push_notice.first_time(assembly.plan, job.notebook_path, refs)
    job = replace(job, builder=_builder(job))
    with at_stage("build"):
        yield from _stream_possible(job, assembly.plan)
    if isinstance(proof, Proving) and job.options.publish and _builder(job).capabilities().pushes_while_building:
        proof = yield from _stream_settled(proof, assembly)
        assembly = proof.assembly
    building = job
    differs = isinstance(proof, Settled) and proof.proof.status == "differs"
    if differs or job.options.check == "image":  # it is not pushed yet, nor by a builder that pushes while it builds
        building = replace(job, options=replace(job.options, publish=False))
    with at_stage("build"):
        result = yield from _stream_build(building, assembly, refs, cancel)
    if isinstance(proof, Proving):
        settled = yield from _stream_settled(proof, assembly)
        if settled.widened:
            assembly = settled.assembly
            with at_stage("build"):
                result = yield from _stream_build(building, assembly, refs, cancel)
        proof = settled
    if proof is not None:
        result = replace(result, proof=proof.proof)
    if job.options.check == "image":
        from buildr_jupyter.pipeline import image_check

        with at_stage("proof"):
            result = yield from image_check.stream_check(job, result, cancel)
    elif proof is not None and (job.options.publish or job.options.run):
        refuse_other(result)
    if job.options.publish:
        try:
            with at_stage("publish"):
                result = yield from _stream_publish(job, result, refs, cancel)
        except BuildrError as error:
            raise _with(result, error) from error.__cause__
        push_notice.said(job.notebook_path, refs)
    result = replace(result, duration_s=time.monotonic() - started)
    if job.options.run:
        with at_stage("run"):
            result = yield from stream_run(job, result, cancel)
    result = replace(result, duration_s=time.monotonic() - started)
    yield Finished(result)
    return result


def _stream_possible(job: BuildOrder, plan: ImagePlan) -> Generator[Event, None, None]:
    """Say before anything is built what is to be run afterwards and cannot be. Raises OptionError."""
    if job.options.check == "image":
        from buildr_jupyter.pipeline import image_check

        image_check.check_engine(job)
    if job.options.run:
        from buildr_jupyter.pipeline import nodes

        yield from nodes.stream_check(job, plan)


def stream_settled(
    job: ExportRequest, assembly: Assembly, cancel: CancelToken
) -> Generator[Event, None, Settled | None]:
    """Make the proof and wait for it, where one is wanted: for a build that goes on where this process leaves."""
    if job.options.check == "program":
        with at_stage("proof"):
            return (yield from stream_check(job, assembly, cancel))
    if not is_wanted(job):
        return None
    with Proving(job, assembly, cancel) as proving:
        return (yield from _stream_settled(proving, assembly))


def _stream_settled(proving: Proving, assembly: Assembly) -> Generator[Event, None, Settled]:
    """Wait for the proof and say what it came to, with the warnings of a program that was widened."""
    if not proving.is_settled():
        yield StageUpdate("proof", "running")
    with at_stage("proof"):
        settled = proving.wait()
    yield StageUpdate("proof", "done")
    yield from (warning for warning in settled.assembly.warnings if warning not in assembly.warnings)
    for why in settled.proof.widened:
        yield BuildWarning(f"the program was made again with {why}")
    if settled.proof.status == "not proven":
        yield BuildWarning(f"the program is {settled.proof}")
    elif settled.proof.status == "differs":
        yield BuildWarning(f"the program {settled.proof}", hint="see what it carries: what it needs is not all found")
    return settled


def refuse_other(result: BuildResult) -> None:
    """Raise ExportError where the program is known to do something else than the cell: it is not pushed, nor run."""
    if result.proof is not None and result.proof.status == "differs":
        error = ExportError(
            f"{result.image} was built, and neither pushed nor run: the program {result.proof}",
            hint="leave the proof out with --no-check",
        )
        error.stage = "proof"
        raise _with(result, error)


def stream_more(
    job: BuildOrder, result: BuildResult, cancel: CancelToken, *, publish: bool = False, run: bool = False
) -> Generator[Event, None, BuildResult]:
    """Publish or run the image of ``result`` as it is, without a build; ``Finished`` comes last, as with ``stream``."""
    started = time.monotonic()
    job = replace(job, builder=_builder(job))
    refuse_other(result)
    if publish:
        if result.context:
            plan = ImagePlan.from_folder(result.context)
            yield from push_notice.first_time(plan, job.notebook_path, job.refs)
        with at_stage("publish"):
            result = yield from _stream_publish(job, result, job.refs, cancel)
        push_notice.said(job.notebook_path, job.refs)
    if run:
        with at_stage("run"):
            result = yield from stream_run(job, result, cancel)
    result = replace(result, duration_s=time.monotonic() - started)
    yield Finished(result)
    return result


def _stream_build(
    job: BuildOrder, assembly: Assembly, refs: tuple[ImageRef, ...], cancel: CancelToken
) -> Generator[Event, None, BuildResult]:
    yield StageUpdate("build", "running")
    plan = assembly.plan
    builder = suited(_builder(job), lambda one: _request(job, assembly, plan, one))
    _check_supported(job, builder, _request(job, assembly, plan, builder))
    if plan.base:
        platform = job.options.platforms[0] if job.options.platforms else None
        wanted = BaseRequest(plan.base, platform, job.options.pull, named=job.options.base is not None)
        base = yield from builder.resolve_base(wanted, cancel)
        plan = replace(plan, base=base.name, base_digest=base.digest)
    if not job.own_context:
        write_context(plan, job.context)
    request = _request(job, assembly, plan, builder)
    if assembly.settings.on_loopback:
        yield BuildWarning(
            "the package index or proxy is on this machine's loopback: the install step uses the host's network"
        )
    _check_supported(job, builder, request)  # once more, for what only the written folder tells
    result = yield from builder.stream_build(request, cancel)
    values.remember(job, result)
    if result.archive:
        locks.close_to_others(result.archive)  # a client of an engine wrote it
    yield StageUpdate("build", "cached" if result.cached else "done")
    return replace(
        result,
        image=str(refs[0]),
        builder=builder.name,
        content_digest=plan.content_digest,
        interface=plan.interface.to_label() if plan.interface else None,
        context=request.context,
        requirements=plan.requirements,
        names=plan.names,
        files=tuple(FileNote(entry.path, entry.size_bytes, entry.why) for entry in plan.all_files),
        warnings=assembly.warnings,
    )


def _check_supported(job: BuildOrder, builder: builders.Builder, request: BuildRequest) -> None:
    """Raise BuildRefused where the builder cannot do what is asked."""
    if lacks := builder.unsupported(request):
        able = sorted({name for one in lacks for name in one.builders})
        raise BuildRefused(
            f"builder {job.options.builder!r} cannot build this: {'; '.join(map(str, lacks))}",
            hint=f"take a builder that can: {', '.join(able)}" if able else "take the option away",
        )


def _request(job: BuildOrder, assembly: Assembly, plan: ImagePlan, builder: builders.Builder) -> BuildRequest:
    """Return what this builder is asked for; the folder may not be written yet."""
    refs = (*job.refs, job.refs[0].with_tag(plan.content_tag))
    options, settings = job.options, assembly.settings
    return BuildRequest(
        context=job.context,
        refs=refs,
        plan=plan,
        outputs=_outputs(job, builder, refs),
        no_cache=options.no_cache,
        platforms=options.platforms,
        build_args=settings.build_args() if plan.requirements or plan.dockerfile else {},
        network="host" if settings.on_loopback else None,
        labels=dict(image_labels(plan)) if plan.dockerfile else {},
        secrets=options.secrets,
        ssh=options.ssh,
        cache_from=options.cache_from,
        cache_to=options.cache_to,
        registry_aliases=options.registry_aliases,
    )


def _outputs(job: BuildOrder, builder: builders.Builder, refs: tuple[ImageRef, ...]) -> tuple[Output, ...]:
    """Return where the image goes: a file, and the engine, where it is there and wanted.

    A builder with a store of its own asks for nothing more; where nobody would get the image, an archive is written.
    One that pushes while it builds is told at once; the others push afterwards.
    """
    able = builder.capabilities()
    runs_there = job.options.run and runners.select(job.runs_on).capabilities().in_engine
    wanted_there = runs_there or job.options.check == "image"
    into_engine = able.in_engine or (wanted_there and _engine_answers())
    found: list[Output] = [EngineLoad()] if into_engine else []
    if path := job.options.output:
        found.append(Archive(path) if path.suffix == ".tar" else Layout(path))
    if job.options.publish and able.pushes_while_building:
        found += [Push(ref) for ref in refs]
    if not found and not job.options.publish:
        from platformdirs import user_cache_path

        ref = job.refs[0]
        folder = user_cache_path("buildr") / "archives"
        with suppress(OSError):  # the builder says that it cannot write there
            locks.private_folder(folder)
        found.append(Archive(folder / f"{ref.path.replace('/', '-')}-{ref.tag}.tar"))
    return tuple(found)


def _can_run(job: BuildOrder) -> bool:
    """Tell whether an engine answers, where one runs the image; only a builder that needs none leaves that open."""
    if not runners.select(job.runs_on).capabilities().in_engine:
        return True
    return _builder(job).capabilities().in_engine or _engine_answers()


def _engine_answers() -> bool:
    try:
        connect().close()
    except EngineUnavailable:
        return False
    return True


def _stream_publish(
    job: BuildOrder, result: BuildResult, refs: tuple[ImageRef, ...], cancel: CancelToken
) -> Generator[Event, None, BuildResult]:
    yield StageUpdate("publish", "running")
    builder = _builder(job)
    pushed = list(result.pushed)
    content_tag = [tag for tag in result.tags if tag.rpartition(":")[2].startswith("c-")]
    for ref in dict.fromkeys([*(str(ref) for ref in refs), *content_tag]):
        if ref not in pushed:
            sent = yield from builder.stream_push(ImageRef.parse(ref), cancel)
            result = replace(result, digest=sent.digest, size_bytes=sent.size_bytes or result.size_bytes)
            pushed.append(ref)
    yield StageUpdate("publish", "done")
    return replace(result, pushed=tuple(pushed))


def stream_run(job: BuildOrder, result: BuildResult, cancel: CancelToken) -> Generator[Event, None, BuildResult]:
    """Run the image of a result, once or for each point of the grid, and return the result with what came of it.

    Raises RunError, which has the result, ReturnError, EngineError, Cancelled.
    """
    yield StageUpdate("run", "running")
    if not _can_run(job):
        way = result.load_command or "push it"
        raise _with(result, RunError(
            f"{result.image} was built and not run: no engine answers here",
            hint=f"start Docker or podman and run it again, or take it to one: {way}",
        ))  # fmt: skip
    options = job.options
    able = runners.select(job.runs_on).capabilities()

    def make_runner() -> Runner:
        return runners.select(job.runs_on, engine=_builder(job).capabilities().engine if able.in_engine else None)

    if options.standing is not None:
        where = "buildr-" + ImageRef.parse(result.image).path.replace("/", "-")
        try:
            yield from make_runner().deploy(placement.spec_of(job, result, where), cancel)
        except BuildrError as error:
            raise _with(result, error) from error.__cause__
        yield StageUpdate("run", "done")
        return result
    if options.sweeps:
        from buildr_jupyter.pipeline import sweeps

        try:
            result = yield from sweeps.stream_sweep(job, result, make_runner, cancel)
        except BuildrError as error:
            raise _with(result, error) from error.__cause__
        yield StageUpdate("run", "failed" if any(run.state != "done" for run in result.sweep or ()) else "done")
        return result
    path = ImageRef.parse(result.image).path
    with run_folder(job.folder / "output" / path.rpartition("/")[2]) as output:
        name = f"buildr-{path.replace('/', '-')}"
        spec = replace(placement.spec_of(job, result, name), output_dir=output)
        if options.sets:
            from buildr_jupyter.pipeline import sweeps

            interface = Interface.from_label(result.interface) if result.interface else Interface()
            (point,) = sweeps.check_grid(options, interface, job.folder)
            spec = sweeps.with_inputs(spec, point)
        try:
            if job.shows_objects:
                run = frames.stream_unframed(make_runner().stream_run(frames.asking(spec), cancel))
            else:
                run = make_runner().stream_run(spec, cancel)
            ended = yield from _with_tail(run)
        except BuildrError as error:
            raise _with(result, error) from error.__cause__
    own = outputs_of(output, ended.outputs)
    result = replace(result, run=replace(ended, outputs=own, folder=output if own else None))
    if ended.exit_code:
        raise _with(result, RunError(
            f"the container of {result.image} ended with status {ended.exit_code}",
            hint="read its output above, which says why; the image is there all the same",
            exit_code=ended.exit_code,
            log_tail=ended.log_tail,
        ))  # fmt: skip
    try:
        result = values.with_returned(result, output, ended.outputs)
        if job.reads_values:
            result = yield from values.stream_values(job, result)
    except BuildrError as error:
        raise _with(result, error) from error.__cause__
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
