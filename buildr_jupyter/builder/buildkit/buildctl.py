"""buildctl's command line, and what the end of its output means.

Source: moby/buildkit ``cmd/buildctl/build.go``, ``docs/buildkitd.toml.md``, ``exporter/containerimage`` (v0.34).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from buildr_jupyter.builder.buildkit.progress import BuildkitStream
from buildr_jupyter.builder.docker.classic_stream import exit_code_of
from buildr_jupyter.builder.engine_errors import build_error, publish_error
from buildr_jupyter.context.dockerfile_parse import base_of_step
from buildr_jupyter.errors import BuildError, BuildrError, EngineUnavailable
from buildr_jupyter.model.request import Archive, BuildRequest, EngineLoad, Layout, Push

__all__ = ["BUILDCTL", "DaemonLost", "build_arguments", "build_command", "failure_of"]

BUILDCTL = "install BuildKit's buildctl (its releases, or go install github.com/moby/buildkit/cmd/buildctl@latest)"

_NO_DAEMON = re.compile(
    r"failed to list workers|connection error|Unavailable: |failed to dial|cannot connect to|error while dialing"
    r"|failed to get status|transport is closing|error reading (?:from server|server preface)",
    re.I,
)
_TLS = re.compile(r"x509:|tls: |certificate required|bad certificate|unknown certificate authority", re.I)
_PUSH = re.compile(r"failed to push (\S+?):? |pushing .* failed|push access denied")
_NOISE = re.compile(r"^(?:Dockerfile:\d+|-{5,}|\s*(?:>>>|\d+ \|)|\s*$|time=\")")


class DaemonLost(BuildError):
    """The connection to the daemon broke off in the middle of a build."""


def build_command(
    request: BuildRequest,
    folder: Path,
    *,
    command: Sequence[str],
    dockerfile: bool,
    agents: Mapping[str, str],
    index_secret: str | None,
    epoch: str,
    arguments: Mapping[str, str] | None = None,
    hidden: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the command of a build; ``folder`` takes the metadata, and holds the Dockerfile where ``dockerfile``.

    ``arguments`` are the build arguments that any user of the machine may see, without it all of the request's;
    ``hidden`` has for each id of a secret beside the request's the variable that holds it.
    """
    custom = request.plan.dockerfile if request.plan else None
    platforms = request.target_platforms
    if arguments is None:
        arguments = build_arguments(request)
    arguments = {"SOURCE_DATE_EPOCH": epoch, **arguments}
    options = {
        "filename": request.dockerfile,
        "target": request.target or (custom.target if custom else None),
        "platform": ",".join(platforms),
        "image-resolve-mode": "pull" if request.pull else None,
        "force-network-mode": request.network,
        **{f"build-arg:{name}": value for name, value in arguments.items()},
        **{f"label:{name}": value for name, value in request.labels.items()},
    }
    made = [*command, "build", "--progress=rawjson", "--frontend", "dockerfile.v0"]
    made += ["--local", f"context={request.context}"]
    made += ["--local", f"dockerfile={folder if dockerfile else request.context}"]
    made += ["--metadata-file", str(folder / "metadata.json")]
    for name, value in options.items():
        made += ["--opt", f"{name}={value}"] if value or name.startswith(("build-arg:", "label:")) else []
    if request.no_cache:
        made.append("--no-cache")
    if request.network == "host":
        made += ["--allow", "network.host"]
    for secret in request.secrets:
        source = f"src={secret.source}" if secret.source else f"env={secret.variable or secret.id}"
        made += ["--secret", _csv(f"id={secret.id}", source)]
    for name, variable in (hidden or {}).items():
        made += ["--secret", f"id={name},env={variable}"]
    if index_secret:
        made += ["--secret", f"id={index_secret},env=BUILDR_INDEX"]
    for name, socket in agents.items():
        made += ["--ssh", f"{name}={socket}"]
    for flag, given in (("--import-cache", request.cache_from), ("--export-cache", request.cache_to)):
        for one in given:
            made += [flag, one if "=" in one else f"type=registry,ref={one}"]
    for output in _outputs(request, folder):
        made += ["--output", output]
    return made


