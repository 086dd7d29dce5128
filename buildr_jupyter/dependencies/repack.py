"""A wheel for a distribution that no index has: the file it came from, or one packed again from what is installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from pathlib import Path, PurePosixPath

from buildr_jupyter.dependencies.environment import Distribution
from buildr_jupyter.errors import RequirementError
from buildr_jupyter.model.plan import FileEntry
from buildr_jupyter.process.confined import file_entry

__all__ = ["local_wheel", "pack"]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def local_wheel(distribution: Distribution, source: Path) -> FileEntry:
    """Return ``wheels/NAME.whl`` for a distribution that was installed from ``source``.

    ``source`` is the wheel itself where it still exists; otherwise the installed files are packed. Raises
    RequirementError where the installation left no RECORD to pack from.
    """
    why = f"{distribution.name} {distribution.version} was installed from a file, not from an index"
    if source.suffix == ".whl" and source.is_file():
        return file_entry(f"wheels/{source.name}", source, source.parent, mode=0o644, why=why)
    name, content = pack(distribution)
    return FileEntry.from_bytes(f"wheels/{name}", content, why=why)


def pack(distribution: Distribution) -> tuple[str, bytes]:
    """Return file name and bytes of a wheel made of a distribution's installed files; same files, same bytes.

    Source: the binary distribution format (PEP 427): archive layout, WHEEL's tags, RECORD. What lies outside the site
    folder (console scripts) is left out: the installer makes it again from entry_points.txt.
    """
    wheel_text = distribution.read("WHEEL")
    tags = [line.partition(":")[2].strip() for line in wheel_text.splitlines() if line.startswith("Tag:")]
    files = [name for name in distribution.files if _belongs(name, distribution.info.name)]
    if not tags or not files:
        raise RequirementError(
            f"{distribution.name} {distribution.version} came from a local folder and left no RECORD to pack it from",
            hint=f"install it again with pip, or publish it and name it with --requirement {distribution.name}",
        )
    rows = []
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in sorted(files):
            try:
                content = (distribution.site / name).read_bytes()
            except OSError as error:
                raise RequirementError(
                    f"{distribution.name} {distribution.version}: its file {name} cannot be read: {error.strerror}",
                    hint="install the distribution again",
                ) from error
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append((name, f"sha256={digest}", str(len(content))))
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
        record = io.StringIO()
        csv.writer(record, lineterminator="\n").writerows([*rows, (f"{distribution.info.name}/RECORD", "", "")])
        archive.writestr(zipfile.ZipInfo(f"{distribution.info.name}/RECORD", _EPOCH), record.getvalue())
    stem = distribution.info.name.removesuffix(".dist-info")
    return f"{stem}-{_compressed_tag(tags)}.whl", buffer.getvalue()


def _belongs(name: str, info: str) -> bool:
    path = PurePosixPath(name)
    made_by_installer = path.parts[0] == info and path.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
    return ".." not in path.parts and not path.is_absolute() and path.suffix != ".pyc" and not made_by_installer


def _compressed_tag(tags: list[str]) -> str:
    """``py2-none-any`` and ``py3-none-any`` are written ``py2.py3-none-any`` (PEP 425)."""
    columns = zip(*(tag.split("-") for tag in tags), strict=True)
    return "-".join(".".join(sorted(set(column))) for column in columns)
