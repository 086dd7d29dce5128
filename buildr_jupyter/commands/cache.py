"""Upkeep of what is kept in the user's cache: context folders, archives, and the store of builder oci.

``look`` says what there is; ``find_prunable`` what a prune would remove and how much that is, ``prune`` removes it.
An image may exist nowhere else: it stays, with all that it is made of, unless images are asked for.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter.errors import OptionError
from buildr_jupyter.oci.store import Prunable, Store
from buildr_jupyter.ui.sanitize import show_size
from buildr_jupyter.ui.table import render_table, show_age

__all__ = ["Found", "find_prunable", "look", "prune", "terminal_question", "verify"]


@dataclass(frozen=True, slots=True)
class Found:
    """What a prune would remove."""

    contexts: tuple[tuple[Path, int], ...]
    """Folders and their bytes."""
    archives: tuple[tuple[Path, int], ...]
    """Images in files that were written because nothing else would have had them; empty unless images are asked for."""
    store: Prunable

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(size for _, size in (*self.contexts, *self.archives)) + self.store.size_bytes

    def __bool__(self) -> bool:
        return bool(self.contexts or self.archives or self.store.paths)

    def lines(self, folder: Path) -> list[str]:
        """Return what it is, a line for each thing; ``folder`` is the store's."""
        found = [f"context {path}  {show_size(size)}" for path, size in self.contexts]
        found += [f"image {path}  {show_size(size)}" for path, size in self.archives]
        found += [f"image {name}" for name in self.store.images]
        if self.store.paths:
            found.append(f"layers and records in {folder}  {show_size(self.store.size_bytes)}")
        return found


def look(say: Callable[[str], object], now: float | None = None) -> None:
    """Say what is kept as a table: context folders, archives, the store; and the store's images with their names."""
    from buildr_jupyter.commands.images import is_internal

    now = time.time() if now is None else now
    rows = [
        (kind, show_size(size), show_age(now - path.stat().st_mtime), str(path))
        for kind, name in (("context", "contexts"), ("archive", "archives"))
        for path, size in _sized(name)
    ]
    store = Store()
    known = store.info() if store.folder.is_dir() else None
    if known:
        times = [at for name in known.images if (at := store.tagged_at(name)) is not None]
        age = show_age(now - max(times)) if times else ""
        rows.append(("store", show_size(known.size_bytes), age, str(known.folder)))
    if not rows:
        say("nothing is kept yet\n")
        return
    for line in render_table(("WHAT", "SIZE", "WRITTEN", "WHERE"), rows).splitlines():
        say(f"{line}\n")
    if known:
        blobs = f"{known.blobs} blob{'' if known.blobs == 1 else 's'}"
        names = [name for name in known.images if not is_internal(name)]
        say(f"in the store: {blobs}{', ' if names else ''}{', '.join(names)}\n")


def verify(say: Callable[[str], object]) -> int:
    """Read every blob of the store and take damaged ones out; return 1 where there were any."""
    store = Store()
    blobs = store.info().blobs if store.folder.is_dir() else 0
    bad = store.verify() if blobs else []
    for digest in bad:
        say(f"{digest} was damaged: it is taken out, and made anew when it is needed\n")
    if not blobs:
        say(f"there is nothing to verify in {store.folder}\n")
    elif not bad:
        say(f"{blobs} blob{'s' if blobs > 1 else ''} in {store.folder}: all sound\n")
    return int(bool(bad))


def find_prunable(*, older_than_s: float = 0.0, images: bool = False, now: float | None = None) -> Found:
    """Return what a prune would remove: what was last written more than ``older_than_s`` seconds ago."""
    now = time.time() if now is None else now

    def old(path: Path) -> bool:
        return now - path.stat().st_mtime >= older_than_s

    return Found(
        tuple(one for one in _sized("contexts") if old(one[0])),
        tuple(one for one in _sized("archives") if images and old(one[0])),
        Store().prunable(older_than_s=older_than_s, images=images, now=now),
    )


def prune(
    say: Callable[[str], object],
    *,
    older_than_s: float = 0.0,
    images: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    ask: Callable[[str], str] | None = None,
) -> None:
    """Say what would be removed and how much, ask, and remove it; the images stay unless ``images``.

    ``ask`` puts a question and returns the answer; None: nobody can be asked. Raises OptionError where nobody can be
    and ``yes`` was not said, StoreInUse while a build stands on the store; nothing is removed then.
    """
    store = Store()
    found = find_prunable(older_than_s=older_than_s, images=images)
    if not found:
        say("there is nothing to prune\n")
    for line in found.lines(store.folder):
        say(f"{line}\n")
    left = "" if images else f"; {_stays(store)} (--images)"
    if not found or dry_run:
        if found:
            say(f"would be removed: {show_size(found.size_bytes)}{left}\n")
        return
    if not yes:
        if ask is None:
            raise OptionError(
                f"cache prune: nothing was removed: {show_size(found.size_bytes)} would be, and nobody can be asked",
                hint="say it with --yes, or look with --dry-run",
            )
        if ask(f"remove {show_size(found.size_bytes)}{left}? [y/N] ").strip().lower() not in ("y", "yes"):
            say("nothing was removed\n")
            return
    freed = store.prune(older_than_s=older_than_s, images=images) if store.folder.is_dir() else 0
    for path, size in found.contexts:
        shutil.rmtree(path)
        freed += size
    for path, size in found.archives:
        path.unlink(missing_ok=True)
        freed += size
    say(f"removed: {show_size(freed)}{left}\n")


def _stays(store: Store) -> str:
    """Return how many images stay; one has several names as a rule."""
    count = len({one.get("manifest") for one in store.images()}) + len(_sized("archives"))
    return "1 image stays" if count == 1 else f"{count} images stay"


def terminal_question() -> Callable[[str], str] | None:
    """Return what asks the person at the terminal; None where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(question: str) -> str:
        sys.stderr.write(question)
        sys.stderr.flush()
        return sys.stdin.readline()

    return ask


def _sized(name: str) -> list[tuple[Path, int]]:
    """Return the entries of a folder of the cache with their bytes, by name."""
    from platformdirs import user_cache_path

    root = user_cache_path("buildr") / name
    found = []
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if not path.name.startswith("."):
            inner = path.rglob("*") if path.is_dir() else (path,)
            found.append((path, sum(one.lstat().st_size for one in inner if one.is_file())))
    return found
