"""Requirement text: what may become a line of requirements.txt, and what no installer ever gets to read.

uv and pip read far more than PEP 508: options (``-e``, ``-r``, ``--extra-index-url``), paths, and variables of the
environment, which they put in. Each of these runs code of the notebook's folder on this machine or sends a login
elsewhere, so a text is parsed here first, and only what was parsed is written.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from buildr_jupyter.errors import OptionError

if TYPE_CHECKING:
    from packaging.requirements import Requirement as Pep508

__all__ = ["is_plain_requirement", "parse_plain", "parse_requirement"]

_HASH = re.compile(r"(?:^|&)(?:sha256=[0-9a-f]{64}|sha384=[0-9a-f]{96}|sha512=[0-9a-f]{128})(?:&|$)")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_VCS = ("git+https", "git+ssh", "hg+https")
_ARCHIVE = re.compile(r".*\.(?:whl|zip|tar|tgz|tbz|txz|tlz|tar\.\w+)", re.IGNORECASE)  # a file, to pip and uv
_HINT = "write a name with versions, name==1.2, or 'name @ https://…#sha256=…' or 'name @ git+https://…@COMMIT'"


def is_plain_requirement(text: str) -> bool:
    """Tell whether ``text`` is a PEP 508 requirement by name: no address, no option, no variable."""
    try:
        parse_plain(text, "")
    except OptionError:
        return False
    return True


def parse_plain(text: str, why: str) -> Pep508:
    """Return the requirement by name that ``text`` is; raises OptionError for all else."""
    found = parse_requirement(text, why)
    if found.url is not None:
        raise OptionError(f"requirement {text!r} ({why}) names an address", hint=f"name the distribution: {found.name}")
    return found


def parse_requirement(text: str, why: str) -> Pep508:
    """Return the PEP 508 requirement that ``text`` is; ``why`` says where it was found.

    A direct reference is https with a hash in its fragment, or a version control address with a full commit; it has
    no login in it. Raises OptionError for everything else that an installer would understand: options, paths,
    ``file:``, editables, ``${VARIABLE}``.
    """
    where = f"requirement {text!r} ({why})"
    if "${" in text or not text.isprintable():
        raise OptionError(f"{where} holds a variable or a control character, which is never put in", hint=_HINT)
    if text.lstrip().startswith("-"):
        raise OptionError(
            f"{where} is an option of an installer, not a requirement",
            hint="set the index with PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, and name distributions only",
        )
    from packaging.requirements import InvalidRequirement, Requirement  # most programs of a cell need no package

    try:
        found = Requirement(text)
    except InvalidRequirement as error:
        raise OptionError(f"{where} is not a requirement: {str(error).splitlines()[0]}", hint=_HINT) from error
    if found.url is None and _ARCHIVE.fullmatch(found.name):
        raise OptionError(f"{where} names a file", hint=_HINT)
    if found.url is not None and (wrong := _why_not_address(found.url)):
        raise OptionError(f"{where}: {wrong}", hint=_HINT)
    return found


def _why_not_address(url: str) -> str | None:
    """Return what is wrong with the address of a direct reference, None for one that says exactly what it gets."""
    try:
        parts = urlsplit(url)
        login = parts.password is not None or (parts.username is not None and "ssh" not in parts.scheme)
    except ValueError:
        return "its address does not parse"
    if login:
        return "its address holds a login"
    if not parts.hostname or "$" in url:
        return "its address names no host"
    if parts.scheme == "https":
        return None if _HASH.search(parts.fragment) else "its address has no hash of the file"
    if parts.scheme in _VCS:
        return None if _COMMIT.fullmatch(parts.path.rpartition("@")[2]) else "its address names no full commit"
    return f"its address is {parts.scheme or 'no'}://, and only https and version control over TLS or ssh are taken"
