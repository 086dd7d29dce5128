"""Local modules: the text of modules that lie beside the notebook, read and never run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from buildr_jupyter.analysis.scope import import_uses
from buildr_jupyter.errors import FileRefused, NotebookError
from buildr_jupyter.model.plan import ImportUse
from buildr_jupyter.notebook.cells import parse_notebook
from buildr_jupyter.notebook.parse_cache import parsed
from buildr_jupyter.process.confined import resolve_beneath

__all__ = ["local_sources", "read_code", "read_module"]

_MAX_BYTES = 1 << 20


def read_module(folder: Path, module: str) -> str | None:
    """Return the text of the module with this dotted name below ``folder``; None where there is none that can be read.

    For a package that is the text of its ``__init__.py``, after that of the packages it lies in.
    """
    texts = [text for _, text in _files_of(folder, module)]
    return "\n".join(texts) if texts else None


def local_sources(uses: Iterable[ImportUse], folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield the files of what is imported that lie below one of ``folders``, with their texts, and of what they import.

    Each module is taken from the first folder that has it, and each file is yielded once.
    """
    todo = [name for use in uses for name in _names_of(use)]
    seen, read = set(todo), set[Path]()
    while todo:
        module = todo.pop()
        found = next((files for folder in folders if (files := list(_files_of(folder, module)))), [])
        for path, text in found:
            if path in read:
                continue
            read.add(path)
            yield path, text
            package = module if path.name == "__init__.py" else module.rpartition(".")[0]
            for name in (name for use in _imports_of(text, package) for name in _names_of(use)):
                if name not in seen:
                    seen.add(name)
                    todo.append(name)


def _names_of(use: ImportUse) -> list[str]:
    """Return the module that is imported, and what is taken from it, which may be modules, too."""
    return [use.module, *(f"{use.module}.{name}" for name in use.names if name != "*")]


def _imports_of(text: str, package: str) -> Iterator[ImportUse]:
    """Yield what a module of a package imports, by absolute names."""
    try:
        uses = import_uses(parsed(text), "")
    except (SyntaxError, ValueError):
        return
    for use in uses:
        name = use.module.lstrip(".")
        if level := len(use.module) - len(name):
            parts = package.split(".")
            above = parts[: len(parts) - level + 1]
            name = ".".join([*above, name] if name else above)
        yield replace(use, module=name)


def _files_of(folder: Path, module: str) -> Iterator[tuple[Path, str]]:
    """Yield the files of a module and of the packages it lies in that can be read, outermost first."""
    parts = module.split(".")
    if not module or not all(part.isidentifier() for part in parts):
        return
    for count in range(1, len(parts) + 1):
        place = folder.joinpath(*parts[:count])
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if (text := _read(path, folder)) is not None:
                yield path, text
                break


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
