"""What must not leave: credentials in the program, in files and in the settings of an image.

``check`` reads everything that a plan would put into an image, before anything is sent: files, wheels and other zips
member by member, snapshots, settings, labels, the Dockerfile. A finding names the file, the line and the kind, never
the value. What a credential looks like is said in ``leaks.py``.
"""

from __future__ import annotations

import fnmatch
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from buildr_jupyter import leaks
from buildr_jupyter.errors import LeakError
from buildr_jupyter.model import FileEntry, ImagePlan

__all__ = ["Finding", "check", "iter_findings", "never_included"]

_NEVER = (
    ".env", ".env.*", ".git", ".aws", ".azure", ".gnupg", ".kube", ".ssh", ".docker", ".netrc", "_netrc", ".pypirc",
    ".pgpass", ".npmrc", ".ipynb_checkpoints", "__pycache__", "*.pyc", ".venv", ".pytest_cache", "*.egg-info",
    "*.pem", "*.key", "*.p12", "*.pfx", "*.keystore", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*",
    "cookies.txt", "Cookies", "credentials.json", "secrets.toml", "secrets.yaml", "secrets.yml",
)  # fmt: skip
_KEEPS_LOGINS = (
    ".env", ".env.*", ".git-credentials", ".aws", ".azure", ".gnupg", ".kube", ".ssh", ".docker", ".netrc", "_netrc",
    ".pypirc", ".pgpass", "*.p12", "*.pfx", "*.keystore", "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "cookies.txt",
    "Cookies", "cookies.sqlite",
)  # fmt: skip
"""Files that hold logins whatever they say; where the program names one itself, the build stops."""
_PIECE = 8 << 20
_OVERLAP = 16 << 10
_UNPACKED_LIMIT = 256 << 20
_MAX_FINDINGS = 20
"""In one file."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that looks like a credential."""

    kind: str
    """``github-pat``, ``value of $DB_PASSWORD``, ``file of logins`` …"""
    where: str
    """``app/main.py, line 12``, ``app/state/values.pickle, byte 312``, ``--env DB_PASSWORD``."""

    def __str__(self) -> str:
        return f"{self.where}: {self.kind}"


def never_included(path: str) -> bool:
    """Tell whether a file never goes into an image by itself: keys, logins, version control, caches."""
    return any(fnmatch.fnmatchcase(part, pattern) for part in PurePosixPath(path).parts for pattern in _NEVER)


