"""A registry asked over HTTP: what digest a tag has, what a manifest says.

Logs in as the registry asks: Basic, or Bearer with a token from its realm. Source: OCI distribution specification
1.1; the token protocol is docker/distribution ``docs/spec/auth/token.md`` and ``oauth.md``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from buildr_jupyter import __version__
from buildr_jupyter.credentials import Login
from buildr_jupyter.errors import (
    PublishError,
    RegistryCertificate,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnreachable,
)

__all__ = ["Manifest", "Registry", "connect"]

MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_MAX_MANIFEST_BYTES = 4 * 1024 * 1024
_CHALLENGE = re.compile(r'([A-Za-z][A-Za-z0-9_-]*)="((?:[^"\\]|\\.)*)"|([A-Za-z][A-Za-z0-9_-]*)=([^\s,"]+)')


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest, or an index of several, as the registry keeps it."""

    digest: str
    """``sha256:`` and 64 hex digits of ``content``."""
    media_type: str
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The manifest's JSON."""
        loaded = json.loads(self.content)
        return loaded if isinstance(loaded, dict) else {}

    @property
    def config_digest(self) -> str | None:
        """Digest of the config (the image id); None for an index."""
        config = self.document.get("config")
        return config.get("digest") if isinstance(config, dict) else None

    @property
    def size_bytes(self) -> int | None:
        """Sum of the compressed layers and the config; None for an index."""
        config, layers = self.document.get("config"), self.document.get("layers")
        if not isinstance(config, dict) or not isinstance(layers, list):
            return None
        return sum(int(part.get("size", 0)) for part in (config, *layers))


def connect(host: str, login: Login | None = None, *, ca: Path | None = None, timeout_s: float = 10.0) -> Registry:
    """Return a client for the registry at ``host``; nothing is asked yet.

    ``ca`` is a PEM file of the authority that signed its certificate; without it docker's ``certs.d`` folders are
    looked into, then the authorities of this machine count.
    """
    return Registry(host, login, ca=ca or _known_ca(host), timeout_s=timeout_s)


def _known_ca(host: str) -> Path | None:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for folder in (config / "docker", config / "containers", Path("/etc/docker"), Path("/etc/containers")):
        try:
            found = sorted((folder / "certs.d" / host).glob("*.crt"))
        except OSError:
            continue
        if found:
            return found[0]
    return None


