"""Requests to a registry: base address, login, tokens, retries, redirects; nothing of what is asked.

A login goes to the registry that it is for, and to the token service that this registry itself names; nothing that a
redirect leads to gets a login or a token, or is asked what it wants. What a registry says is trusted so far where
nobody on the way can change it: over TLS, or on this machine's loopback. A registry that the user lets be spoken to
without TLS (``BUILDR_PLAIN_HTTP``) gets the login itself, but it cannot send it to another host.

Source: docker/distribution ``docs/spec/auth/token.md`` and ``oauth.md`` (tokens); RFC 9110 (challenges, redirects).
"""

from __future__ import annotations

import copy
import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar
from urllib.parse import urljoin

import requests

from buildr_jupyter import __version__
from buildr_jupyter.config.timeouts import read_limits
from buildr_jupyter.engine.abort import connections_of, shut
from buildr_jupyter.errors import (
    Cancelled,
    PublishError,
    RegistryCertificate,
    RegistryUnauthorized,
    RegistryUnreachable,
)
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.registry.addresses import Origin, is_inward, is_local, origin_of, same_host
from buildr_jupyter.registry.answers import NO_DOCUMENT, is_web_page, read_body, refusal, retry_after_s, web_page
from buildr_jupyter.registry.authentication import Authorization, Refusals
from buildr_jupyter.registry.connections import Adapter, InwardPeer, TooSlow
from buildr_jupyter.registry.keychain import Login

if TYPE_CHECKING:
    from _typeshed import SupportsRead

__all__ = ["Body", "Connection", "RetryPolicy", "known_ca"]

_REDIRECTS = 5
_CHALLENGES = 2
"""So many may be answered for one request: an old token may be over, and of two schemes one may be of no use."""

