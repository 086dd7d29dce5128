"""Where this machine gets its packages from: pip's and uv's settings, certificates, proxies.

They go to the image's install step (``install.py`` says how) and nowhere else: never into a plan, a label, a record or
a log. ``repr`` of the settings shows no value.
"""

from __future__ import annotations

import base64
import json
import netrc
import re
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from buildr_jupyter.errors import SettingError
from buildr_jupyter.model.plan import FileEntry, Requirement
from buildr_jupyter.process.confined import file_entry

__all__ = ["IndexSettings", "read_settings", "redact"]

_KEYS = ("index-url", "extra-index-url", "find-links", "trusted-host", "no-index", "cert", "client-cert")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")
_CARRIER_LIMIT = 100_000  # Linux refuses one environment string above 128 KiB (MAX_ARG_STRLEN)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


def redact(text: str) -> str:
    """Return ``text`` with the credentials of every URL in it replaced by ``****``."""
    return _CREDENTIALS.sub("****@", text)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """What the install step needs to reach the packages."""

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """``PIP_INDEX_URL`` …, with logins."""
    certificates: str = field(default="", repr=False)
    """PEM of the roots that are trusted here and that certifi does not have."""
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    folders: tuple[Path, ...] = ()
    """Local folders of find-links."""
    on_loopback: bool = False
    """An index or a proxy is on this machine's loopback: the install step needs the host's network."""

    def build_args(self) -> dict[str, str]:
        """Return the build arguments that carry the settings; all are names that builders keep out of the history.

        Raises SettingError where the private certificates are too many to carry.
        """
        args = dict(self.proxies)
        if self.environment or self.certificates:
            content = {"environment": dict(self.environment), "certificates": self.certificates}
            packed = base64.b64encode(zlib.compress(json.dumps(content, sort_keys=True).encode(), 9)).decode()
            if len(packed) > _CARRIER_LIMIT:
                raise SettingError(
                    f"the private certificates here are too many to hand to a build ({len(packed)} bytes packed)",
                    hint="name a file with only the private ones in PIP_CERT",
                )
            args["FTP_PROXY"] = "buildr:" + packed
        return args

    def wheels_for(self, pins: Sequence[Requirement]) -> tuple[FileEntry, ...]:
        """Return the files of local find-links folders that could satisfy the pins, as ``wheels/…``."""
        found = {}
        for folder in self.folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if any(_satisfies(path.name, pin.text) for pin in pins) and path.name not in found:
                    found[path.name] = file_entry(
                        f"wheels/{path.name}", path, folder, mode=0o644, why="a local find-links folder"
                    )
        return tuple(found.values())


def _satisfies(filename: str, pin: str) -> bool:
    name, _, version = pin.partition("==")
    normal = re.sub(r"[-_.]+", "[-_.]+", re.escape(name).replace(r"\-", "-"))
    return bool(version) and bool(
        re.match(rf"{normal}-{re.escape(version)}(-.*\.whl|\.tar\.gz|\.zip)$", filename, re.IGNORECASE)
    )


def read_settings(
    environ: Mapping[str, str], *, home: Path, prefix: Path | None = None, system: Path = Path("/etc/pip.conf")
) -> IndexSettings:
    """Return the settings of pip, then of uv where pip has none, as a process with this environment would see them.

    Source: pip's "Configuration" (order of files and variables), uv's "Environment variables" and "Configuration
    files". Logins of ``~/.netrc`` are put into the addresses that have none. Raises SettingError for a file that does
    not parse.
    """
    values = _uv_values(environ, home) | _pip_files(
        environ, [system, *_user_files(environ, home), (prefix or Path(sys.prefix)) / "pip.conf"]
    )
    values |= {key: environ[name] for key in _KEYS if environ.get(name := "PIP_" + key.upper().replace("-", "_"))}
    logins = _netrc(environ, home)
    carried: dict[str, str] = {}
    folders: list[Path] = []
    addresses: list[str] = []
    for key in ("index-url", "extra-index-url", "find-links", "trusted-host", "no-index"):
        words = values.get(key, "").split()
        if key == "find-links":
            folders += [path for word in words if (path := _local_folder(word))]
            words = [word for word in words if not _local_folder(word)]
        if key in ("index-url", "extra-index-url", "find-links"):
            words = [_with_login(word, logins) for word in words]
            addresses += words
        if words:
            carried["PIP_" + key.upper().replace("-", "_")] = " ".join(words)
    proxies = {name: value for name in _PROXIES if (value := environ.get(name) or environ.get(name.lower()))}
    bundle = values.get("cert") or environ.get("SSL_CERT_FILE") or environ.get("REQUESTS_CA_BUNDLE")
    return IndexSettings(
        carried,
        _private_certificates(Path(bundle)) if bundle else "",
        proxies,
        tuple(folders),
        any(_is_loopback(address) for address in (*addresses, *(v for k, v in proxies.items() if k != "NO_PROXY"))),
    )


