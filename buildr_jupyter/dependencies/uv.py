"""``uv`` asked for the wheels of another platform, installed into an environment of their own.

The index settings come packed in a build argument, as ``install.py`` says; here they become uv's environment, and
nothing of them is in what is installed.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from buildr_jupyter.errors import BuildError, BuildRefused
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.model.plan import FileEntry

__all__ = ["find_uv", "install", "uv_platform"]

_TRIPLES = {"linux/amd64": "x86_64-manylinux_2_28", "linux/arm64": "aarch64-manylinux_2_28"}
_MUSL_TRIPLES = {"linux/amd64": "x86_64-unknown-linux-musl", "linux/arm64": "aarch64-unknown-linux-musl"}
_PASSED = frozenset(
    (
        "PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "UV_CACHE_DIR",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "SYSTEMROOT", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA",
        "USERPROFILE",
    )
)  # fmt: skip
"""All that uv gets of this process's environment: a requirement can name no variable that is not there."""
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
_NO_ROOM = "No space left on device"
_NO_VERSION = re.compile(r"there is no version of ([\w.-]+)(?:\[[^\]]*\])?==(\S+?),? ")
_NO_WHEEL = re.compile(
    r"no (?:usable )?wheels|has no wheels|building from source is disabled|--only-binary|only-binary"
)


def uv_platform(platform: str, *, musl: bool = False) -> str | None:
    """Return uv's name of a platform with glibc or musl, None where wheels for it are not known."""
    return (_MUSL_TRIPLES if musl else _TRIPLES).get(platform.removesuffix("/v8"))


def install(
    pins: Sequence[str],
    wheels: Sequence[FileEntry],
    folder: Path,
    *,
    python: str,
    platform: str,
    musl: bool = False,
    build_args: Mapping[str, str],
    cancel: CancelToken,
    say: Callable[[str], None] = lambda _line: None,
) -> Path:
    """Install the pins below ``folder`` and return the site-packages; uv downloads what its cache lacks.

    Raises BuildRefused where a distribution has no wheel for the platform, BuildError with uv's words, Cancelled.
    """
    triple = uv_platform(platform, musl=musl)
    if triple is None:
        raise BuildRefused(
            f"Image build failed: no wheels are known for {platform}", hint=f"choose one of: {', '.join(_TRIPLES)}"
        )
    (folder / "wheels").mkdir()
    for entry in wheels:
        with entry.open() as stream:
            (folder / entry.path).write_bytes(stream.read())
    (folder / "requirements.txt").write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    environment, arguments = _settings(build_args, folder)
    target = folder / "environment"
    program = find_uv()
    _run(
        [program, "--no-config", "venv", "--quiet", "--no-project", "--python", sys.executable, str(target)],
        environment,
        folder,
        cancel,
        say,
    )
    inside = target / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    command = [
        program, "--no-config", "pip", "install", "--python", str(inside), "--python-version", python,
        "--python-platform", triple, "--only-binary", ":all:", "--no-compile-bytecode", "--index-strategy",
        "unsafe-best-match", "--no-progress", *arguments, "--requirement", "requirements.txt",
    ]  # fmt: skip
    if wheels:
        command += ["--find-links", "wheels"]
    _run(command, environment, folder, cancel, say)
    return next((target / "lib").glob("python*/site-packages"), target / "Lib" / "site-packages")


def find_uv() -> str:
    """Return the uv that is run: the one that is installed beside this package, else that of the PATH."""
    try:
        from uv import find_uv_bin
    except ImportError:
        return "uv"
    try:
        return find_uv_bin()
    except FileNotFoundError:
        return "uv"


def _settings(build_args: Mapping[str, str], folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return uv's environment and arguments for the index settings that came with the request."""
    environment = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith("LC_")}
    packed = build_args.get("FTP_PROXY", "")
    settings = json.loads(zlib.decompress(base64.b64decode(packed[7:]))) if packed.startswith("buildr:") else {}
    environment |= {name: value for name, value in build_args.items() if name != "FTP_PROXY"}
    pip = settings.get("environment", {})
    arguments = []
    if index := pip.get("PIP_INDEX_URL"):
        environment["UV_DEFAULT_INDEX"] = index
    if extra := pip.get("PIP_EXTRA_INDEX_URL"):
        environment["UV_INDEX"] = extra
    if links := pip.get("PIP_FIND_LINKS"):
        environment["UV_FIND_LINKS"] = ",".join(links.split())
    if trusted := pip.get("PIP_TRUSTED_HOST"):
        environment["UV_INSECURE_HOST"] = trusted
    if str(pip.get("PIP_NO_INDEX", "")).lower() in ("1", "true", "yes", "on"):
        arguments.append("--no-index")
    if settings.get("certificates"):
        import certifi

        bundle = folder / "certificates.pem"
        bundle.write_text(Path(certifi.where()).read_text(encoding="utf-8") + "\n" + settings["certificates"])
        environment["SSL_CERT_FILE"] = str(bundle)
    return environment, arguments


def _run(
    command: list[str], environment: dict[str, str], folder: Path, cancel: CancelToken, say: Callable[[str], None]
) -> None:
    try:
        child = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise BuildError(
            f"Image build failed: uv cannot be run: {error.strerror}", hint="run pip install uv"
        ) from error
    done = cancel.on_cancel(child.kill)
    tail: list[str] = []
    assert child.stdout is not None
    with child.stdout:
        for line in child.stdout:
            text = _CREDENTIALS.sub("****@", line.rstrip())
            tail = [*tail[-40:], text]
            say(text)
    status = child.wait()
    done()
    cancel.check()
    if not status:
        return
    said = " ".join(" ".join(tail).split())
    if _NO_WHEEL.search(said):
        raise BuildRefused(
            f"Image build failed: a package has no wheel for this platform: {said[:600]}",
            hint="take a builder that can compile it: docker, buildkit",
            exit_code=status,
            log_tail=tuple(tail),
        )
    told = said[max(0, said.find("error: ")) :]  # what it warned of before is in the log
    hint = "check that the package index is in reach; with the same packages installed here no index is asked"
    if _NO_ROOM in said:
        hint = "make room on the disk (buildr cache prune)"
    elif gone := _NO_VERSION.search(said):
        hint = f"take another version: --requirement '{gone[1]}!={gone[2]}'"
    raise BuildError(
        f"Image build failed: the packages could not be had: {told[:600]}",
        hint=hint,
        exit_code=status,
        log_tail=tuple(tail),
    )
