"""Texts that a cluster reads: names, labels, taints and time zones, by Kubernetes' own rules.

They are looked at here, before anything is built: a cluster refuses them only when the image is there.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/ (RFC 1123) and ``.../labels/``.
"""

from __future__ import annotations

import re

from buildr_jupyter.config.suggestions import nearest
from buildr_jupyter.errors import OptionError

__all__ = ["parse_label", "parse_object_name", "parse_queue", "parse_timezone", "parse_toleration"]

_PART = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_PART}(?:\.{_PART})*")
_SUBDOMAIN_LENGTH, _LABEL_LENGTH = 253, 63
_WORD = re.compile("[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")


def parse_object_name(option: str, name: str | None, *, longest: int = _SUBDOMAIN_LENGTH) -> str | None:
    """Return the name of an object of a namespace, an RFC 1123 subdomain of at most ``longest`` characters."""
    if name is None:
        return None
    if not _SUBDOMAIN.fullmatch(name) or len(name) > longest:
        raise OptionError(
            f"{option}: {name!r} is no name of Kubernetes",
            hint=f"write at most {longest} of a-z 0-9 - and . that begin and end with a letter or a digit",
        )
    return name


def parse_queue(name: str | None) -> str | None:
    """Return the name of a queue, which stands in a label of the Job and is as short as its values are."""
    return parse_object_name("--queue", name, longest=_LABEL_LENGTH)


def parse_label(option: str, text: str) -> tuple[str, str]:
    """Return key and value of a node's label, ``KEY=VALUE``."""
    key, equals, value = text.partition("=")
    if not equals or not _is_key(key) or not _is_value(value):
        raise OptionError(f"{option}: {text!r} is no label", hint=f"write {option} KEY=VALUE")
    return key, value


def parse_toleration(text: str) -> tuple[str, str, str]:
    """Return key, value and effect of ``KEY[=VALUE][:EFFECT]``; empty what is not there."""
    rest, _, effect = text.partition(":")
    key, _, value = rest.partition("=")
    effects = ("", "NoSchedule", "PreferNoSchedule", "NoExecute")
    if not _is_key(key) or not _is_value(value) or effect not in effects:
        raise OptionError(f"--toleration: {text!r} names no taint", hint="write KEY, KEY=VALUE or KEY=VALUE:NoSchedule")
    return key, value, effect


def parse_timezone(name: str | None) -> str | None:
    """Return the name of a time zone; where this machine has no list of them, only its form is looked at."""
    if name is None:
        return None
    from zoneinfo import available_timezones  # reads a folder of some hundred files

    known = available_timezones()
    if (known and name not in known) or not re.fullmatch(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*", name):
        near = nearest(name, known)
        raise OptionError(
            f"--timezone: {name!r} is no time zone",
            hint=f"write {near} if you meant that" if near else "name it as Europe/Berlin or UTC",
        )
    return name


def _is_key(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    named = _WORD.fullmatch(name) is not None and len(name) <= _LABEL_LENGTH
    return named and (not slash or (_SUBDOMAIN.fullmatch(prefix) is not None and len(prefix) <= _SUBDOMAIN_LENGTH))


def _is_value(value: str) -> bool:
    return not value or (_WORD.fullmatch(value) is not None and len(value) <= _LABEL_LENGTH)
