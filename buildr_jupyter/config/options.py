"""The options, once: names, kinds, help. The magic, the command line, the settings and the decorator all read this.

``Options`` is what they come to: typed, validated, frozen. ``PackageOptions`` and ``RuntimeOptions`` are the seed's,
under the seed's names.
"""

from __future__ import annotations

import argparse
import functools
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from buildr_jupyter.config.cluster_text import (
    parse_label,
    parse_object_name,
    parse_queue,
    parse_timezone,
    parse_toleration,
)
from buildr_jupyter.config.parse import (
    parse_agent,
    parse_alias,
    parse_apt,
    parse_assignment,
    parse_base,
    parse_boolean,
    parse_choice,
    parse_count,
    parse_gpus,
    parse_image_id,
    parse_map,
    parse_mounts,
    parse_name,
    parse_number,
    parse_output,
    parse_param,
    parse_platforms,
    parse_port,
    parse_python,
    parse_run_variable,
    parse_schedule,
    parse_secret,
    parse_set,
    parse_size,
    parse_strings,
)
from buildr_jupyter.config.suggestions import nearest_hint
from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.interface import Said
from buildr_jupyter.model.request import ClaimMount, ClusterPlacement, Collection, Mount, PortBinding, Secret, Standing

__all__ = [
    "OPTIONS",
    "Option",
    "OptionParser",
    "Options",
    "PackageOptions",
    "RuntimeOptions",
    "add_options",
    "make_line_parser",
    "make_options",
    "split_line",
]


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a build."""

    name: str
    """As in ``--no-cache``; the field of ``Options`` has ``_`` for ``-``."""
    help: str
    kind: str = "text"
    """text, flag, or list (may be repeated). A flag with choices alone means the first; others come after ``=``."""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    setting: bool = False
    """May be set by %config, the environment and the site's settings file as well."""
    project: bool = False
    """A project's pyproject.toml may set it: what describes the image and reaches nothing."""

    @property
    def field(self) -> str:
        """The name in Python, in settings files, and in ``BUILDR_*`` in capitals."""
        return self.name.replace("-", "_")


