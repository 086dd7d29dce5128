"""Manifests of a run: the Job that it is in a cluster and the Secrets that belong to it. Pure: the same spec, the same.

A program that was built here has its collector beside it, in a second container of the same image, which waits for the
lock that the program holds, and always ends with status 0, so that the pod's end is the program's. An init container
that restarts (a sidecar) would be told of that end by the node itself, and cost a second before the program begins and
another one after it. Of an image that may have no Python the program is the init container, and the collector runs
after it, where it ended with status 0.
"""

from __future__ import annotations

import ast
import base64
import functools
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import resources

from buildr_jupyter.cluster.jobs import make_owned_secret
from buildr_jupyter.cluster.labels import GROUP, KEPT_S, MANAGED, OWNER, owner_of, safe_label, slug
from buildr_jupyter.errors import OptionError
from buildr_jupyter.in_image.launch import INPUTS, LOCK, PARAMS
from buildr_jupyter.model.image_ref import ImageRef
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.model.request import ClusterPlacement, RunSpec

__all__ = [
    "COLLECTOR",
    "COLLECTS",
    "GRID",
    "GROUP",
    "HELD",
    "KEPT_S",
    "MANAGED",
    "OUTPUTS",
    "OWNER",
    "PROGRAM",
    "SHARDS",
    "at_rest",
    "brings_files",
    "collects_beside",
    "common",
    "make_collect_secret",
    "make_cron_job",
    "make_environment_secret",
    "make_grid_job",
    "make_input_secrets",
    "make_job",
    "make_key_maps",
    "make_objects",
    "make_pull_secret",
    "make_service",
    "owner_of",
    "quick_command",
    "repository_of",
    "safe_label",
    "slug",
    "source_of",
]

PROGRAM, COLLECTOR = "program", "collector"
WORK = "/buildr"
"""Where the pod's own volume is: the program's folder is copied into it, its outputs are below it."""
_COPY = f"{WORK}/app"
HELD = f"{WORK}/held"
"""List of the files that a pod keeps until they were fetched."""
_VOLUMES = {"work": WORK, "tmp": "/tmp", "home": "/home/app"}  # noqa: S108 - the container's own
"""The pod's own volumes, which are all that a program may write to, and where they are."""
_INPUTS = "/buildr-inputs"
GRID = "grid"
"""Component of a Job whose indexes are the points of a grid."""
SHARDS = "-shards"
"""Ends the name of the Service that gives each shard its address."""
_KEYS = 10_000
_GRACE_S, _UPLOAD_S = 5, 300
"""So long a pod may take to end; what is pushed to a registry takes its time after the program's end."""
_LOGIN = "BUILDR_OUTPUT_LOGIN"
COLLECTS = "io.buildr.collect"
"""Annotation: which of the program's files its collector brings, as JSON."""
OUTPUTS = "io.buildr.outputs"
"""Annotation: the repository, as it is called outside, that the output files are pushed to."""
_SECRET_BYTES = 1_000_000
_QUEUE = "kueue.x-k8s.io/queue-name"


