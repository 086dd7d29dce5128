"""Who we are to a registry: docker's and podman's login files, credential helpers, and logins of our own.

The order is: our own logins, docker's config.json (a helper for the host, the file's entry, the helper for all),
podman's auth.json. No secret is ever in a message, a repr or a log.

Source: docker/cli ``cli/config/configfile`` and docker/docker-credential-helpers (the helpers' protocol),
containers-auth.json(5).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from buildr_jupyter.errors import CredentialError
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.process.tempfiles import atomic_write
from buildr_jupyter.secretscan.redact import remember

__all__ = ["Login", "find", "hosts", "login", "logout", "own_file", "server_address"]

HELPER_TIMEOUT_S = 30.0
"""A helper may ask a person to unlock something, but not for ever."""

_INDEX = "https://index.docker.io/v1/"
_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HOST = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.\-:\[\]]*(?:/[A-Za-z0-9._\-/]+)?")
_TOKEN_USER = "<token>"  # noqa: S105  a helper's way to say that the secret is an identity token


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """One login; its repr and its str hold no secret."""

    host: str
    """As in an image reference: ``docker.io``, ``127.0.0.1:5000``."""
    user: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """An OAuth2 refresh token in the place of user and password, empty for most registries."""
    source: str = ""
    """What it was read from: ``docker's config.json``, ``docker-credential-pass`` …"""
    namespace: str = ""
    """What of the registry it is for: ``team``; empty for all of it."""

    def __post_init__(self) -> None:
        remember(self.password, self.identity_token, f"{self.user}:{self.password}" if self.password else "")

    def __repr__(self) -> str:
        return f"Login(host={self.host!r}, user={self.user!r}, source={self.source!r})"


def server_address(host: str) -> str:
    """Return the key of a host in login files: the host itself, but Docker Hub's old address for docker.io."""
    return _INDEX if _canonical(host) == "docker.io" else host


def own_file() -> Path:
    """Return where our own logins are kept: ``$BUILDR_AUTH_FILE``, else ``auth.json`` in the user's configuration."""
    if given := os.environ.get("BUILDR_AUTH_FILE"):
        return Path(given)
    from platformdirs import user_config_path

    return user_config_path("buildr", appauthor=False) / "auth.json"


def find(name: str) -> Login | None:
    """Return the login for a registry's host, or for a repository (``host/team/app``); None where nobody knows one.

    In a file the longest key counts that the repository begins with (containers-auth.json(5)): ``host/team/app``, then
    ``host/team``, then ``host``.

    Raises CredentialError for a file that cannot be read, or a helper that is missing, fails or does not answer.
    """
    host, namespace = _split(name)
    for file in _files():
        config = _read(file.path)
        if config and (found := _from_config(config, host, namespace, file.title)):
            return found
    return None


def hosts() -> list[tuple[str, str]]:
    """Return (host, source) of every login that a file names, sorted, without any secret; asks no helper.

    A helper for all registries is named as the host ``*``. A file that cannot be read is left out.
    """
    found: dict[str, str] = {}
    for file in _files():
        try:
            config = _read(file.path)
        except CredentialError:
            continue
        for key in _table(config, "auths"):
            found.setdefault(_canonical(key), file.title)
        for key, helper in _table(config, "credHelpers").items():
            found.setdefault(_canonical(key), f"docker-credential-{helper}")
        if config.get("credsStore"):
            found.setdefault("*", f"docker-credential-{config['credsStore']}")
    return sorted(found.items())


def login(host: str, user: str, password: str, *, verify: Callable[[Login], None] | None = None) -> Login:
    """Keep a login, after ``verify`` (which asks the registry and raises) took it; return it with its source.

    It goes to the credential helper that docker's config.json names for the host or for all, else into our own file
    (mode 0600). Raises CredentialError, and what ``verify`` raises; then nothing is kept.
    """
    host = _canonical(host)
    if not _HOST.fullmatch(host):
        raise CredentialError(f"{host!r} is not a registry host", hint="write it as host or host:port")
    if not user or not password:
        raise CredentialError(f"login to {host}: user and password are both needed")
    if any(sign in user for sign in ":\n\r"):
        raise CredentialError(f"login to {host}: a user name has no colon and no line end")
    made = Login(host, user, password)
    if verify:
        verify(made)
    config = _read(_docker_file())
    if helper := _helper_for(config, host):
        entry = {"ServerURL": server_address(host), "Username": user, "Secret": password}
        _ask_helper(helper, "store", json.dumps(entry), host)
        return Login(host, user, password, source=f"docker-credential-{helper}")
    path = own_file()
    own = _read(path)
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    own["auths"] = {**_table(own, "auths"), server_address(host): {"auth": auth}}
    _write(path, own)
    return Login(host, user, password, source=_OWN)


