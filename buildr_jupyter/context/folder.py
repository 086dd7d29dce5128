"""An image's plan as a folder that every builder takes: Dockerfile, .dockerignore, requirements.txt, app/, buildr.json.

The rendering is pure; ``write_folder`` is the only thing here that touches the disk, and it replaces a folder by
rename, so that a reader sees the old one or the new one and never half of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path, PurePosixPath

from buildr_jupyter.context.dockerfile import (
    MARKER,
    render_dockerfile,
    render_dockerignore,
    render_requirements,
)
from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.plan import (
    CustomDockerfile,
    FileEntry,
    ImagePlan,
    Requirement,
)
from buildr_jupyter.process.confined import file_entry, iter_files
from buildr_jupyter.process.locks import in_cache, private_folder
from buildr_jupyter.process.tempfiles import atomic_write

__all__ = ["cache_key", "iter_rendered", "own_dockerfile", "read_folder", "with_own_dockerfile", "write_folder"]


def iter_rendered(plan: ImagePlan) -> Iterator[FileEntry]:
    """Yield the files of the folder that are made from the plan, ``buildr.json`` last."""
    dockerfile = render_dockerfile(plan)
    yield FileEntry.from_bytes("Dockerfile", dockerfile.encode())
    yield FileEntry.from_bytes(".dockerignore", render_dockerignore().encode())
    yield FileEntry.from_bytes("requirements.txt", render_requirements(plan).encode())
    if plan.requirements and "install.py" in dockerfile:
        script = resources.files("buildr_jupyter.in_image").joinpath("install.py").read_bytes()
        yield FileEntry.from_bytes("install.py", script)
    record = json.dumps(plan.to_json(), indent=1, ensure_ascii=False, sort_keys=True)
    yield FileEntry.from_bytes("buildr.json", record.encode() + b"\n")


def write_folder(plan: ImagePlan, folder: Path, *, private: bool = True) -> Path:
    """Write the plan's folder and return it, absolute.

    It has the mode 0700, in it are the modes that the image has; with ``private`` false, at a place that the user
    named, it is as the umask says.

    A folder that is there is replaced if it is empty or holds a ``buildr.json`` that buildr wrote. Raises ContextError
    where it holds something else, or where a file changed after it was hashed; what was there before is then untouched.
    One that holds exactly this already is left as it is, but for its time.
    """
    folder = Path.cwd() / folder
    entries = (*iter_rendered(plan), *plan.all_files)
    try:
        _check_ours(folder)
        if private and _holds(folder, entries):
            os.utime(folder)  # by its age it is cleared away
            return folder
        private_folder(folder.parent) if in_cache(folder) else folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder, directory=True, shared=not private) as fresh:
            root = fresh.resolve()
            for entry in entries:
                _write_entry(entry, root)
            _make_folders(fresh / "app", fresh)
            _replace(folder, fresh)
    except OSError as error:
        raise ContextError(f"context folder {str(folder)!r} cannot be written: {error.strerror}") from error
    return folder


def own_dockerfile(folder: Path) -> str | None:
    """Return the text of a Dockerfile in ``folder`` that its user keeps: one that does not begin with ``MARKER``.

    None where there is no Dockerfile, one that is made anew from the plan each time, or one that an earlier
    ``--dockerfile`` brought and nobody changed since.
    """
    try:
        text = (folder / "Dockerfile").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return None if text.startswith(MARKER) or text == _brought(folder) else text


def _brought(folder: Path) -> str | None:
    """Return the text that an earlier ``--dockerfile`` brought; None where none did, or the record cannot be read."""
    try:
        written = ImagePlan.from_folder(folder).dockerfile
    except ContextError:
        return None  # what cannot be known is kept
    return written.text if written and not written.kept else None


def with_own_dockerfile(plan: ImagePlan, folder: Path) -> ImagePlan:
    """Return the plan with the Dockerfile that the user keeps in ``folder``, where there is one and none was named."""
    if plan.dockerfile is not None or not (folder / "buildr.json").is_file():
        return plan
    text = own_dockerfile(folder)
    return plan if text is None else replace(plan, dockerfile=CustomDockerfile(text, kept=True))


def read_folder(folder: Path) -> ImagePlan:
    """Return the plan of a context folder as it stands now: what was edited in it counts.

    The files are those under ``app/`` and ``wheels/``, hashed anew, the requirements those of ``requirements.txt``;
    names, base and Python come from ``buildr.json``. A Dockerfile that is not exactly what the plan renders is a
    custom one. A folder without a ``buildr.json`` is a Dockerfile and nothing else that is known. Raises ContextError.
    """
    plan = written = ImagePlan.from_folder(folder)
    if not (folder / "buildr.json").is_file():
        return plan
    kept = {entry.path: entry for entry in plan.all_files}
    found = []
    for part in ("app", "wheels"):
        for path in iter_files(folder / part, folder) if (folder / part).is_dir() else ():
            name = path.relative_to(folder).as_posix()
            known = kept.get(name)
            found.append(
                file_entry(name, path, folder, mode=known.mode if known else None, why=known.why if known else "added")
            )
    reasons = {requirement.text: requirement for requirement in plan.requirements}
    lines = [line.strip() for line in _text(folder / "requirements.txt").splitlines()]
    plan = replace(
        plan,
        files=tuple(e for e in found if e.path.startswith("app/") and not e.path.startswith("app/state/")),
        state=tuple(e for e in found if e.path.startswith("app/state/")),
        wheels=tuple(e for e in found if e.path.startswith("wheels/")),
        requirements=tuple(
            reasons.get(line) or Requirement(line, "requirements.txt")
            for line in lines
            if line and not line.startswith("#")
        ),
    )
    text = _text(folder / "Dockerfile")
    if text and text != render_dockerfile(written):
        custom = plan.dockerfile or CustomDockerfile(text)
        plan = replace(plan, dockerfile=replace(custom, text=text, kept=True))
    return plan


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ContextError(f"context folder {str(path.parent)!r}: {path.name} cannot be read: {error}") from error


def _check_ours(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ContextError(
            f"context folder {str(folder)!r} is not a folder", hint="name a folder that does not exist yet"
        )
    if folder.is_dir() and any(folder.iterdir()):
        try:
            ours = json.loads((folder / "buildr.json").read_bytes()).get("schema") == 1
        except (OSError, ValueError, AttributeError, RecursionError):
            ours = False
        if not ours:
            raise ContextError(
                f"context folder {str(folder)!r} is not empty, and buildr did not write it",
                hint="name an empty or a new folder",
            )


def _holds(folder: Path, entries: Sequence[FileEntry]) -> bool:
    """Tell whether a folder for this user only holds these files with their modes, and nothing else."""
    try:
        if stat.S_IMODE(folder.stat().st_mode) != 0o700:
            return False
        wanted = {entry.path: entry for entry in entries}
        folders = {"app", *(str(above) for path in wanted for above in PurePosixPath(path).parents)} - {"."}
        return _holds_in(folder, "", wanted, folders) == len(wanted) + len(folders)
    except OSError:
        return False


def _holds_in(folder: Path, inside: str, wanted: Mapping[str, FileEntry], folders: Collection[str]) -> int:
    """Return how many of the files and folders are there as wanted; a thing that is not is an OSError."""
    found = 0
    with os.scandir(folder) as held:
        for one in held:
            path, status = inside + one.name, one.stat(follow_symlinks=False)
            if path in folders and status.st_mode == stat.S_IFDIR | 0o755:
                found += _holds_in(folder / one.name, f"{path}/", wanted, folders)
            elif path not in wanted or not _is_written(folder / one.name, status, wanted[path]):
                raise OSError(f"{path} is another")
            found += 1
    return found


def _is_written(path: Path, status: os.stat_result, entry: FileEntry) -> bool:
    if status.st_mode != stat.S_IFREG | entry.mode or status.st_size != entry.size_bytes:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == entry.sha256


def _write_entry(entry: FileEntry, root: Path) -> None:
    """Write a file below ``root``, whose links were followed."""
    target = root / entry.path
    if not target.resolve().is_relative_to(root):
        raise ContextError(f"file {entry.path!r} would lie outside the context folder")
    _make_folders(target.parent, root)
    digest = hashlib.sha256()
    with entry.open() as source, target.open("xb") as sink:
        while block := source.read(1 << 20):
            digest.update(block)
            sink.write(block)
    if digest.hexdigest() != entry.sha256:
        raise ContextError(f"file {entry.path!r} changed while the context was made", hint="run the cell again")
    target.chmod(entry.mode)


def _make_folders(folder: Path, root: Path) -> None:
    """Make the folders below ``root`` with the mode that they have in the image, whatever the umask."""
    if folder != root and not folder.is_dir():
        _make_folders(folder.parent, root)
        folder.mkdir()
        folder.chmod(0o755)


def _replace(folder: Path, fresh: Path) -> None:
    """Put ``fresh`` in the place of ``folder``; two renames, and the old one comes back if the second fails."""
    old = fresh.with_name(fresh.name + ".old")
    had = folder.is_dir()
    if had:
        folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        if had:
            old.rename(folder)
        raise
    if had:
        shutil.rmtree(old, ignore_errors=True)


def cache_key(notebook: Path | None, cell: str | None, extra: Mapping[str, str] | None = None) -> str:
    """Return the folder name under which the context of a cell is kept: readable, and unique by what follows it."""
    identity = json.dumps([str(notebook), cell, dict(extra or {})], sort_keys=True).encode()
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in (notebook.stem if notebook else "notebook"))[:40]
    return f"{stem}-{hashlib.sha256(identity).hexdigest()[:12]}"
