"""Manifest of a cell's run: the YAML that ``kubectl apply`` makes the same Job of, for people who keep it in git.

It has no collector, which is of use only where a process waits for the run, and no value of a Secret; those are named
in a comment.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

from buildr_jupyter import runner as runners
from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.result import BuildResult
from buildr_jupyter.pipeline import stages as pipeline
from buildr_jupyter.pipeline.job import BuildOrder, ExportRequest
from buildr_jupyter.pipeline.placement import spec_for_cluster
from buildr_jupyter.registry import keychain
from buildr_jupyter.runner.job_manifest import make_objects, slug
from buildr_jupyter.runner.pod_template import merge_template, read_template

__all__ = ["planned_job", "render", "render_job"]


def render(job: ExportRequest) -> str:
    """Return the manifest of a cell whose image was pushed, by the digest that its registry has now.

    Nothing is built, and no cluster is asked. Raises OptionError where the image is in no registry, ExportError and its
    kin where there is no program, PublishError and its kinds where the registry does not answer.
    """
    from buildr_jupyter.registry.client import connect  # imports requests, which what is only planned does not need

    wanted = replace(job, options=replace(job.options, publish=True))
    plan = pipeline.prepare(wanted).plan
    reference = job.refs[0]
    with contextlib.closing(connect(reference.registry_host, keychain.find(reference.location))) as registry:
        digest = registry.digest(reference.registry_path, reference.local_tag)
    if digest is None:
        raise OptionError(
            f"{reference} is not in its registry yet, and a manifest names it by its digest",
            hint="push it first: buildr build NOTEBOOK --publish",
        )
    return render_job(job.order(), plan, reference, digest)


def render_job(job: BuildOrder, plan: ImagePlan, reference: ImageRef, digest: str) -> str:
    """Return the manifest of an image of this plan under this digest: a document an object."""
    result = BuildResult(
        str(reference), digest=digest, pushed=(str(reference),), content_digest=plan.content_digest
    )  # fmt: skip
    spec = spec_for_cluster(job, result, "buildr-" + reference.path.replace("/", "-"), plan)
    name = slug(spec.name, 46)
    if spec.standing is None:  # a Job cannot be changed: another image is another Job
        name = f"{name}-{digest.rpartition(':')[2][:8]}"
    made, *others = make_objects(spec, name)
    notes = []
    if spec.placement.pod_template is not None:
        made, conflicts = merge_template(made, read_template(spec.placement.pod_template))
        notes += [f"# {text}\n" for text in conflicts]
    if spec.environment:
        literals = " ".join(f"--from-literal={key}=…" for key in dict(spec.environment))
        notes.append(f"# Its variables are in a Secret: kubectl create secret generic {name} {literals}\n")
    return "".join(notes) + "---\n".join(map(_text, (made, *others)))


def planned_job(job: BuildOrder, plan: ImagePlan) -> str:
    """Return what a dry run shows of a run in a cluster, empty where it would run elsewhere or not at all."""
    if not job.options.run or runners.select(job.runs_on).capabilities().in_engine:
        return ""
    text = render_job(job, plan, job.refs[0], f"sha256:{'0' * 64}")
    return f"The run in the cluster, with the digest that the push will give:\n{text}"


def _text(document: JsonObject) -> str:
    """Return a document as YAML; as JSON, which is YAML, where no writer of YAML is installed."""
    try:
        import yaml
    except ImportError:
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1000)
    return text