def logout(host: str) -> bool:
    """Forget a login, in buildr's own file and in the credential helper; tell whether there was one.

    What the docker and podman commands keep in their own files stays. Raises CredentialError.
    """
    host = _canonical(host)
    path = own_file()
    own = _read(path)
    kept = {key: entry for key, entry in _table(own, "auths").items() if _canonical(key) != host}
    removed = len(kept) != len(_table(own, "auths"))
    if removed:
        _write(path, {**own, "auths": kept})
    if (helper := _helper_for(_read(_docker_file()), host)) and _from_helper(helper, host) is not None:
        _ask_helper(helper, "erase", server_address(host), host)
        removed = True
    return removed


# -- files

_OWN = "buildr login"


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    title: str


def _files() -> Iterator[_File]:
    yield _File(own_file(), _OWN)
    yield _File(_docker_file(), "docker's config.json")
    for path in _podman_files():
        yield _File(path, "podman's auth.json")


def _docker_file() -> Path:
    folder = os.environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path.home() / ".docker") / "config.json"


def _podman_files() -> Iterator[Path]:
    if given := os.environ.get("REGISTRY_AUTH_FILE"):
        yield Path(given)
        return
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    config = os.environ.get("XDG_CONFIG_HOME")
    yield (Path(config) if config else Path.home() / ".config") / "containers" / "auth.json"


def _read(path: Path) -> JsonObject:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise CredentialError(f"login file {path} cannot be read: {why}", hint="check its owner and mode") from None
    if not text.strip():
        return {}
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "too deeply nested"
        raise CredentialError(f"login file {path} is no JSON ({where})", hint="repair it, or log in again") from None
    if not isinstance(config, dict):
        raise CredentialError(f"login file {path} holds no JSON object", hint="repair it, or log in again")
    return config


def _write(path: Path, config: JsonObject) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_write(path) as half:  # mode 0600 from the start
            with half.open("w", encoding="utf-8") as stream:
                json.dump(config, stream, indent=1)
                stream.flush()
                os.fsync(stream.fileno())
            half.replace(path)
    except OSError as error:
        raise CredentialError(
            f"login file {path} cannot be written: {error.strerror}", hint="check the folder's owner and mode"
        ) from None


def _table(config: JsonObject, name: str) -> JsonObject:
    found = config.get(name)
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


# -- one host in one file


def _canonical(key: str) -> str:
    """Return what a key of a login file means, in one form: a host, or a host and a namespace."""
    host, namespace = _split(key)
    return f"{host}/{namespace}" if namespace else host


def _split(key: str) -> tuple[str, str]:
    """Return host and namespace that a key means: a host, a repository, or an address, whose path says nothing."""
    plain = re.sub(r"^https?://", "", key.strip(), flags=re.IGNORECASE)
    for suffix in ("/v1/", "/v2/", "/v1", "/v2", "/"):
        plain = plain.removesuffix(suffix)
    host, _, namespace = plain.partition("/")
    if plain != key.strip() and "://" in key:
        namespace = ""
    host = host.lower()
    return "docker.io" if host in _HUB else host, namespace.strip("/")


def _helper_of(config: JsonObject, host: str) -> str | None:
    """Return the helper that a file names for a host."""
    for key, helper in _table(config, "credHelpers").items():
        if _split(key) == (host, "") and isinstance(helper, str) and helper:
            return helper
    return None


def _helper_for(config: JsonObject, host: str) -> str | None:
    if helper := _helper_of(config, host):
        return helper
    store = config.get("credsStore")
    return store if isinstance(store, str) and store else None


