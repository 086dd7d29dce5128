"""Sphinx extension: reference tables that are read from the code, so that they cannot differ from it.

``{reference} options`` and so on, in a page of Markdown, stands for what the function of that name returns.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import importlib
import inspect
import os
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import is_dataclass
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from buildr_jupyter import errors as error_tree
from buildr_jupyter.config import notebook_line, timeouts
from buildr_jupyter.config.options import OPTIONS, SETTINGS

_WIDTH = 100
"""Columns of the commands' help."""


def options() -> Iterator[str]:
    """Yield a table of the options of ``%%containerize`` and ``buildr build``."""
    yield from ("| option | meaning | a notebook file's own line may set it |", "|---|---|---|")
    for option in OPTIONS:
        value = f" {option.metavar or option.field.upper()}" if option.kind != "flag" else ""
        choices = f"; one of {', '.join(f'`{choice}`' for choice in option.choices)}" if option.choices else ""
        yield f"| `--{option.name}{_cell(value)}` | {_cell(option.help)}{choices} | {_cell(_rule(option.name))} |"


def _rule(name: str) -> str:
    rule = notebook_line.RULES.get(name)
    return rule.says if rule and rule.says else "no"


def settings() -> Iterator[str]:
    """Yield a table of the settings, with every place that may set each."""
    yield from ("| setting | variable | a project's `pyproject.toml` may set it | meaning |", "|---|---|---|---|")
    for option in SETTINGS:
        project = "yes" if option.project else "no"
        yield f"| `{option.field}` | `BUILDR_{option.field.upper()}` | {project} | {_cell(option.help)} |"


def waiting() -> Iterator[str]:
    """Yield a table of the timeouts: variable, default in seconds, meaning."""
    yield from ("| variable | seconds | what is waited for |", "|---|---|---|")
    documented = _attribute_texts(timeouts.Limits)
    for one in dataclasses.fields(timeouts.Limits):
        variable, _, meaning = documented[one.name].partition(": ")
        yield f"| {variable.replace('``', '`')} | {one.default:g} | {_cell(_markdown(meaning))} |"


def events() -> Iterator[str]:
    """Yield the event records: all that the module names."""
    for module in ("buildr_jupyter.events.event", "buildr_jupyter.model.progress"):
        yield from _records(module, *_public(module))


def _public(module: str) -> Iterator[str]:
    known = importlib.import_module(module)
    return (name for name in known.__all__ if isinstance(made := getattr(known, name), type) and is_dataclass(made))


def results() -> Iterator[str]:
    """Yield the records that a build, a run and a sweep come to, and what was proven of a program."""
    for module in ("result", "sweep", "proof"):
        yield from _records(f"buildr_jupyter.model.{module}", *_public(f"buildr_jupyter.model.{module}"))


def plan() -> Iterator[str]:
    """Yield the records that ``buildr.json`` is made of."""
    yield from _records("buildr_jupyter.model.plan", "ImagePlan", "Requirement", "NameNote", "FileEntry")
    yield from _records("buildr_jupyter.model.interface", "Interface", "Input")


def capabilities() -> Iterator[str]:
    """Yield what a builder says of itself."""
    yield from _records("buildr_jupyter.model.capabilities", "Capabilities", "BaseRequest", "ResolvedBase")


def errors() -> Iterator[str]:
    """Yield the tree of errors, each with what it means."""

    def branch(kind: type, depth: int) -> Iterator[str]:
        yield f"{'  ' * depth}- **`{kind.__name__}`**: {_markdown(' '.join((kind.__doc__ or '').split()))}"
        for child in kind.__subclasses__():
            if child.__module__ == error_tree.__name__:
                yield from branch(child, depth + 1)

    yield from branch(error_tree.BuildrError, 0)


def commands() -> Iterator[str]:
    """Yield the help of ``buildr`` and of each of its commands."""
    from buildr_jupyter import cli

    os.environ["COLUMNS"] = str(_WIDTH)
    parser = cli.make_parser()
    yield from ("```text", *parser.format_help().splitlines(), "```", "")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from (f"## buildr {name}", "", "```text", *command.format_help().splitlines(), "```", "")


def _records(module: str, *names: str) -> Iterator[str]:
    for name in names:
        kind = getattr(importlib.import_module(module), name)
        yield from (f"## {name}", "", _markdown(inspect.getdoc(kind) or ""), "")
        yield from ("| field | type | meaning |", "|---|---|---|")
        documented = _attribute_texts(kind)
        for one in dataclasses.fields(kind):
            meaning = " ".join(documented.get(one.name, "").split())
            yield f"| `{one.name}` | `{_cell(str(one.type))}` | {_cell(_markdown(meaning))} |"
        yield ""


def _attribute_texts(kind: type) -> dict[str, str]:
    """Return the texts that stand below the fields of a class, by field."""
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _markdown(text: str) -> str:
    return text.replace("``", "`")


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


class Reference(SphinxDirective):
    """``{reference} NAME``: what the function of that name yields, as Markdown."""

    required_arguments = 1
    tables: ClassVar[dict[str, Callable[[], Iterator[str]]]] = {
        made.__name__: made
        for made in (options, settings, waiting, events, results, plan, capabilities, errors, commands)
    }

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the table."""
        made = self.tables[self.arguments[0]]
        self.env.note_dependency(__file__)
        return self.parse_text_to_nodes("\n".join(made()), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive; Sphinx calls this."""
    app.add_directive("reference", Reference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
