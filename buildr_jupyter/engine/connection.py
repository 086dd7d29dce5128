"""The connection to a Docker-compatible engine: where it is, what it can do, and what its errors mean.

``connect`` finds the engine as the docker command does: DOCKER_HOST, then DOCKER_CONTEXT, then the current context of
docker's config.json, then the default socket. docker-py is imported inside the functions: importing this costs nothing.

Source of the files: docker/cli, ``cli/context/store`` (contexts/meta/SHA256/meta.json, contexts/tls/SHA256/docker/).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import socket
import ssl
import sys
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from buildr_jupyter.config.timeouts import read_limits
from buildr_jupyter.engine.client import EngineClient
from buildr_jupyter.errors import EngineError, EnginePermission, EngineUnavailable, EngineVersion
from buildr_jupyter.model.json_object import JsonObject, parse_object

if TYPE_CHECKING:
    from docker.errors import APIError

__all__ = [
    "Address",
    "EngineInfo",
    "address_of",
    "connect",
    "describe",
    "find_address",
    "is_podman",
    "still_there",
    "translate",
]

_SCHEMES = ("unix", "tcp", "http", "https", "npipe", "ssh")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the engine is."""

    url: str
    """``unix:///var/run/docker.sock``, ``tcp://host:2376`` …"""
    origin: str
    """What named it: ``DOCKER_HOST``, ``context NAME`` or ``the default``."""
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    """PEM files for TLS, None where the address is spoken to without."""
    tls: bool = False
    verify: bool = True
    """False where a context says SkipTLSVerify."""

    def __str__(self) -> str:
        return f"{self.url} ({self.origin})"


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says about itself."""

    address: str
    origin: str
    name: str
    """``Docker Engine``, ``Podman Engine``."""
    version: str
    api_version: str
    os: str
    architecture: str
    """In the terms of an image: ``amd64``, ``arm64``."""
    buildkit: bool
    """Whether it takes builds for BuildKit (API 1.39 and later, not podman)."""
    podman: bool
    storage: str | None = None
    """Name of the storage driver."""
    free_bytes: int | None = None
    """Free space where it keeps images; None for an engine on another machine."""
    by_containerd: bool = False
    """Whether containerd keeps its images: an image is then loaded with all layers, those that it has, too."""


def find_address(environment: Mapping[str, str] | None = None) -> Address:
    """Return where the engine is, as the docker command would find it; asks nobody.

    Raises EngineUnavailable for an address that is none, or a context that is not there.
    """
    env = os.environ if environment is None else environment
    if host := env.get("DOCKER_HOST", "").strip():
        return _from_host(host, env)
    folder = Path(env["DOCKER_CONFIG"]) if env.get("DOCKER_CONFIG") else Path.home() / ".docker"
    name = env.get("DOCKER_CONTEXT", "").strip() or _current_context(folder)
    if name and name != "default":
        return _from_context(name, folder)
    return Address(_default_url(), "the default")


def _default_url() -> str:
    return "npipe:////./pipe/docker_engine" if sys.platform == "win32" else "unix:///var/run/docker.sock"


def _has_readable_port(host: str) -> bool:
    """Tell whether host and port of an address can be read: a port is a number below 65536."""
    try:
        parts = urlsplit(host)
        return parts.scheme in ("unix", "npipe") or parts.port is not None or not parts.netloc.endswith(":")
    except ValueError:
        return False


def _from_host(host: str, env: Mapping[str, str]) -> Address:
    scheme, separator, rest = host.partition("://")
    if not separator or scheme not in _SCHEMES or not rest or not _has_readable_port(host):
        raise EngineUnavailable(
            f"DOCKER_HOST={host!r} is not the address of an engine",
            hint="write it as unix:///path/docker.sock or tcp://host:2376",
        )
    tls = bool(env.get("DOCKER_TLS_VERIFY")) or scheme == "https"
    if not tls and not env.get("DOCKER_CERT_PATH"):
        return Address(host, "DOCKER_HOST")
    folder = Path(env["DOCKER_CERT_PATH"]) if env.get("DOCKER_CERT_PATH") else Path.home() / ".docker"
    ca, certificate, key = (folder / f"{part}.pem" for part in ("ca", "cert", "key"))
    return Address(host, "DOCKER_HOST", ca, certificate, key, tls=True, verify=tls)


def _current_context(folder: Path) -> str:
    try:
        name = (parse_object((folder / "config.json").read_bytes()) or {}).get("currentContext")
    except OSError:
        return ""
    return name if isinstance(name, str) else ""


def _from_context(name: str, folder: Path) -> Address:
    key = hashlib.sha256(name.encode()).hexdigest()
    try:
        meta = json.loads((folder / "contexts" / "meta" / key / "meta.json").read_text(encoding="utf-8"))
        endpoint = meta["Endpoints"]["docker"]
        host = endpoint["Host"]
        if not isinstance(host, str):
            raise TypeError("Host is not a text")
        if not _has_readable_port(host):
            raise ValueError(f"{host!r} is not the address of an engine")
    except FileNotFoundError:
        raise EngineUnavailable(
            f"docker context {name!r} is not there",
            hint="choose one of docker context ls, or docker context use default",
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUnavailable(
            f"docker context {name!r} cannot be read: {error}",
            hint="run docker context use default, or set DOCKER_HOST",
        ) from error
    pems = folder / "contexts" / "tls" / key / "docker"
    ca, certificate, private = (
        path if (path := pems / f"{part}.pem").exists() else None for part in ("ca", "cert", "key")
    )
    tls = bool(ca or certificate) or host.startswith("https://")
    verify = not endpoint.get("SkipTLSVerify")
    return Address(host, f"context {name}", ca, certificate, private, tls=tls, verify=verify)


def connect(
    environment: Mapping[str, str] | None = None,
    *,
    connect_timeout_s: float | None = None,
    read_timeout_s: float | None = None,
    owner: object = None,
) -> EngineClient:
    """Return a docker-py client for the engine, its API version agreed upon; how long it waits is ``Limits``'.

    Its connections are closed when ``owner`` goes: a client is a cycle, and until the collector comes by, which in an
    idle kernel takes long, every build would leave its sockets open.

    Raises EngineUnavailable, EnginePermission or EngineVersion, each naming the address and what named it.
    """
    address = find_address(environment)
    limits = read_limits(os.environ if environment is None else environment)
    connect_timeout_s = connect_timeout_s or limits.connect_s
    with translate(address):
        _knock(address, connect_timeout_s)
        client = _client(address, "auto", connect_timeout_s)
    client.timeout = read_timeout_s or limits.read_s
    if owner is not None:
        weakref.finalize(owner, client.close)
    return client


def still_there(client: EngineClient) -> None:
    """Ask the client's engine, on a new connection, whether it is there; raises EngineUnavailable where it is not."""
    address = _address_of(client)
    limits = read_limits()
    try:
        with translate(address):
            _knock(address, limits.connect_s)
            with contextlib.closing(_client(address, client.api_version, limits.read_s)) as asked:
                asked.ping()
    except EngineError as error:
        raise EngineUnavailable(
            f"the engine at {address} has gone silent and does not answer any more",
            hint="see whether it still runs; BUILDR_READ_TIMEOUT=SECONDS is how long it gets",
        ) from error


