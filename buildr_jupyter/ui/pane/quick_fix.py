"""Quick fix: a failure in, the very line to use instead out."""

from __future__ import annotations

import re
import shlex

from buildr_jupyter.errors import RegistryDenied, RegistryUnauthorized

__all__ = ["suggest_line"]

_PACKAGES: tuple[tuple[str, str], ...] = (
    (r"pg_config(?: executable)? not found|libpq-fe\.h", "libpq-dev"),
    (r"mysql_config|Can not find valid pkg-config name.*mysql|mysql\.h: No such file", "default-libmysqlclient-dev"),
    (r"ffi\.h: No such file", "libffi-dev"),
    (r"xmlsec1|libxml/\w+\.h: No such file|xml2-config", "libxml2-dev"),
    (r"openssl/\w+\.h: No such file", "libssl-dev"),
    (r"libGL\.so\.1", "libgl1"),
    (r"libglib-2\.0\.so\.0|libgthread-2\.0\.so\.0", "libglib2.0-0"),
    (r"libgomp\.so\.1", "libgomp1"),
    (r"libpq\.so\.5", "libpq5"),
    (r"[Cc]annot find command ['\"]git['\"]|\bgit: (?:command )?not found|executable.*\bgit\b.*not found", "git"),
    (r"\bffmpeg: (?:command )?not found|No such file or directory: ['\"]ffmpeg['\"]", "ffmpeg"),
    (r"\bcurl: (?:command )?not found", "curl"),
    (r"\bmake: (?:command )?not found|\bcmake: (?:command )?not found", "build-essential"),
    (
        (
            r"(?:error: )?command ['\"]?(?:\S*-)?(?:gcc|cc|g\+\+|c\+\+)['\"]? failed: No such file"
            r"|\b(?:gcc|g\+\+|cc): (?:command )?not found|Unknown compiler\(s\)|fatal error: Python\.h"
        ),
        "build-essential",
    ),
)
_LIBRARY = re.compile(r"\blib([\w+-]+?)\.so(?:\.(\d+))?: cannot open shared object file")
_NO_VERSION = re.compile(
    r"(?:Could not find a version that satisfies the requirement|No matching distribution found for|"
    r"there is no version of)\s+([\w.-]+)(?:\[[^\]]*\])?\s*==\s*([\w.!+-]*\w)"
)
_WHEELS_ONLY = re.compile(r"no wheel|wheels? only|only wheels", re.IGNORECASE)
_HOST = re.compile(r"buildr login (\S+)")


def suggest_line(line: str, error: BaseException, log: tuple[str, ...] = ()) -> str | None:
    """Return the line to use instead of ``line`` (with its ``%%containerize``), None where no line would help.

    ``log`` is the end of the build's output. A missing login is answered by the magic that logs in.
    """
    if isinstance(error, RegistryUnauthorized | RegistryDenied):
        host = _HOST.search(getattr(error, "hint", None) or "")
        return f"%containerize --login {host[1].rstrip('.,')}" if host else None
    text = "\n".join((*log, *getattr(error, "log_tail", ()), str(error)))
    package = next((name for pattern, name in _PACKAGES if re.search(pattern, text)), None)
    if package is None and (found := _LIBRARY.search(text)):
        name = f"lib{found[1]}".lower()
        package = f"{name}-{found[2]}" if found[2] and name[-1].isdigit() else f"{name}{found[2] or ''}"
    if package and "--dockerfile" not in line:  # there the packages are the Dockerfile's own affair
        return _with(line, "--apt", package)
    if (found := _NO_VERSION.search(text)) and "--dockerfile" not in line:
        return _with(line, "--requirement", f"{found[1]}!={found[2]}")  # the bare name is the installed version again
    if _WHEELS_ONLY.search(text) and "--builder" not in line:
        return _with(line, "--builder", "docker")
    return None


def _with(line: str, option: str, value: str) -> str | None:
    addition = f"{option} {shlex.quote(value)}"
    return None if addition in line else f"%%containerize {line.strip()} {addition}".replace("  ", " ")
