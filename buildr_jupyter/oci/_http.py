"""Requests to a registry: base address, login, tokens, retries, redirects; nothing of what is asked.

Source: docker/distribution ``docs/spec/auth/token.md`` and ``oauth.md`` (tokens); RFC 9110 (Retry-After, redirects).
"""

from __future__ import annotations

import base64
import copy
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from buildr_jupyter import __version__
from buildr_jupyter.credentials import Login
from buildr_jupyter.errors import (
    Cancelled,
    PublishError,
    RegistryCertificate,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnreachable,
)
from buildr_jupyter.events import CancelToken
from buildr_jupyter.limits import read_limits
from buildr_jupyter.oci._addresses import is_inward, is_local, same_host
from buildr_jupyter.sockets import connections_of, shut

__all__ = ["Connection", "Patience", "is_local", "known_ca"]

_CHALLENGE = re.compile(r'([A-Za-z][A-Za-z0-9_-]*)="((?:[^"\\]|\\.)*)"|([A-Za-z][A-Za-z0-9_-]*)=([^\s,"]+)')
_REDIRECTS = 5
_MAX_TOKEN_BYTES = 1 << 20
_NO_DOCUMENT = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OSError, HTTPError)
"""What reading an answer as JSON raises where it is none."""
_SMALL_BODY = 64 * 1024
_CONNECTIONS = 8
_LONGEST_WAIT_S = 30.0
_AGAIN = (429, 500, 502, 503, 504)
_HINTS = {
    "DENIED": "ask its owner for the right to push there; some registries want the repository made first",
    "NAME_UNKNOWN": "make the repository in the registry first, or mend its name",
    "MANIFEST_INVALID": "the registry does not take this kind of image: is it old, or does it want Docker's own types?",
    "TOOMANYREQUESTS": "wait, or log in: most registries give more to those they know",
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How often is asked again what may get better: 429, 5xx, and a connection that broke after the first answer."""

    retries: int = 0
    first_wait_s: float = 0.25
    """Doubled each time, with up to a quarter more by chance; ``Retry-After`` counts where the registry says it."""
    sleep: Callable[[float], object] | None = None
    """What waits in the place of the clock; ``cancel`` is looked at after it."""
    cancel: CancelToken | None = None
    """Ends a wait at once when it is set."""

    def pause(self, seconds: float) -> None:
        """Wait; raises Cancelled where that was cancelled."""
        if self.sleep is not None:
            self.sleep(seconds)
        elif self.cancel is not None:
            self.cancel.wait(seconds)
        else:
            time.sleep(seconds)
        self.check()

    def check(self) -> None:
        """Raise Cancelled where the work is to stop."""
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("the work with a registry was cancelled")

    def wait_s(self, attempt: int, retry_after: str | None = None) -> float:
        """Return how long to wait before the attempt after ``attempt`` (0-based)."""
        if retry_after and retry_after.strip().isdigit():
            return min(float(retry_after), _LONGEST_WAIT_S)
        return min(self.first_wait_s * float(2**attempt) * (1 + random.random() / 4), _LONGEST_WAIT_S)  # noqa: S311


class _Shared:
    """What a client and its views have in common: connections, and what was learnt of the registry."""

    def __init__(self) -> None:
        self.session = requests.Session()  # its pool of connections serves several threads
        self.lock = threading.RLock()
        self.base: str | None = None
        self.answered = False
        self.tokens: dict[str, str] = {}
        self.basic = False


class Connection:
    """One registry; keeps its connections and its tokens. Several threads may ask at once."""

    def __init__(
        self,
        host: str,
        login: Login | None = None,
        *,
        ca: Path | None = None,
        timeout_s: float | None = None,
        patience: Patience | None = None,
    ) -> None:
        limits = read_limits()
        self._timeout_s = min(limits.connect_s, timeout_s or limits.connect_s), timeout_s or limits.read_s
        self.host = host
        self.patience = patience or Patience()
        self._login = login
        self._verify: str | bool = str(ca) if ca else os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._shared = _Shared()
        self._open: list[Any] = []
        self._session = self._shared.session
        self._session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._session.mount("https://", requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._session.headers["User-Agent"] = f"buildr-jupyter/{__version__}"
        self._session.headers["Accept-Encoding"] = "identity"  # a digest is that of the bytes as they travel
        self._session.trust_env = not is_local(host)  # no proxy stands between this machine and itself

    def until(self, cancel: CancelToken) -> Self:
        """Return a view of this client, with the same connections, whose waits end when ``cancel`` is set."""
        view = copy.copy(self)
        view.patience = replace(self.patience, cancel=cancel)
        view._open = []
        cancel.on_cancel(lambda: shut(view._open))
        return view

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    # -- one question

    def ask(
        self,
        method: str,
        path: str,
        *,
        scope: str,
        what: str,
        headers: Mapping[str, str] | None = None,
        data: Callable[[], Any] | None = None,
        accept: tuple[int, ...] = (404,),
        again: bool = True,
    ) -> requests.Response:
        """Return the answer if its status is 2xx or in ``accept``; ``path`` is relative to ``/v2/``, or a whole URL.

        ``data`` makes the body anew for each try. What may get better is asked again as ``patience`` says, unless
        ``again`` is False. Raises PublishError or one of its kinds, with ``method``, ``status`` and ``code``.
        """
        attempt = 0
        while True:
            try:
                answer = self._ask_once(method, path, scope, what, headers, data)
            except RegistryCertificate:
                raise
            except RegistryUnreachable:
                self.patience.check()
                if not again or not self._shared.answered or attempt >= self.patience.retries:
                    raise
                self.patience.pause(self.patience.wait_s(attempt))
            else:
                if answer.ok or answer.status_code in accept:
                    return answer
                with answer:
                    if not again or answer.status_code not in _AGAIN or attempt >= self.patience.retries:
                        raise self.refused(answer, what)
                    wait_s = self.patience.wait_s(attempt, answer.headers.get("Retry-After"))
                self.patience.pause(wait_s)
            attempt += 1

    def _ask_once(
        self,
        method: str,
        path: str,
        scope: str,
        what: str,
        headers: Mapping[str, str] | None,
        data: Callable[[], Any] | None,
    ) -> requests.Response:
        url = urljoin(self._shared.base or self._find_base(), path)
        tried: set[str] = set()
        while True:
            sent = self._authorized(url, headers, scope)
            answer = self._follow(method, url, sent, headers, data)
            if answer.status_code != 401 or not self._ours(url):
                return answer
            used = sent.get("Authorization", "")
            try:
                again = used not in tried and self._log_in(answer, scope, used)
            except BaseException:
                answer.close()
                raise
            tried.add(used)
            if not again:
                with answer:
                    raise self.refused(answer, what)
            answer.close()

    def _follow(
        self,
        method: str,
        url: str,
        sent: Mapping[str, str],
        bare: Mapping[str, str] | None,
        data: Callable[[], Any] | None,
    ) -> requests.Response:
        """Send, and follow redirects; another host gets neither login nor token."""
        for _ in range(_REDIRECTS):
            answer = self._send(method, url, sent, data() if data else None)
            target = answer.headers.get("Location")
            if answer.status_code not in (301, 302, 303, 307, 308) or not target:
                return answer
            answer.close()
            following = urljoin(url, target)
            if urlsplit(following).netloc != urlsplit(url).netloc or urlsplit(following).scheme != urlsplit(url).scheme:
                sent = dict(bare or {})
            url = self.checked(following)
        raise RegistryUnreachable(f"registry {self.host} sends from one address to the next without end")

    def checked(self, url: str) -> str:
        """Return an address that the registry named, absolute; refuse one that would leave TLS for another host."""
        url = urljoin(self._shared.base or "", url)
        parts = urlsplit(url)
        allowed = same_host(parts.netloc, self.host) or (is_local(parts.netloc) and is_local(self.host))
        if is_inward(parts.hostname or "") and not allowed:
            raise RegistryUnreachable(
                f"registry {self.host} sends to {parts.netloc}, an address of this machine or its surroundings",
                hint="a registry elsewhere has no business there",
            )
        if parts.scheme == "https" or (
            parts.scheme == "http" and (is_local(parts.netloc) or parts.netloc in _plain_hosts())
        ):
            return url
        raise RegistryUnreachable(
            f"registry {self.host} sends to {parts.scheme}://{parts.netloc}, which is not encrypted",
            hint="its configuration is wrong",
        )

    def _ours(self, url: str) -> bool:
        base, asked = urlsplit(self._shared.base or ""), urlsplit(url)
        return (base.scheme, base.netloc) == (asked.scheme, asked.netloc)

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], data: Any = None, params: Any = None
    ) -> requests.Response:
        try:
            with connections_of(self._session, self._open):
                answer = self._session.request(
                    method, url, headers=dict(headers), data=data, params=params, timeout=self._timeout_s,
                    verify=self._verify, stream=True, auth=_NoNetrc(), allow_redirects=False,
                )  # fmt: skip
        except requests.exceptions.SSLError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error) or "certificate" in str(error).lower():
                raise RegistryCertificate(
                    f"the certificate of registry {self.host} is not trusted here",
                    hint=f"put its authority into ~/.config/docker/certs.d/{self.host}/ca.crt",
                ) from error
            raise RegistryUnreachable(f"registry {self.host}: TLS failed", hint="does it speak plain http?") from error
        except requests.exceptions.Timeout as error:
            raise RegistryUnreachable(
                f"registry {self.host} does not answer in {self._timeout_s[1]:.0f} s",
                hint="is the name right, and is it up?",
            ) from error
        except (requests.exceptions.RequestException, OSError, ValueError) as error:
            raise RegistryUnreachable(
                f"registry {self.host} cannot be reached: {_why(error)}", hint="is the name right, and is it up?"
            ) from error
        self._shared.answered = True
        length = answer.headers.get("Content-Length", "")
        small = length.isdigit() and int(length) <= _SMALL_BODY
        packed = answer.headers.get("Content-Encoding", "identity") != "identity"
        if method == "HEAD" or (small and not packed and not (method == "GET" and answer.ok)):
            _ = answer.content  # a connection whose answer was read to its end serves the next request
        return answer

    def _find_base(self) -> str:
        """Return the base URL: https, or http where this machine itself or a host named by the user speaks no TLS."""
        host = "registry-1.docker.io" if self.host in ("docker.io", "index.docker.io") else self.host
        with self._shared.lock:
            if self._shared.base is not None:
                return self._shared.base
            base = f"https://{host}/v2/"
            if is_local(host) or host in _plain_hosts():
                try:
                    self._send("GET", base, {}).close()
                except RegistryCertificate:
                    raise
                except RegistryUnreachable:
                    base = f"http://{host}/v2/"
            self._shared.base = base
        return base

    # -- login

    def _authorized(self, url: str, headers: Mapping[str, str] | None, scope: str) -> dict[str, str]:
        sent = dict(headers or {})
        if not self._ours(url):
            return sent
        if token := self._shared.tokens.get(scope):
            sent["Authorization"] = f"Bearer {token}"
        elif self._shared.basic and self._login:
            sent["Authorization"] = _basic(self._login)
        return sent

    def _log_in(self, answer: requests.Response, scope: str, used: str) -> bool:
        """Do what a 401 asks for; tell whether it is worth asking again. ``used`` is what was refused."""
        scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "basic":
            self._shared.basic = self._login is not None
            return self._shared.basic and not used.startswith("Basic ")
        if scheme.lower() != "bearer":
            return False
        asked = {a or c: re.sub(r"\\(.)", r"\1", b) or d for a, b, c, d in _CHALLENGE.findall(rest)}
        if not asked.get("realm"):
            return False
        with self._shared.lock:
            known = self._shared.tokens.get(scope)
            if known is None or used == f"Bearer {known}":  # else another thread has just got a fresh one
                self._shared.tokens[scope] = self._token(asked, scope)
        return True

    def _token(self, asked: dict[str, str], scope: str) -> str:
        realm = self.checked(asked["realm"])
        if urlsplit(realm).scheme != "https" and not is_local(urlsplit(realm).netloc) and self._login:
            raise RegistryUnreachable(
                f"registry {self.host} wants the login sent to {realm} without TLS", hint="its configuration is wrong"
            )
        params: list[tuple[str, str]] = [("service", asked["service"])] if asked.get("service") else []
        params += [("scope", one) for one in (scope or asked.get("scope", "")).split(" ") if one]
        headers = {}
        data = None
        if self._login and self._login.identity_token:
            data = {
                **dict(params),
                **({"scope": scope} if scope else {}),
                "grant_type": "refresh_token",
                "refresh_token": self._login.identity_token,
                "client_id": "buildr",
            }
        elif self._login:
            headers["Authorization"] = _basic(self._login)
        try:
            with self._send(
                "POST" if data else "GET", realm, headers, data=data, params=None if data else params
            ) as answer:
                if answer.status_code in (401, 403):
                    raise self.refused(answer, "the login")
                answer.raise_for_status()
                loaded = json.loads(_start(answer, _MAX_TOKEN_BYTES))
                token = loaded.get("token") or loaded.get("access_token")
        except (requests.exceptions.RequestException, *_NO_DOCUMENT) as error:
            raise RegistryUnreachable(f"registry {self.host}: no token from {realm}: {_why(error)}") from error
        return str(token or "")

    def refused(self, answer: requests.Response, what: str) -> PublishError:
        """Return the error of an answer that is no success."""
        code, said = _said(answer)
        status = answer.status_code
        made: PublishError
        if status == 401:
            how = "refuses the login" if self._login else "wants a login"
            made = RegistryUnauthorized(f"registry {self.host} {how}{said}", hint=f"buildr login {self.host}")
        elif status == 403:
            made = RegistryDenied(
                f"registry {self.host} does not allow {what}{said}",
                hint=_HINTS.get(code or "", "ask its owner for the right"),
            )
        elif status == 429 or status >= 500:
            made = RegistryUnreachable(
                f"registry {self.host} answered {status}{said}", hint=_HINTS.get(code or "", "try again later")
            )
        else:
            made = PublishError(f"registry {self.host} answered {status} for {what}{said}", hint=_HINTS.get(code or ""))
        made.method, made.status, made.code = answer.request.method, status, code
        return made


class _NoNetrc(requests.auth.AuthBase):
    """Keeps requests from taking a login out of ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def known_ca(host: str) -> Path | None:
    """Return the authority that docker's and podman's ``certs.d`` folders name for a host, None where none does."""
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    for folder in (config / "docker", config / "containers", Path("/etc/docker"), Path("/etc/containers")):
        try:
            found = sorted((folder / "certs.d" / host).glob("*.crt"))
        except OSError:
            continue
        if found:
            return found[0]
    return None


def _plain_hosts() -> set[str]:
    """Return the hosts that ``$BUILDR_PLAIN_HTTP`` (separated by commas) lets be spoken to without TLS."""
    return {one.strip() for one in os.environ.get("BUILDR_PLAIN_HTTP", "").split(",") if one.strip()}


def _start(answer: requests.Response, limit: int) -> bytes:
    """Return the first bytes of an answer, unpacked piece by piece: a bomb is not unpacked any further."""
    if answer._content_consumed:
        return answer.content
    found: bytes = answer.raw.read(limit, decode_content=True)
    return found


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()


def _said(answer: requests.Response) -> tuple[str | None, str]:
    """Return the registry's first code, and its own words, at most 200 characters, with a colon before them."""
    try:
        text = _start(answer, 16_384)
        errors = json.loads(text)["errors"]
        words = "; ".join(str(error.get("message") or error.get("code")) for error in errors)
        code = str(errors[0]["code"]) if errors and errors[0].get("code") else None
    except _NO_DOCUMENT:
        return None, ""
    return code, f": {words[:200]}" if words else ""


def _why(error: Exception) -> str:
    """Return the innermost reason of a requests error, without addresses of Python objects."""
    text = str(error)
    found = re.search(r"(?:\[Errno -?\d+\] |: )([A-Z][^:()'\[\]<>]+)['\")]*$", text)
    return found[1].strip() if found else type(error).__name__
