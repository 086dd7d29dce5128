"""Export: the context folder of a cell, proven where that is wanted, and no engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.context import folder as context
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.pipeline import preparation
from buildr_jupyter.pipeline.job import ExportRequest
from buildr_jupyter.pipeline.planner import Assembly
from buildr_jupyter.ui.sanitize import clean_text, warning_line

__all__ = ["Exported", "export_folder", "iter_lines"]


@dataclass(frozen=True, slots=True)
class Exported:
    """A context folder that was written."""

    folder: Path
    assembly: Assembly
    proof: Proof | None = None
    """None where no proof was asked for."""


def export_folder(job: ExportRequest, out: Path) -> Exported:
    """Write the context folder of the job to ``out``; nothing is built.

    With ``--check``, and unasked in a kernel, the program is proven first and widened where that helps. Raises
    ExportError and its kin, ContextError, OptionError.
    """
    assembly, proof = preparation.prepare(job, out), None
    if job.options.check or job.namespace is not None:
        assembly, proof = _proven(job, assembly)
    return Exported(context.write_folder(assembly.plan, out, private=False), assembly, proof)


def _proven(job: ExportRequest, assembly: Assembly) -> tuple[Assembly, Proof | None]:
    """Return the plan with its proof, where one is wanted; what runs programs is imported only then."""
    from buildr_jupyter.pipeline import verify

    if not job.options.check and not verify.is_wanted(job):
        return assembly, None
    settled = verify.checked(job, assembly) if job.options.check else verify.prove(job, assembly)
    return settled.assembly, settled.proof


def iter_lines(job: ExportRequest, exported: Exported) -> Iterator[str]:
    """Yield what a person is told, a line each: the proof, warnings, what a build would stop for, and the folder."""
    if exported.proof is not None:
        from buildr_jupyter.pipeline import verify

        yield from map(clean_text, verify.iter_said(verify.Settled(exported.assembly, exported.proof)))
    for warning in (*exported.assembly.warnings, *preparation.findings(job, exported.assembly)):
        yield warning_line(warning)
    yield f"exported to {exported.folder}"
