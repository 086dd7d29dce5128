"""The values that travel through the house: references, plans, requests, results. All frozen, none does I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from buildr_jupyter.errors import ContextError, ImageRefError

if TYPE_CHECKING:
    from buildr_jupyter.events import StepUpdate, Warned

__all__ = [
    "Archive",
    "BuildRequest",
    "BuildResult",
    "CustomDockerfile",
    "EngineLoad",
    "FileEntry",
    "FileNote",
    "ImagePlan",
    "ImageRef",
    "ImportUse",
    "Layout",
    "Mount",
    "NameNote",
    "Output",
    "PortBinding",
    "Push",
    "Refusal",
    "Requirement",
    "RunResult",
    "RunSpec",
    "canonical_json",
]

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def canonical_json(value: Any) -> bytes:
    """Return ``value`` as UTF-8 JSON with sorted keys and no white space: one value, one text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class ImageRef:
    """The name of an image, parsed once at the edge.

    Source: OCI distribution specification 1.1, "Pulling manifests" (the grammar of name and tag), and Docker's
    reference grammar for the registry in front: the first component is a host if it has a dot or a colon or is
    ``localhost``.
    """

    registry: str | None
    """``host[:port]`` as written, None where the reference names none."""
    path: str
    """Repository within the registry: lower case, components joined by ``/``."""
    tag: str | None = None
    digest: str | None = None
    """``sha256:`` and 64 hex digits of the manifest."""

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """Return the reference that ``text`` is.

        Raises ImageRefError, which names the text and the part of it that is wrong.
        """
        rest, _, digest = text.partition("@")
        if "@" in text and not _DIGEST.fullmatch(digest):
            raise ImageRefError(
                f"image reference {text!r}: {digest!r} is not a digest", hint="a digest is sha256: and 64 hex digits"
            )
        host, slash, path = rest.partition("/")
        if slash and ("." in host or ":" in host or host == "localhost" or host.startswith("[")):
            if not _HOST.fullmatch(host):
                raise ImageRefError(
                    f"image reference {text!r}: {host!r} is not a registry host",
                    hint="write it as host or host:port, without https://",
                )
        else:
            host, path = "", rest
        path, colon, tag = path.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise ImageRefError(f"image reference {text!r}: {_why_not_tag(tag)}", hint=_TAG_HINT)
        if not _PATH.fullmatch(path) or len(host) + len(path) > 255:
            raise ImageRefError(
                f"image reference {text!r}: {_why_not_path(text, path)}", hint=_suggest_path(path, host=host, tag=tag)
            )
        return cls(host or None, path, tag or None, digest or None)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.path}" if self.registry else self.path

    @property
    def local_tag(self) -> str:
        """The tag, ``latest`` where none is written."""
        return self.tag or "latest"

    @property
    def registry_host(self) -> str:
        """The registry that the reference means: ``docker.io`` where it names none."""
        return self.registry or "docker.io"

    @property
    def registry_path(self) -> str:
        """The repository in the registry's own terms: ``library/`` is put before a single name on docker.io."""
        if self.registry_host in ("docker.io", "index.docker.io") and "/" not in self.path:
            return f"library/{self.path}"
        return self.path

    def with_tag(self, tag: str) -> ImageRef:
        """Return the same repository under another tag, without a digest."""
        if not _TAG.fullmatch(tag):
            raise ImageRefError(f"tag {tag!r}: {_why_not_tag(tag)}", hint=_TAG_HINT)
        return replace(self, tag=tag, digest=None)

    def tagged(self) -> ImageRef:
        """Return the reference with its tag written out."""
        return self if self.tag or self.digest else replace(self, tag="latest")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


_TAG_HINT = "a tag has at most 128 of the characters A-Z a-z 0-9 _ . - and begins with a letter, a digit or _"


def _why_not_tag(tag: str) -> str:
    if not tag:
        return "the tag after ':' is empty"
    if len(tag) > 128:
        return f"the tag has {len(tag)} characters"
    return f"{tag!r} is not a tag"


