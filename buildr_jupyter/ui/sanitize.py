"""Sanitized text: no terminal escapes, no control characters, sizes and titles as a person reads them."""

from __future__ import annotations

import re

from buildr_jupyter.model.progress import BuildWarning

__all__ = ["clean_text", "show_count", "show_size", "show_title"]


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[@-Z\\-_])")

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean_text(text: str) -> str:
    """Return ``text`` without terminal escapes, control characters and bidirectional overrides; line ends stay."""
    if text.isprintable():  # as most are, and that is told at once
        return text
    return _CONTROLS.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def warning_line(warning: BuildWarning) -> str:
    """Return the line that says a warning, with its hint."""
    hint = f" ({clean_text(warning.hint)})" if warning.hint else ""
    return f"warning: {clean_text(warning.text)}{hint}"


def show_count(number: int, noun: str) -> str:
    """Return a number of things: ``1 step``, ``2 steps``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def show_size(size_bytes: int | None) -> str:
    """Return a size as a person reads it: ``188 MB``; ``-`` where it is not known."""
    if size_bytes is None:
        return "-"
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5 or unit == "GB":  # what would be rounded to 1000 is one of the next unit
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def show_title(title: str) -> str:
    """Return a step's title on one line of at most 120 characters."""
    line = " ".join(clean_text(title).split())
    return line if len(line) <= 120 else line[:119] + "…"