def make_job(
    spec: RunSpec,
    name: str,
    *,
    owner: str,
    suspended: bool = False,
    collects: bool = True,
    registry: str | None = None,
    held: bool = False,
) -> JsonObject:
    """Return the Job of a run under the name ``name``, whose environment is in the Secret of that name.

    ``registry``: the base URL of the registry that the output files are pushed to, with the login in another Secret.

    ``held``: what does not come through the collector's log is kept a while, for who fetches it by the list ``HELD``.

    ``suspended``: it waits for that Secret. Without ``collects`` the program is the pod's only container. An empty
    ``owner`` is nobody, so that no run of anybody's is found in it.
    """
    labels = _labels(spec, name, owner)
    notes = _annotations(spec, owner)
    program = _program(spec, name)
    pod: JsonObject = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _UPLOAD_S if collects and registry else _GRACE_S,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [*({"name": volume, "emptyDir": {}} for volume in _VOLUMES), *_claimed(spec)],
    }
    collects = collects and brings_files(spec)
    if collects and collects_beside(spec):
        collector = _collector(spec, name, registry, held=held)
        pod["containers"] = [program, {**collector, "command": [*collector["command"], f"{_COPY}{LOCK}"]}]
    elif collects:
        pod |= {"initContainers": [program], "containers": [_collector(spec, name, registry)]}
    else:
        pod["containers"] = [program]
    pod |= _placement(spec.placement, name)
    job: JsonObject = {
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": KEPT_S,
        "template": {"metadata": {"labels": labels, "annotations": notes}, "spec": pod},
    }
    if suspended:
        job["suspend"] = True
    own = {**labels, _QUEUE: spec.placement.queue} if spec.placement.queue else labels
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": own, "annotations": notes},
        "spec": job,
    }


def brings_files(spec: RunSpec) -> bool:
    """Return whether any file may come back: else there is no collector, which takes as long to start as a program."""
    return not spec.collect.nothing or spec.program is None or spec.program.gives_values


def collects_beside(spec: RunSpec) -> bool:
    """Return whether the collector runs beside the program, and so has the files of one that failed, too."""
    return spec.program is not None and bool(spec.program.command) and _is_python(spec.program.command[0])


def make_grid_job(
    specs: Sequence[RunSpec], name: str, *, owner: str, jobs: int, registry: str | None = None
) -> JsonObject:
    """Return the suspended Indexed Job of the runs of a grid, which differ in their inputs alone.

    An index that fails is no reason to stop the others, and is not tried again by the cluster. The inputs are in the
    Secrets that ``make_input_secrets`` gives; the variables that all have are in the Secret of the Job's name.
    """
    job = make_job(common(specs[0]), name, owner=owner, suspended=True, registry=registry)
    body = job["spec"]
    body.pop("backoffLimit")
    body |= {"completionMode": "Indexed", "completions": len(specs), "parallelism": jobs, "backoffLimitPerIndex": 0}
    pod = body["template"]["spec"]
    sources = [{"secret": {"name": f"{name}-inputs-{number}"}} for number in range(len(_pieces(specs)))]
    pod["volumes"].append({"name": "inputs", "projected": {"sources": sources}})
    program = next(one for one in (*pod.get("initContainers", ()), *pod["containers"]) if one["name"] == PROGRAM)
    program["volumeMounts"].append({"name": "inputs", "mountPath": _INPUTS, "readOnly": True})
    program["env"] = [*program.get("env", ()), {"name": INPUTS, "value": _INPUTS}]
    job["metadata"]["labels"] = {**job["metadata"]["labels"], "app.kubernetes.io/component": GRID}
    return job


def common(spec: RunSpec) -> RunSpec:
    """Return a run of a grid without its inputs."""
    return replace(spec, environment=tuple(one for one in spec.environment if one[0] != PARAMS))


def make_input_secrets(specs: Sequence[RunSpec], name: str, job: JsonObject) -> tuple[JsonObject, ...]:
    """Return the Secrets with the inputs of a grid's points, each below 1 MiB.

    Each holds one file, which has the inputs of one point in a line and is named by the index of its first: a node
    writes all files of a volume for each pod.
    """
    return tuple(
        _secret(f"{name}-inputs-{number}", job, "Opaque", {str(first): base64.b64encode(lines.encode()).decode()})
        for number, (first, lines) in enumerate(_pieces(specs))
    )


def make_key_maps(keys: Sequence[str], name: str, job: JsonObject) -> tuple[JsonObject, ...]:
    """Return the ConfigMaps that say which run each index is, so that another process finds it again."""
    found = []
    for number, first in enumerate(range(0, len(keys), _KEYS)):
        made = _secret(f"{name}-keys-{number}", job, "", {})
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": made["metadata"]}
        found.append({**made, "data": {"keys": "\n".join(keys[first : first + _KEYS])}})
    return tuple(found)


