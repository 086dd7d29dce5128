"""A base made from this very interpreter: its standard library and the shared libraries that it loads.

For a Linux machine with no registry and no engine in reach. All goes below ``/usr/local`` (an interpreter looks for its
library beside itself); shared libraries go where this machine's loader looks without being told, so that neither a
cache nor a search path is needed. There is no shell in it.
"""

from __future__ import annotations

import contextlib
import os
import platform as host
import re
import ssl
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from buildr_jupyter.errors import BuildRefused
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.plan import canonical_json
from buildr_jupyter.oci import bytecode
from buildr_jupyter.oci.base_image import Base
from buildr_jupyter.oci.image import default_platform, digest_of, parse_platform
from buildr_jupyter.oci.layer import Compressor, Entry, Layer, write_layer
from buildr_jupyter.oci.store import Store

__all__ = ["kernel_base"]

FORMAT = 1
NAME = "kernel"
_LEFT_OUT = {"test", "tests", "idlelib", "idle_test", "turtledemo", "tkinter", "lib2to3", "ensurepip", "site-packages",
             "dist-packages", "__pycache__"}  # fmt: skip
_ALSO_LOADED = ("libstdc++.so.6", "libgcc_s.so.1", "libgomp.so.1", "libz.so.1", "libnss_files.so.2", "libnss_dns.so.2",
                "libresolv.so.2", "librt.so.1", "libpthread.so.0", "libdl.so.2", "libutil.so.1")  # fmt: skip
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
            "/etc/ssl/ca-bundle.pem")  # fmt: skip
_PATH = "/usr/local/bin:/usr/bin:/bin"
_NEED = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)


def kernel_base(store: Store, using: Compressor, python: str, check: Callable[[], None]) -> tuple[Base, bool]:
    """Return the base of this interpreter, and whether the store had it.

    Raises BuildRefused where this interpreter is not of version ``python``, or not on a Linux with glibc.
    """
    mine = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not sys.platform.startswith("linux") or host.libc_ver()[0] != "glibc":
        raise BuildRefused(
            "Image build failed: base kernel is made from an interpreter on Linux with glibc",
            hint="name a Python image with --base",
        )
    if python != mine:
        raise BuildRefused(
            f"Image build failed: base kernel has Python {mine}, the plan wants {python}",
            hint=f"take --python {mine}, or another base with --base",
        )
    executable = Path(sys.base_prefix) / "bin" / f"python{mine}"
    if not executable.exists():
        executable = Path(os.path.realpath(sys.executable))
    key = ["kernel", FORMAT, sys.version, sys.base_prefix, _stamp(executable), using.key, bytecode.key(python)]
    noted = store.record(key)
    if isinstance(noted, dict) and [_stamp(Path(path)) for path in noted.get("seen", {})] == list(
        noted.get("seen", {}).values()
    ):
        base = Base.from_json(noted.get("base"))
        if base and all(store.has(layer.digest, layer.size_bytes) for layer in base.layers):
            return base, True
    base, seen = _make(store, using, python, executable, check)
    store.note(key, {"base": base.to_json(), "seen": {str(path): _stamp(path) for path in seen}})
    return base, False


