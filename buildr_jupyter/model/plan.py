"""The single description of an image, and the values that it is made of. All frozen; files are opened when read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO

from buildr_jupyter.errors import ContextError
from buildr_jupyter.model.interface import INTERFACE_LABEL, Interface
from buildr_jupyter.model.json_object import JsonObject

__all__ = [
    "CONTENT_LABEL",
    "HOME",
    "OWN_FOLDER",
    "VENV",
    "CustomDockerfile",
    "FileEntry",
    "FileNote",
    "ImagePlan",
    "ImportUse",
    "NameNote",
    "Requirement",
    "canonical_json",
    "image_labels",
    "one_line",
]

VENV = "/opt/venv"
"""Where the packages are in the image, on top of the base's own Python."""
CONTENT_LABEL = "io.buildr.content-digest"
"""Images that carry it with the same value were made from the same content."""
OWN_FOLDER = "app/_buildr"
"""Folder of what a program needs of us: its files are no part of the notebook."""
HOME = "/home/app"
"""HOME in the image, for any user id; group 0 may write there."""


def canonical_json(value: object) -> bytes:
    """Return ``value`` as UTF-8 JSON with sorted keys and no white space: one value, one text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file that goes into the image.

    ``open`` returns a fresh binary stream each time; its reader hashes what was read and compares.
    """

    path: str
    """Relative to the context folder, ``/`` between parts, no ``..``: ``app/data/in.csv``."""
    mode: int
    """Permission bits in the image: 0o644 or 0o755."""
    size_bytes: int
    sha256: str
    """64 hex digits of the content."""
    open: Callable[[], IO[bytes]] = field(compare=False, repr=False)
    why: str = field(default="", compare=False)
    """What asked for the file: ``main.py``, ``imported by cell 3, line 1``."""

    @classmethod
    def from_bytes(cls, path: str, content: bytes, *, mode: int = 0o644, why: str = "") -> FileEntry:
        """Return an entry for bytes that are at hand."""
        return cls(path, mode, len(content), hashlib.sha256(content).hexdigest(), lambda: BytesIO(content), why)


@dataclass(frozen=True, slots=True)
class ImportUse:
    """A module that the program imports, and where it says so."""

    module: str
    """Dotted and absolute: ``google.cloud.storage``; for ``from a import b`` it is ``a``."""
    names: tuple[str, ...] = ()
    """What ``from module import ...`` asks for, each of them maybe a submodule; ``*`` for a star."""
    origin: str = ""
    """``nb.ipynb, cell 3, line 1``."""
    optional: bool = False
    """Guarded (``try … except ImportError``, ``if TYPE_CHECKING``) or loaded by name at run time: may be missing."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One pinned line of requirements.txt and what asked for it."""

    text: str
    """A PEP 508 requirement: ``pandas==2.2.3``, or ``./wheels/x-1.0-py3-none-any.whl``."""
    why: str = ""


@dataclass(frozen=True, slots=True)
class NameNote:
    """How one name of the cell is supplied in the program."""

    name: str
    origin: str
    """``nb.ipynb, cell 3, line 1`` in the terms of the contracts, never an execution count."""
    kind: str
    """code, literal, parameter, snapshot, recompute or import."""
    why: str


@dataclass(frozen=True, slots=True)
class FileNote:
    """A file of the context and why it is there."""

    path: str
    bytes: int
    why: str