def _pieces(specs: Sequence[RunSpec]) -> list[tuple[int, str]]:
    """Return the inputs of the points as lines of JSON, in pieces that a Secret holds, with the index of the first."""
    pieces: list[tuple[int, list[str]]] = []
    size = _SECRET_BYTES
    for index, spec in enumerate(specs):
        line = dict(spec.environment).get(PARAMS, "{}").replace("\n", " ") + "\n"  # between words it means the same
        length = len(line.encode())
        if length > _SECRET_BYTES:
            raise OptionError(
                f"the inputs of point {index} have {length:,} bytes, and a Secret of a cluster holds 1 MiB",
                hint="put what is large into a file that the image carries",
            )
        if size + length > _SECRET_BYTES:
            pieces.append((index, []))
            size = 0
        pieces[-1][1].append(line)
        size += length
    return [(first, "".join(lines)) for first, lines in pieces]


def make_cron_job(spec: RunSpec, name: str, *, owner: str) -> JsonObject:
    """Return the CronJob of a run that ``spec.standing`` schedules; one that is late does not begin beside itself."""
    assert spec.standing is not None
    assert spec.standing.schedule is not None
    job = make_job(spec, name, owner=owner, collects=False)
    about = job["metadata"]
    body: JsonObject = {
        "schedule": spec.standing.schedule,
        "concurrencyPolicy": "Forbid",
        "suspend": False,
        "jobTemplate": {
            "metadata": {"labels": about["labels"], "annotations": about["annotations"]},
            "spec": job["spec"],
        },
    }
    if spec.standing.timezone:
        body["timeZone"] = spec.standing.timezone
    return {**job, "kind": "CronJob", "spec": body}


def make_service(spec: RunSpec, name: str, *, owner: str, deployed: str = "") -> tuple[JsonObject, ...]:
    """Return the Deployment of ``spec.standing`` and the Service in front of it, which opens the program's ports.

    Shards are a StatefulSet, with another Service, ``NAME-shards``, that gives each an address of its own.

    ``deployed`` is another text each time; where the run has variables, its pods are made anew then.
    """
    assert spec.standing is not None
    job = make_job(spec, name, owner=owner, collects=False)
    about, template = job["metadata"], job["spec"]["template"]
    template["spec"]["restartPolicy"] = "Always"
    if spec.environment:  # pods read a Secret when they begin: other values are other pods
        template["metadata"]["annotations"] = {**template["metadata"]["annotations"], "io.buildr.deployed": deployed}
    (program,) = template["spec"]["containers"]
    program["readinessProbe"] = {"tcpSocket": {"port": spec.ports[0].container}, "periodSeconds": 1}
    chosen = {"app.kubernetes.io/instance": name, MANAGED: "buildr"}
    shards = spec.standing.shards
    body: JsonObject = {"replicas": shards or spec.standing.replicas, "selector": {"matchLabels": chosen}}
    if shards:
        field: JsonObject = {"fieldRef": {"fieldPath": "metadata.labels['apps.kubernetes.io/pod-index']"}}
        known: list[JsonObject] = [{"name": "SHARD_INDEX", "valueFrom": field}]
        known.append({"name": "SHARD_COUNT", "value": str(shards)})
        program["env"] = [*program.get("env", ()), *known]
        body |= {"serviceName": f"{name}{SHARDS}", "podManagementPolicy": "Parallel"}
    kept = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet" if shards else "Deployment",
        "metadata": about,
        "spec": {**body, "template": template},
    }
    ports = [
        {
            "name": f"p{port.container}",
            "port": port.host or port.container,
            "targetPort": port.container,
            "protocol": port.protocol.upper(),
        }
        for port in spec.ports
    ]
    kind = "LoadBalancer" if spec.standing.public else "ClusterIP"
    service: JsonObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": about["labels"], "annotations": about["annotations"]},
        "spec": {"type": kind, "selector": chosen, "ports": ports},
    }
    if not shards:
        return kept, service
    of_each: JsonObject = {**service, "metadata": {**service["metadata"], "name": f"{name}{SHARDS}"}}
    of_each["spec"] = {
        "type": "ClusterIP", "clusterIP": "None", "selector": chosen, "publishNotReadyAddresses": True,
        "ports": [{**port, "port": port["targetPort"]} for port in ports],
    }  # fmt: skip
    return kept, service, of_each


