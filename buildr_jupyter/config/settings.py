"""Settings: defaults, and where each came from.

Line > ``%config`` > ``BUILDR_*`` > the user's IPython config > ``[tool.buildr]`` of a pyproject.toml above the
notebook > the site's file. A file may come from anybody: it counts only if nobody else could have written it, and a
project may set only what describes the image and reaches nothing.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from buildr_jupyter.config.notebook_line import registry_of
from buildr_jupyter.config.options import OPTIONS, SETTINGS, Option
from buildr_jupyter.config.suggestions import nearest, nearest_hint
from buildr_jupyter.errors import SettingError
from buildr_jupyter.model.progress import BuildWarning

__all__ = [
    "Setting",
    "SettingsFile",
    "gather",
    "misread",
    "read_project",
    "read_site",
    "site_files",
    "trusted_owners",
    "why_untrusted",
]

DEFAULTS = {"builder": "auto", "ui": "auto", "publish": False}
PROJECT = tuple(option for option in OPTIONS if option.project)
"""What ``[tool.buildr]`` may set."""
_OWNERS = "trusted_owners"
_BY_DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it was said."""

    name: str
    value: Any
    origin: str
    """``the line``, ``%config``, ``BUILDR_BASE``, a file's name, ``default``."""


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """What one settings file says."""

    path: Path | None = None
    """None where no file was found."""
    values: Mapping[str, object] = field(default_factory=dict)
    """By field name."""
    warnings: tuple[BuildWarning, ...] = ()
    """About files that do not count."""
    owners: tuple[str | int, ...] = ()
    """A site's list of users, by name or number, whose settings files count."""


def gather(
    *,
    line: Mapping[str, object],
    config: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    ipython: Mapping[str, object] | None = None,
    project: SettingsFile | None = None,
    site: tuple[SettingsFile, ...] = (),
) -> dict[str, Setting]:
    """Return every option that is set anywhere, and the defaults, by field name; the first source above wins."""
    found: dict[str, Setting] = {}

    def take(values: Mapping[str, object], origin: str) -> None:
        for name, value in values.items():
            if value is not None and name not in found:
                found[name] = Setting(name, value, origin)

    take(line, "the line")
    take(config or {}, "%config")
    for option in SETTINGS:
        variable = f"BUILDR_{option.field.upper()}"
        if value := (environ or {}).get(variable):
            take({option.field: value.split() if option.kind == "list" else value}, variable)
    take(ipython or {}, "IPython config")
    for file in (*([project] if project else []), *site):
        take(file.values, str(file.path))
    take(DEFAULTS, "default")
    return found


def misread(environ: Mapping[str, str]) -> tuple[BuildWarning, ...]:
    """Return a warning for each ``BUILDR_*`` variable that is meant as a setting and is none: a typo, or an option."""
    known = {f"BUILDR_{option.field.upper()}": option for option in SETTINGS}
    options = {f"BUILDR_{option.field.upper()}": option for option in OPTIONS}
    found = []
    for variable in sorted(environ):
        if not variable.startswith("BUILDR_") or variable in known:
            continue
        if variable in options:
            hint = f"write --{options[variable].name} on the line"
            found.append(BuildWarning(f"{variable} has no effect: --{options[variable].name} is no setting", hint))
        elif near := nearest(variable, known, shared="BUILDR_"):
            found.append(BuildWarning(f"{variable} has no effect", f"write {near} if you meant that"))
    return tuple(found)


def read_project(folder: Path, *, owners: Collection[int] = ()) -> SettingsFile:
    """Return ``[tool.buildr]`` of the nearest pyproject.toml at or above ``folder`` that has one and counts.

    A file that others may have written does not count, which is a warning; so is one of another user that does not
    parse. ``owners`` are the user ids that a site trusts. Raises SettingError for a file of this user that does not
    parse, and for a setting that a project may not make.
    """
    warnings: list[BuildWarning] = []
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        try:
            if not path.is_file():
                continue
            text, doubt = _read(path, owners)
        except (OSError, UnicodeDecodeError) as error:
            warnings.append(BuildWarning(f"settings file {path} does not count: {_reason(error)}"))
            continue
        if doubt:
            if "buildr" in text:
                warnings.append(_does_not_count(path, doubt))
            continue
        import tomllib

        try:
            table = tomllib.loads(text).get("tool", {})
        except tomllib.TOMLDecodeError as error:
            if _is_mine(path):
                raise _unreadable(path, error) from error
            warnings.append(BuildWarning(f"settings file {path} does not count: it does not parse: {error}"))
            continue
        if isinstance(table, dict) and "buildr" in table:
            return SettingsFile(path, _project_values(path, table["buildr"]), tuple(warnings))
    return SettingsFile(warnings=tuple(warnings))