OPTIONS: tuple[Option, ...] = (
    Option("name", "the image's name; may hold registry, repository and tag", metavar="NAME", project=True),
    Option(
        "repository",
        "registry and repository in front of the name: ghcr.io/me",
        metavar="REPO",
        setting=True,
    ),
    Option("tag", "tag of the image, 'latest' if none; may be repeated", "list", metavar="TAG"),
    Option("publish", "push the image", "flag", setting=True),
    Option("run", "run the image here and show what it prints", "flag"),
    Option("here", "run the cell in the kernel too", "flag"),
    Option("builder", "what builds the image", metavar="SPEC", setting=True),
    Option(
        "base",
        "base image; python:X.Y-slim of the kernel's version if none",
        metavar="IMAGE",
        setting=True,
        project=True,
    ),
    Option(
        "allow-base",
        "a repository that a notebook file's own --base may name; may be repeated",
        "list",
        metavar="REPO",
        setting=True,
    ),
    Option("python", "Python version in the image; the kernel's if none", metavar="X.Y", setting=True, project=True),
    Option("requirement", "a further requirement, or another version of one; may be repeated", "list", metavar="REQ"),
    Option("apt", "a Debian package to install; may be repeated", "list", metavar="PACKAGE", project=True),
    Option("include", "a further file or folder, by path or pattern; may be repeated", "list", metavar="PATH"),
    Option(
        "root",
        "the project's folder, of which files keep their place; the nearest with .git or pyproject.toml if none",
        metavar="DIR",
        setting=True,
        project=True,
    ),
    Option("exclude", "a pattern of files to leave out; may be repeated", "list", metavar="PATTERN"),
    Option(
        "param",
        "make the name an input of the program; auto takes every plain value; may be repeated",
        "list",
        metavar="NAME[=DEFAULT]",
    ),
    Option(
        "return",
        "give the name's value back after --run; _ is the value of the last expression; may be repeated",
        "list",
        metavar="NAME",
    ),
    Option(
        "trust-image",
        "read pickled values of this image, by its id, though no cell of this kernel made it; may be repeated",
        "list",
        metavar="ID",
    ),
    Option(
        "map",
        "run the image once for each of these values: a,b,c, a range 2..6, or a JSON list; may be repeated",
        "list",
        metavar="NAME=VALUES",
    ),
    Option("map-from", "run it once for each row: a list of dicts or a DataFrame of the kernel", metavar="EXPRESSION"),
    Option("map-file", "run it once for each row of FILE.csv or FILE.jsonl", metavar="FILE"),
    Option("map-zip", "pair the values of several --map instead of taking each with each", "flag"),
    Option("map-limit", "how many runs a grid may have: 10000 if none", metavar="N", setting=True),
    Option(
        "iterations", "run each point of the grid, or the program, so many times; never taken from before", metavar="N"
    ),
    Option("jobs", "how many runs at a time: 2 if none", metavar="N", setting=True),
    Option("retries", "how often a run that failed is tried again", metavar="N"),
    Option("fail-fast", "stop the other runs when one has failed", "flag"),
    Option("again", "do runs that are done once more", "flag"),
    Option("snapshot", "carry the name's value of now; may be repeated", "list", metavar="NAME"),
    Option("snapshot-limit", "how large a snapshot may be: 1g if none", metavar="SIZE", setting=True),
    Option("recompute", "carry the code that makes the name; may be repeated", "list", metavar="NAME"),
    Option("env", "set in the image; may be repeated", "list", metavar="K=V"),
    Option("run-env", "set for this run only, never in the image; may be repeated", "list", metavar="K[=V]"),
    Option(
        "port",
        "open a port of the container on 127.0.0.1 while it runs; may be repeated",
        "list",
        metavar="[HOST:]PORT",
    ),
    Option(
        "mount",
        "show a folder to the running container, or in a cluster a volume, pvc:NAME:DST; may be repeated",
        "list",
        metavar="SRC:DST[:ro]",
    ),
    Option(
        "set",
        "another value of an input for this run alone, by the same image; may be repeated",
        "list",
        metavar="NAME=VALUE",
    ),
    Option(
        "collect",
        "bring back only files that match: *.csv, plots/, /tmp/*; all that the program makes if none; registry: from a "
        "cluster through the image's registry; may be repeated",
        "list",
        metavar="PATTERN",
    ),
    Option("no-collect", "bring no files back from the run", "flag"),
    Option("memory", "memory limit of the run: 512m, 2g", metavar="SIZE"),
    Option("cpus", "processors for the run: 1.5", metavar="N"),
    Option("gpus", "GPUs for the run: all, or how many", metavar="N"),
    Option(
        "on",
        "where it runs: docker, or kubernetes with the cluster's context and a namespace; implies --run",
        metavar="RUNNER[=CONTEXT[/NAMESPACE]]",
    ),
    Option("replicas", "keep the program running in the cluster as a service of so many pods", metavar="N"),
    Option(
        "shards",
        "keep so many pods in the cluster that know SHARD_INDEX and SHARD_COUNT, each under an address of its own",
        metavar="N",
    ),
    Option("public", "give the service an address outside of the cluster", "flag"),
    Option("schedule", 'run the program in the cluster by a cron expression: "0 6 * * *"', metavar="CRON"),
    Option("timezone", "the schedule's time zone: Europe/Berlin", metavar="ZONE"),
    Option("node-selector", "a label of the nodes that a cluster may take; may be repeated", "list", metavar="K=V"),
    Option(
        "toleration",
        "a taint of nodes that the run puts up with; may be repeated",
        "list",
        metavar="KEY[=VALUE][:EFFECT]",
    ),
    Option("service-account", "the run's service account in the cluster", metavar="NAME", setting=True),
    Option("queue", "Kueue's local queue that the run waits in", metavar="NAME", setting=True),
    Option("pod-template", "a Pod whose fields count where the run says nothing itself", metavar="FILE"),
    Option(
        "pull-secret",
        "a pull Secret of the namespace; login makes one of your own login for this run",
        metavar="NAME",
        setting=True,
    ),
    Option(
        "registry-alias",
        "the name by which the cluster reaches a registry; may be repeated",
        "list",
        metavar="OUTSIDE=INSIDE",
        setting=True,
    ),
    Option(
        "dockerfile",
        "build this Dockerfile instead of the rendered one; - takes the cell as the Dockerfile",
        metavar="FILE",
    ),
    Option(
        "secret",
        "what steps of a --dockerfile may read while they run: id=ID, and src=FILE or env=NAME; may be repeated",
        "list",
        metavar="SPEC",
    ),
    Option("ssh", "an ssh agent for steps of a --dockerfile; may be repeated", "list", metavar="ID[=SOCKET]"),
    Option(
        "cache-from",
        "look for steps made elsewhere: IMAGE, or BuildKit's type=…; may be repeated",
        "list",
        metavar="SPEC",
    ),
    Option("cache-to", "keep the steps for others: BuildKit's type=…; may be repeated", "list", metavar="SPEC"),
    Option("context", "write the context folder here", metavar="DIR"),
    Option(
        "output",
        "write the image too: FILE.tar, which docker, podman and skopeo load, or DIR as an OCI layout",
        metavar="PATH",
    ),
    Option("platform", "platform of the image: linux/amd64", metavar="OS/ARCH", setting=True, project=True),
    Option(
        "allow-secret",
        "let the named finding of the leak guard pass; may be repeated",
        "list",
        metavar="NAME",
    ),
    Option("ui", "how progress is shown", choices=("auto", "widget", "text", "json"), setting=True, project=True),
    Option("dry-run", "show Dockerfile, files and requirements; build nothing", "flag"),
    Option(
        "check",
        "run the program here first, compare what it prints, and fail where it is not proven; =image: run the built "
        "image for that, in the engine and without a network",
        "flag",
        choices=("program", "image"),
    ),
    Option(
        "check-time", "seconds that a run of the program here may take: 10 if none", metavar="SECONDS", setting=True
    ),
    Option("no-check", "do not run the program here to prove it, as a notebook does beside the build", "flag"),
    Option("no-cache", "build every step again", "flag"),
    Option("pull", "ask the registry for a newer base", "flag"),
    Option("quiet", "show only the result and errors", "flag"),
    Option("fallback-local", "run the cell here when the build fails", "flag"),
)

