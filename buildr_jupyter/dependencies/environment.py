"""What an interpreter has installed, read from files alone: nothing is imported, no ``find_spec`` is asked.

``Interpreter`` says where a Python looks for modules; ``Installed`` answers three questions about it: where a module's
file is, which distribution owns a file, and what a distribution needs.
"""

from __future__ import annotations

import ast
import csv
import importlib.machinery
import io
import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from packaging.utils import canonicalize_name

from buildr_jupyter.errors import RequirementError
from buildr_jupyter.model.json_object import JsonObject

if TYPE_CHECKING:
    from importlib.metadata import PackageMetadata

__all__ = ["Distribution", "Installed", "Interpreter", "Located"]

_SUFFIXES = tuple(importlib.machinery.all_suffixes())
_ASK = """
import json, os, platform, sys, sysconfig
print(json.dumps({"version": platform.python_version(), "implementation": platform.python_implementation(),
 "paths": [os.path.abspath(p) for p in sys.path if p], "stdlib": sysconfig.get_path("stdlib"),
 "platstdlib": sysconfig.get_path("platstdlib"), "names": sorted(sys.stdlib_module_names),
 "builtins": sorted(sys.builtin_module_names), "machine": platform.machine()}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python: its version and where it looks for modules."""

    version: str
    """``3.11.7``"""
    implementation: str
    """``CPython``, ``PyPy`` …"""
    paths: tuple[str, ...]
    """``sys.path`` in order, absolute, without the script's folder."""
    stdlib: tuple[str, ...]
    """Folders of the standard library."""
    stdlib_names: frozenset[str]
    builtin_names: frozenset[str]
    machine: str
    executable: str | None = None
    """The command that starts it; in no plan and no record."""
    stand_in: bool = False
    """It is not the notebook's own, which is not installed here: what it lacks the notebook's may have."""

    @classmethod
    def current(cls) -> Interpreter:
        """Return the interpreter that runs this."""
        folders = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
        return cls(
            platform.python_version(),
            platform.python_implementation(),
            tuple(os.path.abspath(path) for path in sys.path if path),
            tuple(sorted(folders)),
            frozenset(sys.stdlib_module_names),
            frozenset(sys.builtin_module_names),
            platform.machine(),
            sys.executable,
        )

    @classmethod
    def ask(cls, executable: Sequence[str], *, timeout_s: float = 30.0) -> Interpreter:
        """Return what the Python started by ``executable`` says of itself; it imports nothing but the library.

        Raises RequirementError where it does not start or does not answer.
        """
        command = [*executable, "-I", "-c", _ASK]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True)
            said: JsonObject = json.loads(answer.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise RequirementError(
                f"the notebook's interpreter {executable[0]!r} does not answer: {error}",
                hint="name another one with --kernel, or install the notebook's kernel",
            ) from error
        return cls(
            said["version"],
            said["implementation"],
            tuple(said["paths"]),
            tuple(sorted({said["stdlib"], said["platstdlib"]})),
            frozenset(said["names"]),
            frozenset(said["builtins"]),
            said["machine"],
            executable[0],
        )

    @property
    def minor(self) -> str:
        """``major.minor``."""
        return ".".join(self.version.split(".")[:2])

    def __str__(self) -> str:
        return f"{self.implementation} {self.version}"


@dataclass(frozen=True, slots=True)
class Located:
    """Where a module is."""

    module: str
    path: Path | None
    """Its file, or a package's ``__init__``; None for a namespace package."""
    root: Path
    """The folder of the search path under which it was found."""
    locations: tuple[Path, ...] = ()
    """Folders to look for submodules in; empty for a plain module."""


@dataclass(slots=True)
class Distribution:
    """An installed distribution: name, version, where its metadata lies; the rest is read when asked for."""

    name: str
    version: str
    info: Path
    """The ``.dist-info`` or ``.egg-info`` folder (or file)."""
    _record: str | None = field(default=None, repr=False)
    _metadata: PackageMetadata | None = field(default=None, repr=False)

    @property
    def key(self) -> str:
        """The name in its canonical form (PEP 503)."""
        return canonicalize_name(self.name)

    @property
    def site(self) -> Path:
        """The folder that its files are relative to."""
        return self.info.parent

    def read(self, name: str) -> str:
        """Return a file of the metadata folder as text, empty where there is none."""
        try:
            return (self.info / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    @property
    def record(self) -> str:
        """The text of RECORD with a line end before the first line, so that ``\\npath,`` finds a file."""
        if self._record is None:
            self._record = "\n" + self.read("RECORD")
        return self._record

    @property
    def files(self) -> list[str]:
        """Paths of RECORD, relative to ``site``."""
        return [row[0] for row in csv.reader(io.StringIO(self.record)) if row]

    def owns(self, relative: str) -> bool:
        """Tell whether RECORD lists this path, relative to ``site`` and with ``/``."""
        return f"\n{relative}," in self.record or f'\n"{relative}",' in self.record

    @property
    def path_entries(self) -> list[Path]:
        """Folders that its ``.pth`` files put on the search path."""
        lines = []
        for name in self.files:
            if name.endswith(".pth"):
                try:
                    lines += (self.site / name).read_text(encoding="utf-8").splitlines()
                except OSError:
                    continue
        return [Path(line.strip()) for line in lines if line.strip() and not line.startswith(("import ", "#"))]

    @property
    def requires(self) -> list[str]:
        """Requires-Dist lines, as written."""
        if self._metadata is None:
            from importlib.metadata import Distribution as Found  # reads e-mail and zip files, too

            self._metadata = Found.at(self.info).metadata
        return self._metadata.get_all("Requires-Dist") or []

    @property
    def top_level(self) -> set[str]:
        """Names in top_level.txt, which old installers write."""
        return set(self.read("top_level.txt").split())

    @property
    def built_here(self) -> bool:
        """Tell whether it was compiled on this machine: no index takes a wheel for plain ``linux_…`` (PEP 513)."""
        tags = (line.rpartition("-")[2] for line in self.read("WHEEL").splitlines() if line.startswith("Tag:"))
        return any(tag.startswith("linux_") for tag in tags)

    @property
    def direct_url(self) -> JsonObject:
        """PEP 610's direct_url.json, empty for what came from an index; conda's own entries do not count."""
        if self.read("INSTALLER").strip() == "conda":
            return {}
        try:
            value = json.loads(self.read("direct_url.json") or "{}")
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def from_conda(self) -> bool:
        """Tell whether conda installed it."""
        return self.read("INSTALLER").strip() == "conda"

    @property
    def editable_root(self) -> Path | None:
        """The project folder of an editable install."""
        direct = self.direct_url
        if direct.get("dir_info", {}).get("editable"):
            return Path(unquote(urlsplit(direct.get("url", "")).path))
        return None


class Installed:
    """Everything that one interpreter finds on its search path; read once, kept for the time of one export."""

    def __init__(self, interpreter: Interpreter, *, first: Sequence[Path] = (), last: Sequence[Path] = ()) -> None:
        """``first`` are folders that come before the search path, the notebook's own at their head; ``last`` behind it.

        Modules of them keep their place beside the notebook; those of other folders of the search path have none.
        """
        self.interpreter = interpreter
        self.local = tuple(Path(os.path.abspath(folder)) for folder in first)
        behind = [Path(os.path.abspath(folder)) for folder in last]
        own = {*self.local, *behind}
        self.search = (*self.local, *(Path(p) for p in interpreter.paths if Path(p) not in own), *behind)
        self._kept = {folder: os.path.relpath(folder, self.local[0]) for folder in own} if self.local else {}
        self._by_key: dict[str, Distribution] | None = None
        self._listings: dict[Path, frozenset[str]] = {}
        self._mappings: dict[str, Path] | None = None

    @property
    def distributions(self) -> dict[str, Distribution]:
        """Canonical name to distribution; the first on the search path wins."""
        if self._by_key is None:
            self._by_key = {}
            for found in self._iter_distributions():
                self._by_key.setdefault(found.key, found)
        return self._by_key

    def _iter_distributions(self) -> Iterator[Distribution]:
        for folder in self.search:
            for entry in sorted(self._listing(folder)):
                stem, dot, ending = entry.rpartition(".")
                if not dot or ending not in ("dist-info", "egg-info"):
                    continue
                name, _, version = stem.partition("-")
                if ending == "egg-info" or not version:
                    name, version = _name_from_metadata(folder / entry)
                if name:
                    yield Distribution(name, version.partition("-py")[0], folder / entry)

    def _listing(self, folder: Path) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._listings[folder] = frozenset()
        return self._listings[folder]

    def locate(self, module: str) -> Located | None:
        """Return where a dotted module is, None where nothing has it. Parents are walked, never imported."""
        search: Sequence[Path] = self.search
        found: Located | None = None
        prefix = ""
        for part in module.split("."):
            prefix = f"{prefix}.{part}" if prefix else part
            found = self._locate_in(prefix, part, search, found.root if found else None)
            if found is None:
                mapped = self.editable_mappings.get(prefix)
                found = self._locate_in(prefix, part, [mapped.parent], None) if mapped else None
            if found is None:
                return None
            search = found.locations
        return found

    def _locate_in(self, module: str, part: str, search: Sequence[Path], root: Path | None) -> Located | None:
        portions: list[Path] = []
        first: Path | None = None
        for folder in search:
            names = self._listing(folder)
            if part in names:
                package = folder / part
                inside = self._listing(package)
                for suffix in _SUFFIXES:
                    if f"__init__{suffix}" in inside:
                        return Located(module, package / f"__init__{suffix}", root or folder, (package,))
            for suffix in _SUFFIXES:
                if part + suffix in names:
                    return Located(module, folder / (part + suffix), root or folder)
            if part in names and (folder / part).is_dir():
                portions.append(folder / part)
                first = first or folder
        return Located(module, None, root or first, tuple(portions)) if first else None

    @property
    def editable_mappings(self) -> dict[str, Path]:
        """Top-level module to folder or file, from the finder hooks that setuptools' editable installs write."""
        if self._mappings is None:
            self._mappings = {}
            for folder in self.search:
                for name in self._listing(folder):
                    if name.startswith("__editable___") and name.endswith("_finder.py"):
                        self._mappings.update(_read_mapping(folder / name))
        return self._mappings

    def place_of(self, path: Path, root: Path) -> str:
        """Return where a local file of a folder of the search path goes, relative to the notebook's folder."""
        return os.path.normpath(os.path.join(self._kept.get(root, "."), path.relative_to(root))).replace(os.sep, "/")

    def is_stdlib(self, module: str) -> bool:
        """Tell whether the module is the standard library's and not shadowed by a file of the notebook's folder."""
        top = module.partition(".")[0]
        if top == "__main__" or top in self.interpreter.builtin_names:
            return True
        if top not in self.interpreter.stdlib_names:
            return False
        return not (self.local and self._locate_in(top, top, self.local, None))

    def owners(self, located: Located) -> list[Distribution]:
        """Return the distributions that own a located module, best first: its own folder's, by RECORD, then by name."""
        path = located.path
        if path is None:
            return []
        if not self.is_installed_file(path):
            return [d for d in self.distributions.values() if self._is_editable_source(d, path, located)]
        relative = path.relative_to(located.root).as_posix()
        candidates = [d for d in self.distributions.values() if d.site == located.root]
        owning = [d for d in candidates if d.owns(relative)]
        if owning:
            return sorted(owning, key=lambda d: (len(owning) > 1 and not self._hash_matches(d, relative, path), d.key))
        top = located.module.partition(".")[0]  # installers that write no RECORD: Debian's
        without = [d for d in candidates if len(d.record) < 2]
        return [d for d in without if top in d.top_level or d.key == canonicalize_name(top)]

    def _is_editable_source(self, distribution: Distribution, path: Path, located: Located) -> bool:
        """Tell whether an editable install put this file on the search path; lying in its project is not enough."""
        if distribution.editable_root is None:
            return False
        mapped = self.editable_mappings.get(located.module.partition(".")[0])
        if mapped is not None and path.is_relative_to(distribution.editable_root):
            return path.is_relative_to(mapped)
        return located.root in distribution.path_entries

    @staticmethod
    def _hash_matches(distribution: Distribution, relative: str, path: Path) -> bool:
        import base64
        import hashlib

        for row in csv.reader(io.StringIO(distribution.record)):
            if row and row[0] == relative and row[1].startswith("sha256="):
                digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
                return row[1] == f"sha256={digest}"
        return False

    def is_installed_file(self, path: Path) -> bool:
        """Tell whether a file lies in a site folder or in the standard library, so that it is nobody's local code."""
        parts = path.parts
        return (
            "site-packages" in parts
            or "dist-packages" in parts
            or any(path.is_relative_to(s) for s in self.interpreter.stdlib)
        )


def _name_from_metadata(info: Path) -> tuple[str, str]:
    source = (
        info if info.is_file() else next((info / n for n in ("METADATA", "PKG-INFO") if (info / n).is_file()), None)
    )
    if source is None:
        return "", ""
    name = version = ""
    for line in source.read_text(encoding="utf-8", errors="replace").splitlines():
        if not line:
            break
        key, _, value = line.partition(":")
        if key == "Name":
            name = value.strip()
        elif key == "Version":
            version = value.strip()
    return name, version


def _read_mapping(finder: Path) -> dict[str, Path]:
    try:
        tree = ast.parse(finder.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return {}
    for node in tree.body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and target.id == "MAPPING" and isinstance(node, ast.Assign | ast.AnnAssign):
            try:
                value = ast.literal_eval(node.value) if node.value else {}
            except ValueError:
                return {}
            return {str(module): Path(str(path)) for module, path in value.items()}
    return {}