def at_rest(manifest: JsonObject) -> JsonObject:
    """Return what stays so that it begins nothing yet: its Secrets are made once it is there to own them."""
    waiting = {"suspend": True} if manifest["kind"] == "CronJob" else {"replicas": 0}
    return {**manifest, "spec": {**manifest["spec"], **waiting}}


def make_objects(spec: RunSpec, name: str) -> tuple[JsonObject, ...]:
    """Return all that a run is in a cluster for another person to apply: without an owner or a collector."""
    if spec.standing is None:
        return (make_job(spec, name, owner="", collects=False),)
    if spec.standing.schedule:
        return (make_cron_job(spec, name, owner=""),)
    return make_service(spec, name, owner="")


def make_environment_secret(spec: RunSpec, name: str, job: JsonObject) -> JsonObject:
    """Return the Secret with the run's variables, which goes with its Job or with what stays.

    Raises OptionError where it is too large.
    """
    data = {key: base64.b64encode(value.encode()).decode() for key, value in spec.environment}
    size = sum(map(len, data.values()))
    if size > _SECRET_BYTES:
        raise OptionError(
            f"the variables and inputs of a run have {size:,} bytes, and a Secret of a cluster holds 1 MiB",
            hint="put what is large into a file that the image carries",
        )
    return _secret(name, job, "Opaque", data)


def make_pull_secret(name: str, job: JsonObject, registry: str, username: str, password: str) -> JsonObject:
    """Return the Secret that the run's image is pulled with, which goes with its Job."""
    both = base64.b64encode(f"{username}:{password}".encode()).decode()
    auths = {"auths": {registry: {"username": username, "password": password, "auth": both}}}
    data = {".dockerconfigjson": base64.b64encode(json.dumps(auths).encode()).decode()}
    return _secret(f"{name}-pull", job, "kubernetes.io/dockerconfigjson", data)


def make_collect_secret(name: str, job: JsonObject, login: Mapping[str, str]) -> JsonObject:
    """Return the Secret with the login that the collector alone pushes output files with; it goes with the Job."""
    data = {_LOGIN: base64.b64encode(json.dumps(login).encode()).decode()}
    return _secret(f"{name}-collect", job, "Opaque", data)


def repository_of(spec: RunSpec) -> str:
    """Return ``HOST/REPOSITORY``, as it is called here, that a run's output files are pushed to."""
    reference = ImageRef.parse(spec.image)
    return spec.outputs_to or f"{reference.registry_host}/{reference.registry_path}"


def _secret(name: str, job: JsonObject, kind: str, data: Mapping[str, str]) -> JsonObject:
    labels = {key: value for key, value in job["metadata"]["labels"].items() if key != _QUEUE}
    return make_owned_secret(name, job, kind, data, labels)


def _labels(spec: RunSpec, name: str, owner: str) -> dict[str, str]:
    found = {
        "app.kubernetes.io/name": slug(spec.name, 63),
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "run",
        MANAGED: "buildr",
        GROUP: safe_label(spec.name),
    }
    if owner:
        found[OWNER] = owner_of(owner)
    return found | {key: safe_label(value) for key, value in spec.labels}