SETTINGS = tuple(option for option in OPTIONS if option.setting)

GROUPS: dict[str, tuple[str, ...]] = {
    "the image": ("name", "repository", "tag", "publish", "base", "python", "platform", "env", "dockerfile", "output"),
    "what goes in": ("requirement", "apt", "include", "exclude", "root", "context"),
    "values in and out": ("param", "snapshot", "snapshot-limit", "recompute", "return", "trust-image"),
    "how it is built": ("builder", "no-cache", "pull", "cache-from", "cache-to", "secret", "ssh"),
    "running it": (
        "run",
        "set",
        "run-env",
        "port",
        "mount",
        "collect",
        "no-collect",
        "memory",
        "cpus",
        "gpus",
        "here",
        "fallback-local",
    ),
    "on a cluster": (
        "on",
        "replicas",
        "shards",
        "public",
        "schedule",
        "timezone",
        "node-selector",
        "toleration",
        "service-account",
        "queue",
        "pod-template",
        "pull-secret",
        "registry-alias",
    ),
    "one cell over many inputs": (
        "map",
        "map-zip",
        "map-from",
        "map-file",
        "map-limit",
        "iterations",
        "jobs",
        "retries",
        "fail-fast",
        "again",
    ),
    "what is shown and checked": (
        "dry-run",
        "check",
        "check-time",
        "no-check",
        "ui",
        "quiet",
        "allow-secret",
        "allow-base",
    ),
}
"""Every option once, under the heading that the help gives it."""


