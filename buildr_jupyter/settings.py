"""Defaults and where each came from.

Line > ``%config`` > ``BUILDR_*`` > the user's IPython config > ``[tool.buildr]`` of a pyproject.toml above the
notebook > the site's file. A pyproject may be a stranger's: what would send something out of
the machine is not taken from it.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildr_jupyter.errors import SettingError
from buildr_jupyter.option import OPTIONS, SETTINGS

__all__ = ["SETTINGS", "Setting", "find_pyproject", "gather", "read_pyproject", "read_site", "site_files"]

DEFAULTS = {"builder": "auto", "ui": "auto", "publish": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it was said."""

    name: str
    value: Any
    origin: str
    """``the line``, ``%config``, ``BUILDR_BASE``, a file's name, ``default``."""


def gather(
    *,
    line: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    ipython: Mapping[str, Any] | None = None,
    pyproject: Path | None = None,
    site: tuple[Path, ...] = (),
) -> dict[str, Setting]:
    """Return every option that is set anywhere, and the defaults, by field name; the first source above wins.

    Raises SettingError for a file that does not parse or that sets what it may not.
    """
    found: dict[str, Setting] = {}

    def take(values: Mapping[str, Any], origin: str) -> None:
        for name, value in values.items():
            if value is not None and name not in found:
                found[name] = Setting(name, value, origin)

    take(line, "the line")
    take(config or {}, "%config")
    for option in SETTINGS:
        variable = f"BUILDR_{option.field.upper()}"
        if value := (environ or {}).get(variable):
            take({option.field: value}, variable)
    take(ipython or {}, "IPython config")
    if pyproject:
        take(read_pyproject(pyproject), str(pyproject))
    for path in site:
        take(read_site(path), str(path))
    take(DEFAULTS, "default")
    return found


def read_pyproject(path: Path) -> dict[str, Any]:
    """Return ``[tool.buildr]`` of a pyproject.toml, {} where it has none."""
    values = _read_toml(path).get("tool", {}).get("buildr", {})
    allowed = {option.field for option in SETTINGS if option.project}
    for name in values:
        if name.replace("-", "_") not in allowed:
            known = {option.field for option in OPTIONS}
            why = "may not be set by a project" if name.replace("-", "_") in known else "is not a setting"
            raise SettingError(
                f"{path}: [tool.buildr] {name} {why}",
                hint="say it on the line, with %config or as BUILDR_…; a project may set " + ", ".join(sorted(allowed)),
            )
    return {name.replace("-", "_"): value for name, value in values.items()}


def read_site(path: Path) -> dict[str, Any]:
    """Return the settings of a site's ``buildr.toml``, {} where the file does not exist."""
    if not path.is_file():
        return {}
    values = {name.replace("-", "_"): value for name, value in _read_toml(path).items()}
    known = {option.field for option in SETTINGS}
    if unknown := sorted(set(values) - known):
        raise SettingError(f"{path}: {unknown[0]} is not a setting", hint=f"settings: {', '.join(sorted(known))}")
    return values


def site_files() -> tuple[Path, ...]:
    """Return where a site's defaults may lie, the nearest first: the environment's, then the machine's."""
    roots = [Path(sys.prefix) / "etc", Path("/usr/local/etc"), Path("/etc")]
    return tuple(dict.fromkeys(root / "buildr" / "buildr.toml" for root in roots))


def find_pyproject(folder: Path) -> Path | None:
    """Return the nearest pyproject.toml at or above ``folder`` with a ``[tool.buildr]``, None where there is none."""
    for place in (folder, *folder.parents):
        path = place / "pyproject.toml"
        if path.is_file() and "buildr" in _read_toml(path).get("tool", {}):
            return path
    return None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"settings file {path} cannot be read: {error}", hint="mend the file") from error
