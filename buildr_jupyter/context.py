"""An image's plan as a folder that every builder takes: Dockerfile, .dockerignore, requirements.txt, app/, buildr.json.

The rendering is pure; ``write_folder`` is the only thing here that touches the disk, and it replaces a folder by
rename, so that a reader sees the old one or the new one and never half of it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path

from buildr_jupyter import __version__
from buildr_jupyter.confined import file_entry, iter_files
from buildr_jupyter.errors import ContextError
from buildr_jupyter.model import CustomDockerfile, FileEntry, ImagePlan, Requirement
from buildr_jupyter.ownership import half_of, in_cache, private_folder
from buildr_jupyter.plan import HOME, VENV, image_labels, one_line

__all__ = [
    "MARKER",
    "cache_key",
    "image_labels",
    "iter_rendered",
    "own_dockerfile",
    "quote_value",
    "read_folder",
    "render_dockerfile",
    "render_dockerignore",
    "render_script_dockerfile",
    "with_own_dockerfile",
    "write_folder",
]

MARKER = "# Made by buildr_jupyter"
"""The first line of a Dockerfile of ours begins with it; without it a Dockerfile is the user's own."""

_APT_LISTS = "/var/lib/apt/lists/*"
_ROOT_IN_A_STAGE = ("# hadolint ignore=DL3002", "USER 0:0")  # the last stage has the image's user
_IGNORED = (
    "**/__pycache__", "**/*.pyc", "**/.git", "**/.venv", "**/*.egg-info", "**/.pytest_cache",
    "**/.ipynb_checkpoints", "**/.DS_Store", "buildr.json",
)  # fmt: skip


def quote_value(value: str) -> str:
    """Return a value in double quotes as ENV and LABEL read it.

    Source: Dockerfile reference, "Environment replacement": inside double quotes a backslash takes the meaning from
    ``"``, ``$`` and itself. Raises ValueError for a line end, which no quoting carries.
    """
    if any(c in value for c in "\r\n\0"):
        raise ValueError("a Dockerfile's value cannot hold a line end or NUL")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def render_dockerfile(plan: ImagePlan) -> str:
    """Return the Dockerfile of a plan: the same plan, the same text.

    What changes least comes first: system packages, then the Python packages (made in a stage of their own, so that
    neither wheels nor index settings are in the image), then the program.
    """
    if plan.dockerfile is not None:
        return plan.dockerfile.text
    lines = [f"{MARKER} {__version__}. Remove this line to keep your own changes."]
    base = plan.base
    if plan.system_packages:
        packages = " ".join(plan.system_packages)
        lines += [
            f"FROM {base} AS system",
            *_ROOT_IN_A_STAGE,
            "# hadolint ignore=DL3008",
            f"RUN apt-get update && apt-get install -y --no-install-recommends {packages} && rm -rf {_APT_LISTS}",
            "",
        ]
        base = "system"
    if plan.requirements:
        lines += [
            f"FROM {base} AS packages",
            *_ROOT_IN_A_STAGE,
            "WORKDIR /install",
            *(['COPY ["wheels/", "./wheels/"]'] if plan.wheels else []),
            'COPY ["install.py", "requirements.txt", "./"]',
            f"RUN {json.dumps(['python3', 'install.py', VENV, plan.base])}",
            "",
        ]
    lines += [f"FROM {base}", "USER 0:0", f"RUN install -d -m 0775 {plan.workdir} {plan.workdir}/output {HOME}"]
    if plan.requirements:
        lines.append(f'COPY --from=packages ["{VENV}", "{VENV}"]')
    environment, by_entrypoint = _environment(plan)
    lines.append("ENV " + _columns(f"{name}={value}" for name, value in environment))
    lines += [f"WORKDIR {plan.workdir}", 'COPY ["app/", "./"]']
    lines += [f"EXPOSE {port}" for port in plan.ports]
    lines.append("LABEL " + _columns(f"{quote_value(n)}={quote_value(one_line(v))}" for n, v in image_labels(plan)))
    lines.append(f"USER {plan.user}")
    prefix = ["env", *(f"{name}={value}" for name, value in by_entrypoint)] if by_entrypoint else []
    lines.append(f"ENTRYPOINT {json.dumps([*prefix, *plan.entrypoint])}")
    return "\n".join(lines) + "\n"