def _user_files(environ: Mapping[str, str], home: Path) -> list[Path]:
    config_home = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    mac = home / "Library" / "Application Support" / "pip" / "pip.conf"
    return [home / ".pip" / "pip.conf", config_home / "pip" / "pip.conf", mac]


def _pip_files(environ: Mapping[str, str], files: list[Path]) -> dict[str, str]:
    if environ.get("PIP_CONFIG_FILE") in ("/dev/null", "nul"):
        return {}
    if named := environ.get("PIP_CONFIG_FILE"):
        files = [*files, Path(named)]
    if not (files := [path for path in files if _is_there(path)]):
        return {}
    import configparser

    values: dict[str, str] = {}
    for path in files:
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            raise SettingError(f"pip's settings file {str(path)!r} does not parse: {type(error).__name__}") from error
        for section in ("global", "install"):
            if parser.has_section(section):
                values |= {k.replace("_", "-"): v for k, v in parser.items(section) if k.replace("_", "-") in _KEYS}
    return values


def _read_toml(path: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"uv's settings file {str(path)!r} does not parse: {error}") from error


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that this user may not enter
        return False


def _uv_values(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    path = Path(
        environ.get("UV_CONFIG_FILE") or Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "uv" / "uv.toml"
    )
    said = _read_toml(path) if _is_there(path) else {}
    said = {**said, **said.get("pip", {})}
    if isinstance(said.get("index-url"), str):
        values["index-url"] = said["index-url"]
    for key in ("extra-index-url", "find-links"):
        if isinstance(said.get(key), list):
            values[key] = " ".join(said[key])
    extra = []
    for index in said.get("index", []):
        if index.get("default"):
            values["index-url"] = index["url"]
        elif not index.get("explicit"):
            extra.append(index["url"])
    if extra:
        values["extra-index-url"] = " ".join(extra)
    for name, key in (
        ("UV_INDEX_URL", "index-url"), ("UV_DEFAULT_INDEX", "index-url"), ("UV_EXTRA_INDEX_URL", "extra-index-url"),
        ("UV_INDEX", "extra-index-url"), ("UV_FIND_LINKS", "find-links"), ("UV_INSECURE_HOST", "trusted-host"),
    ):  # fmt: skip
        if environ.get(name):
            values[key] = " ".join(re.sub(r"^[\w-]+=", "", word) for word in environ[name].replace(",", " ").split())
    return values


def _netrc(environ: Mapping[str, str], home: Path) -> netrc.netrc | None:
    path = Path(environ.get("NETRC") or home / ".netrc")
    try:
        return netrc.netrc(str(path))
    except (OSError, netrc.NetrcParseError):
        return None


def _with_login(address: str, logins: netrc.netrc | None) -> str:
    parts = urlsplit(address)
    if "@" in parts.netloc or not parts.hostname or logins is None:
        return address
    found = logins.hosts.get(parts.hostname)
    if not found or not found[2]:
        return address
    return urlunsplit(parts._replace(netloc=f"{quote(found[0], safe='')}:{quote(found[2], safe='')}@{parts.netloc}"))


def _local_folder(word: str) -> Path | None:
    if word.startswith("file://"):
        return Path(urlsplit(word).path)
    return Path(word).expanduser() if "://" not in word else None


def _is_loopback(address: str) -> bool:
    host = urlsplit(address if "://" in address else f"http://{address}").hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _private_certificates(bundle: Path) -> str:
    """Return the PEM of those certificates in ``bundle`` (a file) that certifi's public roots do not have."""
    import certifi

    try:
        trusted = _certificates(bundle.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise SettingError(
            f"the certificate file {str(bundle)!r} cannot be read: {error.strerror}",
            hint="correct PIP_CERT or SSL_CERT_FILE",
        ) from error
    public = set(_certificates(Path(certifi.where()).read_text(encoding="utf-8")))
    import ssl

    return "".join(ssl.DER_cert_to_PEM_cert(der) for der in dict.fromkeys(trusted) if der not in public)


def _certificates(text: str) -> list[bytes]:
    import ssl

    blocks = re.findall(r"-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----", text)
    return [ssl.PEM_cert_to_DER_cert(block) for block in blocks]
