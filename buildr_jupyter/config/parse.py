"""The texts of options become values, once, at the edge; OptionError names option and text."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable
from pathlib import Path

from buildr_jupyter.config.cluster_text import parse_object_name
from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.request import ClaimMount, Mount, PortBinding, Secret

__all__ = [
    "parse_age",
    "parse_agent",
    "parse_alias",
    "parse_apt",
    "parse_assignment",
    "parse_base",
    "parse_boolean",
    "parse_choice",
    "parse_count",
    "parse_gpus",
    "parse_image_id",
    "parse_map",
    "parse_mount",
    "parse_mounts",
    "parse_name",
    "parse_number",
    "parse_output",
    "parse_param",
    "parse_platforms",
    "parse_port",
    "parse_python",
    "parse_run_variable",
    "parse_schedule",
    "parse_secret",
    "parse_set",
    "parse_size",
    "parse_strings",
    "parse_variable",
]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = re.compile(r"(\d{1,6})([smhdw])")


def parse_strings(value: Iterable[object] | None) -> tuple[str, ...]:
    """Return nothing, one text or a sequence of texts as a tuple."""
    if not value:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value)


def parse_boolean(name: str, value: object) -> bool:
    """Return a truth value, also from the words that environment variables hold."""
    if value is None or isinstance(value, bool):
        return bool(value)
    text = str(value).strip().lower()
    if text in ("1", "true", "yes", "on", "0", "false", "no", "off", ""):
        return text in ("1", "true", "yes", "on")
    raise OptionError(f"{name}: {value!r} is neither true nor false")


def parse_choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    """Return the value if it is one of the choices."""
    if value not in choices:
        raise OptionError(f"--{name}: {value!r} is none of {', '.join(choices)}")
    return value


def parse_python(value: str | None) -> str | None:
    """Return ``major.minor``."""
    if value is not None and not re.fullmatch(r"3\.[0-9]+", value):
        raise OptionError(f"--python: {value!r} is not a Python version", hint="write major and minor: 3.12")
    return value


def parse_base(value: str | None) -> str | None:
    """Return the base; it stands in a Dockerfile's FROM, so that only a file's name may have a space."""
    if not value:
        return None
    file = value.startswith(("/", "./", "../", "~", "oci:", "oci-archive:", "oci-layout:", "docker-archive:"))
    if not value.isprintable() or value.startswith("-") or (not file and re.search(r"[\s$`\"'\\|&;<>]", value)):
        raise OptionError(f"--base: {value!r} is no image", hint="name an image: --base python:3.12-slim")
    return value


def parse_apt(package: str) -> str:
    """Return the name of a Debian package, maybe with ``=version``."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+(?:=[A-Za-z0-9.+:~-]+)?", package):
        raise OptionError(
            f"--apt: {package!r} is not the name of a Debian package",
            hint="give --apt once for each name: --apt libgl1",
        )
    return package


def parse_param(text: str) -> tuple[str, str | None]:
    """Return name and default (None where there is none) of ``NAME[=DEFAULT]``."""
    name, equals, default = text.partition("=")
    if not name.isidentifier():
        raise OptionError(f"--param: {name!r} is not a name", hint="write --param NAME or --param NAME=DEFAULT")
    return name, default if equals else None


def parse_name(option: str, text: str) -> str:
    """Return the name of a variable of the program."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise OptionError(f"{option}: {text!r} is not a name", hint=f"write {option} NAME, once for each name")
    return text


def parse_assignment(option: str, text: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"{option}: {text!r} has no '='", hint=f"write {option} NAME=VALUE")
    return parse_variable(option, name), value


_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?")


def parse_alias(text: str) -> tuple[str, str]:
    """Return the two registries of ``OUTSIDE=INSIDE``, each as ``HOST[:PORT]``."""
    outside, _, inside = text.partition("=")
    if not (_HOST.fullmatch(outside) and _HOST.fullmatch(inside)):
        raise OptionError(
            f"--registry-alias: {text!r} does not name two registries",
            hint="write HOST[:PORT]=HOST[:PORT]: as it is called here, and as the cluster calls it",
        )
    return outside, inside


_CRON_FIELD = re.compile(
    r"(?:\*|[0-9A-Za-z]+(?:-[0-9A-Za-z]+)?)(?:/\d+)?(?:,(?:\*|[0-9A-Za-z]+(?:-[0-9A-Za-z]+)?)(?:/\d+)?)*"
)


def parse_schedule(text: str | None) -> str | None:
    """Return a cron expression of five fields, or one of its names (``@daily``); the cluster looks at its numbers."""
    if text is None:
        return None
    fields = text.split()
    named = text in ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
    if not named and (len(fields) != 5 or not all(_CRON_FIELD.fullmatch(one) for one in fields)):
        raise OptionError(
            f"--schedule: {text!r} is no cron expression",
            hint='write five fields, minute hour day month weekday: --schedule "0 6 * * *"',
        )
    return text


def parse_run_variable(text: str) -> tuple[str, str | None]:
    """Return name and value of ``NAME[=VALUE]``; None: the value of this process."""
    name, equals, value = text.partition("=")
    return parse_variable("--run-env", name), value if equals else None


def parse_variable(option: str, name: str) -> str:
    """Return the name of an environment variable."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise OptionError(
            f"{option}: {name!r} is not a variable name", hint="use letters, digits and _, not a digit first"
        )
    return name


