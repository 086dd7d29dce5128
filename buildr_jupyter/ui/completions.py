"""Completions: what may stand next on the line of ``%%containerize``."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType

__all__ = ["complete_line", "kernel_names", "known_images"]

_NAMES = frozenset(("--param", "--snapshot", "--recompute", "--return"))
"""Options that take a name of the kernel."""
_PATHS = frozenset(
    ("--include", "--exclude", "--root", "--context", "--dockerfile", "--output", "--notebook", "--mount")
)
"""Options that take a path."""
_MAX_PATHS = 200
_MAX_IMAGES = 200
_WAIT_S = 1.0
_OF_CONTENT = re.compile(r":c-[0-9a-f]{12}$")
"""The tag by which the same content is found again; nobody types it."""


def known_images() -> list[str]:
    """Return the names of the images that the engine and the store have, sorted, at most 200.

    Where they do not answer within a second, there are none: a person waits at the keyboard.
    """
    found: list[str] = []
    asked = threading.Thread(target=lambda: found.extend(_images_here()), name="buildr completes", daemon=True)
    asked.start()
    asked.join(_WAIT_S)
    return sorted(set(found))[:_MAX_IMAGES] if not asked.is_alive() else []


def _images_here() -> Iterator[str]:
    from buildr_jupyter.engine.connection import connect, translate
    from buildr_jupyter.errors import BuildrError
    from buildr_jupyter.oci.store import Store

    with contextlib.suppress(OSError, ValueError):
        yield from (name for known in Store().images() if isinstance(name := known.get("name"), str))
    with contextlib.suppress(BuildrError), contextlib.closing(connect()) as client, translate(client):
        for image in client.images():
            for name in image.get("RepoTags") or ():
                if not name.endswith("<none>") and not _OF_CONTENT.search(name):
                    yield name


def complete_line(
    before: str, *, names: Iterable[str], folder: Path, images: Callable[[], Iterable[str]] = known_images
) -> tuple[str, list[str]]:
    """Return the word that is being written and what it may become, in the order in which it is offered.

    ``before`` is the line up to the cursor, ``names`` are the kernel's, ``folder`` is where relative paths begin;
    ``images`` is asked for names of images where a base is to be named.
    """
    word = before.rpartition(" ")[2]
    words = before.removesuffix(word).split()
    option = words[-1] if len(words) > 1 else ""
    found = _values(option, word, names, folder, images)
    if not found and (word.startswith("-") or not word):
        from buildr_jupyter.config.options import OPTIONS

        found = [name for one in OPTIONS if (name := f"--{one.name}").startswith(word)]
    return word, found


def _values(
    option: str, word: str, names: Iterable[str], folder: Path, images: Callable[[], Iterable[str]]
) -> list[str]:
    if option in _PATHS:
        return _paths(folder, word)
    offered: Mapping[str, Callable[[], Iterable[str]]] = {
        "--builder": _builders,
        "--base": lambda: dict.fromkeys(("kernel", "python:{}.{}-slim".format(*sys.version_info), *images())),
        **dict.fromkeys(_NAMES, lambda: names),
    }
    return [value for value in offered.get(option, lambda: _choices(option))() if value.startswith(word)]


def _builders() -> Iterable[str]:
    from buildr_jupyter.builder.selection import names

    return names()


def _choices(option: str) -> Iterable[str]:
    from buildr_jupyter.config.options import OPTIONS

    return next((one.choices for one in OPTIONS if f"--{one.name}" == option), ())


def _paths(folder: Path, word: str) -> list[str]:
    """Return the files and folders that begin with ``word``; a folder ends with a slash, hidden ones only if asked."""
    head, _, tail = word.rpartition("/")
    lead = word[: len(word) - len(tail)]
    try:
        below = sorted((folder / Path(head or ("/" if lead else ".")).expanduser()).iterdir())
    except OSError:
        return []
    shown = [path for path in below if path.name.startswith(tail) and (tail or not path.name.startswith("."))]
    return [f"{lead}{path.name}{'/' if path.is_dir() else ''}" for path in shown[:_MAX_PATHS] if " " not in path.name]


def kernel_names(namespace: Mapping[str, object], hidden: Iterable[str] = ()) -> list[str]:
    """Return the names of values that a person made: no modules, functions, classes, and nothing of IPython's."""
    own = set(hidden)
    return sorted(
        name
        for name, value in namespace.items()
        if not name.startswith("_") and name not in own and type(value) not in (ModuleType, FunctionType, type)
    )
