"""JSON record: the one line that --json prints for a cell."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from buildr_jupyter.context.dockerfile import render_dockerfile
from buildr_jupyter.errors import Cancelled
from buildr_jupyter.model.plan import FileNote
from buildr_jupyter.model.proof import Proof
from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.pipeline.planner import Assembly
from buildr_jupyter.ui.sanitize import clean_text
from buildr_jupyter.ui.sweep import sweep_record

__all__ = ["error_fields", "make_plan_record", "make_record", "run_fields"]


def make_record(cell: Mapping[str, object], outcome: BuildResult | BaseException, *, duration_s: float = 0.0) -> str:
    """Return the one JSON line that ``--json`` prints for a cell, without its line end; schema 1 of the contracts.

    It is ASCII: every standard output takes it, and names that are no UTF-8 are in it as escapes.
    """
    result = outcome if isinstance(outcome, BuildResult) else getattr(outcome, "result", None)
    failed = outcome if isinstance(outcome, BaseException) else None
    record: dict[str, object] = {
        "schema": 1,
        "cell": dict(cell),
        "status": _status_of(failed),
        "stage": getattr(failed, "stage", None) if failed else None,
        "image": None, "image_id": None, "digest": None, "size_bytes": None, "unpacked_bytes": None,
        "duration_s": round(duration_s, 3), "cached": False, "context": None, "requirements": [], "names": [],
        "files": [], "pushed": [], "archive": None, "run": None, "sweep": None, "proof": None, "error": None,
    }  # fmt: skip
    if result is not None:
        record |= _result_fields(result)
    if failed is not None:
        record["error"] = error_fields(failed)
    return json.dumps(record)


def make_plan_record(
    cell: Mapping[str, object], assembly: Assembly, *, context: Path | None = None, proof: Proof | None = None
) -> str:
    """Return the JSON line of a cell that was exported or only planned: as ``make_record``, and ``dockerfile``.

    ``context`` is the folder that was written, None for ``--dry-run``.
    """
    plan = assembly.plan
    notes = tuple(FileNote(entry.path, entry.size_bytes, entry.why) for entry in plan.all_files)
    planned = BuildResult(
        "", requirements=plan.requirements, names=plan.names, files=notes, context=context, proof=proof
    )
    record = json.loads(make_record(cell, planned)) | {
        "stage": "export",
        "image": None,
        "content_digest": plan.content_digest,
        "dockerfile": render_dockerfile(plan),
        "interface": plan.interface.to_json(),
        "candidates": [
            {"name": one.name, "value": one.value, "origin": one.origin}
            for one in (assembly.program.candidates if assembly.program else ())
        ],
        "warnings": [clean_text(warning.text) for warning in assembly.warnings],
    }
    return json.dumps(record)


def error_fields(error: BaseException) -> dict[str, object]:
    """Return the ``error`` field of a record: type, message, hint, step, log_tail; unknown is None."""
    return {
        "type": type(error).__name__,
        "message": clean_text(str(error)) or ("interrupted" if isinstance(error, KeyboardInterrupt) else ""),
        "hint": getattr(error, "hint", None),
        "step": getattr(error, "step", None),
        "log_tail": [clean_text(line) for line in getattr(error, "log_tail", ())] or None,
    }


def _status_of(failed: BaseException | None) -> str:
    if failed is None:
        return "ok"
    return "cancelled" if isinstance(failed, Cancelled | KeyboardInterrupt) else "failed"


def _result_fields(result: BuildResult) -> dict[str, object]:
    return {
        "image": result.image,
        "image_id": result.image_id,
        "digest": result.digest,
        "size_bytes": result.size_bytes,
        "unpacked_bytes": result.unpacked_bytes,
        "duration_s": round(result.duration_s, 3),
        "cached": result.cached,
        "context": str(result.context) if result.context else None,
        "requirements": [{"requirement": r.text, "why": r.why} for r in result.requirements],
        "names": [{"name": n.name, "origin": n.origin, "kind": n.kind, "why": n.why} for n in result.names],
        "files": [{"path": f.path, "bytes": f.bytes, "why": f.why} for f in result.files],
        "pushed": list(result.pushed),
        "archive": str(result.archive) if result.archive else None,
        "sweep": None if result.sweep is None else sweep_record(result.sweep),
        "proof": result.proof
        and {
            "status": result.proof.status,
            "why": clean_text(result.proof.why),
            "widened": [clean_text(why) for why in result.proof.widened],
            "barrier": result.proof.barrier,
        },
        "run": result.run and run_fields(result.run),
    }


def run_fields(run: RunResult) -> dict[str, object]:
    """Return the ``run`` field of a record."""
    return {
        "exit_code": run.exit_code,
        "stdout_tail": run.stdout_tail,
        "log_tail": [clean_text(line) for line in run.log_tail],
        "folder": str(run.folder) if run.folder else None,
        "outputs": [{"path": str(path), "bytes": _bytes(path)} for path in run.outputs],
        "returned": [
            {
                "name": one.name,
                "format": one.format,
                "type": one.type,
                "size": one.size_bytes,
                "sha256": one.sha256,
                "path": str(one.path),
            }
            for one in run.returned
        ],
    }


def _bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # it was taken away since
        return None
