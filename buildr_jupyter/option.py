"""The options, once: names, kinds, help. The magic, the command line, the settings and the decorator all read this.

``Options`` is what they come to: typed, validated, frozen. ``PackageOptions`` and ``RuntimeOptions`` are the seed's, under
the seed's names.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model import ImageRef, Mount, PortBinding

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
    """text, flag, or list (may be repeated)."""
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    setting: bool = False
    """May be set by %config, the environment and the settings files as well."""
    project: bool = True
    """A project's pyproject.toml may set it (where ``setting``)."""
    repeat: bool = False
    """Counts only when the command line repeats it: the notebook's line may be a stranger's."""

    @property
    def field(self) -> str:
        """The name in Python, in settings files, and in ``BUILDR_*`` in capitals."""
        return self.name.replace("-", "_")


OPTIONS: tuple[Option, ...] = (
    Option("name", "the image's name; may hold registry, repository and tag", metavar="NAME"),
    Option("repository", "registry and repository in front of the name: ghcr.io/me", metavar="REPO", setting=True, repeat=True),
    Option("tag", "tag of the image, 'latest' if none; may be repeated", "list", metavar="TAG"),
    Option("publish", "push the image", "flag", setting=True, project=False, repeat=True),
    Option("run", "run the image here and show what it prints", "flag", repeat=True),
    Option("here", "run the cell in the kernel too", "flag"),
    Option("builder", "what builds the image", metavar="SPEC", setting=True),
    Option("base", "base image; python:X.Y-slim of the kernel's version if none", metavar="IMAGE", setting=True),
    Option("python", "Python version in the image; the kernel's if none", metavar="X.Y", setting=True),
    Option("requirement", "a further requirement, or another version of one; may be repeated", "list", metavar="REQ"),
    Option("apt", "a Debian package to install; may be repeated", "list", metavar="PACKAGE"),
    Option("include", "a further file or folder, by path or pattern; may be repeated", "list", metavar="PATH", repeat=True),
    Option("exclude", "a pattern of files to leave out; may be repeated", "list", metavar="PATTERN"),
    Option("param", "make the name a parameter of the program; may be repeated", "list", metavar="NAME[=DEFAULT]"),
    Option("snapshot", "carry the name's value of now; may be repeated", "list", metavar="NAME"),
    Option("recompute", "carry the code that makes the name; may be repeated", "list", metavar="NAME"),
    Option("env", "set in the image; may be repeated", "list", metavar="K=V"),
    Option("run-env", "set for this run only, never in the image; may be repeated", "list", metavar="K[=V]", repeat=True),
    Option("port", "open a port of the container on 127.0.0.1 while it runs; may be repeated", "list", metavar="[HOST:]PORT"),
    Option("mount", "show a folder to the running container; may be repeated", "list", metavar="SRC:DST[:ro]", repeat=True),
    Option("memory", "memory limit of the run: 512m, 2g", metavar="SIZE"),
    Option("cpus", "processors for the run: 1.5", metavar="N"),
    Option("gpus", "GPUs for the run: all, or how many", metavar="N"),
    Option("dockerfile", "build this Dockerfile instead of ours; - takes the cell as the Dockerfile", metavar="FILE"),
    Option("context", "write the context folder here", metavar="DIR"),
    Option("platform", "platform of the image: linux/amd64", metavar="OS/ARCH", setting=True),
    Option("allow-secret", "let the named finding of the leak guard pass; may be repeated", "list", metavar="NAME", repeat=True),
    Option("timeout", "give up when nothing is heard for so long, in seconds", metavar="S", setting=True),
    Option("ui", "how progress is shown", choices=("auto", "widget", "text", "json"), setting=True),
    Option("dry-run", "show Dockerfile, files and requirements; build nothing", "flag"),
    Option("check", "run the exported program here first and compare what it prints", "flag"),
    Option("no-cache", "build every step again", "flag"),
    Option("pull", "ask the registry for a newer base", "flag"),
    Option("quiet", "show only the result and errors", "flag"),
    Option("fallback-local", "run the cell here when the build fails", "flag"),
)

SETTINGS = tuple(option for option in OPTIONS if option.setting)