class OptionParser(argparse.ArgumentParser):
    """argparse that raises OptionError instead of leaving the process, and takes no abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})
        self._bare: dict[str, str] = {}

    def add_flag(self, group: argparse._ArgumentGroup, option: Option) -> None:
        """Add an option that stands alone; with choices, one of them may follow after ``=``."""
        flag = f"--{option.name}"
        if not option.choices:
            group.add_argument(flag, dest=option.field, help=option.help, default=None, action="store_true")
            return
        self._bare[flag] = f"{flag}={option.choices[0]}"
        group.add_argument(
            flag, dest=option.field, help=option.help, default=None, choices=option.choices,
            metavar=f"{{{','.join(option.choices)}}}",
        )  # fmt: skip

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Take a flag that may have a choice, and stands alone, for its first one: the next word is not its value."""
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        words[:end] = [self._bare.get(word, word) for word in words[:end]]
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{self.prog}: {message}", hint=self._hint(message))

    def _hint(self, message: str) -> str:
        """Return what to do about ``message``, which is argparse's own: the nearest known word where it has none."""
        hint = f"see the options: {self.prog} --help"
        if found := re.search(r"unrecognized arguments: (?:.* )?(--[\w-]+)", message):
            return nearest_hint(found[1], [name for action in self._actions for name in action.option_strings], hint)
        if found := re.search(r"invalid choice: '([^']*)'", message):
            return nearest_hint(found[1], [str(one) for action in self._actions for one in action.choices or ()], hint)
        return hint


def _text(value: str) -> str:
    """Return the text behind an option; an empty one, as of a shell's variable that is not set, means nothing."""
    if not value.strip():
        raise argparse.ArgumentTypeError("nothing is written behind it")
    return value


def add_options(parser: OptionParser, *, name: bool = True, only: Sequence[str] = ()) -> None:
    """Add every option (or ``only`` these) to a parser; what is not given comes out as None: settings can fill it."""
    if name:
        parser.add_argument("image", nargs="?", metavar="NAME", help=OPTIONS[0].help)
    known = {option.name: option for option in OPTIONS}
    for heading, every in GROUPS.items():
        names = [name for name in every if not only or name in only]
        if not names:
            continue
        group = parser.add_argument_group(heading)
        for option in map(known.__getitem__, names):
            flag, field_, says = f"--{option.name}", option.field, option.help
            if option.kind == "flag":
                parser.add_flag(group, option)
            elif option.choices:
                group.add_argument(flag, dest=field_, help=says, default=None, choices=option.choices)
            else:
                action, shown = "append" if option.kind == "list" else "store", option.metavar
                group.add_argument(flag, dest=field_, help=says, default=None, action=action, metavar=shown, type=_text)


_EPILOG = """
examples:
  %%containerize report                           an image of this cell
  %%containerize report --dry-run                 what would be in it
  %%containerize report --run --param n=3         run it; the image takes --n
  %%containerize report --publish --repository ghcr.io/me

The cell becomes a program with exactly what it needs, the program an image. The value of the cell is a BuildResult,
with --map a SweepResult.
Variables and braces in the line are taken as they stand: IPython does not expand them here. Defaults come from
%config ContainerizeMagics, BUILDR_* variables, [tool.buildr] in pyproject.toml and the site's buildr.toml;
%containerize alone lists each with its origin. %containerize --login HOST stores a registry login.
"""


