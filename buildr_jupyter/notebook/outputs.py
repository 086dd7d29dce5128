"""Outputs of runs, as IPython (from 9) keeps them under the number of the run.

A run that leaves no history has no number of its own: what it shows stands under that of the next one that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["how_many", "is_text", "printed"]


def _under(shell: Any, count: int | None) -> list[Any]:
    kept = getattr(shell.history_manager, "outputs", None)
    found = kept.get(count) if isinstance(kept, Mapping) else None
    return found if isinstance(found, list) else []


def how_many(shell: Any, count: int) -> int:
    """Return how many outputs stand under a number."""
    return len(_under(shell, count))


def is_text(bundle: Mapping[str, object]) -> bool:
    """Tell whether what was displayed is a text to a program, neither a picture, which becomes a file, nor a widget."""
    return "text/plain" in bundle and not any(kind.startswith(("image/", "application/vnd.")) for kind in bundle)


def printed(shell: Any, count: int | None, start: int = 0) -> str | None:
    """Return what a run printed, and its value; None where nothing is kept. ``start`` outputs are another's."""
    found = _under(shell, count)[start:]
    if not found:
        return None
    parts = []
    for output in found:
        if output.output_type == "out_stream":
            parts.append("".join(output.bundle.get("stream") or ()))
        elif output.output_type == "execute_result" or (
            output.output_type == "display_data" and is_text(output.bundle)
        ):
            parts.append(f"{output.bundle.get('text/plain', '')}\n")
    return "".join(parts)
