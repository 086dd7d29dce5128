"""Guard against credentials in the program, in files and in the settings of an image.

``check`` reads everything that a plan would put into an image, before anything is sent: files, wheels and other
archives member by member, archives in archives, snapshots as values, settings, labels, the Dockerfile. A finding
names the file, the line and the kind, never the value. What a credential looks like is said in ``leaks.py``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, cast

from buildr_jupyter.errors import LeakError
from buildr_jupyter.model.plan import FileEntry, ImagePlan
from buildr_jupyter.secretscan import archives, search
from buildr_jupyter.secretscan.login_files import keeps_logins, matches

__all__ = ["Finding", "check", "iter_findings", "never_included"]

_NEVER = (
    ".git", ".ipynb_checkpoints", "__pycache__", "*.pyc", ".venv", ".pytest_cache", "*.egg-info", "*.pem", "*.key",
    "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "credentials.json", "secrets.toml", "secrets.yaml",
    "secrets.yml",
)  # fmt: skip
"""What goes into an image only where it is named, beside the files of logins."""
_PIECE = 8 << 20
_OVERLAP = 16 << 10
_UNPACKED_LIMIT = 256 << 20
"""Bytes that are unpacked of one file, all archives in it together."""
_MAX_DEPTH = 8
"""Archives in archives; what is packed deeper is searched as it is."""
_IN_MEMORY = 16 << 20
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
    return keeps_logins(path) or matches(path, _NEVER)


def iter_findings(plan: ImagePlan, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what looks like a credential in the plan's files and settings, in the order of the files."""
    values = search.secret_values(environ)
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
        for kind in dict.fromkeys(hit.kind for hit in search.search_deeply(text.encode(errors="replace"), values)):
            yield Finding(kind, where)
    if plan.dockerfile:
        yield from _in_bytes("Dockerfile", plan.dockerfile.text.encode(errors="replace"), values)


def _bare(requirement: str) -> str:
    """Return the name of a requirement: what follows may be an address with a login."""
    return requirement.partition("@")[0].partition("=")[0].strip()


def _in_entry(entry: FileEntry, values: Mapping[str, bytes]) -> Iterator[Finding]:
    if keeps_logins(entry.path):
        yield Finding("file of logins", entry.path)
        return
    with entry.open() as stream:
        yield from _Search(values).file(entry.path, stream)


class _Search:
    """The search of one file of the image and of the archives in it, which have one limit together."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        self._values = values
        self._left = _UNPACKED_LIMIT

    def file(self, where: str, stream: IO[bytes], depth: int = 0) -> Iterator[Finding]:
        """Search a file, unpacked where it is packed; ``stream`` can seek, and is at its beginning."""
        start = stream.read(512)
        stream.seek(0)
        kind = archives.kind_of(start) if depth < _MAX_DEPTH else None
        if kind is not None:
            try:
                yield from self._unpacked(where, kind, stream, depth)
            except archives.DAMAGED:
                pass
            else:
                return
            stream.seek(0)
        yield from _in_stream(where, stream, self._values)
        if (at := _pickle_at(start)) is not None:
            stream.seek(at)
            yield from _in_pickle(where, stream, self._values)

    def _unpacked(self, where: str, kind: str, stream: IO[bytes], depth: int) -> Iterator[Finding]:
        for name, inner in archives.members(kind, stream):
            place = f"{where}!{name}" if name else where
            if name and keeps_logins(name):
                yield Finding("file of logins", place)
                continue
            if self._left <= 0:
                return
            with tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
                while self._left > 0 and (piece := inner.read(min(self._left, 1 << 20))):
                    copy.write(piece)
                    self._left -= len(piece)
                copy.seek(0)
                yield from self.file(place, cast("IO[bytes]", copy), depth + 1)


def _pickle_at(start: bytes) -> int | None:
    """Return where in a file a pickle begins: at once, or behind the header of an array of objects (numpy's format)."""
    if start[:1] == b"\x80" and start[1:2] in b"\2\3\4\5":
        return 0
    if start[:6] == b"\x93NUMPY" and b"O'" in start:
        return (
            10 + int.from_bytes(start[8:10], "little") if start[6] == 1 else 12 + int.from_bytes(start[8:12], "little")
        )
    return None


def _in_pickle(where: str, stream: IO[bytes], values: Mapping[str, bytes]) -> Iterator[Finding]:
    found: set[Finding] = set()
    from buildr_jupyter.secretscan import pickled

    for name, value in pickled.iter_named(stream):
        place = f"{where}, under {name[:60]!r}" if name else f"{where}, in a table"
        if isinstance(value, pickled.Packed):
            kinds = {hit.kind for hit in search.search_deeply(value.encode(), values, path=where)}
        else:
            kinds = {kind} if (kind := search.named_kind(name, value)) else set()
        for finding in sorted({Finding(kind, place) for kind in kinds} - found, key=str):
            found.add(finding)
            yield finding
        if len(found) >= _MAX_FINDINGS:
            return


def _in_stream(where: str, stream: IO[bytes], values: Mapping[str, bytes]) -> Iterator[Finding]:
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


def _in_bytes(
    where: str, content: bytes, values: Mapping[str, bytes], *, line: int = 0, offset: int = 0
) -> Iterator[Finding]:
    binary = search.is_binary(content)
    for hit in search.search_deeply(content, values, path=where):
        above = line + content.count(b"\n", 0, hit.start)
        place = f"byte {offset + hit.start}" if binary else f"line {above + 1}"
        yield Finding(hit.kind, f"{where}, {place}")


def check(
    plan: ImagePlan, environ: Mapping[str, str], *, allow: Iterable[str] = (), place: Callable[[str], str] = str
) -> None:
    """Raise LeakError, naming every finding and no value, unless each is allowed by its kind or its place.

    ``place`` says where a finding is, as a person knows it: it is given ``app/main.py, line 12``.
    ``allow`` takes a kind (``github-pat``), a file (``app/main.py``), or a variable's name (``DB_PASSWORD``).
    """
    allowed = set(allow)
    findings = [one for one in iter_findings(plan, environ) if not allowed & _names(one)]
    if findings:
        shown = "; ".join(f"{place(finding.where)}: {finding.kind}" for finding in findings[:5])
        more = f"; and {len(findings) - 5} more" if len(findings) > 5 else ""
        kind = findings[0].kind.removeprefix("value of $")
        raise LeakError(
            f"credentials would go into the image: {shown}{more}",
            hint="read them at run time (--run-env NAME, --param NAME), give them to a step of a Dockerfile "
            f"(--secret id=NAME), or let one pass with --allow-secret {kind if ' ' not in kind else repr(kind)}",
        )


def _names(finding: Finding) -> set[str]:
    """Return what ``--allow-secret`` may say for it."""
    place = finding.where.partition(",")[0]
    return {finding.kind, finding.kind.removeprefix("value of $"), place, place.removeprefix("app/")}
