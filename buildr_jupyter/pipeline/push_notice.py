"""What leaves with a push: said before the first one of a notebook to a registry, and not again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import ImagePlan
from buildr_jupyter.model.progress import BuildWarning
from buildr_jupyter.process.locks import private_folder, write_private

__all__ = ["first_time", "said", "what_leaves"]

_SHOWN = 20


def what_leaves(plan: ImagePlan) -> str:
    """Return the files with their sizes in bytes and the packages that the image would have, for a person to read."""
    files = plan.all_files
    total = sum(entry.size_bytes for entry in files)
    shown = [f"{entry.path} {entry.size_bytes:,}" for entry in files[:_SHOWN]]
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    packages = [requirement.text for requirement in plan.requirements]
    many = f" and {len(packages) - _SHOWN} more" if len(packages) > _SHOWN else ""
    listed = f"{len(files)} files of {total:,} bytes ({', '.join(shown)}{more})" if files else "no files"
    return f"{listed} and {len(packages)} packages ({', '.join(packages[:_SHOWN]) or 'none'}{many})"


def first_time(plan: ImagePlan, notebook: Path | None, refs: Iterable[ImageRef]) -> list[BuildWarning]:
    """Return what to say before this notebook's first push to each registry."""
    if notebook is None:
        return []
    hosts = dict.fromkeys(ref.registry or "docker.io" for ref in refs)
    return [
        BuildWarning(
            f"the first push of {notebook.name} to {host}: {what_leaves(plan)}",
            hint="check that all who may read that repository may have all of it",
        )
        for host in hosts
        if not os.path.exists(_mark(notebook, host))  # noqa: PTH110 - False, too, where this user may not look
    ]


def said(notebook: Path | None, refs: Iterable[ImageRef]) -> None:
    """Remember that the notebook was pushed there."""
    if notebook is None:
        return
    for ref in refs:
        mark = _mark(notebook, ref.registry or "docker.io")
        with contextlib.suppress(OSError):  # the push is done: at worst it is said again
            private_folder(mark.parent)
            write_private(mark)


def _mark(notebook: Path, host: str) -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("buildr") / "pushed" / hashlib.sha256(f"{notebook}\n{host}".encode()).hexdigest()[:32]
