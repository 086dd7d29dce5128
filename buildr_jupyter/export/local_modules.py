"""Local modules: the text of modules that lie beside the notebook, read and never run."""

from __future__ import annotations

from pathlib import Path

from buildr_jupyter.errors import FileRefused
from buildr_jupyter.process.confined import resolve_beneath

__all__ = ["read_module"]

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


def _read(path: Path, folder: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return None
        resolve_beneath(path, folder)
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError, FileRefused):
        return None