def _stamp(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def _make(
    store: Store, using: Compressor, python: str, executable: Path, check: Callable[[], None]
) -> tuple[Base, list[Path]]:
    stdlib = Path(sysconfig.get_path("stdlib"))
    target = f"usr/local/{sys.platlibdir}/python{python}"
    files = {f"{target}/{inside}": path for inside, path in _stdlib(stdlib)}
    binaries = [executable, *(path for path in files.values() if ".so" in path.name)]
    libraries = _libraries(binaries)
    system = list(_system_entries(libraries))
    with store.scratch() as scratch, store.writing() as (out, keep):
        compiled = bytecode.compile_entries(files.items(), scratch)
        entries: dict[str, Entry] = {}
        for path, source in files.items():
            entries[path] = (
                _plain(path, source) if source.name.startswith("_sysconfigdata") else Entry.of_file(path, source)
            )
        entries |= {entry.path: entry for entry in (*compiled, *system)}
        entries[f"usr/local/bin/python{python}"] = Entry.of_file(
            f"usr/local/bin/python{python}", executable, mode=0o755
        )
        for name in ("python3", "python"):
            entries[f"usr/local/bin/{name}"] = Entry.link(f"usr/local/bin/{name}", f"python{python}")
        layer = write_layer(entries.values(), out, using, title=f"Python {host.python_version()}", check=check)
        keep(layer.digest)
    return _described(layer), [*libraries, Path(stdlib)]


def _described(layer: Layer) -> Base:
    platform = default_platform()
    config: JsonObject = {
        **parse_platform(platform),
        "config": {
            "Env": [f"PATH={_PATH}", "LANG=C.UTF-8", f"PYTHON_VERSION={host.python_version()}"],
            "Cmd": ["python3"],
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
    }
    return Base(NAME, digest_of(canonical_json(config)), platform, config, (layer,))


def _stdlib(root: Path) -> Iterator[tuple[str, Path]]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(n for n in names if n not in _LEFT_OUT and not n.startswith("config-"))
        for name in sorted(files):
            path = Path(folder) / name
            if not name.endswith((".pyc", ".a", ".o")) and path.is_file():
                yield path.relative_to(root).as_posix(), path


def _plain(path: str, source: Path) -> Entry:
    """Return the build's settings with this machine's prefix replaced by the image's."""
    text = source.read_text(encoding="utf-8", errors="replace").replace(sys.base_prefix, "/usr/local")
    return Entry.of(path, text.encode())


def _libraries(binaries: list[Path]) -> list[Path]:
    """Return the shared libraries that the binaries load, the loader among them, as their paths here; sorted."""
    told = ""
    with contextlib.suppress(FileNotFoundError):  # an image without a shell has no ldd
        told = subprocess.run(
            ["ldd", *map(str, binaries)],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ.get("PATH", "")},
        ).stdout
    found = {Path(path) for path in _NEED.findall(told)}
    libc = next((path for path in found if path.name.startswith("libc.so")), None)
    if libc is None:
        raise BuildRefused(
            "Image build failed: the libraries of this interpreter cannot be told", hint="name a base with --base"
        )
    for name in _ALSO_LOADED:
        for folder in {libc.parent, Path("/usr") / libc.parent.relative_to("/"), Path("/usr/lib64"), Path("/usr/lib")}:
            if (folder / name).exists() and not any(path.name == name for path in found):
                found.add(folder / name)
    return sorted(found)


def _system_entries(libraries: list[Path]) -> Iterator[Entry]:
    """Yield loader and libraries, where the loader looks, and the files that a C library and TLS want at run time."""
    libc = next(path for path in libraries if path.name.startswith("libc.so"))
    default = _merged(libc.parent)
    for path in libraries:
        loader = path.name.startswith("ld-")
        folder = _merged(path.parent) if loader else default
        yield Entry.of_file(f"{folder}/{path.name}", Path(os.path.realpath(path)), mode=0o755)
    for name in ("lib", "lib64", "bin", "sbin"):
        yield Entry.link(name, f"usr/{name}")
        yield Entry.folder(f"usr/{name}")
    yield Entry.folder("tmp", 0o1777)
    yield Entry.folder("var/tmp", 0o1777)
    for name in ("etc", "home", "proc", "sys", "dev", "run"):
        yield Entry.folder(name)
    yield Entry.of(
        "etc/passwd", b"root:x:0:0:root:/root:/usr/sbin/nologin\napp:x:1000:0:app:/home/app:/usr/sbin/nologin\n"
    )
    yield Entry.of("etc/group", b"root:x:0:\napp:x:1000:\n")
    yield Entry.of("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    yield from _certificates()
    zones = Path("/usr/share/zoneinfo")
    for folder, names, files in os.walk(zones):
        names[:] = sorted(name for name in names if name not in ("right", "posix"))
        for name in sorted(files):
            source = Path(folder) / name
            yield Entry.of_file(f"usr/share/zoneinfo/{source.relative_to(zones).as_posix()}", source, mode=0o644)


def _merged(folder: Path) -> str:
    """Return a folder of libraries as it is where /lib is a link to /usr/lib."""
    inside = folder.as_posix().strip("/")
    return inside if inside.startswith("usr/") else f"usr/{inside}"


def _certificates() -> Iterator[Entry]:
    wanted = {"etc/ssl/certs/ca-certificates.crt", ssl.get_default_verify_paths().openssl_cafile.lstrip("/")}
    candidates = [*_BUNDLES]
    with contextlib.suppress(ImportError):
        import certifi

        candidates.append(certifi.where())
    source = next((path for name in candidates if (path := Path(name)).is_file()), None)
    if source is not None:
        content = source.read_bytes()
        for inside in sorted(wanted):
            yield Entry.of(inside, content)