class Registry:
    """One registry; keeps its connection and its tokens."""

    def __init__(
        self, host: str, login: Login | None = None, *, ca: Path | None = None, timeout_s: float = 10.0
    ) -> None:
        self.host = host
        self._login = login
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"buildr-jupyter/{__version__}"
        self._verify: str | bool = str(ca) if ca else os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._session.trust_env = not _is_local(host)  # no proxy stands between this machine and itself
        self._base: str | None = None
        self._tokens: dict[str, str] = {}
        self._basic = False

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def ping(self) -> None:
        """Log in, as ``docker login`` does.

        Raises RegistryUnauthorized, RegistryDenied, RegistryUnreachable or RegistryCertificate.
        """
        self._ask("GET", "", scope="", what="the registry").close()

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest that a tag has, None where there is no such tag. Raises as ``ping``."""
        answer = self._ask(
            "HEAD", f"{repository}/manifests/{reference}", scope=_pull(repository), what=f"{repository}:{reference}",
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )  # fmt: skip
        with answer:
            if answer.status_code == 404:
                return None
            found = answer.headers.get("Docker-Content-Digest")
        return found or self.manifest(repository, reference).digest

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return the manifest of a tag or a digest, its digest computed here.

        Raises PublishError where there is none or where its content is not what the digest says; else as ``ping``.
        """
        what = f"{repository}:{reference}"
        answer = self._ask(
            "GET", f"{repository}/manifests/{reference}", scope=_pull(repository), what=what,
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )  # fmt: skip
        with answer:
            if answer.status_code == 404:
                raise PublishError(f"registry {self.host} has no {what}")
            content = answer.raw.read(_MAX_MANIFEST_BYTES + 1, decode_content=True)
            media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if reference.startswith("sha256:") and reference != digest:
            raise PublishError(f"registry {self.host} gave another manifest than {what}")
        return Manifest(digest, media_type, content)

    # -- one request

    def _ask(
        self, method: str, path: str, *, scope: str, what: str, headers: dict[str, str] | None = None
    ) -> requests.Response:
        base = self._base or self._find_base()
        answer = self._send(method, urljoin(base, path), self._authorized(headers, scope))
        if answer.status_code == 401:
            try:
                again = self._log_in(answer, scope)
            except BaseException:
                answer.close()
                raise
            if again:
                answer.close()
                answer = self._send(method, urljoin(base, path), self._authorized(headers, scope))
        if answer.ok or answer.status_code == 404:
            return answer
        with answer:
            raise self._refused(answer, what)

    def _send(self, method: str, url: str, headers: dict[str, str]) -> requests.Response:
        try:
            return self._session.request(
                method, url, headers=headers, timeout=self._timeout_s, verify=self._verify, stream=True, auth=_NoNetrc()
            )
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error) or "certificate" in str(error).lower():
                raise RegistryCertificate(
                    f"the certificate of registry {self.host} is not trusted here",
                    hint=f"put its authority into ~/.config/docker/certs.d/{self.host}/ca.crt",
                ) from error
            raise RegistryUnreachable(f"registry {self.host}: TLS failed", hint="does it speak plain http?") from error
        except requests.exceptions.Timeout as error:
            raise RegistryUnreachable(f"registry {self.host} does not answer in {self._timeout_s:.0f} s") from error
        except (requests.exceptions.RequestException, ValueError) as error:
            raise RegistryUnreachable(
                f"registry {self.host} cannot be reached: {_why(error)}", hint="is the name right, and is it up?"
            ) from error

    def _find_base(self) -> str:
        """Return the base URL: https, or http for an address of this machine that speaks no TLS, as docker does."""
        host = "registry-1.docker.io" if self.host in ("docker.io", "index.docker.io") else self.host
        self._base = f"https://{host}/v2/"
        if _is_local(host):
            try:
                self._send("GET", self._base, {}).close()
            except RegistryCertificate:
                raise
            except RegistryUnreachable:
                self._base = f"http://{host}/v2/"
        return self._base

    def _authorized(self, headers: dict[str, str] | None, scope: str) -> dict[str, str]:
        sent = dict(headers or {})
        if token := self._tokens.get(scope):
            sent["Authorization"] = f"Bearer {token}"
        elif self._basic and self._login:
            sent["Authorization"] = _basic(self._login)
        return sent

    def _log_in(self, answer: requests.Response, scope: str) -> bool:
        """Do what a 401 asks for; tell whether it is worth asking again."""
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic":
            again = self._login is not None and not self._basic
            self._basic = self._login is not None
            return again
        if scheme.lower() != "bearer":
            return False
        asked = {a or c: re.sub(r"\\(.)", r"\1", b) or d for a, b, c, d in _CHALLENGE.findall(rest)}
        if not asked.get("realm") or scope in self._tokens:
            return False
        self._tokens[scope] = self._token(asked, scope)
        return True

    def _token(self, asked: dict[str, str], scope: str) -> str:
        realm = urljoin(self._base or "", asked["realm"])
        if urlsplit(realm).scheme != "https" and not _is_local(urlsplit(realm).netloc) and self._login:
            raise RegistryUnreachable(
                f"registry {self.host} wants the login sent to {realm} without TLS", hint="its configuration is wrong"
            )
        params = {"service": asked.get("service", ""), "scope": scope or asked.get("scope", "")}
        params = {name: value for name, value in params.items() if value}
        headers = {}
        data = None
        if self._login and self._login.identity_token:
            data = {**params, "grant_type": "refresh_token", "refresh_token": self._login.identity_token}
            data["client_id"] = "buildr"
        elif self._login:
            headers["Authorization"] = _basic(self._login)
        try:
            with self._session.request(
                "POST" if data else "GET", realm, params=None if data else params, data=data, headers=headers,
                timeout=self._timeout_s, verify=self._verify, auth=_NoNetrc(),
            ) as answer:  # fmt: skip
                if answer.status_code in (401, 403):
                    raise self._refused(answer, "the login")
                answer.raise_for_status()
                loaded = answer.json()
                token = loaded.get("token") or loaded.get("access_token")
        except requests.exceptions.RequestException as error:
            raise RegistryUnreachable(f"registry {self.host}: no token from {realm}: {_why(error)}") from error
        return str(token or "")

    def _refused(self, answer: requests.Response, what: str) -> PublishError:
        said = _said(answer)
        status = answer.status_code
        if status == 401:
            how = "refuses the login" if self._login else "wants a login"
            return RegistryUnauthorized(f"registry {self.host} {how}{said}", hint=f"buildr login {self.host}")
        if status == 403:
            return RegistryDenied(
                f"registry {self.host} does not allow {what}{said}", hint="ask its owner for the right"
            )
        if status == 429 or status >= 500:
            return RegistryUnreachable(f"registry {self.host} answered {status}{said}", hint="try again later")
        return PublishError(f"registry {self.host} answered {status} for {what}{said}")


class _NoNetrc(requests.auth.AuthBase):
    """Keeps requests from taking a login out of ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def _basic(login: Login) -> str:
    import base64

    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _is_local(netloc: str) -> bool:
    host = urlsplit(f"//{netloc}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _said(answer: requests.Response) -> str:
    """Return the registry's own words, at most 200 characters, with a colon before them."""
    try:
        text = answer.raw.read(16_384, decode_content=True) if not answer._content_consumed else answer.content
        errors = json.loads(text)["errors"]
        words = "; ".join(str(error.get("message") or error.get("code")) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return ""
    return f": {words[:200]}" if words else ""


def _why(error: Exception) -> str:
    """Return the innermost reason of a requests error, without addresses of Python objects."""
    text = str(error)
    found = re.search(r"(?:\[Errno -?\d+\] |: )([A-Z][^:()'\[\]<>]+)['\")]*$", text)
    return found[1].strip() if found else type(error).__name__
