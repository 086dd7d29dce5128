"""Dockerfile of a plan, rendered: the same plan, the same text."""

from __future__ import annotations

import json
from collections.abc import Iterable

from buildr_jupyter import __version__
from buildr_jupyter.model.plan import (
    HOME,
    VENV,
    ImagePlan,
    image_labels,
    one_line,
)

__all__ = ["MARKER", "quote_value", "render_dockerfile", "render_dockerignore", "render_script_dockerfile"]


MARKER = "# Made by buildr_jupyter"
"""The first line of a rendered Dockerfile begins with it; without it a Dockerfile is the user's own."""

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
    if plan.folder:  # after the copy, which may set the modes of folders
        made = json.dumps(["install", "-d", "-m", "0775", plan.program_folder, plan.output_folder], ensure_ascii=False)
        lines.append(f"RUN {made}")
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
    ours += [("BUILDR_OUTPUT_DIR", quote_value(plan.output_folder))]
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
    """Return the ignore file: what belongs in no image, however it came into the folder."""
    return "\n".join(_IGNORED) + "\n"


def render_requirements(plan: ImagePlan) -> str:
    """Return requirements.txt: one pin a line, index options first."""
    return "".join(f"{requirement.text}\n" for requirement in plan.requirements)