@dataclass(frozen=True, slots=True)
class CustomDockerfile:
    """A Dockerfile of the user's own, taken as it is."""

    text: str
    build_args: tuple[tuple[str, str], ...] = ()
    secrets: tuple[str, ...] = ()
    """Ids only; the values are in no plan."""
    target: str | None = None
    kept: bool = False
    """Whether it was found in the context folder, where its user keeps it; else an option named it, for this once."""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The single description of an image. ``buildr.json`` is its full canonical form."""

    base: str
    """Reference of the base image as asked for."""
    python: str
    """``major.minor`` of the interpreter: ``3.11``."""
    base_digest: str | None = None
    """What the base resolved to: a manifest's digest, or the image id of a base that only the engine has."""
    platforms: tuple[str, ...] = ()
    """``linux/amd64`` …; empty: the engine's own."""
    system_packages: tuple[str, ...] = ()
    """Debian package names, sorted."""
    requirements: tuple[Requirement, ...] = ()
    """Sorted by their text."""
    wheels: tuple[FileEntry, ...] = ()
    """Under ``wheels/``: installed from, never a part of the image."""
    files: tuple[FileEntry, ...] = ()
    """Under ``app/``, sorted by path; ``app/main.py`` among them."""
    state: tuple[FileEntry, ...] = ()
    """Snapshots, under ``app/state/``."""
    environment: tuple[tuple[str, str], ...] = ()
    user: str = "1000:0"
    workdir: str = "/app"
    folder: str = ""
    """The notebook's folder below ``app/``, where ``app/`` holds the tree of its project: ``notebooks/daily``."""
    ports: tuple[str, ...] = ()
    """``8080/tcp`` …"""
    entrypoint: tuple[str, ...] = ("python", "main.py")
    labels: tuple[tuple[str, str], ...] = ()
    """Without the content digest, which is computed from the plan."""
    dockerfile: CustomDockerfile | None = None
    notebook: str | None = None
    """File name only, None where the notebook is not known."""
    cell: str | None = None
    """The nbformat id of the cell, or its 0-based index as text."""
    interpreter: str = ""
    """What the requirements were read from: ``CPython 3.11.7``; never a path."""
    names: tuple[NameNote, ...] = field(default=(), compare=False)

    def to_json(self) -> dict[str, object]:
        """Return the full form, as ``buildr.json`` holds it."""
        return {
            **self._identity(),
            "schema": 1,
            "notebook": self.notebook,
            "cell": self.cell,
            "content_digest": self.content_digest,
            "interface": self.interface.to_json(),
            "interpreter": self.interpreter,
            "names": [{"name": n.name, "origin": n.origin, "kind": n.kind, "why": n.why} for n in self.names],
            "requirements": [{"requirement": r.text, "why": r.why} for r in self.requirements],
            "files": [_file_json(f) | {"why": f.why} for f in self.all_files],
            "dockerfile_kept": self.dockerfile is not None and self.dockerfile.kept,
        }

    @property
    def interface(self) -> Interface:
        """What the program takes and gives back, as its label says; ValueError for a label that is none."""
        label = dict(self.labels).get(INTERFACE_LABEL)
        return Interface.from_label(label) if label else Interface()

    @property
    def program_folder(self) -> str:
        """Where the program works in the image: the notebook's folder."""
        return f"{self.workdir}/{self.folder}" if self.folder else self.workdir

    @property
    def output_folder(self) -> str:
        """``$BUILDR_OUTPUT_DIR`` of the image."""
        return f"{self.program_folder}/output"

    @property
    def all_files(self) -> tuple[FileEntry, ...]:
        """Program, modules, data, snapshots and wheels, sorted by path."""
        return tuple(sorted((*self.files, *self.state, *self.wheels), key=lambda entry: entry.path))

    @property
    def content_digest(self) -> str:
        """``sha256:`` and 64 hex digits of what the image is made from: no names, tags, times, and not itself."""
        return "sha256:" + hashlib.sha256(canonical_json(self._identity())).hexdigest()

    @property
    def lock_digest(self) -> str:
        """``sha256:`` and 64 hex digits of the pinned requirements alone."""
        lines = "".join(f"{requirement.text}\n" for requirement in self.requirements)
        return "sha256:" + hashlib.sha256(lines.encode()).hexdigest()

    @property
    def content_tag(self) -> str:
        """The tag under which the same content is found again: ``c-`` and 12 hex digits."""
        return "c-" + self.content_digest.removeprefix("sha256:")[:12]

    @classmethod
    def from_json(cls, data: JsonObject, folder: Path) -> ImagePlan:
        """Return the plan that ``to_json`` wrote, with its files opened under ``folder``.

        The folder may come from anybody: ValueError for a value that ``to_json`` never writes.
        """
        _check_document(data)
        entries = [
            FileEntry(f["path"], f["mode"], f["bytes"], f["sha256"], _opener(folder, f["path"]), f.get("why", ""))
            for f in data["files"]
        ]
        for entry in entries:
            if not entry.path.startswith(("app/", "wheels/")) or ".." in entry.path.split("/"):
                raise ValueError(f"{entry.path!r} is no file of a context")
        custom = data.get("dockerfile")
        return cls(
            base=data["base"],
            python=data["python"],
            base_digest=data["base_digest"],
            platforms=tuple(data["platforms"]),
            system_packages=tuple(data["system_packages"]),
            requirements=tuple(Requirement(r["requirement"], r["why"]) for r in data["requirements"]),
            wheels=tuple(e for e in entries if e.path.startswith("wheels/")),
            files=tuple(e for e in entries if e.path.startswith("app/") and not e.path.startswith("app/state/")),
            state=tuple(e for e in entries if e.path.startswith("app/state/")),
            environment=tuple((k, v) for k, v in data["environment"]),
            user=data["user"],
            workdir=data["workdir"],
            folder=data.get("folder", ""),
            ports=tuple(data["ports"]),
            entrypoint=tuple(data["entrypoint"]),
            labels=tuple((k, v) for k, v in data["labels"]),
            dockerfile=custom
            and CustomDockerfile(
                custom["text"],
                tuple((k, v) for k, v in custom["build_args"]),
                tuple(custom["secrets"]),
                custom["target"],
                data.get("dockerfile_kept", False) is True,
            ),
            notebook=data["notebook"],
            cell=data["cell"],
            interpreter=data["interpreter"],
            names=tuple(NameNote(n["name"], n["origin"], n["kind"], n["why"]) for n in data["names"]),
        )

    @classmethod
    def from_folder(cls, folder: Path) -> ImagePlan:
        """Return the plan of a context folder: that of its ``buildr.json``, else a custom Dockerfile's.

        Raises ContextError where the folder has neither, or a ``buildr.json`` that is none.
        """
        record = folder / "buildr.json"
        try:
            if record.is_file():
                return cls.from_json(json.loads(record.read_bytes()), folder)
            text = (folder / "Dockerfile").read_text(encoding="utf-8")
        except OSError as error:
            raise ContextError(f"context folder {str(folder)!r}: {error.strerror}: Dockerfile") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ContextError(
                f"context folder {str(folder)!r}: buildr.json is not ours or is damaged: {error}",
                hint="export the cell again, or take buildr.json away to build the Dockerfile as it is",
            ) from error
        return cls(base="", python="", dockerfile=CustomDockerfile(text))

    def _identity(self) -> dict[str, object]:
        custom = self.dockerfile
        return {
            "base": self.base,
            "base_digest": self.base_digest,
            "python": self.python,
            "platforms": list(self.platforms),
            "system_packages": list(self.system_packages),
            "requirements": [requirement.text for requirement in self.requirements],
            "files": [_file_json(entry) for entry in self.all_files],
            "environment": [list(pair) for pair in self.environment],
            "user": self.user,
            "workdir": self.workdir,
            "folder": self.folder,
            "ports": list(self.ports),
            "entrypoint": list(self.entrypoint),
            "labels": [list(pair) for pair in self.labels],
            "dockerfile": custom
            and {
                "text": custom.text,
                "build_args": [list(pair) for pair in custom.build_args],
                "secrets": list(custom.secrets),
                "target": custom.target,
            },
        }


