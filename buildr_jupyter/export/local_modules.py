"""Local modules: the text of modules that lie beside the notebook, read and never run."""

from __future__ import annotations

from pathlib import Path

from buildr_jupyter.errors import FileRefused, NotebookError
from buildr_jupyter.notebook.cells import parse_notebook
from buildr_jupyter.process.confined import resolve_beneath

__all__ = ["read_code", "read_module"]

_MAX_BYTES = 1 << 20


def read_module(folder: Path, module: str) -> str | None:
    """Return the text of the module with this dotted name below ``folder``; None where there is none that can be read.

    For a package that is the text of its ``__init__.py``, after that of the packages it lies in.
    """
    parts = module.split(".")
    if not module or not all(part.isidentifier() for part in parts):
        return None
    texts: list[str] = []
    for count in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:count])
        text = _read(place / "__init__.py", folder)
        if text is None:
            text = _read(place.with_name(f"{place.name}.py"), folder)
        if text is not None:
            texts.append(text)
    return "\n".join(texts) if texts else None


def read_code(folder: Path, name: str) -> list[str] | None:
    """Return the code of a script, or the code of each cell of a notebook, below ``folder``; None without one."""
    path = folder / (name if name.endswith((".py", ".ipynb")) else f"{name}.py")
    text = _read(path, folder)
    if text is None:
        return None
    if path.suffix == ".py":
        return [text]
    try:
        return [run.transformed for run in parse_notebook(text.encode(), path).runs if run.transformed is not None]
    except NotebookError:
        return None


def _read(path: Path, folder: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        resolve_beneath(path, folder)
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError, FileRefused):
        return None
