"""Requests: what a builder and a runner are asked for, and what they cannot do. All frozen, none does I/O."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import (
    ImagePlan,
)

__all__ = [
    "Archive",
    "BuildRequest",
    "ClaimMount",
    "ClusterPlacement",
    "Collection",
    "EngineLoad",
    "ImageProgram",
    "Layout",
    "Mount",
    "Output",
    "PortBinding",
    "Push",
    "RunSpec",
    "Secret",
    "Standing",
    "Unsupported",
]


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
class Secret:
    """Something that a step may read while it runs, under /run/secrets; it is in no plan, image, record or log."""

    id: str
    """As in ``RUN --mount=type=secret,id=…``."""
    source: Path | None = None
    """The file that holds it, else None."""
    variable: str | None = None
    """The environment variable that holds it, else None."""


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
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[tuple[str, str | None], ...] = ()
    """Names in ``RUN --mount=type=ssh,id=…`` and the agents' sockets; None: that of SSH_AUTH_SOCK."""
    cache_from: tuple[str, ...] = ()
    """Where steps made elsewhere are looked for: ``IMAGE`` or BuildKit's ``type=registry,ref=IMAGE``."""
    cache_to: tuple[str, ...] = ()
    registry_aliases: tuple[tuple[str, str], ...] = ()
    """Registries as they are called here and in a cluster, for builders there."""

    @property
    def target_platforms(self) -> tuple[str, ...]:
        """What the image is for: the platforms asked for, else the plan's; empty where the builder's own will do."""
        return self.platforms or (self.plan.platforms if self.plan else ())

    @property
    def wants_interpreter_base(self) -> bool:
        """Whether the base is made from this very interpreter."""
        return self.plan is not None and self.plan.base == INTERPRETER_BASE


@dataclass(frozen=True, slots=True)
class Unsupported:
    """One thing that a builder cannot do, and who can."""

    what: str
    """``several platforms``, ``build secrets`` …"""
    why: str
    builders: tuple[str, ...] = ()
    """Names of builders that can."""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


INTERPRETER_BASE = "kernel"
"""The base that is made from this very interpreter."""
INTERPRETER_BASE_REFUSAL = Unsupported(
    f"--base {INTERPRETER_BASE}", "this builder takes bases from registries and stores only", ("oci",)
)


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
class ClaimMount:
    """A volume of a cluster seen in the container."""

    claim: str
    """The PersistentVolumeClaim of the run's namespace."""
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ImageProgram:
    """What is known of the program in an image that buildr made, for those who start it without its entrypoint."""

    command: tuple[str, ...]
    """The image's entrypoint."""
    folder: str
    """Where it works in the image: ``/app``."""
    output: str
    """``$BUILDR_OUTPUT_DIR`` of the image, below ``folder``."""
    environment: tuple[tuple[str, str], ...] = ()
    """What the image's entrypoint sets: values with line ends."""
    gives_values: bool = True
    """Whether it writes values for who started it."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Which of the files that a run made or changed are copied back."""

    patterns: tuple[str, ...] = ()
    """Only what matches one of them: ``*.csv`` any name, ``plots/**`` a path from the program's folder, ``/tmp/*`` one
    from the root of the container. Empty: all of the program's own folder and of its output folder."""
    nothing: bool = False
    """No file of the program comes back; what our own code writes does all the same."""
    limit_bytes: int = 1 << 30
    """A larger file stays there, but where a pattern names it."""
    registry: bool = False
    """They come from a cluster by the registry that the image is in, whatever they weigh."""

    @property
    def anywhere(self) -> bool:
        """Whether files beside the program's own folder and its output folder are wanted, too."""
        return any(pattern.startswith("/") for pattern in self.patterns)

    def includes(self, other: Collection) -> bool:
        """Tell whether all that ``other`` takes is taken, whatever files there are; one over the limit aside."""
        if other.nothing or self.nothing:
            return other.nothing
        if not self.patterns:
            return not other.anywhere
        return bool(other.patterns) and set(other.patterns) <= set(self.patterns)

    def to_json(self) -> dict[str, object]:
        """Return what ``from_json`` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Collection:
        """Return what ``to_json`` gave; raises KeyError, TypeError and ValueError for what is none."""
        patterns = tuple(map(str, said["patterns"]))
        return cls(patterns, bool(said["nothing"]), int(said["limit_bytes"]), bool(said.get("registry")))

    def takes(self, path: str, folder: str) -> bool:
        """Tell whether a file is wanted; ``path`` and the program's ``folder`` are absolute paths in the container."""
        if self.nothing:
            return False
        wanted = self.expressions(folder)
        return not wanted or any(re.fullmatch(one, path, re.DOTALL) for one in wanted)

    def expressions(self, folder: str) -> tuple[str, ...]:
        """Return a regular expression of absolute paths for each pattern, as Python 3.8 reads it, too."""
        return tuple(_expression(folder, pattern) for pattern in self.patterns)