def _annotations(spec: RunSpec, owner: str) -> dict[str, str]:
    found = {GROUP: spec.name, "io.buildr.image": spec.image, **dict(spec.labels)}
    if spec.collect.registry:
        found[OUTPUTS] = repository_of(spec)
    return {OWNER: owner, COLLECTS: json.dumps(spec.collect.to_json()), **found} if owner else found


def _program(spec: RunSpec, name: str) -> JsonObject:
    known = spec.program
    own = dict(spec.environment)
    before = [(key, value) for key, value in known.environment if key not in own] if known else []
    before += spec.settings
    if known is None and "BUILDR_OUTPUT_DIR" not in own:
        before.append(("BUILDR_OUTPUT_DIR", WORK))
    environment: list[JsonObject] = [{"name": key, "value": value} for key, value in before]
    environment += [{"name": key, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}} for key in own]
    container: JsonObject = {
        "name": PROGRAM,
        "image": spec.image,
        "securityContext": _security(read_only=known is not None),
        "volumeMounts": [*_mounts(), *_claims(spec)],
    }
    if environment:
        container["env"] = environment
    if known is not None:
        command = [*quick_command(spec), source_of("launch"), known.folder, _COPY, *known.command]
        container["command"] = [_unexpanded(word) for word in command]
    if spec.args:
        container["args"] = [_unexpanded(word) for word in spec.args]
    if limits := _limits(spec):
        container["resources"] = {"requests": limits, "limits": limits}
    if spec.ports:
        container["ports"] = [
            {"containerPort": port.container, "protocol": port.protocol.upper()} for port in spec.ports
        ]
    return container


def _collector(spec: RunSpec, name: str, registry: str | None, *, held: bool = False) -> JsonObject:
    plan = _plan(spec)
    if held:
        plan["held"] = HELD
    login: JsonObject = {}
    if registry is not None:
        inside = ImageRef.parse(spec.image)
        base = f"{registry.partition('://')[0]}://{inside.registry_host}"
        plan["registry"] = [base, repository_of(spec).partition("/")[2], source_of("upload")]
        secret: JsonObject = {"secretKeyRef": {"name": f"{name}-collect", "key": _LOGIN}}
        pod: JsonObject = {"fieldRef": {"fieldPath": "metadata.name"}}
        login = {"env": [{"name": _LOGIN, "valueFrom": secret}, {"name": "BUILDR_POD", "valueFrom": pod}]}
    small = {"memory": "128Mi"}
    return {
        "name": COLLECTOR,
        "image": spec.image,
        "command": [*quick_command(spec), *map(_unexpanded, (source_of("collector"), json.dumps(plan)))],
        "securityContext": _security(read_only=True),
        "volumeMounts": [
            *(one for one in _mounts() if one["name"] == "work" or _looks_there(one, spec)),
            *({**one, "readOnly": True} for one in _claims(spec) if _looks_there(one, spec)),
        ],
        "resources": {"requests": {**small, "cpu": "100m"}, "limits": {**small, "cpu": "1"}},
        **login,
    }


def _plan(spec: RunSpec) -> JsonObject:
    """Return what the collector is given: where the program's files are, and which of them come back."""
    known = spec.program
    chosen = dict(spec.environment).get("BUILDR_OUTPUT_DIR")
    work, made = (known.folder, known.output) if known else (WORK, WORK)
    program = posixpath.dirname(made) if made.startswith(f"{work}/") else work
    output = posixpath.normpath(posixpath.join(work, chosen)) if chosen else made
    places = [[work, _COPY if known else WORK]]
    if not f"{output}/".startswith(f"{work}/"):
        places.append([output, output])
    if spec.collect.anywhere:
        places += [[one.target, one.target] for one in spec.claims]
        places += [[place, place] for place in _VOLUMES.values() if place not in (output, WORK)]
    return {
        "places": places,
        "image": work if known else None,
        "folders": [work, program, output],
        "patterns": list(spec.collect.expressions(program)),
        "nothing": spec.collect.nothing,
        "anywhere": spec.collect.anywhere,
    }