Body: TypeAlias = "bytes | SupportsRead[bytes] | Mapping[str, str]"
"""The body of a request: bytes, a stream of them, or the fields of a form."""
_SMALL_BODY = 64 * 1024
_CONNECTIONS = 8
_LONGEST_WAIT_S = 30.0
_AGAIN = (429, 500, 502, 503, 504)
_IS_IT_UP = "check the name, and whether it is up"
_Error = TypeVar("_Error", bound=BaseException)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often is asked again what may get better: 429, 5xx, and a connection that broke after the first answer."""

    retries: int = 0
    first_wait_s: float = 0.25
    """Doubled each time, with up to a quarter more by chance; ``Retry-After`` counts where the registry says it."""
    sleep: Callable[[float], object] | None = None
    """What waits in the place of the clock; ``cancel`` is looked at after it."""
    cancel: CancelToken | None = None
    """Ends a wait at once when it is set."""
    now: Callable[[], float] = time.time
    """Seconds since the epoch: ``Retry-After`` may be a date."""

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
        """Return how long to wait before the attempt after ``attempt`` (0-based); never longer than half a minute."""
        if (asked_s := retry_after_s(retry_after, self.now())) is not None:
            return min(asked_s, _LONGEST_WAIT_S)
        return min(self.first_wait_s * float(2**attempt) * (1 + random.random() / 4), _LONGEST_WAIT_S)  # noqa: S311


class _Shared:
    """What a client and its views have in common: connections, and what was learned about the registry."""

    def __init__(self, login: Login | None) -> None:
        self.authorization = Authorization(login)
        self.session = requests.Session()  # its pool of connections serves several threads
        self.lock = threading.RLock()
        self.base: str | None = None
        self.answered = False


class Connection:
    """One registry; keeps its connections and its tokens. Several threads may ask at once."""

    def __init__(
        self,
        host: str,
        login: Login | None = None,
        *,
        ca: Path | None = None,
        timeout_s: float | None = None,
        patience: RetryPolicy | None = None,
    ) -> None:
        limits = read_limits()
        self._timeout_s = min(limits.connect_s, timeout_s or limits.connect_s), timeout_s or limits.read_s
        self.answer_s = timeout_s or limits.read_s
        """An answer that is a document is there as a whole after so many seconds."""
        self.host = host
        self.patience = patience or RetryPolicy()
        self._verify: str | bool = str(ca) if ca else os.environ.get("REQUESTS_CA_BUNDLE") or True
        self._shared = _Shared(login)
        self._open: list[object] = []
        self._session = self._shared.session
        # none is kept: a cookie would go to every port of a host
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # A function of the name alone: urllib3 holds its connections until their pool is collected, and one that led
        # back to this client would keep the pool, and so themselves, for ever.
        inward = partial(_may_be_inward, host)
        adapter = Adapter(answer_s=self.answer_s, may_be_inward=inward, pool_maxsize=_CONNECTIONS)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)
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
        data: Callable[[], Body] | None = None,
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
                if answer.status_code == 200 and is_web_page(answer):
                    with answer:
                        raise web_page(self.host)
                if answer.ok or answer.status_code in accept:
                    return answer
                with answer:
                    if answer.status_code == 401 and not self._ours(answer.url):
                        raise self._wants_its_own(answer.url)
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
        data: Callable[[], Body] | None,
    ) -> requests.Response:
        url = urljoin(self.base, path)
        refused = Refusals()
        # It ends: of n requests each gets 2 tokens at most, and none is tried twice by one of them.
        while refused.answers < _CHALLENGES:
            sent = self._authorized(url, headers, scope)
            answer, ours = self._follow(method, url, sent, headers, data)
            if answer.status_code != 401 or not ours:
                return answer
            refused.fields.add(sent.get("Authorization", ""))
            try:
                again = self._shared.authorization.answer(self, answer, scope, refused)
            except BaseException:
                answer.close()
                raise
            if not again:
                return answer
            answer.close()
        return self._follow(method, url, self._authorized(url, headers, scope), headers, data)[0]

    def _wants_its_own(self, url: str) -> RegistryUnauthorized:
        """Return the error of an address that a redirect led to, and that asks for a login."""
        origin = origin_of(url)
        there = origin.netloc if origin else url
        return RegistryUnauthorized(
            f"registry {self.host} sends to {there}, which wants a login of its own: none is sent there",
            hint=f"name the image by {there}, and log in: buildr login {there}",
        )

    def _authorized(self, url: str, headers: Mapping[str, str] | None, scope: str) -> dict[str, str]:
        field = self._shared.authorization.field(scope) if self._ours(url) else None
        return {**(headers or {}), **({"Authorization": field} if field else {})}

    def _follow(
        self,
        method: str,
        url: str,
        sent: Mapping[str, str],
        bare: Mapping[str, str] | None,
        data: Callable[[], Body] | None,
    ) -> tuple[requests.Response, bool]:
        """Send, and follow redirects; another host gets neither login nor token.

        Return the answer, and whether it is this registry's own: a challenge of anything else is not answered.
        """
        ours = self._ours(url)
        for _ in range(_REDIRECTS):
            answer = self.send(method, url, sent, data() if data else None)
            target = answer.headers.get("Location")
            if answer.status_code not in (301, 302, 303, 307, 308) or not target:
                return answer, ours
            answer.close()
            following = self.checked(target, url)
            if origin_of(following) != origin_of(url):
                sent, ours = dict(bare or {}), False
            url = following
        raise RegistryUnreachable(
            f"registry {self.host} sends from one address to the next without end",
            hint="name the registry by the address that it sends to",
        )

    def checked(self, url: str, seen_at: str | None = None) -> str:
        """Return an address that the registry named, absolute; refuse one that would leave TLS for another host.

        A relative one is seen from ``seen_at``, the registry's base where it is None.
        """
        named = url
        try:
            url = urljoin(seen_at or self.base, named)
        except ValueError:  # brackets that hold no IPv6 address
            url = ""
        origin = origin_of(url)
        if origin is None:
            raise RegistryUnreachable(
                f"registry {self.host} sends to {named[:200]!r}, which names no host",
                hint="tell its owner: its configuration is wrong",
            )
        if is_inward(origin.host) and not _may_be_inward(self.host, origin.host):
            raise RegistryUnreachable(
                f"registry {self.host} sends to {origin.netloc}, an address of this machine or its surroundings",
                hint="tell its owner: a registry elsewhere has no business there",
            )
        if origin.scheme == "https" or (
            origin.scheme == "http" and (is_local(origin.netloc) or origin in _plain_origins())
        ):
            return url
        raise RegistryUnreachable(
            f"registry {self.host} sends to {origin.scheme}://{origin.netloc}, which is not encrypted",
            hint="tell its owner: its configuration is wrong",
        )

    def _ours(self, url: str) -> bool:
        return origin_of(url) == origin_of(self.base)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Body | None = None,
        params: Sequence[tuple[str, str]] | None = None,
    ) -> requests.Response:
        """Send one request and return its answer, without following redirects. Raises PublishError's kinds."""
        try:
            with connections_of(self._session, self._open):
                # as Session.request, without joining the cookies, hooks and parameters that this session has none of
                prepared = requests.Request(
                    method, url, {**self._session.headers, **headers}, data=data or {}, params=params or (),
                    auth=_NoNetrc(),
                ).prepare()  # fmt: skip
                settings = self._session.merge_environment_settings(url, {}, True, self._verify, None)
                answer = self._session.send(prepared, timeout=self._timeout_s, allow_redirects=False, **settings)
        except requests.exceptions.RequestException as error:
            raise self._unreachable(error) from error
        except OSError as error:
            raise RegistryUnreachable(
                f"registry {self.host} cannot be reached: {_why(error)}", hint=_IS_IT_UP
            ) from error
        except ValueError as error:  # requests reads where a redirect leads, though it does not follow it
            raise RegistryUnreachable(
                f"registry {self.host} sends to an address that cannot be read: {error}",
                hint="tell its owner: its configuration is wrong",
            ) from error
        self._shared.answered = True
        length = answer.headers.get("Content-Length", "")
        small = length.isdigit() and int(length) <= _SMALL_BODY
        packed = answer.headers.get("Content-Encoding", "identity") != "identity"
        if method == "HEAD" or (small and not packed and not (method == "GET" and answer.ok)):
            self._use_up(answer)
        return answer

    def _use_up(self, answer: requests.Response) -> None:
        """Read a small body to its end: then the connection serves the next request."""
        try:
            answer._content, answer._content_consumed = read_body(answer, _SMALL_BODY, self.answer_s), True
        except NO_DOCUMENT:
            answer._content, answer._content_consumed = b"", True
            answer.close()

    def _unreachable(self, error: requests.exceptions.RequestException) -> PublishError:
        """Return the error of a request that got no answer."""
        if (inward := _cause(error, InwardPeer)) is not None:
            return RegistryUnreachable(
                f"registry {self.host} sends by a name to {inward}, an address of this machine or its surroundings",
                hint="tell its owner: a registry elsewhere has no business there",
            )
        if _cause(error, TooSlow) is not None or isinstance(error, requests.exceptions.Timeout):
            return RegistryUnreachable(f"registry {self.host} does not answer in {self.answer_s:.0f} s", hint=_IS_IT_UP)
        if isinstance(error, requests.exceptions.SSLError):
            if "CERTIFICATE_VERIFY_FAILED" in str(error) or "certificate" in str(error).lower():
                return RegistryCertificate(
                    f"the certificate of registry {self.host} is not trusted here",
                    hint=f"put its authority into ~/.config/docker/certs.d/{self.host}/ca.crt",
                )
            return RegistryUnreachable(
                f"registry {self.host}: TLS failed", hint=f"set BUILDR_PLAIN_HTTP={self.host} if it speaks plain http"
            )
        return RegistryUnreachable(f"registry {self.host} cannot be reached: {_why(error)}", hint=_IS_IT_UP)

    @property
    def base(self) -> str:
        """The base URL: https, or http where this machine itself or a host named by the user speaks no TLS."""
        host = _address_of(self.host)
        if (known := self._shared.base) is not None:
            return known
        with self._shared.lock:
            if self._shared.base is not None:
                return self._shared.base
            base = f"https://{host}/v2/"
            if is_local(host) or origin_of(f"http://{host}") in _plain_origins():
                try:
                    self.send("GET", base, {}).close()
                except RegistryCertificate:
                    raise
                except RegistryUnreachable:
                    base = f"http://{host}/v2/"
            self._shared.base = base
        return base

    def refused(self, answer: requests.Response, what: str) -> PublishError:
        """Return the error of an answer that is no success."""
        return refusal(
            answer, self.host, what, logged_in=self._shared.authorization.login is not None, answer_s=self.answer_s
        )


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


