"""Answers of a registry that are no success: what each of them means, as an error with its hint; and when to ask again.

A status alone does not tell causes apart: 403 is a missing right, a missing login, a full quota or an immutable tag.
What the registry says beside it decides. Source: OCI distribution specification 1.1, "Error Codes"; RFC 9110 10.2.3
(Retry-After) and 15; RFC 6585 (429, 511); answers of Harbor, ECR, ACR, Artifact Registry, Docker Hub, GHCR, Nexus.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import requests
from urllib3.exceptions import HTTPError

from buildr_jupyter.errors import PublishError, RegistryDenied, RegistryUnauthorized, RegistryUnreachable
from buildr_jupyter.registry.connections import TooSlow, socket_of
from buildr_jupyter.registry.deadlines import Deadline

__all__ = ["NO_DOCUMENT", "is_web_page", "read_body", "refusal", "retry_after_s", "web_page"]

NO_DOCUMENT = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OSError, HTTPError)
"""What reading an answer as JSON raises where it is none."""
_MAX_ERROR_BYTES = 16_384
_HINTS = {
    "DENIED": "ask its owner for the right to push there; some registries want the repository made first",
    "NAME_UNKNOWN": "make the repository in the registry first, or correct its name",
    "MANIFEST_INVALID": "check whether it is old, or wants Docker's own types: it does not take this kind of image",
    "TOOMANYREQUESTS": "wait, or log in: most registries give more to those they know",
    "UNSUPPORTED": "name a registry that takes pushes: this one may be a mirror",
}
_IMMUTABLE = re.compile(
    r"immutab|overwrit|tag_?already_?exists|tag\b.*\balready exists|not allow updating|operation is disallowed"
    r"|protected tag|tag\b.*\bprotected|redeploy",
    re.IGNORECASE | re.DOTALL,
)
_QUOTA = re.compile(
    r"quota|(?:exceed|reach)\w*\b.*\b(?:limit|storage|upper)|storage\b.*\b(?:limit|full)|limit_?exceeded|out of storage"
    r"|no space left|insufficient storage",
    re.IGNORECASE | re.DOTALL,
)
_STALE = re.compile(r"\bexpired\b|reauthenticate|log ?in again", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Said:
    code: str | None
    """The registry's first code."""
    words: str
    """Its own words, at most 200 characters, with a colon before them; empty where it says none."""
    text: str
    """All that was read of its answer."""


def refusal(answer: requests.Response, host: str, what: str, *, logged_in: bool, answer_s: float) -> PublishError:
    """Return the error of an answer that is no success, with ``method``, ``status`` and ``code``."""
    said = _read(answer, answer_s)
    made = _refusal(answer, host, what, said, logged_in=logged_in)
    made.method, made.status, made.code = answer.request.method, answer.status_code, said.code
    return made


def _refusal(answer: requests.Response, host: str, what: str, said: _Said, *, logged_in: bool) -> PublishError:
    status, method = answer.status_code, answer.request.method
    asked = str(answer.request.url)
    told = f"{said.code or ''} {said.words or ('' if is_web_page(answer) else said.text[:1000])}"
    answered = f"registry {host} answered {status}"
    login = f"log in: buildr login {host}"
    if status == 511 or (answer.ok and is_web_page(answer)):
        return web_page(host)
    if method == "PUT" and "/manifests/" in asked and status != 429 and status < 500 and _IMMUTABLE.search(told):
        return RegistryDenied(
            f"registry {host} lets nobody replace {what}{said.words}",
            hint="give another tag: --tag NAME; the content tag c-… is new with each content",
        )
    if status == 401:
        how = "refuses the login" if logged_in else "wants a login"
        return RegistryUnauthorized(f"registry {host} {how}{said.words}", hint=login)
    if status in (402, 507) or (400 <= status < 500 and status != 429 and _QUOTA.search(told)):
        return RegistryDenied(
            f"registry {host} has no space left for {what}{said.words}",
            hint="delete images there that nobody needs, or ask its owner for more space",
        )
    if status == 403 and not logged_in:
        return RegistryUnauthorized(f"registry {host} wants a login for {what}{said.words}", hint=login)
    if status == 403 and _STALE.search(told):
        return RegistryUnauthorized(
            f"registry {host} refuses the login{said.words}", hint=f"log in anew: buildr login {host}"
        )
    if status == 403:
        return RegistryDenied(
            f"registry {host} does not allow {what}{said.words}",
            hint=_HINTS.get(said.code or "", "ask its owner for the right"),
        )
    if status == 413:
        return PublishError(
            f"{answered} for {what}: a part of the image is larger than it takes{said.words}",
            hint="let the proxy before it take more (nginx: client_max_body_size), or leave large files out",
        )
    if status == 429:
        return RegistryUnreachable(f"{answered}: it is asked too often{said.words}", hint=_HINTS["TOOMANYREQUESTS"])
    if status >= 500:
        return RegistryUnreachable(f"{answered}{said.words}", hint=_HINTS.get(said.code or "", "try again later"))
    if status == 405:
        return PublishError(f"{answered} for {what}{said.words}", hint=_HINTS["UNSUPPORTED"])
    if said.text.lstrip()[:1] == "<" and is_web_page(answer):
        return web_page(host, f" to {what} ({status})")
    return PublishError(f"{answered} for {what}{said.words}", hint=_HINTS.get(said.code or ""))


def is_web_page(answer: requests.Response) -> bool:
    """Tell whether an answer is for a browser: HTML without a field that only a registry sends.

    Registries made with web frameworks call an empty body HTML, too, but say who they are.
    """
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    ours = any(name.lower().startswith(("docker-", "oci-")) for name in answer.headers)
    return kind in ("text/html", "application/xhtml+xml") and not ours


def web_page(host: str, to: str = "") -> RegistryUnreachable:
    """Return the error of something that is no registry, but answers."""
    return RegistryUnreachable(
        f"{host} is no registry: it answers{to} with a web page (a login portal?)",
        hint=f"open https://{host}/v2/ in a browser: log in to the network there, or correct the registry's name",
    )


def retry_after_s(field: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After field asks for, a date counted from ``now``; None for none or rubbish."""
    text = (field or "").strip()
    if text.isascii() and text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def read_body(answer: requests.Response, limit: int, answer_s: float) -> bytes:
    """Return the first ``limit`` bytes of an answer, unpacked piece by piece: a bomb is not unpacked any further.

    Raises TooSlow where they are not there in ``answer_s`` seconds, however they trickle; OSError, HTTPError.
    """
    if answer._content_consumed:
        return answer.content[:limit]
    with Deadline(socket_of(answer), answer_s) as deadline:
        try:
            found: bytes = answer.raw.read(limit, decode_content=True)
        except Exception as error:
            if deadline.expired:
                raise TooSlow("the answer took too long") from error
            raise
    if deadline.expired:
        raise TooSlow("the answer took too long")
    return found


def _read(answer: requests.Response, answer_s: float) -> _Said:
    text = ""
    try:
        text = read_body(answer, _MAX_ERROR_BYTES, answer_s).decode("utf-8", "replace")
        errors = json.loads(text)["errors"]
        words = "; ".join(str(error.get("message") or error.get("code")) for error in errors)
        code = str(errors[0]["code"]) if errors and errors[0].get("code") else None
    except NO_DOCUMENT:
        return _Said(None, "", text)
    return _Said(code, f": {words[:200]}" if words else "", text)
