"""Notebook line: what a cell's own line may set when the notebook is read from a file.

The file may come from anybody, so the line is held against a list of what is allowed: what describes the image and
reaches nothing. All else counts only when the command line or the user's or the site's settings say it, and what was
left out is told. In a kernel the line is typed by the user, and nothing of this applies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath, PureWindowsPath

from buildr_jupyter.errors import ImageRefError
from buildr_jupyter.model.image_ref import ImageRef

__all__ = ["RULES", "LeftOut", "Rule", "allowed_part", "is_listed_base", "registry_of", "render_table"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a notebook file's line may give one option."""

    says: str
    """The rule in words, for messages and the documentation; empty where the option never counts."""
    allows: Callable[[str, Sequence[str]], bool]
    """Whether one value counts; the second argument lists the repositories that a base may come from."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An option, or one value of it, that did not count."""

    option: str
    """As it is written: ``--publish``; ``NAME`` for the image's name."""
    rule: str
    """What would have counted; empty where nothing does."""

    def __str__(self) -> str:
        return f"{self.option} ({self.rule} would count)" if self.rule else self.option


def _any(_value: str, _bases: Sequence[str]) -> bool:
    return True


def _never(_value: str, _bases: Sequence[str]) -> bool:
    return False


def _is_name(value: str, _bases: Sequence[str]) -> bool:
    return registry_of(value) is None


def registry_of(value: str) -> str | None:
    """Return the registry in front of a name; a text that is no reference at all is refused later, by name."""
    try:
        return ImageRef.parse(value).registry
    except ImageRefError:
        head, slash, _ = value.partition("/")
        return head if slash and re.search(r"[.:\[]|^localhost$", head) else None


def _is_inside(value: str, _bases: Sequence[str]) -> bool:
    """Tell whether a path or pattern stays below the notebook's folder, in POSIX's and in Windows' spelling."""
    if value.startswith("~"):
        return False
    for path in (PurePath(value), PureWindowsPath(value)):
        if path.is_absolute() or path.drive or path.root or ".." in path.parts:
            return False
    return True


def _is_port(value: str, _bases: Sequence[str]) -> bool:
    return re.fullmatch(r"(?:\d{1,5}:)?\d{1,5}(?:/(?:tcp|udp))?", value) is not None


def _is_requirement(value: str, _bases: Sequence[str]) -> bool:
    from buildr_jupyter.config.requirement_text import is_plain_requirement

    return is_plain_requirement(value)


def is_listed_base(value: str, bases: Sequence[str]) -> bool:
    """Tell whether an image is of one of these repositories."""
    try:
        wanted = ImageRef.parse(value)
        listed = [ImageRef.parse(base.rstrip("/")) for base in bases]
    except ImageRefError:
        return False
    place = (wanted.registry_host, wanted.registry_path)
    return any(place == (one.registry_host, one.registry_path) for one in listed)


_NAME = Rule("a name without a registry", _is_name)
_FOLDER = Rule("a path inside the notebook's folder", _is_inside)
_YES = Rule("any value", _any)
_NO = Rule("", _never)

RULES: Mapping[str, Rule] = {
    "image": _NAME,
    "name": _NAME,
    "tag": _YES,
    "param": _YES,
    "return": _YES,
    "trust_image": _NO,
    "map": _NO,
    "map_from": _NO,
    "map_file": _NO,
    "map_zip": _NO,
    "map_limit": _NO,
    "iterations": _NO,
    "jobs": _NO,
    "retries": _NO,
    "fail_fast": _NO,
    "again": _NO,
    "env": _YES,
    "apt": _YES,
    "python": _YES,
    "requirement": Rule("a requirement by name", _is_requirement),
    "include": _FOLDER,
    "exclude": _FOLDER,
    "root": _NO,
    "port": Rule("PORT or HOSTPORT:PORT, which opens 127.0.0.1 alone", _is_port),
    "base": Rule("a repository that the setting allow-base lists", is_listed_base),
    "repository": _NO,
    "publish": _NO,
    "run": _NO,
    "here": _NO,
    "builder": _NO,
    "snapshot": _NO,
    "snapshot_limit": _NO,
    "recompute": _NO,
    "run_env": _NO,
    "mount": _NO,
    "set": _NO,
    "collect": _NO,
    "no_collect": _NO,
    "memory": _NO,
    "cpus": _NO,
    "gpus": _NO,
    "on": _NO,
    "replicas": _NO,
    "shards": _NO,
    "public": _NO,
    "schedule": _NO,
    "timezone": _NO,
    "node_selector": _NO,
    "toleration": _NO,
    "service_account": _NO,
    "queue": _NO,
    "pod_template": _NO,
    "pull_secret": _NO,
    "registry_alias": _NO,
    "dockerfile": _NO,
    "secret": _NO,
    "ssh": _NO,
    "cache_from": _NO,
    "cache_to": _NO,
    "context": _NO,
    "output": _NO,
    "platform": _NO,
    "allow_secret": _NO,
    "allow_base": _NO,
    "ui": _NO,
    "dry_run": _NO,
    "check": _NO,
    "check_time": _NO,
    "no_check": _NO,
    "no_cache": _NO,
    "pull": _NO,
    "quiet": _NO,
    "fallback_local": _NO,
    "help": _NO,
    "notebook": _NO,
    "detach": _NO,
    "keep": _NO,
    "status": _NO,
    "runs": _NO,
    "login": _NO,
    "export": _NO,
}
"""Every option of the line by its field. A test fails where an option of the parser has no row."""


def allowed_part(said: Mapping[str, object], bases: Sequence[str]) -> tuple[dict[str, object], tuple[LeftOut, ...]]:
    """Return what counts of a parsed line, and what was left out, in the order of the line's options.

    ``bases`` lists the repositories of bases that the user's or the site's settings allow. An option without a row
    in ``RULES`` does not count.
    """
    kept: dict[str, object] = {}
    left_out: dict[LeftOut, None] = {}
    for name, value in said.items():
        if value is None or value is False:
            continue
        rule = RULES.get(name, _NO)
        values = value if isinstance(value, list) else [value]
        good = [one for one in values if rule.allows(str(one), bases)]
        if len(good) < len(values):
            left_out[LeftOut("NAME" if name == "image" else f"--{name.replace('_', '-')}", rule.says)] = None
        if good:
            kept[name] = good if isinstance(value, list) else value
    return kept, tuple(left_out)


def render_table() -> str:
    """Return the rules as a Markdown table, those that allow something first."""
    rows = ["| option | from a notebook file |", "|---|---|"]
    shown = {"NAME" if name == "image" else f"--{name.replace('_', '-')}": rule.says for name, rule in RULES.items()}
    rows += [f"| `{option}` | {says} |" for option, says in shown.items() if says]
    never = ", ".join(f"`{option}`" for option, says in shown.items() if not says)
    return "\n".join([*rows, f"| {never} | never: on the command line or in the settings |", ""])