def _plain_origins() -> set[Origin | None]:
    """Return the hosts, with a port or without, that ``$BUILDR_PLAIN_HTTP`` (``a,b``) lets be spoken to without TLS."""
    given = os.environ.get("BUILDR_PLAIN_HTTP", "").split(",")
    return {origin_of(f"http://{one.strip()}") for one in given if one.strip()}


def _may_be_inward(registry: str, host: str) -> bool:
    """Tell whether a host may be this machine: the registry that the user named, or all where that is loopback."""
    return same_host(_netloc(host), _address_of(registry)) or (is_local(_netloc(host)) and is_local(registry))


def _netloc(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _address_of(host: str) -> str:
    """Return where a registry is asked: Docker Hub's is not its name."""
    return "registry-1.docker.io" if host in ("docker.io", "index.docker.io") else host


def _cause(error: BaseException, kind: type[_Error]) -> _Error | None:
    """Return the error of a kind that an error was made of, None where it was not."""
    seen: list[object] = [error]
    for one in seen:
        if isinstance(one, kind):
            return one
        if isinstance(one, BaseException) and len(seen) < 50:
            seen += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return None


def _why(error: Exception) -> str:
    """Return the innermost reason of a requests error, without addresses of Python objects."""
    text = str(error)
    found = re.search(r"(?:\[Errno -?\d+\] |: )([A-Z][^:()'\[\]<>]+)['\")]*$", text)
    return found[1].strip() if found else type(error).__name__