_WILD = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


@functools.lru_cache(maxsize=256)
def _expression(folder: str, pattern: str) -> str:
    """Return what a pattern matches: one that ends in a slash names all below a folder, one without a slash names."""
    pattern = pattern.removeprefix("./") + ("**" if pattern.endswith("/") else "")
    if "/" in pattern:
        absolute = pattern if pattern.startswith("/") else posixpath.normpath(posixpath.join(folder, pattern))
        words = re.findall(r"\*\*/|\*\*|.", absolute, re.DOTALL)
        return "".join(_WILD.get(one) or re.escape(one) for one in words)
    words = re.findall(r"\[!?\]?[^\]]*\]|.", pattern.replace("**", "*"), re.DOTALL)
    return "(?:.*/)?" + "".join(_WILD.get(one) or _name_part(one) for one in words)


def _name_part(word: str) -> str:
    """Return the expression of ``[abc]`` or ``[!abc]``, any other character as itself."""
    if len(word) == 1:
        return re.escape(word)
    inner = word[1:-1].replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    inner = f"^{inner[1:]}" if inner.startswith("!") else f"\\{inner}" if inner.startswith("^") else inner
    try:
        re.compile(f"[{inner}]")
    except re.error:  # [z-a]
        return re.escape(word)
    return f"[{inner}]"


@dataclass(frozen=True, slots=True)
class ClusterPlacement:
    """Where in a cluster a run goes, and as whom."""

    node_selector: tuple[tuple[str, str], ...] = ()
    tolerations: tuple[tuple[str, str, str], ...] = ()
    """Key, value and effect of a taint; an empty value or effect stands for any."""
    service_account: str | None = None
    queue: str | None = None
    """Kueue's LocalQueue."""
    pod_template: Path | None = None
    """A file with a Pod, whose fields are taken where ours say nothing."""
    pull_secret: str | None = None
    """Secret of the namespace that the image is pulled with; ``login``: one is made of this user's login."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What stays in a cluster: a service with so many replicas or shards, or a schedule."""

    replicas: int = 0
    shards: int = 0
    """Replicas that are told apart: each knows ``SHARD_INDEX`` and ``SHARD_COUNT``, and keeps its address."""
    public: bool = False
    """The service gets an address outside of the cluster."""
    schedule: str | None = None
    """Five fields as cron has them: when the program runs."""
    timezone: str | None = None
    """``Europe/Berlin``; the controllers' own where there is none."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """How a container is run; nothing of it is in the image or in any record."""

    image: str
    name: str
    args: tuple[str, ...] = ()
    """Given to the entrypoint: parameters of the program."""
    environment: tuple[tuple[str, str], ...] = ()
    """What the user gives the program; it may be secret."""
    settings: tuple[tuple[str, str], ...] = ()
    """Variables beside them that our own code in the image reads."""
    ports: tuple[PortBinding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    claims: tuple[ClaimMount, ...] = ()
    memory_bytes: int | None = None
    cpus: float | None = None
    gpus: str | None = None
    """``all`` or a count, as ``docker run --gpus``."""
    output_dir: Path | None = None
    """Where the files that the run made or changed are copied to afterwards."""
    collect: Collection = field(default_factory=Collection)
    outputs_to: str | None = None
    """``HOST/REPOSITORY``, as it is called here, of a collection by a registry; None: where the image is."""
    labels: tuple[tuple[str, str], ...] = ()
    program: ImageProgram | None = None
    """None for an image that is not known to be ours."""
    placement: ClusterPlacement = ClusterPlacement()
    standing: Standing | None = None
    """None for a run that ends."""
    isolated: bool = False
    """Without a network: an engine's run that proves an image."""
