"""Build arguments that hold a credential, kept out of a command line: any user of the machine reads those with ``ps``.

buildctl takes build arguments as options only. A proxy with a login goes to each RUN as a secret in its environment,
under the names that BuildKit itself would set; another argument becomes the default of its ARG, in the copy of the
Dockerfile that is sent. Either way the image is what it would be.

Source: Dockerfile reference, "Predefined ARGs", "RUN --mount=type=secret" (``env``: Dockerfile 1.10), "Here-documents".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from buildr_jupyter.errors import OptionError
from buildr_jupyter.secretscan import redact, search

__all__ = ["Hidden", "hide"]

_PROXIES = frozenset(("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"))
_ESCAPE = re.compile(r"\A(?:#[^\n]*\n)*?#[ \t]*escape[ \t]*=[ \t]*([\\`])", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?[ \t]*([\"']?)(\w+)\1")
_DECLARED = re.compile(r"([A-Za-z_]\w*)(?:=(?:\"(?:[^\"\\]|\\.)*\"|'[^']*'|\S)*)?")


@dataclass(frozen=True)
class Hidden:
    """A Dockerfile, and what goes with it."""

    dockerfile: str
    arguments: dict[str, str]
    """Those that any user may see."""
    secrets: dict[str, str]
    """Id of a secret to its value."""


def hide(dockerfile: str, arguments: Mapping[str, str], environ: Mapping[str, str]) -> Hidden:
    """Return the Dockerfile that needs no argument with a credential.

    Raises OptionError for a credential with a line end in an argument: no ARG holds one.
    """
    hidden = {name: value for name, value in arguments.items() if _is_secret(name, value, environ)}
    kept = {name: value for name, value in arguments.items() if name not in hidden}
    if not hidden:
        return Hidden(dockerfile, kept, {})
    proxies = {name: value for name, value in hidden.items() if name.upper() in _PROXIES}
    others = {name: value for name, value in hidden.items() if name not in proxies}
    for name, value in others.items():
        if "\n" in value or "\r" in value:
            raise OptionError(
                f"the build argument {name} is a credential with a line end, which no ARG holds",
                hint=f"give it to the step that needs it with --secret id={name}",
            )
    mounts = "".join(
        f"--mount=type=secret,id={_id(name)},env={variable} "
        for name in proxies
        for variable in (name.upper(), name.lower())
    )
    found = _ESCAPE.match(dockerfile)
    escape = found[1] if found else "\\"
    quoted = {name: _quoted(value, escape) for name, value in others.items()}
    text = "".join(_changed(one, mounts, quoted) for one in _instructions(dockerfile, escape))
    return Hidden(text, kept, {_id(name): value for name, value in proxies.items()})


def _id(name: str) -> str:
    return f"buildr-{name.lower().replace('_', '-')}"


def _is_secret(name: str, value: str, environ: Mapping[str, str]) -> bool:
    if value.startswith("buildr:"):  # the settings of package indexes, with their logins
        return True
    known = [one.decode(errors="replace") for one in search.secret_values(environ).values()]
    return bool(search.secret_values({name: value})) or redact.mask(f"{name}={value}", known) != f"{name}={value}"


def _changed(instruction: str, mounts: str, arguments: Mapping[str, str]) -> str:
    head = re.match(r"\s*(\w+)\s+", instruction)
    word = head[1].upper() if head else ""
    if head and word == "RUN" and mounts:
        return instruction[: head.end()] + mounts + instruction[head.end() :]
    if head and word == "ARG":
        return instruction[: head.end()] + _DECLARED.sub(
            lambda found: f"{found[1]}={arguments[found[1]]}" if found[1] in arguments else found[0],
            instruction[head.end() :],
        )
    return instruction


def _quoted(value: str, escape: str) -> str:
    for sign in (escape, '"', "$"):
        value = value.replace(sign, escape + sign)
    return f'"{value}"'


def _instructions(dockerfile: str, escape: str) -> Iterator[str]:
    """Yield the instructions with all their lines, and comments and empty lines between them, each as it is."""
    lines = iter(dockerfile.splitlines(keepends=True))
    for first in lines:
        taken = line = first
        if not first.strip() or first.lstrip().startswith("#"):
            yield taken
            continue
        while line.rstrip().endswith(escape) or (line is not first and line.lstrip().startswith("#")):
            line = next(lines, "")
            taken += line
            if not line:
                break
        for here in _HEREDOC.finditer(taken) if re.match(r"\s*(?:RUN|COPY|ADD)\b", taken, re.IGNORECASE) else ():
            for line in lines:
                taken += line
                if line.strip() == here[2]:
                    break
        yield taken
