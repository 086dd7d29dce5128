"""Values that a run gave back: its manifest checked against the files, and the files read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from buildr_jupyter.errors import ReturnError
from buildr_jupyter.in_image.returns import EXTENSIONS, FOLDER, MANIFEST, read_value
from buildr_jupyter.model.result import Returned

__all__ = ["check_returned", "outputs_of", "read_returned", "returned_folder", "run_folder"]

_MANIFEST_BYTES = 4 << 20


@contextlib.contextmanager
def run_folder(parent: Path) -> Iterator[Path]:
    """Give a folder of its own to one run, ``parent``/1, 2 …, which goes again where nothing came into it.

    No other run, of this process or another one, has it. Where none can be made it is not there: only a run that has
    files to write needs it.
    """
    made = [folder for folder in (parent, parent.parent) if not folder.exists()]
    folder = parent / "1"
    with contextlib.suppress(OSError):
        parent.mkdir(parents=True, exist_ok=True)
        number = max((int(one.name) for one in parent.iterdir() if one.name.isdecimal()), default=0)
        while True:
            number += 1
            folder = parent / str(number)
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                break
    try:
        yield folder
    finally:
        for empty in (folder, *made):
            with contextlib.suppress(OSError):
                empty.rmdir()


def returned_folder(output: Path) -> Path:
    """Return where below a run's output the files of its values are."""
    return output.joinpath(*FOLDER.split("/"))


def outputs_of(output: Path, files: Iterable[Path]) -> tuple[Path, ...]:
    """Return those of a run's files below ``output`` that are the program's own, without what buildr's code wrote."""
    ours = returned_folder(output).parent
    return tuple(path for path in files if ours not in path.parents)


def check_returned(output: Path, names: Sequence[str], written: Sequence[Path]) -> tuple[Returned, ...]:
    """Return what the run that filled ``output`` gave back, in the order of ``names``.

    ``written`` are the files that this very run wrote there. The image may be anybody's: names, places, sizes and
    digests of the manifest are held against ``names`` and the files. Raises ReturnError; nothing is read as a value.
    """
    folder = returned_folder(output)
    if folder / MANIFEST not in written:
        raise ReturnError(
            f"the run gave nothing back, though it ended with status 0: {', '.join(names)}",
            hint="let the program end by itself: one that ends by os._exit or exec gives no values",
        )
    entries = _entries(folder / MANIFEST, names)
    found = tuple(_checked(entry, folder) for entry in entries)
    missing = [one.name for one in found if one.path not in written]
    if missing:
        raise ReturnError(f"{missing[0]}: the file of its value is not of this run")
    return found


def _entries(path: Path, names: Sequence[str]) -> list[Mapping[str, Any]]:
    try:
        if path.stat().st_size > _MANIFEST_BYTES:
            raise ReturnError(f"the manifest of the returned values has {path.stat().st_size:,} bytes")
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ReturnError(f"the manifest of the returned values cannot be read: {error}") from error
    entries = document.get("returns") if isinstance(document, dict) and document.get("schema") == 1 else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ReturnError("the manifest of the returned values is none of schema 1")
    said = [entry.get("name") for entry in entries]
    if said != list(names):
        raise ReturnError(f"the manifest names other values than {', '.join(names)}: {str(said[:5])[:100]}")
    return entries


def _checked(entry: Mapping[str, Any], folder: Path) -> Returned:
    name, form, kind = entry["name"], entry.get("format"), entry.get("type")
    size, digest = entry.get("size"), entry.get("sha256")
    if form not in EXTENSIONS or not isinstance(kind, str) or type(size) is not int:
        raise ReturnError(f"{name}: the manifest says {str(form)[:40]!r}, and no such format is known")
    path = folder / f"{name}.{EXTENSIONS[form]}"
    try:
        known = path.lstat()
        if not stat.S_ISREG(known.st_mode) or known.st_size != size:
            raise ReturnError(f"{name}: its file has {known.st_size:,} bytes, and the manifest says {size:,}")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ReturnError(f"{name}: the file of its value cannot be read: {error.strerror}") from error
    if found != digest:
        raise ReturnError(f"{name}: its file is not the one that the manifest names: its sha256 is {found}")
    return Returned(name, form, kind[:200], size, found, path)


def read_returned(
    returned: Sequence[Returned], *, trusted: bool, namespace: Mapping[str, object] | None = None
) -> tuple[dict[str, object], tuple[Returned, ...]]:
    """Return the values by name, and those that stay files because a pickle runs code and the image is not trusted.

    A class of the notebook is the one that ``namespace``, the kernel's, has. Raises ReturnError where one of them
    cannot be read; then none is taken.
    """
    values: dict[str, object] = {}
    kept = []
    for one in returned:
        if one.format == "pickle" and not trusted:
            kept.append(one)
            continue
        try:
            values[one.name] = read_value(str(one.path), one.format, namespace)
        except Exception as error:
            raise ReturnError(
                f"{one.name} ({one.type}) cannot be read here: {type(error).__name__}: {error}",
                hint=f"read the file yourself, {one.path}: its class or package is another one here",
            ) from error
    return values, tuple(kept)
