"""The base image of the tests: Debian's Python as ``python:3.11-slim``, made here: no public registry is asked."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.engines._process import EngineStartError, run

NAME = "python:3.11-slim"
SMALL = "python:3.11-small"
PYTHON = "3.11"
SUITE = "bookworm"
PACKAGES = ("python3", "python3-pip", "python-is-python3", "ca-certificates")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_CLEAN = (
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/lib/python3.11/EXTERNALLY-MANAGED",  # the public image has none: pip may install
)
_SMALL = re.compile(
    r"""
    etc (/(passwd|group|shadow|hosts|nsswitch\.conf|debian_version|ld\.so\.c.*|ssl(/.*)?|alternatives(/awk)?))?
    | (bin|sbin|lib|lib64|dev|proc|sys|run|root|home|tmp|opt|var|var/tmp|usr|usr/bin|usr/sbin|usr/lib|usr/local(/.*)?)
    | usr/bin/(python.*|bash|dash|sh|\[|awk|base64|basename|cat|chmod|chown|cp|cut|date|dd|dirname|du|echo|env|expr|false|find
        |grep|gzip|head|id|install|kill|ln|ls|mawk|md5sum|mkdir|mktemp|mv|nproc|printf|readlink|realpath|rm|rmdir|sed|seq
        |sha256sum|sleep|sort|stat|sync|tail|tar|tee|test|timeout|touch|tr|true|uname|wc|which|whoami|xargs|yes)
    | usr/lib64(/.*)? | usr/lib/[^/]+-linux-gnu
    | usr/lib/[^/]+-linux-gnu/(ld-|lib(acl|attr|bz2|c|crypt|crypto|dl|expat|ffi|gmp|lzma|m|nss_dns|nss_files|pcre2-8|pthread
        |resolv|rt|selinux|ssl|tinfo|util|uuid|z)[.-]).*
    | usr/lib/python3.11(/(?!test/|lib2to3/|distutils/|pydoc_data/|idlelib/|ensurepip/|config-|.*\.pyc$).*)?
    """,
    re.VERBOSE,
)
"""What the small base has of the other: a shell, the usual commands and Python without pip, a third of the bytes."""


def cache_folder() -> Path:
    """Return where what is costly to make is kept: ``$BUILDR_TEST_CACHE``, else ``~/.cache/buildr-tests``."""
    given = os.environ.get("BUILDR_TEST_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "buildr-tests"


def rootfs_tar(cache: Path) -> Path:
    """Return a tar of the base image's root folder, made once and kept in ``cache``.

    This machine's CA bundle is in it, so that pip works behind a proxy that opens TLS.
    Raises EngineStartError without root, without debootstrap or without Debian's archive.
    """
    bundle = CA_BUNDLE.read_bytes() if CA_BUNDLE.exists() else b""
    made = cache / f"base-{SUITE}-{hashlib.sha256(bundle + repr((PACKAGES, _CLEAN)).encode()).hexdigest()[:12]}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "base.lock"):
        if not made.exists():
            _make(made, bundle)
    return made


def small_tar(cache: Path) -> Path:
    """Return a tar of a small root folder, made once of ``rootfs_tar`` and kept in ``cache``; raises as that does.

    For tests in which a program runs and nothing is installed: kaniko unpacks its base and reads all of it at each build.
    """
    whole = rootfs_tar(cache)
    kept = hashlib.sha256(_SMALL.pattern.encode()).hexdigest()[:12]
    made = whole.with_name(whole.name.replace("base-", "small-").replace(".tar", f"-{kept}.tar"))
    with _locked(cache / "base.lock"):
        if not made.exists():
            partial = made.with_suffix(".half")
            with tarfile.open(whole) as tar, tarfile.open(partial, "w") as out:
                for member in tar:
                    if _SMALL.fullmatch(member.name.removeprefix("./")):
                        out.addfile(member, tar.extractfile(member) if member.isreg() else None)
            partial.rename(made)
    return made


def _make(made: Path, bundle: bytes) -> None:
    if os.geteuid() != 0:
        raise EngineStartError("debootstrap needs root to make the base image")
    if not shutil.which("debootstrap"):
        raise EngineStartError("debootstrap is not installed (make engines installs it)")
    with tempfile.TemporaryDirectory(prefix="base-", dir=made.parent) as scratch:
        root = Path(scratch) / "root"
        run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), mirror()])
        for name in _CLEAN:
            path = root / name
            if path.is_dir():
                shutil.rmtree(path)
                path.mkdir()
            else:
                path.unlink(missing_ok=True)
        if bundle:
            (root / CA_BUNDLE.relative_to("/")).write_bytes(bundle)
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        partial = Path(scratch) / "root.tar"
        run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(partial), "."])
        partial.rename(made)


def mirror() -> str:
    """Return the archive that this machine's apt uses for the suite."""
    with contextlib.suppress(OSError):
        done = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
            capture_output=True,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            uri, *rest = line.split()
            if rest == [SUITE, "main"] and uri.startswith("http"):
                return uri
    raise EngineStartError(f"apt knows no archive of Debian {SUITE}: the base image cannot be made here")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