def parse_port(text: str) -> PortBinding:
    """Return the binding that ``[[ADDRESS:]HOST:]PORT[/udp]`` means."""
    parts = text.strip().rsplit(":", 2)
    number, _, protocol = parts[-1].partition("/")
    host = parts[-2] if len(parts) > 1 else number
    address = parts[0].strip("[]") if len(parts) == 3 else "127.0.0.1"
    good = re.fullmatch(r"[0-9]{1,5}", number) and re.fullmatch(r"[0-9]{0,5}", host) and protocol in ("", "tcp", "udp")
    if not good or not 0 < int(number) < 65536 or int(host or 0) > 65535:
        raise OptionError(f"--port: {text!r} is not a port", hint="write PORT, HOSTPORT:PORT or ADDRESS:HOSTPORT:PORT")
    return PortBinding(int(number), int(host) if host else None, address, protocol or "tcp")


_CLAIM = re.compile(r"pvc:(?P<claim>[^/:]+):(?P<target>/[^:]*)(?::(?P<mode>ro|rw))?")


def parse_output(text: str | None, base_folder: Path) -> Path | None:
    """Return where the image is written: ``FILE.tar``, or a folder as an OCI layout; that nothing else is there.

    A name with an ending that is not ``.tar`` is taken for the folder that it names where that is there, or where a
    slash ends it: out.txt or image.tar.gz would be a folder that nobody expects.
    """
    if text is None:
        return None
    path = base_folder / Path(text).expanduser()
    archive = path.suffix == ".tar"
    hint = f"write FILE.tar for an archive, or {path.stem.partition('.')[0]}/ for a folder with an OCI layout"
    if archive and path.is_dir():
        raise OptionError(f"--output: {text!r} is a folder, and an archive is a file", hint="name another FILE.tar")
    if not archive and path.exists() and not path.is_dir():
        raise OptionError(f"--output: {text!r} is a file that is there, and no FILE.tar", hint=hint)
    if not archive and not path.exists() and not text.endswith("/") and re.search(r"\.\d*[^\W\d]\w*$", path.name):
        raise OptionError(f"--output: {text!r} is neither a FILE.tar nor a folder that is there", hint=hint)
    return path


def parse_gpus(value: str | None) -> str | None:
    """Return ``all`` or a count."""
    if value is not None and value != "all" and not re.fullmatch(r"[1-9][0-9]{0,3}", value):
        raise OptionError(f"--gpus: {value!r} is neither 'all' nor a number", hint="say how many: --gpus 1")
    return value


def parse_image_id(text: str) -> str:
    """Return an image's id, ``sha256:`` and 64 hex digits; what only begins like one could be another's."""
    if not re.fullmatch(r"(?:sha256:)?[0-9a-f]{64}", text):
        raise OptionError(
            f"--trust-image: {text!r} is no id of an image",
            hint="write sha256: and its 64 digits, as buildr inspect IMAGE shows it",
        )
    return f"sha256:{text.removeprefix('sha256:')}"


def parse_mounts(texts: Iterable[str], base_folder: Path) -> tuple[tuple[Mount, ...], tuple[ClaimMount, ...]]:
    """Return the folders of this machine and the volumes of a cluster, ``pvc:NAME:DST[:ro]``, each in their order."""
    said = [(text, _CLAIM.fullmatch(text)) for text in texts]
    for _, one in said:
        if one is not None:
            parse_object_name("--mount pvc:", one["claim"])
    claims = tuple(ClaimMount(one["claim"], one["target"], one["mode"] == "ro") for _, one in said if one is not None)
    return tuple(parse_mount(text, base_folder) for text, one in said if one is None), claims