class OptionParser(argparse.ArgumentParser):
    """argparse that raises OptionError instead of leaving the process, and takes no abbreviations."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{self.prog}: {message}", hint=f"{self.prog} --help lists the options")


def add_options(parser: argparse.ArgumentParser, *, name: bool = True) -> None:
    """Add every option to a parser; what is not given comes out as None, so that settings can fill it."""
    if name:
        parser.add_argument("image", nargs="?", metavar="NAME", help=OPTIONS[0].help)
    for option in OPTIONS:
        common: dict[str, Any] = {"dest": option.field, "help": option.help, "default": None}
        if option.kind == "flag":
            parser.add_argument(f"--{option.name}", action="store_true", **common)
        elif option.choices:
            parser.add_argument(f"--{option.name}", choices=option.choices, **common)
        else:
            action = "append" if option.kind == "list" else "store"
            parser.add_argument(f"--{option.name}", action=action, metavar=option.metavar, **common)


_EPILOG = """
The cell becomes a program with exactly what it needs, the program an image. The value of the cell is a BuildResult.
Variables and braces in the line are taken as they stand: IPython does not expand them here. Defaults come from
%config ContainerizeMagics, BUILDR_* variables, [tool.buildr] in pyproject.toml and the site's buildr.toml;
%containerize alone lists each with its origin. %containerize --login HOST stores a registry login.
"""


def make_line_parser() -> OptionParser:
    """Return the parser of the magic's line; its text is the help of ``%%containerize?``."""
    parser = OptionParser(prog="%%containerize", description="Make a container image of this cell.", epilog=_EPILOG, add_help=False)
    add_options(parser)
    parser.add_argument("-h", "--help", action="store_true", help="show this help")
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
    builder: str = "docker"
    base: str | None = None
    python: str | None = None
    requirements: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    params: tuple[tuple[str, str | None], ...] = ()
    snapshots: tuple[str, ...] = ()
    recompute: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    run_environment: tuple[tuple[str, str | None], ...] = field(default=(), repr=False)
    ports: tuple[PortBinding, ...] = ()
    mounts: tuple[Mount, ...] = ()
    memory_bytes: int | None = None
    cpus: float | None = None
    gpus: str | None = None
    dockerfile: str | None = None
    context: Path | None = None
    platforms: tuple[str, ...] = ()
    allow_secrets: tuple[str, ...] = ()
    timeout_s: float | None = None
    ui: str = "auto"
    dry_run: bool = False
    check: bool = False
    no_cache: bool = False
    pull: bool = False
    quiet: bool = False
    fallback_local: bool = False

    def refs(self, default_name: str) -> tuple[ImageRef, ...]:
        """Return the references of the image, the main one first; raises ImageRefError."""
        name = self.name or default_name
        if self.repository:
            name = f"{self.repository.rstrip('/')}/{name}"
        ref = ImageRef.parse(name)
        tags = self.tags or ((ref.tag,) if ref.tag else ("latest",))
        return tuple(ref.with_tag(tag) for tag in dict.fromkeys(tags))

    def check_publish(self) -> None:
        """Raise OptionError where a push would go to a registry that nobody named."""
        named = self.repository or (self.name and "/" in self.name)
        if self.publish and not named:
            raise OptionError(
                "--publish: no registry or repository is named, and nothing is sent to a default one",
                hint="say --repository HOST/PATH, set BUILDR_REPOSITORY, or %config ContainerizeMagics.repository = 'HOST/PATH'",
            )


def make_options(values: Mapping[str, Any], *, base_folder: Path) -> Options:
    """Return the options for merged raw values (fields of ``OPTIONS``), parsed; raises OptionError naming the option.

    Relative paths are taken from ``base_folder``.
    """
    get = values.get
    name = get("name") or get("image")
    if get("name") and get("image") and get("name") != get("image"):
        raise OptionError(f"the image has two names: {get('image')!r} and --name {get('name')!r}", hint="give one of them")
    return Options(
        name=name,
        repository=get("repository"),
        tags=_strings(get("tag")),
        publish=_boolean("publish", get("publish")),
        run=bool(get("run")),
        here=bool(get("here")),
        builder=get("builder") or "docker",
        base=get("base"),
        python=_python(get("python")),
        requirements=_strings(get("requirement")),
        apt=tuple(sorted({_apt(package) for package in _strings(get("apt"))})),
        include=_strings(get("include")),
        exclude=_strings(get("exclude")),
        params=tuple(_param(text) for text in _strings(get("param"))),
        snapshots=_strings(get("snapshot")),
        recompute=_strings(get("recompute")),
        environment=tuple(_assignment("--env", text) for text in _strings(get("env"))),
        run_environment=tuple(_run_variable(text) for text in _strings(get("run_env"))),
        ports=tuple(_port(text) for text in _strings(get("port"))),
        mounts=tuple(_mount(text, base_folder) for text in _strings(get("mount"))),
        memory_bytes=_memory(get("memory")),
        cpus=_number("--cpus", get("cpus")),
        gpus=get("gpus"),
        dockerfile=get("dockerfile"),
        context=base_folder / get("context") if get("context") else None,
        platforms=_platforms(get("platform")),
        allow_secrets=_strings(get("allow_secret")),
        timeout_s=_number("--timeout", get("timeout")),
        ui=_choice("ui", get("ui") or "auto"),
        **{option: bool(get(option)) for option in ("dry_run", "check", "no_cache", "pull", "quiet", "fallback_local")},
    )


def _strings(value: Any) -> tuple[str, ...]:
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value)


