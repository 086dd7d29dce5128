"""Interface of an image: what it takes and what it gives back, as its label and ``buildr.json`` hold it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["INTERFACE_LABEL", "Candidate", "Input", "Interface", "Return", "Said", "option_of"]

INTERFACE_LABEL = "io.buildr.interface"
"""The image's label that holds the interface as canonical JSON."""


def option_of(name: str) -> str:
    """Return the option of the image's command line that gives this input: ``--learning-rate``."""
    return "--" + name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a program."""

    name: str
    """As in Python."""
    type: str
    """``int``, ``float``, ``bool``, ``str``, ``None``, ``list``, ``list[int]``, ``dict``, ``date``, ``datetime``,
    ``Path``, ``Any``, two or more of them with ``|``, ``Literal`` or ``Enum``."""
    default: object = None
    """The plain value: what JSON can hold; None where it is required."""
    required: bool = False
    choices: tuple[object, ...] = ()
    """All that it may be, where the type is ``Literal`` or ``Enum``; of an Enum the members' names."""
    description: str = ""
    """The comment above or beside the assignment."""

    @property
    def option(self) -> str:
        """How the image's command line gives it."""
        return option_of(self.name)

    def to_json(self) -> dict[str, object]:
        """Return the input as the interface holds it."""
        shown: dict[str, object] = {
            "name": self.name,
            "option": self.option,
            "env": "BUILDR_PARAM_" + self.name.upper(),
            "type": self.type,
            "default": self.default,
        }
        if self.required:
            shown["required"] = True
        if self.choices:
            shown["choices"] = list(self.choices)
        if self.description:
            shown["description"] = self.description
        return shown


@dataclass(frozen=True, slots=True)
class Return:
    """One value that a run gives back."""

    name: str
    """As in Python; ``_`` is the value of the last expression."""
    format: str = "auto"
    """``auto``: by the value; the manifest of a run says which it was."""


@dataclass(frozen=True, slots=True)
class Interface:
    """What an image takes and gives back."""

    inputs: tuple[Input, ...] = ()
    returns: tuple[Return, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.inputs or self.returns)

    def to_json(self) -> dict[str, object]:
        """Return the form of the label and of ``buildr.json``, schema 1."""
        return {
            "schema": 1,
            "inputs": [one.to_json() for one in self.inputs],
            "returns": [{"name": one.name, "format": one.format} for one in self.returns],
            "serve": None,
        }

    def to_label(self) -> str:
        """Return the canonical JSON, ASCII, so that a label's one line holds it."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_label(cls, text: str) -> Interface:
        """Return what ``to_label`` wrote; an image may come from anybody: ValueError for anything else."""
        try:
            data = json.loads(text)
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error
        if not isinstance(data, Mapping) or data.get("schema") != 1:
            raise ValueError("it is no interface of schema 1")
        inputs = tuple(_input(one) for one in _list(data, "inputs"))
        returns = tuple(Return(_text(one, "name"), _text(one, "format")) for one in _list(data, "returns"))
        return cls(inputs, returns)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A plain literal of the program that could be an input."""

    name: str
    value: str
    """Its source text."""
    origin: str
    """``nb.ipynb, cell 2, line 1``."""

    def __str__(self) -> str:
        return f"{self.name} = {self.value}, {self.origin}: --param {self.name}"


@dataclass(frozen=True, slots=True)
class Said:
    """A value as it was said: a text, to be read by the input's type, or what JSON can hold."""

    text: str | None = None
    value: object = None


def _list(data: Mapping[str, object], name: str) -> list[Mapping[str, object]]:
    found = data.get(name)
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise ValueError(f"{name} is no list of objects")
    return found


def _text(data: Mapping[str, object], name: str) -> str:
    if not isinstance(found := data.get(name), str):
        raise ValueError(f"{name} is no text")
    return found


def _input(data: Mapping[str, object]) -> Input:
    name, choices = _text(data, "name"), data.get("choices", [])
    if not name.isidentifier() or not isinstance(choices, list):
        raise ValueError(f"input {name!r} is none")
    description = _text(data, "description") if "description" in data else ""
    required = data.get("required", False) is True
    return Input(name, _text(data, "type"), data.get("default"), required, tuple(choices), description)