def parse_mount(text: str, base_folder: Path) -> Mount:
    """Return the mount that ``SRC:DST[:ro]`` means; SRC must exist."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if not source or not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise OptionError(
            f"--mount: {text!r} is not SRC:DST[:ro]", hint="give DST as an absolute path in the container"
        )
    path = base_folder / Path(source).expanduser()
    if not path.exists():
        raise OptionError(f"--mount: {source!r} does not exist", hint="make the folder first, or correct its path")
    return Mount(path.resolve(), target, mode == "ro")


def parse_secret(text: str, base_folder: Path) -> Secret:
    """Return the secret that ``id=ID[,src=FILE|,env=NAME]`` means; without either it is the variable named ID."""
    parts: dict[str, str] = {}
    for part in text.split(","):
        name, separator, value = part.partition("=")
        if not separator and parts:  # a comma in a path
            parts[[*parts][-1]] += f",{part}"
        else:
            parts[{"source": "src"}.get(name.strip(), name.strip())] = value
    kind = parts.pop("type", None)
    if kind == "env" and "src" in parts:
        parts["env"] = parts.pop("src")
    if not re.fullmatch(r"\w[\w.-]*", parts.get("id", "")) or set(parts) - {"id", "src", "env"} or len(parts) > 2:
        raise OptionError(
            f"--secret: {text!r} is not id=ID[,src=FILE|,env=NAME]", hint="write --secret id=token,env=TOKEN"
        )
    source = base_folder / Path(parts["src"]).expanduser() if parts.get("src") else None
    return Secret(parts["id"], source, parts.get("env"))


def parse_agent(text: str) -> tuple[str, str | None]:
    """Return name and socket of ``ID[=SOCKET]``."""
    name, separator, socket = text.partition("=")
    if not name or (separator and not socket):
        raise OptionError(
            f"--ssh: {text!r} is not ID[=SOCKET]", hint="write --ssh default for the agent of SSH_AUTH_SOCK"
        )
    return name, socket or None


def parse_age(text: str) -> float:
    """Return the seconds that ``30m``, ``12h``, ``7d`` or ``2w`` mean. Raises ValueError."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no time: 30m, 12h, 7d or 2w")
    return float(found[1]) * _UNITS[found[2]]


def parse_size(option: str, value: str | None) -> int | None:
    """Return bytes for ``512m``, ``2g``."""
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)i?b?", str(value).strip().lower())
    size = float(match[1]) * 1024 ** " kmgt".index(match[2] or " ") if match else 0.0
    if not 1 <= size < 1 << 63:  # 0 is no limit to an engine, and what is larger is no number to it
        raise OptionError(f"{option}: {value!r} is not a size", hint="write it as 512m or 2g")
    return int(size)


def parse_map(text: str) -> tuple[str, str]:
    """Return name and values of ``NAME=VALUES``; raises OptionError."""
    name, equals, values = text.partition("=")
    if not equals or not name.isidentifier():
        raise OptionError(f"--map: {text!r} is not NAME=VALUES", hint="write --map rate=0.1,0.01, or --map depth=2..6")
    return name, values


def parse_set(text: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``; raises OptionError."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise OptionError(f"--set: {text!r} is not NAME=VALUE", hint="write --set n=4")
    return name, value


def parse_count(option: str, value: object, default: int, *, least: int = 0) -> int:
    """Return a whole number of at least ``least``, the default for None."""
    if value is None:
        return default
    text = str(value).strip()
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
        raise OptionError(
            f"{option}: {value!r} is not a whole number from {least} on", hint=f"write it as {option} {max(least, 2)}"
        )
    return int(text)


def parse_number(option: str, value: float | str | None) -> float | None:
    """Return a number above 0, None for None."""
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if not 0 < number < float("inf"):
        raise OptionError(f"{option}: {value!r} is not a number above 0", hint=f"write it as {option} 1.5")
    return number


def parse_platforms(value: str | None) -> tuple[str, ...]:
    """Return the platforms of a comma-separated list."""
    names = tuple(part.strip() for part in (value or "").split(",") if part.strip())
    for name in names:
        if not re.fullmatch(r"[a-z]+/[a-z0-9_]+(?:/v[0-9]+)?", name):
            raise OptionError(f"--platform: {name!r} is not a platform", hint="write it as linux/amd64 or linux/arm64")
    return names