def build_arguments(request: BuildRequest) -> dict[str, str]:
    """Return the build arguments of a request; its own win over those of the plan."""
    custom = request.plan.dockerfile if request.plan else None
    return {**dict(custom.build_args if custom else ()), **request.build_args}


def _outputs(request: BuildRequest, folder: Path) -> list[str]:
    """Return the exporters; an image is always among them, since only it tells the image id."""
    names = ",".join(str(ref) for ref in request.refs)
    pushes = [str(output.ref) for output in request.outputs if isinstance(output, Push)]
    found = [_csv("type=image", f"name={','.join(pushes) or names}", f"push={str(bool(pushes)).lower()}")]
    for output in request.outputs:
        if isinstance(output, Archive):
            output.path.parent.mkdir(parents=True, exist_ok=True)
            several = len(request.target_platforms) > 1
            found.append(_csv(f"type={'oci' if several else 'docker'}", f"name={names}", f"dest={output.path}"))
        elif isinstance(output, Layout):
            found.append(_csv("type=oci", "tar=false", f"name={names}", f"dest={output.path}"))
        elif isinstance(output, EngineLoad):
            found.append(_csv("type=docker", f"name={names}", f"dest={folder / 'engine.tar'}"))
    return found


def _csv(*fields: str) -> str:
    return ",".join(
        '"' + field.replace('"', '""') + '"' if any(sign in field for sign in ',"\n') else field for field in fields
    )


def failure_of(
    said: Sequence[str],
    status: int,
    state: BuildkitStream,
    *,
    address: str,
    bases: Sequence[str],
    push_hosts: Sequence[str],
    called: Callable[[str], str] = str,
    logged_in: Collection[str] = (),
) -> BuildrError:
    """Return the error that the end of buildctl's output means; ``said`` are its lines that are no records.

    ``called`` gives what one of ``push_hosts``, which are named as the daemon names them, is called here;
    ``logged_in`` are those of them that a login was given for.
    """
    lines = [line for line in said if not _NOISE.match(line)]
    found = next((line for line in reversed(lines) if line.lower().startswith("error")), lines[-1] if lines else "")
    message = re.sub(r"^(?:error|ERROR):\s*", "", found).strip()
    message = message or (f"buildctl was killed by signal {-status}" if status < 0 else f"buildctl ended with {status}")
    step = state.failing
    running = step is not None and step.status == "failed"
    if not state.steps and (_NO_DAEMON.search(message) or _TLS.search(message)):
        hint = "start buildkitd, or name where it is: --builder buildkit=ADDRESS, or BUILDKIT_HOST"
        if _TLS.search(message) or "EOF" in message or "error reading server preface" in message:
            hint = "correct the certificates: BUILDKIT_CERT_PATH is a folder with ca.pem, cert.pem and key.pem"
        return EngineUnavailable(f"no buildkitd at {address}: {message}", hint=hint)
    pushing = push_hosts and (_PUSH.search(message) or (running and step and step.title.startswith("pushing")))
    if pushing:
        host = next((host for host in push_hosts if host in message), push_hosts[0])
        return publish_error(message, called(host), logged_in=host in logged_in)
    if _NO_DAEMON.search(message) and not running:
        return DaemonLost(
            f"Image build failed: the connection to buildkitd at {address} broke off: {message}",
            hint="build it again: the steps that were done are in its cache",
            step=step.title if step else None, log_tail=state.tail,
        )  # fmt: skip
    title = step.title if step else None
    base = base_of_step(title) or next((one for one in bases if running and one in message), None)
    return build_error(message, step=title, exit_code=exit_code_of(message), tail=state.tail, base=base)
