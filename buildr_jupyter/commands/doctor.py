"""What is here for building images, and what to do about what is not. Says nothing secret."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from buildr_jupyter import __version__
from buildr_jupyter.builder.selection import names
from buildr_jupyter.commands.capabilities import Ability, survey
from buildr_jupyter.dependencies.environment import Interpreter
from buildr_jupyter.dependencies.uv import find_uv
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.errors import BuildrError, ClusterError
from buildr_jupyter.registry import keychain

__all__ = ["Check", "Report", "examine"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    advice: str | None = None
    """What to do, where it is not ok."""
    runs: bool = False
    """It is a builder that runs what it builds."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that was looked at, in the order of what a build needs first."""

    checks: tuple[Check, ...]

    @property
    def can_run(self) -> bool:
        """Tell whether an engine answers, which builds images and runs them, or a builder has one of its own."""
        return self.has_engine or bool(self._runners)

    @property
    def has_engine(self) -> bool:
        """Tell whether an engine answers, as what names no builder takes it."""
        return all(check.ok for check in self.checks if check.name == "engine")

    @property
    def _runners(self) -> list[str]:
        return [check.name for check in self.checks if check.ok and check.runs]

    @property
    def can_build(self) -> bool:
        """Tell whether an image can be built here now, by an engine or without one."""
        return any(check.ok for check in self.checks if check.name in names())

    def render(self) -> str:
        """Return the report as aligned lines."""
        lines = []
        for check in self.checks:
            lines.append(f"{'ok' if check.ok else '--'}  {check.name:<12} {check.found}")
            if check.advice:
                lines.append(f"{'':17}to do: {check.advice}")
        verdict = "Images can be built and run here."
        if not self.has_engine and self._runners:
            verdict = f"Images can be built here, and run with --builder {self._runners[0]}."
        elif not self.can_run:
            verdict = "Images can be built here, without an engine (builder oci); nothing here can run them yet."
        if not self.can_build:
            verdict = "No image can be built here yet: see 'to do' above."
        return "\n".join([*lines, verdict])

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values."""
        checks = [{"name": c.name, "ok": c.ok, "found": c.found, "advice": c.advice} for c in self.checks]
        return {"can_build": self.can_build, "can_run": self.can_run, "checks": checks}


def examine(environ: Mapping[str, str], *, on: str | None = None) -> Report:
    """Look at this machine and return the report; asks the engine, no registry and no network.

    ``on`` names a cluster, which is asked then what this user may do there. Raises OptionError for one that is none.
    """
    checks = [Check("buildr", True, __version__), Check("python", True, str(Interpreter.current()))]
    checks += _engine_checks()
    checks += [_builder(ability) for ability in survey(names())]
    checks.append(_logins())
    checks.append(
        _tool("uv", "pip install uv: builder oci has no other way to packages that are not installed here", find_uv())
    )
    free = shutil.disk_usage(_nearest(Path.home())).free
    few = free < 2_000_000_000
    checks.append(
        Check(
            "disk",
            not few,
            f"{free / 1e9:.1f} GB free for contexts",
            "free some space in your home folder" if few else None,
        )
    )
    if environ.get("BUILDR_BASE"):
        checks.append(Check("base", True, f"{environ['BUILDR_BASE']} (BUILDR_BASE)"))
    if on is not None:
        checks += _cluster_checks(on)
    return Report(tuple(checks))


def _cluster_checks(on: str) -> list[Check]:
    from buildr_jupyter.commands.cluster_rights import iter_rights
    from buildr_jupyter.runner.kubernetes_runner import KubernetesRunner

    try:
        client = KubernetesRunner(on).connected()
        checks = [Check(one.name, one.ok, one.found, one.advice) for one in iter_rights(client)]
    except ClusterError as error:
        return [Check("cluster", False, str(error), error.hint)]
    return checks + [_builder(ability) for ability in survey(_cluster_builders(on))] if checks[0].ok else checks


def _cluster_builders(on: str) -> list[str]:
    """Return the builders whose pods are in the cluster, as ``--builder`` takes them."""
    return [f"{name}={on}" for name in ("kaniko", "buildkit")]


def _engine_checks() -> list[Check]:
    try:
        info = engine.describe(engine.connect())
    except BuildrError as error:
        return [Check("engine", False, str(error), error.hint)]
    kind = f"{info.name} {info.version}, API {info.api_version}, {info.os}/{info.architecture}"
    kind += f", at {info.address} ({info.origin})"
    checks = [
        Check("engine", True, kind),
        Check("BuildKit", info.buildkit, "in the engine" if info.buildkit else "not in this engine"),
    ]
    if info.free_bytes is not None:
        few = info.free_bytes < 2_000_000_000
        checks.append(
            Check(
                "engine disk",
                not few,
                f"{info.free_bytes / 1e9:.1f} GB free for images",
                "free space: docker system prune" if few else None,
            )
        )
    return checks


def _builder(ability: Ability) -> Check:
    found = ability.found
    if ability.cannot:
        found += "; not here: " + ", ".join(what for what, _ in ability.cannot)
    return Check(ability.name, ability.ready, found, ability.advice, runs=ability.ready and ability.runs)


def _logins() -> Check:
    try:
        hosts = keychain.hosts()
    except BuildrError as error:
        return Check("logins", False, str(error), error.hint)
    found = ", ".join(f"{host} ({source})" for host, source in hosts) if hosts else "none"
    return Check(
        "logins", True, found, None if hosts else "log in before a --publish to a private registry: buildr login HOST"
    )


def _tool(name: str, advice: str, program: str | None = None) -> Check:
    path = shutil.which(program or name)
    return Check(name, path is not None, path or "not installed", None if path else advice)


def _nearest(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())
