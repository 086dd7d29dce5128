"""Events, results and errors as lines of JSON, and back: what one process tells another of a build."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from buildr_jupyter import errors, events, model

__all__ = ["from_line", "to_line"]

_KINDS = {
    kind.__name__: kind
    for module in (events, model)
    for kind in (getattr(module, name) for name in module.__all__)  # each package gives its names when asked for them
    if isinstance(kind, type) and is_dataclass(kind)
}
_SAID = ("hint", "stage", "step", "exit_code", "log_tail", "status", "code", "result")
"""What an error says beside its sentence."""


def to_line(value: Any) -> str:
    """Return a value of ``events`` or ``model``, or an error, as one line of JSON without its end."""
    return json.dumps(_plain(value), ensure_ascii=True)


def from_line(line: str | bytes) -> Any:
    """Return what ``to_line`` was given. Raises ValueError for anything else."""
    try:
        return _value(json.loads(line))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"no line of a build: {line[:80]!r}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        said = {name: _plain(getattr(value, name)) for name in _SAID if getattr(value, name, None) is not None}
        return {"$error": type(value).__name__, "message": str(value), **said}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "$": type(value).__name__,
            **{f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.init},
        }
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(one) for one in value]
    return value


def _value(document: Any) -> Any:
    if isinstance(document, list):
        return tuple(_value(one) for one in document)
    if not isinstance(document, dict):
        return document
    if "$path" in document:
        return Path(document["$path"])
    if "$error" in document:
        return _error(document)
    return _KINDS[document["$"]](**{name: _value(one) for name, one in document.items() if name != "$"})


def _error(document: dict[str, Any]) -> BaseException:
    kind = getattr(errors, document["$error"], None)
    if not (isinstance(kind, type) and issubclass(kind, errors.BuildrError)) or kind is errors.BuildBusy:
        kind = errors.BuildError
    made = kind(document["message"], hint=document.get("hint"))
    for name in _SAID:
        if name in document and name != "hint":
            setattr(made, name, _value(document[name]))
    return made