def _project_values(path: Path, table: object) -> dict[str, object]:
    if not isinstance(table, dict):
        raise SettingError(f"{path}: [tool.buildr] is not a table", hint='write it as [tool.buildr] and base = "…"')
    allowed = {option.field: option for option in PROJECT}
    values = {}
    for written, value in table.items():
        name = written.replace("-", "_")
        if name not in allowed:
            known = {option.field for option in OPTIONS}
            listed = f"a project may set {', '.join(sorted(allowed))}"
            if name in known:
                why, hint = "may not be set by a project", f"say it on the line, with %config or as BUILDR_…; {listed}"
            else:
                why, hint = "is not a setting", nearest_hint(name, allowed, listed)
            raise SettingError(f"{path}: [tool.buildr] {written} {why}", hint=hint)
        values[name] = _typed(path, allowed[name], value)
        if name == "name" and registry_of(value):
            raise SettingError(
                f"{path}: [tool.buildr] name {value!r} names a registry, which a project may not choose",
                hint="write the name alone, and --repository HOST/PATH on the line or BUILDR_REPOSITORY",
            )
        if name == "root":
            values[name] = str(path.parent.absolute() / value)
        if name == "base" and not _BY_DIGEST.fullmatch(value):
            raise SettingError(
                f"{path}: [tool.buildr] base {value!r} is not named by its digest",
                hint='write base = "NAME@sha256:…", or say it on the line or as BUILDR_BASE',
            )
    return values


def read_site(path: Path) -> SettingsFile:
    """Return what a site's ``buildr.toml`` says; nothing where the file does not exist.

    Beside the settings it may hold ``trusted-owners``, a list of user names or ids. Raises SettingError for a file
    that does not parse or that sets what is no setting.
    """
    if not path.is_file():
        return SettingsFile()
    import tomllib

    try:
        text, doubt = _read(path, ())
        if doubt:
            return SettingsFile(path, warnings=(_does_not_count(path, doubt),))
        said = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _unreadable(path, error) from error
    written = {name.replace("-", "_"): value for name, value in said.items()}
    owners = written.pop(_OWNERS, [])
    if not isinstance(owners, list) or not all(isinstance(o, str | int) and not isinstance(o, bool) for o in owners):
        raise SettingError(
            f"{path}: trusted-owners is a list of user names or ids", hint='write trusted-owners = ["jovyan"]'
        )
    known = {option.field: option for option in SETTINGS}
    if unknown := sorted(set(written) - set(known)):
        raise SettingError(
            f"{path}: {unknown[0]} is not a setting",
            hint=nearest_hint(unknown[0], known, f"choose one of: {', '.join(sorted(known))}"),
        )
    values = {name: _typed(path, known[name], value) for name, value in written.items()}
    return SettingsFile(path, values, owners=tuple(owners))


def site_files() -> tuple[Path, ...]:
    """Return where a site's defaults may lie, the nearest first: the environment's, then the machine's."""
    roots = [Path(sys.prefix) / "etc", Path("/usr/local/etc"), Path("/etc")]
    return tuple(dict.fromkeys(root / "buildr" / "buildr.toml" for root in roots))


def trusted_owners(site: Collection[SettingsFile]) -> frozenset[int]:
    """Return the user ids that the site's files trust; names that this machine does not know are passed over."""
    found = set()
    for owner in (owner for file in site for owner in file.owners):
        if isinstance(owner, int):
            found.add(owner)
            continue
        try:
            import pwd

            found.add(pwd.getpwnam(owner).pw_uid)
        except (ImportError, KeyError):
            continue
    return frozenset(found)


def why_untrusted(status: os.stat_result, owners: Collection[int] = ()) -> str | None:
    """Return why a settings file with this status does not count, None where it does.

    It counts if it is not world-writable and its owner is this user, root or one of ``owners``. Windows has neither
    owners nor modes of this kind, and each file counts.
    """
    if not hasattr(os, "getuid"):
        return None
    if status.st_mode & stat.S_IWOTH:
        return "everybody may write to it"
    if status.st_uid not in {os.getuid(), 0, *owners}:
        return f"it belongs to user {status.st_uid}, who is neither you nor trusted by the site"
    return None


def _read(path: Path, owners: Collection[int]) -> tuple[str, str | None]:
    """Return a file's text and why it does not count; both are of the very file that was opened."""
    with path.open("rb") as file:
        doubt = why_untrusted(os.fstat(file.fileno()), owners)
        content = file.read()
    return content.decode("utf-8", errors="replace" if doubt else "strict"), doubt


def _is_mine(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _does_not_count(path: Path, doubt: str) -> BuildWarning:
    return BuildWarning(
        f"settings file {path} does not count: {doubt}",
        hint="own the file and chmod o-w it, or let the site's buildr.toml list its owner in trusted-owners",
    )


def _typed(path: Path, option: Option, value: object) -> object:
    """Return a value of a settings file if it has the option's type; raises SettingError."""
    if option.kind == "flag":
        good, wanted = isinstance(value, bool), "true or false"
    elif option.kind == "list":
        good = isinstance(value, list) and all(isinstance(one, str) for one in value)
        wanted = "a list of texts"
    else:
        good, wanted = isinstance(value, str), "a text"
    if not good:
        raise SettingError(f"{path}: {option.name} is {value!r}", hint=f"give {option.name} as {wanted}")
    return value


def _unreadable(path: Path, error: Exception) -> SettingError:
    return SettingError(f"settings file {path} cannot be read: {_reason(error)}", hint="correct the file")


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
