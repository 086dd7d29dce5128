"""The name of an image, parsed once at the edge."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from buildr_jupyter.errors import ImageRefError

__all__ = ["ImageRef"]

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Registry, repository, tag and digest of an image.

    Source: OCI distribution specification 1.1, "Pulling manifests" (the grammar of name and tag), and Docker's
    reference grammar for the registry in front: the first component is a host if it has a dot or a colon or is
    ``localhost``.
    """

    registry: str | None
    """``host[:port]`` as written, None where the reference names none."""
    path: str
    """Repository within the registry: lower case, components joined by ``/``."""
    tag: str | None = None
    digest: str | None = None
    """``sha256:`` and 64 hex digits of the manifest."""

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """Return the reference that ``text`` is.

        Raises ImageRefError, which names the text and the part of it that is wrong.
        """
        rest, _, digest = text.partition("@")
        if "@" in text and not _DIGEST.fullmatch(digest):
            raise ImageRefError(
                f"image reference {text!r}: {digest!r} is not a digest",
                hint="write the digest as sha256: and 64 hex digits",
            )
        host, slash, path = rest.partition("/")
        if slash and ("." in host or ":" in host or host == "localhost" or host.startswith("[")):
            if not _HOST.fullmatch(host):
                raise ImageRefError(
                    f"image reference {text!r}: {host!r} is not a registry host",
                    hint="write it as host or host:port, without https://",
                )
        else:
            host, path = "", rest
        path, colon, tag = path.partition(":")
        if colon and not _TAG.fullmatch(tag):
            raise ImageRefError(f"image reference {text!r}: {_why_not_tag(tag)}", hint=_TAG_HINT)
        if not _PATH.fullmatch(path) or len(host) + len(path) > 255:
            raise ImageRefError(
                f"image reference {text!r}: {_why_not_path(text, path)}", hint=_suggest_path(path, host=host, tag=tag)
            )
        return cls(host or None, path, tag or None, digest or None)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.path}" if self.registry else self.path

    @property
    def local_tag(self) -> str:
        """The tag, ``latest`` where none is written."""
        return self.tag or "latest"

    @property
    def registry_host(self) -> str:
        """The registry that the reference means: ``docker.io`` where it names none."""
        return self.registry or "docker.io"

    @property
    def registry_path(self) -> str:
        """The repository in the registry's own terms: ``library/`` is put before a single name on docker.io."""
        if self.registry_host in ("docker.io", "index.docker.io") and "/" not in self.path:
            return f"library/{self.path}"
        return self.path

    @property
    def location(self) -> str:
        """Registry and repository in the registry's own terms, as a login is looked up: ``docker.io/library/x``."""
        return f"{self.registry_host}/{self.registry_path}"

    def with_tag(self, tag: str) -> ImageRef:
        """Return the same repository under another tag, without a digest."""
        if not _TAG.fullmatch(tag):
            raise ImageRefError(f"tag {tag!r}: {_why_not_tag(tag)}", hint=_TAG_HINT)
        return replace(self, tag=tag, digest=None)

    def tagged(self) -> ImageRef:
        """Return the reference with its tag written out."""
        return self if self.tag or self.digest else replace(self, tag="latest")

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


_TAG_HINT = "write a tag of at most 128 of the characters A-Z a-z 0-9 _ . - and begins with a letter, a digit or _"


def _why_not_tag(tag: str) -> str:
    if not tag:
        return "the tag after ':' is empty"
    if len(tag) > 128:
        return f"the tag has {len(tag)} characters"
    return f"{tag!r} is not a tag"


def _why_not_path(text: str, path: str) -> str:
    if not text.strip():
        return "it is empty"
    if any(c.isspace() for c in text):
        return "it has white space in it"
    if path != path.lower():
        return f"the repository {path!r} has capital letters"
    if "://" in text:
        return "it begins like a URL"
    if len(path) > 200:
        return f"it has {len(text)} characters"
    return f"{path!r} is not a repository name"


def _suggest_path(path: str, *, host: str, tag: str) -> str:
    parts = [re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in path.split("/")]
    slug = "/".join(part for part in parts if part)[:200]
    if not slug or not _PATH.fullmatch(slug):
        return "a repository is lower-case letters and digits, joined by . _ - and /"
    prefix = f"{host}/" if host else ""
    suffix = f":{tag}" if tag and _TAG.fullmatch(tag) else ""
    return f"a repository is lower-case letters and digits, joined by . _ - and /: {prefix}{slug}{suffix} would do"
