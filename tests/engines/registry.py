"""Registries of our own on free loopback ports: Debian's docker-registry, plain or with TLS and a login."""

from __future__ import annotations

import json
import os
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tests.engines._process import EngineStartError, Process, free_port, run, start

USER, PASSWORD = "alice", "wonder land:42%"
"""With a colon, a space and a percent sign: what clients tend to get wrong."""


@dataclass(frozen=True)
class Registry:
    """A running registry."""

    host: str
    """``127.0.0.1:PORT``, as it stands in an image reference."""
    scheme: str
    user: str | None
    password: str | None
    ca: Path | None
    """The authority that signed its certificate, None over plain http."""
    processes: tuple[Process, ...]


def missing() -> str | None:
    """Return why no registry can be started here, None where one can."""
    lacking = [name for name in ("docker-registry", "htpasswd") if not shutil.which(name)]
    return f"not installed: {', '.join(lacking)} (make engines installs them)" if lacking else None


def bring_up(
    folder: Path, *, login: bool = False, certificate: tuple[Path, Path, Path] | None = None, address: str = "127.0.0.1"
) -> Registry:
    """Start one under ``folder``; ``certificate`` is (authority, certificate, key), all PEM.

    Raises EngineStartError with the end of its log; nothing is left running then.
    """
    if why := missing():
        raise EngineStartError(why)
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port(address)
    host, scheme = f"{address}:{port}", "https" if certificate else "http"
    http: dict[str, object] = {"addr": host, "secret": "not one"}
    if certificate:
        http["tls"] = {"certificate": str(certificate[1]), "key": str(certificate[2])}
    config: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": http,
    }
    if login:
        (folder / "htpasswd").write_text(run(["htpasswd", "-Bbn", USER, PASSWORD]))
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    process = start(
        "docker-registry",
        ["docker-registry", "serve", str(folder / "config.yml")],
        log=folder / "registry.log",
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "OTEL_TRACES_EXPORTER": "none"},
        ready=lambda: _answers(f"{scheme}://{host}/v2/", certificate and certificate[0]),
    )
    user, password = (USER, PASSWORD) if login else (None, None)
    return Registry(host, scheme, user, password, certificate[0] if certificate else None, (process,))


def _answers(url: str, ca: Path | None) -> bool:
    import ssl

    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    try:
        urllib.request.build_opener(*handlers).open(url, timeout=2).close()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code == 401
    except OSError:
        return False
    return True
