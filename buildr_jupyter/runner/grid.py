"""Grid of a sweep: the inputs of each run, in order, checked against the interface before any run starts."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from buildr_jupyter.errors import OptionError
from buildr_jupyter.in_image import parameters as reader
from buildr_jupyter.model.interface import Input, Interface, Said
from buildr_jupyter.model.request import Mount

__all__ = ["Point", "content_digest", "make_grid", "read_rows", "run_key", "split_values"]

INPUTS_FOLDER = "/inputs"
"""Where a run sees the files and folders that are its inputs."""
_HASHED_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Point:
    """The inputs of one run."""

    inputs: Mapping[str, object]
    """Plain values of all inputs, defaults written out; a path as it was said."""
    given: Mapping[str, object]
    """What the container gets: those that were said, paths as they are in it."""
    mounts: tuple[Mount, ...] = ()
    identity: Mapping[str, object] | None = None
    """``inputs`` with the content of paths in their place; None where that is too large to be hashed."""


def split_values(name: str, text: str, limit: int) -> list[Said]:
    """Return the values of ``a,b,c``, of a range ``2..6`` with both its ends, or of a JSON list."""
    if found := re.fullmatch(r"\s*(-?\d{1,18})\.\.(-?\d{1,18})\s*", text):
        first, last = int(found[1]), int(found[2])
        step = 1 if last >= first else -1
        if abs(last - first) >= limit:
            raise OptionError(
                f"--map {name}={text}: {abs(last - first) + 1:,} runs are more than {limit:,}",
                hint="raise the limit with --map-limit N, if you mean it",
            )
        return [Said(value=number) for number in range(first, last + step, step)]
    if text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise OptionError(f"--map {name}: {text[:60]!r} is no JSON list: {str(error)[:80]}") from error
        if isinstance(values, list):
            return [Said(value=value) for value in values]
    return [Said(text=part.strip()) for part in text.split(",")] if text.strip() else []


def read_rows(path: Path) -> list[dict[str, Said]]:
    """Return the rows of a CSV file with a header, or of a file with a JSON object on each line; raises OptionError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OptionError(f"--map-file {path.name}: {reason}", hint="name a file FILE.csv or FILE.jsonl") from error
    rows: list[dict[str, Said]] = []
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.split("\n"), 1):  # a text in JSON may hold what splitlines takes for an end
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise OptionError(f"--map-file {path.name}: line {number} is not JSON: {str(error)[:80]}") from error
            if not isinstance(row, dict):
                raise OptionError(f"--map-file {path.name}: line {number} is no JSON object")
            rows.append({name: Said(value=value) for name, value in row.items()})
        return rows
    table = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip() for name in next(table, [])]
    for cells in table:
        if cells and len(cells) != len(header):
            raise OptionError(
                f"--map-file {path.name}: line {table.line_num} has {len(cells)} cells, not {len(header)}"
            )
        if cells:
            rows.append({name: Said(text=cell) for name, cell in zip(header, cells, strict=True)})
    return rows


def make_grid(
    interface: Interface,
    rows: Sequence[Mapping[str, Said]],
    maps: Sequence[tuple[str, str]],
    *,
    zipped: bool,
    limit: int,
    folder: Path,
    volumes: Sequence[str] = (),
    origin: str = "--map ",
) -> list[Point]:
    """Return the points of ``rows`` times ``maps`` in their order, the last map fastest; ``zipped`` pairs the maps.

    Relative paths are taken from ``folder``; those below ``volumes`` are in the container as they are. An error about
    an input says ``origin`` before its name. Raises OptionError where there is no point, where there are more than
    ``limit``, and for a value that is none of its input: each is looked at before any run starts.
    """
    inputs = {one.name: one for one in interface.inputs}
    axes = [[{name: said} for said in split_values(name, text, limit)] for name, text in maps]
    if zipped and len({len(axis) for axis in axes}) > 1:
        lengths = ", ".join(f"{name} {len(axis)}" for (name, _), axis in zip(maps, axes, strict=True))
        raise OptionError(f"--map-zip pairs values, and there are not as many of each: {lengths}")
    if zipped and axes:
        axes = [[{k: v for part in parts for k, v in part.items()} for parts in zip(*axes, strict=True)]]
    if rows:
        axes.insert(0, [dict(row) for row in rows])
    count = 1
    for axis in axes:
        count *= len(axis)
    if not axes or not count:
        raise OptionError("the grid has no runs: one of its maps has no values", hint="write --map NAME=1,2,3")
    if count > limit:
        raise OptionError(
            f"the grid has {count:,} runs, more than {limit:,}",
            hint="raise the limit with --map-limit N, if you mean it",
        )
    digests: dict[Path, str | None] = {}
    points = []
    for parts in itertools.product(*axes):
        said = {name: value for part in parts for name, value in part.items()}
        points.append(_point(inputs, said, folder, volumes, digests, origin))
    return points


