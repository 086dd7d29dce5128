"""Nodes of the cluster that a run goes to, against the image: what none of them can run is said before a build."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from buildr_jupyter.engine.connection import connect, describe
from buildr_jupyter.errors import ClusterForbidden, EngineError, OptionError
from buildr_jupyter.events.event import Event
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.oci.image import default_platform
from buildr_jupyter.pipeline.job import BuildOrder
from buildr_jupyter.runner.nodes import cuda_of
from buildr_jupyter.runner.selection import select_grid

__all__ = ["stream_check"]


def stream_check(job: BuildOrder, plan: ImagePlan) -> Generator[Event, None, None]:
    """Warn of what only some nodes can run; raise OptionError for an image that none can.

    Nothing is said where this user may not list nodes. Raises ClusterError where the cluster does not answer.
    """
    if not job.options.run:
        return
    runner = select_grid(job.runs_on)
    if runner is None:
        return
    try:
        facts = runner.nodes(job.options.placement)
    except ClusterForbidden:
        return
    if facts is None:
        return
    wanted, nodes = _platforms(job, plan), facts.platforms
    shown = " and ".join(sorted(nodes))
    if wanted and nodes and not nodes & wanted:
        raise OptionError(
            f"--on {job.runs_on}: its nodes are {shown}, and the image would be for {' and '.join(sorted(wanted))}",
            hint=f"build it for them: --platform {min(nodes)}",
        )
    if wanted and nodes - wanted and not job.options.platforms:
        yield BuildWarning(
            f"the nodes of the cluster are {shown}, and the image is for {' and '.join(sorted(wanted))} alone",
            f"keep the run on those nodes: --platform {min(wanted)}",
        )
    needed = cuda_of(plan.requirements) if job.options.gpus else None
    if needed is not None and facts.cuda is not None and needed[0] > facts.cuda:
        yield BuildWarning(
            f"{needed[1]} is for CUDA {needed[0]}, and the drivers of the cluster's nodes have {facts.cuda}",
            f"take the package's build for CUDA {facts.cuda}, or nodes with a newer driver",
        )


def _platforms(job: BuildOrder, plan: ImagePlan) -> frozenset[str]:
    """Return what the image will be for: what is said, else what builds it; empty where that is not known here."""
    if said := job.options.platforms or plan.platforms:
        return frozenset("/".join(one.split("/")[:2]) for one in said)
    assert job.builder is not None
    able = job.builder.capabilities()
    if able.pushes_while_building:
        return frozenset()
    if not able.in_engine:
        return frozenset((default_platform(),))
    try:
        if able.engine is not None:
            return frozenset((f"linux/{describe(able.engine()).architecture}",))
        with closing(connect()) as client:
            return frozenset((f"linux/{describe(client).architecture}",))
    except EngineError:
        return frozenset()  # the build says what is wrong
