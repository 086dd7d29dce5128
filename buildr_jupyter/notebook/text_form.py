"""Notebooks as text: those of jupytext are read where it is installed, others are named with what converts them.

jupytext splits the text into cells; the header is read here, for jupytext refuses one that lacks what only a front end
needs. Nothing of the file is executed, and no program is started for it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from buildr_jupyter.errors import NotebookError
from buildr_jupyter.model.json_object import JsonObject

__all__ = ["read_text_form"]

_HEADERS = {
    ".py": re.compile(r"\A(?:#!.*\n)?(?:#[^\n]*coding[^\n]*\n)?# ---\n((?:#.*\n)*?)# ---(?:\n|\Z)"),
    ".md": re.compile(r"\A---\n((?:.*\n)*?)---(?:\n|\Z)"),
}
_HEADERS[".Rmd"] = _HEADERS[".md"]
_PERCENT = re.compile(r"^# ?%%(?!\w)", re.MULTILINE)
_MYST = re.compile(r"^(?:```|~~~){code-cell}", re.MULTILINE)
_R_CHUNK = re.compile(r"^```{(?:python|r)\b", re.MULTILINE)
_MARIMO = re.compile(r"^import marimo\b", re.MULTILINE)


def read_text_form(text: str, name: str) -> JsonObject | None:
    """Return the notebook that the file ``name`` with this text is, as nbformat 4 has it, without ids of cells.

    None for a text that is none. Raises NotebookError with the command that converts it for another kind of notebook,
    for what may be one, and for jupytext's where that is not installed.
    """
    suffix = Path(name).suffix
    quoted, stem = shlex.quote(name), shlex.quote(Path(name).stem + ".ipynb")
    if suffix == ".qmd":
        raise _refused(name, "a Quarto document", f"quarto convert {quoted}")
    if suffix == ".py" and _MARIMO.search(text):
        raise _refused(name, "a marimo notebook", f"marimo export ipynb {quoted} -o {stem}")
    if suffix not in _HEADERS:
        return None
    text = text.replace("\r\n", "\n")
    found = _HEADERS[suffix].match(text)
    header = found[1] if found and re.search(r"^(?:# )?(?:jupyter|jupytext):", found[1], re.MULTILINE) else ""
    kind = _format(text, suffix, header)
    if kind is None:
        raise _refused(name, "a jupytext file, or another text", f"jupytext --to ipynb {quoted}")
    if find_spec("jupytext") is None:
        raise NotebookError(
            f"{name} is a jupytext file, and jupytext, which reads it, is not installed here",
            hint=f"run pip install 'buildr-jupyter[jupytext]', or convert it elsewhere: jupytext --to ipynb {quoted}",
        )
    body = text[found.end() :].lstrip("\n") if found and header else text
    return _read(body, kind, re.sub(r"^# ?", "", header, flags=re.MULTILINE) if suffix == ".py" else header, name)


def _refused(name: str, kind: str, command: str) -> NotebookError:
    return NotebookError(f"{name} is {kind}, not a notebook file", hint=f"convert it: {command}")


def _format(text: str, suffix: str, header: str) -> str | None:
    """Return jupytext's name of the format, None where nothing says that it is a notebook."""
    if suffix == ".py":
        said = re.search(r"format_name:\s*(\w+)", header)
        return f"py:{said[1]}" if said else "py:percent" if _PERCENT.search(text) else "py:light" if header else None
    if suffix == ".Rmd":
        return "Rmd" if header or _R_CHUNK.search(text) else None
    return "md:myst" if _MYST.search(text) else "md:markdown" if header else None


def _read(body: str, kind: str, header: str, name: str) -> JsonObject:
    import jupytext
    import yaml

    try:
        said = yaml.safe_load(header) or {}
        metadata = said.get("jupyter", said) if isinstance(said, Mapping) else {}
        cells = [
            {key: value for key, value in cell.items() if key != "id"} for cell in jupytext.reads(body, kind)["cells"]
        ]
    except Exception as error:  # whatever jupytext, nbformat and yaml raise for a text
        reason = " ".join(str(error).split())[:200]
        raise NotebookError(f"{name}: broken notebook of jupytext's format {kind}: {reason}") from error
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}
