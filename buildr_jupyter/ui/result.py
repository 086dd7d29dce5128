"""Result as text and as static HTML."""

from __future__ import annotations

import html
from pathlib import Path

from buildr_jupyter.model.result import BuildResult, RunResult
from buildr_jupyter.ui.sanitize import clean_text, show_size

__all__ = ["describe_files", "render_result_html", "render_result_text"]


_SHOWN_FILES = 8


def describe_files(run: RunResult) -> str:
    """Return the folder that the files of a run are in, their names and sizes; empty where none came back."""
    if not run.outputs:
        return ""
    folder = run.folder or run.outputs[0].parent
    shown = [_file(path, folder) for path in run.outputs[:_SHOWN_FILES]]
    if more := len(run.outputs) - len(shown):
        shown.append(f"and {more} more")
    return f"{folder}: {', '.join(shown)}"


def _file(path: Path, folder: Path) -> str:
    name = path.relative_to(folder) if path.is_relative_to(folder) else path
    try:
        return f"{name} ({show_size(path.stat().st_size)})"
    except OSError:  # it was taken away since
        return str(name)


def _facts(result: BuildResult) -> list[tuple[str, str]]:
    load = f"{result.load_command} && " if result.archive else ""
    facts = [
        ("image", result.image),
        ("image id", result.image_id or ""),
        ("digest", result.digest or ""),
        ("size", " ".join(part for part in (
            f"{show_size(result.size_bytes)} compressed" if result.size_bytes else "",
            f"{show_size(result.unpacked_bytes)} unpacked" if result.unpacked_bytes else "",
        ) if part)),
        ("pushed", ", ".join(result.pushed)),
        ("archive", str(result.archive or "")),
        ("time", f"{result.duration_s:.1f} s" + (", nothing had changed" if result.cached else "")),
        ("run it", f"{load}docker run --rm {result.image}"),
        ("proof", str(result.proof or "")),
        *(("widened", why) for why in (result.proof.widened if result.proof else ())),
    ]  # fmt: skip
    if result.run:
        facts.append(("exit code", str(result.run.exit_code)))
        facts += [("returned", f"{one.name}: {one.type}") for one in result.run.returned]
        if files := describe_files(result.run):
            facts.append(("files", files))
    return [(name, clean_text(value)) for name, value in facts if value]


def render_result_text(result: BuildResult) -> str:
    """Return the result as aligned lines of plain text."""
    return "\n".join(f"{name:>9}  {value}" for name, value in _facts(result))


def render_result_html(result: BuildResult) -> str:
    """Return the result as a small table: no script, no style sheet, every text escaped."""
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th>'
        f'<td style="text-align:left"><code>{html.escape(value)}</code></td></tr>'
        for name, value in _facts(result)
    )
    return f'<table class="buildr-result">{rows}</table>'
