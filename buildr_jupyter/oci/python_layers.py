"""Python packages as layers, without a pip in the image: from wheels through ``uv``, or from the files installed here.

Each distribution's files come from its RECORD, checked against it; where they were installed by, and when, is left out,
so that uv's and pip's installation of one wheel give one layer. Source: PyPA specifications "Recording installed
projects", "Binary distribution format", "Entry points".
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from buildr_jupyter.errors import BuildError
from buildr_jupyter.model.plan import VENV
from buildr_jupyter.oci import bytecode
from buildr_jupyter.oci.layer import Compressor, Entry, Layer, record_hash, write_layer
from buildr_jupyter.oci.store import Store

__all__ = ["Found", "contents_key", "group", "installed_here", "iter_found", "layer_key", "make"]

LARGE_BYTES = 4 * 1024 * 1024
MAX_LARGE = 40
"""Registries and engines take at most 127 layers; the base's and ours count too."""
FORMAT = 1
_NOT_CARRIED = {"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json", "RECORD"}


@dataclass(frozen=True, slots=True)
class Found:
    """One distribution that is installed in a folder."""

    name: str
    version: str
    site: Path
    """Its site-packages."""
    info: str
    """Name of its ``.dist-info`` folder."""
    rows: tuple[tuple[str, str, int | None], ...]
    """RECORD: path relative to ``site``, ``sha256=…``, size; sorted, without what the installer added."""

    @property
    def size_bytes(self) -> int:
        """The files together, as RECORD says."""
        return sum(size or 0 for _, _, size in self.rows)

    @property
    def identity(self) -> list[str]:
        """What stands for its content: name, version and a digest of RECORD."""
        scripts = [path for path, _, _ in self.rows if _is_script(path)]
        kept = sorted((p, h) for p, h, _ in self.rows if p not in scripts)
        digest = hashlib.sha256(repr((kept, sorted(p.rpartition("/")[2] for p in scripts))).encode()).hexdigest()
        return [self.name, self.version, digest]


def iter_found(site: Path) -> Iterator[Found]:
    """Yield the distributions of a site-packages folder, sorted by name; one without RECORD raises BuildError.

    What RECORD names without a digest gets that of the file: another content would have the identity of this one.
    """
    for info in sorted(site.glob("*.dist-info")):
        found = read_found(info)
        rows = tuple((path, digest or _digest_of_file(site / path), size) for path, digest, size in found.rows)
        yield replace(found, rows=rows)


