"""What each builder can do on this machine, found by asking it: its probe, and its refusals of sample requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from buildr_jupyter import builder as builders
from buildr_jupyter.builder.protocol import Probed
from buildr_jupyter.errors import BuildrError
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.plan import CustomDockerfile, ImagePlan
from buildr_jupyter.model.request import Archive, BuildRequest, Layout, Output, Push, Secret
from buildr_jupyter.process.tempfiles import Scratch

__all__ = ["SAMPLES", "Ability", "survey"]

_DOCKERFILE = "FROM scratch\nRUN --mount=type=secret,id=x true\n"


@dataclass(frozen=True, slots=True)
class Ability:
    """One builder here."""

    name: str
    ready: bool
    found: str
    """What answers, or why nothing does."""
    can: tuple[str, ...] = ()
    """Names in ``SAMPLES``."""
    cannot: tuple[tuple[str, str], ...] = ()
    """(name in ``SAMPLES``, why)."""
    advice: str | None = None
    runs: bool = False
    """What it builds is in an engine of its own, which runs it."""


def _asks(
    plan: ImagePlan,
    *,
    secrets: tuple[Secret, ...] = (),
    ssh: tuple[tuple[str, str | None], ...] = (),
    platforms: tuple[str, ...] = (),
    outputs: tuple[Output, ...] | None = None,
    cache_to: tuple[str, ...] = (),
) -> Callable[[BuildRequest], BuildRequest]:
    return lambda request: replace(
        request,
        plan=plan,
        secrets=secrets,
        ssh=ssh,
        platforms=platforms,
        outputs=request.outputs if outputs is None else outputs,
        cache_to=cache_to,
    )


_PLAIN = ImagePlan(base="python:3.12-slim", python="3.12", files=(), platforms=())
_CUSTOM = replace(_PLAIN, dockerfile=CustomDockerfile(_DOCKERFILE), base="")
_BOTH = ("linux/amd64", "linux/arm64")

SAMPLES: dict[str, Callable[[BuildRequest], BuildRequest]] = {
    "push": _asks(_PLAIN),
    "--dockerfile": _asks(_CUSTOM),
    "--apt": _asks(replace(_PLAIN, system_packages=("git",))),
    "--secret": _asks(_CUSTOM, secrets=(Secret("x", variable="HOME"),)),
    "--ssh": _asks(_CUSTOM, ssh=(("default", None),)),
    "several platforms": _asks(_PLAIN, platforms=_BOTH),
    "--output FILE.tar": _asks(_PLAIN, outputs=(Archive(Path("image.tar")),)),
    "--output DIR": _asks(_PLAIN, outputs=(Layout(Path("layout")),)),
    "--cache-to": _asks(_PLAIN, cache_to=("type=registry,ref=registry.example/cache",)),
}
"""What a person may ask for, as a change of a plain request."""


def survey(names: Iterable[str]) -> list[Ability]:
    """Return what each of these builders can do here, in their order; nothing is built, no registry is asked."""
    with Scratch() as folder:
        (folder / "Dockerfile").write_text(_DOCKERFILE)
        ref = ImageRef.parse("registry.example/sample:latest")
        request = BuildRequest(folder, (ref,), outputs=(Push(ref),))
        return [_ability(name, request) for name in names]


def _ability(name: str, request: BuildRequest) -> Ability:
    try:
        made = builders.select(name)
        found = made.probe() if isinstance(made, Probed) else "says nothing of itself"
        can, cannot = [], []
        for what, change in SAMPLES.items():
            lacks = made.unsupported(change(request))
            if lacks:
                cannot.append((what, lacks[0].why))
            else:
                can.append(what)
    except BuildrError as error:
        return Ability(name, False, str(error), advice=error.hint)
    return Ability(name, True, found, tuple(can), tuple(cannot), runs=made.capabilities().in_engine)
