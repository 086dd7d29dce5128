"""Logins to one registry: which challenge is answered, with what, and which token service may see the login.

Source: RFC 9110 11; docker/distribution ``docs/spec/auth/token.md`` and ``oauth.md``.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import requests

from buildr_jupyter.errors import PublishError, RegistryUnreachable
from buildr_jupyter.registry.addresses import is_local, origin_of
from buildr_jupyter.registry.answers import NO_DOCUMENT, is_web_page, read_body, web_page
from buildr_jupyter.registry.challenges import Challenge, parse_challenges
from buildr_jupyter.registry.keychain import Login

__all__ = ["Authorization", "Refusals"]

_MAX_TOKEN_BYTES = 1 << 20


class Asker(Protocol):
    """What a token service is asked through."""

    host: str
    answer_s: float

    @property
    def base(self) -> str:
        """The registry's base URL."""
        ...

    def checked(self, url: str) -> str:
        """Return an address that the registry named; refuse one that it may not name."""
        ...

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Mapping[str, str] | None = None,
        params: Sequence[tuple[str, str]] | None = None,
    ) -> requests.Response:
        """Send one request, without following redirects."""
        ...

    def refused(self, answer: requests.Response, what: str) -> PublishError:
        """Return the error of an answer that is no success."""
        ...


@dataclass
class Refusals:
    """What one request was refused with, so that nothing is sent twice."""

    fields: set[str] = field(default_factory=set)
    """Values of Authorization, ``""`` for none."""
    answers: int = 0
    """How often something new was got for this request itself; a token that another request got is not counted."""


class Authorization:
    """What is sent as Authorization to one registry; several threads may ask at once."""

    def __init__(self, login: Login | None) -> None:
        self.login = login
        self._lock = threading.RLock()
        self._tokens: dict[str, str] = {}
        """By scope."""
        self._basic = False

    def field(self, scope: str) -> str | None:
        """Return the field's value for a scope, None where nothing is to be sent (yet)."""
        if token := self._tokens.get(scope):
            return f"Bearer {token}"
        return _basic(self.login) if self._basic and self.login else None

    def answer(self, asker: Asker, answer: requests.Response, scope: str, refused: Refusals) -> bool:
        """Do what a 401 of this registry asks for; tell whether ``field`` has something new for it.

        A token is preferred to the login itself; after one that was refused the login comes first, where the registry
        takes it.
        """
        challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        order = ["bearer", "basic"]
        if len(refused.fields) > 1:
            order.reverse()
        failed: PublishError | None = None
        for challenge in sorted(
            (one for one in challenges if one.scheme in order), key=lambda c: order.index(c.scheme)
        ):
            if challenge.scheme == "basic":
                if self._use_basic(scope, refused):
                    return True
            elif challenge.parameters.get("realm"):
                try:
                    self._have_token(asker, challenge, scope, refused)
                except PublishError as error:
                    failed = failed or error
                else:
                    return True
        if failed is not None:
            raise failed
        return False

    def _use_basic(self, scope: str, refused: Refusals) -> bool:
        if not self.login or not self.login.password or _basic(self.login) in refused.fields:
            return False
        refused.answers += 1
        with self._lock:
            self._tokens.pop(scope, None)
            self._basic = True
        return True

    def _have_token(self, asker: Asker, challenge: Challenge, scope: str, refused: Refusals) -> None:
        """Have a token that was not refused yet: one that another thread has just got, or a new one.

        The scope that the registry itself names is asked for where ours was not enough.
        """
        with self._lock:
            known = self._tokens.get(scope)
            if known is None or f"Bearer {known}" in refused.fields:
                refused.answers += 1
                named = challenge.parameters.get("scope", "")
                wanted = named if len(refused.fields) > 1 and named else scope or named
                self._tokens[scope] = self._token(asker, challenge.parameters, wanted)

    def _token(self, asker: Asker, asked: Mapping[str, str], scope: str) -> str:
        """Return a token of the service that a challenge names. Raises PublishError and its kinds."""
        realm = asker.checked(asked["realm"])
        login = self.login
        if login and not _may_see_login(realm, asker.base):
            raise RegistryUnreachable(
                f"registry {asker.host} wants the login sent to {realm} without TLS",
                hint="tell its owner: its configuration is wrong",
            )
        params = [("service", asked["service"])] if asked.get("service") else []
        scopes = [("scope", one) for one in scope.split(" ") if one]
        if login and login.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": login.identity_token, "client_id": "buildr"}
            form |= {**dict(params), **({"scope": scope} if scope else {})}
            sent = asker.send("POST", realm, {}, data=form)
        else:
            headers = {"Authorization": _basic(login)} if login else {}
            sent = asker.send("GET", realm, headers, params=params + scopes)
        with sent:
            if sent.ok and is_web_page(sent):
                raise web_page(asker.host, " to the login")
            if not 200 <= sent.status_code < 300:
                raise asker.refused(sent, "the login")
            try:
                loaded = json.loads(read_body(sent, _MAX_TOKEN_BYTES, asker.answer_s))
                token = loaded.get("token") or loaded.get("access_token")
            except NO_DOCUMENT:
                token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryUnreachable(
                f"registry {asker.host}: its token service {realm} gives no token",
                hint="try again later, or tell its owner",
            )
        return token


def _may_see_login(realm: str, base: str) -> bool:
    """Tell whether a token service may see the login: TLS to it, and a registry whose word nobody could change."""
    service, registry = origin_of(realm), origin_of(base)
    if service is None or registry is None:
        return False
    if registry.scheme != "https" and not is_local(registry.netloc):
        return service.host == registry.host
    return service.scheme == "https" or is_local(service.netloc)


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
