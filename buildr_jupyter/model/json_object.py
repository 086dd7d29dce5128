"""JSON object: what a file, an engine or a registry sent, as Python reads it."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

__all__ = ["JsonObject", "parse_object"]

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object that came from outside.

Its sender may have put anything under any name, so no type says more of its values before they are checked. The
readers that check (``registry.validate``, ``ImagePlan.from_json``, …) give types of their own. What is written here
and what is only passed on is ``dict[str, object]``.
"""


def parse_object(text: str | bytes) -> JsonObject | None:
    """Return the JSON object that the text is; None for another value, and for what is no JSON or nested too deep."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
