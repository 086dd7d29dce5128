"""Timeouts: how long is waited for a connection, for an answer, for the next word of a stream."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from buildr_jupyter.errors import SettingError

__all__ = ["Limits", "read_limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds; each is set by the variable that its docstring names."""

    connect_s: float = 10.0
    """``BUILDR_CONNECT_TIMEOUT``: an engine or a registry takes the connection and answers the first question."""
    read_s: float = 60.0
    """``BUILDR_READ_TIMEOUT``: an ordinary answer; also how long an engine whose stream is silent may take to say
    that it is still there."""
    idle_s: float = 3600.0
    """``BUILDR_IDLE_TIMEOUT``: a step or a transfer says nothing, while the process that does it is there. A
    container that runs may be silent for ever."""


def read_limits(environ: Mapping[str, str] = os.environ) -> Limits:
    """Return the limits that the environment sets, the defaults for the rest. Raises SettingError."""
    found = {}
    for field in fields(Limits):
        variable = f"BUILDR_{field.name.removesuffix('_s').upper()}_TIMEOUT"
        if text := environ.get(variable, "").strip():
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not value > 0 or math.isinf(value):
                raise SettingError(
                    f"{variable}={text!r} is no number of seconds", hint=f"write seconds: {variable}=120"
                )
            found[field.name] = value
    return Limits(**found)
