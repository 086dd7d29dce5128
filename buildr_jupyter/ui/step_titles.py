"""Titles of steps in plain words, for the instructions that are written here; all others keep the engine's words."""

from __future__ import annotations

import re

from buildr_jupyter.model.plan import HOME, VENV
from buildr_jupyter.ui.sanitize import show_title

__all__ = ["plain_title", "step_title"]

_PLAIN = (
    (r"FROM (?:--platform=\S+ )?(\S+?)(?:@sha256:[0-9a-f]{64})?(?: AS \S+)?$", r"start from \1"),
    (r"WORKDIR (/install|/app)$", r"work in the folder \1"),
    (rf'RUN .*\["?python3"?, "?install\.py"?, "?{re.escape(VENV)}\b', "install the Python packages"),
    (r"RUN apt-get update && apt-get install -y --no-install-recommends (.+?) && rm -rf ", r"install \1"),
    (rf"RUN install -d -m 0775 .*{re.escape(HOME)}$", "make the program's folders"),
    (r'RUN \["?install"?, "?-d"?, "?-m"?, "?0775"?, ', "make the notebook's folder"),
    (r'COPY \["?wheels/"?, "?\./wheels/"?\]$', "copy the wheels"),
    (r'COPY \["?install\.py"?, "?requirements\.txt"?, "?\./"?\]$', "copy the list of packages"),
    (rf'COPY --from=packages \["?{re.escape(VENV)}', "copy the installed packages"),
    (r'COPY \["?app/"?, "?\./"?\]$', "copy the program"),
)
"""The instructions of ``context/dockerfile.py`` as classic builds, BuildKit and buildah say them, with or without
quotes; BuildKit puts the mounts behind RUN."""


def plain_title(title: str) -> str | None:
    """Return what a step does in plain words, None where it is nobody's instruction but the user's own."""
    line = " ".join(title.split())
    for pattern, plain in _PLAIN:
        if (match := re.match(pattern, line)) is not None:
            return match.expand(plain)
    return None


def step_title(title: str, number: str = "") -> str:
    """Return the title to show; ``number`` (``2/5``) stands before the engine's own words.

    An engine numbers the steps of each stage by themselves: before plain words two counts would run side by side.
    """
    plain = plain_title(title)
    return show_title(plain or (f"[{number}] {title}" if number else title))