def _digest_of_file(path: Path) -> str:
    """Return the digest of a file as RECORD writes it, empty where it is not there: who packs it says so."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return ""
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def read_found(info: Path) -> Found:
    """Return the distribution of a ``.dist-info`` folder; raises BuildError where its RECORD cannot be read."""
    name, _, version = info.name.removesuffix(".dist-info").partition("-")
    try:
        text = (info / "RECORD").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(
            f"Image build failed: package {name} {version} has no RECORD that can be read", hint="install it again"
        ) from error
    rows = []
    for row in csv.reader(io.StringIO(text)):
        path, digest, size = (*row, "", "")[:3]
        if not path or path.endswith((".pyc", ".pyo")) or "/__pycache__/" in path:
            continue
        folder, _, last = path.rpartition("/")
        if folder == info.name and last in _NOT_CARRIED:
            continue
        rows.append((path, digest, int(size) if size.isdigit() else None))
    return Found(name, version, info.parent, info.name, tuple(sorted(rows)))


def installed_here(pins: Sequence[str], sites: Sequence[Path]) -> list[Found] | None:
    """Return the installed distributions that are just these pins, from wheels that run elsewhere; else None.

    A pin must be ``name==version``, installed with hashes, not editable, and not built on this machine for this
    machine's own libraries (tag ``linux_…``).
    """
    known: dict[tuple[str, str], Path] = {}
    for site in sites:
        for info in site.glob("*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").partition("-")
            known.setdefault((_normal(name), version), info)
    found = []
    for pin in pins:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)", pin.strip())
        place = known.get((_normal(match[1]), match[2])) if match else None
        if place is None or (place / "direct_url.json").exists():
            return None
        try:
            tags = re.findall(r"^Tag: \S+-(\S+)$", (place / "WHEEL").read_text(encoding="utf-8"), re.MULTILINE)
            one = read_found(place)
        except (OSError, BuildError):
            return None
        if not tags or any(tag.startswith("linux_") for tag in tags) or any(not row[1] for row in one.rows):
            return None
        found.append(one)
    return sorted(found, key=lambda one: one.info)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def group(found: Sequence[Found]) -> list[tuple[str, list[Found]]]:
    """Return what goes into one layer each, with its title: each large distribution, then the small ones together."""
    large = sorted((one for one in found if one.size_bytes >= LARGE_BYTES), key=lambda one: -one.size_bytes)[:MAX_LARGE]
    large.sort(key=lambda one: one.info)
    small = [one for one in found if one not in large]
    groups = [(f"{one.name} {one.version}", [one]) for one in large]
    if small:
        names = ", ".join(one.name for one in small[:4]) + (f" and {len(small) - 4} more" if len(small) > 4 else "")
        groups.append((names, small))
    return groups


def layer_key(members: Sequence[Found], python: str, using: Compressor) -> list[object]:
    """Return the inputs that the layer of these distributions is made from."""
    return ["packages", FORMAT, python, bytecode.key(python), using.key, [one.identity for one in members]]


def contents_key(layer: Layer) -> list[object]:
    """Return the inputs under which the store knows names and versions of the distributions in a layer."""
    return ["packages-of", layer.diff_id, 1]


def make(
    store: Store,
    title: str,
    members: Sequence[Found],
    python: str,
    using: Compressor,
    check: Callable[[], None] = lambda: None,
) -> tuple[Layer, bool]:
    """Return the layer of these distributions, and whether the store had it.

    Raises BuildError for a file that is not what RECORD says.
    """

    def write(out: io.BufferedIOBase) -> Layer:
        with store.scratch() as scratch:
            entries: dict[str, Entry] = {}
            sources: list[tuple[str, Path]] = []
            for one in members:
                for entry, source in iter_entries(one, python):
                    entries.setdefault(entry.path, entry)
                    if source is not None:
                        sources.append((entry.path, source))
            if bytecode.key(python):
                for entry in bytecode.compile_entries(dict(sources).items(), scratch):
                    entries.setdefault(entry.path, entry)
            return write_layer(entries.values(), out, using, title=title, check=check)  # type: ignore[arg-type]

    layer, had = store.make_layer(layer_key(members, python, using), write)  # type: ignore[arg-type]
    if not had:
        store.note(contents_key(layer), sorted([one.name, one.version] for one in members))
    return layer, had


def iter_entries(one: Found, python: str) -> Iterator[tuple[Entry, Path | None]]:
    """Yield the files of a distribution as they are in the image's environment, RECORD last; None for made ones."""
    target = f"{VENV.lstrip('/')}/lib/python{python}/site-packages"
    commands = _commands(one.site / one.info)
    record = []
    for path, digest, _ in one.rows:
        source = one.site / path
        if _is_script(path):
            name = path.rpartition("/")[2].removesuffix(".exe")
            content = commands[name] if name in commands else _own_script(source)
            entry = Entry.of(f"{VENV.lstrip('/')}/bin/{name}", content, mode=0o755)
            record.append((f"../../../bin/{name}", content))
            yield entry, None
            continue
        inside = _inside(target, path)
        try:
            yield Entry.of_file(inside, source, digest=record_hash(digest) or None), source
        except OSError as error:
            raise BuildError(
                f"Image build failed: package {one.name} {one.version} lacks {path}, which its RECORD names",
                hint="install it again",
            ) from error
    lines = [(path, digest, size) for path, digest, size in one.rows if not _is_script(path)]
    lines += [(path, _record_digest(content), len(content)) for path, content in record]
    text = "".join(f"{_quoted(path)},{digest},{'' if size is None else size}\n" for path, digest, size in sorted(lines))
    text += f"{_quoted(one.info + '/RECORD')},,\n"
    yield Entry.of(f"{target}/{one.info}/RECORD", text.encode()), None