def _knock(address: Address, timeout_s: float) -> None:
    """Raise what is wrong with a unix socket; docker-py would leave the socket open that could not connect."""
    if address.url.startswith("unix://") and hasattr(socket, "AF_UNIX"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(timeout_s)
            probe.connect("/" + address.url.removeprefix("unix://").lstrip("/"))


def _client(address: Address, version: str, timeout_s: float) -> EngineClient:
    from docker import APIClient

    class Client(APIClient):  # type: ignore[misc]
        """docker-py's client, which closes what it opened where the version cannot be agreed upon."""

        def __init__(self) -> None:
            try:
                super().__init__(address.url, version=version, timeout=timeout_s, tls=_tls_config(address))
            except BaseException:
                if hasattr(self, "adapters"):
                    self.close()
                raise
            self.buildr_address = address

    made: EngineClient = Client()
    return made


def address_of(client: EngineClient) -> Address | None:
    """Return where the engine is of a client that ``connect`` made; None for another one."""
    known = getattr(client, "buildr_address", None)
    return known if isinstance(known, Address) else None


def _tls_config(address: Address) -> object:
    if not address.tls:
        return False
    from docker.tls import TLSConfig

    pair = address.certificate and address.key and (str(address.certificate), str(address.key))
    return TLSConfig(client_cert=pair, ca_cert=address.ca and str(address.ca), verify=address.verify)


def describe(client: EngineClient) -> EngineInfo:
    """Return what the engine says about itself. Raises EngineError where it does not answer."""
    address = _address_of(client)
    with translate(address):
        version, info = client.version(), client.info()
    podman = is_podman(version)
    api_version = str(version.get("ApiVersion", ""))
    system = str(version.get("Os", ""))
    return EngineInfo(
        address=address.url,
        origin=address.origin,
        name="Podman Engine" if podman else "Docker Engine",
        version=str(version.get("Version", "")),
        api_version=api_version,
        os=system,
        architecture=str(version.get("Arch", "")),
        buildkit=not podman and system == "linux" and _number(api_version) >= (1, 39),
        podman=podman,
        storage=info.get("Driver"),
        free_bytes=_free_bytes(address, info.get("DockerRootDir")),
        by_containerd="io.containerd" in str(info.get("DriverStatus")),
    )


def is_podman(version: JsonObject) -> bool:
    """Tell whether an engine's answer about its version is that of podman's service."""
    return any("podman" in str(part.get("Name", "")).lower() for part in version.get("Components") or ())


def _number(api_version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in api_version.split(".") if part.isdigit())


def _free_bytes(address: Address, root: object) -> int | None:
    if not address.url.startswith("unix://") or not isinstance(root, str):
        return None
    with contextlib.suppress(OSError):
        return shutil.disk_usage(root).free
    return None


@contextlib.contextmanager
def translate(address: Address | str | EngineClient) -> Iterator[None]:
    """Turn what docker-py and the libraries below it raise into EngineError and its kinds.

    This is the one place that knows those libraries' errors. Our own errors and interrupts pass through.
    """
    try:
        yield
    except Exception as error:
        translated = _translated(error, _address_of(address))
        if translated is None:
            raise
        raise translated from error


def _address_of(given: Address | str | EngineClient) -> Address:
    if isinstance(given, Address):
        return given
    if isinstance(given, str):
        return Address(given, "given")
    return address_of(given) or Address(str(getattr(given, "base_url", "")), "given")


def _translated(error: Exception, address: Address) -> EngineError | None:
    from docker.errors import APIError, DockerException, InvalidVersion, TLSParameterError
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    if isinstance(error, APIError):
        return _from_answer(error, address)
    if not isinstance(error, (DockerException, RequestException, HTTPError, OSError)):
        return None
    if isinstance(error, InvalidVersion):
        return EngineVersion(f"the engine at {address}: {error}", hint="update the engine (Docker 20.10 or later)")
    if isinstance(error, TLSParameterError):
        return EngineUnavailable(
            f"the engine at {address}: {error}".rstrip(". "),
            hint="put ca.pem, cert.pem and key.pem into DOCKER_CERT_PATH",
        )
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, APIError) and cause is not error:
            return _from_answer(cause, address)
    for cause in causes:
        if isinstance(cause, (OSError, ssl.SSLError)) and not isinstance(cause, RequestException):
            return _from_os_error(cause, address)
    return _from_other(error, causes, address)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and what it was made from; requests and urllib3 keep their causes in ``args`` and ``reason``."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        linked = (current.__cause__, current.__context__, getattr(current, "reason", None), *current.args)
        waiting.extend(link for link in linked if isinstance(link, BaseException))