def image_labels(plan: ImagePlan) -> list[tuple[str, str]]:
    """Return the labels of the image: the plan's own, then ours, sorted by name."""
    labels = {
        **dict(plan.labels),
        CONTENT_LABEL: plan.content_digest,
        "io.buildr.lock-digest": plan.lock_digest,
        "org.opencontainers.image.base.name": plan.base,
    }
    if plan.base_digest:
        labels["org.opencontainers.image.base.digest"] = plan.base_digest
    if plan.notebook:
        labels["io.buildr.notebook"] = plan.notebook
    if plan.cell is not None:
        labels["io.buildr.cell"] = plan.cell
    return sorted(labels.items())


def one_line(value: str) -> str:
    """Return a label's value as every builder writes it: line ends become spaces."""
    return " ".join(value.replace("\0", " ").splitlines())


_PRINTED = re.compile(r"[^\x00-\x1f\x7f]*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLACE = re.compile(r"(?:[^\x00-\x1f\x7f/]+(?:/[^\x00-\x1f\x7f/]+)*)?")
_TEXTS: Mapping[str, re.Pattern[str]] = {
    "base": re.compile(r"(?!-)[^\x00-\x1f\x7f]*"),
    "python": re.compile(r"(?:3\.[0-9]{1,3})?"),
    "base_digest": _DIGEST,
    "user": re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?"),
    "workdir": re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+"),
    "folder": _PLACE,
    "notebook": _PRINTED,
    "cell": _PRINTED,
    "interpreter": _PRINTED,
}
_MAY_BE_NONE = ("base_digest", "notebook", "cell")
_LISTS: Mapping[str, re.Pattern[str]] = {
    "platforms": re.compile(r"[a-z]+/[a-z0-9_]+(?:/v[0-9]+)?"),
    "system_packages": re.compile(r"[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9.+:~-]+)?"),
    "ports": re.compile(r"[0-9]{1,5}/(?:tcp|udp)"),
    "entrypoint": re.compile(r"[^\x00]*", re.DOTALL),
}
_PAIRS: Mapping[str, re.Pattern[str]] = {
    "environment": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"),
    "labels": re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*"),
}


def _check_document(data: JsonObject) -> None:
    """Raise ValueError, which names the field, where a value of ``buildr.json`` is none that a plan may have."""
    for name, form in _TEXTS.items():
        value = data.get(name, "" if name == "folder" else None)
        if not (value is None and name in _MAY_BE_NONE) and not _fits(form, value):
            raise ValueError(f"{name} is {value!r}")
    for name, form in _LISTS.items():
        if not isinstance(data[name], list) or not all(_fits(form, one) for one in data[name]):
            raise ValueError(f"{name} is {data[name]!r}")
    for name, form in _PAIRS.items():
        for pair in data[name]:
            key, value = pair
            if not _fits(form, key) or not isinstance(value, str) or "\0" in value:
                raise ValueError(f"{name} has {pair!r}")
            if key == INTERFACE_LABEL and name == "labels":
                Interface.from_label(value)
    if ".." in str(data.get("folder", "")).split("/"):
        raise ValueError(f"folder is {data['folder']!r}")
    for file in data["files"]:
        numbers = (file["mode"], file["bytes"])
        if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in numbers):
            raise ValueError(f"file {file['path']!r} has mode and size {numbers}")
        if not _fits(_SHA256, file["sha256"]):
            raise ValueError(f"file {file['path']!r} has the hash {file['sha256']!r}")
        if file["mode"] & ~0o777 or not _fits(_PLACE, file["path"]) or not isinstance(file.get("why", ""), str):
            raise ValueError(f"file {file['path']!r} is none that a context has")
    texts = [text for note in data["names"] for text in note.values()]
    texts += [text for requirement in data["requirements"] for text in requirement.values()]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("names or requirements hold what is no text")
    custom = data.get("dockerfile")
    if custom is not None:
        words = [custom["text"], *custom["secrets"], *(text for pair in custom["build_args"] for text in pair)]
        target = custom["target"]
        if not isinstance(custom["secrets"], list) or not all(isinstance(text, str) for text in words):
            raise ValueError("dockerfile holds what is no text")
        if target is not None and not isinstance(target, str):
            raise ValueError(f"dockerfile has the target {target!r}")


def _fits(form: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _opener(folder: Path, path: str) -> Callable[[], IO[bytes]]:
    """Return what opens a file of the folder; ContextError for one that lies or leads outside of it."""

    def opened() -> IO[bytes]:
        found = folder / path
        if not found.resolve().is_relative_to(folder.resolve()):
            raise ContextError(f"context folder {str(folder)!r}: {path!r} lies outside of it")
        return found.open("rb")

    return opened


def _file_json(entry: FileEntry) -> dict[str, object]:
    return {"path": entry.path, "mode": entry.mode, "bytes": entry.size_bytes, "sha256": entry.sha256}
