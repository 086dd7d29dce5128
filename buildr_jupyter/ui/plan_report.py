"""Plan report: what --dry-run and --explain show."""

from __future__ import annotations

import json

from buildr_jupyter.context.dockerfile import render_dockerfile
from buildr_jupyter.model.interface import Input
from buildr_jupyter.pipeline.planner import Assembly
from buildr_jupyter.ui.sanitize import clean_text, show_count, show_size, warning_line

__all__ = ["render_explanation"]


def render_explanation(assembly: Assembly) -> str:
    """Return what ``--dry-run`` shows: Dockerfile, files, requirements and names with reasons, and inputs."""
    plan = assembly.plan
    parts = ["Dockerfile", "", render_dockerfile(plan)]
    parts += _table("file", [(e.path, show_size(e.size_bytes), e.why) for e in plan.all_files])
    parts += _table("requirement", [(r.text, r.why) for r in plan.requirements])
    parts += _table("name", [(n.name, n.kind, n.origin, n.why) for n in plan.names])
    if plan.interface.inputs:
        parts += _table("input", [(i.option, i.type, _default(i), i.description) for i in plan.interface.inputs])
    if assembly.program and assembly.program.candidates:
        parts += ["values that could be inputs (--param auto takes them all)"]
        parts += [*(f"  {one}" for one in assembly.program.candidates), ""]
    parts += map(warning_line, assembly.warnings)
    return clean_text("\n".join(parts).rstrip() + "\n")


def _default(one: Input) -> str:
    return "required" if one.required else f"default {json.dumps(one.default, ensure_ascii=False)}"


def _table(title: str, rows: list[tuple[str, ...]]) -> list[str]:
    if not rows:
        return [f"no {title}s", ""]
    widths = [min(60, max(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [show_count(len(rows), title), *(f"  {line}" for line in lines), ""]
