"""Events, results and errors as lines of JSON, and back: what one process tells another of a build."""

from __future__ import annotations

import functools
import json
from dataclasses import fields, is_dataclass
from pathlib import Path

from buildr_jupyter import errors, events, model
from buildr_jupyter.model.json_object import JsonObject

__all__ = ["from_line", "to_line"]

_SAID = ("hint", "stage", "step", "exit_code", "log_tail", "status", "code", "result")
"""What an error says beside its sentence."""
_KEPT = ("values", "inputs")
"""Fields of a run that stay in their process: values of any class; the files beside them say the same."""


@functools.cache
def _kinds() -> dict[str, type]:
    """Return the public dataclasses of ``events`` and ``model`` by name."""
    # Only a package's ``__all__`` knows them: they are imported when they are asked for, and ``vars`` has none of them.
    public = (getattr(module, name) for module in (events, model) for name in module.__all__)
    return {kind.__name__: kind for kind in public if isinstance(kind, type) and is_dataclass(kind)}


def to_line(value: object) -> str:
    """Return a value of ``events`` or ``model``, or an error, as one line of JSON without its end."""
    return json.dumps(_plain(value), ensure_ascii=True)


def from_line(line: str | bytes) -> object:
    """Return what ``to_line`` was given. Raises ValueError for anything else."""
    try:
        return _value(json.loads(line))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no line of a build: {line[:80]!r}") from error


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        said = {name: _plain(getattr(value, name)) for name in _SAID if getattr(value, name, None) is not None}
        return {"$error": type(value).__name__, "message": str(value), **said}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "$": type(value).__name__,
            **{f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.init and f.name not in _KEPT},
        }
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value


def _value(document: object) -> object:
    if isinstance(document, list):
        return tuple(_value(one) for one in document)
    if not isinstance(document, dict):
        return document
    if "$path" in document:
        return Path(document["$path"])
    if "$error" in document:
        return _error(document)
    return _kinds()[document["$"]](**{name: _value(one) for name, one in document.items() if name != "$"})


def _error(document: JsonObject) -> BaseException:
    kind = getattr(errors, document["$error"], None)
    if not (isinstance(kind, type) and issubclass(kind, errors.BuildrError)) or kind is errors.BuildBusy:
        kind = errors.BuildError
    made = kind(document["message"], hint=document.get("hint"))
    for name in _SAID:
        if name in document and name != "hint":
            setattr(made, name, _value(document[name]))
    return made
