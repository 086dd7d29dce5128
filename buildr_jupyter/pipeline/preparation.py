"""What comes before a build: the plan of a job, checked, and what a build would stop for.

What runs, pushes and proves images is imported where it is needed: an export has no use for it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.context import folder as context
from buildr_jupyter.errors import BuildrError
from buildr_jupyter.events.event import Stage
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.planner import Assembly, assemble
from buildr_jupyter.secretscan import scan as guard

__all__ = ["at_stage", "findings", "prepare"]


@contextmanager
def at_stage(name: Stage) -> Generator[None, None, None]:
    """Give a failure within the name of the stage that it is of, unless it has one."""
    try:
        yield
    except BuildrError as error:
        error.stage = error.stage or name
        raise


def prepare(job: ExportRequest, folder: Path | None = None) -> Assembly:
    """Return the plan, made and not yet guarded: what ``--dry-run`` and ``export`` show.

    A Dockerfile that the user keeps in the context folder ``folder`` is taken as it stands, and that is said.
    """
    job.options.check_publish(by_docker_rules=job.by_docker_rules)
    if job.options.run:
        from buildr_jupyter.pipeline import placement

        placement.check(job.order())
    with at_stage("export"):
        assembly = assemble(job.source, job.options, job.interpreter, job.environ)
        if job.options.sweeps or job.options.sets:
            from buildr_jupyter.pipeline import placement, sweeps

            points = sweeps.check_grid(job.options, assembly.plan.interface, job.source.folder)
            placement.check_inputs(job.order(), points)
    warnings = [*job.warnings, *assembly.warnings]
    plan = context.with_own_dockerfile(assembly.plan, folder) if folder else assembly.plan
    if plan is not assembly.plan:
        warnings.append(
            BuildWarning(f"{folder}/Dockerfile is your own, for its first line is gone: it is built as it stands")
        )
    return replace(assembly, plan=plan, warnings=tuple(warnings))


def findings(job: ExportRequest, assembly: Assembly) -> list[BuildWarning]:
    """Return what the guard would stop a build for, as warnings."""
    found = guard.iter_findings(assembly.plan, job.environ)
    return [BuildWarning(f"a build would stop here: {assembly.place_of(one.where)}: {one.kind}") for one in found]