def iter_findings(plan: ImagePlan, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what looks like a credential in the plan's files and settings, in the order of the files."""
    values = leaks.secret_values(environ)
    for entry in plan.all_files:
        yield from _in_entry(entry, values)
    texts = [(f"--env {name}", f"{name}={value}") for name, value in plan.environment]
    texts += [(f"label {name}", f"{name}={value}") for name, value in plan.labels]
    texts += [("the entrypoint", word) for word in plan.entrypoint]
    texts += [("a system package", word) for word in plan.system_packages]
    texts += [(f"requirement {_bare(one.text)}", one.text) for one in plan.requirements]
    if plan.dockerfile:
        texts += [(f"build argument {name}", f"{name}={value}") for name, value in plan.dockerfile.build_args]
    for where, text in texts:
        for kind in dict.fromkeys(hit.kind for hit in leaks.search_deeply(text.encode(errors="replace"), values)):
            yield Finding(kind, where)
    if plan.dockerfile:
        yield from _in_bytes("Dockerfile", plan.dockerfile.text.encode(errors="replace"), values)


def _bare(requirement: str) -> str:
    """Return the name of a requirement: what follows may be an address with a login."""
    return requirement.partition("@")[0].partition("=")[0].strip()


def _in_entry(entry: FileEntry, values: Mapping[str, bytes]) -> Iterator[Finding]:
    if any(fnmatch.fnmatchcase(part, pattern) for part in PurePosixPath(entry.path).parts for pattern in _KEEPS_LOGINS):
        yield Finding("file of logins", entry.path)
        return
    with entry.open() as stream:
        start = stream.read(4)
        stream.seek(0)
        if start == b"PK\x03\x04":
            yield from _in_zip(entry.path, stream, values)
        elif start[:2] == b"\x1f\x8b":
            yield from _in_gzip(entry.path, stream, values)
        else:
            yield from _in_stream(entry.path, stream, values)


def _in_stream(
    where: str, stream: IO[bytes], values: Mapping[str, bytes], limit: int | None = None
) -> Iterator[Finding]:
    """Search a file of any size piece by piece; a piece begins a little before the end of the one before it."""
    at, lines, kept = 0, 0, b""
    found: set[Finding] = set()
    while piece := stream.read(_PIECE):
        content = kept + piece
        for finding in _in_bytes(where, content, values, line=lines, offset=at - len(kept)):
            if finding not in found and len(found) < _MAX_FINDINGS:
                found.add(finding)
                yield finding
        at += len(piece)
        kept = content[-_OVERLAP:]
        lines += content[: -len(kept)].count(b"\n")
        if limit is not None and at >= limit:
            return


def _in_bytes(
    where: str, content: bytes, values: Mapping[str, bytes], *, line: int = 0, offset: int = 0
) -> Iterator[Finding]:
    binary = leaks.is_binary(content)
    for hit in leaks.search_deeply(content, values):
        above = line + content.count(b"\n", 0, hit.start)
        place = f"byte {offset + hit.start}" if binary else f"line {above + 1}"
        yield Finding(hit.kind, f"{where}, {place}")


def _in_zip(where: str, stream: IO[bytes], values: Mapping[str, bytes]) -> Iterator[Finding]:
    try:
        with zipfile.ZipFile(stream) as archive:
            left = _UNPACKED_LIMIT
            for member in archive.infolist():
                name = f"{where}!{member.filename}"
                if any(fnmatch.fnmatchcase(PurePosixPath(member.filename).name, one) for one in _KEEPS_LOGINS):
                    yield Finding("file of logins", name)
                elif left > 0 and not member.is_dir():
                    with archive.open(member) as inner:
                        yield from _in_stream(name, inner, values, left)
                    left -= member.file_size
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):  # damaged, or locked
        stream.seek(0)
        yield from _in_stream(where, stream, values)


def _in_gzip(where: str, stream: IO[bytes], values: Mapping[str, bytes]) -> Iterator[Finding]:
    try:
        with gzip.open(stream) as inner:
            yield from _in_stream(where, io.BufferedReader(inner), values, _UNPACKED_LIMIT)
    except (OSError, EOFError, zlib.error):
        stream.seek(0)
        yield from _in_stream(where, stream, values)


def check(plan: ImagePlan, environ: Mapping[str, str], *, allow: Iterable[str] = ()) -> None:
    """Raise LeakError, naming every finding and no value, unless each is allowed by its kind or its place.

    ``allow`` takes a kind (``github-pat``), a file (``app/main.py``), or a variable's name (``DB_PASSWORD``).
    """
    allowed = set(allow)
    findings = [one for one in iter_findings(plan, environ) if not allowed & _names(one)]
    if findings:
        shown = "; ".join(str(finding) for finding in findings[:5])
        more = f"; and {len(findings) - 5} more" if len(findings) > 5 else ""
        kind = findings[0].kind.removeprefix("value of $")
        raise LeakError(
            f"credentials would go into the image: {shown}{more}",
            hint="read them at run time (--run-env NAME, --param NAME), give them to a step of a Dockerfile "
            f"(--secret NAME), or let one pass with --allow-secret {kind if ' ' not in kind else repr(kind)}",
        )


def _names(finding: Finding) -> set[str]:
    """Return what ``--allow-secret`` may say for it."""
    place = finding.where.partition(",")[0]
    return {finding.kind, finding.kind.removeprefix("value of $"), place, place.removeprefix("app/")}