def _inside(target: str, path: str) -> str:
    """Return where a path of RECORD is in the image; headers and data above site-packages stay in the environment."""
    parts = [] if path.startswith("/") else target.split("/")
    for part in path.replace("\\", "/").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    inside = "/".join(parts)
    if not inside.startswith(VENV.lstrip("/") + "/"):
        raise BuildError(f"Image build failed: RECORD names {path!r}, which is outside of the environment")
    return inside


def _is_script(path: str) -> bool:
    return path.startswith("..") and bool(re.fullmatch(r"(\.\./)+(bin|Scripts)/[^/]+", path.replace("\\", "/")))


def _commands(info: Path) -> dict[str, bytes]:
    """Return the texts of the commands that entry_points.txt names."""
    parser = configparser.RawConfigParser(delimiters=("=",), strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string((info / "entry_points.txt").read_text(encoding="utf-8"))
    except (OSError, configparser.Error, UnicodeDecodeError):
        return {}
    found = {}
    for section in ("console_scripts", "gui_scripts"):
        for name, value in parser.items(section) if parser.has_section(section) else ():
            module, _, attribute = value.partition("[")[0].strip().partition(":")
            function = attribute.strip()
            found[name] = (
                f"#!{VENV}/bin/python\nimport sys\nfrom {module.strip()} import {function.partition('.')[0]}\n"
                f"if __name__ == '__main__':\n    sys.exit({function}())\n"
            ).encode()
    return found


def _own_script(source: Path) -> bytes:
    """Return a script of the wheel's own with the image's interpreter in its first line, where it runs Python."""
    try:
        content = source.read_bytes()
    except OSError as error:
        raise BuildError(f"Image build failed: {source.name} is missing", hint="install its package again") from error
    first, newline, rest = content.partition(b"\n")
    if first.startswith(b"#!") and b"python" in first:
        return f"#!{VENV}/bin/python".encode() + newline + rest
    if first == b"#!/bin/sh" and rest.startswith(b"'''exec'"):  # the launcher for a long path: three lines
        return f"#!{VENV}/bin/python\n".encode() + rest.split(b"\n", 2)[2]
    return content


def _record_digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def _quoted(path: str) -> str:
    return '"' + path.replace('"', '""') + '"' if any(sign in path for sign in ',"\n') else path


def environment_layer(
    store: Store, bin_folder: str, python: str, using: Compressor, folders: Mapping[str, int]
) -> tuple[Layer, bool]:
    """Return the layer of the virtual environment itself, on a base's interpreter, and of the image's own folders."""
    root = VENV.lstrip("/")
    config = f"home = {bin_folder}\ninclude-system-site-packages = true\nversion = {python}\n"
    entries = [
        Entry.of(f"{root}/pyvenv.cfg", config.encode()),
        Entry.link(f"{root}/bin/python", f"{bin_folder}/python{python}"),
        Entry.link(f"{root}/bin/python3", "python"),
        Entry.link(f"{root}/bin/python{python}", "python"),
        Entry.link(f"{root}/lib64", "lib"),
        Entry.folder(f"{root}/lib/python{python}/site-packages"),
        *(Entry.folder(path.lstrip("/"), mode) for path, mode in folders.items()),
    ]
    key = ["environment", FORMAT, bin_folder, python, using.key, sorted(folders.items())]
    return store.make_layer(key, lambda out: write_layer(entries, out, using, title="Python environment"))