def render_script_dockerfile(base: str, exec_file: str, *, with_requirements: bool) -> str:
    """Return a Dockerfile for a folder with a script in it, to be built with that folder as the context."""
    lines = [
        f"{MARKER} {__version__}. Remove this line to keep your own changes.",
        f"FROM {base}",
        f"RUN install -d -m 0775 /app /app/output {HOME}",
        f'ENV HOME={quote_value(HOME)} PYTHONUNBUFFERED="1" BUILDR_IN_CONTAINER="1" BUILDR_OUTPUT_DIR="/app/output"',
        "WORKDIR /app",
    ]
    if with_requirements:
        lines += ['COPY ["requirements.txt", "./"]', "RUN pip install --no-cache-dir -r requirements.txt"]
    lines += ['COPY [".", "./"]', "USER 1000:0", f"ENTRYPOINT {json.dumps(['python', exec_file])}"]
    return "\n".join(lines) + "\n"


def _environment(plan: ImagePlan) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Split into (name, quoted value) for ENV, and (name, value) that hold a line end: those the entrypoint sets."""
    ours = [("HOME", quote_value(HOME)), ("PYTHONUNBUFFERED", '"1"'), ("BUILDR_IN_CONTAINER", '"1"')]
    ours += [("BUILDR_OUTPUT_DIR", quote_value(f"{plan.workdir}/output"))]
    if plan.requirements:
        ours.append(("PATH", f'"{VENV}/bin:$PATH"'))
    by_entrypoint = []
    for name, value in plan.environment:
        if "\n" in value or "\r" in value:
            by_entrypoint.append((name, value))
        else:
            ours.append((name, quote_value(value)))
    return ours, by_entrypoint


def _columns(pairs: Iterable[str]) -> str:
    """Join the pairs of one instruction, each on a line of its own: one step instead of many."""
    return " \\\n    ".join(pairs)


def render_dockerignore() -> str:
    """Return the ignore file: what nobody wants in an image, whoever puts it into the folder."""
    return "\n".join(_IGNORED) + "\n"


def render_requirements(plan: ImagePlan) -> str:
    """Return requirements.txt: one pin a line, index options first."""
    return "".join(f"{requirement.text}\n" for requirement in plan.requirements)


def iter_rendered(plan: ImagePlan) -> Iterator[FileEntry]:
    """Yield the files of the folder that are made from the plan, ``buildr.json`` last."""
    yield FileEntry.from_bytes("Dockerfile", render_dockerfile(plan).encode())
    yield FileEntry.from_bytes(".dockerignore", render_dockerignore().encode())
    yield FileEntry.from_bytes("requirements.txt", render_requirements(plan).encode())
    if plan.requirements and "install.py" in render_dockerfile(plan):
        script = resources.files("buildr_jupyter").joinpath("install.py").read_bytes()
        yield FileEntry.from_bytes("install.py", script)
    record = json.dumps(plan.to_json(), indent=1, ensure_ascii=False, sort_keys=True)
    yield FileEntry.from_bytes("buildr.json", record.encode() + b"\n")


def write_folder(plan: ImagePlan, folder: Path, *, private: bool = True) -> Path:
    """Write the plan's folder and return it, absolute.

    It has the mode 0700, in it are the modes that the image has; with ``private`` false, at a place that the user
    named, it is as the umask says.

    A folder that is there is replaced if it is empty or holds a ``buildr.json`` of ours. Raises ContextError where it
    is somebody else's, or where a file changed after it was hashed; what was there before is then untouched.
    """
    folder = Path.cwd() / folder
    try:
        _check_ours(folder)
        private_folder(folder.parent) if in_cache(folder) else folder.parent.mkdir(parents=True, exist_ok=True)
        with half_of(folder, directory=True, shared=not private) as fresh:
            for entry in (*iter_rendered(plan), *plan.all_files):
                _write_entry(entry, fresh)
            _make_folders(fresh / "app", fresh)
            _replace(folder, fresh)
    except OSError as error:
        raise ContextError(f"context folder {str(folder)!r} cannot be written: {error.strerror}") from error
    return folder


def own_dockerfile(folder: Path) -> str | None:
    """Return the text of a Dockerfile in ``folder`` that its user keeps: one that does not begin with ``MARKER``.

    None where there is no Dockerfile, or one that is made anew from the plan each time.
    """
    try:
        text = (folder / "Dockerfile").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    return None if text.startswith(MARKER) else text


def with_own_dockerfile(plan: ImagePlan, folder: Path) -> ImagePlan:
    """Return the plan with the Dockerfile that the user keeps in ``folder``, where there is one and none was named."""
    if plan.dockerfile is not None or not (folder / "buildr.json").is_file():
        return plan
    text = own_dockerfile(folder)
    return plan if text is None else replace(plan, dockerfile=CustomDockerfile(text))


def read_folder(folder: Path) -> ImagePlan:
    """Return the plan of a context folder as it stands now: what was edited in it counts.

    The files are those under ``app/`` and ``wheels/``, hashed anew, the requirements those of ``requirements.txt``;
    names, base and Python come from ``buildr.json``. A Dockerfile that is not exactly what the plan renders is a
    custom one. A folder without a ``buildr.json`` is a Dockerfile and nothing else that is known. Raises ContextError.
    """
    plan = written = ImagePlan.from_folder(folder)
    if not (folder / "buildr.json").is_file():
        return plan
    kept = {entry.path: entry for entry in plan.all_files}
    found = []
    for part in ("app", "wheels"):
        for path in iter_files(folder / part, folder) if (folder / part).is_dir() else ():
            name = path.relative_to(folder).as_posix()
            known = kept.get(name)
            found.append(
                file_entry(name, path, folder, mode=known.mode if known else None, why=known.why if known else "added")
            )
    reasons = {requirement.text: requirement for requirement in plan.requirements}
    lines = [line.strip() for line in _text(folder / "requirements.txt").splitlines()]
    plan = replace(
        plan,
        files=tuple(e for e in found if e.path.startswith("app/") and not e.path.startswith("app/state/")),
        state=tuple(e for e in found if e.path.startswith("app/state/")),
        wheels=tuple(e for e in found if e.path.startswith("wheels/")),
        requirements=tuple(
            reasons.get(line) or Requirement(line, "requirements.txt")
            for line in lines
            if line and not line.startswith("#")
        ),
    )
    text = _text(folder / "Dockerfile")
    if plan.dockerfile is None and text and text != render_dockerfile(written):
        plan = replace(plan, dockerfile=CustomDockerfile(text))
    return plan


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ContextError(f"context folder {str(path.parent)!r}: {path.name} cannot be read: {error}") from error


def _check_ours(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ContextError(
            f"context folder {str(folder)!r} is not a folder", hint="name a folder that does not exist yet"
        )
    if folder.is_dir() and any(folder.iterdir()):
        try:
            ours = json.loads((folder / "buildr.json").read_bytes()).get("schema") == 1
        except (OSError, ValueError, AttributeError, RecursionError):
            ours = False
        if not ours:
            raise ContextError(
                f"context folder {str(folder)!r} is not empty and has no buildr.json of ours",
                hint="name an empty or a new folder",
            )


def _write_entry(entry: FileEntry, root: Path) -> None:
    target = root / entry.path
    if not target.resolve().is_relative_to(root.resolve()):
        raise ContextError(f"file {entry.path!r} would lie outside the context folder")
    _make_folders(target.parent, root)
    digest = hashlib.sha256()
    with entry.open() as source, target.open("xb") as sink:
        while block := source.read(1 << 20):
            digest.update(block)
            sink.write(block)
    if digest.hexdigest() != entry.sha256:
        raise ContextError(f"file {entry.path!r} changed while the context was made", hint="run the cell again")
    target.chmod(entry.mode)


def _make_folders(folder: Path, root: Path) -> None:
    """Make the folders below ``root`` with the mode that they have in the image, whatever the umask."""
    if folder != root and not folder.is_dir():
        _make_folders(folder.parent, root)
        folder.mkdir()
        folder.chmod(0o755)


def _replace(folder: Path, fresh: Path) -> None:
    """Put ``fresh`` in the place of ``folder``; two renames, and the old one comes back if the second fails."""
    old = fresh.with_name(fresh.name + ".old")
    had = folder.is_dir()
    if had:
        folder.rename(old)
    try:
        fresh.rename(folder)
    except OSError:
        if had:
            old.rename(folder)
        raise
    if had:
        shutil.rmtree(old, ignore_errors=True)


def cache_key(notebook: Path | None, cell: str | None, extra: Mapping[str, str] | None = None) -> str:
    """Return the folder name under which the context of a cell is kept: readable, and unique by what follows it."""
    identity = json.dumps([str(notebook), cell, dict(extra or {})], sort_keys=True).encode()
    stem = "".join(c if c.isalnum() or c in "-_" else "-" for c in (notebook.stem if notebook else "notebook"))[:40]
    return f"{stem}-{hashlib.sha256(identity).hexdigest()[:12]}"
