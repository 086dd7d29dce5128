"""First build of numpy and pandas for the engine, in turns, in one run: by its install step with pip and with ours, and
without the engine, loaded into it as ``auto`` does, or pushed to a registry on this machine.

Run: ``python -m tests.benchmarks.bench_install [ROUNDS]``. Each round begins with empty caches and stores, on the same
base and context. pip's side is the Dockerfile that a person writes: a virtual environment, and ``pip install`` of the
same pins. The bounds: at most half of pip's time; a cold load at most 1.3 times a cold push.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from buildr_jupyter import builder
from buildr_jupyter.builder.docker_builder import DockerBuilder
from buildr_jupyter.builder.oci_builder import OciBuilder
from buildr_jupyter.context import folder as context
from buildr_jupyter.dependencies import index_config
from buildr_jupyter.engine import connection as engine
from buildr_jupyter.events.cancel import CancelToken
from buildr_jupyter.events.streams import drain
from buildr_jupyter.model.capabilities import BaseRequest
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.request import BuildRequest, EngineLoad, Output, Push
from buildr_jupyter.oci.store import Store
from tests.benchmarks.bench_oci import PINS, make_plan, timed
from tests.engines import Engines, EngineStartError, base

ROUNDS = 3
BOUND = 0.5
LOAD_BOUND = 1.3
BY_PIP = f"""FROM {base.NAME} AS packages
WORKDIR /install
COPY ["requirements.txt", "./"]
RUN python3 -m venv --without-pip /opt/venv && pip --python /opt/venv/bin/python install -r requirements.txt
FROM {base.NAME}
COPY --from=packages ["/opt/venv", "/opt/venv"]
WORKDIR /app
COPY ["app/", "./"]
"""


def ours(subject: builder.Builder, folder: Path, arguments: dict[str, str]) -> None:
    """Build the plan as ``--builder docker`` does."""
    plan = make_plan(secrets.token_hex(8), PINS, None)
    made = context.write_folder(plan, folder)
    ref = ImageRef.parse(f"bench-install-{secrets.token_hex(4)}:1")
    request = BuildRequest(made, (ref,), plan=plan, outputs=(EngineLoad(),), build_args=arguments)
    for _ in subject.stream_build(request, CancelToken()):
        pass


def by_pip(folder: Path) -> None:
    """Build the same by pip, with docker's own command."""
    made = context.write_folder(make_plan(secrets.token_hex(8), PINS, None), folder)
    (made / "Dockerfile").write_text(BY_PIP)
    (made / "install.py").unlink()
    certificate = os.environ.get("PIP_CERT")  # of a proxy that opens TLS; the base has it, too
    if certificate:
        text = BY_PIP.replace("RUN python3", f"ENV PIP_CERT={base.CA_BUNDLE}\nRUN python3")
        (made / "Dockerfile").write_text(text)
    subprocess.run(
        ["/usr/bin/docker", "build", "-q", "-t", "bench-pip", str(made)], check=True, capture_output=True,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
    )  # fmt: skip


def without_engine(store: Path, base_name: str, arguments: dict[str, str], output: Output) -> None:
    """Make the same image with an empty store, and bring it to the output."""
    with contextlib.closing(OciBuilder(store=Store(store))) as subject:
        found = drain(subject.resolve_base(BaseRequest(base_name), CancelToken()))
        plan = replace(make_plan(secrets.token_hex(8), PINS, found.digest), base=base_name)
        made = context.write_folder(plan, store.with_name("context"))
        ref = output.ref if isinstance(output, Push) else ImageRef.parse(f"bench-load-{secrets.token_hex(4)}:1")
        request = BuildRequest(made, (ref,), plan=plan, outputs=(output,), build_args=arguments)
        drain(subject.stream_build(request, CancelToken()))


def main(rounds: int = ROUNDS) -> int:
    """Print the table; return 1 where the bound is broken, 0 without an engine (and say so)."""
    for name in [name for name in os.environ if name.startswith("DOCKER_")]:
        del os.environ[name]
    arguments = index_config.read_settings(os.environ, home=Path.home()).build_args()
    with Engines() as engines, tempfile.TemporaryDirectory() as scratch:
        try:
            os.environ["DOCKER_HOST"] = engines.docker().host
        except EngineStartError as error:
            print(f"no engine, nothing compared: {error}")
            return 0
        registry = engines.registry_http().host
        base_name = f"{registry}/base/python:1"
        for command in (["tag", base.NAME, base_name], ["push", "-q", base_name]):
            subprocess.run(["/usr/bin/docker", *command], check=True, capture_output=True)
        with contextlib.closing(engine.connect()) as client:
            subject = builder.select("docker=buildkit")
            assert isinstance(subject, DockerBuilder)
            subject.docker_client = client
            times: dict[str, list[float]] = {"pip": [], "uv": [], "push": [], "load": []}
            for number in range(rounds):
                folder = Path(scratch) / str(number)
                push = Push(ImageRef.parse(f"{registry}/bench/{secrets.token_hex(4)}:1"))
                calls = {
                    "pip": partial(by_pip, folder / "pip"),
                    "uv": partial(ours, subject, folder / "uv", arguments),
                    "push": partial(without_engine, folder / "push" / "store", base_name, arguments, push),
                    "load": partial(without_engine, folder / "load" / "store", base_name, arguments, EngineLoad()),
                }
                for name, call in calls.items():
                    subprocess.run(["/usr/bin/docker", "builder", "prune", "-af"], check=True, capture_output=True)
                    times[name].append(timed(call))
                    print(f"  round {number + 1}, {name:<4} {times[name][-1]:7.2f} s", flush=True)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    broken = 0
    for what, one, other, bound in (
        ("first build of numpy and pandas, ours of pip's", "uv", "pip", BOUND),
        ("cold load of a cold push", "load", "push", LOAD_BOUND),
    ):
        ratio = medians[one] / medians[other]
        broken += ratio > bound
        print(f"{what}: {medians[one]:.2f} s of {medians[other]:.2f} s: {ratio:.2f}  (at most {bound})")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
