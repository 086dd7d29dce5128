"""Carried scripts: Python files that a program has run by their paths, and what these need themselves.

``subprocess.run([sys.executable, "scripts/job.py"])`` starts the script in a process of its own, which imports from the
script's folder and from the packages of the image.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from buildr_jupyter.analysis.scope import import_uses
from buildr_jupyter.errors import FileRefused
from buildr_jupyter.export.local_modules import local_sources
from buildr_jupyter.export.project import Tree
from buildr_jupyter.model.plan import FileEntry, ImportUse
from buildr_jupyter.notebook.parse_cache import parsed
from buildr_jupyter.process.confined import file_entry

__all__ = ["script_needs"]


def script_needs(files: Sequence[FileEntry], tree: Tree) -> tuple[list[FileEntry], list[ImportUse]]:
    """Return the modules beside the scripts among these files, and what scripts and modules import of packages."""
    entries: dict[str, FileEntry] = {}
    there = {entry.path for entry in files}
    found: dict[ImportUse, None] = {}
    for entry in files:
        if not entry.path.endswith(".py"):
            continue
        path = _source(entry.path, tree)
        with entry.open() as stream:
            text = stream.read().decode("utf-8", "replace")
        uses = _imports(text, entry.path)
        for module, inner in local_sources(uses, [path.parent]):
            target = tree.target(module)
            if target is None:
                continue
            uses += _imports(inner, target)
            if target not in there and target not in entries:
                try:
                    entries[target] = file_entry(target, module, tree.root, why=f"imported by {_shown(entry.path)}")
                except (OSError, FileRefused):
                    continue
        found |= dict.fromkeys(use for use in uses if not _is_beside(use.module, path.parent))
    return list(entries.values()), list(found)


def _source(path: str, tree: Tree) -> Path:
    base = tree.root if tree.whole else tree.folder
    return base.joinpath(*PurePosixPath(path).parts[1:])


def _imports(text: str, path: str) -> list[ImportUse]:
    try:
        body = parsed(text).body
    except (SyntaxError, ValueError):
        return []
    uses = import_uses(ast.Module(body, []), _shown(path))
    return [ImportUse(use.module, use.names, use.origin, optional=True) for use in uses if use.module[:1] != "."]


def _shown(path: str) -> str:
    return path.removeprefix("app/")


def _is_beside(module: str, folder: Path) -> bool:
    top = folder / module.partition(".")[0]
    return top.is_dir() or top.with_name(f"{top.name}.py").is_file()