def _why_not_path(text: str, path: str) -> str:
    if not text.strip():
        return "it is empty"
    if any(c.isspace() for c in text):
        return "it has white space in it"
    if path != path.lower():
        return f"the repository {path!r} has capital letters"
    if "://" in text:
        return "it begins like a URL"
    if len(path) > 200:
        return f"it has {len(text)} characters"
    return f"{path!r} is not a repository name"


def _suggest_path(path: str, *, host: str, tag: str) -> str:
    parts = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in path.split("/")]
    slug = "/".join(part for part in parts if part)[:200]
    if not slug or not _PATH.fullmatch(slug):
        return "a repository is lower-case letters and digits, joined by . _ - and /"
    prefix = f"{host}/" if host else ""
    suffix = f":{tag}" if tag and _TAG.fullmatch(tag) else ""
    return f"a repository is lower-case letters and digits, joined by . _ - and /: {prefix}{slug}{suffix} would do"


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file that goes into the image.

    ``open`` returns a fresh binary stream each time; whoever reads it hashes what was read and compares.
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
        from io import BytesIO

        return cls(path, mode, len(content), hashlib.sha256(content).hexdigest(), lambda: BytesIO(content), why)

    @classmethod
    def from_path(cls, path: str, source: Path, *, mode: int | None = None, why: str = "") -> FileEntry:
        """Return an entry for a file on disk, hashed now; raises OSError where it cannot be read."""
        with source.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
            size_bytes = stream.tell()
        if mode is None:
            mode = 0o755 if source.stat().st_mode & 0o100 else 0o644
        return cls(path, mode, size_bytes, sha256, lambda: source.open("rb"), why)


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

    def to_json(self) -> dict[str, Any]:
        """Return the full form, as ``buildr.json`` holds it."""
        return {
            **self._identity(),
            "schema": 1,
            "notebook": self.notebook,
            "cell": self.cell,
            "content_digest": self.content_digest,
            "interpreter": self.interpreter,
            "names": [{"name": n.name, "origin": n.origin, "kind": n.kind, "why": n.why} for n in self.names],
            "requirements": [{"requirement": r.text, "why": r.why} for r in self.requirements],
            "files": [_file_json(f) | {"why": f.why} for f in self.all_files],
        }

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
    def from_json(cls, data: Mapping[str, Any], folder: Path) -> ImagePlan:
        """Return the plan that ``to_json`` wrote, with its files opened under ``folder``."""
        entries = [
            FileEntry(f["path"], f["mode"], f["bytes"], f["sha256"], _opener(folder, f["path"]), f.get("why", ""))
            for f in data["files"]
        ]
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
            ports=tuple(data["ports"]),
            entrypoint=tuple(data["entrypoint"]),
            labels=tuple((k, v) for k, v in data["labels"]),
            dockerfile=custom
            and CustomDockerfile(
                custom["text"],
                tuple((k, v) for k, v in custom["build_args"]),
                tuple(custom["secrets"]),
                custom["target"],
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
        except (ValueError, KeyError, TypeError) as error:
            raise ContextError(
                f"context folder {str(folder)!r}: buildr.json is not ours or is damaged: {error}",
                hint="export the cell again, or take buildr.json away to build the Dockerfile as it is",
            ) from error
        return cls(base="", python="", dockerfile=CustomDockerfile(text))

    def _identity(self) -> dict[str, Any]:
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


def _opener(folder: Path, path: str) -> Callable[[], IO[bytes]]:
    return lambda: (folder / path).open("rb")


def _file_json(entry: FileEntry) -> dict[str, Any]:
    return {"path": entry.path, "mode": entry.mode, "bytes": entry.size_bytes, "sha256": entry.sha256}


@dataclass(frozen=True, slots=True)
class Push:
    """Push under this reference."""

    ref: ImageRef


@dataclass(frozen=True, slots=True)
class Archive:
    """Write one tar that ``docker load``, ``podman load`` and skopeo take."""

    path: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """Write an OCI image layout."""

    path: Path


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Leave the image in the engine's own store."""


Output = Push | Archive | Layout | EngineLoad


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What a builder is asked for."""

    context: Path
    """Folder with the Dockerfile and what it copies."""
    refs: tuple[ImageRef, ...]
    """Names that the image gets, the main one first; tags are written out."""
    plan: ImagePlan | None = None
    """None for a folder that is not ours: a custom Dockerfile."""
    outputs: tuple[Output, ...] = (EngineLoad(),)
    dockerfile: str = "Dockerfile"
    """Relative to the context."""
    no_cache: bool = False
    pull: bool = False
    """Ask the registry for a newer base even if the engine has one."""
    platforms: tuple[str, ...] = ()
    build_args: Mapping[str, str] = field(default_factory=dict)
    """Visible in the history, except those that builders know as proxy settings."""
    network: str | None = None
    target: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that a builder cannot do, and who can."""

    what: str
    """``several platforms``, ``build secrets`` …"""
    why: str
    builders: tuple[str, ...] = ()
    """Names of builders that can."""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class PortBinding:
    """A port of the container opened on this machine."""

    container: int
    host: int | None = None
    """None: a free one is chosen."""
    address: str = "127.0.0.1"
    protocol: str = "tcp"


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of this machine seen in the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class RunSpec:
    """How a container is run; nothing of it is in the image or in any record."""

    image: str
    name: str
    args: tuple[str, ...] = ()
    """Given to the entrypoint: parameters of the program."""
    environment: tuple[tuple[str, str], ...] = ()
    ports: tuple[PortBinding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    memory_bytes: int | None = None
    cpus: float | None = None
    gpus: str | None = None
    """``all`` or a count, as ``docker run --gpus``."""
    output_dir: Path | None = None
    """Where the files of the container's output folder are copied to afterwards."""
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunResult:
    """How the container ended."""

    exit_code: int
    stdout_tail: str = ""
    """The last 64 KiB of standard output."""
    duration_s: float = 0.0
    ports: tuple[PortBinding, ...] = ()
    """With the host ports that were chosen."""
    outputs: tuple[Path, ...] = ()
    """Files copied back, sorted."""


@dataclass(frozen=True, slots=True, repr=False)
class BuildResult:
    """What came of a build; the value of a ``%%containerize`` cell."""

    image: str
    """The reference that was asked for, with its tag."""
    image_id: str | None = None
    """``sha256:`` and 64 hex digits of the image's config."""
    digest: str | None = None
    """``sha256:`` and 64 hex digits of the manifest (or index); None until pushed or archived."""
    size_bytes: int | None = None
    """Compressed layers and config; None until they are compressed somewhere."""
    unpacked_bytes: int | None = None
    duration_s: float = 0.0
    cached: bool = False
    """True where the same content was there already and nothing was built."""
    builder: str = ""
    content_digest: str | None = None
    context: Path | None = None
    tags: tuple[str, ...] = ()
    """All references that the image has here."""
    pushed: tuple[str, ...] = ()
    archive: Path | None = None
    steps: tuple[StepUpdate, ...] = ()
    images: tuple[BuildResult, ...] = ()
    """One for each platform, where several were built."""
    run: RunResult | None = None
    requirements: tuple[Requirement, ...] = ()
    names: tuple[NameNote, ...] = ()
    files: tuple[FileNote, ...] = ()
    warnings: tuple[Warned, ...] = ()

    def __repr__(self) -> str:
        shown = [f"image={self.image!r}"]
        for name in ("image_id", "digest", "cached", "pushed", "archive"):
            if value := getattr(self, name):
                shown.append(f"{name}={value!r}")
        return f"BuildResult({', '.join(shown)}, duration_s={self.duration_s:.2f})"
