"""What an engine's failure texts mean: the classes that a caller can tell apart, and the way out.

The engine's stream holds a registry's answer only as a text of the Go libraries below it, so the class has to be
found in the text. All patterns are in the two tables here. Source: docker/distribution ``registry/api/errcode``
(``unauthorized``, ``denied``), Go's net and crypto/x509 packages, moby ``distribution/errors.go``.
"""

from __future__ import annotations

import errno
import os
import re

from buildr_jupyter.errors import (
    BuildError,
    PublishError,
    RegistryCertificate,
    RegistryDenied,
    RegistryUnauthorized,
    RegistryUnreachable,
)

__all__ = ["build_error", "publish_error"]

_CERTIFICATE = re.compile(r"\bx509:|tls: failed to verify|certificate (?:signed by unknown|is not trusted)")
_PLAIN_HTTP = re.compile(r"server gave HTTP response to HTTPS client")
_UNAUTHORIZED = re.compile(
    r"\bunauthorized\b|authentication required|no basic auth credentials|incorrect username or password|\b401\b", re.I
)
_DENIED = re.compile(r"\bdenied\b|\bforbidden\b|insufficient_scope|\b403\b", re.I)
_UNREACHABLE = re.compile(
    r"no such host|connection refused|connection reset|network is unreachable|no route to host|i/o timeout"
    r"|TLS handshake timeout|deadline exceeded|Client\.Timeout|server misbehaving|\bEOF\b|temporary failure"
    r"|\b50[0234]\b(?: Bad Gateway| Service Unavailable| Internal Server Error)"
)


BROKEN_OFF = "the engine broke the connection off"
_STILL_RUNS = "see whether it still runs, with buildr doctor; then try again"


def publish_error(message: str, host: str, *, logged_in: bool = False) -> PublishError:
    """Return the error of a push to ``host`` that failed with the engine's ``message``."""
    text = f"Image push failed: {message}"
    if _CERTIFICATE.search(message):
        return RegistryCertificate(
            text, hint=f"give the engine the authority's certificate: /etc/docker/certs.d/{host}/ca.crt"
        )
    if _PLAIN_HTTP.search(message):
        return RegistryUnreachable(
            text,
            hint=f"name {host} in the engine's insecure-registries, or give it a certificate",
        )
    if _UNAUTHORIZED.search(message):
        wrong = "the login that was sent is refused" if logged_in else "no login is known"
        return RegistryUnauthorized(text, hint=f"log in, since {wrong}: buildr login {host}")
    if _DENIED.search(message):
        hint = f"ask for the right to push there, or log in as another user: buildr login {host}"
        return RegistryDenied(text, hint=hint if logged_in else f"log in, since no login was sent: buildr login {host}")
    if _UNREACHABLE.search(message):
        return RegistryUnreachable(text, hint=f"check that {host} is the right name, and up")
    if message == BROKEN_OFF:
        return PublishError(text, hint=_STILL_RUNS)
    if "does not exist locally" in message or "No such image" in message:
        return PublishError(text, hint="build the image first, under the name that is pushed")
    return PublishError(text)