def _from_config(config: JsonObject, host: str, namespace: str, source: str) -> Login | None:
    entries = [(_split(key), entry) for key, entry in _table(config, "auths").items()]
    parts = namespace.split("/") if namespace else []
    for count in range(len(parts), 0, -1):
        wanted = host, "/".join(parts[:count])
        for key, entry in entries:
            if key == wanted and (found := _from_entry(entry, host, source)):
                return replace(found, namespace=wanted[1])
    if helper := _helper_of(config, host):
        return _from_helper(helper, host)
    for key, entry in entries:
        if key == (host, "") and (found := _from_entry(entry, host, source)):
            return found
    store = config.get("credsStore")
    return _from_helper(store, host) if isinstance(store, str) and store else None


def _from_entry(entry: object, host: str, source: str) -> Login | None:
    """Return the login of an entry; None where it is empty, as docker leaves it beside a helper."""
    if not isinstance(entry, dict):
        return None
    token = entry.get("identitytoken")
    user, password = entry.get("username", ""), entry.get("password", "")
    if auth := entry.get("auth"):
        try:
            user, _, password = base64.b64decode(str(auth), validate=False).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise CredentialError(
                f"the login for {host} in {source} cannot be decoded", hint=f"log in again: buildr login {host}"
            ) from None
        password = password.rstrip("\0")
    if token:
        return Login(host, str(user), identity_token=str(token), source=source)
    return Login(host, str(user), str(password), source=source) if user and password else None


# -- helpers

_NOTHING_STORED = re.compile(
    r"(?<![-\w])(?:credentials?|item|entry|element|login|account|password)(?![-\w])[^\n]*\bnot\b[^\n]*\b(?:found|exist|stored)"
    r"|\bno\s+(?:(?:stored|saved|such|matching|known|secret)\s+)*(?:credentials?|logins?|items?|entry|entries|accounts?)\b"
    r"|\bnothing\b[^\n]*\bstored|\bnot logged in\b|\bunsupported registry|\bregistry\b[^\n]*\bnot supported",
    re.IGNORECASE,
)
"""How helpers say that they have no login for a host: the protocol has no code for it, each has words of its own.

A program or a key that is not found is another thing. Source: docker-credential-helpers ``credentials/error.go``,
osxkeychain, wincred, secretservice; Docker Desktop; docker-credential-gcr and -ecr-login.
"""


def _from_helper(helper: str, host: str) -> Login | None:
    answer = _ask_helper(helper, "get", server_address(host), host)
    if answer is None or not answer.strip():
        return None
    try:
        entry = json.loads(answer)
        user, secret = str(entry.get("Username", "")), str(entry.get("Secret", ""))
    except (ValueError, AttributeError):
        raise CredentialError(
            f"docker-credential-{helper} gave no login that can be read for {host}",
            hint=f"run docker login {host} again",
        ) from None
    source = f"docker-credential-{helper}"
    if not secret:
        return None
    if user == _TOKEN_USER:
        return Login(host, "", identity_token=secret, source=source)
    return Login(host, user, secret, source=source)


def _ask_helper(helper: str, verb: str, given: str, host: str) -> str | None:
    """Return what a credential helper answers, None where it knows no login. Its output is never repeated."""
    if not _HELPER.fullmatch(helper):
        raise CredentialError(
            f"credential helper {helper!r} for {host} is refused: it is not a plain name",
            hint="correct credsStore and credHelpers in docker's config.json, to names like pass or secretservice",
        )
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, verb],
            input=given.encode(),
            capture_output=True,
            timeout=HELPER_TIMEOUT_S,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except FileNotFoundError:
        raise CredentialError(
            f"credential helper {program} for {host} is not installed",
            hint="install it, or take credsStore and credHelpers out of docker's config.json",
        ) from None
    except subprocess.TimeoutExpired:
        raise CredentialError(
            f"credential helper {program} for {host} did not answer in {HELPER_TIMEOUT_S:.0f} s",
            hint="check whether it waits for a password in another window",
        ) from None
    except OSError as error:
        raise CredentialError(f"credential helper {program} for {host} cannot be run: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout.decode("utf-8", "replace")
    if verb == "get" and _NOTHING_STORED.search((done.stdout + b"\n" + done.stderr).decode("utf-8", "replace")):
        return None
    raise CredentialError(
        f"credential helper {program} failed for {host} (exit status {done.returncode})",
        hint=f"try it by hand: echo {server_address(host)} | {program} {verb}",
    )