def _boolean(name: str, value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return bool(value)
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
        return text in ("1", "true", "yes", "on")
    raise OptionError(f"{name}: {value!r} is neither true nor false")


def _choice(name: str, value: str) -> str:
    choices = next(option.choices for option in OPTIONS if option.name == name)
    if value not in choices:
        raise OptionError(f"--{name}: {value!r} is none of {', '.join(choices)}")
    return value


def _python(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"3\.\d+", value):
        raise OptionError(f"--python: {value!r} is not a Python version", hint="write major and minor: 3.12")
    return value


def _apt(package: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9.+:~-]+)?", package):
        raise OptionError(f"--apt: {package!r} is not the name of a Debian package", hint="one name for each --apt: --apt libgl1")
    return package


def _param(text: str) -> tuple[str, str | None]:
    name, equals, default = text.partition("=")
    if not name.isidentifier():
        raise OptionError(f"--param: {name!r} is not a name", hint="write --param NAME or --param NAME=DEFAULT")
    return name, default if equals else None


def _assignment(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"{option}: {text!r} has no '='", hint=f"write {option} NAME=VALUE")
    return _variable(option, name), value


def _run_variable(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return _variable("--run-env", name), value if equals else None


def _variable(option: str, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise OptionError(f"{option}: {name!r} is not a variable name", hint="letters, digits and _, not a digit first")
    return name


def _port(text: str) -> PortBinding:
    parts = text.rsplit(":", 2)
    number, _, protocol = parts[-1].partition("/")
    host = parts[-2] if len(parts) > 1 else number
    address = parts[0].strip("[]") if len(parts) == 3 else "127.0.0.1"
    try:
        binding = PortBinding(int(number), int(host) if host else None, address, protocol or "tcp")
    except ValueError:
        binding = PortBinding(0)
    if not 0 < binding.container < 65536 or not 0 <= (binding.host or 0) < 65536 or binding.protocol not in ("tcp", "udp"):
        raise OptionError(f"--port: {text!r} is not a port", hint="write PORT, HOSTPORT:PORT or ADDRESS:HOSTPORT:PORT")
    return binding


def _mount(text: str, base_folder: Path) -> Mount:
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise OptionError(f"--mount: {text!r} is not SRC:DST[:ro]", hint="DST is an absolute path in the container")
    path = base_folder / Path(source).expanduser()
    if not path.exists():
        raise OptionError(f"--mount: {source!r} does not exist", hint="make the folder first, or mend its path")
    return Mount(path.resolve(), target, mode == "ro")


def _memory(value: str | None) -> int | None:
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", str(value).strip().lower())
    if not match or not float(match[1]):
        raise OptionError(f"--memory: {value!r} is not a size", hint="write it as 512m or 2g")
    return int(float(match[1]) * 1024 ** " kmgt".index(match[2] or " "))


def _number(option: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise OptionError(f"{option}: {value!r} is not a number above 0")
    return number


def _platforms(value: str | None) -> tuple[str, ...]:
    names = tuple(part.strip() for part in (value or "").split(",") if part.strip())
    for name in names:
        if not re.fullmatch(r"[a-z]+/[a-z0-9_]+(?:/v\d+)?", name):
            raise OptionError(f"--platform: {name!r} is not a platform", hint="write it as linux/amd64 or linux/arm64")
    return names


# The seed's options --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PackageOptions:
    """What the decorator's ``package=`` takes: the seed's names and defaults, and the magic's options beside them."""

    repository: str | None = None
    name: str | None = None
    builder: str = "docker"
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
    platform: str | None = None
    no_cache: bool = False
    pull: bool = False

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> PackageOptions:
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
    shardSpec: Mapping[str, Any] | None = None  # noqa: N815 - the seed's name
    jobSpec: Mapping[str, Any] | None = None  # noqa: N815 - the seed's name
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> RuntimeOptions:
        """Return the options of a dict; raises OptionError for a key that is none, or a value of the wrong type."""
        return _load(cls, values, "runtime")


_LISTS = ("additionalFiles", "tag", "requirements", "apt", "ports")
_TEXTS = ("repository", "name", "builder", "dockerfile", "base", "platform", "executor")


def _load(kind: Any, values: Mapping[str, Any], what: str) -> Any:
    if not isinstance(values, Mapping):
        raise OptionError(f"{what}: a dict is wanted, not {type(values).__name__}")
    known = {f.name: f for f in fields(kind)}
    for name in values:
        if name not in known:
            raise OptionError(f"{what}: unknown option {name!r}", hint=f"options: {', '.join(known)}")
    clean = dict(values)
    for name, value in values.items():
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


def package_values(package: PackageOptions, runtime: RuntimeOptions) -> dict[str, Any]:
    """Return the seed's options as raw values for ``make_options``; a jobSpec or replicas wait for a cluster."""
    if not set(runtime.ports) and runtime.public:
        raise OptionError("runtime: public asks for ports to be open, but there are none", hint="add 'ports': [8080]")
    address = "0.0.0.0:" if runtime.public else ""  # noqa: S104 - asked for by the user's own 'public': True
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
        "platform": package.platform,
        "no_cache": package.no_cache,
        "pull": package.pull,
        "port": ports,
        "run_env": [f"{k}={v}" for k, v in runtime.env.items()],
    }