_BUILD_HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(BROKEN_OFF), _STILL_RUNS),
    (re.compile(r"requires BuildKit"), "take --builder buildkit: the classic builder cannot do it"),
    (re.compile(r"no space left on device"), "free space where the engine keeps its images (docker system df)"),
    (re.compile(r"no active sessions"), "run pip install 'buildr-jupyter[buildkit]': it needs a session with BuildKit"),
    (re.compile(r"secret \S+ not found|secret \S+: not found"), "give the secret: --secret id=NAME,src=FILE"),
    (re.compile(r"unset ssh forward key|no SSH key"), "give the ssh agent: --ssh default"),
    (re.compile(r"file not found in build context|no such file or directory.*build context"
                r"|failed to (?:compute cache key|calculate checksum).*not found"),
     "check that the file is in the context folder, and not named in .dockerignore"),
    (re.compile(r"exec format error"), "ask for the --platform of this machine: the image is for another processor"),
    (re.compile(r"failed to reach build target"), "name a stage of the Dockerfile (FROM … AS NAME)"),
    (re.compile(r"Cannot locate specified Dockerfile"), "put a Dockerfile into the context folder"),
)  # fmt: skip
_INSTALL = re.compile(r"buildr: (base \S+ .*): ([^:]*(?::\S[^:]*)*)$")
"""What install.py says in the image where the base takes no packages: why, and what to do."""
_CAUSE = re.compile(r"\s*((?:E|fatal|(?:\w+: )?[Ee]rror|ERROR|[A-Za-z_][\w.]*(?:Error|Exception)): .*\S)")
"""A line in which a command says why it failed: apt's, git's, a compiler's, pip's, the end of a traceback."""
_CAUSE_LINES = 30
_SYSTEM = re.compile(
    r"\s*([\w./-]+: (?:.*: )?(?:"
    + "|".join(map(re.escape, sorted({os.strerror(number) for number in errno.errorcode})))
    + r"|(?:command )?not found))"
)
"""A line in which a program or a shell repeats what the system refused it: ``cat: x: No such file or directory``."""
_CUT_OFF = re.compile(r"connection reset|\bEOF\b|malformed HTTP response|HTTP request to an HTTPS server")
_NO_BASE = re.compile(
    r"pull access denied|manifest unknown|manifest for \S+ not found|repository \S+ not found|does not exist|not found",
    re.I,
)


def build_error(
    message: str, *, step: str | None, exit_code: int | None, tail: tuple[str, ...], base: str | None = None
) -> BuildError:
    """Return the error of a build that failed with the engine's ``message``.

    ``base`` is the image that the failing step pulls, None for a step that pulls none. Where a command of the step
    failed and said why among its last lines, that is what the error says, and the engine's words end ``log_tail``.
    """
    if (refused := next((found for line in tail if (found := _INSTALL.search(line))), None)) is not None:
        message, hint = refused.groups()
        return BuildError(f"Image build failed: {message}", hint=hint, step=step, exit_code=exit_code, log_tail=tail)
    hint = _base_hint(message, base) if base else None
    if hint is None:
        hint = next((text for pattern, text in _BUILD_HINTS if pattern.search(message)), None)
    if hint is None and exit_code == 137:
        hint = "check whether it ran out of memory: the command was killed"
    elif exit_code is not None and (cause := _cause(tail)) is not None:
        message, tail = cause, tail if message in tail else (*tail, message)
    return BuildError(f"Image build failed: {message}", hint=hint, step=step, exit_code=exit_code, log_tail=tail)


def _cause(tail: tuple[str, ...]) -> str | None:
    """Return the last of the last lines in which a command says why it failed, None where none does.

    What the system refused is a cause only as the very last line: many programs go on after it.
    """
    if (found := _SYSTEM.fullmatch(next((line for line in reversed(tail) if line.strip()), ""))) is not None:
        return found[1]
    return next((found[1] for line in reversed(tail[-_CAUSE_LINES:]) if (found := _CAUSE.fullmatch(line))), None)


def _base_hint(message: str, base: str) -> str | None:
    first, slash, _ = base.partition("/")
    host = first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
    if _CERTIFICATE.search(message):
        return f"let the engine trust {host}, where base image {base} is: /etc/docker/certs.d/{host}/ca.crt"
    if _UNAUTHORIZED.search(message):
        return f"log in to the registry of base image {base}: buildr login {host}"
    if _NO_BASE.search(message):
        return f"check the name of base image {base}, or log in to its registry: buildr login {host}"
    if _CUT_OFF.search(message):
        # Measured: where an engine may use plain http (127.0.0.0/8), it tries that after a 401 and reports
        # only how that ended.
        return f"check that {host}, where base image {base} is, is up, or log in to it: buildr login {host}"
    if _UNREACHABLE.search(message):
        return f"check that {host} of base image {base} is up; a base that the engine has already needs no registry"
    if "invalid reference format" in message:
        return f"correct the name of base image {base!r}: no registry would take it"
    return None
