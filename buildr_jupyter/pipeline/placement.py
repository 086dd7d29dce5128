"""Placement of a run: what a cluster needs to know of an image, and what it cannot have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from buildr_jupyter import runner as runners
from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CONTENT_LABEL, ImagePlan
from buildr_jupyter.model.request import ClusterPlacement, ImageProgram, RunSpec
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline.job import BuildOrder
from buildr_jupyter.runner.grid import Point
from buildr_jupyter.runner.nodes import ARCHITECTURE

__all__ = ["check", "check_inputs", "program_of", "spec_for_cluster", "spec_of"]


def check(job: BuildOrder) -> None:
    """Raise OptionError where the job's run cannot be where it is wanted; before anything is built."""
    options = job.options
    if not options.run or options.dry_run:
        return
    if runners.select(job.runs_on).capabilities().in_engine:
        if options.standing is not None:
            raise OptionError(
                f"--on {job.runs_on}: an engine keeps no service and no schedule", hint="say --on kubernetes"
            )
        if options.placement != ClusterPlacement():
            raise OptionError(
                f"--on {job.runs_on}: the line says where in a cluster the run goes, and an engine has no such places",
                hint="say --on kubernetes, or leave the options of a cluster out",
            )
        if options.collect.registry:
            raise OptionError(
                f"--on {job.runs_on}: an engine gives files back by itself, and --collect registry is for a cluster",
                hint="say --on kubernetes, or --collect ./registry for a file of that name",
            )
        if options.claims:
            raise OptionError(
                f"--mount pvc:{options.claims[0].claim}: an engine has no volumes of a cluster",
                hint="say --on kubernetes, or mount a folder of this machine: --mount SRC:DST",
            )
        return
    if not options.publish:
        raise OptionError(
            f"--on {job.runs_on}: a cluster takes the image from a registry, and this one is not pushed",
            hint="push it: --publish --repository HOST/PATH",
        )
    if options.mounts:
        raise OptionError(
            f"--mount {options.mounts[0].source}: a cluster does not see a file or folder of this machine",
            hint="let the image carry it, --include PATH, or show it a volume, --mount pvc:NAME:DST",
        )


def check_inputs(job: BuildOrder, points: Sequence[Point]) -> None:
    """Raise OptionError where a run in a cluster is given a file or folder of this machine, before a build."""
    if not job.options.run or job.options.dry_run or runners.select(job.runs_on).capabilities().in_engine:
        return
    mounts = [mount for point in points for mount in point.mounts]
    if mounts:
        name = PurePosixPath(mounts[0].target).parent.name
        raise OptionError(
            f"input {name!r} is {mounts[0].source}, and a cluster does not see a file or folder of this machine",
            hint=f"carry it with --include PATH, and let the cell, not the line, give {name} that path",
        )


def spec_of(job: BuildOrder, result: BuildResult, name: str, *, lasting: bool = False) -> RunSpec:
    """Return how the image of a result is run where the job runs it: an engine knows it by name, a cluster by digest.

    ``lasting`` names it in an engine by its content tag, where it has one: no later build takes that away. Raises
    OptionError where a cluster cannot have it.
    """
    if not runners.select(job.runs_on).capabilities().in_engine:
        return spec_for_cluster(job, result, name)
    content = [tag for tag in result.tags if lasting and tag.rpartition(":")[2].startswith("c-")]
    return job.run_spec(content[0] if content else result.image, name)


def spec_for_cluster(job: BuildOrder, result: BuildResult, name: str, plan: ImagePlan | None = None) -> RunSpec:
    """Return how the image is run in a cluster: by its digest, under the registry's name there.

    ``plan`` is what it was made from; that of the result's context folder where none is given. Raises OptionError where
    the image was not pushed.
    """
    if result.digest is None or not result.pushed:
        raise OptionError(
            f"{result.image} is in no registry, and a cluster takes it from one",
            hint="push it: --publish --repository HOST/PATH",
        )
    reference = ImageRef.parse(result.image)
    inside = dict(job.options.registry_aliases).get(reference.registry_host, reference.registry_host)
    path = reference.path if reference.registry else reference.registry_path
    image = ImageRef(inside, path, None, result.digest)
    if plan is None and result.context:
        plan = ImagePlan.from_folder(result.context)
    labels = ((CONTENT_LABEL, result.content_digest),) if result.content_digest else ()
    spec = job.run_spec(str(image), name)
    return replace(
        spec,
        placement=_on_platform(spec.placement, job.options.platforms),
        program=program_of(plan) if plan is not None else None,
        labels=labels,
        outputs_to=f"{reference.registry_host}/{reference.registry_path}" if job.options.collect.registry else None,
    )


def _on_platform(placement: ClusterPlacement, platforms: Sequence[str]) -> ClusterPlacement:
    """Return the placement on nodes of the one platform that the image is for, where the line says which."""
    if len(platforms) != 1 or ARCHITECTURE in dict(placement.node_selector):
        return placement
    architecture = platforms[0].split("/")[1]
    return replace(placement, node_selector=(*placement.node_selector, (ARCHITECTURE, architecture)))


def program_of(plan: ImagePlan) -> ImageProgram | None:
    """Return the program of an image that is rendered from this plan; None for a Dockerfile of the user's own."""
    if plan.dockerfile is not None:
        return None
    by_entrypoint = tuple((name, value) for name, value in plan.environment if "\n" in value or "\r" in value)
    return ImageProgram(plan.entrypoint, plan.workdir, plan.output_folder, by_entrypoint, bool(plan.interface.returns))
