"""Pod template of the user's own: read from a file, and taken where a run says nothing itself."""

from __future__ import annotations

import copy
from pathlib import Path

from buildr_jupyter.errors import OptionError
from buildr_jupyter.model.json_object import JsonObject
from buildr_jupyter.runner.job_manifest import PROGRAM

__all__ = ["merge_template", "read_template"]


def read_template(path: Path) -> JsonObject:
    """Return the Pod of a YAML or JSON file; raises OptionError for a file that holds none."""
    import yaml  # the kubernetes client needs it too

    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0]
        raise OptionError(f"--pod-template {path}: {why}", hint="name a YAML file with kind: Pod") from error
    if isinstance(found, dict) and found.get("kind") == "PodTemplate":
        found = {"kind": "Pod", **(found.get("template") or {})}
    if not isinstance(found, dict) or found.get("kind") != "Pod" or not isinstance(found.get("spec"), dict):
        raise OptionError(
            f"--pod-template {path}: it holds no Pod", hint="write kind: Pod, and what is wanted below spec:"
        )
    return found


def merge_template(job: JsonObject, template: JsonObject) -> tuple[JsonObject, tuple[str, ...]]:
    """Return the Job, CronJob or Deployment with the template's fields where it has none of its own.

    Beside it there is a sentence for each conflict. The template's container ``program``, or its only one, is the
    run's; its other containers run beside it.
    """
    merged = copy.deepcopy(job)
    inner = merged["spec"]["jobTemplate"] if job["kind"] == "CronJob" else merged
    pod = inner["spec"]["template"]
    conflicts: list[str] = []
    about = template.get("metadata") or {}
    for part in ("labels", "annotations"):
        _fill(pod["metadata"].setdefault(part, {}), about.get(part) or {}, f"metadata.{part}", conflicts)
    spec = dict(template["spec"])
    containers = list(spec.pop("containers", None) or ())
    before = list(spec.pop("initContainers", None) or ())
    mine = [one for one in containers if one.get("name") == PROGRAM] or (containers if len(containers) == 1 else [])
    program = next(
        one for kind in ("initContainers", "containers") for one in pod["spec"].get(kind, ()) if one["name"] == PROGRAM
    )
    if mine:
        fields = {key: value for key, value in mine[0].items() if key != "name"}
        _fill(program, fields, f"containers[{PROGRAM}]", conflicts)
    others = [one for one in containers if one not in mine]
    pod["spec"]["containers"] = [*pod["spec"]["containers"], *others]
    if before:
        pod["spec"]["initContainers"] = [*before, *pod["spec"].get("initContainers", ())]
    _fill(pod["spec"], spec, "spec", conflicts)
    return merged, tuple(conflicts)


def _fill(into: JsonObject, more: JsonObject, place: str, conflicts: list[str]) -> None:
    """Add the fields of ``more`` to ``into``; lists are joined by name, and what is there stays."""
    for key, value in more.items():
        known = into.get(key)
        if key not in into:
            into[key] = copy.deepcopy(value)
        elif isinstance(known, dict) and isinstance(value, dict):
            _fill(known, value, f"{place}.{key}", conflicts)
        elif isinstance(known, list) and isinstance(value, list) and all(isinstance(one, dict) for one in known):
            names = {one.get("name") for one in known}
            into[key] = [*known, *(copy.deepcopy(one) for one in value if one.get("name") not in names)]
            conflicts += [
                f"--pod-template: {place}.{key} {one['name']!r} is the run's own"
                for one in value
                if one.get("name") in names
            ]
        elif known != value:
            conflicts.append(f"--pod-template: {place}.{key} is {known!r} here, not {value!r}")