def _interpreter(spec: RunSpec) -> str:
    first = spec.program.command[0] if spec.program is not None and spec.program.command else ""
    return first if _is_python(first) else "python3"


def quick_command(spec: RunSpec) -> tuple[str, ...]:
    """Return how text of the standard library alone is run: the image's own packages are not looked for."""
    return _interpreter(spec), "-IS", "-c"


def _is_python(word: str) -> bool:
    return re.search(r"(?:^|/)python[\d.]*$", word) is not None


@functools.cache
def source_of(module: str) -> str:
    """Return the program that a module which runs in images is, without its comments and docstrings.

    It is in each pod of a sweep, and so in each answer about one.
    """
    tree = ast.parse(resources.files("buildr_jupyter.in_image").joinpath(f"{module}.py").read_text("utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            said = [one for one in body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)]
            node.body = [one for one in body if one not in said] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree) + "\n"


def _unexpanded(word: str) -> str:
    """Return a word of a command so that the cluster reads no ``$(NAME)`` in it."""
    return word.replace("$(", "$$(")


def _security(*, read_only: bool) -> JsonObject:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": read_only,
        "capabilities": {"drop": ["ALL"]},
    }


def _mounts() -> list[JsonObject]:
    return [{"name": name, "mountPath": place} for name, place in _VOLUMES.items()]


def _claimed(spec: RunSpec) -> list[JsonObject]:
    """Return a volume for each claim; several mounts of one claim are one volume."""
    names = list(dict.fromkeys(one.claim for one in spec.claims))
    return [{"name": f"claim-{n}", "persistentVolumeClaim": {"claimName": name}} for n, name in enumerate(names)]


def _claims(spec: RunSpec) -> list[JsonObject]:
    names = list(dict.fromkeys(one.claim for one in spec.claims))
    found: list[JsonObject] = []
    for one in spec.claims:
        mount: JsonObject = {"name": f"claim-{names.index(one.claim)}", "mountPath": one.target}
        found.append({**mount, "readOnly": True} if one.read_only else mount)
    return found


def _looks_there(mount: JsonObject, spec: RunSpec) -> bool:
    """Tell whether the collector reads what is in a volume: the output folder is there, or a pattern may name it."""
    output = f"{_plan(spec)['folders'][2]}/"
    return spec.collect.anywhere or output.startswith(f"{str(mount['mountPath']).rstrip('/')}/")


def _limits(spec: RunSpec) -> dict[str, str]:
    found = {}
    if spec.cpus is not None:
        found["cpu"] = f"{round(spec.cpus * 1000)}m"
    if spec.memory_bytes is not None:
        found["memory"] = str(spec.memory_bytes)
    if spec.gpus:
        if not spec.gpus.isdigit():
            raise OptionError(
                f"--gpus {spec.gpus}: a cluster gives GPUs by their number", hint="say how many: --gpus 1"
            )
        found["nvidia.com/gpu"] = spec.gpus
    return found


def _placement(placement: ClusterPlacement, name: str) -> JsonObject:
    found: JsonObject = {}
    if placement.node_selector:
        found["nodeSelector"] = dict(placement.node_selector)
    if placement.tolerations:
        found["tolerations"] = [_toleration(*one) for one in placement.tolerations]
    if placement.service_account:
        found["serviceAccountName"] = placement.service_account
    if placement.pull_secret:
        secret = f"{name}-pull" if placement.pull_secret == "login" else placement.pull_secret  # noqa: S105 - no password
        found["imagePullSecrets"] = [{"name": secret}]
    return found


def _toleration(key: str, value: str, effect: str) -> JsonObject:
    found: JsonObject = (
        {"key": key, "operator": "Equal", "value": value} if value else {"key": key, "operator": "Exists"}
    )
    return found | ({"effect": effect} if effect else {})