def _from_answer(error: APIError, address: Address) -> EngineError:
    text = str(error.explanation or error).strip()
    if "version" in text and ("too old" in text or "too new" in text):
        return EngineVersion(
            f"the engine at {address}: {text}", hint="update docker-py (pip install -U docker) or the engine"
        )
    if error.status_code in (401, 403):
        return EnginePermission(f"the engine at {address} refuses: {text}", hint="ask who runs the engine for access")
    return EngineError(f"the engine at {address} answered {error.status_code}: {text}")


def _from_os_error(cause: OSError, address: Address) -> EngineError:
    if isinstance(cause, ssl.SSLError):  # its number, 1, is none of the system's
        return EngineUnavailable(
            f"the engine at {address}: TLS failed: {cause.reason or cause}",
            hint="check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH: they say which certificates are used",
        )
    if isinstance(cause, PermissionError) or cause.errno in (errno.EACCES, errno.EPERM):
        return EnginePermission(
            f"the engine at {address} is there, but this user may not talk to it",
            hint="join the group of the socket (often docker: usermod -aG docker USER, then log in again)",
        )
    if isinstance(cause, socket.gaierror):
        return EngineUnavailable(
            f"no engine at {address}: there is no such host", hint="check DOCKER_HOST or the context"
        )
    if isinstance(cause, TimeoutError):
        return EngineUnavailable(
            f"the engine at {address} does not answer in time", hint="check whether it is busy, or behind a firewall"
        )
    reason = cause.strerror or str(cause) or type(cause).__name__
    if address.url.startswith("unix://") and cause.errno in (errno.ENOENT, errno.ENOTDIR, errno.ECONNREFUSED):
        return EngineUnavailable(f"no engine at {address}: {reason}", hint=_start_hint(address))
    return EngineUnavailable(f"no engine at {address}: {reason}", hint="start it, or set DOCKER_HOST to where one is")


def _start_hint(address: Address) -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    for path in (f"{runtime}/docker.sock", f"{runtime}/podman/podman.sock", "/run/podman/podman.sock"):
        if path.startswith("/run") and Path(path).exists() and f"unix://{path}" != address.url:
            return f"take the engine that listens at {path}: export DOCKER_HOST=unix://{path}"
    return "start Docker, or set DOCKER_HOST to where an engine is"


def _from_other(error: Exception, causes: list[BaseException], address: Address) -> EngineError:
    from requests.exceptions import Timeout

    if address.url.startswith("ssh://"):
        return EngineUnavailable(
            f"no engine at {address}: {error}",
            hint="forward its socket: ssh -NL /tmp/docker.sock:/var/run/docker.sock HOST, then "
            "DOCKER_HOST=unix:///tmp/docker.sock; or pip install paramiko",
        )
    if any(isinstance(cause, (Timeout, TimeoutError)) for cause in causes):
        return EngineUnavailable(
            f"the engine at {address} does not answer in time", hint="check whether it is busy, or behind a firewall"
        )
    return EngineUnavailable(
        f"no engine at {address}: {error}".rstrip(". "), hint="check DOCKER_HOST, or run docker version to compare"
    )