@functools.cache
def make_line_parser() -> OptionParser:
    """Return the parser of the magic's line; its text is the help of ``%%containerize?``."""
    parser = OptionParser(
        prog="%%containerize", description="Make a container image of this cell.", epilog=_EPILOG, add_help=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add_options(parser)
    parser.add_argument("-h", "--help", action="store_true", help="show this help")
    parser.add_argument("--notebook", metavar="FILE", help="which notebook this is, where the front end does not tell")
    parser.add_argument("--detach", action="store_true", help="give the prompt back at once; the value is a handle")
    parser.add_argument("--keep", action="store_true", help="detach, and finish the build where the kernel leaves")
    parser.add_argument("--status", action="store_true", help="list this kernel's builds, and show the last pane again")
    parser.add_argument("--runs", action="store_true", help="list the runs of sweeps that the journal knows")
    parser.add_argument("--export", metavar="DIR", help="write the context folder and build nothing; needs no engine")
    parser.add_argument("--login", metavar="HOST", help="log in to a registry (as %%containerize, without a cell)")
    return parser


def split_line(line: str) -> list[str]:
    """Return the words of a magic's line as a shell would split them. Raises OptionError for an unbalanced quote."""
    try:
        return shlex.split(line, comments=False)
    except ValueError as error:
        raise OptionError(
            f"%%containerize: {line.strip()!r} does not split into words: {str(error).lower()}", hint="close the quote"
        ) from error


@dataclass(frozen=True, slots=True)
class Options:
    """What is wanted, after line, settings and defaults have been merged."""

    name: str | None = None
    repository: str | None = None
    tags: tuple[str, ...] = ()
    publish: bool = False
    run: bool = False
    here: bool = False
    builder: str = "auto"
    base: str | None = None
    python: str | None = None
    requirements: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    root: str | None = None
    exclude: tuple[str, ...] = ()
    params: tuple[tuple[str, str | None], ...] = ()
    returns: tuple[str, ...] = ()
    trust_images: tuple[str, ...] = ()
    maps: tuple[tuple[str, str], ...] = ()
    map_from: str | None = None
    map_file: Path | None = None
    map_zip: bool = False
    map_limit: int = 10_000
    iterations: int = 0
    """So often each point of the grid is run; 0: once, and a run that is done counts."""
    rows: tuple[Mapping[str, Said], ...] = field(default=(), repr=False)
    """Rows of ``map_file`` and ``map_from``, once they were read."""
    jobs: int = 2
    retries: int = 0
    fail_fast: bool = False
    again: bool = False
    snapshots: tuple[str, ...] = ()
    snapshot_limit_bytes: int = 1 << 30
    recompute: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    run_environment: tuple[tuple[str, str | None], ...] = field(default=(), repr=False)
    ports: tuple[PortBinding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    claims: tuple[ClaimMount, ...] = ()
    """Volumes of the cluster that the run sees."""
    sets: tuple[tuple[str, str], ...] = ()
    collect: Collection = field(default_factory=Collection)
    memory_bytes: int | None = None
    cpus: float | None = None
    gpus: str | None = None
    on: str | None = None
    """What runs the image: ``kubernetes=CONTEXT/NAMESPACE``; None: what the job's executor says."""
    placement: ClusterPlacement = field(default_factory=ClusterPlacement)
    standing: Standing | None = None
    """What stays in the cluster instead of a run that ends."""
    registry_aliases: tuple[tuple[str, str], ...] = ()
    """Registries as they are called here and in the cluster."""
    dockerfile: str | None = None
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[tuple[str, str | None], ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    context: Path | None = None
    output: Path | None = None
    platforms: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    ui: str = "auto"
    dry_run: bool = False
    check: str | None = None
    """What insists on a proof: ``program``, before the build, or ``image``, after it."""
    check_time_s: float = 10.0
    no_check: bool = False
    no_cache: bool = False
    pull: bool = False
    quiet: bool = False
    fallback_local: bool = False

    def option_of(self, name: str) -> str:
        """Return the option that made the name an input of the program."""
        asked = (("--set", self.sets), ("--map", self.maps))
        return next((option for option, said in asked if name in dict(said)), "--param")

    @property
    def sweeps(self) -> bool:
        """Whether the image is run once for each point of a grid."""
        return bool(self.maps or self.map_from or self.map_file or self.rows or self.iterations)

    def refs(self, default_name: str) -> tuple[ImageRef, ...]:
        """Return the references of the image, the main one first; raises ImageRefError."""
        name = self.name or default_name
        if self.repository:
            name = f"{self.repository.rstrip('/')}/{name}"
        ref = ImageRef.parse(name)
        tags = self.tags or ((ref.tag,) if ref.tag else ("latest",))
        return tuple(ref.with_tag(tag) for tag in dict.fromkeys(tags))

    def check_publish(self, *, by_docker_rules: bool = False) -> None:
        """Raise OptionError where a push would go to a registry that nobody named.

        ``by_docker_rules``: a repository without a registry is one on Docker Hub, as in the seed's decorator.
        """
        if not self.publish or self.refs("image")[0].registry:
            return
        said = self.repository or (self.name if self.name and "/" in self.name else None)
        if said and by_docker_rules:
            return
        if said:
            raise OptionError(
                f"--publish: {said!r} names no registry, and nothing is sent to a default one",
                hint=f"put the registry in front: --repository docker.io/{said.strip('/').split('/')[0]}",
            )
        raise OptionError(
            "--publish: no registry or repository is named, and nothing is sent to a default one",
            hint="set --repository HOST/PATH, BUILDR_REPOSITORY or %config ContainerizeMagics.repository = 'HOST/PATH'",
        )


def make_options(values: Mapping[str, object], *, base_folder: Path) -> Options:
    """Return the options for merged raw values (fields of ``OPTIONS``), parsed; raises OptionError naming the option.

    Relative paths are taken from ``base_folder``.
    """
    get: Callable[[str], Any] = values.get  # each is parsed below, or was by its source
    name = get("name") or get("image")
    if get("name") and get("image") and get("name") != get("image"):
        raise OptionError(
            f"the image has two names: {get('image')!r} and --name {get('name')!r}", hint="give one of them"
        )
    mounts, claims = parse_mounts(parse_strings(get("mount")), base_folder)
    maps = tuple(parse_map(text) for text in parse_strings(get("map")))
    runs = bool(get("run") or maps or get("map_from") or get("map_file") or get("iterations"))
    return Options(
        name=name,
        repository=get("repository"),
        tags=parse_strings(get("tag")),
        publish=parse_boolean("publish", get("publish")),
        run=bool(runs or get("on")),
        here=bool(get("here")),
        builder=get("builder") or "auto",
        base=parse_base(get("base")),
        python=parse_python(get("python")),
        requirements=parse_strings(get("requirement")),
        apt=tuple(sorted({parse_apt(package) for package in parse_strings(get("apt"))})),
        include=parse_strings(get("include")),
        root=get("root"),
        exclude=parse_strings(get("exclude")),
        params=_params(get("param"), (*maps, *(parse_set(text) for text in parse_strings(get("set"))))),
        returns=tuple(dict.fromkeys(parse_name("--return", text) for text in parse_strings(get("return")))),
        trust_images=tuple(parse_image_id(text) for text in parse_strings(get("trust_image"))),
        maps=maps,
        map_from=get("map_from"),
        map_file=base_folder / Path(str(get("map_file"))).expanduser() if get("map_file") else None,
        map_limit=parse_count("--map-limit", get("map_limit"), 10_000, least=1),
        iterations=parse_count("--iterations", get("iterations"), 0),
        jobs=parse_count("--jobs", get("jobs"), 2, least=1),
        retries=parse_count("--retries", get("retries"), 0),
        snapshots=parse_strings(get("snapshot")),
        snapshot_limit_bytes=parse_size("--snapshot-limit", get("snapshot_limit")) or 1 << 30,
        recompute=parse_strings(get("recompute")),
        environment=tuple(parse_assignment("--env", text) for text in parse_strings(get("env"))),
        run_environment=tuple(parse_run_variable(text) for text in parse_strings(get("run_env"))),
        ports=tuple(parse_port(text) for text in parse_strings(get("port"))),
        mounts=mounts,
        claims=claims,
        sets=_sets(get("set"), run=runs),
        collect=_collection(parse_strings(get("collect")), nothing=bool(get("no_collect"))),
        memory_bytes=parse_size("--memory", get("memory")),
        cpus=parse_number("--cpus", get("cpus")),
        gpus=parse_gpus(get("gpus")),
        on=get("on"),
        placement=_placement(get, base_folder),
        standing=_standing(get),
        registry_aliases=tuple(parse_alias(text) for text in parse_strings(get("registry_alias"))),
        dockerfile=get("dockerfile"),
        secrets=tuple(parse_secret(text, base_folder) for text in parse_strings(get("secret"))),
        ssh=tuple(parse_agent(text) for text in parse_strings(get("ssh"))),
        cache_from=parse_strings(get("cache_from")),
        cache_to=parse_strings(get("cache_to")),
        context=base_folder / str(get("context")) if get("context") else None,
        output=parse_output(get("output"), base_folder),
        platforms=parse_platforms(get("platform")),
        allow_secrets=parse_strings(get("allow_secret")),
        ui=parse_choice("ui", get("ui") or "auto", next(option.choices for option in OPTIONS if option.name == "ui")),
        map_zip=bool(get("map_zip")),
        fail_fast=bool(get("fail_fast")),
        again=bool(get("again")),
        dry_run=bool(get("dry_run")),
        check=get("check"),
        no_check=bool(get("no_check")),
        check_time_s=parse_number("--check-time", get("check_time")) or 10.0,
        no_cache=bool(get("no_cache")),
        pull=bool(get("pull")),
        quiet=bool(get("quiet")),
        fallback_local=bool(get("fallback_local")),
    )


def _sets(said: Any, *, run: bool) -> tuple[tuple[str, str], ...]:
    found = tuple(parse_set(text) for text in parse_strings(said))
    if found and not run:
        raise OptionError("--set gives a run its values, and nothing is run", hint="add --run")
    return found


def _collection(patterns: tuple[str, ...], *, nothing: bool) -> Collection:
    if patterns and nothing:
        raise OptionError("--collect and --no-collect were both given", hint="give one of them")
    if by_registry := "registry" in patterns:
        patterns = tuple(one for one in patterns if one != "registry")
    return Collection(patterns, nothing, registry=by_registry)


def _standing(get: Callable[[str], Any]) -> Standing | None:
    replicas = parse_count("--replicas", get("replicas"), 0)
    shards = parse_count("--shards", get("shards"), 0)
    schedule = parse_schedule(get("schedule"))
    asked = [f"--{name}" for name in ("replicas", "shards", "schedule", "public", "timezone") if get(name)]
    if not asked:
        return None
    if not get("on"):
        raise OptionError(f"{asked[0]}: only a cluster keeps what stays", hint="say which: --on kubernetes")
    if bool(replicas) + bool(shards) + bool(schedule) != 1:
        raise OptionError(
            f"{' '.join(asked)}: it is one of a service, shards and a schedule",
            hint="give --replicas N, or --schedule CRON",
        )
    if get("timezone") and not schedule:
        raise OptionError("--timezone: a service has no times", hint="give it with --schedule CRON")
    if not schedule and not get("port"):
        raise OptionError(f"{asked[0]}: a service has a port, and none is named", hint="add --port PORT")
    if get("return") or get("map") or get("map_from") or get("map_file") or get("iterations"):
        raise OptionError(
            f"{asked[0]}: nobody waits for values of what stays in the cluster", hint="leave --return and --map out"
        )
    return Standing(replicas, shards, bool(get("public")), schedule, parse_timezone(get("timezone")))


def _placement(get: Callable[[str], Any], base_folder: Path) -> ClusterPlacement:
    return ClusterPlacement(
        node_selector=tuple(parse_label("--node-selector", text) for text in parse_strings(get("node_selector"))),
        tolerations=tuple(parse_toleration(text) for text in parse_strings(get("toleration"))),
        service_account=parse_object_name("--service-account", get("service_account")),
        queue=parse_queue(get("queue")),
        pod_template=base_folder / Path(str(get("pod_template"))).expanduser() if get("pod_template") else None,
        pull_secret=parse_object_name("--pull-secret", get("pull_secret")),
    )


def _params(said: Iterable[object] | None, maps: Sequence[tuple[str, str]]) -> tuple[tuple[str, str | None], ...]:
    """Return the inputs that are asked for; what a map or ``--set`` gives is one."""
    params = tuple(parse_param(text) for text in parse_strings(said))
    known = {name for name, _ in params}
    return (*params, *((name, None) for name in dict(maps) if name not in known))


# The seed's options --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PackageOptions:
    """What the decorator's ``package=`` takes: the seed's names and defaults, and the magic's options beside them."""

    repository: str | None = None
    name: str | None = None
    builder: str = "auto"
    publish: bool = False
    py_version: str | None = None
    """The kernel's where it is None; ``3`` means the same, as in the seed."""
    dockerfile: str | None = None
    additionalFiles: tuple[str, ...] = ()  # noqa: N815 - the seed's name
    verbose: bool = True
    quiet: bool = False
    fallback_local: bool = False
    tag: tuple[str, ...] = ()
    base: str | None = None
    requirements: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    returns: tuple[str, ...] = ()
    """Names whose values a run gives back; ``_`` is what the function returns."""
    platform: str | None = None
    no_cache: bool = False
    pull: bool = False

    @classmethod
    def load(cls, values: Mapping[str, object]) -> PackageOptions:
        """Return the options of a dict; raises OptionError for a key that is none, or a value of the wrong type."""
        return _load(cls, values, "package")


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """What the decorator's ``runtime=`` takes: the seed's names and defaults."""

    executor: str = "docker"
    replicas: int = 0
    ports: tuple[int | str, ...] = ()
    public: bool = False
    """Open the ports on all addresses instead of 127.0.0.1."""
    shardSpec: Mapping[str, object] | None = None  # noqa: N815 - the seed's name
    jobSpec: Mapping[str, object] | None = None  # noqa: N815 - the seed's name
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, values: Mapping[str, object]) -> RuntimeOptions:
        """Return the options of a dict; raises OptionError for a key that is none, or a value of the wrong type."""
        return _load(cls, values, "runtime")


_LISTS = ("additionalFiles", "tag", "requirements", "apt", "returns", "ports")
_TEXTS = ("repository", "name", "builder", "dockerfile", "base", "platform", "executor")


_Loaded = TypeVar("_Loaded", PackageOptions, RuntimeOptions)


def _load(kind: type[_Loaded], values: Mapping[str, object], what: str) -> _Loaded:
    if not isinstance(values, Mapping):
        raise OptionError(f"{what}: a dict is wanted, not {type(values).__name__}")
    known = {f.name: f for f in fields(kind)}
    for name in values:
        if name not in known:
            raise OptionError(f"{what}: unknown option {name!r}", hint=f"choose one of: {', '.join(known)}")
    clean: dict[str, Any] = dict(values)
    for name, value in list(clean.items()):
        default = getattr(kind(), name)
        if name in _LISTS:
            clean[name] = (value,) if isinstance(value, str | int) else tuple(value)
        elif name == "py_version":
            clean[name] = None if value in (None, 3, "3") else str(value)
        elif isinstance(default, bool) and not isinstance(value, bool):
            raise OptionError(f"{what}: {name} is True or False, not {value!r}")
        elif isinstance(default, int) and not isinstance(value, int):
            raise OptionError(f"{what}: {name} is a whole number, not {value!r}")
        elif name in _TEXTS and not isinstance(value, str | None):
            raise OptionError(f"{what}: {name} is a text, not {value!r}")
    return kind(**clean)


def package_values(package: PackageOptions, runtime: RuntimeOptions, *, in_engine: bool = True) -> dict[str, object]:
    """Return the seed's options as raw values for ``make_options``; replicas and shards are for a cluster alone."""
    if not set(runtime.ports) and runtime.public:
        raise OptionError("runtime: public asks for ports to be open, but there are none", hint="add 'ports': [8080]")
    address = "0.0.0.0:" if runtime.public and in_engine else ""
    ports = [f"{address}{port}:{port}" if address or isinstance(port, int) else str(port) for port in runtime.ports]
    return {
        "name": package.name,
        "repository": package.repository,
        "builder": package.builder,
        "publish": package.publish,
        "python": package.py_version,
        "dockerfile": package.dockerfile,
        "include": list(package.additionalFiles),
        "quiet": package.quiet,
        "fallback_local": package.fallback_local,
        "tag": list(package.tag),
        "base": package.base,
        "requirement": list(package.requirements),
        "apt": list(package.apt),
        "env": [f"{k}={v}" for k, v in package.env.items()],
        "return": list(package.returns),
        "platform": package.platform,
        "no_cache": package.no_cache,
        "pull": package.pull,
        "port": ports,
        "run_env": [f"{k}={v}" for k, v in runtime.env.items()],
        "iterations": _iterations(runtime),
        **({} if in_engine else _standing_values(runtime)),
    }


def _iterations(runtime: RuntimeOptions) -> str | None:
    if not runtime.jobSpec:
        return None
    if "iterations" not in runtime.jobSpec:
        raise OptionError("runtime: jobSpec does not say how many iterations", hint="add 'iterations': 4")
    return str(runtime.jobSpec["iterations"])


def _standing_values(runtime: RuntimeOptions) -> dict[str, object]:
    found: dict[str, object] = {"on": runtime.executor, "public": runtime.public}
    if runtime.replicas:
        found["replicas"] = str(runtime.replicas)
    if runtime.shardSpec:
        if "shards" not in runtime.shardSpec:
            raise OptionError("runtime: shardSpec does not say how many shards", hint="add 'shards': 3")
        found["shards"] = str(runtime.shardSpec["shards"])
    return found