def _point(
    inputs: Mapping[str, Input],
    said: Mapping[str, Said],
    folder: Path,
    volumes: Sequence[str],
    digests: dict[Path, str | None],
    origin: str,
) -> Point:
    given: dict[str, object] = {}
    for name, value in said.items():
        if name not in inputs:
            raise OptionError(
                f"{name!r} is no input of the image",
                hint=f"take one of its inputs ({', '.join(inputs) or 'none'}), or add --param NAME",
            )
        given[name] = _plain(inputs[name], value, origin)
    missing = [one.name for one in inputs.values() if one.required and one.name not in given]
    if missing:
        raise OptionError(
            f"input {missing[0]!r} has no value in each run", hint=f"give it one with --map {missing[0]}=VALUE"
        )
    whole = {name: given.get(name, one.default) for name, one in inputs.items()}
    shown, identity, mounts = dict(given), dict(whole), []
    hashed = True
    for name in given:
        if inputs[name].type == "Path" and any(PurePosixPath(str(given[name])).is_relative_to(one) for one in volumes):
            hashed = False
        elif inputs[name].type == "Path":
            mount, digest = _mounted(name, folder / Path(str(given[name])).expanduser(), digests, origin)
            mounts.append(mount)
            shown[name], identity[name] = mount.target, {"content": digest}
            hashed = hashed and digest is not None
    return Point(whole, shown, tuple(mounts), identity if hashed else None)


def _plain(entry: Input, said: Said, origin: str) -> object:
    try:
        if said.text is not None:
            return reader.from_text(entry.to_json(), said.text)
        return reader.accept(entry.to_json(), said.value)
    except reader.Refused as error:
        raise OptionError(f"{origin}{entry.name}: {error}", hint=f"give {entry.type}") from error


def _mounted(name: str, path: Path, digests: dict[Path, str | None], origin: str) -> tuple[Mount, str | None]:
    if not path.exists():
        raise OptionError(f"{origin}{name}: {str(path)!r} does not exist", hint="name a file or folder of this machine")
    path = path.resolve()
    if path not in digests:
        digests[path] = content_digest(path)
    return Mount(path, f"{INPUTS_FOLDER}/{name}/{path.name}", read_only=True), digests[path]


def content_digest(path: Path) -> str | None:
    """Return the sha256 of a file, or of a folder's names and files; None over 1 GiB."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    if sum(one.stat().st_size for one in files) > _HASHED_BYTES:
        return None
    whole = hashlib.sha256()
    for one in files:
        with one.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        whole.update(f"{one.relative_to(path).as_posix() if path.is_dir() else path.name}\0{found}\n".encode())
    return whole.hexdigest()


def run_key(image_id: str, point: Point, more: Iterable[str] = ()) -> str | None:
    """Return the key of a run, 64 hex digits: the same image, inputs and ``more`` are the same run.

    None where something of it cannot be hashed: such a run is never taken for another.
    """
    if point.identity is None:
        return None
    document = {"image": image_id, "inputs": dict(point.identity), "more": sorted(more)}
    return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
